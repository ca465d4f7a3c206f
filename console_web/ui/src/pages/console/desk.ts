// The desk: who sits here, which call and which incident are in front of them, and what they do.
// One store for the console; components read it and call its actions.

import { defineStore } from 'pinia'
import { computed, markRaw, ref, watch } from 'vue'
import { apiUrl } from '@/lib/bases'
import { send } from '@/lib/commands'
import { getJson } from '@/lib/http'
import { t } from '@/lib/i18n'
import { useLive } from '@/lib/page'
import { attention, startRing, stopRing, unlockSound } from '@/lib/sound'
import { toast } from '@/lib/toasts'
import type {
  Answer,
  CallView,
  CloseReason,
  IncidentView,
  Location,
  MissionView,
  Patient,
  Priority,
} from '@/lib/types'

export interface ComplaintKey {
  complaint: string
  zh: string
  en: string
  key: string
}

export const CLOSE_REASONS: readonly CloseReason[] = [
  'completed',
  'cancelled',
  'nuisance',
  'advice',
  'duplicate',
]
export const PAUSE_REASONS = ['break', 'paperwork', 'handover'] as const

const RANK: Record<Priority, number> = { red: 0, orange: 1, yellow: 2, green: 3 }
const MISSION_OVER = new Set(['available'])

/** `I-20261123-0012` as people say it: `12`. */
export function shortNo(id: string): string {
  return String(Number(id.split('-').pop()) || id)
}

export function isOver(mission: MissionView): boolean {
  return Boolean(mission.recalled) || MISSION_OVER.has(mission.status)
}

function isTyping(): boolean {
  const at = document.activeElement
  return at instanceof HTMLInputElement || at instanceof HTMLTextAreaElement
}

function byGravity(one: IncidentView, other: IncidentView): number {
  const rank = (incident: IncidentView) => (incident.priority ? RANK[incident.priority] : 0.5)
  return rank(one) - rank(other) || one.opened_at_ms - other.opened_at_ms
}

