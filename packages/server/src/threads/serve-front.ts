/**
 * Serves the ports of clients in a front thread, over the store of the engine thread.
 *
 * Order     The ports open once the services have started. `stop` closes them; once all requests have ended it is answered, and
 *           the engine thread closes the link, which ends the thread.
 * Promises  Whatever is counted, logged, denied or audited here the engine thread learns.
 * Limits    FRONT_LIMITS.
 */
import type { MessagePort } from "node:worker_threads"
import { denialOf, openAuditLog, SecretAttempts } from "@hayloft/access/index.js"
import { eventLog, RequestBatches } from "@hayloft/admin/observe/index.js"
import { supervise, type BackgroundService } from "@hayloft/base/life/index.js"
import { PortChannel } from "@hayloft/base/seams/channel/real.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { RealDisk } from "@hayloft/base/seams/disk/index.js"
import { RealRandom } from "@hayloft/base/seams/random/real.js"
import type { MetricsInMemory } from "@hayloft/base/seams/telemetry/metrics.js"
import { WholeLines } from "@hayloft/base/seams/telemetry/real-lines.js"
import { openFilesMax } from "@hayloft/base/seams/telemetry/real-process.js"
import { RealTelemetry, shownFields } from "@hayloft/base/seams/telemetry/real.js"
import type { Tracer } from "@hayloft/base/trace.js"
import type { Telemetry } from "@hayloft/base/seams/telemetry/contract.js"
import { RealWeb } from "@hayloft/base/seams/web/real.js"
import type { Compute } from "@hayloft/base/seams/compute/index.js"
import { REGION_DEFAULT } from "@hayloft/base/region.js"
import { partOf } from "@hayloft/base/text/round.js"
import { readVersion } from "@hayloft/cli/version.js"
import { policiesIn } from "@hayloft/engine/cluster/index.js"
import type { HotCopies } from "@hayloft/engine/block/index.js"
import { plainCopy } from "@hayloft/engine/metadata/index.js"
import { ThreadLink, type ThreadMethod } from "@hayloft/engine/thread/index.js"
import type { ServeConfig } from "@hayloft/node/config/index.js"
import { DAY_MS } from "@hayloft/node/devices/scrubbing.js"
import { FrontBudgets } from "@hayloft/node/front/front-budgets.js"
import { FrontRates } from "@hayloft/node/front/front-rates.js"
import type { FrontStart } from "@hayloft/node/front/methods.js"
import { openFront, type FrontStore } from "@hayloft/node/front/open-front.js"
import {
  Admission,
  CertificateFolder,
  Certificates,
  HTTP_LIMITS,
  HttpServer,
  limitsOfFiles,
  limitsOfThread,
} from "@hayloft/protocols/http/index.js"
import { shownDueTimeMs } from "@hayloft/objects/index.js"
import type { SyncRealms } from "@hayloft/protocols/swift/index.js"
import { registerExpiry, registerExpiryOfS3 } from "../ports/certificate-expiry.js"
import { SERVING_METHODS, TELLING_METHODS } from "./front-methods.js"
import { openKeyServices } from "../key-services.js"
import { loadFilters } from "../ports/load-filters.js"
import { openCompute } from "./open-compute.js"
import { LinkedMinioAdmin } from "../minio/admin/link.js"
import { NO_LEASES, threadedPort, type PortParts, type SharedPort } from "../ports/ports.js"
import { peopleOf } from "../people.js"
import { QueuePort } from "../ports/queue-port.js"
import { ReadStores, type RemoteStoreConfigs } from "../read-stores.js"
import { RemotesOfStore } from "../remotes.js"
import { stalledBy } from "../ports/stalled-requests.js"
import { tracingOf } from "../process/tracing-of.js"
import { StoreTransforms } from "./transforms.js"
import { registerWaiting } from "../ports/waiting-requests.js"

const FRONT_LIMITS = {
  /** How often the engine thread learns of requests that have ended. */
  tellEveryMs: 200,
  /** Notes on their way to the engine thread: further ones are dropped until it has read some. */
  notesMax: 1_000,
} as const

