// What was last shown, kept on this device: a reload without network shows the mission again.

import { toRaw, watch } from 'vue'
import type { Session } from '@/lib/frames'
import type { Live } from '@/lib/live'
import { KINDS, type EntityByKind, type Kind } from '@/lib/types'
import { store } from './outbox'

interface Held {
  session: Session
  entities: { [K in Kind]?: EntityByKind[K][] }
}

const KEY = 'last'
const SAVE_MS = 400

/** Shows what this device remembers until the centre speaks, and remembers what the centre says. */
export async function startHeld(live: Live): Promise<void> {
  const held = (await (await store()).get('held', KEY)) as Held | undefined
  if (held && held.session.expires_at_ms > Date.now() && live.link.seq === 0) {
    live.session.value ??= held.session
    live.store.apply({ type: 'snapshot', epoch: 0, seq: 0, entities: held.entities })
  }
  let timer = 0
  const later = (): void => {
    if (!timer) timer = window.setTimeout(() => void save(), SAVE_MS)
  }
  async function save(): Promise<void> {
    timer = 0
    const session = live.session.value
    if (!session || live.link.seq === 0) return // nothing from the centre yet
    const entities = Object.fromEntries(
      KINDS.map((kind) => [kind, [...live.store.maps[kind].values()]]),
    ) as Held['entities']
    await (await store()).put('held', { session: toRaw(session), entities }, KEY)
  }
  live.store.onChange((parts) => {
    if (KINDS.some((kind) => parts.has(kind))) later()
  })
  watch(live.session, later)
  if (live.link.seq > 0) later() // the centre was quicker than this device's own memory
}
