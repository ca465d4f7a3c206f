// How the base map looks in both themes. Layers and classes are those of docs/map.md; stations and
// hospitals are left out, since the screens draw them from the live entities.

import type { FeatureLike } from 'ol/Feature'
import Fill from 'ol/style/Fill'
import Stroke from 'ol/style/Stroke'
import Style from 'ol/style/Style'
import Text from 'ol/style/Text'
import { settings, type Theme } from '@/lib/settings'

interface Palette {
  ground: string
  landuse: Record<string, string>
  water: string
  waterName: string
  casing: string
  road: [major: string, middle: string, minor: string]
  name: string
  place: string
  halo: string
}

const PALETTES: Record<Theme, Palette> = {
  dark: {
    ground: '#12161a',
    landuse: {
      built: '#171c21',
      park: '#16241c',
      residential: '#191f25',
      industrial: '#1b1d22',
      farmland: '#151a18',
    },
    water: '#15293a',
    waterName: '#5f86a6',
    casing: '#0d1013',
    road: ['#4a545e', '#39424b', '#282f37'],
    name: '#8b97a3',
    place: '#c3ccd4',
    halo: '#12161a',
  },
  grey: {
    ground: '#c6cacd',
    landuse: {
      built: '#cdd0d3',
      park: '#b7c7b6',
      residential: '#d0d3d5',
      industrial: '#c3c4ca',
      farmland: '#c4c9bd',
    },
    water: '#9fb8cb',
    waterName: '#2e536e',
    casing: '#a2a8ae',
    road: ['#f3f4f4', '#e6e8e9', '#dcdfe1'],
    name: '#3d464f',
    place: '#1b2228',
    halo: '#dfe2e4',
  },
}

const ROAD_WIDTHS_PX: Record<number, [far: number, near: number]> = {
  1: [2.2, 7],
  2: [2, 6.5],
  3: [1.6, 6],
  4: [1.2, 5],
  5: [0.8, 4],
  6: [0.6, 3],
  7: [0.5, 2],
}
const PLACE_SIZES_PX: Record<string, number> = { city: 18, county: 16, town: 14, district: 13 }
const RESOLUTION_NEAR_M = 5 // Web Mercator metres a pixel: about zoom 15
const RESOLUTION_FAR_M = 80 // about zoom 11
const FONT = "'Noto Sans CJK SC', 'Noto Sans SC', sans-serif"

export function mapBackground(theme: Theme): string {
  return PALETTES[theme].ground
}

function nameOf(feature: FeatureLike): string {
  const name = settings.language === 'en' ? feature.get('name_en') : feature.get('name_zh')
  return String(name ?? feature.get('name_zh') ?? '')
}

/** 0 far away … 1 near. */
function nearness(resolution_m: number): number {
  const span = Math.log(RESOLUTION_FAR_M / RESOLUTION_NEAR_M)
  return Math.min(1, Math.max(0, Math.log(RESOLUTION_FAR_M / resolution_m) / span))
}

function roadStyles(feature: FeatureLike, palette: Palette, resolution_m: number): Style[] {
  const rank = Number(feature.get('rank') ?? 6)
  const [far_px, near_px] = ROAD_WIDTHS_PX[rank] ?? [0.5, 2]
  const width = far_px + (near_px - far_px) * nearness(resolution_m)
  const colour = palette.road[rank <= 2 ? 0 : rank <= 4 ? 1 : 2]
  const order = 20 - rank
  const styles = [
    new Style({
      stroke: new Stroke({ color: palette.casing, width: width + 1.6 }),
      zIndex: order,
    }),
    new Style({ stroke: new Stroke({ color: colour, width }), zIndex: order + 10 }),
  ]
  const name = nameOf(feature) || String(feature.get('ref') ?? '')
  if (name && (rank <= 4 ? resolution_m < 25 : resolution_m < 7)) {
    styles.push(
      new Style({
        text: new Text({
          text: name,
          font: `12px ${FONT}`,
          placement: 'line',
          repeat: 420,
          maxAngle: 0.5,
          fill: new Fill({ color: palette.name }),
          stroke: new Stroke({ color: palette.halo, width: 3 }),
        }),
        zIndex: 50 - rank,
      }),
    )
  }
  return styles
}

function placeStyle(feature: FeatureLike, palette: Palette): Style | undefined {
  const kind = String(feature.get('kind'))
  const text = nameOf(feature)
  if (!text) return undefined
  const size = PLACE_SIZES_PX[kind] ?? 12
  const isTown = kind in PLACE_SIZES_PX
  return new Style({
    text: new Text({
      text,
      font: `${isTown ? 600 : 400} ${size}px ${FONT}`,
      fill: new Fill({ color: isTown ? palette.place : palette.name }),
      stroke: new Stroke({ color: palette.halo, width: 3 }),
      padding: [4, 6, 4, 6],
    }),
    zIndex: 100 - Number(feature.get('rank') ?? 6),
  })
}

function areaStyle(colour: string | undefined, zIndex: number): Style | undefined {
  return colour ? new Style({ fill: new Fill({ color: colour }), zIndex }) : undefined
}

type StyleFunction = (feature: FeatureLike, resolution: number) => Style | Style[] | undefined

export function baseStyle(theme: Theme): StyleFunction {
  const palette = PALETTES[theme]
  const water = areaStyle(palette.water, 2)
  const waterway = new Style({ stroke: new Stroke({ color: palette.water, width: 2 }), zIndex: 3 })
  return (feature, resolution_m) => {
    switch (feature.get('layer')) {
      case 'landuse': {
        const kind = String(feature.get('kind'))
        return areaStyle(palette.landuse[kind], kind === 'built' ? 0 : 1)
      }
      case 'water':
        return water
      case 'waterway':
        return waterway
      case 'roads':
        return roadStyles(feature, palette, resolution_m)
      case 'places':
        return placeStyle(feature, palette)
      default:
        return undefined // stations, hospitals and what a newer map may bring
    }
  }
}
