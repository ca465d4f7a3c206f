// How good the sound is, from the browser's own counters. Pure but for the asking.

export type Grade = 'good' | 'fair' | 'poor' | 'silent'

export interface Quality {
  /** Of what the other side sent, over the last seconds. */
  loss_pct: number
  jitter_ms: number
  /** To the media bridge and back; undefined until it was measured. */
  rtt_ms?: number
  /** For how long nothing at all has come. */
  silent_ms: number
  grade: Grade
}

interface Sample {
  at_ms: number
  received: number
  lost: number
}

const WINDOW = 5
export const SILENT_MS = 3000
const FAIR = { loss_pct: 1, jitter_ms: 30, rtt_ms: 150 }
const POOR = { loss_pct: 5, jitter_ms: 60, rtt_ms: 400 }

export class QualityMeter {
  private samples: Sample[] = []
  private heardAt_ms = performance.now()
  private received = 0

  /** One look, about a second after the last. */
  async look(peer: RTCPeerConnection): Promise<Quality> {
    const now = { at_ms: performance.now(), received: 0, lost: 0 }
    let jitter_ms = 0
    let rtt_ms: number | undefined
    ;(await peer.getStats()).forEach((item: Record<string, unknown>) => {
      if (item.type === 'inbound-rtp' && item.kind === 'audio') {
        now.received += Number(item.packetsReceived ?? 0)
        now.lost += Number(item.packetsLost ?? 0)
        jitter_ms = Math.round(Number(item.jitter ?? 0) * 1000)
      }
      if (item.type === 'candidate-pair' && item.nominated && item.currentRoundTripTime !== undefined) {
        rtt_ms = Math.round(Number(item.currentRoundTripTime) * 1000)
      }
    })
    if (now.received > this.received) {
      this.received = now.received
      this.heardAt_ms = now.at_ms
    }
    this.samples = [...this.samples, now].slice(-WINDOW)
    const first = this.samples[0] ?? now
    const lost = Math.max(0, now.lost - first.lost)
    const all = now.received - first.received + lost
    const loss_pct = all > 0 ? Math.round((1000 * lost) / all) / 10 : 0
    const silent_ms = now.at_ms - this.heardAt_ms
    return { loss_pct, jitter_ms, rtt_ms, silent_ms, grade: gradeOf(loss_pct, jitter_ms, rtt_ms ?? 0, silent_ms) }
  }
}

function gradeOf(loss_pct: number, jitter_ms: number, rtt_ms: number, silent_ms: number): Grade {
  if (silent_ms > SILENT_MS) return 'silent'
  const beyond = (limit: typeof FAIR): boolean =>
    loss_pct > limit.loss_pct || jitter_ms > limit.jitter_ms || rtt_ms > limit.rtt_ms
  if (beyond(POOR)) return 'poor'
  return beyond(FAIR) ? 'fair' : 'good'
}
