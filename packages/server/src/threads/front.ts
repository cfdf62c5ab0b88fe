/**
 * Front: the ports of the process, with the store behind them, which may be exchanged.
 *
 * Promises  The admin port closes last: probes and `hayloft status` work while requests of the other ports finish.
 */
import { readVersion } from "@hayloft/cli/version.js"
import type { ListenAddress, ServeConfig } from "@hayloft/node/config/config.js"
import { BOUNDS_OF } from "@hayloft/node/config/index.js"
import {
  Admission,
  CertificateFolder,
  Certificates,
  HTTP_LIMITS,
  HttpServer,
  limitsOfFiles,
  limitsOfThread,
  type HttpLimits,
  type HttpServerSettings,
  type Protocol,
  type RequestWatch,
} from "@hayloft/protocols/http/index.js"
import type { AccessLog, LiveRequests } from "@hayloft/admin/observe/index.js"
import { must } from "@hayloft/base/assert.js"
import { mapBounded, type BackgroundService } from "@hayloft/base/life/index.js"
import { openFilesMax } from "@hayloft/base/seams/telemetry/real-process.js"
import { registerExpiry, registerExpiryOfS3 } from "../ports/certificate-expiry.js"
import type { FrontThreads } from "./front-workers.js"
import { RuntimeFiles } from "../process/runtime-file.js"
import { endingAfter, whenAborted, type PortSignals } from "../process/shutdown.js"
import { isLoopback, threadedPort, type ThreadedPortName } from "../ports/ports.js"
import type { SessionHost, StoreSession } from "../store-session.js"
import { stalledBy } from "../ports/stalled-requests.js"
import { SwitchableProtocol } from "../ports/switchable-protocol.js"
import { WaitingPorts } from "../ports/waiting-ports.js"

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

/** A port besides the admin port, in whichever threads. */
interface OpenPort {
  /** In the banner. */
  readonly title: string
  readonly endpoint: string
  /** Empty if another port's service serves this one, too. */
  readonly services: readonly BackgroundService[]
  /** Resolves once no request is under way any more, after the services were to end. */
  readonly closed: Promise<void>
  hold(): Promise<void>
  use(session: StoreSession): void
}

export class Front {
  private isStopping = false

  private constructor(
    private session: StoreSession,
    private readonly admin: SwitchableProtocol,
    /** S3 is the first. */
    private readonly ports: readonly OpenPort[],
    readonly adminEndpoint: string,
    /** The caller supervises them until the stop. */
    readonly services: readonly BackgroundService[],
  ) {}

  get endpoint(): string {
    return must(this.ports[0], "S3 has a port").endpoint
  }

  /** The ports besides S3 and the admin port: the title of each, and its URL. */
  get furtherEndpoints(): readonly (readonly [title: string, endpoint: string])[] {
    return this.ports.slice(1).map(({ title, endpoint }) => [title, endpoint])
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
    registerExpiryOfS3(seams.telemetry.metrics, config, certificates)
    const ofFiles = limitsOfPorts(config)
    const { connectionsMax } = ofFiles
    if (connectionsMax < HTTP_LIMITS.connectionsMax) seams.telemetry.log.warn("few_open_files", { connectionsMax })
    const limits = {
      ...limitsOfThread(ofFiles, 1 / BOUNDS_OF[config.profile].share),
      stopMs: config.shutdown.stopMs,
    }
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
      adminCertificates?.ofServer(),
    )
    const adminAt = await admin.listen()
    const adminEndpoint = endpointOf(config.adminListen, adminAt.port, adminCertificates !== undefined)
    // All ports that this thread serves: what websites take is weighed against what accounts take.
    const settings = { ...shared, admission: new Admission(clock, limits) }
    const ports = await openPorts({ seams, session, adminEndpoint, certificates, settings }, host.threads)
    const closed = mapBounded(ports, PORT_KINDS.length, each => each.closed)
    const services = [...ports.flatMap(each => each.services), endingAfter(admin, closed)]
    if (accessLog !== undefined) services.push(endingAfter(accessLog, Promise.all([closed, admin.closed])))
    const front = new Front(session, adminPort, ports, adminEndpoint, services)
    const { endpoint } = front
    endpoints.s3 = endpoint
    const certificate = config.tls === undefined ? {} : { certificateFile: config.tls.certFile }
    serving = () => front.session
    const runtime = { endpoint, adminEndpoint, region: session.region, pid: process.pid, ...certificate }
    services.push(await RuntimeFiles.begin(clock, () => front.session.running.engine.devices, runtime))
    // A command that is called once the store is ready finds its address.
    session.running.status.setListening()
    return front
  }

  /** No request of a client reaches the store any more. The admin port goes on: operators see what happens. */
  async hold(reason: string): Promise<void> {
    this.session.running.status.setHeld(reason)
    await mapBounded(this.ports, PORT_KINDS.length, port => port.hold())
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
    this.admin.use(session.admin())
    for (const port of this.ports) port.use(session)
  }
}

/** A port besides the admin port, which is open only if its address is configured. */
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
  /** Front threads serve it, if there are any; undefined: the thread of the engine does. */
  readonly threaded?: ThreadedPortName
}

const inAnyThread = (name: ThreadedPortName, title: string, flag: string): PortKind => {
  const port = threadedPort(name)
  return {
    name,
    title,
    flag,
    listenOf: port.listenOf,
    protocolOf: (session, adminUrl) => port.protocolOf(session.parts(), adminUrl),
    ...(port.folderOf && { folderOf: port.folderOf }),
    threaded: name,
  }
}

const S3_KIND = inAnyThread("s3", "S3", "--listen")

