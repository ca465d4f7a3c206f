// The phone's line: JsSIP over Kamailio's WebSocket. It answers by itself what the core sends here, and
// begins no call. What it is told of the other side's sound goes to `PhoneEvents`.

import type { RTCSession } from 'jssip/lib/RTCSession'
import type { IncomingRTCSessionEvent, UA } from 'jssip/lib/UA'

/** What the web server issues: a name and a password that end by themselves. */
export interface PhonePass {
  user: string
  auth_user: string
  password: string
  realm: string
  expires_at_ms: number
}

export type LineState = 'connecting' | 'registered' | 'reconnecting' | 'refused' | 'taken_over'

export interface PhoneEvents {
  state(state: LineState): void
  /** A call is up here, or none is any more. */
  call(peer: RTCPeerConnection | null): void
  heard(stream: MediaStream): void
}

/** Kamailio closes with this when another page has registered as the same phone. */
const TAKEN_OVER = 4001
const REGISTER_S = 60
const RECONNECT_S_MIN = 1
const RECONNECT_S_MAX = 3
const ICE_LIMIT_MS = 500

export class PhoneLine {
  private ua: UA | null = null
  private session: RTCSession | null = null
  private ended = false

  constructor(
    private readonly url: string,
    private readonly microphone: () => MediaStream,
    private readonly events: PhoneEvents,
  ) {}

  async start(pass: PhonePass): Promise<void> {
    const { UA, WebSocketInterface } = await import('jssip')
    if (this.ended) return
    const own = crypto.randomUUID().slice(0, 12)
    const ua = new UA({
      sockets: [new WebSocketInterface(this.url)],
      uri: `sip:${pass.user}@${pass.realm}`,
      contact_uri: `sip:${pass.user}@${own}.invalid;transport=ws`,
      authorization_user: pass.auth_user,
      password: pass.password,
      register_expires: REGISTER_S,
      connection_recovery_min_interval: RECONNECT_S_MIN,
      connection_recovery_max_interval: RECONNECT_S_MAX,
      session_timers: false,
      user_agent: 'dispatch120-console',
    })
    this.ua = ua
    ua.on('registered', () => this.tell('registered'))
    ua.on('registrationFailed', () => this.tell('refused'))
    ua.on('disconnected', ({ code }) => {
      if (code === TAKEN_OVER) {
        this.tell('taken_over')
        this.abandon()
      } else this.tell('reconnecting')
    })
    ua.on('newRTCSession', (event: IncomingRTCSessionEvent) => this.take(event))
    this.tell('connecting')
    ua.start()
  }

  /** The next registration is made with this pass. */
  renew(pass: PhonePass, now: boolean): void {
    this.ua?.set('authorization_user', pass.auth_user)
    this.ua?.set('password', pass.password)
    if (now) this.ua?.register()
  }

  /** Leaves the registrar. Only without a call: it would be hung up. */
  stop(): void {
    this.ended = true
    this.ua?.stop()
  }

  /** Lets go of a dead connection without hanging up: the call is dialled again at the next line. */
  abandon(): void {
    this.ended = true
    const dead = this.ua as (UA & { transport?: { disconnect(): void } }) | null
    dead?.transport?.disconnect()
    dead?.stop()
  }

  private tell(state: LineState): void {
    if (!this.ended) this.events.state(state)
  }

  private take({ session, request }: IncomingRTCSessionEvent): void {
    if (!request.getHeader('Call-Info')?.includes('answer-after=0')) {
      session.terminate({ status_code: 603 })
      return
    }
    this.session = session // one that is dialled again takes the place of the one before
    session.on('peerconnection', ({ peerconnection }) => {
      peerconnection.addEventListener('track', ({ track, streams }) => {
        if (this.session === session) this.events.heard(streams[0] ?? new MediaStream([track]))
      })
    })
    let late = 0
    session.on('icecandidate', ({ ready }) => {
      late ||= window.setTimeout(ready, ICE_LIMIT_MS) // the far side finds the rest by itself
    })
    session.on('confirmed', () => {
      if (this.session === session) this.events.call(session.connection)
    })
    const over = (): void => {
      window.clearTimeout(late)
      if (this.session !== session) return
      this.session = null
      this.events.call(null)
    }
    session.on('ended', over)
    session.on('failed', over)
    session.answer({ mediaStream: this.microphone(), pcConfig: { iceServers: [] } })
  }
}
