// The playhead. While a recording plays, its sound is the clock; elsewhere the frame clock is.

import { onBeforeUnmount, reactive } from 'vue'
import { apiUrl, isHome, onTurn } from '@/lib/bases'
import { fetchAs } from '@/lib/http'
import type { Recording, Timeline } from './story'

export const SPEEDS = [1, 2, 4, 16] as const
export type Speed = (typeof SPEEDS)[number]
/** Faster than this nobody understands speech. */
const AUDIBLE_SPEED_MAX = 4
/** The sound's clock moves in steps; within this the frames in between are counted by ourselves. */
const DRIFT_MAX_MS = 150

export interface Player {
  at_ms: number
  isPlaying: boolean
  speed: Speed
  /** The recording that is the clock now. */
  sounding: string
  load(story: Timeline): void
  /** The same story, with more in it: the playhead stays. */
  renew(story: Timeline): void
  toggle(): void
  seek(at_ms: number): void
  setSpeed(speed: Speed): void
}

export function usePlayer(): Player {
  const audio = new Audio()
  audio.preload = 'auto'
  let story: Timeline | null = null
  let current: Recording | null = null
  let frame = 0
  let last_ms = 0
  const broken = new Set<string>()
  const forget = onTurn(() => {
    broken.clear() // the other machine may have what this one could not give
    delete audio.dataset.call
    current = null
  })

  const player: Player = reactive({
    at_ms: 0,
    isPlaying: false,
    speed: 1 as Speed,
    sounding: '',
    load,
    renew,
    toggle,
    seek,
    setSpeed,
  })

  function load(next: Timeline): void {
    stopSound()
    story = next
    player.at_ms = next.start_at_ms
    player.isPlaying = false
  }
  function renew(next: Timeline): void {
    story = next
    place()
  }
  function recordingAt(at_ms: number): Recording | null {
    return (
      story?.recordings.find(
        (item) =>
          item.state === 'whole' &&
          !broken.has(item.call_id) &&
          at_ms >= item.started_at_ms &&
          at_ms < item.started_at_ms + item.duration_ms,
      ) ?? null
    )
  }
  function stopSound(): void {
    audio.pause()
    current = null
    player.sounding = ''
  }
  /** Our own machine's sound comes in ranges; the other one's as a whole file, since an audio element
   * can show it no pass. */
  async function loadSound(wanted: Recording): Promise<void> {
    const url = apiUrl(wanted.url)
    if (isHome()) {
      audio.src = url
      return
    }
    audio.removeAttribute('src')
    try {
      const answer = await fetchAs(url)
      if (!answer.ok) throw new Error(`${url}: ${answer.status}`)
      const sound = URL.createObjectURL(await answer.blob())
      if (audio.dataset.call === wanted.call_id) audio.src = sound
      place()
    } catch (error) {
      console.warn('recording not loaded:', error)
      broken.add(wanted.call_id)
      stopSound()
    }
  }
  /** Puts the sound where the playhead is; nothing where there is none, or it would be too fast. */
  function place(): void {
    const wanted = player.isPlaying && player.speed <= AUDIBLE_SPEED_MAX ? recordingAt(player.at_ms) : null
    if (!wanted) {
      stopSound()
      return
    }
    if (current?.call_id !== wanted.call_id) {
      current = wanted
      if (audio.dataset.call !== wanted.call_id) {
        audio.dataset.call = wanted.call_id
        void loadSound(wanted)
      }
    }
    if (!audio.src) return // it is being fetched
    audio.playbackRate = player.speed
    audio.currentTime = (player.at_ms - wanted.started_at_ms) / 1000
    player.sounding = wanted.call_id
    audio.play().catch(() => {
      if (audio.error) broken.add(wanted.call_id) // go on without it, by the frame clock
      stopSound()
    })
  }
  function toggle(): void {
    if (!story) return
    if (!player.isPlaying && player.at_ms >= story.end_at_ms) player.at_ms = story.start_at_ms
    player.isPlaying = !player.isPlaying
    last_ms = performance.now()
    place()
    if (player.isPlaying) frame = requestAnimationFrame(step)
  }
  function seek(at_ms: number): void {
    if (!story) return
    player.at_ms = Math.min(story.end_at_ms, Math.max(story.start_at_ms, at_ms))
    place()
  }
  function setSpeed(speed: Speed): void {
    player.speed = speed
    place()
  }
  function step(now_ms: number): void {
    if (!player.isPlaying || !story) return
    const passed_ms = Math.max(0, now_ms - last_ms) * player.speed
    last_ms = now_ms
    if (current) followSound(passed_ms)
    else {
      player.at_ms += passed_ms
      if (player.speed <= AUDIBLE_SPEED_MAX && recordingAt(player.at_ms)) place()
    }
    if (player.at_ms >= story.end_at_ms) {
      player.at_ms = story.end_at_ms
      player.isPlaying = false
      stopSound()
      return
    }
    frame = requestAnimationFrame(step)
  }
  function followSound(passed_ms: number): void {
    if (!current) return
    if (audio.ended) {
      player.at_ms = Math.max(player.at_ms, current.started_at_ms + current.duration_ms)
      stopSound()
      return
    }
    if (audio.seeking || audio.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) return // wait for it
    const heard_ms = current.started_at_ms + audio.currentTime * 1000
    const guess_ms = player.at_ms + passed_ms
    player.at_ms = Math.abs(guess_ms - heard_ms) > DRIFT_MAX_MS ? heard_ms : guess_ms + (heard_ms - guess_ms) * 0.2
    if (player.at_ms >= current.started_at_ms + current.duration_ms) stopSound()
  }
  audio.addEventListener('error', () => {
    if (current) broken.add(current.call_id)
    stopSound()
  })
  onBeforeUnmount(() => {
    cancelAnimationFrame(frame)
    stopSound()
    forget()
  })
  return player
}
