// The sound of a new card, by acuity: five tones for the gravest, three for the next, one else (the
// bursts of IEC 60601-1-8). Quiet when the device is set to be.

import { settings } from '@/lib/settings'
import type { Priority } from '@/lib/types'

const TONES: Record<Priority, readonly number[]> = {
  red: [523, 659, 784, 784, 1046],
  orange: [523, 659, 784],
  yellow: [523, 659],
  green: [523],
}
const GAP_S = 0.19
const LENGTH_S = 0.14
const LOUDNESS: Record<Priority, number> = { red: 0.3, orange: 0.2, yellow: 0.12, green: 0.08 }
let context: AudioContext | null = null

/** Plays the burst of a priority; of none where none is known yet. */
export function announce(priority: Priority | undefined): void {
  if (!settings.sound) return
  context ??= new AudioContext()
  if (context.state !== 'running') {
    void context.resume()
    return // the browser wants a touch first; the page says so
  }
  const kind = priority ?? 'yellow'
  TONES[kind].forEach((frequency_hz, n) => tone(context!, frequency_hz, n * GAP_S, LOUDNESS[kind]))
}

function tone(audio: AudioContext, frequency_hz: number, from_s: number, loudness: number): void {
  const start_s = audio.currentTime + from_s
  const oscillator = audio.createOscillator()
  const gain = audio.createGain()
  oscillator.frequency.value = frequency_hz
  gain.gain.setValueAtTime(0, start_s)
  gain.gain.linearRampToValueAtTime(loudness, start_s + 0.015)
  gain.gain.setValueAtTime(loudness, start_s + LENGTH_S - 0.03)
  gain.gain.linearRampToValueAtTime(0, start_s + LENGTH_S)
  oscillator.connect(gain).connect(audio.destination)
  oscillator.start(start_s)
  oscillator.stop(start_s + LENGTH_S)
}
