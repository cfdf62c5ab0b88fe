/**
 * Node report, version 1: what a node tells the others about its devices and its background work, for the status of the
 * store. Call 16 (`report`): the request is empty, the response this record. The database (`database-health.ts`), the epoch
 * keys of devices, their master keys and the proof of the next one are its last members; earlier nodes do not send them.
 *
 * A positional MessagePack array, as are the devices, jobs and scrubs in it (`pack.ts`); null stands for unknown. Later
 * releases append members; readers ignore members that they do not know. Flags by partition are packed, one bit each.
 * Refuses   Anything malformed with `corruptRecord`.
 */
import { parseDeviceId, type DeviceId } from "../base/ids.js"
import { PARTITIONS } from "../base/limits.js"
import { parsePolicy, textOfPolicy, type Policy } from "../base/policy.js"
import { fail, isFailure } from "../base/failures.js"
import { packDatabase, readDatabase, type ReportedDatabase } from "./database-health.js"
import { packRecord, pick, RecordReader } from "./pack.js"

export const REPORT_CALL = 16

/** Numbers are on the wire: append only. */
const JOB_STATES = ["busy", "throttled", "idle", "done", "failed"] as const
const SCRUB_STATES = ["running", "waiting", "paused"] as const
const LOST_KINDS = ["object", "version", "part"] as const

/** An open device of the node. */
export interface ReportedDevice {
  readonly id: DeviceId
  readonly path: string
  /** The reason to take it offline. */
  readonly trouble: string | undefined
  readonly checkpointError: string | undefined
  readonly deadBytes: number | undefined
  readonly volumeBytes: number
  readonly logBytes: number
  readonly memtableRows: number
  readonly callsQueued: number
  readonly callsMax: number
  readonly space: ReportedSpace | undefined
}

export interface ReportedSpace {
  readonly fileSystemId: string
  readonly fileSystemKind: string
  readonly totalBytes: number
  readonly freeBytes: number
  readonly usableBytes: number | undefined
  readonly reserveBytes: number | undefined
  readonly isFull: boolean
  readonly isCritical: boolean
  readonly secondsUntilFull: number | undefined
}

interface ReportedJob {
  readonly name: string
  readonly state: (typeof JOB_STATES)[number]
  readonly progress: string
  readonly lastError: string | undefined
  readonly throttle: number
}

interface ReportedScrub {
  readonly device: DeviceId
  readonly state: (typeof SCRUB_STATES)[number]
  readonly passStartedMs: number
  readonly oldestVerifiedMs: number
  readonly damagesFound: number
  readonly doneBytes: number
  readonly remainingBytes: number
}

/** Finished and remaining work, in bytes. */
interface ReportedWork {
  readonly doneBytes: number
  readonly remainingBytes: number
}

interface ReportedPartitions extends ReportedWork {
  readonly partitionsDone: number
  readonly partitionsRemaining: number
}

interface ReportedRepair {
  readonly isPaused: boolean
  readonly partitionsScanned: number
  readonly mending: ReportedPartitions
  readonly moving: ReportedPartitions
  readonly bytesPerSecond: number
  readonly secondsLeft: number | undefined
  readonly rebuiltShards: number
  readonly lostBlocks: number
  readonly lostBytes: number
  readonly lostObjects: readonly {
    readonly bucket: string
    readonly key: string
    readonly what: (typeof LOST_KINDS)[number]
  }[]
  readonly singleCopyBlocks: number
  readonly isShortOfSpace: boolean
}

interface ReportedReencoding extends ReportedWork {
  readonly isPaused: boolean
  readonly secondsLeft: number | undefined
  readonly waiting: number
}

interface ReportedContents {
  readonly isKnown: boolean
  readonly isCounted: boolean
  readonly version: number
  readonly policies: readonly { readonly policy: Policy; readonly bytes: number }[]
  readonly bucketPolicies: readonly Policy[]
  /** By device, a byte for each partition: not 0 if it may lack shards. */
  readonly lacking: ReadonlyMap<DeviceId, Uint8Array>
  readonly misplacedGroups: readonly {
    readonly partition: number
    readonly needed: number
    readonly devices: readonly DeviceId[]
    readonly bytes: number
  }[]
}

interface ReportedOrphans {
  readonly isStopped: boolean
  readonly abortedBlocks: number
  readonly abortedBlocksMax: number
  readonly waitingBlocks: number
}

export interface NodeReport {
  readonly devices: readonly ReportedDevice[]
  readonly jobs: readonly ReportedJob[]
  readonly scrub: readonly ReportedScrub[]
  /** The node's knowledge of all blocks if it is the one that repairs them. */
  readonly repairer:
    | {
        readonly contents: ReportedContents | undefined
        readonly repair: ReportedRepair | undefined
        readonly reencoding: ReportedReencoding | undefined
        readonly orphans: ReportedOrphans
      }
    | undefined
  /** The database is undefined for a node of an earlier release. */
  readonly database: ReportedDatabase | undefined
  /** The oldest epoch key that each open device of the node has. */
  readonly epochs?: ReadonlyMap<DeviceId, number>
  /** The number of the oldest master key under which each open device of the node has a record. */
  readonly masterKeys?: ReadonlyMap<DeviceId, number>
  /** Proves that the node has the master key that the operator has given it as the next one. */
  readonly nextKeyProof?: Uint8Array
}

