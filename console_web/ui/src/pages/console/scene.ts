// From what is held to what the map draws. Units are gathered once a change, as plain objects.

import { FIX_STALE_MS } from '@/lib/limits'
import type { MapIncident, MapPlace, MapUnit } from '@/lib/mapink'
import { settings } from '@/lib/settings'
import type { Store } from '@/lib/store'
import { groupOf } from '@/lib/symbols'
import type { IncidentView, MissionView, ProposalView } from '@/lib/types'

export interface Focus {
  incident?: IncidentView
  missions: readonly MissionView[]
  proposals: readonly ProposalView[]
  selected?: string
  now_ms: number
}

function emphases(focus: Focus): Map<string, MapUnit['emphasis']> {
  const found = new Map<string, MapUnit['emphasis']>()
  for (const { unit_id } of focus.proposals) {
    found.set(unit_id, unit_id === focus.selected ? 'selected' : 'proposed')
  }
  for (const { unit_id } of focus.missions) found.set(unit_id, 'sent')
  return found
}

export function mapUnits(store: Store, focus: Focus): MapUnit[] {
  const special = emphases(focus)
  const units: MapUnit[] = []
  for (const fix of store.fixes.values()) {
    const unit = store.maps.unit.get(fix.unit_id)
    if (!unit) continue
    const emphasis = special.get(fix.unit_id)
    units.push({
      unit_id: fix.unit_id,
      lat: fix.lat,
      lon: fix.lon,
      group: groupOf(unit.status),
      emphasis,
      label: emphasis ? unit.plate : undefined,
      stale: focus.now_ms - fix.at_ms > FIX_STALE_MS,
    })
  }
  return units
}

export function mapIncidents(store: Store, current?: IncidentView): MapIncident[] {
  const found: MapIncident[] = []
  for (const incident of store.maps.incident.values()) {
    const isCurrent = incident.incident_id === current?.incident_id
    if (!incident.location || (incident.state === 'closed' && !isCurrent)) continue
    found.push({
      incident_id: incident.incident_id,
      lat: incident.location.position.lat,
      lon: incident.location.position.lon,
      accuracy_m: incident.location.accuracy_m,
      priority: incident.priority,
      current: isCurrent,
    })
  }
  return found
}

export function mapPlaces(store: Store): MapPlace[] {
  const nameOf = (name: { zh: string; en: string }): string => name[settings.language] || name.zh
  const places: MapPlace[] = []
  for (const { name, position } of store.maps.station.values()) {
    places.push({ ...position, label: nameOf(name), kind: 'station' })
  }
  for (const { name, position } of store.maps.hospital.values()) {
    places.push({ ...position, label: nameOf(name), kind: 'hospital' })
  }
  return places
}
