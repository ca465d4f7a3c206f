// Microphone, headset and bell of this place: what there is, what was chosen, and what is wrong with it.

import { reactive, ref } from 'vue'

/** Why there is no microphone: each has its own words and its own remedy. */
export type MicFault = 'insecure' | 'denied' | 'missing' | 'busy' | 'lost'

export interface Choice {
  microphone: string
  headset: string
  bell: string
}

const KEY = 'd120.headset'
const NAMES: Record<string, MicFault> = {
  NotAllowedError: 'denied',
  SecurityError: 'denied',
  NotFoundError: 'missing',
  OverconstrainedError: 'missing',
  NotReadableError: 'busy',
  AbortError: 'busy',
}

function load(): Choice {
  const none = { microphone: '', headset: '', bell: '' }
  try {
    return { ...none, ...(JSON.parse(localStorage.getItem(KEY) ?? '{}') as Partial<Choice>) }
  } catch {
    localStorage.removeItem(KEY) // not ours: start afresh
    return none
  }
}

/** Ids of devices; an empty one is the system's own choice. */
export const choice: Choice = reactive(load())
export const microphones = ref<MediaDeviceInfo[]>([])
export const outputs = ref<MediaDeviceInfo[]>([])

export function remember(): void {
  localStorage.setItem(KEY, JSON.stringify(choice))
}

export function faultOf(error: unknown): MicFault {
  return NAMES[error instanceof DOMException ? error.name : ''] ?? 'busy'
}

/** Names of devices are told only after the microphone was allowed. */
export async function listDevices(): Promise<void> {
  if (!navigator.mediaDevices) return
  const found = await navigator.mediaDevices.enumerateDevices()
  microphones.value = found.filter((device) => device.kind === 'audioinput' && device.deviceId)
  outputs.value = found.filter((device) => device.kind === 'audiooutput' && device.deviceId)
}

/** Calls back whenever something was plugged in or out. */
export function onDevices(changed: () => void): void {
  navigator.mediaDevices?.addEventListener('devicechange', () => void listDevices().then(changed))
}

/** The chosen microphone, or the system's where that one is not there. Throws a `MicFault`. */
export async function openMicrophone(): Promise<MediaStream> {
  if (!window.isSecureContext || !navigator.mediaDevices) throw 'insecure' satisfies MicFault
  const wanted = choice.microphone ? [choice.microphone, ''] : ['']
  let fault: MicFault = 'missing'
  for (const deviceId of wanted) {
    try {
      return await navigator.mediaDevices.getUserMedia({
        video: false,
        audio: {
          ...(deviceId ? { deviceId: { exact: deviceId } } : {}),
          echoCancellation: true,
          noiseSuppression: true,
          autoGainControl: true,
        },
      })
    } catch (error) {
      fault = faultOf(error)
      if (fault !== 'missing') break
    }
  }
  throw fault
}
