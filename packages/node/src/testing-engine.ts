/** A store in a simulated world, for tests of several modules together. */
import { MasterKeys } from "@hayloft/access/index.js"
import { fail } from "@hayloft/base/failures.js"
import type { BodySource, Bucket, ObjectBody } from "@hayloft/objects/index.js"
import type { AbortedWaits } from "@hayloft/upkeep/index.js"
import { parseAccessKeyId, parseAccountId, parseBucketName, parseDeviceId } from "@hayloft/base/ids.js"
import { parseEpoch, parseIncarnation, parseStoreId, rowKeyOf } from "@hayloft/base/ids.js"
import type { Incarnation } from "@hayloft/base/ids.js"
import { KIB, MIB } from "@hayloft/base/limits.js"
import { defaultMetaCopies, defaultPolicy, shardCount } from "@hayloft/base/policy.js"
import { SPACE_LIMITS } from "@hayloft/base/space/space-core.js"
import { CHECKPOINT_LIMITS } from "@hayloft/engine/device/index.js"
import { makeCodec } from "@hayloft/engine/erasure/index.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import { encodeLayout, planLayout } from "@hayloft/engine/placement/index.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { InlineCompute } from "@hayloft/base/seams/compute/index.js"
import { SimDisk, type Disk } from "@hayloft/base/seams/disk/index.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { PARITY_PAGE_BYTES } from "@hayloft/engine/format/tables/table-parity.js"
import type { StoreHost } from "@hayloft/base/seams/store/contract.js"
import { TableStores } from "@hayloft/engine/table/index.js"
import { sealSecrets } from "./open/secrets.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { CheckpointExecutor } from "./metadata/checkpoint-job.js"
import type { OwnedFolder } from "./devices/device-set.js"
import { openEngine, type Engine, type EngineSettings } from "./engine.js"
import { FIRST_TABLET } from "./metadata/first-tablet.js"
import { ReservedNumbers } from "./front/front-numbers.js"
import { Fronts } from "./front/fronts.js"
import { FRONT_INCARNATIONS } from "@hayloft/engine/format/needles/upload-id.js"
import type { HealthReport } from "./status/contract.js"

export const noSignal = new AbortController().signal
const OWNER = parseAccountId("root")
const MASTER_KEY = new Uint8Array(32)
const ROOT = { accountId: OWNER, accessKeyId: parseAccessKeyId("ROOTKEY"), secret: "secret", createdMs: 0 }
const LOG_FILL_STEP_BYTES = 64 * KIB
const READY: HealthReport = { ready: true, reasons: [] }
const NOT_LISTENING = { ready: false, reasons: ["the S3 port is not open yet"] }
const idOf = (number: number) => parseDeviceId(number.toString(16).padStart(16, "0"))

const RESERVE_BYTES = 1 * MIB
/** Small, since the simulated disk keeps in memory all files that keep space free. */
const SPACES = {
  ...SPACE_LIMITS,
  reserveBytesMin: RESERVE_BYTES,
  reserveBytesMax: RESERVE_BYTES,
  reserveBytesMaxShared: RESERVE_BYTES,
  ballastPieceBytes: 64 * KIB,
}

/** The same devices have the same layout in every run. */
const layouts = new Map<number, ControlRecord["layout"]>()

function layoutOf(count: number): ControlRecord["layout"] {
  const known = layouts.get(count)
  if (known) return known
  const devices = Array.from({ length: count }, (_, i) => ({ id: idOf(i + 1), weight: 1 }))
  const planned = planLayout(devices, shardCount(defaultPolicy(count)))
  const layout = { version: planned.version, table: encodeLayout(planned), devices: devices.map(({ id }) => id) }
  layouts.set(count, layout)
  return layout
}

