// Short messages beside the work, never in front of it. Shown by parts/ToastRegion.vue.

import { reactive } from 'vue'

export interface Toast {
  id: number
  tone: 'bad' | 'good' | 'info'
  title: string
  text: string
}

const SHOWN_MS = 6000
const KEPT_MAX = 4
let next = 1

export const toasts = reactive<Toast[]>([])

export function toast(tone: Toast['tone'], title: string, text = ''): void {
  const id = next
  next += 1
  toasts.push({ id, tone, title, text })
  if (toasts.length > KEPT_MAX) toasts.shift()
  window.setTimeout(() => dismiss(id), SHOWN_MS)
}

export function dismiss(id: number): void {
  const index = toasts.findIndex((item) => item.id === id)
  if (index >= 0) toasts.splice(index, 1)
}
