// The desk: which incident is in front, and what is done with it. Who sits here is in seat.ts, the
// calls in calls.ts.

import { defineStore } from 'pinia'
import { computed, ref, watch } from 'vue'
import { apiUrl } from '@/lib/bases'
import { useCalls } from '@/lib/calls'
import { send } from '@/lib/commands'
import { getJson } from '@/lib/http'
import { t } from '@/lib/i18n'
import { byGravity, isOver } from '@/lib/incidents'
import { useSeat } from '@/lib/seat'
import { attention, startRing, stopRing } from '@/lib/sound'
import { toast } from '@/lib/toasts'
import type {
  Answer,
  CallView,
  CloseReason,
  Location,
  MissionView,
  Patient,
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

function isTyping(): boolean {
  const at = document.activeElement
  return at instanceof HTMLInputElement || at instanceof HTMLTextAreaElement
}

export const useDesk = defineStore('desk', () => {
  const { live, store } = useSeat()
  const calls = useCalls()
  const myCall = computed(() => calls.mine)

  // ---- what is there

  const system = computed(() => store.get('system', 'system'))
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
      if (!incident_id || incident_id === selectedId.value) return
      const isNews = call_id !== before[0] || incident_id !== before[1] || state !== before[2]
      // While it only rings it does not pull a half-written note away from under the hands.
      if (isNews && !(state === 'ringing' && isTyping())) select(incident_id)
    },
  )
  watch(
    () => myCall.value?.state,
    (state) => {
      if (state === 'ringing') startRing()
      else stopRing()
      document.title = state === 'ringing' ? t('console.title_ringing') : t('console.title')
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

  async function loadComplaints(): Promise<void> {
    complaints.value = await getJson<ComplaintKey[]>(apiUrl('/api/complaints'))
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

  /** True when it is on disk. */
  async function addNote(text: string): Promise<boolean> {
    if (!incident.value || !text.trim()) return false
    const { incident_id } = incident.value
    return (await send({ type: 'add_note', incident_id, text: text.trim() })) !== null
  }

  async function closeIncident(reason: CloseReason): Promise<void> {
    if (!incident.value) return
    const { incident_id } = incident.value
    closing.value = false
    const done = await send({ type: 'close_incident', incident_id, reason })
    if (done && selectedId.value === incident_id) select(undefined) // or another is in front by now
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
    live, store, system, myCall, pending, active, selectedId, incident, isOpen, missions,
    liveMissions, shownCall, closing, placing, complaints, early, select, loadComplaints, linkCall,
    openIncident, setLocation, chooseComplaint, answerQuestion, describePatient, addNote,
    closeIncident, assign, recall,
  }
})
