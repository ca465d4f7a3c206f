// Time on the screens: the server's clock, Beijing or Xinjiang time, elapsed timers.

import { ref, type Ref } from 'vue'
import { settings } from '@/lib/settings'

const OFFSETS_KEPT = 10
const offsets: number[] = []
let offset_ms = 0

/** Hear the server's time. The frame that travelled fastest tells the offset best: the greatest. */
export function hearServerTime(at_ms: number): void {
  offsets.push(at_ms - Date.now())
  if (offsets.length > OFFSETS_KEPT) offsets.shift()
  offset_ms = Math.max(...offsets)
}

export function serverNow_ms(): number {
  return Date.now() + offset_ms
}

/** The server's time, moving four times a second; for timers on the screen. */
export const now_ms: Ref<number> = ref(serverNow_ms())
setInterval(() => {
  now_ms.value = serverNow_ms()
}, 250)

const two = (value: number): string => String(value).padStart(2, '0')

function local(at_ms: number): Date {
  const hours = settings.zone === 'xinjiang' ? 6 : 8
  return new Date(at_ms + hours * 3_600_000) // read with getUTC…
}

export function clockText(at_ms: number): string {
  const at = local(at_ms)
  return `${two(at.getUTCHours())}:${two(at.getUTCMinutes())}:${two(at.getUTCSeconds())}`
}

export function dateText(at_ms: number): string {
  const at = local(at_ms)
  return `${at.getUTCFullYear()}-${two(at.getUTCMonth() + 1)}-${two(at.getUTCDate())}`
}

/** `3:07`, `1:02:33`; never negative. */
export function elapsedText(from_ms: number, to_ms: number): string {
  const total_s = Math.max(0, Math.floor((to_ms - from_ms) / 1000))
  const hours = Math.floor(total_s / 3600)
  const minutes = Math.floor(total_s / 60) % 60
  const seconds = two(total_s % 60)
  return hours > 0 ? `${hours}:${two(minutes)}:${seconds}` : `${minutes}:${seconds}`
}

/** Down to an end where there is one (never below 0), else up from the beginning. */
export function timerText(since_ms: number, until_ms: number | undefined, at_ms: number): string {
  if (until_ms === undefined) return elapsedText(since_ms, at_ms)
  return `−${elapsedText(at_ms, Math.ceil(Math.max(0, until_ms - at_ms) / 1000) * 1000 + at_ms)}`
}

/** A length in seconds as `m:ss`. */
export function lengthText(length_s: number): string {
  return elapsedText(0, length_s * 1000)
}
