/**
 * Simulated channels, with delays from a seed, and threads that end at any moment.
 *
 * Promises  The same seed and calls produce the same run. A thread that ends loses some of the last messages that it
 *           sent, and receives nothing any more.
 */
import type { Clock } from "../clock/contract.js"
import type { Random } from "../random/contract.js"
import type { Channel, ChannelEvents } from "./contract.js"

/** The most that one message takes; whole milliseconds. */
const DELAY_MS_MAX = 2

/** On its way to the other end: a message, or the end of the channel. */
interface Sent {
  readonly isEnd: boolean
  readonly arrive: () => void
  cancel: () => void
}

export class SimChannel implements Channel {
  private peer: SimChannel | undefined
  private events: ChannelEvents | undefined
  private readonly early: unknown[] = []
  private underWay: Sent[] = []
  private arrivesMs = 0
  private state: "open" | "closing" | "closed" = "open"
  private isDead = false

  private constructor(
    private readonly clock: Clock,
    private readonly random: Random,
    private readonly delayMsMax: number,
  ) {}

  /** The two ends of a channel. */
  static pair(clock: Clock, random: Random, delayMsMax: number = DELAY_MS_MAX): readonly [SimChannel, SimChannel] {
    const here = new SimChannel(clock, random.fork("here"), delayMsMax)
    const there = new SimChannel(clock, random.fork("there"), delayMsMax)
    here.peer = there
    there.peer = here
    return [here, there]
  }

  start(events: ChannelEvents): void {
    this.events = events
    for (const message of this.early.splice(0)) events.message(message)
    if (this.state === "closed") events.closed()
  }

  send(message: unknown, moved: readonly ArrayBuffer[] = []): void {
    if (this.state !== "open") return
    const sent: unknown = structuredClone(message, { transfer: [...moved] })
    this.afterDelay(false, () => this.peer?.receive(sent))
  }

  close(): void {
    if (this.state !== "open") return
    this.state = "closing"
    this.afterDelay(true, () => {
      this.end()
      this.peer?.end()
    })
  }

  /** The thread at this end reads nothing until the result is called. */
  hold(): () => void {
    const { events } = this
    this.events = undefined
    return () => {
      if (events !== undefined && !this.isDead) this.start(events)
    }
  }

  /** The thread at this end ends, now. It may lose some of the last messages that it has sent. */
  die(loses = true): void {
    const messages = this.underWay.filter(({ isEnd }) => !isEnd)
    const lost = loses ? this.random.below(messages.length + 1) : 0
    const lostOnes = new Set(messages.slice(messages.length - lost))
    for (const { cancel } of lostOnes) cancel()
    this.underWay = this.underWay.filter(sent => !lostOnes.has(sent))
    this.events = undefined
    this.isDead = true
    this.close()
  }

  /** All arrives in the order in which it was sent, although the clock may ring alarms of one moment in another one. */
  private afterDelay(isEnd: boolean, arrive: () => void): void {
    const nowMs = this.clock.monotonicMs()
    this.arrivesMs = Math.max(this.arrivesMs, nowMs + this.random.below(this.delayMsMax + 1))
    const sent: Sent = { isEnd, arrive, cancel: () => undefined }
    this.underWay.push(sent)
    sent.cancel = this.clock.alarm(this.arrivesMs - nowMs, () => this.underWay.shift()?.arrive())
  }

  private receive(message: unknown): void {
    if (this.state !== "open") return
    if (this.events === undefined) this.early.push(message)
    else this.events.message(message)
  }

  private end(): void {
    if (this.state === "closed") return
    this.state = "closed"
    for (const { cancel } of this.underWay.splice(0)) cancel()
    this.events?.closed()
  }
}