const FURTHER_KINDS: readonly PortKind[] = [
  inAnyThread("websites", "Websites", "--website-listen"),
  inAnyThread("swift", "Swift", "--swift-listen"),
  inAnyThread("k2v", "K2V", "--k2v-listen"),
  inAnyThread("queue", "Queues", "--queue-listen"),
]

const PORT_KINDS = [S3_KIND, ...FURTHER_KINDS]

/** Every address besides those of S3 and the admin port that clients may use. */
export const furtherAddresses = (config: ServeConfig): readonly (ListenAddress & { readonly flag: string })[] =>
  FURTHER_KINDS.flatMap(({ flag, listenOf }) => {
    const listen = listenOf(config)
    return listen === undefined ? [] : [{ flag, ...listen }]
  })

/** The limits of each port, with those of S3 and the admin port. */
const limitsOfPorts = (config: ServeConfig): HttpLimits =>
  limitsOfFiles(HTTP_LIMITS, openFilesMax(), 2 + furtherAddresses(config).length)

interface PortHost {
  readonly seams: SessionHost["seams"]
  readonly session: StoreSession
  readonly adminEndpoint: string
  /** The certificates of S3. */
  readonly certificates: Certificates | undefined
  readonly settings: Omit<HttpServerSettings, "name" | "host" | "port"> & {
    readonly cut: AbortSignal
    readonly admission: Admission
  }
}

interface Configured {
  readonly kind: PortKind
  readonly listen: ListenAddress
}

/** Binds the ports that are configured, in the order of the kinds. Throws `invalidConfig`. */
async function openPorts(host: PortHost, threads: FrontThreads | undefined): Promise<readonly OpenPort[]> {
  const { config } = host.session
  const configured = PORT_KINDS.flatMap((kind): readonly Configured[] => {
    const listen = kind.listenOf(config)
    return listen === undefined ? [] : [{ kind, listen }]
  })
  const ofThreads = threads === undefined ? [] : await openThreaded(threads, host, configured)
  const ports: OpenPort[] = [...ofThreads]
  for (const { kind, listen } of configured) {
    if (threads === undefined || kind.threaded === undefined) ports.push(await openOwn(host, kind, listen))
  }
  return ports
}

/** Binds a port that this thread serves. */
async function openOwn(
  { seams, session, adminEndpoint, certificates: ofS3, settings: { admission, ...settings } }: PortHost,
  kind: PortKind,
  listen: ListenAddress,
): Promise<OpenPort> {
  const certificates = kind.folderOf === undefined ? ofS3?.ofServer() : folderFor(seams, kind.folderOf(session.config))
  const protocol = new SwitchableProtocol(kind.protocolOf(session, adminEndpoint), seams.clock)
  const server = new HttpServer(seams, protocol, { ...settings, name: kind.name, ...listen }, certificates, admission)
  const { port } = await server.listen()
  return {
    title: kind.title,
    endpoint: endpointOf(listen, port, certificates !== undefined),
    services: [server],
    get closed() {
      return server.closed
    },
    hold: () => protocol.hold(),
    use: next => protocol.use(kind.protocolOf(next, adminEndpoint)),
  }
}

/** Starts the front threads, which bind their ports. The first port stands for all. */
async function openThreaded(
  threads: FrontThreads,
  { seams, session, adminEndpoint, certificates, settings }: PortHost,
  configured: readonly Configured[],
): Promise<readonly OpenPort[]> {
  const asked = configured.filter(({ kind }) => kind.threaded !== undefined)
  const shared = asked.flatMap(({ kind: { threaded: name }, listen }) => (name === undefined ? [] : [{ name, listen }]))
  threads.cutBy(settings.cut)
  const bound = await threads.open(session.forThreads(adminEndpoint), shared)
  const ended: { all: () => void } = { all: () => undefined }
  const closed = new Promise<void>(resolve => (ended.all = resolve))
  let serving = session
  const waiting = new WaitingPorts(seams, settings, counted => threads.count(counted))
  const held = (): Parameters<WaitingPorts["hold"]>[0] =>
    asked.map(({ kind }, at) => ({
      name: kind.name,
      listen: must(bound[at], "each of them listens").listen,
      certificates: certificatesFor(seams, kind, session.config),
      protocolOf: of => kind.protocolOf(of, adminEndpoint),
    }))
  const run = async (signal: AbortSignal): Promise<void> => {
    whenAborted(signal, () => waiting.close())
    await threads.run(signal)
    await waiting.closed()
    ended.all()
  }
  const first = {
    services: [{ name: threads.name, run }],
    closed,
    hold: async () => {
      await waiting.hold(held(), serving)
      await threads.hold()
    },
    use: (next: StoreSession) => {
      serving = next
      waiting.use(next)
      threads.resume(next.forThreads(adminEndpoint), bound, () => waiting.closeFor(next))
    },
  }
  const others = { services: [], closed, hold: () => Promise.resolve(), use: () => undefined }
  return asked.map(({ kind, listen }, at) => {
    const { port } = must(bound[at], "each of them listens")
    const hasTls =
      kind.folderOf === undefined ? certificates !== undefined : kind.folderOf(session.config) !== undefined
    const endpoint = endpointOf(listen, port, hasTls)
    return { title: kind.title, endpoint, ...(at === 0 ? first : others) }
  })
}

/** The certificates of a port, as its files are now. */
function certificatesFor(
  { disk, telemetry }: SessionHost["seams"],
  { folderOf }: PortKind,
  config: ServeConfig,
): Certificates | CertificateFolder | undefined {
  const { tls } = config
  if (folderOf === undefined)
    return tls && new Certificates(disk, { certificatePath: tls.certFile, keyPath: tls.keyFile })
  const folder = folderOf(config)
  return folder === undefined ? undefined : new CertificateFolder(disk, folder, telemetry.log)
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
