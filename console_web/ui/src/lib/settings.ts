// What a person sets on this device: language, theme, time zone, sound. Kept in localStorage.

import { reactive, watch } from 'vue'

export type Theme = 'dark' | 'grey'
export type Language = 'zh' | 'en'
export type Zone = 'beijing' | 'xinjiang'

export interface Settings {
  language: Language
  theme: Theme
  zone: Zone
  sound: boolean
}

const KEY = 'd120.settings'
const DEFAULTS: Settings = { language: 'zh', theme: 'dark', zone: 'beijing', sound: true }

function load(): Settings {
  const query = new URLSearchParams(location.search)
  let stored: Partial<Settings> = {}
  try {
    stored = JSON.parse(localStorage.getItem(KEY) ?? '{}') as Partial<Settings>
  } catch {
    localStorage.removeItem(KEY) // not ours: start afresh
  }
  const asked: Partial<Settings> = {}
  if (query.get('theme') === 'grey' || query.get('theme') === 'dark') {
    asked.theme = query.get('theme') as Theme
  }
  if (query.get('lang') === 'zh' || query.get('lang') === 'en') {
    asked.language = query.get('lang') as Language
  }
  const chosen = { ...DEFAULTS, ...stored, ...asked }
  if (Object.keys(asked).length > 0) localStorage.setItem(KEY, JSON.stringify(chosen))
  return chosen
}

export const settings: Settings = reactive(load())

function apply(): void {
  const root = document.documentElement
  root.dataset.theme = settings.theme
  root.lang = settings.language === 'zh' ? 'zh-CN' : 'en'
}

apply()
watch(settings, () => {
  localStorage.setItem(KEY, JSON.stringify(settings))
  apply()
})
