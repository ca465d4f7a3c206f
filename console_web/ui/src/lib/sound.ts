// Sounds made here, without files. A browser plays nothing before the first touch or key, so the
// context is opened then; `isUnlocked` lets the screen say honestly that it is still mute.

import { ref } from 'vue'
import { settings } from '@/lib/settings'

export const isUnlocked = ref(false)
let context: AudioContext | null = null
let ringTimer = 0

type WithSink = AudioContext & { setSinkId?(id: string): Promise<void> }
let bell = ''

/** The page's one context, for meters too; it runs only after the first touch or key. */
export async function audioContext(): Promise<AudioContext> {
  if (!context) {
    context = new AudioContext()
    await setBell(bell)
  }
  return context
}

/** Where the ring and the alarms are heard: a device's id, or empty for the system's own. */
export async function setBell(id: string): Promise<void> {
  bell = id
  const sink = context as WithSink | null
  await sink?.setSinkId?.(id).catch(() => sink.setSinkId?.(''))
}

/** Call from a click or key (log-in, taking the seat). */
export async function unlockSound(): Promise<void> {
  const found = await audioContext()
  await found.resume()
  isUnlocked.value = found.state === 'running'
}

export function unlockOnFirstGesture(): void {
  const unlock = (): void => {
    void unlockSound().then(() => {
      if (!isUnlocked.value) return
      removeEventListener('pointerdown', unlock)
      removeEventListener('keydown', unlock)
    })
  }
  addEventListener('pointerdown', unlock)
  addEventListener('keydown', unlock)
}

function tone(frequency_hz: number, from_s: number, length_s: number, loudness = 0.12): void {
  if (!context || !settings.sound) return
  const start_s = context.currentTime + from_s
  const oscillator = context.createOscillator()
  const gain = context.createGain()
  oscillator.frequency.value = frequency_hz
  gain.gain.setValueAtTime(0, start_s)
  gain.gain.linearRampToValueAtTime(loudness, start_s + 0.015)
  gain.gain.setValueAtTime(loudness, start_s + length_s - 0.03)
  gain.gain.linearRampToValueAtTime(0, start_s + length_s)
  oscillator.connect(gain).connect(context.destination)
  oscillator.start(start_s)
  oscillator.stop(start_s + length_s)
}

function ringOnce(): void {
  for (const from_s of [0, 0.5]) {
    tone(480, from_s, 0.4)
    tone(620, from_s, 0.4)
  }
}

export function startRing(): void {
  if (ringTimer) return
  ringOnce()
  ringTimer = window.setInterval(ringOnce, 2000)
}

export function stopRing(): void {
  window.clearInterval(ringTimer)
  ringTimer = 0
}

/** One short tone: something was accepted or reached. */
export function chirp(): void {
  tone(880, 0, 0.09, 0.06)
}

/** Three falling tones: look here (IEC 60601-1-8 gives three tones to medium urgency). */
export function attention(): void {
  tone(740, 0, 0.16)
  tone(620, 0.22, 0.16)
  tone(520, 0.44, 0.16)
}

/** The ring once, then the alarm's tones; false where the browser still plays nothing. */
export async function soundTest(): Promise<boolean> {
  await unlockSound()
  ringOnce()
  window.setTimeout(attention, 1500)
  return isUnlocked.value && settings.sound
}
