/**
 * Waiting ports: the ports of the front threads while none of them listens, because the store is being opened again. They
 * listen beside the threads until these have ended, and until one of the next ones listens.
 *
 * Promises  No connection is refused meanwhile, and no other program takes a port. Requests wait for the next store, and
 *           are served by this thread, as by a process without front threads.
 */
import { asFailure } from "@hayloft/base/failures.js"
import { mapBounded } from "@hayloft/base/life/index.js"
import type { MetricsSnapshot } from "@hayloft/base/seams/telemetry/metrics-text-core.js"
import { MetricsInMemory } from "@hayloft/base/seams/telemetry/metrics.js"
import type { ListenAddress } from "@hayloft/node/config/index.js"
import {
  HttpServer,
  type CertificateFolder,
  type Certificates,
  type HttpServerSettings,
  type Protocol,
} from "@hayloft/protocols/http/index.js"
import type { SessionHost, StoreSession } from "../store-session.js"
import { SwitchableProtocol } from "./switchable-protocol.js"

const PORTS_MAX = 16
/** Requests that a client has sent before it could know that the port closes arrive within this time. */
const YIELD_MS = 1_000

/** A port of the front threads. */
interface HeldPort {
  readonly name: string
  readonly listen: ListenAddress
  readonly certificates: Certificates | CertificateFolder | undefined
  readonly protocolOf: (session: StoreSession) => Protocol
}

type SharedSettings = Omit<HttpServerSettings, "name" | "host" | "port">

interface WaitingPort {
  readonly protocol: SwitchableProtocol
  readonly protocolOf: HeldPort["protocolOf"]
}

export class WaitingPorts {
  /** Each of them listens, or serves its last requests. */
  private readonly ports = new Set<WaitingPort>()
  /** The store that they serve; undefined: requests are held back. */
  private served: StoreSession | undefined
  private closing: AbortController | undefined
  private serving: Promise<unknown> = Promise.resolve()

  /** `count` receives what each port has counted. */
  constructor(
    private readonly seams: SessionHost["seams"],
    private readonly settings: SharedSettings,
    private readonly count: (counted: MetricsSnapshot) => void,
  ) {}

  /**
   * Listens at the ports, and holds requests back. `session`: the store that has to end. Ports that are still open since the
   * store before, because no thread has listened yet, stay open.
   */
  async hold(ports: readonly HeldPort[], session: StoreSession): Promise<void> {
    this.served = undefined
    const drained = mapBounded([...this.ports], PORTS_MAX, ({ protocol }) => protocol.hold())
    if (this.closing === undefined || this.closing.signal.aborted) {
      const { signal } = (this.closing = new AbortController())
      await mapBounded(ports, PORTS_MAX, port => this.open(port, session, signal))
    }
    await drained
  }

  /** Requests go to this store from now on, also those that wait. */
  use(session: StoreSession): void {
    this.served = session
    for (const { protocol, protocolOf } of this.ports) protocol.use(protocolOf(session))
  }

  /** A thread serves this store now. Requests under way end. Does nothing if another store is served, or will be. */
  closeFor(session: StoreSession): void {
    if (this.served === session) this.close()
  }

  /** Requests under way end. */
  close(): void {
    this.closing?.abort()
  }

  /** Resolves once no port is open any more. */
  async closed(): Promise<void> {
    await this.serving
  }

  private async open(port: HeldPort, session: StoreSession, signal: AbortSignal): Promise<void> {
    const { clock, random, telemetry } = this.seams
    const { name, listen, certificates, protocolOf } = port
    const metrics = new MetricsInMemory()
    const protocol = new SwitchableProtocol(protocolOf(session), clock)
    void protocol.hold()
    const seams = { clock, random, telemetry: { ...telemetry, metrics } }
    const server = new HttpServer(
      seams,
      protocol,
      { ...this.settings, ...listen, name, sharesPort: true, yieldMs: YIELD_MS },
      certificates,
    )
    try {
      await server.listen()
    } catch (error) {
      telemetry.log.warn("port_not_held", { server: name, reason: asFailure(error).message })
      return
    }
    const waiting = { protocol, protocolOf }
    this.ports.add(waiting)
    const ended = server.run(signal).then(() => {
      this.ports.delete(waiting)
      this.count(metrics.snapshot())
    })
    this.serving = Promise.all([this.serving, ended])
  }
}
