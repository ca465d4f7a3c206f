// Draws the lanes: time along x, a view that zooms. Pure canvas, painted when something changed.

import { clockText, lengthText } from '@/lib/clock'
import { t } from '@/lib/i18n'
import { settings } from '@/lib/settings'
import { SYMBOLS, type SymbolGroup } from '@/lib/symbols'
import type { VitalKey } from '@/lib/vitals'
import { talkBars, TALK_ROWS, type TalkBar } from './talkbars'
import { type Bar, callBars, fateOf, type Line, type Peaks, type Recording, type Timeline, unitBars } from './story'

export interface View {
  from_ms: number
  to_ms: number
}
export const LABELS_PX = 104
const RULER_PX = 26
const WAVE_PX = 84
const LANE_PX = 36
const TALK_ROW_PX = 16
const TALK_PX = TALK_ROW_PX * TALK_ROWS + 4
const VITALS_PX = 64
const GAP_PX = 6
const MISSIONS_MAX = 3
const TICKS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400]
const TICK_PX_MIN = 90

export function heightOf(story: Timeline | null): number {
  const missions = Math.min(MISSIONS_MAX, Math.max(1, story?.missions.length ?? 1))
  const talk = story && talkBars(story).length > 0 ? TALK_PX + GAP_PX : 0
  return talk + RULER_PX + WAVE_PX + LANE_PX * (2 + missions) + VITALS_PX + GAP_PX * (4 + missions)
}

interface Ink {
  text: string
  muted: string
  line: string
  panel: string
  accent: string
  warn: string
  good: string
  bad: string
}

function inkOf(element: Element): Ink {
  const style = getComputedStyle(element)
  const of = (name: string): string => style.getPropertyValue(name).trim()
  return {
    text: of('--text'), muted: of('--muted'), line: of('--line'), panel: of('--panel'),
    accent: of('--accent'), warn: of('--warn'), good: of('--good'), bad: of('--bad'),
  }
}

