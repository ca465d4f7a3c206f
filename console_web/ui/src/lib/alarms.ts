// Alarms in words. A code is a name, or a name and what it is about: `feed_failed/H01`.

import { word } from '@/lib/i18n'

export function alarmText(code: string): string {
  const [name, about] = code.split(/\/(.*)/) as [string, string?]
  return about ? `${word('alarm', name)} ${about}` : word('alarm', name)
}