/** A front's hashing and coding threads: as a rule the fronts themselves use all cores. */
const COMPUTE_THREADS = 1

export interface FrontOrder {
  /** In logs: front-1, front-2 … */
  readonly name: string
  readonly config: ServeConfig
  readonly ports: readonly SharedPort[]
  readonly adminUrl: string
  readonly realms: SyncRealms
  /** They are undefined if remote buckets are switched off. */
  readonly remoteStores: RemoteStoreConfigs | undefined
  readonly nodeName: string
  readonly start: FrontStart
  readonly isWatched: boolean
  readonly port: MessagePort
}

/** The engine thread of the same program has made it. */
export const parseFrontOrder = (order: unknown): FrontOrder => order as FrontOrder

/** The parts of the thread that need no store. */
class FrontThread {
  readonly clock = new RealClock()
  readonly random = new RealRandom()
  readonly disk = new RealDisk()
  readonly telemetry: Telemetry & { readonly metrics: MetricsInMemory }
  readonly requests: RequestBatches
  readonly closing = new AbortController()
  readonly cut = new AbortController()
  readonly ended = new AbortController()
  private readonly lines: WholeLines
  private notesUnderWay = 0
  /** They are undefined until the store is open. */
  private attempts: SecretAttempts | undefined
  private copies: HotCopies | undefined
  private admission: Admission | undefined
  /** Some accounts pay more here than they use. */
  private hasFactors = false
  private serving: Promise<void> = Promise.resolve()
  private background: Promise<void> = Promise.resolve()

  constructor(
    private readonly order: FrontOrder,
    readonly link: ThreadLink,
    tracer: Tracer | undefined,
  ) {
    const { name, config, isWatched } = order
    const { clock } = this
    this.lines = WholeLines.onStandardError(clock, count => log.warn("log_lines_dropped", { count }))
    const plain = new RealTelemetry(clock, line => this.lines.write(line), { ...config.log, thread: name })
    const log = eventLog(plain.log, shownFields, line => this.tell(TELLING_METHODS.event, line))
    this.telemetry = { log, metrics: plain.metrics, tracer }
    const { accessLog } = config
    this.requests = new RequestBatches(clock, accessLog && { format: accessLog.format, node: () => undefined })
    this.requests.isWatched = isWatched
    link.handle(SERVING_METHODS.metrics, () => plain.metrics.snapshot())
    link.handle(SERVING_METHODS.watched, watched => void (this.requests.isWatched = watched))
    // The engine thread may tell of one before the store is open: earlier ones are unknown to this thread, too.
    link.handle(SERVING_METHODS.attempted, counted => this.attempts?.countElsewhere(counted))
    link.handle(SERVING_METHODS.hotCopies, max => plainCopy(this.copies?.own(max)))
    link.handle(SERVING_METHODS.cut, () => this.cut.abort())
    link.handle(SERVING_METHODS.stop, () => this.stop())
  }

  /** Tells the engine thread without waiting for it. */
  tell<Note>(method: ThreadMethod<Note, void>, note: Note): void {
    if (this.notesUnderWay >= FRONT_LIMITS.notesMax) return
    this.notesUnderWay += 1
    this.link
      .call(method, note)
      .catch(() => undefined)
      .finally(() => (this.notesUnderWay -= 1))
  }

  /** Serves until the link has closed. */
  async serve(servers: readonly HttpServer[], services: readonly BackgroundService[]): Promise<void> {
    const { clock, random, link, telemetry, ended } = this
    const ports: number[] = []
    for (const server of servers) ports.push((await server.listen()).port)
    this.serving = supervise(servers, clock, random, telemetry.log, this.closing.signal)
    const telling: BackgroundService = { name: "finished requests", run: signal => this.tellAlways(signal) }
    this.background = supervise([...services, telling], clock, random, telemetry.log, ended.signal)
    await link.call(TELLING_METHODS.listening, ports)
    await link.closed
    this.cut.abort()
    await this.stop()
  }

  /** Requests under way end first, then the background work, which still uses the store. */
  private async stop(): Promise<void> {
    this.closing.abort()
    await this.serving
    this.ended.abort()
    await this.background
    await this.tellFinished()
  }

