// What is drawn over the base map: units, incidents, places, a route. One canvas, painted from plain
// arrays, so that hundreds of units moving every second cost no object and no event each.

import { symbolBitmap, type SymbolGroup } from '@/lib/symbols'
import type { Theme } from '@/lib/settings'
import type { Priority } from '@/lib/types'

export interface MapUnit {
  unit_id: string
  lat: number
  lon: number
  group: SymbolGroup
  /** Proposed and sent units are drawn larger, ringed and named. */
  emphasis?: 'proposed' | 'selected' | 'sent'
  label?: string
  /** The fix is old: drawn faint. */
  stale?: boolean
}

export interface MapIncident {
  incident_id: string
  lat: number
  lon: number
  accuracy_m?: number
  priority?: Priority
  current?: boolean
}

export interface MapPlace {
  lat: number
  lon: number
  label: string
  kind: 'hospital' | 'station'
}

/** Where somebody drove. Several are told apart by their dashes; `bold` is the one looked at. */
export interface MapTrack {
  points: [lat: number, lon: number][]
  bold?: boolean
}

export interface Scene {
  units: MapUnit[]
  incidents: MapIncident[]
  places: MapPlace[]
  route: [lat: number, lon: number][]
  tracks?: MapTrack[]
}

/** Turns WGS-84 into CSS pixels of the canvas, and metres into pixels at a latitude. */
export interface Projector {
  pixel(lat: number, lon: number): [x: number, y: number]
  metres(lat: number, length_m: number): number
}

interface Ink {
  text: string
  halo: string
  accent: string
  sent: string
  incident: string
  /** The inside of the incident in front of the call-taker: it must stand out most. */
  star: string
  place: string
  route: string
}

const INKS: Record<Theme, Ink> = {
  dark: {
    text: '#f2f5f8',
    halo: '#0b0e11',
    accent: '#8fd0ff',
    sent: '#f2e446',
    incident: '#ff6252',
    star: '#ffffff',
    place: '#7fcab0',
    route: '#63b8f0',
  },
  grey: {
    text: '#10161b',
    halo: '#f1f3f4',
    accent: '#0a5486',
    sent: '#5c4a00',
    incident: '#a8160a',
    star: '#c91708',
    place: '#0a5c43',
    route: '#0a5486',
  },
}

/** The first track is whole; the others are broken, each in its own way. */
const DASHES: readonly (readonly number[])[] = [[], [10, 8], [2, 8], [14, 6, 2, 6]]
const SIZE_PX = 15
const SIZE_NEAR_PX = 24
// Places are named only where a kilometre is wide enough for names not to cover each other.
const LABEL_SPAN_M = 1000
const LABEL_SPAN_MIN_PX = 50
const FONT = "600 13px 'Noto Sans CJK SC', 'Noto Sans SC', sans-serif"
const FONT_SMALL = "12px 'Noto Sans CJK SC', 'Noto Sans SC', sans-serif"

function label(
  context: CanvasRenderingContext2D,
  text: string,
  at: [number, number],
  colour: string,
  halo: string,
): void {
  context.textAlign = 'center'
  context.lineJoin = 'round'
  context.lineWidth = 4
  context.strokeStyle = halo
  context.strokeText(text, at[0], at[1])
  context.fillStyle = colour
  context.fillText(text, at[0], at[1])
}

export class Painter {
  constructor(
    private readonly context: CanvasRenderingContext2D,
    private readonly to: Projector,
    private readonly theme: Theme,
    private readonly ratio: number,
  ) {}

  paint(scene: Scene): void {
    const ink = INKS[this.theme]
    scene.tracks?.forEach(({ points, bold }, n) => {
      if (points.length > 1) this.line(points, ink.route, DASHES[n % DASHES.length]!, bold ? 4 : 2.5)
    })
    if (scene.route.length > 1) this.line(scene.route, ink.route, [], 4)
    for (const place of scene.places) this.place(place, ink)
    for (const incident of scene.incidents) if (!incident.current) this.incident(incident, ink)
    for (const unit of scene.units) if (!unit.emphasis) this.unit(unit)
    for (const incident of scene.incidents) if (incident.current) this.incident(incident, ink)
    for (const unit of scene.units) if (unit.emphasis) this.namedUnit(unit, ink)
  }

