// The WebSocket client: hello, resume by the last seq, epochs, watchdog, and coming back by itself.
// It never shows what was not committed: only the server's frames change the store.

import { reactive, readonly, shallowRef } from 'vue'
import { apiUrl, liveUrl, nextBase } from '@/lib/bases'
import { hearServerTime } from '@/lib/clock'
import type { Frame, Session } from '@/lib/frames'
import { getJson, HttpError } from '@/lib/http'
import { Store } from '@/lib/store'

const SILENCE_MS = 6000
const BACKOFF_FIRST_MS = 200
const BACKOFF_MAX_MS = 5000
const LOST_AFTER_MS = 10_000

export type LinkState = 'connecting' | 'connected' | 'reconnecting' | 'lost'

export interface Link {
  state: LinkState
  /** When the last frame came, by this machine's clock; 0 before the first. */
  heard_at_ms: number
  /** The epoch of what is held, and its last seq: what a resume is asked for. */
  epoch: number
  seq: number
}

export class Live {
  readonly store = new Store()
  readonly session = shallowRef<Session | null>(null)
  private readonly linkState = reactive<Link>({
    state: 'connecting',
    heard_at_ms: 0,
    epoch: 0,
    seq: 0,
  })
  readonly link = readonly(this.linkState)
  private socket: WebSocket | null = null
  private greatestEpoch = 0
  private heard_ms = 0
  private attempts = 0
  private opened = false
  private retryTimer = 0

  /** `onSignedOut` is called when the server no longer knows this session. */
  constructor(private readonly onSignedOut: () => void) {}

  start(): void {
    this.connect()
    window.setInterval(() => this.watch(), 500)
  }

  private connect(): void {
    this.retryTimer = 0
    this.heard_ms = performance.now()
    this.opened = false
    const socket = new WebSocket(liveUrl())
    this.socket = socket
    socket.onopen = () => {
      this.opened = true
      const { seq, epoch } = this.linkState
      socket.send(JSON.stringify({ type: 'hello', last_seq: seq, epoch }))
    }
    socket.onmessage = (message: MessageEvent<string>) => {
      if (socket === this.socket) this.hear(message.data)
    }
    socket.onclose = () => {
      if (socket === this.socket) this.lose()
    }
  }

  private hear(text: string): void {
    this.heard_ms = performance.now()
    let frame: Frame
    try {
      frame = JSON.parse(text) as Frame
    } catch {
      console.error('live: a frame is not JSON; asking for everything again')
      this.resync()
      return
    }
    if ('epoch' in frame) {
      if (frame.epoch < this.greatestEpoch) return // from a writer that was replaced
      this.greatestEpoch = frame.epoch
    }
    if ('at_ms' in frame && frame.type !== 'delta') hearServerTime(frame.at_ms)
    this.linkState.heard_at_ms = Date.now()
    this.take(frame)
  }

  private take(frame: Frame): void {
    if (frame.type === 'welcome') {
      this.session.value = frame.session
      this.attempts = 0
      this.linkState.state = 'connected'
    }
    if (frame.type === 'snapshot' || frame.type === 'delta') {
      if (frame.type === 'delta' && frame.seq <= this.linkState.seq) return // had it
      this.linkState.epoch = frame.epoch
      this.linkState.seq = frame.seq
    }
    // All up to this seq has been sent on this line: what was not for us need not be asked again.
    if (frame.type === 'ping' && frame.seq > this.linkState.seq) this.linkState.seq = frame.seq
    this.store.apply(frame)
  }

  private resync(): void {
    this.linkState.seq = 0
    this.socket?.close()
  }

  private lose(): void {
    this.socket = null
    if (this.linkState.state === 'connected') this.linkState.state = 'reconnecting'
    if (!this.opened) {
      nextBase()
      void this.checkSession()
    }
    const ceiling_ms = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** this.attempts)
    this.attempts += 1
    const wait_ms = ceiling_ms * (0.5 + Math.random() / 2)
    if (!this.retryTimer) this.retryTimer = window.setTimeout(() => this.connect(), wait_ms)
  }

  /** The socket only says "closed"; a question over HTTP tells a lost log-in from a lost server. */
  private async checkSession(): Promise<void> {
    try {
      await getJson<Session>(apiUrl('/api/session'))
    } catch (error) {
      if (error instanceof HttpError && error.status === 401) this.onSignedOut()
    }
  }

  private watch(): void {
    const silent_ms = performance.now() - this.heard_ms
    if (this.socket && silent_ms > SILENCE_MS) {
      const dead = this.socket
      dead.onclose = null
      dead.close() // a frozen peer never answers the close: do not wait for it
      this.lose()
    }
    const age_ms = Date.now() - this.linkState.heard_at_ms
    if (this.linkState.state === 'reconnecting' && age_ms > LOST_AFTER_MS) {
      this.linkState.state = 'lost'
    }
  }
}
