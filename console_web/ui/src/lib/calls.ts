// The calls: the one at this seat, those that wait, those to ring back, and what is done with them.

import { defineStore } from 'pinia'
import { computed } from 'vue'
import { send } from '@/lib/commands'
import { supervises, type NoDial } from '@/lib/dial'
import { useSeat } from '@/lib/seat'
import type { CallView } from '@/lib/types'

/** Why a number is marked; anything else can be written in the command line. */
export const NUISANCE_REASONS = ['silent', 'child', 'abuse', 'repeated'] as const

/** The place in the queue first; who has none (his call rings) comes before, by his first ring. */
function byPlace(one: CallView, other: CallView): number {
  const place = (call: CallView) => call.queue_position ?? 0
  return place(one) - place(other) || one.first_ring_at_ms - other.first_ring_at_ms
}

export const useCalls = defineStore('calls', () => {
  const seat = useSeat()
  const { store } = seat
  const all = computed(() => store.all('call'))
  const mine = computed<CallView | undefined>(() => {
    const here = all.value.filter((call) => call.seat_id === seat.id)
    return (
      here.find((call) => call.state === 'answered') ?? here.find((call) => call.state === 'ringing')
    )
  })
  /** The call in which this seat's phone listens, and how. */
  const heard = computed(() => {
    for (const call of all.value) {
      const ear = call.listeners?.find((party) => party.seat_id === seat.id && party.state !== 'leaving')
      if (seat.id && ear) return { call, mode: ear.mode }
    }
    return undefined
  })
  const waiting = computed(() =>
    all.value
      .filter((call) => ['offered', 'queued', 'ringing'].includes(call.state) && !call.callback_of)
      .sort(byPlace),
  )
  const callbacks = computed(() =>
    all.value
      .filter((call) => call.callback_pending)
      .sort(
        (one, other) =>
          Number(other.lost ?? false) - Number(one.lost ?? false) ||
          one.first_ring_at_ms - other.first_ring_at_ms,
      ),
  )
  const queue = computed(() => store.get('queue', 'queue'))
  /** A seat that talks cannot dial a second call; whoever is wanted is added to the call instead. */
  const noDial = computed<NoDial>(() => {
    if (!seat.id) return 'no_seat'
    if (seat.state === 'talking') return 'talking'
    if (seat.state === 'closed' && !supervises(seat.live.session.value?.role)) return 'closed'
    return seat.entity?.phone_away ? 'no_phone' : ''
  })

  async function answer(call = mine.value ?? waiting.value[0]): Promise<void> {
    const seat_id = seat.need()
    if (!seat_id || !call || call.state === 'answered') return
    await send({ type: 'answer_call', call_id: call.call_id, seat_id })
  }

  async function hangUp(): Promise<void> {
    if (mine.value) await send({ type: 'hang_up_call', call_id: mine.value.call_id })
  }

  async function callBack(call: CallView): Promise<void> {
    const seat_id = seat.need()
    if (seat_id) await send({ type: 'call_back', call_id: call.call_id, seat_id })
  }

  /** Dials a number from this seat: its own phone rings first. */
  async function callOut(number: string, incident_id?: string): Promise<void> {
    const seat_id = seat.need()
    if (!seat_id) return
    await send({ type: 'call_out', number, seat_id, ...(incident_id ? { incident_id } : {}) })
  }

  async function settleCallback(call: CallView, reason: string): Promise<void> {
    await send({ type: 'settle_callback', call_id: call.call_id, reason })
  }

  async function setLanguage(call: CallView, language: string): Promise<void> {
    await send({ type: 'set_call_language', call_id: call.call_id, language })
  }

  /** A text message with a link that gives us the phone's location. */
  async function sendLink(call: CallView): Promise<void> {
    await send({ type: 'send_location_link', call_id: call.call_id })
  }

  async function setSurge(active: boolean, reason = ''): Promise<void> {
    await send({ type: 'set_surge', active, reason })
  }

  async function markNuisance(call: CallView, reason: string): Promise<void> {
    await send({ type: 'mark_nuisance', call_id: call.call_id, reason })
  }

  async function clearNuisance(number: string): Promise<void> {
    await send({ type: 'clear_nuisance', number })
  }

  return {
    all, mine, heard, waiting, callbacks, queue, noDial, answer, hangUp, callBack, callOut, settleCallback, setLanguage,
    sendLink, setSurge, markNuisance, clearNuisance,
  }
})
