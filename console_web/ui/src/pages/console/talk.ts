// In the call: hold, mute, metronome, further parties, transfer. The row that asks "whom?" is opened
// by a key, its mode turned by the same key, and its targets chosen by digits.

import { defineStore } from 'pinia'
import { computed, ref, watch } from 'vue'
import { useCalls } from '@/lib/calls'
import { send } from '@/lib/commands'
import type { ServiceNumber } from '@/lib/frames'
import { say, t } from '@/lib/i18n'
import { useLive } from '@/lib/page'
import { useSeat } from '@/lib/seat'
import { toast } from '@/lib/toasts'
import type { AnyCommand, PartyView } from '@/lib/types'
import { useDesk } from './desk'

/** What happens to the one who is dialled: he joins; he is asked while the caller is held; he gets the call. */
export const REACH_MODES = ['add', 'consult', 'transfer'] as const
export type ReachMode = (typeof REACH_MODES)[number]
export const BEATS_PER_MIN = [100, 110, 120] as const
const BEATS_USUAL = 110
const QUICK_MAX = 9

export interface Target {
  label: string
  number?: string
  seat_id?: string
}

export const useTalk = defineStore('talk', () => {
  const seat = useSeat()
  const calls = useCalls()
  const desk = useDesk()
  const { store } = seat
  const { numbers } = useLive()
  const service = (number: string | undefined): ServiceNumber | undefined => numbers.value.find((one) => one.number === number)
  const call = computed(() => (calls.mine?.state === 'answered' ? calls.mine : undefined))
  const isJoined = computed(() => call.value?.connected_at_ms !== undefined)
  const reaching = ref<ReachMode>()

  watch(
    () => call.value?.call_id,
    () => {
      reaching.value = undefined
    },
  )

  watch(
    () => [call.value?.call_id, call.value?.parties ?? []] as const,
    ([call_id, parties], [before_id, before]) => {
      if (!call_id || call_id !== before_id) return
      // Who was dialled and is gone without a word did not answer: the row alone would not tell.
      const unanswered = before.filter((one) => one.state === 'dialling' && !parties.some((now) => now.party_id === one.party_id))
      for (const party of unanswered) toast('bad', t('console.party_failed', { who: named(party) }))
    },
  )

  /** Crews of the incident stand before the other seats: they are asked for more often. */
  const quick = computed<Target[]>(() => {
    const found: Target[] = numbers.value.map((one) => ({ label: `${one.number} ${say(one)}`, number: one.number }))
    for (const mission of desk.liveMissions) {
      const unit = store.get('unit', mission.unit_id)
      if (unit?.phone) found.push({ label: unit.plate, number: unit.phone })
    }
    for (const other of store.all('seat')) {
      if (other.seat_id === seat.id || !['free', 'after_call'].includes(other.state)) continue
      found.push({ label: t('console.seat', { n: other.seat_id }), seat_id: other.seat_id })
    }
    return found.slice(0, QUICK_MAX)
  })

  function named(party: PartyView): string {
    if (party.seat_id) return t('console.seat', { n: party.seat_id })
    const unit = store.all('unit').find((one) => one.phone === party.number)
    if (unit) return unit.plate
    const known = service(party.number)
    return known ? `${known.number} ${say(known)}` : (party.number ?? '')
  }

  async function act(body: (call_id: string) => AnyCommand): Promise<boolean> {
    if (!call.value) return false
    return (await send(body(call.value.call_id))) !== null
  }

  async function toggleHold(): Promise<void> {
    const isHeld = call.value?.held ?? false
    await act((call_id) => (isHeld ? { type: 'resume_caller', call_id } : { type: 'hold_caller', call_id }))
  }
  async function toggleMute(): Promise<void> {
    const muted = !(call.value?.muted ?? false)
    await act((call_id) => ({ type: 'mute_seat', call_id, muted }))
  }
  async function setMetronome(per_min: number): Promise<void> {
    await act((call_id) => ({ type: 'set_metronome', call_id, per_min }))
  }
  async function toggleMetronome(): Promise<void> {
    await setMetronome(call.value?.metronome_per_min ? 0 : BEATS_USUAL)
  }
  async function drop(party: PartyView): Promise<void> {
    await act((call_id) => ({ type: 'drop_party', call_id, party_id: party.party_id }))
  }
  /** The call goes to a party who is in it. */
  async function handTo(party: PartyView): Promise<void> {
    await act((call_id) => ({ type: 'transfer_call', call_id, party_id: party.party_id }))
  }

  /** Opens the row, then turns its mode, then closes it again. */
  function turnReach(): void {
    if (!isJoined.value) return
    reaching.value = reaching.value ? REACH_MODES[REACH_MODES.indexOf(reaching.value) + 1] : REACH_MODES[0]
  }
  async function reach({ number = '', seat_id }: Pick<Target, 'number' | 'seat_id'>): Promise<void> {
    const mode = reaching.value ?? 'add'
    const whom = { number, ...(seat_id ? { seat_id } : {}) }
    const isDone = await act((call_id) =>
      mode === 'transfer'
        ? { type: 'transfer_call', call_id, ...whom }
        : { type: 'add_party', call_id, ...whom, consult: mode === 'consult' },
    )
    if (isDone) reaching.value = undefined
  }
  function reachQuick(position: number): void {
    const target = quick.value[position]
    if (target) void reach(target)
  }

  /** What was typed: one of the quick numbers, a seat, the end of a plate, a number as it is, else part of
   * a hospital's or a station's name. */
  function targetOf(typed: string): Target | undefined {
    const wanted = typed.trim()
    if (!wanted) return undefined
    const number = wanted.replace(/[\s()-]/g, '')
    const dialled = { label: wanted, number }
    if (service(number)) return dialled
    const other = store.get('seat', wanted)
    if (other) return { label: wanted, seat_id: other.seat_id }
    const unit = store.all('unit').find((one) => one.phone && one.plate.toUpperCase().endsWith(wanted.toUpperCase()))
    if (unit) return { label: unit.plate, number: unit.phone }
    if (/^\+?[\d#*]+$/.test(number)) return number.length >= 3 ? dialled : undefined
    const house = [...store.all('hospital'), ...store.all('station')].find(
      (one) => one.phone && [one.name.zh, one.name.en.toLowerCase()].some((name) => name.includes(wanted.toLowerCase())),
    )
    if (house) return { label: say(house.name), number: house.phone! }
    return undefined
  }

  return {
    call, isJoined, reaching, quick, named, toggleHold, toggleMute, setMetronome,
    toggleMetronome, drop, handTo, turnReach, reach, reachQuick, targetOf,
  }
})
