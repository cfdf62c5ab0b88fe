/**
 * The network as one simulated process uses it: peers are admitted by their fingerprint, as `PeerConnections` does over
 * TLS, and events pass the gate of the process.
 *
 * Promises  A peer that is not admitted is disconnected before anything is read or written. After `end` no event comes.
 */
import { fail } from "@hayloft/base/failures.js"
import type { Connection, ConnectionEvents, Listener, Net, NetAddress } from "@hayloft/base/seams/net/contract.js"
import type { Gate } from "./gate.js"

export class ProcessNet implements Net {
  readonly fingerprints = new Set<string>()
  private readonly strangers = new Set<() => void>()
  private readonly open = new Set<ProcessConnection>()
  private listening = 0

  constructor(
    private readonly net: Net,
    private readonly gate: Gate,
  ) {}

  /** Describes what the process has not closed. */
  get left(): string | undefined {
    if (this.listening === 0 && this.open.size === 0) return undefined
    return `${this.listening} listeners and ${this.open.size} connections are open`
  }

  async listen(at: NetAddress, accept: (connection: Connection) => void): Promise<Listener> {
    const listener = await this.gate.pass(
      this.net.listen(at, connection => {
        const admitted = this.admit(connection)
        // Its events wait until the process accepts it.
        if (admitted !== undefined) this.gate.enter(() => accept(admitted))
      }),
    )
    this.listening += 1
    return {
      address: listener.address,
      close: async () => {
        await listener.close()
        this.listening -= 1
      },
    }
  }

  async connect(to: NetAddress, signal: AbortSignal, expected?: string): Promise<Connection> {
    const connection = await this.gate.pass(this.net.connect(to, signal, expected))
    const admitted = this.admit(connection)
    if (admitted !== undefined) return admitted
    throw fail("peerUnreachable", { address: `${to.host}:${to.port}`, code: "notAdmitted" })
  }

  private admit(connection: Connection): Connection | undefined {
    const { fingerprint } = connection
    if (fingerprint === undefined || !this.fingerprints.has(fingerprint)) {
      connection.reset()
      for (const listener of this.strangers) this.gate.enter(listener)
      return undefined
    }
    const admitted = new ProcessConnection(connection, this.gate, () => this.open.delete(admitted))
    this.open.add(admitted)
    return admitted
  }

  onStranger(listener: () => void): void {
    this.strangers.add(listener)
  }

  closeRevoked(): void {
    for (const connection of [...this.open]) {
      if (connection.fingerprint === undefined || !this.fingerprints.has(connection.fingerprint)) connection.reset()
    }
  }

  /** The process was killed: its system resets its connections. */
  resetAll(): void {
    for (const connection of [...this.open]) connection.reset()
  }
}

class ProcessConnection implements Connection {
  /** The program has reset it: it reads nothing more. */
  private isReset = false
  /** Data that has arrived is delivered in a later event than the one that starts the connection. */
  private isStarting = false

  constructor(
    private readonly below: Connection,
    private readonly gate: Gate,
    private readonly onClosed: () => void,
  ) {}

  get remote(): string {
    return this.below.remote
  }

  get fingerprint(): string | undefined {
    return this.below.fingerprint
  }

  start(events: ConnectionEvents): void {
    const receive = (chunk: Uint8Array): void =>
      this.gate.enter(() => {
        if (!this.isReset) events.bytes(chunk)
      })
    this.isStarting = true
    this.below.start({
      bytes: chunk => {
        if (this.isStarting) queueMicrotask(() => receive(chunk))
        else receive(chunk)
      },
      closed: reason => {
        this.onClosed()
        this.gate.enter(() => events.closed(reason))
      },
    })
    this.isStarting = false
  }

  write(buffers: readonly Uint8Array[], written: () => void): void {
    this.below.write(buffers, () =>
      this.gate.enter(() => {
        if (!this.isReset) written()
      }),
    )
  }

  pause(): void {
    this.below.pause()
  }

  resume(): void {
    this.below.resume()
  }

  end(): void {
    this.below.end()
  }

  reset(): void {
    this.isReset = true
    this.onClosed()
    this.below.reset()
  }
}
