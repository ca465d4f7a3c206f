// The addresses of the machines. A screen talks to the machine it was loaded from, and to the other
// one when that is silent. Addresses come from the server alone (never from a link that somebody
// sent), and are remembered on this device, so that a reload works while one machine is dead.

import { reactive, readonly } from 'vue'
import type { Machines } from '@/lib/frames'

export interface Known {
  node: string
  url: string
}

const KEY = 'd120.machines'
const PASS_KEY = 'd120.pass'
const HOME = location.origin

function remembered(): Known[] {
  try {
    const stored: unknown = JSON.parse(localStorage.getItem(KEY) ?? '[]')
    return Array.isArray(stored) ? (stored as Known[]).filter((item) => /^https?:\/\//.test(item?.url)) : []
  } catch {
    return [] // damaged: the server tells them again
  }
}

const state = reactive({
  machines: remembered(),
  /** The one that is spoken to now. */
  url: HOME,
  /** False when this page was opened at an address that the pair does not know. */
  isOfPair: true,
})
export const bases = readonly(state)
const turned = new Set<() => void>()
let pass = sessionStorage.getItem(PASS_KEY) ?? ''

/** Hears when another machine is spoken to. */
export function onTurn(listener: () => void): () => void {
  turned.add(listener)
  return () => turned.delete(listener)
}

/** Where screens can be had: where this page is from first, then the other machine. */
export function addresses(): string[] {
  const others = state.isOfPair ? state.machines.map((known) => known.url) : []
  return [...new Set([HOME, ...others])]
}

export function base(): string {
  return state.url
}

export function isHome(url = state.url): boolean {
  return url === HOME
}

export function nodeOf(url: string): string {
  return state.machines.find((known) => known.url === url)?.node ?? ''
}

/** Speak to this machine from now on. */
export function turnTo(url: string): void {
  if (url === state.url) return
  state.url = url
  for (const listener of turned) listener()
}

/** What a machine says of the pair. One alone names none: then there is nothing to turn to. */
export function hearMachines(told: Machines, url: string): void {
  const list = told.machines.map(({ node, url: at }) => ({ node, url: at }))
  const ofPair = list.length === 0 || list.some((known) => known.url === HOME)
  if (!isHome(url) && !ofPair) return // said of another centre than ours
  state.isOfPair = ofPair
  state.machines = list
  localStorage.setItem(KEY, JSON.stringify(list))
}

/** What the other machine lets this page in by; it ends with the session. */
export function keepPass(given: string): void {
  pass = given
  if (given) sessionStorage.setItem(PASS_KEY, given)
  else sessionStorage.removeItem(PASS_KEY)
}

export const passFor = (url: string): string =>
  isHome(new URL(url).origin) || !addresses().includes(new URL(url).origin) ? '' : pass

export function apiUrl(path: string): string {
  return state.url + path
}

/** The live line of a machine, with the pass where it is not our own. */
export function openLine(url: string): WebSocket {
  const shown = passFor(url)
  return new WebSocket(`${url.replace(/^http/, 'ws')}/api/live`, shown ? ['d120', shown] : [])
}