  private async tellAlways(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.clock.sleep(FRONT_LIMITS.tellEveryMs, signal)
      await this.tellFinished()
      await this.tellUsed()
    }
  }

  /** While accounts compete, they are weighed over all threads. */
  private async tellUsed(): Promise<void> {
    const { admission } = this
    const used = admission?.takeUsed() ?? []
    if (used.length === 0 && !this.hasFactors) return
    const factors = await this.link.call(TELLING_METHODS.used, used).catch(() => [])
    admission?.setFactors(factors)
    this.hasFactors = factors.length > 0
  }

  private async tellFinished(): Promise<void> {
    const batch = this.requests.take()
    if (batch !== undefined) await this.link.call(TELLING_METHODS.finished, batch).catch(() => undefined)
  }

  /** The parts of the ports over the store. */
  partsOf(engine: FrontStore, compute: Compute, extras: FrontExtras): PortParts {
    const { clock, random, telemetry, link } = this
    const { log, metrics } = telemetry
    const { config, realms, start } = this.order
    const { tablet, refuseEarlier, storeClock } = engine.services
    const dueTimeMs = () => shownDueTimeMs({ clock, storeClock })
    const audit = openAuditLog({ clock, random, log, dueTimeMs }, tablet, refuseEarlier)
    audit.onRecorded = () => this.tell(TELLING_METHODS.audited, undefined)
    const attempts = new SecretAttempts({ clock, log, audit })
    attempts.onCounted = counted => this.tell(TELLING_METHODS.attempted, counted)
    this.attempts = attempts
    this.copies = engine.services.core.blocks.hotCopies
    return {
      config,
      clock,
      random,
      metrics,
      engine,
      status: { health: () => engine.state.health, liveness: () => engine.state.liveness },
      devices: () => link.call(TELLING_METHODS.devices, undefined),
      minioMetrics: kind => link.call(TELLING_METHODS.minioMetrics, kind),
      minioAdmin: new LinkedMinioAdmin(link),
      rootAccount: start.secrets.root.accountId,
      audit,
      rates: new FrontRates(link),
      attempts,
      denials: { note: (request, failure) => this.tell(TELLING_METHODS.denied, denialOf(request, failure)) },
      hash: (plan, bytes) => compute.hash(plan, bytes),
      people: peopleOf({ clock, log }, config, engine.accounts),
      web: new RealWeb(config.allowLocalIdentityProviders),
      chosenWeb: new RealWeb(true),
      filters: loadFilters(config.filters),
      realms,
      queuePort: extras.queuePort,
      transforms: extras.transforms?.transforms,
      remotes: extras.remotes?.remotes,
    }
  }

  /** The parts of features that requests use, beside the services. */
  extrasOf(store: FrontStore): FrontExtras {
    const { clock, disk, random, telemetry, ended, order, link } = this
    const { config, remoteStores, nodeName, start } = order
    const { log, metrics } = telemetry
    const { transforms: hasTransforms, transformResultsBytesMax, remoteCacheBytesMax: cacheBytesMax } = config
    const serving = { engine: store, leases: NO_LEASES }
    const rootAccount = start.secrets.root.accountId
    const terms = { cacheBytesMax, auditBucket: config.auditSinks.bucket, rootAccount }
    // The engine thread reads the same file, and says what has changed.
    const stores =
      remoteStores && new ReadStores({ clock, disk, log: undefined }, config.remotes, remoteStores, ended.signal)
    const budgets = new FrontBudgets(link)
    const shared = {
      budgets: { makings: budgets.of("makings"), tasks: budgets.of("tasks"), native: budgets.of("native") },
      share: 1 / config.threads,
    }
    const queuePort = new QueuePort({ clock, random }, store, {
      name: nodeName,
      others: () => store.state.othersReached,
    })
    registerWaiting(metrics, store.services, queuePort)
    return {
      queuePort,
      transforms: hasTransforms
        ? new StoreTransforms({ clock, log, metrics }, serving, transformResultsBytesMax, ended.signal, shared)
        : undefined,
      remotes: stores && new RemotesOfStore({ clock, random, log, metrics }, serving, stores, terms, ended.signal),
    }
  }

  serversOf(parts: PortParts, store: FrontStore): readonly HttpServer[] {
    const { clock, random, disk, telemetry, cut, requests } = this
    const { config, ports, adminUrl } = this.order
    const { tls, shutdown } = config
    const ofS3 = tls && new Certificates(disk, { certificatePath: tls.certFile, keyPath: tls.keyFile })
    registerExpiryOfS3(telemetry.metrics, config, ofS3)
    // The admin port is the engine thread's.
    const ofFiles = limitsOfFiles(HTTP_LIMITS, openFilesMax(), ports.length + 1)
    const limits = { ...limitsOfThread(ofFiles, config.threads), stopMs: shutdown.stopMs }
    // One for all ports: websites are weighed against accounts.
    const admission = new Admission(clock, limits)
    this.admission = admission
    const shared = {
      sharesPort: true,
      serverHeader: `Hayloft/${readVersion()}`,
      limits,
      cut: cut.signal,
      watch: requests,
      stalled: stalledBy(() => store.state.stalled),
    }
    return ports.map(({ name, listen }) => {
      const { folderOf, protocolOf } = threadedPort(name)
      const folder = folderOf?.(config)
      const own = folder === undefined ? undefined : new CertificateFolder(disk, folder, telemetry.log)
      if (own !== undefined) registerExpiry(telemetry.metrics, () => own.expiries)
      const certificates = folderOf === undefined ? ofS3?.ofServer() : own
      const settings = { ...shared, name, ...listen }
      return new HttpServer(
        { clock, random, telemetry },
        protocolOf(parts, adminUrl),
        settings,
        certificates,
        admission,
      )
    })
  }
}

