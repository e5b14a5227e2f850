import type { BarrierAligner } from '../checkpoint/barrier-aligner.ts'
import type { ChannelReader } from '../protocol/channel.ts'
import type { Element } from '../protocol/element.ts'

/** All inputs of a task, read in turn; channels that the aligner holds are passed over. */
export class InputGate {
  readonly #channels: readonly ChannelReader[]
  readonly #aligner: BarrierAligner
  #cursor = 0

  constructor(channels: readonly ChannelReader[], aligner: BarrierAligner) {
    this.#channels = channels
    this.#aligner = aligner
  }

  /** The channel of the last element. */
  channel = 0

  /** The next element of the next channel that has one. */
  poll(): Element | undefined {
    for (let tried = 0; tried < this.#channels.length; tried++) {
      const channel = this.#cursor
      this.#cursor = channel + 1 === this.#channels.length ? 0 : channel + 1
      if (this.#aligner.isHeld(channel)) continue
      const element = this.#channels[channel]!.poll()
      if (element !== undefined) {
        this.channel = channel
        return element
      }
    }
    return undefined
  }

  /** Whether `poll` would find something. */
  get readable(): boolean {
    return this.#channels.some((channel, index) => !this.#aligner.isHeld(index) && channel.readable)
  }
}
