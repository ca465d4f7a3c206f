// Commands: an id of our own, the same id again when the network fails, and a typed result. What is
// refused is told at once in the toast region; nobody is asked to confirm.

import { reactive } from 'vue'
import { apiUrl, nextBase } from '@/lib/bases'
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

const TRIES_MAX = 8
const WAIT_FIRST_MS = 200
const WAIT_MAX_MS = 3000

/** How many commands are on their way; shown beside the link state. */
export const sending = reactive({ count: 0 })

const pause = (wait_ms: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, wait_ms))

function isTransient(error: HttpError): boolean {
  return error.status === 0 || error.status === 503 || error.status === 502 || error.status === 429
}

/** Sends until there is an answer. The outcome says accepted, refused or failed; it never throws. */
export async function deliver(body: AnyCommand, command_id = newId()): Promise<Outcome> {
  let last: HttpError | null = null
  for (let attempt = 0; attempt < TRIES_MAX; attempt += 1) {
    if (attempt > 0) await pause(Math.min(WAIT_MAX_MS, WAIT_FIRST_MS * 2 ** (attempt - 1)))
    try {
      const url = apiUrl('/api/commands')
      return (await postJson<CommandResult>(url, { command_id, body }, [200, 409])).body
    } catch (error) {
      if (!(error instanceof HttpError)) throw error
      last = error
      if (!isTransient(error)) break
      if (error.status === 0) nextBase()
    }
  }
  return { result: 'failed', command_id, ...(last?.body ?? { code: 'offline' }) }
}

export function outcomeText(outcome: Refused | Failed): string {
  const key = `refused.${outcome.code}`
  const said = has(key) ? t(key) : t('refused.unknown', { code: outcome.code })
  return outcome.detail && !has(key) ? `${said} ${outcome.detail}` : said
}

/** Sends a command and tells when it could not be. Gives what was accepted, or null. */
export async function send(body: AnyCommand, command_id = newId()): Promise<Accepted | null> {
  sending.count += 1
  try {
    const outcome = await deliver(body, command_id)
    if (outcome.result === 'accepted') return outcome
    toast('bad', t(`command.${body.type}`), outcomeText(outcome))
    return null
  } finally {
    sending.count -= 1
  }
}
