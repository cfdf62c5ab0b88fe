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
import type { SessionHost, StoreSession } from "./store-session.js"
import { SwitchableProtocol } from "./switchable-protocol.js"

const PORTS_MAX = 16

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
  private ports: readonly WaitingPort[] = []
  private closing = new AbortController()
  private serving: Promise<unknown> = Promise.resolve()

  /** `count` receives what each port has counted. */
  constructor(
    private readonly seams: SessionHost["seams"],
    private readonly settings: SharedSettings,
    private readonly count: (counted: MetricsSnapshot) => void,
  ) {}

  /** Listens at the ports, and holds requests back. `session`: the store that has to end. */
  async hold(ports: readonly HeldPort[], session: StoreSession): Promise<void> {
    const { signal } = (this.closing = new AbortController())
    const opened = await mapBounded(ports, PORTS_MAX, port => this.open(port, session, signal))
    this.ports = opened.flatMap(each => each ?? [])
  }

  /** Requests go to this store from now on, also those that wait. */
  use(session: StoreSession): void {
    for (const { protocol, protocolOf } of this.ports) protocol.use(protocolOf(session))
  }

  /** Requests under way end. */
  close(): void {
    this.closing.abort()
  }

  /** Resolves once no port is open any more. */
  async closed(): Promise<void> {
    await this.serving
  }

  private async open(port: HeldPort, session: StoreSession, signal: AbortSignal): Promise<WaitingPort | undefined> {
    const { clock, random, telemetry } = this.seams
    const { name, listen, certificates, protocolOf } = port
    const metrics = new MetricsInMemory()
    const protocol = new SwitchableProtocol(protocolOf(session), clock)
    void protocol.hold()
    const seams = { clock, random, telemetry: { ...telemetry, metrics } }
    const server = new HttpServer(
      seams,
      protocol,
      { ...this.settings, ...listen, name, sharesPort: true },
      certificates,
    )
    try {
      await server.listen()
    } catch (error) {
      telemetry.log.warn("port_not_held", { server: name, reason: asFailure(error).message })
      return undefined
    }
    const ended = server.run(signal).then(() => this.count(metrics.snapshot()))
    this.serving = Promise.all([this.serving, ended])
    return { protocol, protocolOf }
  }
}
