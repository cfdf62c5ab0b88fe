/**
 * Serve: the composition root of the real process. Builds the seams, opens the store, connects the protocols,
 * supervises, and stops in order.
 *
 * Order of stopping: listeners drain while the engine still works; then background work ends; then the engine makes
 * its last checkpoint and closes; then the folders are released. `process.exit` would wait forever for the threads of
 * disk calls that hang: once everything else has ended, only a signal ends such a process.
 */
import { resolve } from "node:path"
import { Denials } from "../access/index.js"
import { AdminApi, AdminProtocol } from "../admin/index.js"
import { must } from "../base/assert.js"
import type { Failure } from "../base/failures.js"
import { Certificates, HTTP_LIMITS, HttpServer, probeAddress } from "../http/index.js"
import { createIamHandler } from "../iam/index.js"
import { supervise, type BackgroundService } from "../life/index.js"
import { createS3Handler, settingsOfNewBucket } from "../s3/index.js"
import type { Clock } from "../seams/clock/contract.js"
import { RealClock } from "../seams/clock/real.js"
import { RealDisk } from "../seams/disk/index.js"
import { RealLocks } from "../seams/lock/index.js"
import { RealRandom } from "../seams/random/real.js"
import { TableStores } from "../table/index.js"
import { EventLoopDelay } from "../seams/telemetry/real-event-loop.js"
import { RealTelemetry } from "../seams/telemetry/real.js"
import { RealWeb } from "../seams/web/real.js"
import { bannerOf, warningsOf } from "./banner.js"
import type { CliIo } from "../cli/io.js"
import { REGION_DEFAULT, SETTINGS, type ListenAddress, type ServeConfig } from "../config/config.js"
import { FolderDocuments } from "./documents.js"
import { PortRouter } from "./port-router.js"
import { runNode } from "./run-node.js"
import { runStore, type RunningStore } from "./run-store.js"
import { RuntimeFiles } from "./runtime-file.js"
import type { Membership } from "../node/cluster/membership.js"
import { openNode } from "../node/cluster/open-node.js"
import { readMasterKeyFile } from "../node/open/master-key-file.js"
import type { OpenedStore } from "../node/open/contract.js"
import { openStore } from "../node/open/open-store.js"
import { readVersion } from "../cli/version.js"

/** Time limit for slow threads and file calls after everything else has ended. */
const GRACE_MS = 1_000
const POLL_MS = 50

const LOOPBACK = /^(127\.|::1$|localhost$)/

const isLoopback = ({ host }: ListenAddress): boolean => LOOPBACK.test(host)

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

export type RealSeams = ReturnType<typeof realSeams>

/** Serves until the signal fires. If it cannot start, throws a failure with a one-line message and changes nothing. */
export async function serve(config: ServeConfig, io: CliIo, signal: AbortSignal): Promise<void> {
  const seams = realSeams(config, io)
  const { clock, random, disk, telemetry } = seams
  const keyFile = config.masterKeyFile
  const fileKey = keyFile === undefined ? undefined : await readMasterKeyFile(disk, keyFile)
  const { tls } = config
  if (tls) await new Certificates(disk, { certificatePath: tls.certFile, keyPath: tls.keyFile }).readIfChanged()
  await probeAddress(config.listen, "--listen")
  await probeAddress(config.adminListen, "--admin-listen")
  const store = await open(seams, config, fileKey)
  const stop = new AbortController()
  const background = new AbortController()
  const onStolen = (failure: Failure): never => {
    telemetry.log.error("stopping_folder_ownership_lost", { reason: failure.message })
    // Immediately, regardless of writes in progress on its disks.
    endByForce()
    throw failure
  }
  let threadsLeft = (): number => 0
  const joined: { membership?: Membership; removed?: Failure } = {}
  try {
    const running = await runStore({ ...seams, nodes: () => joined.membership }, store, config, onStolen)
    if (config.cluster !== undefined) {
      const host = { version: readVersion(), name: io.hostName }
      joined.membership = await runNode(seams, store, running, config.cluster, host, reason => {
        joined.removed = reason
        stop.abort()
      })
    }
    const backgroundServices = [
      ...running.backgroundServices,
      ...(joined.membership ? [joined.membership] : []),
      new EventLoopDelay(clock, telemetry.metrics),
      seams.stores.cache.idling(clock),
    ]
    const behind = supervise(backgroundServices, clock, random, telemetry.log, background.signal)
    const front = await listen(seams, store, running, config, io)
    signal.addEventListener("abort", () => stop.abort(), { once: true })
    if (signal.aborted) stop.abort()
    await supervise(front, clock, random, telemetry.log, stop.signal)
    background.abort()
    await behind
    await running.stop()
    threadsLeft = () => running.threadsLeft()
  } finally {
    background.abort()
    for (const device of store.devices) await device.release()
    for (const { ownership } of store.node?.joining ?? []) await ownership.release()
  }
  const isForced = await isHeldUp(clock, threadsLeft)
  await io.out(isForced ? "hayloft: stopped; a disk hangs, so the process ends by force\n" : "hayloft: stopped\n")
  if (isForced) endByForce()
  if (joined.removed !== undefined) throw joined.removed
}

