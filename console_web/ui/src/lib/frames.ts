// The WebSocket's frames as docs/interfaces.md gives them.

import type { EntityByKind, Kind } from '@/lib/types'

export interface Session {
  user: string
  name: string
  role: 'call_taker' | 'crew' | 'hospital' | 'supervisor' | 'admin' | 'system'
  seat_id?: string
  unit_id?: string
  hospital_id?: string
  expires_at_ms: number
}

/** Whom every call-taker reaches by one key. */
export interface ServiceNumber {
  number: string
  zh: string
  en: string
}

export interface LogEvent {
  seq: number
  at_ms: number
  type: string
  call_id?: string
  incident_id?: string
  unit_id?: string
  seat_id?: string
  status?: string
}

export type FixRow = [
  unit_id: string,
  lat: number,
  lon: number,
  heading_deg: number,
  speed_kmh: number,
  fix_at_ms: number,
]

export type Changed = { [K in Kind]: { kind: K; id: string; value?: EntityByKind[K] | null } }[Kind]

/** Who answers, in which role, and which machines there are (`/api/machines`). */
export interface Machines {
  type: 'machines'
  node: string
  role: 'single' | 'active' | 'standby' | 'switching' | 'blocked' | 'starting'
  epoch: number
  writer: string
  in_sync: string[]
  lag: number
  machines: { node: string; url: string }[]
}

export type Frame =
  | Machines
  | { type: 'welcome'; session: Session; epoch: number; seq: number; at_ms: number; numbers: ServiceNumber[] }
  | {
      type: 'snapshot'
      epoch: number
      seq: number
      entities: { [K in Kind]?: EntityByKind[K][] }
    }
  | {
      type: 'delta'
      epoch: number
      seq: number
      at_ms: number
      changed: Changed[]
      events?: LogEvent[]
    }
  | { type: 'fixes'; at_ms: number; fixes: FixRow[] }
  | { type: 'etas'; at_ms: number; etas: [string, number][] }
  | { type: 'ping'; at_ms: number; seq: number }
  | { type: 'error'; code: string; field: string; detail: string }
