// One incident's timeline as the server tells it, and the lines and bars that the screen makes of it.

import { apiUrl } from '@/lib/bases'
import { dateText, lengthText } from '@/lib/clock'
import { getJson } from '@/lib/http'
import { has, say, serviceName, t, word } from '@/lib/i18n'
import { groupOf, type SymbolGroup } from '@/lib/symbols'
import type { AnyEvent, CallView, IncidentView, MissionView, Text, UnitStatus, Vitals } from '@/lib/types'
import { judged, VITALS, vitalText } from '@/lib/vitals'

export interface TimelineRecord {
  seq: number
  at_ms: number
  actor: { role: string; id: string }
  body: AnyEvent
}
export type SoundState = 'whole' | 'missing' | 'changed' | 'cut' | 'removed'
export interface Leg {
  side: 'caller' | 'seat' | 'party' | 'centre'
  url: string
  started_at_ms: number
  duration_ms: number
  state: SoundState
}
export interface Recording {
  call_id: string
  url: string
  peaks_url: string
  started_at_ms: number
  duration_ms: number
  state: SoundState
  sha256: string
  /** A process died while it was written. */
  broken_off: boolean
  removed_at_ms: number | null
  removed_after_days: number | null
  /** Why somebody wants it kept. */
  kept: string
  legs: Leg[]
}
export type TrackPoint = [at_ms: number, lat: number, lon: number, speed_kmh: number, heading_deg: number]
export interface Timeline {
  incident: IncidentView
  start_at_ms: number
  end_at_ms: number
  records: TimelineRecord[]
  missions: MissionView[]
  calls: CallView[]
  recordings: Recording[]
  tracks: Record<string, TrackPoint[]>
}
export interface Peaks {
  bucket_ms: number
  left: number[]
  right: number[]
}
export interface IncidentLine {
  incident_id: string
  opened_at_ms: number
  caller_number: string
  address: string
  complaint_text: Text | null
  priority: 'red' | 'orange' | 'yellow' | 'green' | null
  state: string
  has_recording: boolean
}

export type Lane = 'call' | 'incident' | 'unit' | 'vitals' | 'hospital'
export interface Line {
  seq: number
  at_ms: number
  lane: Lane
  title: string
  text: string
  actor: string
}
export interface Bar {
  from_ms: number
  to_ms: number
  label: string
  kind: SymbolGroup | 'ringing' | 'talking' | 'held' | 'joined' | 'pressed'
}

const TIMELINE_WAIT_MS = 20_000
export const findIncidents = (q: string): Promise<IncidentLine[]> =>
  getJson(apiUrl(`/api/incidents?limit=100&q=${encodeURIComponent(q)}`))
export const loadTimeline = (id: string): Promise<Timeline> =>
  getJson(apiUrl(`/api/incidents/${encodeURIComponent(id)}/timeline`), TIMELINE_WAIT_MS)
export const loadPeaks = (recording: Recording): Promise<Peaks> =>
  getJson(apiUrl(recording.peaks_url), TIMELINE_WAIT_MS)

/** Events that would only repeat what the line before says. */
const LEFT_OUT = new Set(['call_linked.v1', 'incident_opened.v1', 'party_drop_requested.v1'])

function laneOf(type: string): Lane {
  if (/^(call|recording|party_|seat_muted|metronome|digit_|subscriber|address_told|location_link|nuisance)/.test(type)) return 'call'
  if (type.startsWith('vitals')) return 'vitals'
  if (/^(arrival|bed|admission|hospital)/.test(type)) return 'hospital'
  if (/^(unit_|mission|eta)/.test(type)) return 'unit'
  return 'incident'
}

export function vitalsText(vitals: Vitals): string {
  const parts = VITALS.filter(({ key }) => key !== 'dbp_mmhg' && vitals[key] !== undefined).map(({ key }) => {
    const isPressure = key === 'sbp_mmhg'
    const value = isPressure
      ? `${vitals.sbp_mmhg}/${vitalText('dbp_mmhg', vitals.dbp_mmhg)}`
      : vitalText(key, vitals[key])
    const mark = { high: '▲', low: '▼', normal: '', '': '' }[judged(key, vitals[key])]
    return `${t(isPressure ? 'vital.bp' : `vital.${key}`)} ${value}${mark}`
  })
  return parts.join(' · ')
}

