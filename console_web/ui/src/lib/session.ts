// Who sits here: log-in, log-out, and which page belongs to which role.

import { apiUrl, base, isHome, keepPass } from '@/lib/bases'
import { forgetEpoch } from '@/lib/epoch'
import type { Session } from '@/lib/frames'
import { getJson, HttpError, postJson } from '@/lib/http'

export interface DemoAccount {
  user: string
  password: string
  name?: string
  role: Session['role']
}

const PAGES: Record<Session['role'], string> = {
  call_taker: '/console.html',
  admin: '/console.html',
  crew: '/tablet.html',
  hospital: '/arrivals.html',
  supervisor: '/monitor.html',
  system: '/console.html',
}

export function pageOf(session: Session): string {
  return PAGES[session.role]
}

export async function login(user: string, password: string): Promise<Session> {
  const session = (await postJson<Session>(apiUrl('/api/login'), { user, password })).body
  forgetEpoch()
  return session
}

export async function logout(): Promise<void> {
  keepPass('')
  await postJson(apiUrl('/api/logout'), {}, [200, 204])
  goToLogin()
}

/** The session, or null when nobody is logged in. */
export async function currentSession(): Promise<Session | null> {
  try {
    return await getJson<Session>(apiUrl('/api/session'))
  } catch (error) {
    if (error instanceof HttpError && error.status === 401) return null
    throw error
  }
}

/** The demo's accounts; none where the server runs no demo. */
export async function demoAccounts(): Promise<DemoAccount[]> {
  try {
    const answer = await getJson<DemoAccount[] | { accounts: DemoAccount[] }>(apiUrl('/api/demo'))
    return Array.isArray(answer) ? answer : answer.accounts
  } catch (error) {
    if (error instanceof HttpError) return []
    throw error
  }
}

export function goToLogin(): void {
  const back = encodeURIComponent(location.pathname + location.search)
  // The other machine's own page, while ours is silent: there a log-in sets a cookie again.
  location.replace(`${isHome() ? '' : base()}/index.html?back=${back}`)
}
