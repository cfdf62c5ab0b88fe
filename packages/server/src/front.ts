/**
 * Front: the ports of the process, with the store behind them, which may be exchanged.
 *
 * Promises  The admin port closes last: probes and `hayloft status` work while requests of the other ports finish.
 */
import { readVersion } from "@hayloft/cli/version.js"
import type { ListenAddress, ServeConfig } from "@hayloft/node/config/config.js"
import {
  Admission,
  CertificateFolder,
  Certificates,
  HTTP_LIMITS,
  HttpServer,
  type HttpServerSettings,
  type Protocol,
  type RequestWatch,
} from "@hayloft/protocols/http/index.js"
import type { AccessLog, LiveRequests } from "@hayloft/admin/observe/index.js"
import type { BackgroundService } from "@hayloft/base/life/index.js"
import { sharedMetrics, type Metrics } from "@hayloft/base/seams/telemetry/contract.js"
import type { FrontThreads } from "./front-workers.js"
import { RuntimeFiles } from "./runtime-file.js"
import { endingAfter, type PortSignals } from "./shutdown.js"
import { isLoopback } from "./s3-port.js"
import type { SessionHost, StoreSession } from "./store-session.js"
import { stalledBy } from "./stalled-requests.js"
import { SwitchableProtocol } from "./switchable-protocol.js"

const CERTIFICATE = "hayloft_certificate_expiry_timestamp_seconds"

function registerExpiry(
  metrics: Metrics,
  expiries: () => readonly (readonly [file: string, expiresMs: number])[],
): void {
  sharedMetrics(metrics).gauge(CERTIFICATE, "When a certificate in use expires, as Unix time", () =>
    expiries().map(([file, expiresMs]) => [{ file }, expiresMs / 1000]),
  )
}

const watchOf = (live: LiveRequests, accessLog: AccessLog | undefined): RequestWatch =>
  accessLog === undefined
    ? live
    : {
        finished: (server, request) => {
          live.finished(server, request)
          accessLog.finished(server, request)
        },
      }

const STOPPING = "the server is stopping: send requests to another node, or wait until it runs again"

export class Front {
  private isStopping = false

  private constructor(
    private session: StoreSession,
    private readonly ports: {
      readonly s3: S3Port
      readonly admin: SwitchableProtocol
      readonly further: readonly FurtherPort[]
    },
    readonly endpoint: string,
    readonly adminEndpoint: string,
    /** The caller supervises them until the stop. */
    readonly services: readonly BackgroundService[],
  ) {}

  /** The ports besides S3 and the admin port: the title of each, and its URL. */
  get furtherEndpoints(): readonly (readonly [title: string, endpoint: string])[] {
    return this.ports.further.map(({ kind, endpoint }) => [kind.title, endpoint])
  }