/** Names that the screen knows and the records do not. */
export interface Names {
  unit(id: string): string
  hospital(id: string): string
  complaint(id: string): string
  question(id: string): string
}

function partyName({ seat_id, number }: { seat_id?: string; number?: string }): string {
  return seat_id ? t('replay.seat', { seat: seat_id }) : (number ?? '')
}

/** Why a step of a call ended, in words, and the two numbers that a network operator asks for. */
function causeText({ q850, sip_code }: { q850?: number; sip_code?: number }): string {
  const known = q850 ? String(q850) : `sip_${sip_code}`
  const words = has(`cause.${known}`) ? t(`cause.${known}`) : ''
  return [words, q850 ? `Q.850 ${q850}` : '', sip_code ? `SIP ${sip_code}` : ''].filter(Boolean).join(' · ')
}

function detail(event: AnyEvent, names: Names): string {
  switch (event.type) {
    case 'call_offered.v1':
      return [event.caller_number, serviceName(event.service)].filter(Boolean).join(' · ')
    case 'call_answered.v1':
      return t('replay.at_seat', { seat: event.seat_id, s: (event.wait_ms / 1000).toFixed(1) })
    case 'call_ringing.v1':
    case 'call_connected.v1':
      return t('replay.seat', { seat: event.seat_id })
    case 'call_out_started.v1':
      return [event.number, event.by_phone && t('replay.by_phone')].filter(Boolean).join(' · ')
    case 'callback_started.v1':
      return event.number
    case 'party_dialled.v1':
      return `${partyName(event)} · ${t(`monitor.mode_${event.mode ?? 'talk'}`)}`
    case 'party_mode_changed.v1':
      return t(`monitor.mode_${event.mode}`)
    case 'party_left.v1':
    case 'seat_failed.v1':
    case 'seat_left.v1':
    case 'call_abandoned.v1':
    case 'call_forward_failed.v1':
    case 'callback_failed.v1':
      return causeText(event)
    case 'call_transferred.v1':
      return `→ ${partyName(event)}`
    case 'seat_muted.v1':
      return t(event.muted ? 'replay.on' : 'replay.off')
    case 'metronome_set.v1':
      return event.per_min ? t('console.per_min', { n: event.per_min }) : t('replay.off')
    case 'digit_pressed.v1':
      return event.digit
    case 'digits_sent.v1':
      return event.digits
    case 'caller_located.v1':
      return `${word('source', event.location.source)}${event.location.accuracy_m ? ` ±${Math.round(event.location.accuracy_m)} m` : ''}`
    case 'address_told.v1':
      return event.address
    case 'subscriber_noted.v1':
      return [event.subscriber.name, event.subscriber.address].filter(Boolean).join(' · ')
    case 'call_ended.v1':
      return [word('replay', `by_${event.by}`), causeText(event)].filter(Boolean).join(' · ')
    case 'recording_stored.v1':
      return lengthText(event.duration_ms / 1000)
    case 'recording_kept.v1':
      return event.reason
    case 'recording_removed.v1':
      return t('replay.after_days', { days: event.keep_days })
    case 'location_set.v1':
      return event.location.address || word('source', event.location.source)
    case 'complaint_chosen.v1':
      return names.complaint(event.complaint)
    case 'question_answered.v1':
      return `${names.question(event.question)} ${t(`answer.${event.answer}`)}`
    case 'incident_classified.v1':
      return `${t(`priority.${event.priority}`)}${event.provisional ? ` (${t('common.provisional')})` : ''}`
    case 'patient_described.v1':
      return [event.patient.name, event.patient.sex ? t(`sex.${event.patient.sex}`) : '', event.patient.age_years].filter(Boolean).join(' ')
    case 'note_added.v1':
      return event.text
    case 'units_proposed.v1':
      return event.proposals.map((p) => `${names.unit(p.unit_id)} ${lengthText(p.eta_s)}`).join(' · ')
    case 'unit_assigned.v1':
      return names.unit(event.unit_id)
    case 'unit_status_reached.v1':
      return `${names.unit(event.unit_id)} ${t(`status.${event.status}`)} · ${word('replay', `from_${event.source}`)}`
    case 'mission_recalled.v1':
      return `${names.unit(event.unit_id)} ${event.reason}`
    case 'hospitals_proposed.v1':
      return event.proposals.map((p) => `${names.hospital(p.hospital_id)} ${lengthText(p.eta_s)}`).join(' · ')
    case 'hospital_chosen.v1':
    case 'arrival_opened.v1':
      return names.hospital(event.hospital_id)
    case 'vitals_recorded.v1':
      return vitalsText(event.vitals)
    case 'bed_assigned.v1':
      return event.bed
    case 'admission_number_received.v1':
      return `${event.admission_no} · ${word('replay', `no_${event.source}`)}`
    case 'incident_closed.v1':
      return t(`close.${event.reason}`)
    default:
      return ''
  }
}

