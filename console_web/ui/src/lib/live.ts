// The WebSocket client: hello, resume by the last seq, epochs, watchdog, the other machine, and coming
// back by itself. It never shows what was not committed: only the server's frames change the store.

import { reactive, readonly, shallowRef } from 'vue'
import { addresses, base, hearMachines, isHome, openLine, turnTo } from '@/lib/bases'
import { hearServerTime } from '@/lib/clock'
import { greatestEpoch, hearEpoch } from '@/lib/epoch'
import type { Frame, Machines, ServiceNumber, Session } from '@/lib/frames'
import { getJson, HttpError } from '@/lib/http'
import { findMachine, noteRefusal, prepare } from '@/lib/machines'
import { Store } from '@/lib/store'

const OPEN_MS = 3000
const SUSPECT_MS = 2500
const SILENCE_MS = 6000
const BACKOFF_FIRST_MS = 200
const BACKOFF_MAX_MS = 5000
const BACKOFF_PAIR_MAX_MS = 1000
const LOST_AFTER_MS = 10_000
/** A machine that may confirm nothing for so long is left, if the other one may; so often it is asked. */
const UNSURE_MS = 1000
const ASK_AGAIN_MS = 500
const UNSURE = ['blocked', 'switching', 'starting']

export type LinkState = 'connecting' | 'connected' | 'reconnecting' | 'lost'

export interface Link {
  state: LinkState
  /** When the last frame came, by this machine's clock; 0 before the first. */
  heard_at_ms: number
  /** The epoch of what is held, and its last seq: what a resume is asked for. */
  epoch: number
  seq: number
  /** Of a pair: the machine that was lost, until when and from when on; and which one it is now. */
  left: { url: string; at_ms: number } | null
  back_at_ms: number
}

export class Live {
  readonly store = new Store()
  readonly session = shallowRef<Session | null>(null)
  readonly machines = shallowRef<Machines | null>(null)
  readonly numbers = shallowRef<readonly ServiceNumber[]>([])
  private readonly linkState = reactive<Link>({
    state: 'connecting',
    heard_at_ms: 0,
    epoch: 0,
    seq: 0,
    left: null,
    back_at_ms: 0,
  })
  readonly link = readonly(this.linkState)
  private socket: WebSocket | null = null
  private heard_ms = 0
  private unsure_ms = 0
  private asked_ms = 0
  private begun_ms = 0
  private attempts = 0
  private opened = false
  private retryTimer = 0
  private asking = false

  /** `onSignedOut` is called when the server no longer knows this session. */
  constructor(private readonly onSignedOut: () => void) {}

  start(): void {
    this.connect(base())
    window.setInterval(() => void this.watch(), 250)
  }

  private connect(url: string): void {
    turnTo(url)
    this.heard_ms = this.begun_ms = performance.now()
    this.unsure_ms = 0
    this.opened = false
    const socket = openLine(url)
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
      this.linkState.seq = 0
      this.drop()
      return
    }
    if (frame.type === 'machines') {
      hearMachines(frame, base())
      this.machines.value = frame
      if (!UNSURE.includes(frame.role)) this.unsure_ms = 0
      else this.unsure_ms ||= performance.now()
      return
    }
    if ('epoch' in frame) {
      if (frame.epoch < greatestEpoch()) {
        // From a writer that was replaced. A whole machine that is so far behind is left.
        if (frame.type === 'welcome') {
          noteRefusal(base())
          this.drop()
        }
        return
      }
      hearEpoch(frame.epoch)
    }
    if ('at_ms' in frame && frame.type !== 'delta') hearServerTime(frame.at_ms)
    this.linkState.heard_at_ms = Date.now()
    this.take(frame)
  }

  private take(frame: Exclude<Frame, Machines>): void {
    if (frame.type === 'welcome') {
      this.numbers.value = frame.numbers ?? []
      this.welcome(frame.session)
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

  private welcome(session: Session): void {
    this.session.value = session
    this.attempts = 0
    this.linkState.state = 'connected'
    if (this.linkState.left) this.linkState.back_at_ms = Date.now()
    void prepare()
  }

  /** The socket is given up without waiting for the peer: a frozen one never answers the close. */
  private drop(): void {
    const dead = this.socket
    if (!dead) return
    dead.onclose = null
    dead.close()
    this.lose()
  }

  private lose(): void {
    this.socket = null
    if (this.linkState.state === 'connected') {
      this.linkState.state = 'reconnecting'
      this.linkState.left = { url: base(), at_ms: Date.now() }
      this.linkState.back_at_ms = 0
    }
    if (!this.opened) {
      noteRefusal(base())
      void this.checkSession()
    }
    this.retry(this.opened)
  }

  private retry(atOnce: boolean): void {
    const most_ms = addresses().length > 1 ? BACKOFF_PAIR_MAX_MS : BACKOFF_MAX_MS
    const ceiling_ms = Math.min(most_ms, BACKOFF_FIRST_MS * 2 ** this.attempts)
    this.attempts += 1
    const wait_ms = atOnce ? Math.random() * 50 : ceiling_ms * (0.5 + Math.random() / 2)
    if (!this.retryTimer) this.retryTimer = window.setTimeout(() => void this.seek(), wait_ms)
  }

  /** Asks all machines, and goes to the best one that answers. */
  private async seek(): Promise<void> {
    const found = await findMachine(greatestEpoch())
    this.retryTimer = 0
    if (found) this.connect(found.url)
    else this.retry(false)
  }

  /** The socket only says "closed"; a question over HTTP tells a lost log-in from a lost server. */
  private async checkSession(): Promise<void> {
    const asked = base()
    try {
      await getJson<Session>(`${asked}/api/session`)
    } catch (error) {
      if (!(error instanceof HttpError) || error.status !== 401) return
      if (isHome(asked)) this.onSignedOut()
      else if (!(await findMachine(0, [location.origin]))) this.onSignedOut()
    }
  }

  private async watch(): Promise<void> {
    const now_ms = performance.now()
    const silent_ms = now_ms - this.heard_ms
    if (this.socket && (silent_ms > SILENCE_MS || (!this.opened && now_ms - this.begun_ms > OPEN_MS))) {
      this.drop()
    } else if (this.socket && this.opened && this.isDoubtful()) {
      await this.suspect()
    }
    const age_ms = Date.now() - this.linkState.heard_at_ms
    if (this.linkState.state === 'reconnecting' && age_ms > LOST_AFTER_MS) {
      this.linkState.state = 'lost'
    }
  }

  /** Nothing was heard for a while, or the machine itself says that it may not confirm anything. */
  private isDoubtful(): boolean {
    const now_ms = performance.now()
    return now_ms - this.heard_ms > SUSPECT_MS || (this.unsure_ms > 0 && now_ms - this.unsure_ms > UNSURE_MS)
  }

  /** Has the other one taken over? If not, nothing has been done. */
  private async suspect(): Promise<void> {
    const others = addresses().filter((url) => url !== base())
    const asked_ago_ms = performance.now() - this.asked_ms
    if (this.asking || others.length === 0 || asked_ago_ms < ASK_AGAIN_MS) return
    this.asked_ms = performance.now()
    this.asking = true
    const silent = this.socket
    const found = await findMachine(greatestEpoch(), others)
    this.asking = false
    const isStill = this.socket === silent && this.isDoubtful()
    if (found?.role !== 'active' || !isStill || !silent) return
    silent.onclose = null
    silent.close()
    this.socket = null
    this.linkState.left = { url: base(), at_ms: Date.now() }
    this.linkState.back_at_ms = 0
    this.linkState.state = 'reconnecting'
    this.connect(found.url)
  }
}
