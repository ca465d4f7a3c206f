// Which machine to speak to: both are asked at once, and the best answer counts. A machine that is
// dead, frozen or cut off does not answer; one that starts or was deposed says so.

import { addresses, base, bases, hearMachines, isHome, keepPass, nodeOf } from '@/lib/bases'
import type { Machines } from '@/lib/frames'
import { getJson, HttpError, postJson } from '@/lib/http'
import { reactive } from 'vue'

const ASK_MS = 1500
const REFUSED_MS = 3000

/** How fit a machine is for screens, by its role; who is not here serves none. */
const FITNESS: Record<string, number> = { single: 4, active: 4, standby: 3, switching: 2, blocked: 1 }

/** What each machine answered when it was last asked: a role, `outdated` or `silent`. */
export const roles = reactive<Record<string, string>>({})
const refused_ms = new Map<string, number>()

/** A machine that would not open the live line is not tried again at once. */
export function noteRefusal(url: string): void {
  refused_ms.set(url, performance.now())
}

async function askOne(url: string, epoch: number): Promise<Machines | null> {
  try {
    const told = await getJson<Machines>(`${url}/api/machines`, ASK_MS)
    roles[url] = told.epoch < epoch ? 'outdated' : told.role
    hearMachines(told, url)
    return told
  } catch (error) {
    if (!(error instanceof HttpError)) throw error
    roles[url] = 'silent'
    return null
  }
}

export interface Found {
  url: string
  role: string
  epoch: number
}

/** The best machine that answers and is not behind `epoch`; null when none does. */
export async function findMachine(epoch: number, only?: readonly string[]): Promise<Found | null> {
  const asked = (only ?? addresses()).map(async (url): Promise<Found | null> => {
    const told = await askOne(url, epoch)
    if (!told || !FITNESS[told.role]) return null
    // It has less than what is shown: deposed and not aware of it yet, or still reading.
    if (told.epoch < epoch) return null
    const isRefused = performance.now() - (refused_ms.get(url) ?? -REFUSED_MS) < REFUSED_MS
    return isRefused ? null : { url, role: told.role, epoch: told.epoch }
  })
  const rank = (found: Found): number =>
    (FITNESS[found.role] ?? 0) * 4 + Number(found.url === base()) * 2 + Number(isHome(found.url))
  const found = (await firstFit(asked)).filter((item) => item !== null)
  return found.sort((one, other) => rank(other) - rank(one) || other.epoch - one.epoch)[0] ?? null
}

/** All answers, but nobody waits for a silent machine once another has said that it writes. */
function firstFit(asked: Promise<Found | null>[]): Promise<(Found | null)[]> {
  return new Promise((resolve, reject) => {
    const answers: (Found | null)[] = []
    for (const one of asked) {
      one.then((found) => {
        answers.push(found)
        if (answers.length === asked.length || (found && FITNESS[found.role] === 4)) resolve([...answers])
      }, reject)
    }
  })
}

/** Learns the addresses, and the pass for the other machine, while all is well. */
export async function prepare(): Promise<void> {
  await askOne(base(), 0)
  if (bases.machines.length < 2 || !bases.isOfPair) return
  try {
    keepPass((await postJson<{ pass: string }>(`${base()}/api/pass`, {})).body.pass)
  } catch (error) {
    if (!(error instanceof HttpError)) throw error // not signed in, or silent: the line says so
  }
}

export const nodeText = (url: string): string => (nodeOf(url) || new URL(url).host).toUpperCase()
