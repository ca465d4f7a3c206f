// Which units are offered, and whether Enter may send. The order stands still while somebody has
// chosen in it, and a list that has just changed under the eyes is not sent from.

import { defineStore } from 'pinia'
import { computed, ref, watch } from 'vue'
import { attention, chirp } from '@/lib/sound'
import type { ProposalView } from '@/lib/types'
import { useDesk } from './desk'

export const SETTLE_MS = 400

export type Hindrance =
  | ''
  | 'no_incident'
  | 'no_location'
  | 'no_proposal'
  | 'just_changed'
  | 'sending'
  | 'taken'
  | 'choose_to_add'

const FREE = new Set(['standby', 'available'])

function sameUnits(one: readonly ProposalView[], other: readonly ProposalView[]): boolean {
  return one.length === other.length && one.every((item, n) => item.unit_id === other[n]?.unit_id)
}

export const useProposals = defineStore('proposals', () => {
  const desk = useDesk()
  const shown = ref<ProposalView[]>([])
  const index = ref(0)
  /** Somebody has chosen: the order is frozen. */
  const chosen = ref(false)
  /** While frozen, the allocator has come to another order. */
  const newer = ref(false)
  const changedAt_ms = ref(-SETTLE_MS)
  const settling = ref(false)
  const sending = ref(false)
  /** Why the last Enter did nothing; shown at the send button. */
  const held = ref<Hindrance>('')
  let settleTimer = 0

  function touch(): void {
    changedAt_ms.value = performance.now()
    settling.value = true
    window.clearTimeout(settleTimer)
    settleTimer = window.setTimeout(() => {
      settling.value = false
      if (held.value === 'just_changed') held.value = ''
    }, SETTLE_MS)
  }

  function take(list: readonly ProposalView[]): void {
    if (!sameUnits(shown.value, list)) {
      touch()
      held.value = ''
    }
    shown.value = [...list]
    index.value = Math.min(index.value, Math.max(0, list.length - 1))
    newer.value = false
  }

  function keepOrder(list: readonly ProposalView[]): void {
    const fresh = new Map(list.map((item) => [item.unit_id, item]))
    shown.value = shown.value.map((item) => fresh.get(item.unit_id) ?? item)
    const offered = shown.value.filter((item) => !item.why?.includes('by_hand'))
    newer.value = !sameUnits(offered, list)
  }

  watch(
    () => [desk.incident?.incident_id, desk.incident?.proposals] as const,
    ([incident_id, list], [before]) => {
      if (incident_id !== before) release()
      if (chosen.value) keepOrder(list ?? [])
      else take(list ?? [])
    },
  )

  function release(): void {
    chosen.value = false
    index.value = 0
    held.value = ''
  }

  /** Lets the newest order in. */
  function refresh(): void {
    release()
    take(desk.incident?.proposals ?? [])
  }

  function choose(position: number): void {
    if (shown.value.length === 0) return
    index.value = (position + shown.value.length) % shown.value.length
    chosen.value = true
    held.value = ''
  }

  /** A unit pointed at on the map: chosen if it is offered, added to the end if it is free. */
  function point(unit_id: string): void {
    const known = shown.value.findIndex((item) => item.unit_id === unit_id)
    if (known >= 0) {
      choose(known)
      return
    }
    const unit = desk.store.get('unit', unit_id)
    if (!unit || !desk.isOpen || !isFree(unit_id)) return
    const { plate, skills } = unit
    shown.value = [...shown.value, { unit_id, plate, skills, eta_s: 0, distance_m: 0, why: ['by_hand'] }]
    choose(shown.value.length - 1)
    touch()
  }

  const selected = computed(() => shown.value[index.value])

  function isFree(unit_id: string): boolean {
    const unit = desk.store.get('unit', unit_id)
    return unit === undefined || (FREE.has(unit.status) && !unit.mission_id)
  }

  function hindrance(): Hindrance {
    if (!desk.isOpen || !desk.incident) return 'no_incident'
    if (!desk.incident.location) return 'no_location'
    if (!selected.value) return 'no_proposal'
    if (sending.value) return 'sending'
    if (desk.liveMissions.length > 0 && !chosen.value) return 'choose_to_add'
    if (!isFree(selected.value.unit_id)) return 'taken'
    if (performance.now() - changedAt_ms.value < SETTLE_MS) return 'just_changed'
    return ''
  }

  /** Enter: sends what is selected, or says why not. */
  async function sendSelected(): Promise<void> {
    held.value = hindrance()
    if (held.value) {
      if (held.value === 'just_changed') attention()
      return
    }
    sending.value = true
    try {
      if (await desk.assign(selected.value!.unit_id)) {
        chirp()
        refresh()
      }
    } finally {
      sending.value = false
    }
  }

  return {
    shown, index, chosen, newer, settling, sending, held, selected,
    choose, point, refresh, isFree, sendSelected,
  }
})