  private line(points: [number, number][], colour: string, dash: readonly number[], width_px: number): void {
    const context = this.context
    context.beginPath()
    points.forEach(([lat, lon], index) => {
      const [x, y] = this.to.pixel(lat, lon)
      if (index === 0) context.moveTo(x, y)
      else context.lineTo(x, y)
    })
    context.lineWidth = width_px
    context.lineCap = context.lineJoin = 'round'
    context.strokeStyle = colour
    context.globalAlpha = 0.75
    context.setLineDash([...dash])
    context.stroke()
    context.setLineDash([])
    context.globalAlpha = 1
  }

  private place(place: MapPlace, ink: Ink): void {
    const context = this.context
    const [x, y] = this.to.pixel(place.lat, place.lon)
    context.strokeStyle = context.fillStyle = ink.place
    if (place.kind === 'hospital') {
      context.fillRect(x - 7, y - 2, 14, 4)
      context.fillRect(x - 2, y - 7, 4, 14)
    } else {
      context.lineWidth = 1.5
      context.strokeRect(x - 3.5, y - 3.5, 7, 7)
    }
    if (!place.label || this.to.metres(place.lat, LABEL_SPAN_M) < LABEL_SPAN_MIN_PX) return
    context.font = FONT_SMALL
    label(context, place.label, [x, y + 20], ink.place, ink.halo)
  }

  private unit(unit: MapUnit): void {
    const [x, y] = this.to.pixel(unit.lat, unit.lon)
    const bitmap = symbolBitmap(unit.group, this.theme, SIZE_PX, this.ratio)
    this.context.globalAlpha = unit.stale ? 0.4 : 1
    this.context.drawImage(bitmap, x - SIZE_PX / 2, y - SIZE_PX / 2, SIZE_PX, SIZE_PX)
    this.context.globalAlpha = 1
  }

  private namedUnit(unit: MapUnit, ink: Ink): void {
    const context = this.context
    const [x, y] = this.to.pixel(unit.lat, unit.lon)
    const ring = unit.emphasis === 'sent' ? ink.sent : ink.accent
    context.beginPath()
    context.arc(x, y, 15, 0, Math.PI * 2)
    context.fillStyle = ink.halo
    context.globalAlpha = 0.75
    context.fill()
    context.globalAlpha = 1
    context.lineWidth = unit.emphasis === 'proposed' ? 1.5 : 3
    context.strokeStyle = ring
    context.stroke()
    const bitmap = symbolBitmap(unit.group, this.theme, SIZE_NEAR_PX, this.ratio)
    const half = SIZE_NEAR_PX / 2
    context.drawImage(bitmap, x - half, y - half, SIZE_NEAR_PX, SIZE_NEAR_PX)
    if (!unit.label) return
    context.font = FONT
    label(context, unit.label, [x, y - 21], ink.text, ink.halo) // names of places stand below them
  }

  private incident(incident: MapIncident, ink: Ink): void {
    const context = this.context
    const [x, y] = this.to.pixel(incident.lat, incident.lon)
    const size = incident.current ? 13 : 7
    if (incident.current && incident.accuracy_m) {
      context.beginPath()
      context.arc(x, y, this.to.metres(incident.lat, incident.accuracy_m), 0, Math.PI * 2)
      context.fillStyle = context.strokeStyle = ink.incident
      context.globalAlpha = 0.1
      context.fill()
      context.globalAlpha = 0.9
      context.setLineDash([5, 4])
      context.lineWidth = 1.5
      context.stroke()
      context.setLineDash([])
      context.globalAlpha = 1
    }
    context.beginPath() // a four-pointed star: no unit has that shape
    for (let point = 0; point < 8; point += 1) {
      const radius = point % 2 === 0 ? size : size * 0.36
      const angle = (point * Math.PI) / 4 - Math.PI / 2
      context.lineTo(x + radius * Math.cos(angle), y + radius * Math.sin(angle))
    }
    context.closePath()
    context.fillStyle = incident.current ? ink.star : ink.incident
    context.strokeStyle = incident.current && this.theme === 'dark' ? ink.incident : ink.halo
    context.lineWidth = incident.current ? 4 : 1.5
    context.lineJoin = 'round'
    context.stroke()
    context.fill()
  }
}