/** The event list: one line an event, with what it was about. */
export function linesOf(story: Timeline, names: Names): Line[] {
  return story.records
    .filter(({ body }) => !LEFT_OUT.has(body.type))
    .map(({ seq, at_ms, actor, body }) => ({
      seq,
      at_ms: body.type === 'call_offered.v1' ? body.first_ring_at_ms : at_ms,
      lane: laneOf(body.type),
      title: word('event', body.type.replace(/\.v\d+$/, '')),
      text: detail(body, names),
      actor: actor.role === 'system' ? '' : actor.id,
    }))
}

/** What became of a recording, in words; empty where it is there as it was. */
export function fateOf(recording: Recording): string {
  if (recording.state === 'removed') {
    const date = dateText(recording.removed_at_ms ?? 0)
    return t('replay.recording_removed', { date, days: recording.removed_after_days ?? 0 })
  }
  if (recording.state !== 'whole') return t(`replay.recording_${recording.state}`)
  return recording.broken_off ? t('replay.broken_off') : ''
}

/** The bars of the call lane: ringing, then talking. */
export function callBars(story: Timeline): Bar[] {
  return story.calls.flatMap((call) => {
    const end_ms = call.ended_at_ms ?? story.end_at_ms
    const answered_ms = call.answered_at_ms ?? end_ms
    const ringing: Bar = { from_ms: call.first_ring_at_ms, to_ms: answered_ms, label: t('replay.ringing'), kind: 'ringing' }
    const talking: Bar = { from_ms: answered_ms, to_ms: end_ms, label: t('replay.talking'), kind: 'talking' }
    return call.answered_at_ms === undefined ? [ringing] : [ringing, talking]
  })
}

interface Step {
  status: UnitStatus
  at_ms: number
}

export function stepsOf(story: Timeline, mission: MissionView): Step[] {
  const steps = Object.entries(mission.steps ?? {}).map(([status, at_ms]) => ({ status: status as UnitStatus, at_ms: at_ms! }))
  if (!steps.some(({ status }) => status === 'alerted')) steps.push({ status: 'alerted', at_ms: mission.assigned_at_ms })
  const recall = story.records.find(({ body }) => body.type === 'mission_recalled.v1' && body.mission_id === mission.mission_id)
  if (recall) steps.push({ status: 'available', at_ms: recall.at_ms })
  return steps.sort((a, b) => a.at_ms - b.at_ms)
}

/** The bars of one unit's lane: from each status to the next. */
export function unitBars(story: Timeline, mission: MissionView): Bar[] {
  const steps = stepsOf(story, mission)
  return steps.flatMap(({ status, at_ms }, n) => {
    if (status === 'available') return []
    const to_ms = steps[n + 1]?.at_ms ?? story.end_at_ms
    return [{ from_ms: at_ms, to_ms, label: t(`status.${status}`), kind: groupOf(status) }]
  })
}

export function statusAt(story: Timeline, mission: MissionView, at_ms: number): UnitStatus | undefined {
  return stepsOf(story, mission).filter((step) => step.at_ms <= at_ms).at(-1)?.status
}

/** Where a vehicle was, between its fixes in a straight line. */
export function positionAt(track: readonly TrackPoint[], at_ms: number): { lat: number; lon: number } | undefined {
  if (track.length === 0) return undefined
  let low = 0
  let high = track.length - 1
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if (track[middle]![0] <= at_ms) low = middle
    else high = middle - 1
  }
  const [from_ms, lat, lon] = track[low]!
  const next = track[low + 1]
  if (!next || at_ms <= from_ms) return { lat, lon }
  const share = Math.min(1, (at_ms - from_ms) / Math.max(1, next[0] - from_ms))
  return { lat: lat + (next[1] - lat) * share, lon: lon + (next[2] - lon) * share }
}

export const complaintOf = (story: Timeline): string => say(story.incident.complaint_text)