export const useDesk = defineStore('desk', () => {
  // Raw: pinia would make every one of hundreds of moving units deeply reactive.
  const live = markRaw(useLive())
  const store = markRaw(live.store)

  // ---- who and what is there

  const chosenSeat = ref(new URLSearchParams(location.search).get('seat') ?? '')
  const seatId = computed(() => live.session.value?.seat_id ?? chosenSeat.value)
  const seat = computed(() => store.get('seat', seatId.value || undefined))
  const system = computed(() => store.get('system', 'system'))
  const calls = computed(() => store.all('call'))
  const myCall = computed<CallView | undefined>(() => {
    const mine = calls.value.filter((call) => call.seat_id === seatId.value)
    return (
      mine.find((call) => call.state === 'answered') ?? mine.find((call) => call.state === 'ringing')
    )
  })
  const queue = computed(() =>
    calls.value
      .filter((call) => ['offered', 'queued', 'ringing'].includes(call.state) && !call.callback_of)
      .sort((one, other) => one.first_ring_at_ms - other.first_ring_at_ms),
  )
  const callbacks = computed(() =>
    calls.value
      .filter((call) => call.callback_pending)
      .sort((one, other) => one.first_ring_at_ms - other.first_ring_at_ms),
  )
  const incidents = computed(() => store.all('incident'))
  const pending = computed(() => incidents.value.filter((i) => i.state === 'pending').sort(byGravity))
  const active = computed(() => incidents.value.filter((i) => i.state === 'active').sort(byGravity))

  // ---- what is in front

  const selectedId = ref<string>()
  const incident = computed(() => store.get('incident', selectedId.value))
  const isOpen = computed(() => incident.value !== undefined && incident.value.state !== 'closed')
  const missions = computed<MissionView[]>(() =>
    (incident.value?.mission_ids ?? [])
      .map((id) => store.get('mission', id))
      .filter((mission) => mission !== undefined),
  )
  const liveMissions = computed(() => missions.value.filter((mission) => !isOver(mission)))
  /** The call that the pop shows: the one at this seat, else the last one of the incident. */
  const shownCall = computed<CallView | undefined>(
    () => myCall.value ?? store.get('call', incident.value?.call_ids?.at(-1)),
  )
  const closing = ref(false)
  const placing = ref(false)
  const complaints = ref<ComplaintKey[]>([])
  /** A complaint key pressed before the incident was there; it is kept for this call. */
  const early = ref<{ call_id: string; complaint: string }>()

  function select(incident_id: string | undefined): void {
    selectedId.value = incident_id
    closing.value = false
    placing.value = false
  }

  watch(
    () => [myCall.value?.call_id, myCall.value?.incident_id, myCall.value?.state] as const,
    ([call_id, incident_id, state], before) => {
      if (state === 'ringing') startRing()
      else stopRing()
      document.title = state === 'ringing' ? t('console.title_ringing') : t('console.title')
      if (!incident_id || incident_id === selectedId.value) return
      const isNews = call_id !== before[0] || incident_id !== before[1] || state !== before[2]
      // While it only rings it does not pull a half-written note away from under the hands.
      if (isNews && !(state === 'ringing' && isTyping())) select(incident_id)
    },
  )
  watch(
    () => [early.value, myCall.value?.call_id, myCall.value?.incident_id] as const,
    ([pressed, call_id, incident_id]) => {
      if (!pressed) return
      if (call_id !== pressed.call_id) early.value = undefined
      else if (incident_id) {
        early.value = undefined
        void send({ type: 'choose_complaint', incident_id, complaint: pressed.complaint })
      }
    },
  )
  watch(
    () => system.value?.alarms?.length ?? 0,
    (count, before) => {
      if (count > before) attention()
    },
  )

  // ---- the seat and its calls

  async function loadComplaints(): Promise<void> {
    complaints.value = await getJson<ComplaintKey[]>(apiUrl('/api/complaints'))
  }

  function needSeat(): string | undefined {
    if (!seatId.value) toast('bad', t('console.no_seat'))
    return seatId.value || undefined
  }

  async function setSeat(state: 'free' | 'paused' | 'closed', reason = ''): Promise<void> {
    const seat_id = needSeat()
    void unlockSound()
    if (seat_id) await send({ type: 'set_seat', seat_id, state, reason })
  }

  async function togglePause(reason: string = PAUSE_REASONS[0]): Promise<void> {
    if (seat.value?.state === 'free') await setSeat('paused', reason)
    else await setSeat('free')
  }

  async function answer(call = myCall.value ?? queue.value[0]): Promise<void> {
    const seat_id = needSeat()
    if (!seat_id || !call || call.state === 'answered') return
    await send({ type: 'answer_call', call_id: call.call_id, seat_id })
  }

  async function hangUp(): Promise<void> {
    if (myCall.value) await send({ type: 'hang_up_call', call_id: myCall.value.call_id })
  }

  async function callBack(call: CallView): Promise<void> {
    const seat_id = needSeat()
    if (seat_id) await send({ type: 'call_back', call_id: call.call_id, seat_id })
  }

  async function settleCallback(call: CallView, reason: string): Promise<void> {
    await send({ type: 'settle_callback', call_id: call.call_id, reason })
  }

  async function linkCall(incident_id: string): Promise<void> {
    const call = shownCall.value
    if (call && (await send({ type: 'link_call', call_id: call.call_id, incident_id }))) {
      select(incident_id)
    }
  }

  // ---- the incident

  async function openIncident(): Promise<void> {
    const done = await send({ type: 'open_incident' })
    if (done?.created) select(done.created)
  }

  async function setLocation(place: Location): Promise<void> {
    if (!incident.value) return
    placing.value = false
    await send({ type: 'set_location', incident_id: incident.value.incident_id, location: place })
  }

  async function chooseComplaint(complaint: string): Promise<void> {
    const call = myCall.value
    if (call && !call.incident_id) early.value = { call_id: call.call_id, complaint }
    else if (incident.value) {
      const { incident_id } = incident.value
      await send({ type: 'choose_complaint', incident_id, complaint })
    } else toast('info', t('console.no_incident'))
  }

  async function answerQuestion(question: string, given: Answer): Promise<void> {
    if (!incident.value) return
    const { incident_id } = incident.value
    await send({ type: 'answer_question', incident_id, question, answer: given })
  }

  async function describePatient(patient: Patient): Promise<void> {
    if (!incident.value) return
    await send({ type: 'describe_patient', incident_id: incident.value.incident_id, patient })
  }

  async function addNote(text: string): Promise<void> {
    if (!incident.value || !text.trim()) return
    await send({ type: 'add_note', incident_id: incident.value.incident_id, text: text.trim() })
  }

  async function closeIncident(reason: CloseReason): Promise<void> {
    if (!incident.value) return
    const { incident_id } = incident.value
    closing.value = false
    if (await send({ type: 'close_incident', incident_id, reason })) select(undefined)
  }

  /** Sends a unit; true when it is on disk. */
  async function assign(unit_id: string): Promise<boolean> {
    if (!incident.value) return false
    const { incident_id } = incident.value
    return (await send({ type: 'assign_unit', incident_id, unit_id })) !== null
  }

  /** Undoes the newest sending of this incident. */
  async function recall(mission = liveMissions.value.at(-1)): Promise<void> {
    if (!mission) {
      toast('info', t('console.nothing_to_recall'))
      return
    }
    const { mission_id, plate } = mission
    if (await send({ type: 'recall_mission', mission_id, reason: 'undo' })) {
      toast('good', t('console.recalled', { plate }))
    }
  }

  return {
    live, store, chosenSeat, seatId, seat, system, myCall, queue, callbacks, pending, active,
    selectedId, incident, isOpen, missions, liveMissions, shownCall, closing, placing, complaints,
    early, select, loadComplaints, setSeat, togglePause, answer, hangUp, callBack, settleCallback,
    linkCall, openIncident, setLocation, chooseComplaint, answerQuestion, describePatient, addNote,
    closeIncident, assign, recall,
  }
})
