/**
 * Front: the ports of the process, with the store behind them, which may be exchanged.
 *
 * Promises  The admin port closes last: probes and `hayloft status` work while requests of the other ports finish.
 */
import { readVersion } from "../cli/version.js"
import type { ListenAddress } from "../config/config.js"
import {
  Admission,
  CertificateFolder,
  Certificates,
  HTTP_LIMITS,
  HttpServer,
  type RequestWatch,
} from "../http/index.js"
import type { AccessLog, LiveRequests } from "../observe/index.js"
import type { BackgroundService } from "../life/index.js"
import type { Metrics } from "../seams/telemetry/contract.js"
import { RuntimeFiles } from "./runtime-file.js"
import { endingAfter, type PortSignals } from "./shutdown.js"
import { isLoopback, type SessionHost, type StoreSession } from "./store-session.js"
import { SwitchableProtocol } from "./switchable-protocol.js"

const CERTIFICATE = "hayloft_certificate_expiry_timestamp_seconds"

function registerExpiry(
  metrics: Metrics,
  expiries: () => readonly (readonly [file: string, expiresMs: number])[],
): void {
  metrics.gauge(CERTIFICATE, "When a certificate in use expires, as Unix time", () =>
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
      readonly websites: SwitchableProtocol | undefined
    },
    readonly endpoint: string,
    readonly adminEndpoint: string,
    /** The caller supervises them until the stop. */
    readonly services: readonly BackgroundService[],
    /** Undefined if websites are not served. */
    readonly websiteEndpoint: string | undefined,
  ) {}

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
    const shared = { serverHeader: `Hayloft/${readVersion()}`, limits, cut, watch: watchOf(live.requests, accessLog) }
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
    // Both ports are served by one thread: what websites take is weighed against what accounts take.
    const admission = new Admission(clock, limits)
    const s3 = new HttpServer(seams, s3Port, { ...shared, name: "s3", ...config.listen }, certificates, admission)
    const s3At = await s3.listen()
    const endpoint = endpointOf(config.listen, s3At.port, certificates !== undefined)
    endpoints.s3 = endpoint
    const websites = await openWebsites(seams, session, adminEndpoint, { ...shared, admission })
    session.running.status.setListening()
    const closed = Promise.all([s3.closed, websites?.server.closed])
    const services: BackgroundService[] = [s3, endingAfter(admin, closed)]
    if (websites !== undefined) services.push(websites.server)
    if (accessLog !== undefined) services.push(endingAfter(accessLog, Promise.all([closed, admin.closed])))
    const ports = { s3: s3Port, admin: adminPort, websites: websites?.port }
    const front = new Front(session, ports, endpoint, adminEndpoint, services, websites?.endpoint)
    const certificate = config.tls === undefined ? {} : { certificateFile: config.tls.certFile }
    const runtime = { endpoint, adminEndpoint, region: session.region, pid: process.pid, ...certificate }
    services.push(await RuntimeFiles.begin(clock, () => front.session.running.engine.devices, runtime))
    return front
  }

  /** No request of a client reaches the store any more. The admin port goes on: operators see what happens. */
  hold(): Promise<void> {
    this.session.running.status.setHeld("requests wait until the metadata of the store has moved")
    const { s3, websites } = this.ports
    return Promise.all([s3.hold(), websites?.hold()]).then(() => undefined)
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
    this.ports.websites?.use(session.websites(this.adminEndpoint))
  }
}

interface Websites {
  readonly server: HttpServer
  readonly port: SwitchableProtocol
  readonly endpoint: string
}

/** Binds the port of websites, if there is one. Throws `invalidConfig`. */
async function openWebsites(
  seams: SessionHost["seams"],
  session: StoreSession,
  adminUrl: string,
  {
    admission,
    ...shared
  }: {
    readonly serverHeader: string
    readonly limits: typeof HTTP_LIMITS
    readonly cut: AbortSignal
    readonly watch: RequestWatch
    readonly admission: Admission
  },
): Promise<Websites | undefined> {
  const { website } = session.config
  if (website === undefined) return undefined
  const { listen, certificates: folder } = website
  const certificates = folder === undefined ? undefined : new CertificateFolder(seams.disk, folder, seams.telemetry.log)
  registerExpiry(seams.telemetry.metrics, () => certificates?.expiries ?? [])
  const port = new SwitchableProtocol(session.websites(adminUrl), seams.clock)
  const server = new HttpServer(seams, port, { ...shared, name: "websites", ...listen }, certificates, admission)
  const at = await server.listen()
  return { server, port, endpoint: endpointOf(listen, at.port, certificates !== undefined) }
}

function endpointOf({ host }: ListenAddress, port: number, secure: boolean): string {
  const shown = host === "0.0.0.0" ? "127.0.0.1" : host === "::" ? "::1" : host
  return `${secure ? "https" : "http"}://${shown.includes(":") ? `[${shown}]` : shown}:${port}`
}
