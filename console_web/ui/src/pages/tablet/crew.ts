// The crew's own view: its unit, its mission, where it stands (what is queued counts), what is next.

import { computed, inject, provide, reactive, ref, watch, type InjectionKey } from 'vue'
import { now_ms, serverNow_ms } from '@/lib/clock'
import { useLive } from '@/lib/page'
import { attention } from '@/lib/sound'
import type { AnyCommand, MissionView, UnitStatus, Vitals } from '@/lib/types'
import { outbox, put } from './outbox'

export const STEPS: readonly UnitStatus[] = [
  'alerted',
  'acknowledged',
  'departed',
  'on_scene',
  'with_patient',
  'boarded',
  'at_hospital',
  'handed_over',
  'available',
]
const WITHOUT_PATIENT: readonly UnitStatus[] = ['on_scene', 'with_patient']
const DELIVERED_AFTER_MS = 1500

export function useCrewModel() {
  const live = useLive()
  const { store, link } = live
  const unit = computed(() => store.get('unit', live.session.value?.unit_id))
  const mission = computed(() => store.get('mission', unit.value?.mission_id))
  const incident = computed(() => store.get('incident', mission.value?.incident_id))
  const hospital = computed(() => store.get('hospital', chosenHospital.value))
  const waiting = computed(() => outbox.items.filter((item) => !item.refused))
  const refused = computed(() => outbox.items.filter((item) => item.refused))
  const online = computed(() => link.state === 'connected')

  /** The furthest step: committed, or pressed here and not yet sent. */
  const status = computed<UnitStatus>(() => {
    const committed = mission.value?.status ?? unit.value?.status ?? 'standby'
    if (!mission.value) return duty.value ?? committed
    const pressed = waiting.value.flatMap(({ body }) =>
      body.type === 'reach_status' && body.mission_id === mission.value?.mission_id
        ? [STEPS.indexOf(body.status)]
        : [],
    )
    return STEPS[Math.max(STEPS.indexOf(committed), ...pressed)] ?? committed
  })
  const duty = computed<UnitStatus | undefined>(() => {
    const last = waiting.value.filter(({ body }) => body.type === 'set_duty').at(-1)?.body
    return last?.type === 'set_duty' ? last.status : undefined
  })
  const isQueued = computed(() => status.value !== (mission.value ?? unit.value)?.status)
  const next = computed<UnitStatus | undefined>(() =>
    mission.value ? STEPS[STEPS.indexOf(status.value) + 1] : undefined,
  )
  const mayReturnEmpty = computed(() => mission.value && WITHOUT_PATIENT.includes(status.value))
  const chosenHospital = computed(() => {
    const asked = waiting.value.flatMap(({ body }) =>
      body.type === 'choose_hospital' && body.mission_id === mission.value?.mission_id
        ? [body.hospital_id]
        : [],
    )
    return asked.at(-1) ?? mission.value?.hospital_id
  })
  const onBoard = computed(() => STEPS.indexOf(status.value) >= STEPS.indexOf('boarded'))
  const vitals = computed<Vitals[]>(() => {
    const queued = waiting.value.flatMap(({ body }) =>
      body.type === 'record_vitals' && body.mission_id === mission.value?.mission_id
        ? [body.vitals]
        : [],
    )
    return [...(mission.value?.vitals ?? []), ...queued]
  })
  /** A mission that the centre took back, until the crew has seen it. */
  const recalled = ref<MissionView | null>(null)

  const give = (body: AnyCommand): Promise<boolean> =>
    put(live.session.value?.user ?? '', body)

  async function reach(step: UnitStatus): Promise<void> {
    if (!mission.value || !unit.value) return
    await give({
      type: 'reach_status',
      unit_id: unit.value.unit_id,
      status: step,
      source: 'tablet',
      mission_id: mission.value.mission_id,
      device_at_ms: Date.now(),
    })
  }
  async function setDuty(to: UnitStatus, reason = ''): Promise<void> {
    if (unit.value) await give({ type: 'set_duty', unit_id: unit.value.unit_id, status: to, reason })
  }
  async function chooseHospital(hospital_id: string): Promise<void> {
    if (!mission.value) return
    await give({ type: 'choose_hospital', mission_id: mission.value.mission_id, hospital_id })
  }
  async function record(values: Omit<Vitals, 'at_ms'>): Promise<boolean> {
    if (!mission.value) return false
    const at_ms = Math.round(serverNow_ms())
    return give({
      type: 'record_vitals',
      mission_id: mission.value.mission_id,
      vitals: { at_ms, ...values },
    })
  }

  watch(
    () => mission.value?.mission_id,
    (now, before) => {
      if (now && now !== before) {
        attention()
        window.setTimeout(() => tellDelivered(now), DELIVERED_AFTER_MS)
      }
      const left = before && !now ? store.get('mission', before) : undefined
      if (left?.recalled) {
        recalled.value = left
        attention()
      }
    },
  )
  /** The vehicle's own device tells the centre that it has the mission; where none did, we do. */
  function tellDelivered(mission_id: string): void {
    const shown = store.get('mission', mission_id)
    if (!shown || shown.delivered || shown.recalled || !unit.value) return
    void give({ type: 'deliver_mission', mission_id, unit_id: unit.value.unit_id })
  }

  const eta_ms = computed(() => {
    void now_ms.value
    return mission.value ? store.etaAt_ms(mission.value.mission_id) : undefined
  })

  return reactive({
    store, link, unit, mission, incident, hospital, status, next, isQueued, waiting, refused, online,
    mayReturnEmpty, chosenHospital, onBoard, vitals, recalled, eta_ms,
    reach, setDuty, chooseHospital, record,
  })
}

export type Crew = ReturnType<typeof useCrewModel>
const CREW: InjectionKey<Crew> = Symbol('crew')

export function provideCrew(): Crew {
  const crew = useCrewModel()
  provide(CREW, crew)
  return crew
}

export function useCrew(): Crew {
  const crew = inject(CREW)
  if (!crew) throw new Error('no crew is provided here')
  return crew
}
