// One table of unit symbols: the map draws from it and the legend too. Each group has a shape of its
// own, so that colour is never the only sign. Paths lie in a square of 20, centred on 10,10.

import type { UnitStatus } from '@/lib/types'
import type { Theme } from '@/lib/settings'

export type SymbolGroup =
  | 'standby'
  | 'alerted'
  | 'departed'
  | 'scene'
  | 'transport'
  | 'hospital'
  | 'paused'
  | 'off'

export interface UnitSymbol {
  path: string
  /** Empty: drawn as an outline only. */
  fill: Record<Theme, string>
  stroke: Record<Theme, string>
  strokeWidth: number
}

const INK: Record<Theme, string> = { dark: '#0b0e11', grey: '#1b2126' }

function solid(path: string, dark: string, grey: string): UnitSymbol {
  return { path, fill: { dark, grey }, stroke: INK, strokeWidth: 1.2 }
}

function outline(path: string, dark: string, grey: string): UnitSymbol {
  return { path, fill: { dark: '', grey: '' }, stroke: { dark, grey }, strokeWidth: 2 }
}

export const SYMBOLS: Record<SymbolGroup, UnitSymbol> = {
  standby: outline('M10 5a5 5 0 1 0 .001 0z', '#aab5c0', '#3f4a54'),
  alerted: solid('M10 2.5l7.2 5.2-2.7 8.5h-9L2.8 7.7z', '#f2e446', '#f4e017'),
  departed: solid('M10 3l7.5 13h-15z', '#5bb8f0', '#1f7fc0'),
  scene: solid('M10 2l8 8-8 8-8-8z', '#f0a51e', '#e08600'),
  transport: solid('M10 17l-7.5-13h15z', '#dd8ab8', '#b8428a'),
  hospital: solid('M4 4h12v12h-12z', '#22b98a', '#00805c'),
  paused: outline('M6.5 5v10M13.5 5v10', '#8f9aa5', '#5a646e'),
  off: outline('M5.5 10h9', '#707b86', '#7a838b'),
}

/** The order in which the legend shows them. */
export const SYMBOL_ORDER: readonly SymbolGroup[] = [
  'standby',
  'alerted',
  'departed',
  'scene',
  'transport',
  'hospital',
  'paused',
  'off',
]

const GROUP_OF: Record<UnitStatus, SymbolGroup> = {
  standby: 'standby',
  available: 'standby',
  alerted: 'alerted',
  acknowledged: 'alerted',
  departed: 'departed',
  on_scene: 'scene',
  with_patient: 'scene',
  boarded: 'transport',
  at_hospital: 'hospital',
  handed_over: 'hospital',
  paused: 'paused',
  off_duty: 'off',
}

export function groupOf(status: UnitStatus): SymbolGroup {
  return GROUP_OF[status]
}

const bitmaps = new Map<string, HTMLCanvasElement>()

/** A symbol as a bitmap, made once for each size, theme and pixel ratio. */
export function symbolBitmap(
  group: SymbolGroup,
  theme: Theme,
  size_px: number,
  ratio: number,
): HTMLCanvasElement {
  const key = `${group}/${theme}/${size_px}/${ratio}`
  const made = bitmaps.get(key)
  if (made) return made
  const canvas = document.createElement('canvas')
  canvas.width = canvas.height = Math.ceil(size_px * ratio)
  const context = canvas.getContext('2d')!
  const symbol = SYMBOLS[group]
  const scale = (size_px * ratio) / 20
  context.scale(scale, scale)
  const path = new Path2D(symbol.path)
  if (symbol.fill[theme]) {
    context.fillStyle = symbol.fill[theme]
    context.fill(path)
  }
  context.lineWidth = symbol.strokeWidth
  context.strokeStyle = symbol.stroke[theme]
  context.stroke(path)
  bitmaps.set(key, canvas)
  return canvas
}
