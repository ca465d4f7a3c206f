// The catalogues: src/locales/<language>/<part>.json, Chinese first. A part is named as its file, so
// `console.send` is the key `send` of console.json. Two-language data (`Text`) goes through `say`.

import { watch } from 'vue'
import { createI18n } from 'vue-i18n'
import { settings } from '@/lib/settings'

type Catalogue = Record<string, unknown>
const files = import.meta.glob<Catalogue>('../locales/*/*.json', { eager: true, import: 'default' })

function catalogues(): Record<string, Catalogue> {
  const all: Record<string, Catalogue> = { zh: {}, en: {} }
  for (const [path, content] of Object.entries(files)) {
    const [language, file] = path.split('/').slice(-2) as [string, string]
    all[language]![file.replace('.json', '')] = content
  }
  return all
}

export const i18n = createI18n({
  legacy: false,
  locale: settings.language,
  fallbackLocale: 'zh',
  messages: catalogues() as never,
  missingWarn: false,
  fallbackWarn: false,
})

watch(
  () => settings.language,
  (language) => {
    ;(i18n.global.locale as { value: string }).value = language
  },
)

interface Translator {
  t(key: string, named?: Record<string, unknown>): string
  te(key: string): boolean
}
const translator = i18n.global as unknown as Translator // vue-i18n's own types are too deep to infer
export const t = (key: string, named: Record<string, unknown> = {}): string =>
  translator.t(key, named)
export const has = (key: string): boolean => translator.te(key)

/** A text that comes from the server in both languages. */
export function say(text: { zh: string; en: string } | undefined): string {
  return text ? text[settings.language] || text.zh : ''
}

/** Which emergency a telephone asked for by its URN (`sos.fire`), in words; empty for a plain number. */
export const serviceName = (service: string | undefined): string => (service ? word('service', service.replaceAll('.', '_')) : '')

/** A translated code, or the code itself where no screen knows it. */
export function word(group: string, code: string): string {
  const key = `${group}.${code}`
  return has(key) ? t(key) : code
}