async function open(seams: RealSeams, config: ServeConfig, masterKey: Uint8Array | undefined): Promise<OpenedStore> {
  const { cluster } = config
  if (cluster === undefined) return openStore(seams, config, masterKey)
  // Loaded on demand: a store whose devices keep the metadata starts without it.
  const { StoreDatabase } = await import("../sql/index.js")
  const database = await StoreDatabase.open(cluster.databaseUrl)
  const { telemetry } = seams
  return openNode(
    { ...seams, log: telemetry.log, database },
    config,
    cluster,
    must(masterKey, "--cluster needs --master-key-file"),
  )
}

/** Binds both ports, prints the banner, and returns the services to supervise. */
async function listen(
  seams: RealSeams,
  store: OpenedStore,
  { engine, compute, status, operations }: RunningStore,
  config: ServeConfig,
  io: CliIo,
): Promise<BackgroundService[]> {
  const { clock, random, disk, telemetry } = seams
  const { services, accounts, identities, sessions } = engine
  const certificates =
    config.tls && new Certificates(disk, { certificatePath: config.tls.certFile, keyPath: config.tls.keyFile })
  const version = readVersion()
  const denials = new Denials()
  const { buckets } = services
  const adminStore = { accounts, buckets, status, store: operations, denials, documents: new FolderDocuments() }
  const adminApi = new AdminApi(adminStore, {
    version,
    token: store.secrets.adminToken,
    onLoopback: isLoopback(config.adminListen),
    rootAccount: store.secrets.root.accountId,
    newBucketSettings: settingsOfNewBucket(config),
    metricsText: () => telemetry.metrics.render(),
  })
  const shared = { serverHeader: `Hayloft/${version}`, limits: HTTP_LIMITS }
  // The admin port uses no TLS on loopback: probes and scrapers on the machine need no certificate.
  const adminCertificates = isLoopback(config.adminListen) ? undefined : certificates
  const adminSettings = { ...shared, name: "admin", ...config.adminListen }
  const web = new RealWeb(config.allowLocalIdentityProviders)
  const iam = createIamHandler({ accounts, identities, sessions, web, clock, denials })
  const adminRouter = new PortRouter(iam, new AdminProtocol(adminApi))
  const admin = new HttpServer(seams, adminRouter, adminSettings, adminCertificates)
  const adminAt = await admin.listen()
  const adminEndpoint = endpointOf(config.adminListen, adminAt.port, adminCertificates !== undefined)
  const { region, domains, refuseSignatureV2 } = config
  const handler = createS3Handler({
    ...{ services, accounts, clock, random, region, domains, refuseSignatureV2, denials, newBuckets: config },
    adminUrl: adminEndpoint,
    onLoopback: isLoopback(config.listen),
    metrics: telemetry.metrics,
    hash: (plan, bytes) => compute.hash(plan, bytes),
  })
  const s3Settings = { ...shared, name: "s3", ...config.listen }
  const s3 = new HttpServer(seams, new PortRouter(iam, handler), s3Settings, certificates)
  const s3At = await s3.listen()
  status.setListening()
  const endpoint = endpointOf(config.listen, s3At.port, certificates !== undefined)
  const shownRegion = region ?? REGION_DEFAULT
  const runtime = { endpoint, adminEndpoint, region: shownRegion, pid: process.pid }
  const runtimeFiles = await RuntimeFiles.begin(clock, () => engine.devices, runtime)
  const { sentence: redundancy } = status.report().safety
  const { root } = store.secrets
  await io.out(
    bannerOf({
      version,
      endpoint,
      adminEndpoint,
      region: shownRegion,
      accessKeyId: root.accessKeyId,
      secret: store.isNew && !config.rootKey ? root.secret : undefined,
      dataFolders: config.dataFolders,
      isDefaultData:
        config.dataFolders.length === 1 &&
        config.dataFolders[0] === resolve(io.workingFolder, SETTINGS.data.fallback ?? ""),
      masterKeyFile: config.masterKeyFile && resolve(io.workingFolder, config.masterKeyFile),
      redundancy,
      warnings: await warningsOf(disk, config, store, isLoopback),
    }),
  )
  return [s3, admin, runtimeFiles]
}

function endpointOf({ host }: ListenAddress, port: number, secure: boolean): string {
  const shown = host === "0.0.0.0" ? "127.0.0.1" : host === "::" ? "::1" : host
  return `${secure ? "https" : "http"}://${shown.includes(":") ? `[${shown}]` : shown}:${port}`
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
