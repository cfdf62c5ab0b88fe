/**
 * Running a store: the engine over the real seams, its background work, and what is told of it.
 *
 * A device that cannot be looked at is taken out; a folder that another process has come to own ends
 * this one.
 */
import { availableParallelism } from "node:os"
import { isFailure, type Failure } from "../base/failures.js"
import { MIB } from "../base/limits.js"
import { defaultPolicy, policiesInUse, type Policy } from "../base/policy.js"
import { shapeOf } from "../block/index.js"
import type { Ownership } from "../device/index.js"
import { makeCodec } from "../erasure/index.js"
import { ChoreRunner, type Living } from "../life/index.js"
import type { Clock } from "../seams/clock/contract.js"
import { slabBytesOf, ThreadCompute } from "../seams/compute/index.js"
import { REGION_DEFAULT, type ServeConfig } from "./config.js"
import { CheckpointThreads } from "./engine/checkpoint-threads.js"
import type { OwnedFolder } from "./engine/device-set.js"
import { openEngine, type Engine } from "./engine/engine.js"
import type { RealSeams } from "./serve.js"
import type { OpenedStore } from "./store/open-store.js"
import { registerStatus } from "./store/status-metrics.js"
import { sourcesOfEngine } from "./store/status-of-engine.js"
import { RunningStatus } from "./store/status.js"
import { readVersion } from "./version.js"

/** All bodies in flight, data and parity. */
const SLAB_POOL_BYTES = 384 * MIB
/** Each starts with the first body that finds the others busy; hashing more than this many streams at once only heats the disks. */
const COMPUTE_THREADS = Math.min(2, availableParallelism())
const COMPUTE_ENTRY = new URL("./compute-worker.js", import.meta.url)
const CHECKPOINT_ENTRY = new URL("./checkpoint-worker.js", import.meta.url)
/** After a look at a folder that failed for another reason than a new owner. */
const OWNER_RETRY_MS = 10_000
/** Of these the widest default is one; a store may grow to it while it runs. */
const DEVICES_OF_DEFAULTS = 14

export interface RunningStore {
  readonly engine: Engine
  readonly compute: ThreadCompute
  readonly status: RunningStatus
  /** To be supervised until the stop. */
  readonly livings: readonly Living[]
  stop(): Promise<void>
}

/** Opens the engine on the store's devices. `onStolen`: a folder is another process's now. */
export async function runStore(
  seams: RealSeams,
  store: OpenedStore,
  config: ServeConfig,
  onStolen: (failure: Failure) => never,
): Promise<RunningStore> {
  const { clock, random, disk, stores, telemetry } = seams
  const { record, secrets } = store
  const compute = openCompute(record.policy, record.blockBytes)
  const checkpoints = new CheckpointThreads(CHECKPOINT_ENTRY, clock, telemetry.log)
  const onLost = (device: Ownership, failure: Failure): void => {
    if (isFailure(failure, "folderInUse")) onStolen(failure)
    void engine.control.takeOut(device.identity.id, failure)
  }
  const engine: Engine = await openEngine(
    { clock, random, diskOf: () => disk, stores, compute, telemetry, checkpoints },
    {
      folders: store.devices.map(device => folderOf(device, clock, onLost)),
      record,
      incarnation: store.incarnation,
      masterKey: secrets.masterKey,
      root: secrets.root,
      deviceOptions: {},
    },
  )
  const chores = new ChoreRunner("chores", engine.chores, clock, telemetry)
  engine.onRepairDue(() => chores.wake("repair"))
  const sources = sourcesOfEngine(clock, {
    record: () => engine.keeper.record,
    devices: () => engine.devices,
    whyOut: id => engine.control.whyOut(id),
    tablet: engine.tablet,
    compute,
    chores: () => chores.status(),
  })
  const version = readVersion()
  const region = config.region ?? REGION_DEFAULT
  const facts = { storeId: store.storeId, version, region, startedMs: clock.wallMs() }
  const status = new RunningStatus(clock, telemetry.log, facts, sources)
  registerStatus(telemetry.metrics, clock, status, sources)
  return {
    engine,
    compute,
    status,
    livings: [...engine.livings, chores, status],
    stop: async () => {
      await engine.stop()
      await compute.close()
    },
  }
}

/** Slabs hold a block under the store's policy, under those that it narrows to, and under those that it may grow to. */
function openCompute(policy: Policy, blockBytes: number): ThreadCompute {
  const defaults = Array.from({ length: DEVICES_OF_DEFAULTS }, (_, i) => defaultPolicy(i + 1))
  const slabs = [...policiesInUse(policy), ...defaults].map(each => slabBytesOf(shapeOf(each), blockBytes))
  const slabBytes = Math.max(...slabs)
  const poolBytes = Math.max(SLAB_POOL_BYTES, 2 * slabBytes)
  return new ThreadCompute(makeCodec, COMPUTE_ENTRY, { slabBytes, poolBytes, threads: COMPUTE_THREADS })
}

/** A folder of the store with the watch over who owns it. */
function folderOf(device: Ownership, clock: Clock, onLost: (device: Ownership, failure: Failure) => void): OwnedFolder {
  const watch: Living = {
    name: `ownership ${device.identity.id}`,
    run: async signal => {
      while (!signal.aborted) {
        await device.run(signal, failure => onLost(device, failure))
        await clock.sleep(OWNER_RETRY_MS, signal)
      }
    },
  }
  return {
    place: device.identity,
    livings: [watch],
    check: () => device.check(),
    release: () => device.release(),
  }
}
