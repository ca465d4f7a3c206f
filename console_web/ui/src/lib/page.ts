// How a page starts: styles, language, theme, sound, and, unless told otherwise, the live link.

import { createPinia } from 'pinia'
import { createApp, type Component, type InjectionKey, inject } from 'vue'
import '@/styles/tokens.css'
import '@/styles/base.css'
import { i18n } from '@/lib/i18n'
import { releaseClickedButtons } from '@/lib/keys'
import { Live } from '@/lib/live'
import { goToLogin } from '@/lib/session'
import { unlockOnFirstGesture } from '@/lib/sound'

const LIVE: InjectionKey<Live> = Symbol('live')

/** The page's live link; call inside `setup`. */
export function useLive(): Live {
  const live = inject(LIVE)
  if (!live) throw new Error('this page was started without the live link')
  return live
}

export function startPage(root: Component, options: { live: boolean } = { live: true }): void {
  releaseClickedButtons()
  unlockOnFirstGesture()
  const app = createApp(root).use(createPinia()).use(i18n)
  if (options.live) {
    const live = new Live(goToLogin)
    app.provide(LIVE, live)
    live.start()
  }
  app.mount('#app')
}
