// What the screen holds: plain Maps of entities, and one counter a kind that says "look again".
// Hundreds of units move every second, so nothing in here is deeply reactive: a component reads a
// Map inside a computed that also reads the kind's tick. Ticks are conflated to the next frame.

import { shallowReactive } from 'vue'
import type { FixRow, Frame, LogEvent } from '@/lib/frames'
import { KINDS, type EntityByKind, type Kind } from '@/lib/types'

export interface UnitFix {
  unit_id: string
  lat: number
  lon: number
  heading_deg: number
  speed_kmh: number
  at_ms: number
}

export type Part = Kind | 'fixes' | 'etas' | 'events'

const EVENTS_KEPT = 50
const HIDDEN_FLUSH_MS = 250 // a hidden window gets no animation frames, but must still ring

function emptyMaps(): { [K in Kind]: Map<string, EntityByKind[K]> } {
  return Object.fromEntries(KINDS.map((kind) => [kind, new Map()])) as never
}

function idOf(kind: Kind, value: object): string {
  if (kind === 'system' || kind === 'queue') return kind
  if (kind === 'nuisance') return (value as EntityByKind['nuisance']).number
  return String((value as Record<string, unknown>)[`${kind}_id`])
}

export class Store {
  readonly maps = emptyMaps()
  readonly fixes = new Map<string, UnitFix>()
  readonly etas = new Map<string, number>()
  /** When the server last spoke of a mission's live ETA, changed or not, by the server's clock. */
  readonly etasHeard_ms = new Map<string, number>()
  readonly events: LogEvent[] = [] // newest last
  readonly ticks: Record<Part, number>
  private readonly dirty = new Set<Part>()
  private scheduled = false
  private readonly listeners = new Set<(parts: ReadonlySet<Part>) => void>()

  constructor() {
    const parts: Part[] = [...KINDS, 'fixes', 'etas', 'events']
    this.ticks = shallowReactive(Object.fromEntries(parts.map((part) => [part, 0]))) as never
  }

  /** One entity; reading it inside a computed follows its changes. */
  get<K extends Kind>(kind: K, id: string | undefined): EntityByKind[K] | undefined {
    void this.ticks[kind]
    return id === undefined ? undefined : this.maps[kind].get(id)
  }

  /** All of a kind; reading it inside a computed follows its changes. */
  all<K extends Kind>(kind: K): EntityByKind[K][] {
    void this.ticks[kind]
    return [...this.maps[kind].values()]
  }

  /** The live ETA of a mission, or the one in its entity. */
  etaAt_ms(mission_id: string): number | undefined {
    void this.ticks.etas
    return this.etas.get(mission_id) ?? this.get('mission', mission_id)?.eta_at_ms
  }

  /** Hears which parts changed, once a frame; for drawing outside of Vue (the map). */
  onChange(listener: (parts: ReadonlySet<Part>) => void): () => void {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }

  apply(frame: Frame): void {
    switch (frame.type) {
      case 'snapshot':
        this.replaceAll(frame.entities)
        break
      case 'delta':
        for (const change of frame.changed) this.change(change.kind, change.id, change.value)
        this.log(frame.events ?? [])
        break
      case 'fixes':
        for (const row of frame.fixes) this.fix(row)
        this.mark('fixes')
        break
      case 'etas':
        for (const [mission_id, eta_at_ms] of frame.etas) {
          this.etas.set(mission_id, eta_at_ms)
          this.etasHeard_ms.set(mission_id, frame.at_ms)
        }
        this.mark('etas')
        break
      case 'welcome':
      case 'ping':
      case 'machines':
      case 'error':
        break
      default:
        frame satisfies never // a newer server may send what this page does not know
    }
  }

  private replaceAll(entities: { [K in Kind]?: EntityByKind[K][] }): void {
    for (const kind of KINDS) {
      const map = this.maps[kind] as Map<string, unknown>
      map.clear()
      for (const value of entities[kind] ?? []) map.set(idOf(kind, value), value)
      this.mark(kind)
    }
    this.etas.clear()
    this.mark('etas')
  }

  private change(kind: Kind, id: string, value: unknown): void {
    const map = this.maps[kind] as Map<string, unknown> | undefined
    if (!map) return // a kind that this page does not know
    if (value === null || value === undefined) {
      map.delete(id)
      if (kind === 'mission') this.etas.delete(id)
      if (kind === 'unit') this.fixes.delete(id)
    } else {
      map.set(id, value)
    }
    this.mark(kind)
  }

  private fix(row: FixRow): void {
    const [unit_id, lat, lon, heading_deg, speed_kmh, at_ms] = row
    this.fixes.set(unit_id, { unit_id, lat, lon, heading_deg, speed_kmh, at_ms })
  }

  private log(events: LogEvent[]): void {
    if (events.length === 0) return
    this.events.push(...events)
    this.events.splice(0, this.events.length - EVENTS_KEPT)
    this.mark('events')
  }

  private mark(part: Part): void {
    this.dirty.add(part)
    if (this.scheduled) return
    this.scheduled = true
    if (document.hidden) setTimeout(this.flush, HIDDEN_FLUSH_MS)
    else requestAnimationFrame(this.flush)
  }

  private readonly flush = (): void => {
    this.scheduled = false
    const parts = new Set(this.dirty)
    this.dirty.clear()
    for (const part of parts) this.ticks[part] += 1
    for (const listener of this.listeners) listener(parts)
  }
}