/** A new store on devices in `/d1`, `/d2` …, with the defaults for their number. */
export function firstRecordOf(count: number, blockBytes: number): ControlRecord {
  const policy = defaultPolicy(count)
  const layout = layoutOf(count)
  const metaCopies = defaultMetaCopies(count, policy)
  const since = parseEpoch(1)
  const replicas = layout.devices.slice(0, metaCopies).map(id => ({ id, since }))
  return {
    storeId: parseStoreId("0".repeat(32)),
    generation: 1,
    devices: layout.devices.map((id, i) => {
      const place = { id, pathHint: `/d${i + 1}`, isMountPoint: true }
      return { ...place, weight: 1, state: "active", stateSinceMs: 0, capacityBytes: 0, more: [] }
    }),
    policy,
    isPolicyAutomatic: true,
    policyVersion: 1,
    blockBytes,
    metaCopies,
    tablets: [
      { id: FIRST_TABLET, epoch: since, replicas, learners: [], start: rowKeyOf(""), end: undefined, more: [] },
    ],
    layout,
    previousLayout: undefined,
    pausedWork: [],
    secrets: new Uint8Array(0),
    region: "",
    more: [],
  }
}

export const folderOf = (place: OwnedFolder["place"]): OwnedFolder => ({
  place,
  backgroundServices: [],
  check: () => Promise.resolve(),
  raiseFormatEpoch: () => Promise.resolve(),
  release: () => Promise.resolve(),
})

/** A start on the voting devices of the record. */
export function settingsOf(record: ControlRecord, incarnation: Incarnation): EngineSettings {
  const places = record.devices.flatMap(({ id, pathHint, state }) =>
    state === "offline" ? [] : [{ id, path: pathHint, incarnation }],
  )
  return {
    folders: places.map(folderOf),
    record,
    incarnation,
    masterKeys: new MasterKeys(MASTER_KEY),
    root: ROOT,
    deviceOptions: {},
  }
}

interface MachineOptions {
  readonly devices: number
  readonly blockBytes?: number
  /** The waits are those of a real store if absent. */
  readonly abortedWaits?: AbortedWaits
  /** The key that a rotation of the master key takes. Undefined: there will be none. */
  readonly nextMasterKey?: Uint8Array
}

/** A machine with its disk and metadata stores, on which a store is opened repeatedly. No background work runs. */
export class Machine {
  readonly clock = new SimClock()
  readonly disk = new SimDisk()
  readonly telemetry = new SimTelemetry()
  /** The disk of the current process. */
  opened: Disk = this.disk.boot()
  /** Folders that the current process has released. */
  released: string[] = []
  /** Folders whose superblock cannot be written. */
  readonly brokenSuperblocks = new Set<string>()
  private record: ControlRecord
  private incarnations = 0
  /** For later processes. */
  checkpointLimits: Partial<Record<keyof typeof CHECKPOINT_LIMITS, number>> = {}

  constructor(
    private readonly options: MachineOptions,
    readonly stores = new TableStores(),
  ) {
    const record = firstRecordOf(options.devices, options.blockBytes ?? 64 * KIB)
    const { nextMasterKey } = options
    const secrets = { masterKey: MASTER_KEY, keyInRecord: false, root: ROOT, adminToken: "token" }
    this.record = nextMasterKey ? { ...record, secrets: sealSecrets(secrets, new SimRandom(1)) } : record
  }

  /** The parts that are needed to open a device's metadata store directly. */
  hostOf(device: number): StoreHost {
    return { disk: this.disk.boot(), deviceId: idOf(device) }
  }

  /**
   * Damages the first row of each table of a device's metadata store, and the parity that would rebuild it. None of it
   * is
   * in memory then.
   */
  rotTables(device: number): void {
    const folder = `/d${device}/base`
    for (const name of this.disk.medium.namesIn(folder)) {
      if (!name.endsWith(".table")) continue
      this.disk.medium.alter(`${folder}/${name}`, content => {
        content[8] = (content[8] ?? 0) ^ 1
        // Parity is between the two ends, both of which have the magic.
        const bytes = Buffer.from(content.buffer, content.byteOffset, content.length)
        const [first, last] = [bytes.indexOf("HLTABLE1"), bytes.lastIndexOf("HLTABLE1")]
        const parityBytes = Math.floor((last - first) / PARITY_PAGE_BYTES) * PARITY_PAGE_BYTES
        bytes.fill(0x77, first + 8, first + 8 + parityBytes)
      })
    }
    this.stores.cache.clear()
  }

