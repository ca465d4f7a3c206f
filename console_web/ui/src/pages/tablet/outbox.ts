// What the crew pressed, until the centre has it. Every command is written to IndexedDB before it is
// sent, with an id and a time of this device, and goes out in the order in which it was pressed. The
// centre knows the id, so sending again is harmless. What it refuses stays in sight.

import { openDB, type DBSchema, type IDBPDatabase } from 'idb'
import { shallowReactive } from 'vue'
import { onTurn } from '@/lib/bases'
import { tryOnce } from '@/lib/commands'
import { HttpError } from '@/lib/http'
import { newId } from '@/lib/ids'
import type { AnyCommand } from '@/lib/types'

export interface Waiting {
  n?: number
  command_id: string
  user: string
  body: AnyCommand
  made_at_ms: number
  /** Set when the centre said no. */
  refused?: { code: string; field?: string; detail?: string }
}

interface Schema extends DBSchema {
  outbox: { key: number; value: Waiting }
  held: { key: string; value: unknown }
}

const KEPT_MAX = 500
const RETRY_MS = 2000
let database: Promise<IDBPDatabase<Schema>> | null = null

/** This device's store; `held` keeps what was last shown, see held.ts. */
export function store(): Promise<IDBPDatabase<Schema>> {
  database ??= openDB<Schema>('d120-tablet', 1, {
    upgrade(db) {
      db.createObjectStore('outbox', { keyPath: 'n', autoIncrement: true })
      db.createObjectStore('held')
    },
  })
  return database
}

/** All that waits or was refused, oldest first; read it inside a computed. */
export const outbox = shallowReactive<{ items: Waiting[]; full: boolean }>({
  items: [],
  full: false,
})

async function reload(): Promise<void> {
  outbox.items = await (await store()).getAll('outbox')
}

/** Takes a command; it is safe from here on. False when the device has no more room. */
export async function put(user: string, body: AnyCommand): Promise<boolean> {
  if (outbox.items.length >= KEPT_MAX) {
    outbox.full = true
    return false
  }
  const item: Waiting = { command_id: newId(), user, body, made_at_ms: Date.now() }
  await (await store()).add('outbox', item)
  await reload()
  void drain()
  return true
}

/** Takes a refused command off the list. */
export async function dismissRefused(n: number): Promise<void> {
  await (await store()).delete('outbox', n)
  outbox.full = false
  await reload()
}

let draining = false

/** Sends what waits, in order, one at a time, from one window only. */
export async function drain(): Promise<void> {
  if (draining) return
  draining = true
  try {
    if (navigator.locks) {
      await navigator.locks.request('d120-outbox', { ifAvailable: true }, async (lock) => {
        if (lock) await sendAll()
      })
    } else {
      await sendAll() // no secure context: one window is all that we can vouch for
    }
  } finally {
    draining = false
  }
}

async function sendAll(): Promise<void> {
  for (;;) {
    await reload()
    const next = outbox.items.find((item) => !item.refused)
    if (!next || !(await sendOne(next))) return
  }
}

/** False when it has to wait: no answer, a busy server, or nobody is signed in. */
async function sendOne(item: Waiting): Promise<boolean> {
  const db = await store()
  try {
    const answer = await tryOnce(item.command_id, item.body)
    if (answer.result === 'refused') {
      const { code, field, detail } = answer
      await db.put('outbox', { ...item, refused: { code, field, detail } })
    } else {
      await db.delete('outbox', item.n!)
    }
  } catch (error) {
    if (!(error instanceof HttpError)) throw error
    if (error.status === 0 || error.status >= 500 || [401, 408, 429].includes(error.status)) {
      return false
    }
    await db.put('outbox', { ...item, refused: error.body })
  }
  await reload()
  return true
}

/** Reads what waited before the page was loaded, and keeps trying. */
export async function startOutbox(): Promise<void> {
  await reload()
  void drain()
  window.setInterval(() => {
    if (outbox.items.some((item) => !item.refused)) void drain()
  }, RETRY_MS)
  window.addEventListener('online', () => void drain())
  onTurn(() => window.setTimeout(() => void drain()))
}
