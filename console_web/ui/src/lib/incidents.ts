// What several screens say of incidents and missions.

import type { IncidentView, MissionView, Priority } from '@/lib/types'

const RANK: Record<Priority, number> = { red: 0, orange: 1, yellow: 2, green: 3 }
const MISSION_OVER = new Set(['available'])

/** `I-20261123-0012` as people say it: `12`. */
export function shortNo(id: string): string {
  return String(Number(id.split('-').pop()) || id)
}

export function isOver(mission: MissionView): boolean {
  return Boolean(mission.recalled) || MISSION_OVER.has(mission.status)
}

/** Gravest first, then oldest; who has no priority yet comes after red. */
export function byGravity(one: IncidentView, other: IncidentView): number {
  const rank = (incident: IncidentView) => (incident.priority ? RANK[incident.priority] : 0.5)
  return rank(one) - rank(other) || one.opened_at_ms - other.opened_at_ms
}
