/**
 * Serve: the composition root of the real process. Builds the seams, opens the store, connects the ports, supervises, and
 * stops in order.
 *
 * Order of stopping: the ports close as `shutdown.ts` says, while the engine still works; then the store's session ends. `process.exit` would wait forever for the threads of
 * disk calls that hang: once everything else has ended, only a signal ends such a process.
 */
import { resolve } from "node:path"
import { setFlagsFromString } from "node:v8"
import { fail, type Failure } from "@hayloft/base/failures.js"
import { MIB } from "@hayloft/base/limits.js"
import type { CliIo } from "@hayloft/cli/io.js"
import { programCommand, readVersion } from "@hayloft/cli/version.js"
import { BOUNDS_OF, SETTINGS, type ServeConfig } from "@hayloft/node/config/index.js"
import { CertificateFolder, Certificates, probeAddresses, type ProbedAddress } from "@hayloft/protocols/http/index.js"
import { supervise } from "@hayloft/base/life/index.js"
import { AccessLog, Events, LiveRequests, Traffic } from "@hayloft/admin/observe/index.js"
import { readMasterKeyFiles } from "@hayloft/node/open/master-key-file.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { readRecordFile, Stalls } from "@hayloft/engine/device/index.js"
import { readRemoteStores } from "./read-stores.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import { RealDisk } from "@hayloft/base/seams/disk/index.js"
import { NO_REALMS, parseRealms, type SyncRealms } from "@hayloft/protocols/swift/index.js"
import { RotatedFile } from "@hayloft/base/seams/disk/rotated-file.js"
import { RealLocks } from "@hayloft/base/seams/folder-lock/index.js"
import { RealRandom } from "@hayloft/base/seams/random/real.js"
import { EventLoopDelay } from "@hayloft/base/seams/telemetry/real-event-loop.js"
import { registerProcess } from "@hayloft/base/seams/telemetry/real-process.js"
import { WholeLines } from "@hayloft/base/seams/telemetry/real-lines.js"
import { RealTelemetry, shownFields } from "@hayloft/base/seams/telemetry/real.js"
import { TableStores } from "@hayloft/engine/table/index.js"
import { bannerOf, warningsOf } from "./process/banner.js"
import { Recovering } from "./recovering.js"
import { Conversion, type Switch } from "./conversion.js"
import { FrontThreads, whyNoSharedPorts } from "./threads/front-workers.js"
import { loadFilters } from "./ports/load-filters.js"
import { tracingOf } from "./process/tracing-of.js"
import { Front, furtherAddresses } from "./threads/front.js"
import { portSignals, whenAborted } from "./process/shutdown.js"
import type { StopSignals } from "./process/stop-signals.js"
import { isLoopback } from "./ports/ports.js"
import { StoreSession, type SessionHost } from "./store-session.js"

/** Time limit for slow threads and file calls after everything else has ended. */
const GRACE_MS = 1_000
const POLL_MS = 50
const ACCESS_FILE_LIMITS = { bytesMax: 64 * MIB, filesMax: 8 } as const

/** The real seams of one process. */
export function realSeams(config: ServeConfig, io: CliIo) {
  const clock = new RealClock()
  const disk = new RealDisk()
  const { tableCacheBytes } = BOUNDS_OF[config.profile]
  return {
    clock,
    disk,
    random: new RealRandom(),
    stores: new TableStores(tableCacheBytes === undefined ? {} : { cacheBytesMax: tableCacheBytes }),
    locks: new RealLocks(),
    telemetry: new RealTelemetry(clock, config.threads === 0 ? line => io.error(line) : wholeLines(clock), config.log),
  }
}

/** The settings of a process that cannot have the threads that are wanted. */
const alone = ({ threads: wanted }: ServeConfig, reason: string): Pick<ServeConfig, "threads" | "threadsOff"> => ({
  threads: 0,
  threadsOff: { wanted, reason },
})

/** Lines beside those of other threads. */
function wholeLines(clock: Clock): (lines: string) => void {
  const lines = WholeLines.onStandardError(clock, () => undefined)
  return text => lines.write(text)
}