const orNull = <T, U>(value: T | undefined, pack: (value: T) => U): U | null =>
  value === undefined ? null : pack(value)
/** Booleans are numbers: `RecordReader` reads those. */
const flag = (value: boolean): number => (value ? 1 : 0)

export function encodeNodeReport(report: NodeReport): Uint8Array {
  const { devices, jobs, scrub, repairer, database } = report
  return packRecord(1, [
    devices.map(packDevice),
    jobs.map(({ name, state, progress, lastError, throttle }) => [
      ...[name, JOB_STATES.indexOf(state), progress, lastError ?? null],
      throttle,
    ]),
    scrub.map(each => [
      ...[each.device, SCRUB_STATES.indexOf(each.state), each.passStartedMs, each.oldestVerifiedMs],
      ...[each.damagesFound, each.doneBytes, each.remainingBytes],
    ]),
    orNull(repairer, ({ contents, repair, reencoding, orphans }) => [
      orNull(contents, packContents),
      orNull(repair, packRepair),
      orNull(reencoding, each => [
        ...[flag(each.isPaused), each.doneBytes, each.remainingBytes, each.secondsLeft ?? null],
        each.waiting,
      ]),
      [flag(orphans.isStopped), orphans.abortedBlocks, orphans.abortedBlocksMax, orphans.waitingBlocks],
    ]),
    orNull(database, packDatabase),
    ...keysIn(report),
  ])
}

/** Only stores with keys have any. */
function keysIn({ epochs = new Map(), masterKeys = new Map(), nextKeyProof }: NodeReport): readonly unknown[] {
  if (nextKeyProof !== undefined) return [[...epochs], [...masterKeys], nextKeyProof]
  if (masterKeys.size > 0) return [[...epochs], [...masterKeys]]
  return epochs.size === 0 ? [] : [[...epochs]]
}

function packDevice(device: ReportedDevice): readonly unknown[] {
  const { id, path, trouble, checkpointError, deadBytes, volumeBytes, logBytes, memtableRows } = device
  return [
    ...[id, path, trouble ?? null, checkpointError ?? null, deadBytes ?? null, volumeBytes, logBytes, memtableRows],
    ...[device.callsQueued, device.callsMax],
    orNull(device.space, space => [
      ...[space.fileSystemId, space.fileSystemKind, space.totalBytes, space.freeBytes, space.usableBytes ?? null],
      ...[space.reserveBytes ?? null, flag(space.isFull), flag(space.isCritical), space.secondsUntilFull ?? null],
    ]),
  ]
}

const packWork = ({ doneBytes, remainingBytes, partitionsDone, partitionsRemaining }: ReportedPartitions) => [
  doneBytes,
  remainingBytes,
  partitionsDone,
  partitionsRemaining,
]

const packRepair = (repair: ReportedRepair): readonly unknown[] => [
  flag(repair.isPaused),
  repair.partitionsScanned,
  packWork(repair.mending),
  packWork(repair.moving),
  ...[repair.bytesPerSecond, repair.secondsLeft ?? null, repair.rebuiltShards, repair.lostBlocks, repair.lostBytes],
  repair.lostObjects.map(({ bucket, key, what }) => [bucket, key, LOST_KINDS.indexOf(what)]),
  ...[repair.singleCopyBlocks, flag(repair.isShortOfSpace)],
]

const packContents = (contents: ReportedContents): readonly unknown[] => [
  ...[flag(contents.isKnown), flag(contents.isCounted), contents.version],
  contents.policies.map(({ policy, bytes }) => [textOfPolicy(policy), bytes]),
  contents.bucketPolicies.map(textOfPolicy),
  [...contents.lacking].map(([device, flags]) => [device, packFlags(flags)]),
  contents.misplacedGroups.map(({ partition, needed, devices, bytes }) => [partition, needed, devices, bytes]),
]

function packFlags(flags: Uint8Array): Uint8Array {
  const bits = new Uint8Array(PARTITIONS / 8)
  for (let at = 0; at < PARTITIONS; at += 1) {
    if (flags[at] !== 0) bits[at >> 3] = (bits[at >> 3] ?? 0) | (1 << (at & 7))
  }
  return bits
}

/** Throws `corruptRecord`. */
export function decodeNodeReport(bytes: Uint8Array): NodeReport {
  try {
    return readReport(RecordReader.open("node report", bytes, 1))
  } catch (error) {
    throw isFailure(error, "corruptRecord") ? error : fail("corruptRecord", { what: "node report" }, error)
  }
}