interface FrontExtras {
  readonly queuePort: QueuePort
  readonly transforms: StoreTransforms | undefined
  readonly remotes: RemotesOfStore | undefined
}

/** A piece that is read once is never hot. */
const HOT_READS_MIN = 2

/** A front's part of the memory for copies of hot pieces, and of the reads that make a piece hot: they are spread, too. */
const shareOf = (terms: ServeConfig["hotCopies"], share: number): ServeConfig["hotCopies"] =>
  terms && {
    budgetBytes: partOf(terms.budgetBytes, share),
    readsPerMinute: partOf(terms.readsPerMinute, share, Math.min(HOT_READS_MIN, terms.readsPerMinute)),
  }

/** Resolves once the link has closed. */
export async function serveFront(order: FrontOrder): Promise<void> {
  const { config, start, port } = order
  const link = new ThreadLink(new PortChannel(port), new RealClock())
  const tracing = await tracingOf(config, new RealRandom())
  const thread = new FrontThread(order, link, tracing?.tracer)
  const { clock, random, telemetry } = thread
  const { record } = start
  const share = 1 / config.threads
  const compute = openCompute(policiesIn(record), record.blockBytes, { threads: COMPUTE_THREADS, share })
  const keyServices = openKeyServices(thread, config)
  const store = await openFront({ clock, disk: thread.disk, random, compute, telemetry }, link, start, {
    blocks: { refuseSingleCopy: config.refuseSingleCopy, hotCopies: shareOf(config.hotCopies, share) },
    share,
    days: { dayMs: config.lifecycleDayMs ?? DAY_MS, abandonedDays: config.abandonedUploadDays },
    haste: config.haste,
    namedKeys: { region: config.region ?? REGION_DEFAULT, external: keyServices.keys },
    onKeyLost: reason => {
      telemetry.log.error("front_thread_without_key", { reason: reason.message })
      link.close()
    },
  })
  const extras = thread.extrasOf(store)
  const parts = thread.partsOf(store, compute, extras)
  const { transforms, remotes, queuePort } = extras
  const ofExtras = [...(transforms?.services ?? []), ...(remotes?.services ?? [])]
  const services = [...store.backgroundServices, ...ofExtras]
  await thread.serve(thread.serversOf(parts, store), services)
  await queuePort.queues.settled()
  parts.web.close()
  parts.chosenWeb.close()
  keyServices.close()
  await compute.close()
  await tracing?.close()
}
