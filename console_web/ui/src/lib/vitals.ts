// The vital signs: their order on screens, what a finger may type, and what counts as normal.
// Typing limits are the core's (dispatch/core/missions.py). The normal ranges are an adult's and have
// their sources in docs/sources.md#vitals; outside of them a value gets an arrow, no more.

import type { Vitals } from '@/lib/types'

export type VitalKey = Exclude<keyof Vitals, 'at_ms'>

export interface VitalField {
  key: VitalKey
  /** Digits after the point; the point is implied while typing: 372 is 37.2. */
  decimals: 0 | 1
  /** As many digits as can be meant: the next field is chosen by itself. */
  digits: number
  low: number
  high: number
  normal: readonly [low: number, high: number]
}

export const VITALS: readonly VitalField[] = [
  { key: 'hr_per_min', decimals: 0, digits: 3, low: 0, high: 350, normal: [51, 90] },
  { key: 'sbp_mmhg', decimals: 0, digits: 3, low: 0, high: 350, normal: [111, 219] },
  { key: 'dbp_mmhg', decimals: 0, digits: 3, low: 0, high: 250, normal: [60, 119] },
  { key: 'spo2_pct', decimals: 0, digits: 3, low: 0, high: 100, normal: [96, 100] },
  { key: 'rr_per_min', decimals: 0, digits: 2, low: 0, high: 120, normal: [12, 20] },
  { key: 'gcs', decimals: 0, digits: 2, low: 3, high: 15, normal: [15, 15] },
  { key: 'temp_c', decimals: 1, digits: 3, low: 10, high: 47, normal: [36.1, 38.0] },
  { key: 'glucose_mmol_l', decimals: 1, digits: 3, low: 0, high: 80, normal: [3.9, 11.0] },
]

const BY_KEY = new Map(VITALS.map((field) => [field.key, field]))

/** Above, below or within what is normal; empty for what was not measured. */
export function judged(key: VitalKey, value: number | undefined): 'high' | 'low' | 'normal' | '' {
  if (value === undefined) return ''
  const [low, high] = BY_KEY.get(key)!.normal
  return value > high ? 'high' : value < low ? 'low' : 'normal'
}

export function vitalText(key: VitalKey, value: number | undefined): string {
  return value === undefined ? '—' : value.toFixed(BY_KEY.get(key)!.decimals)
}

/** The newest value of each sign, with when it was measured: a crew rarely measures all at once. */
export function newest(sets: readonly Vitals[]): Partial<Record<VitalKey, { value: number; at_ms: number }>> {
  const found: Partial<Record<VitalKey, { value: number; at_ms: number }>> = {}
  for (const set of sets) {
    for (const { key } of VITALS) {
      const value = set[key]
      if (value !== undefined) found[key] = { value, at_ms: set.at_ms }
    }
  }
  return found
}