function readReport(row: RecordReader): NodeReport {
  return {
    devices: row.rows(readDevice),
    jobs: row.rows(job => ({
      ...{ name: job.text(), state: pick(JOB_STATES, job.number(), "job state"), progress: job.text() },
      lastError: job.optional(() => job.text()),
      throttle: job.number(),
    })),
    scrub: row.rows(scrub => ({
      ...{ device: readDeviceId(scrub), state: pick(SCRUB_STATES, scrub.number(), "scrub state") },
      ...{ passStartedMs: scrub.number(), oldestVerifiedMs: scrub.number(), damagesFound: scrub.number() },
      ...{ doneBytes: scrub.number(), remainingBytes: scrub.number() },
    })),
    repairer: row.optional(() => readRepairer(row.row())),
    database: row.optional(() => readDatabase(row.row())),
    ...readKeys(row),
  }
}

function readKeys(row: RecordReader): Pick<NodeReport, "epochs" | "masterKeys" | "nextKeyProof"> {
  const numbers = () => row.optional(() => row.rows(each => [readDeviceId(each), each.number()] as const))
  const [epochs, masterKeys, nextKeyProof] = [numbers(), numbers(), row.optional(() => row.bytes())]
  return {
    ...(epochs === undefined ? {} : { epochs: new Map(epochs) }),
    ...(masterKeys === undefined ? {} : { masterKeys: new Map(masterKeys) }),
    ...(nextKeyProof === undefined ? {} : { nextKeyProof: Uint8Array.from(nextKeyProof) }),
  }
}

function readRepairer(row: RecordReader): NodeReport["repairer"] {
  return {
    contents: row.optional(() => readContents(row.row())),
    repair: row.optional(() => readRepair(row.row())),
    reencoding: row.optional(() => readReencoding(row.row())),
    orphans: readOrphans(row.row()),
  }
}

function readDevice(row: RecordReader): ReportedDevice {
  return {
    ...{ id: readDeviceId(row), path: row.text(), trouble: row.optional(() => row.text()) },
    ...{ checkpointError: row.optional(() => row.text()), deadBytes: row.optional(() => row.number()) },
    ...{ volumeBytes: row.number(), logBytes: row.number(), memtableRows: row.number() },
    ...{ callsQueued: row.number(), callsMax: row.number() },
    space: row.optional(() => readSpace(row.row())),
  }
}

const readSpace = (row: RecordReader): ReportedSpace => ({
  ...{ fileSystemId: row.text(), fileSystemKind: row.text(), totalBytes: row.number(), freeBytes: row.number() },
  ...{ usableBytes: row.optional(() => row.number()), reserveBytes: row.optional(() => row.number()) },
  ...{ isFull: readFlag(row), isCritical: readFlag(row), secondsUntilFull: row.optional(() => row.number()) },
})

const readReencoding = (row: RecordReader): ReportedReencoding => ({
  ...{ isPaused: readFlag(row), doneBytes: row.number(), remainingBytes: row.number() },
  ...{ secondsLeft: row.optional(() => row.number()), waiting: row.number() },
})

const readOrphans = (row: RecordReader): ReportedOrphans => ({
  ...{ isStopped: readFlag(row), abortedBlocks: row.number(), abortedBlocksMax: row.number() },
  waitingBlocks: row.number(),
})

const readWork = (row: RecordReader): ReportedPartitions => ({
  ...{ doneBytes: row.number(), remainingBytes: row.number() },
  ...{ partitionsDone: row.number(), partitionsRemaining: row.number() },
})

const readRepair = (row: RecordReader): ReportedRepair => ({
  ...{ isPaused: readFlag(row), partitionsScanned: row.number() },
  ...{ mending: readWork(row.row()), moving: readWork(row.row()) },
  ...{ bytesPerSecond: row.number(), secondsLeft: row.optional(() => row.number()), rebuiltShards: row.number() },
  ...{ lostBlocks: row.number(), lostBytes: row.number() },
  lostObjects: row.rows(lost => ({
    ...{ bucket: lost.text(), key: lost.text() },
    what: pick(LOST_KINDS, lost.number(), "lost object"),
  })),
  ...{ singleCopyBlocks: row.number(), isShortOfSpace: readFlag(row) },
})

const readContents = (row: RecordReader): ReportedContents => ({
  ...{ isKnown: readFlag(row), isCounted: readFlag(row), version: row.number() },
  policies: row.rows(use => ({ policy: parsePolicy(use.text()), bytes: use.number() })),
  bucketPolicies: row.texts().map(text => parsePolicy(text)),
  lacking: new Map(row.rows(device => [readDeviceId(device), readFlags(device)] as const)),
  misplacedGroups: row.rows(group => ({
    ...{ partition: group.number(), needed: group.number() },
    ...{ devices: group.texts().map(text => parseDeviceId(text)), bytes: group.number() },
  })),
})

const readFlag = (row: RecordReader): boolean => row.number() !== 0
const readDeviceId = (row: RecordReader): DeviceId => parseDeviceId(row.text())

function readFlags(row: RecordReader): Uint8Array {
  const bits = row.bytes()
  if (bits.length !== PARTITIONS / 8) throw fail("corruptRecord", { what: "node report", field: "flags" })
  const flags = new Uint8Array(PARTITIONS)
  for (const [at, byte] of bits.entries()) {
    if (byte === 0) continue
    for (let bit = 0; bit < 8; bit += 1) flags[8 * at + bit] = (byte >> bit) & 1
  }
  return flags
}
