// The supervisor's ear: which call is chosen, and how one listens, with the phone of the seat chosen.

import { defineStore } from 'pinia'
import { computed, ref, watch } from 'vue'
import { send } from '@/lib/commands'
import { supervises } from '@/lib/dial'
import { t } from '@/lib/i18n'
import { useSeat } from '@/lib/seat'
import { toast } from '@/lib/toasts'
import type { CallView, PartyMode, PartyView } from '@/lib/types'

export const LISTEN_MODES = ['listen', 'whisper', 'barge'] as const satisfies readonly PartyMode[]
const OVER_SHOWN = 12

export const replayUrl = (call: CallView): string => `/replay.html?incident=${encodeURIComponent(call.incident_id ?? '')}`

export const useEar = defineStore('ear', () => {
  const seat = useSeat()
  const { store, live } = seat
  /** A call-taker sees the wall and hears nobody. */
  const mayListen = computed(() => supervises(live.session.value?.role))

  const talking = computed(() =>
    store
      .all('call')
      .filter((call) => call.state === 'answered')
      .sort((a, b) => (a.answered_at_ms ?? a.first_ring_at_ms) - (b.answered_at_ms ?? b.first_ring_at_ms)),
  )
  const over = computed(() =>
    store
      .all('call')
      .filter((call) => call.ended_at_ms !== undefined)
      .sort((a, b) => b.ended_at_ms! - a.ended_at_ms!)
      .slice(0, OVER_SHOWN),
  )
  const chosenId = ref<string>()
  const chosen = computed(() => talking.value.find((call) => call.call_id === chosenId.value) ?? talking.value[0])

  const listenedId = ref<string>()
  /** What R replays: the call that I listened to once it is over, else the newest. */
  const toReplay = computed(() => {
    const told = over.value.filter((call) => call.incident_id)
    return told.find((call) => call.call_id === listenedId.value) ?? told[0]
  })

  function choose(call: CallView | undefined): void {
    chosenId.value = call?.call_id
  }
  function step(by: 1 | -1): void {
    const at = talking.value.findIndex((call) => call === chosen.value)
    choose(talking.value[Math.min(talking.value.length - 1, Math.max(0, at + by))])
  }
  /** My own leg in this call. */
  function mine(call: CallView): PartyView | undefined {
    return call.listeners?.find((party) => party.seat_id === seat.id && party.state !== 'leaving')
  }
  async function listen(call: CallView | undefined, mode: PartyMode): Promise<void> {
    if (!call || !mayListen.value) return
    choose(call)
    listenedId.value = call.call_id
    if (seat.id) await send({ type: 'listen_call', call_id: call.call_id, seat_id: seat.id, mode })
    else toast('bad', t('monitor.need_phone'))
  }
  async function leave(call: CallView | undefined): Promise<void> {
    if (call && mine(call)) await send({ type: 'leave_call', call_id: call.call_id, seat_id: seat.id })
  }

  /** My legs that still ring, by call. One that goes without having joined is told. */
  const ringing = computed(() => talking.value.filter((call) => mine(call)?.state === 'dialling').map((call) => call.call_id))
  watch(ringing, (now, before) => {
    const isGone = before.some((call_id) => {
      const call = talking.value.find((one) => one.call_id === call_id)
      return !now.includes(call_id) && call && !call.listeners?.some((party) => party.seat_id === seat.id)
    })
    if (isGone) toast('bad', t('monitor.phone_silent', { seat: seat.id }))
  })

  function replay(): void {
    if (toReplay.value) location.assign(replayUrl(toReplay.value))
  }

  return { store, mayListen, talking, over, chosen, choose, step, mine, listen, leave, toReplay, replay }
})
