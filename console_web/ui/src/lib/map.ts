// The region's map: OpenLayers on canvas (no GPU needed), the base from one PMTiles file, our own ink
// above it. Everything outside speaks WGS-84 degrees.

import 'ol/ol.css'
import OlMap from 'ol/Map'
import View from 'ol/View'
import Layer from 'ol/layer/Layer'
import VectorTileLayer from 'ol/layer/VectorTile'
import Source from 'ol/source/Source'
import { defaults as defaultControls } from 'ol/control/defaults'
import ScaleLine from 'ol/control/ScaleLine'
import { boundingExtent } from 'ol/extent'
import type { FrameState } from 'ol/Map'
import { fromLonLat, toLonLat } from 'ol/proj'
import { apply as transform } from 'ol/transform'
import { PMTilesVectorSource } from 'ol-pmtiles'
import { PMTiles, type RangeResponse, type Source as TileSource } from 'pmtiles'
import { addresses, base, isHome } from '@/lib/bases'
import { fetchAs } from '@/lib/http'
import { Painter, type Scene } from '@/lib/mapink'
import { baseStyle, mapBackground } from '@/lib/mapstyle'
import type { Theme } from '@/lib/settings'

const KORLA: [lon: number, lat: number] = [86.146, 41.764] // the region's seat; until a scene is fitted
const HIT_PX = 14
const EARTH_CIRCUMFERENCE_M = 40_075_016.686

export type MapClick = (at: { lat: number; lon: number; unit_id?: string }) => void

class InkLayer extends Layer {
  private readonly canvas = document.createElement('canvas')
  theme: Theme = 'dark'
  scene: Scene = { units: [], incidents: [], places: [], route: [] }

  constructor() {
    super({ source: new Source({}), zIndex: 10 })
    Object.assign(this.canvas.style, { position: 'absolute', width: '100%', height: '100%' })
  }

  override render(frame: FrameState | null): HTMLElement {
    const canvas = this.canvas
    if (!frame) return canvas
    const [width, height] = frame.size as [number, number]
    const ratio = frame.pixelRatio
    canvas.width = Math.round(width * ratio)
    canvas.height = Math.round(height * ratio)
    const context = canvas.getContext('2d')!
    context.setTransform(ratio, 0, 0, ratio, 0, 0)
    const resolution = frame.viewState.resolution
    const projector = {
      pixel: (lat: number, lon: number): [number, number] => {
        const at = transform(frame.coordinateToPixelTransform, fromLonLat([lon, lat]))
        return [at[0]!, at[1]!]
      },
      metres: (lat: number, length_m: number): number =>
        length_m / Math.cos((lat * Math.PI) / 180) / resolution,
    }
    new Painter(context, projector, this.theme, ratio).paint(this.scene)
    return canvas
  }
}

interface Tiles {
  attribution: string
  centre: [lon: number, lat: number]
}

/** The region's file, from our own machine or, when that is silent, from the other one. */
const REGION = '/map/region.pmtiles'
async function fetchRegion(range: string, signal?: AbortSignal): Promise<Response> {
  const isKept = Boolean(navigator.serviceWorker?.controller) // the worker has our own machine's
  const order = isHome() || isKept ? addresses() : [base(), ...addresses()]
  let answer: Response | undefined
  for (const url of new Set(order)) {
    answer = await fetchAs(url + REGION, { headers: { range }, signal }).catch(() => undefined)
    if (answer?.ok) return answer
  }
  if (!answer) throw new Error('the map is at neither machine')
  return answer
}
class RegionSource implements TileSource {
  getKey(): string {
    return REGION
  }
  async getBytes(offset: number, length: number, signal?: AbortSignal): Promise<RangeResponse> {
    const answer = await fetchRegion(`bytes=${offset}-${offset + length - 1}`, signal)
    if (answer.status !== 206) throw new Error(`map: ${answer.status} instead of a range`)
    return { data: await answer.arrayBuffer() }
  }
}

