// The rows of one hospital's board, gravest and nearest first where it matters: by countdown.

import { computed, reactive, ref, watch } from 'vue'
import { now_ms } from '@/lib/clock'
import { send } from '@/lib/commands'
import { useLive } from '@/lib/page'
import { isUnlocked } from '@/lib/sound'
import type { ArrivalView, Priority } from '@/lib/types'
import { announce } from './announce'

/** After this an ETA is no longer to be trusted, and says so. */
export const ETA_STALE_MS = 60_000
/** How long a row stays after its patient was handed over or went elsewhere. */
const LEFT_SHOWN_MS = 120_000
export const ROWS_MAX = 8
const OVER = new Set(['handed_over', 'diverted', 'cancelled'])

export interface Row {
  arrival: ArrivalView
  /** Until the patient is here; negative when late. Undefined where no ETA is known. */
  left_ms: number | undefined
  /** Since when the ETA has not been renewed. */
  eta_age_ms: number | undefined
  isOver: boolean
  /** The clerk has to type the number: there is no feed, or it failed. */
  needsNumber: boolean
}

export function useBoard() {
  const live = useLive()
  const { store, link } = live
  const gone = reactive(new Map<string, number>())
  const hospital = computed(() => store.get('hospital', live.session.value?.hospital_id))

  function rowOf(arrival: ArrivalView): Row {
    const eta_at_ms = store.etas.get(arrival.mission_id) ?? arrival.eta_at_ms
    const said_at_ms = Math.max(store.etasHeard_ms.get(arrival.mission_id) ?? 0, arrival.eta_revised_at_ms ?? 0)
    const isWithoutFeed = (arrival.feed ?? 'none') === 'none' || arrival.feed === 'failed'
    return {
      arrival,
      left_ms: eta_at_ms === undefined ? undefined : eta_at_ms - now_ms.value,
      eta_age_ms: said_at_ms > 0 ? Math.max(0, now_ms.value - said_at_ms) : undefined,
      isOver: OVER.has(arrival.state),
      needsNumber: !arrival.admission_no && isWithoutFeed && !OVER.has(arrival.state),
    }
  }

  const rows = computed<Row[]>(() => {
    void store.ticks.etas
    return store
      .all('arrival')
      .filter((arrival) => {
        if (!OVER.has(arrival.state)) return true
        const since_ms = gone.get(arrival.arrival_id)
        return since_ms !== undefined && now_ms.value - since_ms < LEFT_SHOWN_MS
      })
      .map(rowOf)
      .sort((a, b) => order(a) - order(b) || a.arrival.arrival_id.localeCompare(b.arrival.arrival_id))
  })
  const expected = computed(
    () => rows.value.filter((row) => !row.isOver && row.arrival.arrived_at_ms === undefined).length,
  )

  const known = new Set<string>()
  const fresh = reactive(new Set<string>())
  watch(
    () => store.all('arrival'),
    (arrivals) => {
      const isFirstLook = known.size === 0 && link.heard_at_ms > 0
      let gravest: Priority | undefined
      let isNew = false
      for (const arrival of arrivals) {
        if (OVER.has(arrival.state) && known.has(arrival.arrival_id) && !gone.has(arrival.arrival_id)) {
          gone.set(arrival.arrival_id, now_ms.value)
        }
        if (known.has(arrival.arrival_id)) continue
        known.add(arrival.arrival_id)
        if (OVER.has(arrival.state)) continue
        if (!isFirstLook || arrival.acknowledged_at_ms === undefined) {
          isNew = true
          gravest = graver(gravest, arrival.priority)
        }
        if (!isFirstLook) {
          fresh.add(arrival.arrival_id)
          window.setTimeout(() => fresh.delete(arrival.arrival_id), 8000)
        }
      }
      if (isNew) announce(gravest)
    },
    { immediate: true },
  )

  const editing = ref<{ arrival_id: string; field: 'bed' | 'number' } | null>(null)

  return reactive({
    hospital, rows, expected, link, fresh, editing, isUnlocked,
    acknowledge: (row: Row) =>
      send({ type: 'acknowledge_arrival', arrival_id: row.arrival.arrival_id }),
    setBed: (row: Row, bed: string) =>
      send({ type: 'assign_bed', arrival_id: row.arrival.arrival_id, bed }),
    setNumber: (row: Row, admission_no: string) =>
      send({
        type: 'set_admission_number',
        arrival_id: row.arrival.arrival_id,
        admission_no,
        source: 'clerk',
      }),
  })
}

export type Board = ReturnType<typeof useBoard>

/** Those who are here stand last; of the others the nearest first, the unknown after them. */
function order(row: Row): number {
  const FAR = 1e12
  if (row.isOver) return 4 * FAR
  if (row.arrival.arrived_at_ms !== undefined) return 3 * FAR
  return row.left_ms ?? 2 * FAR
}

const GRAVITY: readonly Priority[] = ['red', 'orange', 'yellow', 'green']

function graver(one: Priority | undefined, other: Priority | undefined): Priority | undefined {
  if (!one || !other) return one ?? other
  return GRAVITY.indexOf(one) <= GRAVITY.indexOf(other) ? one : other
}