  /** Binds all ports. Throws `invalidConfig`. */
  static async open(
    host: Pick<SessionHost, "seams" | "live" | "endpoints" | "threads">,
    accessLog: AccessLog | undefined,
    session: StoreSession,
    { cut }: Pick<PortSignals, "cut">,
  ): Promise<Front> {
    const { seams, live, endpoints } = host
    const { clock, disk } = seams
    const { config } = session
    const certificates =
      config.tls && new Certificates(disk, { certificatePath: config.tls.certFile, keyPath: config.tls.keyFile })
    registerExpiry(seams.telemetry.metrics, () => {
      const { expiresMs } = certificates ?? {}
      return expiresMs === undefined ? [] : [[config.tls?.certFile ?? "", expiresMs]]
    })
    const limits = { ...HTTP_LIMITS, stopMs: config.shutdown.stopMs }
    let serving = (): StoreSession => session
    const shared = {
      serverHeader: `Hayloft/${readVersion()}`,
      limits,
      cut,
      watch: watchOf(live.requests, accessLog),
      stalled: stalledBy(() => serving().running.engine.stalled),
    }
    // The admin port uses no TLS on loopback: probes and scrapers on the machine need no certificate.
    const adminCertificates = isLoopback(config.adminListen) ? undefined : certificates
    const adminPort = new SwitchableProtocol(session.admin(), clock)
    const admin = new HttpServer(
      seams,
      adminPort,
      { ...shared, name: "admin", ...config.adminListen },
      adminCertificates,
    )
    const adminAt = await admin.listen()
    const adminEndpoint = endpointOf(config.adminListen, adminAt.port, adminCertificates !== undefined)
    // All ports that this thread serves: what websites take is weighed against what accounts take.
    const admission = new Admission(clock, limits)
    const settings = { ...shared, name: "s3", ...config.listen }
    const s3 =
      host.threads === undefined
        ? await openOwnS3(seams, { session, adminEndpoint, certificates, admission, settings })
        : await openThreadedS3(host.threads, seams, { session, adminEndpoint, cut })
    const endpoint = endpointOf(config.listen, s3.port, certificates !== undefined)
    endpoints.s3 = endpoint
    const further: FurtherPort[] = []
    for (const kind of FURTHER_PORTS) {
      const listen = kind.listenOf(config)
      if (listen === undefined) continue
      further.push(
        await openFurther({ seams, session, adminEndpoint, certificates }, kind, listen, { ...shared, admission }),
      )
    }
    session.running.status.setListening()
    const closed = Promise.all([s3.closed, ...further.map(({ server }) => server.closed)])
    const services: BackgroundService[] = [
      s3.service,
      endingAfter(admin, closed),
      ...further.map(({ server }) => server),
    ]
    if (accessLog !== undefined) services.push(endingAfter(accessLog, Promise.all([closed, admin.closed])))
    const front = new Front(session, { s3, admin: adminPort, further }, endpoint, adminEndpoint, services)
    const certificate = config.tls === undefined ? {} : { certificateFile: config.tls.certFile }
    serving = () => front.session
    const runtime = { endpoint, adminEndpoint, region: session.region, pid: process.pid, ...certificate }
    services.push(await RuntimeFiles.begin(clock, () => front.session.running.engine.devices, runtime))
    return front
  }

  /** No request of a client reaches the store any more. The admin port goes on: operators see what happens. */
  hold(reason: string): Promise<void> {
    this.session.running.status.setHeld(reason)
    const { s3, further } = this.ports
    return Promise.all([s3.hold(), ...further.map(({ port }) => port.hold())]).then(() => undefined)
  }

  /** The ports are about to close: the store is not ready any more, and serves as before. */
  announceStop(): void {
    this.isStopping = true
    this.session.running.status.setHeld(STOPPING)
  }

  /** This store serves from now on, also the requests that wait. */
  use(session: StoreSession): void {
    this.session = session
    session.running.status.setListening()
    if (this.isStopping) this.announceStop()
    this.ports.admin.use(session.admin())
    this.ports.s3.use(session)
    for (const { kind, port } of this.ports.further) port.use(kind.protocolOf(session, this.adminEndpoint))
  }
}

/** The S3 port, in whichever threads. */
interface S3Port {
  readonly port: number
  readonly service: BackgroundService
  /** Resolves once no request is under way any more, after the service was to end. */
  readonly closed: Promise<void>
  hold(): Promise<void>
  use(session: StoreSession): void
}

interface OwnS3 {
  readonly session: StoreSession
  readonly adminEndpoint: string
  readonly certificates: Certificates | undefined
  readonly admission: Admission
  readonly settings: HttpServerSettings
}

/** Binds the S3 port of this thread. Throws `invalidConfig`. */
async function openOwnS3(
  seams: SessionHost["seams"],
  { session, adminEndpoint, certificates, admission, settings }: OwnS3,
): Promise<S3Port> {
  const protocol = new SwitchableProtocol(session.s3(adminEndpoint), seams.clock)
  const server = new HttpServer(seams, protocol, settings, certificates, admission)
  const { port } = await server.listen()
  return {
    port,
    service: server,
    get closed() {
      return server.closed
    },
    hold: () => protocol.hold(),
    use: next => protocol.use(next.s3(adminEndpoint)),
  }
}

interface ThreadedS3 {
  readonly session: StoreSession
  readonly adminEndpoint: string
  readonly cut: AbortSignal
}

/** Starts the front threads, which bind the S3 port. Throws `invalidConfig`. */
async function openThreadedS3(
  threads: FrontThreads,
  { telemetry }: Pick<SessionHost["seams"], "telemetry">,
  { session, adminEndpoint, cut }: ThreadedS3,
): Promise<S3Port> {
  const { listen } = session.config
  threads.cutBy(cut)
  const port = await threads.open(session.forThreads(adminEndpoint), listen)
  const ended: { all: () => void } = { all: () => undefined }
  const closed = new Promise<void>(resolve => (ended.all = resolve))
  return {
    port,
    closed,
    service: { name: threads.name, run: signal => threads.run(signal).finally(() => ended.all()) },
    hold: () => threads.hold(),
    use: next => {
      threads.open(next.forThreads(adminEndpoint), { ...listen, port }).catch((error: unknown) => {
        telemetry.log.error("front_threads_not_started", { reason: String(error) })
      })
    },
  }
}

