// The seat: who sits here and what the seat is doing.

import { defineStore } from 'pinia'
import { computed, markRaw, ref, watch } from 'vue'
import { send } from '@/lib/commands'
import { t } from '@/lib/i18n'
import { useLive } from '@/lib/page'
import { unlockSound } from '@/lib/sound'
import { toast } from '@/lib/toasts'
import type { SetSeat } from '@/lib/types'

const KEY = 'd120.seat'
export const PAUSE_REASONS = ['break', 'paperwork', 'handover'] as const

export const useSeat = defineStore('seat', () => {
  // Raw: pinia would make every one of hundreds of moving units deeply reactive.
  const live = markRaw(useLive())
  const store = markRaw(live.store)
  const chosen = ref(new URLSearchParams(location.search).get('seat') ?? localStorage.getItem(KEY) ?? '')
  watch(chosen, (seat_id) => localStorage.setItem(KEY, seat_id.trim()))
  /** The account has a seat of its own; whoever has none works at the one that he chose here. */
  const isBound = computed(() => live.session.value?.seat_id !== undefined)
  const id = computed(() => live.session.value?.seat_id ?? chosen.value.trim())
  const entity = computed(() => store.get('seat', id.value || undefined))
  const state = computed(() => entity.value?.state ?? 'closed')

  /** The seat's id; without one it is told and the action does not happen. */
  function need(): string | undefined {
    if (!id.value) toast('bad', t('console.no_seat'))
    return id.value || undefined
  }

  async function set(wanted: SetSeat['state'], reason = ''): Promise<void> {
    const seat_id = need()
    void unlockSound()
    if (seat_id) await send({ type: 'set_seat', seat_id, state: wanted, reason })
  }

  /** Free seats pause; paused, away and after-call seats are free again. */
  async function togglePause(reason: string = PAUSE_REASONS[0]): Promise<void> {
    if (state.value === 'free') await set('paused', reason)
    else await set('free')
  }

  return { live, store, chosen, isBound, id, entity, state, need, set, togglePause }
})
