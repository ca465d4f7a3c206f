// JSON over HTTP with a time limit. Every failure is a typed HttpError; nothing is swallowed.
// Cookies go to our own machine only; the other one is shown the pass.

import { passFor } from '@/lib/bases'

export interface ErrorBody {
  code: string
  field?: string
  detail?: string
}

export class HttpError extends Error {
  constructor(
    readonly status: number, // 0: no answer came
    readonly body: ErrorBody,
  ) {
    super(`${status} ${body.code}${body.detail ? `: ${body.detail}` : ''}`)
  }
}

const TIMEOUT_MS = 5000

async function errorBody(response: Response): Promise<ErrorBody> {
  try {
    const body = (await response.json()) as Partial<ErrorBody>
    return { code: body.code ?? `http_${response.status}`, field: body.field, detail: body.detail }
  } catch {
    return { code: `http_${response.status}` }
  }
}

/** `fetch` with what this machine lets us in by. */
export function fetchAs(url: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers)
  const pass = passFor(new URL(url, location.origin).href)
  if (pass) headers.set('authorization', `Bearer ${pass}`)
  return fetch(url, { credentials: 'same-origin', ...init, headers })
}

async function request(
  url: string,
  init: RequestInit,
  timeout_ms: number,
  given_up?: AbortSignal,
): Promise<Response> {
  try {
    const timer = AbortSignal.timeout(timeout_ms)
    return await fetchAs(url, { ...init, signal: given_up ? AbortSignal.any([timer, given_up]) : timer })
  } catch (error) {
    throw new HttpError(0, { code: 'offline', detail: String(error) })
  }
}

export async function getJson<T>(url: string, timeout_ms = TIMEOUT_MS): Promise<T> {
  const response = await request(url, { headers: { accept: 'application/json' } }, timeout_ms)
  if (!response.ok) throw new HttpError(response.status, await errorBody(response))
  return (await response.json()) as T
}

/** Posts JSON and gives the answer with its status: 409 is an answer too, not a failure. */
export async function postJson<T>(
  url: string,
  body: unknown,
  answers: readonly number[] = [200],
  timeout_ms = TIMEOUT_MS,
  given_up?: AbortSignal,
): Promise<{ status: number; body: T }> {
  const init = {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  }
  const response = await request(url, init, timeout_ms, given_up)
  if (response.status === 204) return { status: 204, body: undefined as T }
  if (!answers.includes(response.status)) {
    throw new HttpError(response.status, await errorBody(response))
  }
  return { status: response.status, body: (await response.json()) as T }
}
