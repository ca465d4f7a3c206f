// Keeps the tablet's page, its parts and the region's map on the device, so that a reload without
// network still works. It takes over at once only where there was none before; otherwise it waits
// until the page says that no mission is running.

const PAGES = 'd120-pages-1'
const MAP = 'd120-map-1'
const PAGE = '/tablet.html'
const REGION = '/map/region.pmtiles'
const MAP_BYTES_MAX = 80_000_000
const PAGE_WAIT_MS = 3000
// What the server says of Origin and encoding does not change a file; a page asks with other headers
// than we did when we kept it.
const ANY = { ignoreVary: true }

self.addEventListener('install', (event) => event.waitUntil(refreshPage()))
self.addEventListener('activate', (event) => event.waitUntil(activated()))
self.addEventListener('message', (event) => {
  if (event.data === 'take over') self.skipWaiting()
})
self.addEventListener('fetch', (event) => {
  const url = new URL(event.request.url)
  if (url.origin !== location.origin || event.request.method !== 'GET') return
  if (url.pathname === PAGE) event.respondWith(page())
  else if (url.pathname.startsWith('/assets/') || url.pathname === '/icon.svg') event.respondWith(asset(event.request))
  else if (url.pathname === REGION) event.respondWith(region(event.request))
})

async function activated() {
  for (const name of await caches.keys()) {
    if (name.startsWith('d120-') && ![PAGES, MAP].includes(name)) await caches.delete(name)
  }
  await self.clients.claim()
}

// The page and everything that it names; the old page stays until the new one is whole.
async function refreshPage(answer) {
  const cache = await caches.open(PAGES)
  const fresh = answer ?? (await fetch(PAGE, { cache: 'no-cache' }))
  if (!fresh.ok) throw new Error(`${PAGE}: ${fresh.status}`)
  const html = await fresh.clone().text()
  const parts = [...html.matchAll(/(?:src|href)="(\/(?:assets\/[^"]+|icon\.svg))"/g)].map((match) => match[1])
  for (const part of new Set(parts)) {
    if (!(await cache.match(part, ANY))) await cache.add(part)
  }
  await cache.put(PAGE, fresh)
  for (const kept of await cache.keys()) {
    const { pathname } = new URL(kept.url)
    if (pathname.startsWith('/assets/') && !parts.includes(pathname) && !(await importedBy(cache, parts, pathname))) {
      await cache.delete(kept, ANY)
    }
  }
}

// A part that another part loads by itself is named in its text.
async function importedBy(cache, parts, pathname) {
  const name = pathname.split('/').pop()
  for (const part of parts) {
    const held = await cache.match(part, ANY)
    if (held && (await held.text()).includes(name)) return true
  }
  return false
}

async function page() {
  const cache = await caches.open(PAGES)
  const held = await cache.match(PAGE, ANY)
  try {
    const signal = held ? AbortSignal.timeout(PAGE_WAIT_MS) : undefined
    const fresh = await fetch(PAGE, { cache: 'no-cache', signal })
    if (!fresh.ok) return held ?? fresh
    refreshPage(fresh.clone()).catch((error) => console.warn('tablet page not kept:', error))
    return fresh
  } catch (error) {
    if (held) return held
    throw error
  }
}

async function asset(request) {
  const cache = await caches.open(PAGES)
  const held = await cache.match(request, ANY)
  if (held) return held
  const fresh = await fetch(request)
  if (fresh.ok) await cache.put(request, fresh.clone())
  return fresh
}

// The map is asked for in ranges; the whole file is fetched once, behind them, and then cut here.
let fetching = null

async function region(request) {
  const cache = await caches.open(MAP)
  const held = await cache.match(REGION, ANY)
  if (!held) {
    fetching ??= keepMap(cache).finally(() => (fetching = null))
    return fetch(request)
  }
  const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.get('range') ?? '')
  if (!range) return held
  const whole = await held.blob()
  const from = Number(range[1])
  const to = Math.min(range[2] ? Number(range[2]) : whole.size - 1, whole.size - 1)
  if (from > to) return new Response(null, { status: 416 })
  return new Response(whole.slice(from, to + 1), {
    status: 206,
    headers: { 'content-range': `bytes ${from}-${to}/${whole.size}`, 'content-length': String(to - from + 1) },
  })
}

async function keepMap(cache) {
  try {
    const head = await fetch(REGION, { method: 'HEAD' })
    if (!head.ok || Number(head.headers.get('content-length')) > MAP_BYTES_MAX) return
    const fresh = await fetch(REGION)
    if (fresh.ok) await cache.put(REGION, fresh)
  } catch (error) {
    console.warn('map not kept:', error)
  }
}
