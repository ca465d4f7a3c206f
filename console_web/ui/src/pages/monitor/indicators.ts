// The indicators as GET /api/indicators gives them, and what the screen says of each.

import { apiUrl } from '@/lib/bases'
import { getJson } from '@/lib/http'

export interface Spread {
  n: number
  p50_ms?: number | null
  p90_ms?: number | null
  within_goal?: number | null
  goal_ms?: number | null
}

export const SPREADS = ['answering', 'sending', 'rolling', 'departing', 'arriving'] as const
export const COUNTS = ['calls', 'answered', 'abandoned', 'incidents', 'vehicles_sent', 'recalled', 'patients'] as const

export type Indicators = { since_ms: number } & Record<(typeof SPREADS)[number], Spread> &
  Record<(typeof COUNTS)[number], number>

export const loadIndicators = (since_ms: number): Promise<Indicators> =>
  getJson(apiUrl(`/api/indicators?since_ms=${Math.max(0, Math.round(since_ms))}`))

/** The national goals want 95 % in time (docs/sources.md); below 90 % somebody has to act. */
export const GOAL_SHARE = 0.95
const ACT_SHARE = 0.9

export type Tone = 'good' | 'warn' | 'bad' | 'none'

/** How a goal stands. The mark says what the colour says. */
export function judgedShare(share: number | null | undefined): { tone: Tone; mark: string } {
  if (share === null || share === undefined) return { tone: 'none', mark: '–' }
  if (share >= GOAL_SHARE) return { tone: 'good', mark: '✓' }
  return share >= ACT_SHARE ? { tone: 'warn', mark: '△' } : { tone: 'bad', mark: '✕' }
}
