/**
 * Serving: the composition root of the real process. Builds the seams, opens the store, wires the
 * protocols, supervises, and stops in order.
 *
 * Order of stopping: listeners drain while the engine still works; then background work ends; then the
 * engine makes its last checkpoint and closes; then the folders are given up.
 */
import { resolve } from "node:path"
import { setMaxListeners } from "node:events"
import { availableParallelism } from "node:os"
import { AdminApi, AdminProtocol } from "../admin/index.js"
import { fail, type Failure } from "../base/failures.js"
import { parseEpoch } from "../base/ids.js"
import { DEVICES_MAX, MIB } from "../base/limits.js"
import { policiesInUse } from "../base/policy.js"
import { CALL_LIMITS, queuedDisk, replaceRecordFile, type Ownership, type QueuedDisk } from "../device/index.js"
import { makeCodec } from "../erasure/index.js"
import { Certificates, HTTP_LIMITS, HttpServer, probeAddress } from "../http/index.js"
import { ChoreRunner, supervise, type Living } from "../life/index.js"
import { decodeLayout } from "../placement/index.js"
import { createS3Handler } from "../s3/index.js"
import { RealClock } from "../seams/clock/real.js"
import { slabBytesOf, ThreadCompute } from "../seams/compute/index.js"
import { RealDisk } from "../seams/disk/index.js"
import { RealLocks } from "../seams/lock/index.js"
import { RealRandom } from "../seams/random/real.js"
import { RealStores } from "../seams/store/real.js"
import { EventLoopDelay } from "../seams/telemetry/real-event-loop.js"
import { RealTelemetry } from "../seams/telemetry/real.js"
import { shapeOf } from "../block/index.js"
import { bannerOf } from "./banner.js"
import { RUNTIME_FILE_NAME, type RuntimeFile } from "./client/credentials.js"
import type { CliIo } from "./cli/io.js"
import { REGION_DEFAULT, SETTINGS, type ListenAddress, type ServeConfig } from "./config.js"
import { FolderDocuments } from "./documents.js"
import { CheckpointThreads } from "./engine/checkpoint-threads.js"
import type { DeviceStack } from "./engine/device-stack.js"
import { openEngine, type Engine } from "./engine/engine.js"
import { readMasterKeyFile } from "./store/master-key-file.js"
import { openStore, type OpenedStore } from "./store/open-store.js"
import { RunningStatus } from "./store/status.js"
import { warningsOf } from "./store/warnings.js"
import { readVersion } from "./version.js"

/** All bodies in flight, data and parity. */
const SLAB_POOL_BYTES = 384 * MIB
/** Each starts with the first body that finds the others busy; hashing more than this many streams at once only heats the disks. */
const COMPUTE_THREADS = Math.min(2, availableParallelism())
const COMPUTE_ENTRY = new URL("./compute-worker.js", import.meta.url)
const CHECKPOINT_ENTRY = new URL("./checkpoint-worker.js", import.meta.url)
/** On the signal that ends background work: the watch over each device's calls, and the supervision. */
const BACKGROUND_LISTENERS_MAX = DEVICES_MAX + 1
/** After a look at a folder that failed for another reason than a new owner. */
const OWNER_RETRY_MS = 10_000
const LOOPBACK = /^(127\.|::1$|localhost$)/

const isLoopback = ({ host }: ListenAddress): boolean => LOOPBACK.test(host)

/** The real world of one process. */
function realSeams(config: ServeConfig, io: CliIo) {
  const clock = new RealClock()
  const disk = new RealDisk()
  return {
    clock,
    disk,
    random: new RealRandom(),
    stores: new RealStores(),
    locks: new RealLocks(),
    telemetry: new RealTelemetry(clock, line => io.error(line), config.log),
  }
}

type RealSeams = ReturnType<typeof realSeams>

