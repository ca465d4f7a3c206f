// What was done in a call, as bars: on hold, mute, with the beat, who else was there, who listened;
// keys pressed and transfers are moments.

import { lengthText } from '@/lib/clock'
import { t } from '@/lib/i18n'
import type { Bar, Timeline, TimelineRecord } from './story'

export interface TalkBar extends Bar {
  /** Bars of the same time stand below each other. */
  row: number
}

export const TALK_ROWS = 3

/** What began and has not ended, by call and kind. */
type Open = Map<string, Omit<Bar, 'to_ms'>>

function name(record: { seat_id?: string; number?: string }): string {
  return record.seat_id ? t('replay.seat', { seat: record.seat_id }) : (record.number ?? '')
}

class Collector {
  readonly bars: Bar[] = []
  private readonly open: Open = new Map()

  begin(key: string, from_ms: number, label: string, kind: Bar['kind']): void {
    this.end(key, from_ms)
    this.open.set(key, { from_ms, label, kind })
  }
  end(key: string, to_ms: number): void {
    const begun = this.open.get(key)
    if (!begun) return
    this.open.delete(key)
    this.bars.push({ ...begun, to_ms })
  }
  endCall(call_id: string, to_ms: number): void {
    for (const key of [...this.open.keys()]) if (key.startsWith(`${call_id}/`)) this.end(key, to_ms)
  }
  endAll(to_ms: number): void {
    for (const key of [...this.open.keys()]) this.end(key, to_ms)
  }
  moment(at_ms: number, label: string): void {
    this.bars.push({ from_ms: at_ms, to_ms: at_ms, label, kind: 'pressed' })
  }
}

function take(found: Collector, { at_ms, body }: TimelineRecord): void {
  switch (body.type) {
    case 'call_held.v1':
      return found.begin(`${body.call_id}/held`, at_ms, t('event.call_held'), 'held')
    case 'call_resumed.v1':
      return found.end(`${body.call_id}/held`, at_ms)
    case 'seat_muted.v1':
      if (body.muted) return found.begin(`${body.call_id}/muted`, at_ms, t('event.seat_muted'), 'held')
      return found.end(`${body.call_id}/muted`, at_ms)
    case 'metronome_set.v1':
      if (body.per_min) return found.begin(`${body.call_id}/beat`, at_ms, t('console.per_min', { n: body.per_min }), 'joined')
      return found.end(`${body.call_id}/beat`, at_ms)
    case 'party_dialled.v1':
      return found.begin(`${body.call_id}/${body.party_id}`, at_ms, `${t(`monitor.mode_${body.mode ?? 'talk'}`)} ${name(body)}`, 'joined')
    case 'party_mode_changed.v1':
      return found.begin(`${body.call_id}/${body.party_id}`, at_ms, t(`monitor.mode_${body.mode}`), 'joined')
    case 'party_left.v1':
      return found.end(`${body.call_id}/${body.party_id}`, at_ms)
    case 'call_transferred.v1':
      found.end(`${body.call_id}/${body.party_id}`, at_ms)
      return found.moment(at_ms, `${t('event.call_transferred')} ${name(body)}`)
    case 'digit_pressed.v1':
      return found.moment(at_ms, `${t('event.digit_pressed')} ${body.digit}`)
    case 'digits_sent.v1':
      return found.moment(at_ms, `${t('event.digits_sent')} ${body.digits}`)
    case 'call_ended.v1':
    case 'call_queued.v1':
      return found.endCall(body.call_id, at_ms)
    default:
  }
}

/** The bars in rows, first come first placed; what finds no room shares the last row. */
export function talkBars(story: Timeline): TalkBar[] {
  const found = new Collector()
  for (const record of story.records) take(found, record)
  found.endAll(story.end_at_ms)
  const free_ms: number[] = Array.from({ length: TALK_ROWS }, () => -Infinity)
  return found.bars
    .sort((one, other) => one.from_ms - other.from_ms)
    .map((bar) => {
      const fits = free_ms.findIndex((until_ms) => until_ms <= bar.from_ms)
      const row = fits < 0 ? TALK_ROWS - 1 : fits
      free_ms[row] = Math.max(free_ms[row]!, bar.to_ms)
      return { ...bar, row }
    })
}

/** The same in words, for whoever does not see the lanes. */
export function talkWords(story: Timeline): string[] {
  const at = (at_ms: number): string => lengthText((at_ms - story.start_at_ms) / 1000)
  return talkBars(story).map(({ from_ms, to_ms, label }) => `${label} ${at(from_ms)}${to_ms > from_ms ? `–${at(to_ms)}` : ''}`)
}
