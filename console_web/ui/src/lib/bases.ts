// The addresses of the pair. A screen talks to the machine it was loaded from, and to the other one
// when that is silent. Set by `?also=http://b:8120` once, then remembered on this device.

const KEY = 'd120.also'

function remembered(): string[] {
  const given = new URLSearchParams(location.search).getAll('also')
  if (given.length > 0) localStorage.setItem(KEY, JSON.stringify(given))
  try {
    const stored: unknown = JSON.parse(localStorage.getItem(KEY) ?? '[]')
    return Array.isArray(stored) ? stored.filter((item) => typeof item === 'string') : []
  } catch {
    return []
  }
}

const bases = [...new Set([location.origin, ...remembered()])]
let current = 0

/** The machine that commands and questions go to now. */
export function base(): string {
  return bases[current] ?? location.origin
}

/** Turn to the other machine; with one address this is nothing. */
export function nextBase(): void {
  current = (current + 1) % bases.length
}

export function apiUrl(path: string): string {
  return base() + path
}

export function liveUrl(): string {
  return base().replace(/^http/, 'ws') + '/api/live'
}