/** Serves until the signal fires. Throws a failure whose message is one clear line, with nothing touched, where it cannot start. */
export async function serve(config: ServeConfig, io: CliIo, signal: AbortSignal): Promise<void> {
  const seams = realSeams(config, io)
  const { clock, random, disk, telemetry } = seams
  const keyFile = config.masterKeyFile
  const fileKey = keyFile === undefined ? undefined : await readMasterKeyFile(disk, keyFile)
  await probeAddress(config.listen, "--listen")
  await probeAddress(config.adminListen, "--admin-listen")
  const store = await openStore(clock, random, disk, seams.locks, config, fileKey)
  const stop = new AbortController()
  const background = new AbortController()
  // Devices are watched to the end: one that hangs must not hold up the stop.
  const watch = new AbortController()
  setMaxListeners(BACKGROUND_LISTENERS_MAX, background.signal, watch.signal)
  const onLost = (failure: Failure) => {
    if (failure.kind !== "folderInUse") {
      telemetry.log.error("a data folder cannot be checked", { reason: failure.message })
      return
    }
    telemetry.log.error("stopping: a data folder is not this process's own any more", { reason: failure.message })
    process.exit(1)
  }
  try {
    const running = await runningStore(seams, store, config, watch.signal)
    const chores = new ChoreRunner("chores", running.engine.chores, clock, telemetry)
    const livings: Living[] = [
      ...running.engine.livings,
      chores,
      new EventLoopDelay(clock, telemetry.metrics),
      ...store.devices.map(device => ({
        name: `ownership ${device.identity.id}`,
        run: (lifeSignal: AbortSignal) => watchOwner(device, clock, lifeSignal, onLost),
      })),
    ]
    const behind = supervise(livings, clock, random, telemetry.log, background.signal)
    const front = await listen(seams, store, running, config, io)
    signal.addEventListener("abort", () => stop.abort(), { once: true })
    if (signal.aborted) stop.abort()
    await supervise(front, clock, random, telemetry.log, stop.signal)
    background.abort()
    await behind
    await running.engine.stop()
    await running.compute.close()
  } finally {
    background.abort()
    watch.abort()
    for (const device of store.devices) await device.release()
  }
  await io.out("hayloft: stopped\n")
}

/** A folder that could not be looked at once may be well, or somebody else's, the next time. */
async function watchOwner(
  device: Ownership,
  clock: RealClock,
  signal: AbortSignal,
  onLost: (failure: Failure) => void,
): Promise<void> {
  while (!signal.aborted) {
    await device.run(signal, onLost)
    await clock.sleep(OWNER_RETRY_MS, signal)
  }
}

interface Running {
  readonly engine: Engine
  readonly compute: ThreadCompute
  readonly status: RunningStatus
}

async function runningStore(
  seams: RealSeams,
  store: OpenedStore,
  config: ServeConfig,
  signal: AbortSignal,
): Promise<Running> {
  const { clock, random, disk, stores, telemetry } = seams
  const { record } = store
  const disks = new Map<string, QueuedDisk>()
  for (const { identity } of store.devices) {
    const { id, path } = identity
    const onSuspect = (failure: Failure) =>
      telemetry.log.error("a device does not answer", { device: id, path, reason: failure.message })
    disks.set(id, queuedDisk(disk, clock, CALL_LIMITS, signal, onSuspect))
  }
  const diskOf = (id: string): QueuedDisk => {
    const found = disks.get(id)
    if (!found) throw fail("internal", { reason: "no such device" })
    return found
  }
  const slabs = policiesInUse(record.policy).map(policy => slabBytesOf(shapeOf(policy), record.blockBytes))
  const slabBytes = Math.max(...slabs)
  const sizes = { slabBytes, poolBytes: Math.max(SLAB_POOL_BYTES, 2 * slabBytes), threads: COMPUTE_THREADS }
  const compute = new ThreadCompute(makeCodec, COMPUTE_ENTRY, sizes)
  const [tablet] = record.tablets
  if (!tablet) throw fail("corruptRecord", { what: "control record", member: "tablets" })
  const checkpoints = new CheckpointThreads(CHECKPOINT_ENTRY, clock, telemetry.log)
  const engine = await openEngine(
    { clock, random, diskOf: place => diskOf(place.id), stores, compute, telemetry, checkpoints },
    {
      devices: store.devices.map(({ identity }) => identity),
      layout: decodeLayout(record.layout.table, record.layout.version, record.layout.devices),
      store: { policy: record.policy, blockBytes: record.blockBytes },
      members: tablet.members.map(member => member.id),
      epoch: parseEpoch(tablet.epoch),
      incarnation: store.incarnation,
      masterKey: store.secrets.masterKey,
      root: store.secrets.root,
      deviceOptions: { guards: new Map(store.devices.map(device => [device.identity.id, () => device.check()])) },
    },
  )
  const facts = { version: readVersion(), region: config.region ?? REGION_DEFAULT, startedMs: clock.wallMs() }
  const status = new RunningStatus(
    clock,
    store,
    engine,
    compute,
    (device: DeviceStack) => diskOf(device.place.id),
    facts,
  )
  status.registerGauges(telemetry.metrics)
  return { engine, compute, status }
}