async function describeTiles(): Promise<Tiles | null> {
  const answer = await fetchRegion('bytes=0-6').catch(() => null)
  if (!answer?.ok || (await answer.text()).slice(0, 7) !== 'PMTiles') return null
  const file = new PMTiles(new RegionSource())
  const [header, metadata] = await Promise.all([file.getHeader(), file.getMetadata()])
  const { attribution } = metadata as { attribution?: string }
  return { attribution: attribution ?? '', centre: [header.centerLon, header.centerLat] }
}

export class RegionMap {
  private readonly map: OlMap
  private readonly ink = new InkLayer()
  private base: VectorTileLayer | null = null
  private click: MapClick = () => undefined
  private moved = false
  attribution = ''

  constructor(
    private readonly host: HTMLElement,
    theme: Theme,
  ) {
    this.map = new OlMap({
      target: host,
      layers: [this.ink as unknown as Layer],
      controls: defaultControls({ rotate: false, attribution: false }).extend([new ScaleLine()]),
      view: new View({
        center: fromLonLat(KORLA),
        zoom: 12,
        minZoom: 5,
        maxZoom: 18,
        enableRotation: false,
      }),
    })
    this.map.on('singleclick', (event) => {
      const [lon, lat] = toLonLat(event.coordinate) as [number, number]
      this.click({ lat, lon, unit_id: this.unitAt(event.pixel as [number, number]) })
    })
    this.setTheme(theme)
  }

  /** Loads the base map. False when the server has none: the ink is drawn on plain ground.
   * Its `attribution` must then be shown in a corner of the map. */
  async loadBase(): Promise<boolean> {
    const about = await describeTiles()
    if (!about) return false
    this.base = new VectorTileLayer({
      source: new PMTilesVectorSource({ url: new RegionSource() as never }),
      declutter: true,
      renderMode: 'hybrid',
      zIndex: 0,
    })
    this.base.setStyle(baseStyle(this.ink.theme))
    this.map.addLayer(this.base)
    if (!this.moved) this.map.getView().setCenter(fromLonLat(about.centre))
    this.attribution = about.attribution
    return true
  }

  setTheme(theme: Theme): void {
    this.ink.theme = theme
    this.host.style.background = mapBackground(theme)
    this.base?.setStyle(baseStyle(theme))
    this.ink.changed()
  }

  /** Replaces parts of what is drawn; the rest stays. */
  draw(part: Partial<Scene>): void {
    Object.assign(this.ink.scene, part)
    this.ink.changed()
  }

  onClick(click: MapClick): void {
    this.click = click
  }

  /** Moves to one point, zooming in at least to `zoom`. */
  goTo(lat: number, lon: number, zoom = 14): void {
    this.moved = true
    const view = this.map.getView()
    view.animate({
      center: fromLonLat([lon, lat]),
      zoom: Math.max(zoom, view.getZoom() ?? 0),
      duration: 200,
    })
  }

  /** Shows all of the points, with room around them (top, right, bottom, left, in pixels). */
  fit(points: { lat: number; lon: number }[], zoom_max = 15, padding = [70, 70, 70, 70]): void {
    if (points.length === 0) return
    this.moved = true
    const extent = boundingExtent(points.map(({ lat, lon }) => fromLonLat([lon, lat])))
    this.map.getView().fit(extent, { padding, maxZoom: zoom_max, duration: 200 })
  }

  /** Metres on the ground that one pixel shows in the middle of the map. */
  metresPerPixel(): number {
    const view = this.map.getView()
    const [, lat] = toLonLat(view.getCenter() ?? [0, 0]) as [number, number]
    const zoom = view.getZoom() ?? 0
    return (EARTH_CIRCUMFERENCE_M * Math.cos((lat * Math.PI) / 180)) / (256 * 2 ** zoom)
  }

  destroy(): void {
    this.map.setTarget(undefined)
  }

  private unitAt(pixel: [number, number]): string | undefined {
    let best: string | undefined
    let best_px = HIT_PX
    for (const unit of this.ink.scene.units) {
      const at = this.map.getPixelFromCoordinate(fromLonLat([unit.lon, unit.lat]))
      if (!at) continue
      const distance_px = Math.hypot(at[0]! - pixel[0], at[1]! - pixel[1])
      if (distance_px < best_px) [best, best_px] = [unit.unit_id, distance_px]
    }
    return best
  }
}