  /**
   * Opens the store for the next process incarnation; end the one before with `disk.kill()` or `engine.stop()`. With
   * front threads, `frontsOf` has received what serves them when it resolves.
   */
  async open(frontsOf?: (fronts: Fronts) => void): Promise<Engine> {
    const { clock, stores, telemetry, record } = this
    this.incarnations += frontsOf === undefined ? 1 : 1 + FRONT_INCARNATIONS
    const incarnation = parseIncarnation(this.incarnations)
    const fronts = frontsOf && new Fronts(clock, new ReservedNumbers(incarnation, FRONT_INCARNATIONS))
    this.released = []
    const disk = this.disk.boot()
    this.opened = disk
    const { nextMasterKey } = this.options
    const masterKeys = new MasterKeys(MASTER_KEY, undefined, nextMasterKey)
    const settings = { ...settingsOf(record, incarnation), masterKeys }
    const release = (path: string) => () => Promise.resolve(void this.released.push(path))
    const raiseFormatEpoch = (path: string) => () =>
      this.brokenSuperblocks.has(path) ? Promise.reject(fail("deviceFailed", { path })) : Promise.resolve()
    const seams = { clock, random: new SimRandom(this.incarnations), diskOf: () => disk, stores, telemetry }
    const compute = new InlineCompute(makeCodec, { slabBytes: 4 * record.blockBytes, poolBytes: 8 * MIB })
    const engine = await openEngine(
      { ...seams, compute, checkpoints: new CheckpointExecutor(() => disk, stores, new SimRandom(1)) },
      {
        ...settings,
        fronts,
        abortedWaits: this.options.abortedWaits,
        folders: settings.folders.map(folder => {
          const { path } = folder.place
          return { ...folder, release: release(path), raiseFormatEpoch: raiseFormatEpoch(path) }
        }),
        deviceOptions: {
          checkpointLimits: { ...CHECKPOINT_LIMITS, ...this.checkpointLimits },
          logFillStepBytes: LOG_FILL_STEP_BYTES,
        },
        spaceLimits: SPACES,
      },
    )
    engine.recordManager.onChange(changed => void (this.record = changed))
    this.record = engine.recordManager.record
    fronts?.serve(servedBy(engine, masterKeys))
    if (fronts) frontsOf?.(fronts)
    return engine
  }
}

/** The store as fronts serve it. */
export const servedBy = (engine: Engine, masterKeys = new MasterKeys(MASTER_KEY)): Parameters<Fronts["serve"]>[0] => ({
  engine,
  status: { health: (isListening = false) => (isListening ? READY : NOT_LISTENING), liveness: () => READY },
  masterKeys,
  root: ROOT,
  nodes: () => undefined,
})

export const createBucket = (engine: Engine): Promise<Bucket> =>
  engine.services.buckets.create({ name: parseBucketName("bucket"), owner: OWNER, location: "" })

export const sourceOf = (bytes: Uint8Array): BodySource => ({
  lengthBytes: bytes.length,
  declaredChecksum: () => undefined,
  // Both paths: in one piece for even lengths, streamed for odd ones.
  gather: () => (bytes.length % 2 === 0 ? bytes : undefined),
  async *open() {
    for (let at = 0; at < bytes.length; at += 64 * KIB) yield bytes.subarray(at, at + 64 * KIB)
  },
})

export async function bytesOf(body: ObjectBody): Promise<Buffer> {
  const pieces: Uint8Array[] = []
  for await (const piece of body.read(noSignal)) pieces.push(piece)
  return Buffer.concat(pieces)
}
