// The keyboard. Letters and digits act only outside of inputs and never while an input method is
// composing (it swallows digits and Enter); function keys act everywhere. A key is written as
// `F1`, `Enter`, `Space`, `ArrowUp`, `y`, `1`.

import { onBeforeUnmount, onMounted } from 'vue'

export type KeyMap = Record<string, (event: KeyboardEvent) => void>

function isField(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false
  if (target.isContentEditable) return true
  return target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement
    ? true
    : target instanceof HTMLInputElement && !['checkbox', 'radio', 'button'].includes(target.type)
}

function isButton(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.closest('button, a[href], summary') !== null
}

function keyName(event: KeyboardEvent): string {
  if (event.key === ' ') return 'Space'
  return event.key.length === 1 ? event.key.toLowerCase() : event.key
}

/** Binds keys while the component is mounted. */
export function useKeys(map: KeyMap): void {
  function onKey(event: KeyboardEvent): void {
    if (event.isComposing || event.keyCode === 229) return
    if (event.ctrlKey || event.altKey || event.metaKey) return
    const name = keyName(event)
    const act = map[name]
    if (!act) return
    const isFunction = /^F\d+$/.test(name)
    if (!isFunction && isField(event.target)) return
    // A button that the keyboard stands on keeps its own Enter and Space.
    if ((name === 'Enter' || name === 'Space') && isButton(event.target)) return
    event.preventDefault()
    if (!event.repeat || name.startsWith('Arrow')) act(event)
  }
  onMounted(() => window.addEventListener('keydown', onKey))
  onBeforeUnmount(() => window.removeEventListener('keydown', onKey))
}

/** A button clicked by mouse gives the focus back, so that the next Enter means the desk's Enter. */
export function releaseClickedButtons(): void {
  document.addEventListener('click', (event) => {
    if (event.detail === 0 || !(event.target instanceof HTMLElement)) return
    event.target.closest<HTMLElement>('button')?.blur()
  })
}