/** Binds both ports, says where everything is, and gives what is to be supervised. */
async function listen(
  seams: RealSeams,
  store: OpenedStore,
  { engine, compute, status }: Running,
  config: ServeConfig,
  io: CliIo,
): Promise<Living[]> {
  const { clock, random, disk, telemetry } = seams
  const { services, accounts } = engine
  const certificates =
    config.tls && new Certificates(disk, { certificatePath: config.tls.certFile, keyPath: config.tls.keyFile })
  const version = readVersion()
  const adminApi = new AdminApi(accounts, services.buckets, status, new FolderDocuments(), {
    version,
    token: store.secrets.adminToken,
    onLoopback: isLoopback(config.adminListen),
    rootAccount: store.secrets.root.accountId,
    metricsText: () => telemetry.metrics.render(),
  })
  const shared = { serverHeader: `Hayloft/${version}`, limits: HTTP_LIMITS }
  // On loopback the admin port stays plain: probes and scrapers on the machine need no certificate.
  const adminCertificates = isLoopback(config.adminListen) ? undefined : certificates
  const adminSettings = { ...shared, name: "admin", ...config.adminListen }
  const admin = new HttpServer(clock, random, telemetry, new AdminProtocol(adminApi), adminSettings, adminCertificates)
  const adminAt = await admin.listen()
  const adminEndpoint = endpointOf(config.adminListen, adminAt.port, adminCertificates !== undefined)
  const handler = createS3Handler({
    services,
    accounts,
    region: config.region,
    domains: config.domains,
    adminUrl: adminEndpoint,
    clock,
    random,
    hash: (plan, bytes) => compute.hash(plan, bytes),
  })
  const s3 = new HttpServer(
    clock,
    random,
    telemetry,
    handler,
    { ...shared, name: "s3", ...config.listen },
    certificates,
  )
  const s3At = await s3.listen()
  status.setListening()
  const endpoint = endpointOf(config.listen, s3At.port, certificates !== undefined)
  const region = config.region ?? REGION_DEFAULT
  await writeRuntime(disk, store, { endpoint, adminEndpoint, region, pid: process.pid })
  const { redundancy } = await status.report()
  const { root } = store.secrets
  await io.out(
    bannerOf({
      version,
      endpoint,
      adminEndpoint,
      region,
      accessKeyId: root.accessKeyId,
      secret: store.isNew && !config.rootKey ? root.secret : undefined,
      dataFolders: config.dataFolders,
      isDefaultData:
        config.dataFolders.length === 1 &&
        config.dataFolders[0] === resolve(io.workingFolder, SETTINGS.data.fallback ?? ""),
      redundancy,
      warnings: await warningsOf(disk, config, store, isLoopback),
    }),
  )
  return [s3, admin]
}

function endpointOf({ host }: ListenAddress, port: number, secure: boolean): string {
  const shown = host === "0.0.0.0" ? "127.0.0.1" : host === "::" ? "::1" : host
  return `${secure ? "https" : "http"}://${shown.includes(":") ? `[${shown}]` : shown}:${port}`
}

/** Tells clients on this machine where the store is; holds no secret. */
async function writeRuntime(disk: RealDisk, store: OpenedStore, runtime: RuntimeFile): Promise<void> {
  const [first] = store.devices
  if (!first) return
  await replaceRecordFile(
    disk,
    `${first.identity.path}/${RUNTIME_FILE_NAME}`,
    Buffer.from(`${JSON.stringify(runtime)}\n`),
  )
}
