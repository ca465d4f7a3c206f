// How loud a stream is now: 0 to 1, on a scale of 60 decibels.

const FLOOR_DB = -60

export class LevelMeter {
  private readonly analyser: AnalyserNode
  private readonly source: MediaStreamAudioSourceNode
  private readonly samples: Float32Array<ArrayBuffer>

  constructor(context: AudioContext, stream: MediaStream) {
    this.analyser = context.createAnalyser()
    this.analyser.fftSize = 1024
    this.samples = new Float32Array(this.analyser.fftSize)
    this.source = context.createMediaStreamSource(stream)
    this.source.connect(this.analyser)
  }

  read(): number {
    this.analyser.getFloatTimeDomainData(this.samples)
    const power = this.samples.reduce((sum, value) => sum + value * value, 0) / this.samples.length
    return Math.max(0, 1 - (10 * Math.log10(power + 1e-12)) / FLOOR_DB)
  }

  close(): void {
    this.source.disconnect()
  }
}
