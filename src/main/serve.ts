/**
 * Serve: the composition root of the real process. Builds the seams, opens the store, connects the ports, supervises, and
 * stops in order.
 *
 * Order of stopping: listeners drain while the engine still works; then the store's session ends. `process.exit` would wait forever for the threads of
 * disk calls that hang: once everything else has ended, only a signal ends such a process.
 */
import { resolve } from "node:path"
import type { Failure } from "../base/failures.js"
import type { CliIo } from "../cli/io.js"
import { readVersion } from "../cli/version.js"
import { SETTINGS, type ServeConfig } from "../config/config.js"
import { CertificateFolder, Certificates, probeAddress } from "../http/index.js"
import { supervise } from "../life/index.js"
import { readMasterKeyFiles } from "../node/open/master-key-file.js"
import type { Clock } from "../seams/clock/contract.js"
import { RealClock } from "../seams/clock/real.js"
import { RealDisk } from "../seams/disk/index.js"
import { RealLocks } from "../seams/lock/index.js"
import { RealRandom } from "../seams/random/real.js"
import { EventLoopDelay } from "../seams/telemetry/real-event-loop.js"
import { RealTelemetry } from "../seams/telemetry/real.js"
import { TableStores } from "../table/index.js"
import { bannerOf, warningsOf } from "./banner.js"
import { Conversion } from "./conversion.js"
import { Front } from "./front.js"
import { isLoopback, StoreSession, type SessionHost } from "./store-session.js"

/** Time limit for slow threads and file calls after everything else has ended. */
const GRACE_MS = 1_000
const POLL_MS = 50

/** The real seams of one process. */
export function realSeams(config: ServeConfig, io: CliIo) {
  const clock = new RealClock()
  const disk = new RealDisk()
  return {
    clock,
    disk,
    random: new RealRandom(),
    stores: new TableStores(),
    locks: new RealLocks(),
    telemetry: new RealTelemetry(clock, line => io.error(line), config.log),
  }
}

type RealSeams = ReturnType<typeof realSeams>

/** Serves until the signal fires. If it cannot start, throws a failure with a one-line message and changes nothing. */
export async function serve(config: ServeConfig, io: CliIo, signal: AbortSignal): Promise<void> {
  const seams = realSeams(config, io)
  const { clock, random, disk, telemetry } = seams
  const masterKeys = await readMasterKeyFiles(disk, config)
  const { tls } = config
  if (tls) await new Certificates(disk, { certificatePath: tls.certFile, keyPath: tls.keyFile }).readIfChanged()
  const { website } = config
  if (website?.certificates !== undefined) {
    await new CertificateFolder(disk, website.certificates, telemetry.log).check()
  }
  await probeAddress(config.listen, "--listen")
  await probeAddress(config.adminListen, "--admin-listen")
  if (website !== undefined) await probeAddress(website.listen, "--website-listen")
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
  const loopDelay = new EventLoopDelay(clock, telemetry.metrics)
  const metricsText = (): string => telemetry.metrics.render()
  const conversion = new Conversion(() => host, stop.signal)
  const storeTime = () => conversion.storeTime
  const host: SessionHost = { seams, io, masterKeys, conversion, storeTime, metricsText, onStolen, onExcluded }
  const sessions = { current: await StoreSession.open(host, config) }
  let threadsLeft = (): number => 0
  try {
    conversion.use(sessions.current)
    const front = await Front.open(host, sessions.current)
    await io.out(await greeting(seams, front, sessions.current, io))
    const services = [...front.services, loopDelay, seams.stores.cache.idling(clock)]
    signal.addEventListener("abort", () => stop.abort(), { once: true })
    if (signal.aborted) stop.abort()
    const serving = supervise(services, clock, random, telemetry.log, stop.signal)
    await serveInTurn(sessions, front, conversion, serving)
    await conversion.stop()
    await sessions.current.stop()
    threadsLeft = () => sessions.current.running.threadsLeft()
  } finally {
    await sessions.current.close()
  }
  const isForced = await isHeldUp(clock, threadsLeft)
  await io.out(isForced ? "hayloft: stopped; a disk hangs, so the process ends by force\n" : "hayloft: stopped\n")
  if (isForced) endByForce()
  if (ended.excluded !== undefined) throw ended.excluded
}

/** One session after the other, until the ports have closed. */
async function serveInTurn(
  sessions: { current: StoreSession },
  front: Front,
  conversion: Conversion,
  serving: Promise<void>,
): Promise<void> {
  const over = serving.then(() => undefined)
  for (;;) {
    const next = await Promise.race([over, conversion.next()])
    if (next === undefined) return
    sessions.current = await next(sessions.current, front)
  }
}

/** The banner. */
async function greeting(
  { disk }: RealSeams,
  { endpoint, adminEndpoint, websiteEndpoint }: Front,
  { config, store, running, region }: StoreSession,
  io: CliIo,
): Promise<string> {
  const { root } = store.secrets
  return bannerOf({
    ...{ version: readVersion(), endpoint, adminEndpoint, websiteEndpoint, region },
    accessKeyId: root.accessKeyId,
    secret: store.isNew && !config.rootKey ? root.secret : undefined,
    dataFolders: config.dataFolders,
    isDefaultData:
      config.dataFolders.length === 1 &&
      config.dataFolders[0] === resolve(io.workingFolder, SETTINGS.data.fallback ?? ""),
    masterKeyFile: config.masterKeyFile && resolve(io.workingFolder, config.masterKeyFile),
    redundancy: running.status.report().safety.sentence,
    warnings: await warningsOf(disk, config, store, isLoopback),
  })
}

/** Whether this process has file calls in progress. */
const hasFileCalls = (): boolean => process.getActiveResourcesInfo().some(name => name.startsWith("FSReq"))

/** Whether something still keeps the process from ending after the grace period. */
async function isHeldUp(clock: Clock, threadsLeft: () => number): Promise<boolean> {
  const untilMs = clock.monotonicMs() + GRACE_MS
  const isBusy = (): boolean => hasFileCalls() || threadsLeft() > 0
  while (isBusy() && clock.monotonicMs() < untilMs) await clock.sleep(POLL_MS, new AbortController().signal)
  return isBusy()
}

/** Ends the process by a signal, which also determines its exit code. */
const endByForce = (): boolean => process.kill(process.pid, "SIGKILL")
