// The seat's phone in this page: started when the seat has chosen it, kept registered, and told of in words.
// Calls come and go by the core's orders; nothing here answers or hangs up.

import { defineStore } from 'pinia'
import { computed, ref, shallowRef, watch } from 'vue'
import { apiUrl, base } from '@/lib/bases'
import { useCalls } from '@/lib/calls'
import { send } from '@/lib/commands'
import { getJson, HttpError, postJson } from '@/lib/http'
import { t } from '@/lib/i18n'
import { useSeat } from '@/lib/seat'
import { audioContext, setBell } from '@/lib/sound'
import { toast } from '@/lib/toasts'
import type { PhoneKind } from '@/lib/types'
import { choice, listDevices, type MicFault, onDevices, openMicrophone, remember } from './headset'
import { LevelMeter } from './level'
import { PhoneLine, type LineState, type PhonePass } from './line'
import { QualityMeter, SILENT_MS, type Quality } from './quality'

export type PhoneState = 'off' | 'no_microphone' | 'no_pass' | LineState

const READY_LIMIT_MS = 10_000
const RENEW_SHARE = 3
const STARTS_APART_MS = 8000
const RECONNECT_LIMIT_MS = 6000
const LEVEL_MS = 100
const LOOK_MS = 1000

export const useSoftphone = defineStore('softphone', () => {
  const seat = useSeat()
  const calls = useCalls()
  const port = ref(0)
  const state = ref<PhoneState>('off')
  const fault = ref<MicFault>()
  const microphone = shallowRef<MediaStream>()
  const peer = shallowRef<RTCPeerConnection>()
  const quality = ref<Quality>()
  const spoken = ref(0)
  const heard = ref(0)
  const player = new Audio()
  let line: PhoneLine | null = null
  let meters: { spoken?: LevelMeter; heard?: LevelMeter } = {}
  let looking: QualityMeter | null = null
  let renewal = 0
  let lostSince_ms = 0
  let startedAt_ms = -STARTS_APART_MS
  player.autoplay = true

  const isOffered = computed(() => port.value > 0)
  const isChosen = computed(() => seat.entity?.phone === 'browser')
  const isInCall = computed(() => peer.value !== undefined)

  // ---- microphone

  async function listen(): Promise<boolean> {
    try {
      const stream = await openMicrophone()
      for (const old of microphone.value?.getTracks() ?? []) {
        old.onended = null
        old.stop()
      }
      const [track] = stream.getAudioTracks()
      if (track) track.onended = () => void lose()
      microphone.value = stream
      fault.value = undefined
      mute()
      await peer.value?.getSenders().find((sender) => sender.track?.kind === 'audio' || !sender.track)?.replaceTrack(track ?? null)
      void measure('spoken', stream)
      await listDevices()
      return true
    } catch (error) {
      if (typeof error !== 'string') throw error
      fault.value = error as MicFault
      return false
    }
  }

  /** The microphone was unplugged: another one takes its place, or it is said that there is none. */
  async function lose(): Promise<void> {
    toast('bad', t('phone.mic_lost'))
    if (!(await listen())) fault.value = 'lost'
  }

  /** What nobody shall hear does not even leave this page: a muted seat, a supervisor who only listens. */
  const isMute = computed(() => (calls.mine ? (calls.mine.muted ?? false) : calls.heard?.mode === 'listen'))
  function mute(): void {
    for (const track of microphone.value?.getTracks() ?? []) track.enabled = !isMute.value
  }
  watch(isMute, mute)

  async function measure(side: 'spoken' | 'heard', stream: MediaStream): Promise<void> {
    const context = await audioContext()
    meters[side]?.close()
    meters = { ...meters, [side]: new LevelMeter(context, stream) }
  }

  // ---- the line

  async function newPass(): Promise<PhonePass | null> {
    try {
      const { body } = await postJson<PhonePass>(apiUrl('/api/phone'), { seat_id: seat.id })
      window.clearTimeout(renewal)
      const life_ms = Math.max(30_000, body.expires_at_ms - Date.now())
      renewal = window.setTimeout(() => void renew(false), life_ms / RENEW_SHARE)
      return body
    } catch (error) {
      if (!(error instanceof HttpError)) throw error
      return null
    }
  }

  async function renew(now: boolean): Promise<void> {
    if (!line) return
    const pass = await newPass()
    if (pass) line.renew(pass, now)
    else renewal = window.setTimeout(() => void renew(now), READY_LIMIT_MS) // the old one may still be good
  }

  function url(): string {
    const { protocol, hostname } = new URL(base())
    return `${protocol === 'https:' ? 'wss' : 'ws'}://${hostname}:${port.value}/sip`
  }

  async function start(): Promise<void> {
    if (line || !isOffered.value || !seat.id) return
    startedAt_ms = performance.now()
    state.value = 'connecting'
    const own = new PhoneLine(url(), () => microphone.value ?? new MediaStream(), {
      state: (told) => {
        if (line === own) turn(told)
      },
      call: (found) => {
        if (line === own) talk(found)
      },
      heard: (stream) => {
        player.srcObject = stream
        void player.play().catch(() => toast('bad', t('phone.blocked')))
        void measure('heard', stream)
      },
    })
    line = own
    if (!(await listen())) return give('no_microphone', own)
    const pass = await newPass()
    if (!pass) return give('no_pass', own)
    await own.start(pass)
  }

  function give(why: PhoneState, own: PhoneLine): void {
    if (line !== own) return
    line = null
    state.value = why
  }

  function turn(told: LineState): void {
    state.value = told
    lostSince_ms = told === 'reconnecting' ? lostSince_ms || performance.now() : 0
    if (told === 'refused') window.setTimeout(() => void renew(true), RECONNECT_LIMIT_MS / 3)
    if (told === 'taken_over') {
      line = null
      talk(null)
    }
  }

  /** A dead connection is left without a word: the gateway dials the new one, and the call goes on. */
  async function restart(): Promise<void> {
    if (performance.now() - startedAt_ms < STARTS_APART_MS) return
    const dead = line
    line = null
    dead?.abandon()
    talk(null)
    await start()
  }

  function stop(): void {
    window.clearTimeout(renewal)
    line?.stop()
    line = null
    talk(null)
    for (const track of microphone.value?.getTracks() ?? []) {
      track.onended = null
      track.stop()
    }
    microphone.value = undefined
    meters.spoken?.close()
    meters = {}
    state.value = 'off'
    fault.value = undefined
  }

  // ---- a call

  function talk(found: RTCPeerConnection | null): void {
    peer.value = found ?? undefined
    looking = found ? new QualityMeter() : null
    quality.value = undefined
    if (!found) {
      player.srcObject = null
      meters.heard?.close()
      meters = { spoken: meters.spoken }
    } else mute()
  }

  async function look(): Promise<void> {
    const now_ms = performance.now()
    if (lostSince_ms && now_ms - lostSince_ms > RECONNECT_LIMIT_MS) await restart()
    if (!looking || !peer.value) return
    const found = await looking.look(peer.value)
    if (!peer.value) return
    quality.value = found
    if (found.silent_ms > SILENT_MS || peer.value.connectionState === 'failed') await restart()
  }

  window.setInterval(() => {
    spoken.value = meters.spoken?.read() ?? 0
    heard.value = meters.heard?.read() ?? 0
  }, LEVEL_MS)
  window.setInterval(() => void look(), LOOK_MS)

  // ---- what a person does

  /** Which phone the seat is rung at. The browser's has to be there before it is chosen. */
  async function choose(phone: PhoneKind): Promise<void> {
    const seat_id = seat.need()
    if (!seat_id) return
    if (phone === 'browser') {
      if (state.value !== 'registered') {
        stop()
        await start()
      }
      if (!(await ready())) {
        const [title, text] = fault.value
          ? [t(`phone.fault_short_${fault.value}`), t(`phone.fault_${fault.value}`)]
          : [t('phone.title'), t(`phone.state_${state.value}`)]
        toast('bad', title, text)
        return
      }
    }
    const done = await send({ type: 'choose_phone', seat_id, phone })
    if (done && phone === 'desk') stop()
  }

  async function ready(): Promise<boolean> {
    const until_ms = performance.now() + READY_LIMIT_MS
    while (state.value === 'connecting' && performance.now() < until_ms) {
      await new Promise((resolve) => window.setTimeout(resolve, 50))
    }
    return state.value === 'registered'
  }

  async function useDevice(kind: keyof typeof choice, id: string): Promise<void> {
    choice[kind] = id
    remember()
    if (kind === 'microphone' && state.value !== 'off') await listen()
    await route()
  }

  /** Sound goes where it was told to go; a device that is not there leaves it with the system's own. */
  async function route(): Promise<void> {
    await setBell(choice.bell)
    const sink = player as HTMLAudioElement & { setSinkId?(id: string): Promise<void> }
    await sink.setSinkId?.(choice.headset).catch(() => sink.setSinkId?.(''))
  }

  /** After a fault was mended: permission given, headset plugged in. */
  async function retry(): Promise<void> {
    if (line && microphone.value) await listen()
    else {
      stop()
      await start()
    }
  }

  onDevices(() => {
    if (fault.value === 'lost' || fault.value === 'missing') void retry()
    void route()
  })
  watch([isChosen, isOffered, () => seat.id] as const, ([chosen, offered, id], [before, , idBefore]) => {
    if (id !== idBefore && !isInCall.value) stop() // the line is that of the seat before
    if (chosen && offered && state.value === 'off') void start()
    if (before && !chosen && !isInCall.value) stop() // chosen otherwise at another place
  })
  watch(
    () => seat.live.link.state,
    async (link) => {
      if (link !== 'connected' || port.value) return
      try {
        port.value = (await getJson<{ port: number }>(apiUrl('/api/phone'))).port
      } catch (error) {
        if (!(error instanceof HttpError)) throw error // not for this role, or away: there is none
      }
    },
    { immediate: true },
  )
  void listDevices()
  void route()

  return {
    port, state, fault, isOffered, isChosen, isInCall, quality, spoken, heard, microphone, choose, useDevice, retry,
  }
})
