/**
 * Front: the ports of the process, with the store behind them, which may be exchanged.
 *
 * Promises  The admin port closes last: probes and `hayloft status` work while requests of the other ports finish.
 */
import { fail, type Failure } from "@hayloft/base/failures.js"
import { readVersion } from "@hayloft/cli/version.js"
import type { ListenAddress, ServeConfig } from "@hayloft/node/config/config.js"
import {
  Admission,
  CertificateFolder,
  Certificates,
  HTTP_LIMITS,
  HttpServer,
  type Exchange,
  type Protocol,
  type RequestWatch,
} from "@hayloft/protocols/http/index.js"
import type { AccessLog, LiveRequests } from "@hayloft/admin/observe/index.js"
import type { BackgroundService } from "@hayloft/base/life/index.js"
import { sharedMetrics, type Metrics } from "@hayloft/base/seams/telemetry/contract.js"
import { RuntimeFiles } from "./runtime-file.js"
import { endingAfter, type PortSignals } from "./shutdown.js"
import { isLoopback, type SessionHost, type StoreSession } from "./store-session.js"
import { SwitchableProtocol } from "./switchable-protocol.js"

const CERTIFICATE = "hayloft_certificate_expiry_timestamp_seconds"

/** They are answered from memory. */
const PROBES = ["/health/", "/minio/health/"]

const stalledBy =
  (reason: () => string | undefined) =>
  ({ rawTarget }: Pick<Exchange, "rawTarget">): Failure | undefined => {
    const message = reason()
    if (message === undefined || PROBES.some(path => rawTarget.startsWith(path))) return undefined
    return fail("deviceFailed", { message })
  }

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
      readonly s3: SwitchableProtocol
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
    { seams, live, endpoints }: Pick<SessionHost, "seams" | "live" | "endpoints">,
    accessLog: AccessLog | undefined,
    session: StoreSession,
    { cut }: Pick<PortSignals, "cut">,
  ): Promise<Front> {
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
    const s3Port = new SwitchableProtocol(session.s3(adminEndpoint), clock)
    // All ports are served by one thread: what websites take is weighed against what accounts take.
    const admission = new Admission(clock, limits)
    const s3 = new HttpServer(seams, s3Port, { ...shared, name: "s3", ...config.listen }, certificates, admission)
    const s3At = await s3.listen()
    const endpoint = endpointOf(config.listen, s3At.port, certificates !== undefined)
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
    const services: BackgroundService[] = [s3, endingAfter(admin, closed), ...further.map(({ server }) => server)]
    if (accessLog !== undefined) services.push(endingAfter(accessLog, Promise.all([closed, admin.closed])))
    const front = new Front(session, { s3: s3Port, admin: adminPort, further }, endpoint, adminEndpoint, services)
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
    this.ports.s3.use(session.s3(this.adminEndpoint))
    for (const { kind, port } of this.ports.further) port.use(kind.protocolOf(session, this.adminEndpoint))
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
