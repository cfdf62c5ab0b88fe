/**
 * The simulated network: named hosts, and connections with delay, bandwidth and faults, on a clock and from a seed.
 *
 * Promises  The same seed and calls produce the same run. Each connection keeps its bytes in order and cuts them at
 *           random places; connections overtake each other. A write's memory is read as late as the contract allows,
 *           so that memory which is reused too early shows as wrong bytes.
 * Faults    `cut` (one way: bytes wait, and arrive after `heal`), `partition`, `crash` (the peers' connections stay
 *           half-open until they send), `dropAll`, and a chance that any delivery resets its connection.
 */
import { assert } from "../../assert.js"
import { fail } from "../../failures.js"
import { KIB } from "../../limits.js"
import type { Clock } from "../clock/contract.js"
import type { Random } from "../random/contract.js"
import type { Connection, ConnectionEvents, Listener, Net, NetAddress } from "./contract.js"
import { SimPipe } from "./sim-pipe.js"

export interface SimNetOptions {
  readonly delayMs: { readonly least: number; readonly most: number }
  /** The rate of all connections from one host to another together. */
  readonly bytesPerSecond: number
  /** The bytes that the network holds for each direction of a connection. */
  readonly bufferBytes: number
  /** The largest piece in which bytes arrive. */
  readonly segmentBytes: number
  /** One in this many deliveries resets its connection; 0: none. */
  readonly lossOneIn: number
}

const DEFAULTS: SimNetOptions = {
  delayMs: { least: 0.1, most: 0.5 },
  bytesPerSecond: 1e9,
  bufferBytes: 256 * KIB,
  segmentBytes: 64 * KIB,
  lossOneIn: 0,
}

const FIRST_FREE_PORT = 40_000

/** The key of a direction between two hosts. The length tells where the first name ends: names may contain `>`. */
const linkOf = (from: string, to: string): string => `${from.length}:${from}>${to}`

type Accept = (connection: Connection) => void

export class SimNetwork {
  readonly options: SimNetOptions
  lossOneIn: number
  /** By host, then by port. */
  private readonly listeners = new Map<string, Map<number, Accept>>()
  private readonly cuts = new Set<string>()
  private readonly pairs = new Set<Pair>()
  private readonly waiting = new Set<() => void>()
  private readonly fingerprints = new Map<string, string>()
  private readonly freeAtMs = new Map<string, number>()
  private nextPort = FIRST_FREE_PORT

  constructor(
    readonly clock: Clock,
    private readonly random: Random,
    options: Partial<SimNetOptions> = {},
  ) {
    this.options = { ...DEFAULTS, ...options }
    this.lossOneIn = this.options.lossOneIn
  }

  /** The network as this host uses it; `fingerprint` is what its peers see. */
  host(name: string, fingerprint?: string): Net {
    if (fingerprint !== undefined) this.fingerprints.set(name, fingerprint)
    return {
      listen: async (at, accept) => this.listen(name, at, accept),
      connect: (to, signal, expected) => this.connect(name, to, signal, expected),
    }
  }

  /** Holds everything sent from one host to the other, in this direction only. */
  cut(from: string, to: string): void {
    this.cuts.add(linkOf(from, to))
  }

  heal(from: string, to: string): void {
    this.cuts.delete(linkOf(from, to))
    this.continueAll()
  }

  partition(some: readonly string[], others: readonly string[]): void {
    for (const a of some) {
      for (const b of others) {
        this.cut(a, b)
        this.cut(b, a)
      }
    }
  }

  healAll(): void {
    this.cuts.clear()
    this.continueAll()
  }

  /** The host's processes are gone: nothing is sent for them, and a peer notices once it sends. */
  crash(host: string): void {
    this.listeners.delete(host)
    for (const pair of this.pairs) pair.crash(host)
  }

  /** Resets all connections, as a router that restarts does. */
  dropAll(): void {
    for (const pair of [...this.pairs]) pair.drop("ECONNRESET")
  }

  /** The number of open connections. */
  get connections(): number {
    return this.pairs.size
  }

  isCut(from: string, to: string): boolean {
    return this.cuts.has(linkOf(from, to))
  }

  forget(pair: Pair): void {
    this.pairs.delete(pair)
  }

  /** When bytes that are sent now arrive. */
  arrivalMs(from: string, to: string, bytes: number): number {
    const link = linkOf(from, to)
    const startMs = Math.max(this.clock.monotonicMs(), this.freeAtMs.get(link) ?? 0)
    const sentMs = startMs + (bytes * 1_000) / this.options.bytesPerSecond
    this.freeAtMs.set(link, sentMs)
    return sentMs + this.delayMs()
  }

  delayMs(): number {
    const { least, most } = this.options.delayMs
    return least + ((most - least) * this.random.below(1_000)) / 1_000
  }

  /** The length of the next piece of this many bytes. */
  segmentOf(bytes: number): number {
    const most = Math.min(bytes, this.options.segmentBytes)
    return this.random.below(4) === 0 ? 1 + this.random.below(most) : most
  }

