/**
 * Hosts and the network between them, for studies of membership: hosts fail, are paused and resumed, links lose packets or
 * are cut in one direction. A packet to a paused host waits for it, as in the buffer of its socket.
 */
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { between, isDrawn } from "../draws.js"
import type { Events } from "../events.js"

const NETWORK = {
  /** One way. */
  latencyMs: [0.2, 1],
  /** The first retransmission of TCP on Linux; each further one waits twice as long. */
  retransmitMs: 200,
} as const

export class Hosts {
  private readonly pausedUntilMs: Float64Array
  private readonly isDead: Uint8Array
  private isCut: (from: number, to: number) => boolean = () => false

  constructor(
    readonly events: Events,
    readonly random: Random,
    readonly count: number,
    readonly lossShare: number,
  ) {
    this.pausedUntilMs = new Float64Array(count)
    this.isDead = new Uint8Array(count)
  }

  fail(host: number): void {
    this.isDead[host] = 1
  }

  runs(host: number): boolean {
    return this.isDead[host] === 0 && (this.pausedUntilMs[host] ?? 0) <= this.events.nowMs
  }

  pause(host: number, durationMs: number): void {
    this.pausedUntilMs[host] = this.events.nowMs + durationMs
  }

  /** Packets in these directions are lost from now on. */
  cut(isCut: (from: number, to: number) => boolean): void {
    this.isCut = isCut
  }

  /** Runs the call once the host runs; never if it has failed. */
  on(host: number, call: () => void): void {
    if (this.isDead[host] === 1) return
    const waitMs = (this.pausedUntilMs[host] ?? 0) - this.events.nowMs
    if (waitMs <= 0) call()
    else this.events.after(waitMs, () => this.on(host, call))
  }

  after(host: number, delayMs: number, call: () => void): void {
    this.events.after(delayMs, () => this.on(host, call))
  }

  /** One packet, which may be lost. */
  send(from: number, to: number, received: () => void): void {
    if (this.isCut(from, to) || isDrawn(this.random, this.lossShare)) return
    this.after(to, this.latencyMs(), received)
  }

  /** A message over a connection, which repeats lost packets: how long it takes; Infinity if the direction is cut. */
  deliveryMs(from: number, to: number): number {
    return this.isCut(from, to) ? Infinity : this.repeatedMs()
  }

  /** The same to something that is not among the hosts. */
  repeatedMs(): number {
    let [waitedMs, pauseMs] = [0, NETWORK.retransmitMs]
    while (isDrawn(this.random, this.lossShare)) {
      waitedMs += pauseMs
      pauseMs *= 2
    }
    return waitedMs + this.latencyMs()
  }

  private latencyMs(): number {
    const [least, most] = NETWORK.latencyMs
    return between(this.random, least, most)
  }
}
