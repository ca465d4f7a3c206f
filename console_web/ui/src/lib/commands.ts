// Commands: an id of our own, the same id again when the network fails or the machines switch, and a
// typed result. What is refused is told at once in the toast region; nobody is asked to confirm.

import { reactive } from 'vue'
import { apiUrl, onTurn } from '@/lib/bases'
import { HttpError, postJson } from '@/lib/http'
import { has, t } from '@/lib/i18n'
import { newId } from '@/lib/ids'
import { toast } from '@/lib/toasts'
import type { Accepted, AnyCommand, CommandResult, Refused } from '@/lib/types'

/** The command never reached a decision: offline, not active, not allowed, malformed. */
export interface Failed {
  result: 'failed'
  command_id: string
  code: string
  field?: string
  detail?: string
}

export type Outcome = CommandResult | Failed

const GIVE_UP_MS = 20_000
const TIMEOUT_MS = 4000
const WAIT_FIRST_MS = 200
const WAIT_MAX_MS = 2000

/** The commands that have no answer yet, oldest first; shown beside the link state. */
export const sending = reactive<{ items: { command_id: string; type: AnyCommand['type'] }[] }>({ items: [] })

function isTransient(error: HttpError): boolean {
  return error.status === 0 || error.status === 503 || error.status === 502 || error.status === 429
}

/** Until the time is over, or the screen turned to the other machine: no reason to wait longer. */
function pause(wait_ms: number): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer)
      forget()
      resolve()
    }
    const forget = onTurn(done)
    const timer = setTimeout(done, wait_ms)
  })
}

/** One try at the machine of now; given up when the screen turns to the other one. */
export async function tryOnce(command_id: string, body: AnyCommand): Promise<CommandResult> {
  const turning = new AbortController()
  const forget = onTurn(() => turning.abort())
  try {
    const url = apiUrl('/api/commands')
    const given = { command_id, body }
    return (await postJson<CommandResult>(url, given, [200, 409], TIMEOUT_MS, turning.signal)).body
  } finally {
    forget()
  }
}

/** Sends until there is an answer. The outcome says accepted, refused or failed; it never throws. */
export async function deliver(body: AnyCommand, command_id = newId()): Promise<Outcome> {
  const until_ms = performance.now() + GIVE_UP_MS
  const item = { command_id, type: body.type }
  sending.items.push(item)
  try {
    for (let attempt = 0; ; attempt += 1) {
      try {
        return await tryOnce(command_id, body)
      } catch (error) {
        if (!(error instanceof HttpError)) throw error
        if (!isTransient(error) || performance.now() > until_ms) {
          return { result: 'failed', command_id, ...error.body }
        }
      }
      await pause(Math.min(WAIT_MAX_MS, WAIT_FIRST_MS * 2 ** attempt))
    }
  } finally {
    sending.items = sending.items.filter((other) => other.command_id !== command_id)
  }
}

export function outcomeText(outcome: Refused | Failed): string {
  const key = `refused.${outcome.code}`
  const said = has(key) ? t(key) : t('refused.unknown', { code: outcome.code })
  return outcome.detail && !has(key) ? `${said} ${outcome.detail}` : said
}

/** Sends a command and tells when it could not be. Gives what was accepted, or null. */
export async function send(body: AnyCommand, command_id = newId()): Promise<Accepted | null> {
  const outcome = await deliver(body, command_id)
  if (outcome.result === 'accepted') return outcome
  toast('bad', t(`command.${body.type}`), outcomeText(outcome))
  return null
}