  isLost(): boolean {
    return this.lossOneIn > 0 && this.random.below(this.lossOneIn) === 0
  }

  private listen(host: string, at: NetAddress, accept: Accept): Listener {
    const port = at.port === 0 ? this.nextPort++ : at.port
    const ports = this.listeners.get(host) ?? new Map<number, Accept>()
    if (ports.has(port))
      throw fail("invalidConfig", { message: `cannot listen on ${host}:${port}`, code: "EADDRINUSE" })
    this.listeners.set(host, ports.set(port, accept))
    return {
      address: { host, port },
      close: async () => {
        if (ports.get(port) === accept) ports.delete(port)
      },
    }
  }

  private async connect(
    from: string,
    to: NetAddress,
    signal: AbortSignal,
    expected: string | undefined,
  ): Promise<Connection> {
    signal.throwIfAborted()
    await this.travel(from, to.host, signal)
    const accept = this.listeners.get(to.host)?.get(to.port)
    await this.travel(to.host, from, signal)
    if (accept === undefined) {
      throw fail("peerUnreachable", { address: `${to.host}:${to.port}`, code: "ECONNREFUSED" })
    }
    const fingerprint = this.fingerprints.get(to.host)
    if (expected !== undefined && expected !== fingerprint) {
      throw fail("peerUnreachable", { address: `${to.host}:${to.port}`, code: "notAdmitted" })
    }
    const pair = new Pair(
      this,
      { host: from, fingerprint: this.fingerprints.get(from) },
      { host: to.host, fingerprint },
    )
    this.pairs.add(pair)
    accept(pair.there)
    return pair.here
  }

  /** One packet from host to host. */
  private async travel(from: string, to: string, signal: AbortSignal): Promise<void> {
    await this.clock.sleep(this.delayMs(), signal)
    while (this.isCut(from, to) && !signal.aborted) {
      await new Promise<void>(resolve => {
        const wake = (): void => {
          this.waiting.delete(wake)
          signal.removeEventListener("abort", wake)
          resolve()
        }
        this.waiting.add(wake)
        signal.addEventListener("abort", wake)
      })
    }
    signal.throwIfAborted()
  }

  private continueAll(): void {
    for (const wake of [...this.waiting]) wake()
    for (const pair of [...this.pairs]) pair.continue()
  }
}

interface SimHost {
  readonly host: string
  readonly fingerprint: string | undefined
}

/** Both ends of one connection. */
class Pair {
  readonly here: SimConnection
  readonly there: SimConnection

  constructor(
    private readonly network: SimNetwork,
    client: SimHost,
    server: SimHost,
  ) {
    const out = new SimPipe(network, client.host, server.host)
    const back = new SimPipe(network, server.host, client.host)
    this.here = new SimConnection(this, client.host, server, { out, in: back })
    this.there = new SimConnection(this, server.host, client, { out: back, in: out })
    out.connect(this.there, this.here)
    back.connect(this.here, this.there)
  }

  drop(reason: string): void {
    this.here.close(reason)
    this.there.close(reason)
  }

  crash(host: string): void {
    this.here.crashIf(host)
    this.there.crashIf(host)
  }

  continue(): void {
    this.here.pipes.in.deliver()
    this.there.pipes.in.deliver()
  }

  closedOne(): void {
    if (this.here.isClosed && this.there.isClosed) this.network.forget(this)
  }
}

class SimConnection implements Connection {
  readonly remote: string
  readonly fingerprint: string | undefined
  isClosed = false
  isPaused = true
  private events: ConnectionEvents | undefined

  constructor(
    private readonly pair: Pair,
    private readonly host: string,
    peer: SimHost,
    readonly pipes: { readonly out: SimPipe; readonly in: SimPipe },
  ) {
    this.remote = peer.host
    this.fingerprint = peer.fingerprint
  }

  start(events: ConnectionEvents): void {
    this.events = events
    this.resume()
  }

  write(buffers: readonly Uint8Array[], written: () => void): void {
    if (!this.isClosed) this.pipes.out.write(buffers, written)
  }

  pause(): void {
    this.isPaused = true
  }

  resume(): void {
    this.isPaused = false
    this.pipes.in.deliver()
  }

  end(): void {
    if (!this.isClosed) this.pipes.out.finish("end")
  }

  reset(): void {
    if (this.isClosed) return
    this.pipes.out.finish("reset")
    this.close("reset")
  }

  receive(bytes: Uint8Array): void {
    assert(!this.isClosed, "a closed connection receives nothing")
    this.events?.bytes(bytes)
  }

  /** Tells the program, in a later event as sockets do. */
  close(reason: string | undefined): void {
    if (this.isClosed) return
    this.isClosed = true
    this.pipes.out.forgetMemory()
    this.pair.closedOne()
    const { events } = this
    if (events !== undefined) queueMicrotask(() => events.closed(reason))
  }

  /** Without an event: the program that would receive it is gone. */
  crashIf(host: string): void {
    if (host !== this.host) return
    this.events = undefined
    this.close(undefined)
  }
}
