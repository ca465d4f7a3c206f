// The service worker's registration. A new one waits until there is no mission and nothing queued.

/** Registers the worker where the browser allows it (a secure context). */
export async function startWorker(mayTakeOver: () => boolean): Promise<void> {
  if (!('serviceWorker' in navigator)) return
  const hadOne = navigator.serviceWorker.controller !== null
  const registration = await navigator.serviceWorker.register('/sw.js')
  navigator.serviceWorker.addEventListener('controllerchange', () => {
    if (hadOne) location.reload()
  })
  window.setInterval(() => {
    if (registration.waiting && mayTakeOver()) registration.waiting.postMessage('take over')
  }, 5000)
}