/** Serves until the process is to stop. If it cannot start, throws a failure with a one-line message and changes nothing. */
export async function serve(given: ServeConfig, io: CliIo, signals: StopSignals): Promise<void> {
  const whyAlone = given.threads === 0 ? undefined : whyNoSharedPorts(process.versions.node)
  const config = whyAlone === undefined ? given : { ...given, ...alone(given, whyAlone) }
  // Before other threads begin: they have the same bounds.
  for (const flag of BOUNDS_OF[config.profile].heapFlags) setFlagsFromString(flag)
  const { telemetry: plainTelemetry, ...plain } = realSeams(config, io)
  const { clock, random, disk } = plain
  const own = { node: (): string | undefined => config.cluster?.node }
  const node = (): string | undefined => own.node()
  const events = new Events(clock, random, node)
  const { metrics } = plainTelemetry
  const tracing = await tracingOf(config, random)
  const tracer = tracing?.tracer
  const telemetry = { log: events.logging(plainTelemetry.log, shownFields), metrics, tracer }
  const seams = { ...plain, telemetry }
  const masterKeys = await readMasterKeyFiles(disk, config)
  await checkCertificates(config, seams)
  const filters = loadFilters(config.filters)
  const realms = await readRealms(disk, config.swift?.syncRealms)
  const remoteStores = await readRemoteStores(disk, config.remotes)
  await probeAddresses(portsOf(config))
  const stop = new AbortController()
  const ended: { excluded?: Failure } = {}
  const onStolen = (failure: Failure): never => {
    telemetry.log.error("stopping_folder_ownership_lost", { reason: failure.message })
    // Immediately, regardless of writes in progress on its disks.
    endByForce()
    throw failure
  }
  const onExcluded = (reason: Failure): void => {
    ended.excluded = reason
    stop.abort()
  }
  // Before a port opens: the first scrape shows all metrics.
  registerProcess(metrics, readVersion())
  const loopDelay = new EventLoopDelay(clock, metrics)
  if (whyAlone !== undefined) telemetry.log.warn("front_threads_off", { reason: whyAlone })
  const conversion = new Conversion(() => host, stop.signal)
  const storeTime = () => conversion.storeTime
  const accessLog = accessLogOf(seams, config, io, node)
  const { threads, live } = observedThreads(seams, config, events, accessLog)
  const allMetrics: SessionHost["allMetrics"] = ofStore => {
    const own = [...metrics.snapshot(), ...ofStore.snapshot()]
    return threads === undefined ? own : threads.metricsOf(own)
  }
  const ofStore = { masterKeys, filters, realms, remoteStores, conversion, storeTime, endpoints: { s3: undefined } }
  const ofProcess = { seams, io, threads, allMetrics, events, live, stalls: new Stalls(), onStolen, onExcluded }
  const host: SessionHost = { ...ofStore, ...ofProcess, unhealthy: () => recovering.unhealthy ?? threads?.unhealthy }
  const recovering = new Recovering(host, () => sessions.current, conversion, stop.signal)
  const sessions = { current: await StoreSession.open(host, config) }
  own.node = () => sessions.current.store.node?.name
  let threadsLeft = (): number => 0
  try {
    conversion.use(sessions.current)
    const requests = { stop: stop.signal, hurry: signals.hurry }
    const ports = portSignals({ clock, log: telemetry.log }, requests, config.shutdown)
    const front = await Front.open(host, accessLog, sessions.current, ports)
    signals.beginServing()
    telemetry.log.info("started", { version: readVersion() })
    await io.out(await greeting(seams, front, sessions.current, io))
    const services = [...front.services, recovering, loopDelay, seams.stores.cache.idling(clock)]
    whenAborted(stop.signal, () => front.announceStop())
    whenAborted(signals.stop, () => stop.abort())
    const serving = supervise(services, clock, random, telemetry.log, ports.closing)
    await serveInTurn(sessions, front, [conversion, recovering], serving)
    host.stalls.end()
    await conversion.stop()
    await sessions.current.stop()
    threadsLeft = () => sessions.current.running.threadsLeft()
  } finally {
    await sessions.current.close()
    await tracing?.close()
  }
  const isForced = await isHeldUp(clock, threadsLeft)
  await io.out(isForced ? "hayloft: stopped; a disk hangs, so the process ends by force\n" : "hayloft: stopped\n")
  if (isForced) endByForce()
  if (ended.excluded !== undefined) throw ended.excluded
}

/** The front threads, if there are any, and the requests of all threads. */
function observedThreads(
  { clock, telemetry: { log } }: SessionHost["seams"],
  { threads: count, haste }: ServeConfig,
  events: Events,
  accessLog: AccessLog | undefined,
): Pick<SessionHost, "threads" | "live"> {
  const traffic = new Traffic(clock)
  const requests = new LiveRequests(clock, traffic, isWatched => threads?.watched(isWatched))
  const threads = count === 0 ? undefined : new FrontThreads({ clock, log, events, requests, accessLog, haste })
  return { threads, live: { traffic, requests } }
}