export class LanePainter {
  private context: CanvasRenderingContext2D
  private width = 0
  private ink: Ink
  private y = 0

  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly story: Timeline,
    private readonly lines: readonly Line[],
    private readonly peaks: ReadonlyMap<string, Peaks>,
    private readonly view: View,
  ) {
    this.context = canvas.getContext('2d')!
    this.ink = inkOf(canvas)
  }

  x(at_ms: number): number {
    const share = (at_ms - this.view.from_ms) / (this.view.to_ms - this.view.from_ms)
    return LABELS_PX + share * (this.width - LABELS_PX)
  }

  paint(): void {
    const ratio = window.devicePixelRatio
    this.width = this.canvas.clientWidth
    const height = this.canvas.clientHeight
    this.canvas.width = Math.round(this.width * ratio)
    this.canvas.height = Math.round(height * ratio)
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0)
    this.context.clearRect(0, 0, this.width, height)
    this.ruler(height)
    this.y = RULER_PX
    this.waves()
    this.lane(t('replay.lane_call'), callBars(this.story), 'call')
    this.talk(talkBars(this.story))
    this.lane(t('replay.lane_incident'), [], 'incident')
    for (const mission of this.story.missions.slice(0, MISSIONS_MAX)) {
      this.lane(mission.plate || mission.unit_id, unitBars(this.story, mission), 'unit')
    }
    this.vitals()
  }

  private ruler(height: number): void {
    const { context, view } = this
    const span_s = (view.to_ms - view.from_ms) / 1000
    const fit = ((this.width - LABELS_PX) / TICK_PX_MIN) | 0
    const step_s = TICKS_S.find((tick) => span_s / tick <= fit) ?? TICKS_S.at(-1)!
    const start_ms = this.story.start_at_ms
    context.font = "12px 'Noto Sans CJK SC', sans-serif"
    context.textBaseline = 'middle'
    context.textAlign = 'left'
    const first = Math.ceil((view.from_ms - start_ms) / 1000 / step_s)
    for (let n = first; start_ms + n * step_s * 1000 <= view.to_ms; n += 1) {
      const x = this.x(start_ms + n * step_s * 1000)
      context.fillStyle = this.ink.line
      context.fillRect(x, 0, 1, height)
      context.fillStyle = this.ink.muted
      context.fillText(n < 0 ? `-${lengthText(-n * step_s)}` : lengthText(n * step_s), x + 4, RULER_PX / 2)
    }
    context.fillStyle = this.ink.muted
    context.fillText(clockText(this.story.start_at_ms), 8, RULER_PX / 2)
  }

  private title(text: string, height: number): void {
    const { context } = this
    context.fillStyle = this.ink.line
    context.fillRect(0, this.y - 1, this.width, 1)
    context.fillStyle = this.ink.panel
    context.fillRect(0, this.y, LABELS_PX, height)
    context.fillStyle = this.ink.text
    context.font = "13px 'Noto Sans CJK SC', sans-serif"
    context.textAlign = 'left'
    context.textBaseline = 'middle'
    context.fillText(text, 8, this.y + height / 2, LABELS_PX - 12)
  }

  private clipped(height: number, paint: () => void): void {
    const { context } = this
    context.save()
    context.beginPath()
    context.rect(LABELS_PX, this.y, this.width - LABELS_PX, height)
    context.clip()
    paint()
    context.restore()
    this.y += height + GAP_PX
  }

  private waves(): void {
    this.title(t('replay.lane_sound'), WAVE_PX)
    this.small(t('replay.caller'), this.y + WAVE_PX * 0.2)
    this.small(t('replay.seat_side'), this.y + WAVE_PX * 0.8)
    this.clipped(WAVE_PX, () => {
      for (const recording of this.story.recordings) {
        const from = this.x(recording.started_at_ms)
        const to = this.x(recording.started_at_ms + recording.duration_ms)
        this.context.fillStyle = this.ink.panel
        this.context.fillRect(from, this.y + 2, to - from, WAVE_PX - 4)
        const peaks = this.peaks.get(recording.call_id)
        if (recording.state !== 'whole') this.fate(from, recording)
        else if (peaks) this.wave(peaks, from, to)
      }
    })
  }

  private fate(x: number, recording: Recording): void {
    const isMeant = recording.state === 'removed'
    this.context.fillStyle = isMeant ? this.ink.muted : this.ink.bad
    this.context.font = "600 14px 'Noto Sans CJK SC', sans-serif"
    this.context.fillText(`${isMeant ? '○' : '✕'} ${fateOf(recording)}`, Math.max(x, LABELS_PX) + 8, this.y + WAVE_PX / 2)
  }

  private wave(peaks: Peaks, from: number, to: number): void {
    const half = WAVE_PX / 2
    for (const [side, values, colour] of [
      [0, peaks.left, this.ink.accent],
      [1, peaks.right, this.ink.good],
    ] as const) {
      const middle = this.y + half * side + half / 2
      this.context.fillStyle = colour
      const per_px = values.length / Math.max(1, to - from)
      for (let x = Math.max(from, LABELS_PX); x < Math.min(to, this.width); x += 1) {
        const first = Math.floor((x - from) * per_px)
        const last = Math.max(first + 1, Math.floor((x + 1 - from) * per_px))
        let loud = 0
        for (let n = first; n < last && n < values.length; n += 1) loud = Math.max(loud, values[n]!)
        const tall = Math.max(1, (loud / 127) * (half - 4))
        this.context.fillRect(x, middle - tall / 2, 1, tall)
      }
    }
  }

  private small(text: string, y: number): void {
    this.context.font = "11px 'Noto Sans CJK SC', sans-serif"
    this.context.fillStyle = this.ink.muted
    this.context.textAlign = 'right'
    this.context.fillText(text, LABELS_PX - 8, y)
    this.context.textAlign = 'left'
  }

  private colour(kind: Bar['kind']): string {
    if (kind === 'ringing') return this.ink.warn
    if (kind === 'talking' || kind === 'pressed') return this.ink.accent
    if (kind === 'held') return this.ink.warn
    if (kind === 'joined') return this.ink.good
    const symbol = SYMBOLS[kind as SymbolGroup]
    return symbol.fill[settings.theme] || symbol.stroke[settings.theme]
  }

  private lane(title: string, bars: readonly Bar[], lane: Line['lane']): void {
    this.title(title, LANE_PX)
    this.clipped(LANE_PX, () => {
      const { context } = this
      for (const bar of bars) {
        const from = this.x(bar.from_ms)
        const to = Math.max(from + 3, this.x(bar.to_ms))
        context.globalAlpha = 0.28
        context.fillStyle = this.colour(bar.kind)
        context.fillRect(from, this.y + 4, to - from, LANE_PX - 8)
        context.globalAlpha = 1
        context.fillRect(from, this.y + 4, 3, LANE_PX - 8)
        const shown = Math.max(from, LABELS_PX)
        context.font = "13px 'Noto Sans CJK SC', sans-serif"
        if (to - shown > context.measureText(bar.label).width + 14) {
          context.fillStyle = this.ink.text
          context.fillText(bar.label, shown + 8, this.y + LANE_PX / 2)
        }
      }
      if (bars.length === 0) this.marks(lane)
    })
  }

  /** What was done in the call: thin bars below each other, moments as bars without length. */
  private talk(bars: readonly TalkBar[]): void {
    if (bars.length === 0) return
    this.title(t('replay.lane_talk'), TALK_PX)
    this.clipped(TALK_PX, () => {
      const { context } = this
      context.font = "11px 'Noto Sans CJK SC', sans-serif"
      bars.forEach((bar, n) => {
        const from = this.x(bar.from_ms)
        const to = Math.max(from + 3, this.x(bar.to_ms))
        const top = this.y + 2 + bar.row * TALK_ROW_PX
        context.fillStyle = this.colour(bar.kind)
        context.globalAlpha = 0.28
        context.fillRect(from, top, to - from, TALK_ROW_PX - 2)
        context.globalAlpha = 1
        context.fillRect(from, top, 3, TALK_ROW_PX - 2)
        const next = bars.slice(n + 1).find((other) => other.row === bar.row)
        const room = (next ? this.x(next.from_ms) : this.width) - Math.max(from, LABELS_PX)
        if (room < context.measureText(bar.label).width + 8) return
        context.fillStyle = this.ink.text
        context.fillText(bar.label, Math.max(from, LABELS_PX) + 6, top + TALK_ROW_PX / 2 - 1)
      })
    })
  }

  private marks(lane: Line['lane']): void {
    const { context } = this
    const shown = this.lines.filter((line) => line.lane === lane || (lane === 'incident' && line.lane === 'hospital'))
    context.font = "12px 'Noto Sans CJK SC', sans-serif"
    let named_px = -Infinity
    shown.forEach((line, n) => {
      const x = this.x(line.at_ms)
      context.fillStyle = line.lane === 'hospital' ? this.ink.good : this.ink.accent
      context.fillRect(x - 2, this.y + 9, 4, LANE_PX - 18)
      const next = shown.slice(n + 1).find((later) => this.x(later.at_ms) > x + 5)
      const room = (next ? this.x(next.at_ms) : this.width) - x
      const isSameMoment = x - named_px <= 5 // one name for a bundle of marks: the first
      if (isSameMoment || room < context.measureText(line.title).width + 10) return
      named_px = x
      context.fillStyle = this.ink.text
      context.fillText(line.title, x + 6, this.y + LANE_PX / 2)
    })
  }

  private vitals(): void {
    this.title(t('vital.title'), VITALS_PX)
    const series: readonly [VitalKey, number, number, string][] = [
      ['hr_per_min', 40, 160, this.ink.bad],
      ['sbp_mmhg', 60, 200, this.ink.accent],
      ['spo2_pct', 80, 100, this.ink.good],
    ]
    const sets = this.story.missions.flatMap((mission) => mission.vitals ?? [])
    const top = this.y
    this.clipped(VITALS_PX, () => {
      const ends: { x: number; y: number; text: string; colour: string }[] = []
      for (const [key, low, high, colour] of series) {
        const points = sets.flatMap((set) => {
          const value = set[key]
          if (value === undefined) return []
          const share = Math.min(1, Math.max(0, (value - low) / (high - low)))
          return [{ x: this.x(set.at_ms), y: top + 6 + (VITALS_PX - 12) * (1 - share), value }]
        })
        this.curve(points, colour)
        const last = points.at(-1)
        if (last) ends.push({ x: last.x, y: last.y, text: `${t(`vital.${key}`)} ${last.value}`, colour })
      }
      this.names(ends, top)
    })
  }

  private curve(points: readonly { x: number; y: number }[], colour: string): void {
    const { context } = this
    context.strokeStyle = context.fillStyle = colour
    context.lineWidth = 1.5
    context.beginPath()
    points.forEach(({ x, y }, n) => (n === 0 ? context.moveTo(x, y) : context.lineTo(x, y)))
    context.stroke()
    for (const { x, y } of points) context.fillRect(x - 2.5, y - 2.5, 5, 5)
  }

  /** The curves' names at their ends, pushed apart so that each can be read. */
  private names(ends: { x: number; y: number; text: string; colour: string }[], top: number): void {
    this.context.font = "12px 'Noto Sans CJK SC', sans-serif"
    let free = top + 8
    for (const end of [...ends].sort((a, b) => a.y - b.y)) {
      const y = Math.max(free, end.y)
      this.context.fillStyle = end.colour
      this.context.fillText(end.text, end.x + 8, y)
      free = y + 15
    }
  }
}