/** A port besides S3 and the admin port, which is open only if its address is configured. */
interface PortKind {
  /** In logs, metrics and traces. */
  readonly name: string
  /** In the banner. */
  readonly title: string
  readonly flag: string
  readonly listenOf: (config: ServeConfig) => ListenAddress | undefined
  readonly protocolOf: (session: StoreSession, adminUrl: string) => Protocol
  /** Certificates of its own, and not those of S3; undefined: without TLS. */
  readonly folderOf?: (config: ServeConfig) => string | undefined
}

const FURTHER_PORTS: readonly PortKind[] = [
  {
    name: "websites",
    title: "Websites",
    flag: "--website-listen",
    listenOf: ({ website }) => website?.listen,
    protocolOf: (session, adminUrl) => session.websites(adminUrl),
    folderOf: ({ website }) => website?.certificates,
  },
  {
    name: "swift",
    title: "Swift",
    flag: "--swift-listen",
    listenOf: ({ swift }) => swift?.listen,
    protocolOf: (session, adminUrl) => session.swift(adminUrl),
  },
  {
    name: "k2v",
    title: "K2V",
    flag: "--k2v-listen",
    listenOf: ({ k2vListen }) => k2vListen,
    protocolOf: session => session.k2v(),
  },
  {
    name: "queue",
    title: "Queues",
    flag: "--queue-listen",
    listenOf: ({ queueListen }) => queueListen,
    protocolOf: session => session.queuePort.protocol(session.config),
  },
]

/** Every address besides those of S3 and the admin port that clients may use. */
export const furtherAddresses = (config: ServeConfig): readonly (ListenAddress & { readonly flag: string })[] =>
  FURTHER_PORTS.flatMap(({ flag, listenOf }) => {
    const listen = listenOf(config)
    return listen === undefined ? [] : [{ flag, ...listen }]
  })

interface FurtherPort {
  readonly kind: PortKind
  readonly server: HttpServer
  readonly port: SwitchableProtocol
  readonly endpoint: string
}

interface FurtherHost {
  readonly seams: SessionHost["seams"]
  readonly session: StoreSession
  readonly adminEndpoint: string
  /** The certificates of S3. */
  readonly certificates: Certificates | undefined
}

/** Binds a port. Throws `invalidConfig`. */
async function openFurther(
  { seams, session, adminEndpoint, certificates: ofS3 }: FurtherHost,
  kind: PortKind,
  listen: ListenAddress,
  {
    admission,
    ...shared
  }: {
    readonly serverHeader: string
    readonly limits: typeof HTTP_LIMITS
    readonly cut: AbortSignal
    readonly watch: RequestWatch
    readonly stalled: ReturnType<typeof stalledBy>
    readonly admission: Admission
  },
): Promise<FurtherPort> {
  const certificates = kind.folderOf === undefined ? ofS3 : folderFor(seams, kind.folderOf(session.config))
  const port = new SwitchableProtocol(kind.protocolOf(session, adminEndpoint), seams.clock)
  const server = new HttpServer(seams, port, { ...shared, name: kind.name, ...listen }, certificates, admission)
  const at = await server.listen()
  return { kind, server, port, endpoint: endpointOf(listen, at.port, certificates !== undefined) }
}

function folderFor(
  { disk, telemetry }: Pick<SessionHost["seams"], "disk" | "telemetry">,
  folder: string | undefined,
): CertificateFolder | undefined {
  if (folder === undefined) return undefined
  const certificates = new CertificateFolder(disk, folder, telemetry.log)
  registerExpiry(telemetry.metrics, () => certificates.expiries)
  return certificates
}

function endpointOf({ host }: ListenAddress, port: number, secure: boolean): string {
  const shown = host === "0.0.0.0" ? "127.0.0.1" : host === "::" ? "::1" : host
  return `${secure ? "https" : "http"}://${shown.includes(":") ? `[${shown}]` : shown}:${port}`
}