/** Throws `invalidConfig` for certificates that cannot be used. */
async function checkCertificates(
  { tls, website }: ServeConfig,
  { disk, telemetry }: Pick<SessionHost["seams"], "disk" | "telemetry">,
): Promise<void> {
  if (tls) await new Certificates(disk, { certificatePath: tls.certFile, keyPath: tls.keyFile }).readIfChanged()
  if (website?.certificates === undefined) return
  await new CertificateFolder(disk, website.certificates, telemetry.log).check()
}

/** Throws `invalidConfig`. */
async function readRealms(disk: Disk, path: string | undefined): Promise<SyncRealms> {
  if (path === undefined) return NO_REALMS
  const bytes = await readRecordFile(disk, path)
  if (bytes === undefined) throw fail("invalidConfig", { message: `the file of realms ${path} does not exist` })
  return parseRealms(Buffer.from(bytes).toString("utf8"))
}

/** Loaded on demand: most stores are not traced. */
function accessLogOf(
  { clock, disk, telemetry }: SessionHost["seams"],
  { accessLog }: ServeConfig,
  io: CliIo,
  node: () => string | undefined,
): AccessLog | undefined {
  if (accessLog === undefined) return undefined
  const { file: path, format } = accessLog
  if (path === undefined) {
    const write = async (lines: Uint8Array): Promise<void> => io.error(Buffer.from(lines).toString())
    return new AccessLog(clock, telemetry, { format, node, place: "stderr", write })
  }
  const file = new RotatedFile(disk, path, ACCESS_FILE_LIMITS)
  const write = (lines: Uint8Array): Promise<void> => file.append(lines, { isSynced: false })
  return new AccessLog(clock, telemetry, { format, node, place: path, write })
}

/** Every address that the process will listen on. */
const portsOf = (config: ServeConfig): readonly ProbedAddress[] => {
  const { listen, adminListen, cluster } = config
  return [
    { flag: "--listen", ...listen },
    { flag: "--admin-listen", ...adminListen },
    ...furtherAddresses(config),
    ...(cluster === undefined ? [] : [{ flag: "--node-listen", ...cluster.nodeListen }]),
  ]
}

/** One session after the other, until the ports have closed. */
async function serveInTurn(
  sessions: { current: StoreSession },
  front: Front,
  switching: readonly { next(): Promise<Switch> }[],
  serving: Promise<void>,
): Promise<void> {
  const over = serving.then(() => undefined)
  for (;;) {
    const next = await Promise.race([over, ...switching.map(each => each.next())])
    if (next === undefined) return
    sessions.current = await next(sessions.current, front)
  }
}

const ABSENT: ReadonlySet<string> = new Set(["offline", "missing", "failed"])

/** The banner. */
async function greeting(
  { disk }: Pick<SessionHost["seams"], "disk">,
  { endpoint, adminEndpoint, furtherEndpoints }: Front,
  { config, store, running, region }: StoreSession,
  io: CliIo,
): Promise<string> {
  const { root } = store.secrets
  const { safety, devices } = running.status.report()
  const offline = devices.filter(({ state }) => ABSENT.has(state)).length
  return bannerOf({
    command: programCommand(),
    version: readVersion(),
    endpoint,
    adminEndpoint,
    hasConsole: config.hasConsole,
    furtherEndpoints,
    region,
    accessKeyId: root.accessKeyId,
    secret: store.isNew && !config.rootKey ? root.secret : undefined,
    dataFolders: config.dataFolders,
    isDefaultData:
      config.dataFolders.length === 1 &&
      config.dataFolders[0] === resolve(io.workingFolder, SETTINGS.data.fallback ?? ""),
    masterKeyFile: config.masterKeyFile && resolve(io.workingFolder, config.masterKeyFile),
    redundancy: safety.sentence,
    devices: config.countsDevices === true ? { online: devices.length - offline, offline } : undefined,
    warnings: await warningsOf(disk, config, store, isLoopback),
  })
}

/** Returns true if this process has file calls in progress. */
const hasFileCalls = (): boolean => process.getActiveResourcesInfo().some(name => name.startsWith("FSReq"))

/** Returns true if something still keeps the process from ending after the grace period. */
async function isHeldUp(clock: Clock, threadsLeft: () => number): Promise<boolean> {
  const untilMs = clock.monotonicMs() + GRACE_MS
  const isBusy = (): boolean => hasFileCalls() || threadsLeft() > 0
  while (isBusy() && clock.monotonicMs() < untilMs) await clock.sleep(POLL_MS, new AbortController().signal)
  return isBusy()
}

/** Ends the process by a signal, which also determines its exit code. */
const endByForce = (): boolean => process.kill(process.pid, "SIGKILL")
