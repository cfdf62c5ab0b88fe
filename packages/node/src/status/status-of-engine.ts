/** Status sources of the engine: its devices, its record, its tablet, and the shards that devices lack. */
import type { JobReport, QueueReport } from "./contract.js"
import type { DeviceId, RowKey } from "@hayloft/base/ids.js"
import { PARTITIONS } from "@hayloft/base/limits.js"
import { textOfPolicy, type Policy } from "@hayloft/base/policy.js"
import { ALL_ROWS } from "@hayloft/base/rows/key-range.js"
import { policiesIn } from "@hayloft/engine/cluster/index.js"
import { CALL_LIMITS, type DeviceSpace } from "@hayloft/engine/device/index.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import { decodeCounters } from "@hayloft/engine/format/records.js"
import type { JobStatus } from "@hayloft/base/life/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Compute } from "@hayloft/base/seams/compute/index.js"
import { hintOfKey } from "@hayloft/objects/index.js"
import type {
  LostObjects,
  OrphanReport,
  ReencodeReport,
  RepairJobReport,
  IntegrityAuditReport,
  ShardScanReport,
} from "@hayloft/upkeep/index.js"
import { query } from "@hayloft/engine/metadata/index.js"
import type { Soon } from "@hayloft/base/soon.js"
import type { Primary } from "@hayloft/engine/tablet/index.js"
import type { EngineMetadata } from "../metadata/database.js"
import { troubleOf } from "../devices/device-set.js"
import type { DeviceStack } from "../devices/device-stack.js"
import type { Scrubbing } from "../devices/scrubbing.js"
import { withReencoding, withUnseen } from "./status-core.js"
import type {
  ScrubView,
  OpenDevice,
  ReencodingView,
  RepairView,
  SpaceView,
  StatusSources,
  StoreContents,
} from "./status-sources.js"

const READ_HINTS_EVERY_MS = 10_000
const COUNT_EVERY_MS = 1_000
/** Job names, as the record lists them while they are paused. */
const REPAIR = "repair"
const REENCODE = "reencode"

/** The parts of an engine that status reads. */
interface EngineView {
  /** This process created the store: it was empty before. */
  readonly isNew: boolean
  readonly record: () => ControlRecord
  readonly devices: () => readonly DeviceStack[]
  readonly offlineReason: (id: DeviceId) => string | undefined
  readonly metadata: EngineMetadata
  /** The tablet is undefined if the metadata is in a database. */
  readonly tablet: Primary | undefined
  /** The reason why the devices keep this process from reading what was acknowledged. */
  readonly reach: { readonly stalled: string | undefined; readonly outOfReach: string | undefined }
  readonly compute: Compute
  readonly jobs: () => readonly JobStatus[]
  readonly failingJobs: StatusSources["failingJobs"]
  readonly repair: { shardScan(): ShardScanReport; report(): RepairJobReport }
  readonly reencode: { report(): ReencodeReport }
  readonly orphans: { report(): OrphanReport }
  readonly integrityAudit: { report(): IntegrityAuditReport; objects(): LostObjects }
  /** Policies that buckets set for themselves. */
  readonly bucketPolicies: () => readonly Policy[]
}

function spaceOf({ fullness, freeBytes }: DeviceSpace): SpaceView {
  const { fileSystemId, fileSystemKind, totalBytes, usableBytes, reserveBytes, level, secondsUntilFull } = fullness
  const system = { fileSystemId, fileSystemKind, totalBytes, freeBytes }
  return {
    ...system,
    usableBytes,
    reserveBytes,
    isFull: level !== "enough",
    isCritical: level === "critical",
    secondsUntilFull,
  }
}

function openDevice(stack: DeviceStack): OpenDevice {
  const { place, disk, space, volumes, log, rows, checkpointer } = stack
  const { writtenBytes, liveBytes } = volumes.usage()
  return {
    id: place.id,
    path: place.path,
    trouble: troubleOf(stack),
    checkpointError: checkpointer.error,
    space: spaceOf(space),
    deadBytes: liveBytes === undefined ? undefined : Math.max(0, writtenBytes - liveBytes),
    volumeBytes: writtenBytes,
    logBytes: log.lengthBytes,
    memtableRows: rows.memtableRows,
    asideRows: rows.setAside.length,
    calls: { name: "calls", depth: disk.queued, limit: CALL_LIMITS.queuedMax },
  }
}

/**
 * Contents of the store by policy and device, as repair found them. Until a shard scan has completed (repair may be
 * paused), also the missing-shard hints of writers, re-read at intervals.
 */
class Contents {
  private hints = new Map<DeviceId, Uint8Array>()
  private readMs = -Infinity
  private countedMs = -Infinity
  /** All versions of all objects, by the counters of their buckets. */
  private objectBytes = 0
  /** The latest completed scan: when it began, and the sums of object bytes and of repair's findings at that time. */
  private lastScan:
    | { readonly beganMs: number | undefined; readonly objectBytes: number; readonly foundBytes: number }
    | undefined
  private policy: Policy | undefined
  /** The policy of blocks before this one. */
  private policyBefore: Policy | undefined
  private remainingBytes: number | undefined
  /** Number of changes seen apart from repair's findings. */
  private changes = 0

  constructor(
    private readonly clock: Clock,
    private readonly engine: Omit<EngineView, "devices" | "offlineReason" | "compute" | "jobs">,
  ) {}

  read(): StoreContents {
    const { policy } = this.engine.record()
    const shardScan = this.engine.repair.shardScan()
    const lost = this.engine.integrityAudit.report()
    const { version, beganMs, isComplete, policies, lacking, omitsMisplaced } = shardScan
    const misplacedGroups = shardScan.misplacedBlocks
    const nowMs = this.clock.monotonicMs()
    if (!isComplete && nowMs - this.readMs >= READ_HINTS_EVERY_MS) this.readHints()
    if (nowMs - this.countedMs >= COUNT_EVERY_MS) this.countObjects()
    const foundBytes = [...policies, ...misplacedGroups, lost].reduce((sum, { bytes }) => sum + bytes, 0)
    if (isComplete && beganMs !== this.lastScan?.beganMs) {
      this.countObjects()
      this.lastScan = { beganMs, objectBytes: this.objectBytes, foundBytes }
    }
    const [, ...ofClasses] = policiesIn(this.engine.record())
    const bucketPolicies = [...ofClasses, ...this.engine.bucketPolicies()]
    const known = {
      isKnown: shardScan.hasScanned || this.engine.isNew,
      isCounted: isComplete && !omitsMisplaced && lost.isCounted,
      bucketPolicies,
      misplacedGroups: [...misplacedGroups, ...lost.misplacedBlocks],
      lacking: isComplete ? lacking : new Map([...this.hints, ...lacking]),
    }
    // Repair's later findings are already in its report.
    const { lastScan = { objectBytes: this.objectBytes, foundBytes } } = this
    const unseenBytes = this.objectBytes - lastScan.objectBytes - (foundBytes - lastScan.foundBytes)
    const seen = withUnseen(policies, policy, unseenBytes)
    const remainingBytes = this.remainingToReencode(policy)
    const current =
      remainingBytes === undefined
        ? seen
        : withReencoding(seen, [policy, ...bucketPolicies], this.policyBefore, remainingBytes)
    return { ...known, policies: current, version: version + lost.version + this.changes }
  }

  /** Returns undefined until the remaining bytes have been counted. */
  private remainingToReencode(policy: Policy): number | undefined {
    const isNew = this.policy !== undefined && textOfPolicy(this.policy) !== textOfPolicy(policy)
    if (isNew) this.policyBefore = this.policy
    this.policy = policy
    // Re-encoding that has been paused since the start may have counted nothing yet.
    const isPaused = this.engine.record().pausedWork.includes(REENCODE)
    const remainingBytes = isPaused ? undefined : this.engine.reencode.report().remainingBytes
    if (remainingBytes !== this.remainingBytes) this.changes += 1
    this.remainingBytes = remainingBytes
    return remainingBytes
  }

  private readHints(): void {
    this.readMs = this.clock.monotonicMs()
    this.changes += 1
    this.take(this.engine.metadata.ask(lackingByDevice()), hints => (this.hints = hints))
  }

  private countObjects(): void {
    this.countedMs = this.clock.monotonicMs()
    this.take(this.engine.metadata.ask(bytesOfObjects()), objectBytes => {
      if (objectBytes !== this.objectBytes) this.changes += 1
      this.objectBytes = objectBytes
    })
  }

  /** The next status shows a result that arrives later; a failed query changes nothing. */
  private take<Result>(result: Soon<Result>, show: (result: Result) => void): void {
    if (result instanceof Promise) result.then(show, () => undefined)
    else show(result)
  }
}

export const lackingByDevice = query("LackingByDevice", view => lackingOf(view.range("missingShardHints", ALL_ROWS)))

export const bytesOfObjects = query("BytesOfObjects", view => {
  let bytes = 0
  for (const [, { value }] of view.range("counters", ALL_ROWS)) bytes += decodeCounters(value).bytes
  return bytes
})

/** Partitions with missing or damaged shards by device, from the missing-shard hints. */
function lackingOf(hints: Iterable<readonly [key: RowKey, row: unknown]>): Map<DeviceId, Uint8Array> {
  const lacking = new Map<DeviceId, Uint8Array>()
  for (const [key] of hints) {
    const { partition, deviceId } = hintOfKey(key)
    const flags = lacking.get(deviceId) ?? new Uint8Array(PARTITIONS)
    flags[partition] = 1
    lacking.set(deviceId, flags)
  }
  return lacking
}

function scrubView({ isRunning, ...view }: Scrubbing["view"], isPaused: boolean): ScrubView {
  return { ...view, state: isPaused ? "paused" : isRunning ? "running" : "waiting" }
}

export function sourcesOfEngine(clock: Clock, engine: EngineView): StatusSources {
  const { record, devices, offlineReason, metadata, tablet, reach, compute, jobs, failingJobs } = engine
  const { repair, reencode, integrityAudit, orphans } = engine
  const contents = new Contents(clock, engine)
  return {
    record,
    devices: () => devices().map(openDevice),
    offlineReason,
    metadata: () => ({
      trouble: metadata.trouble ?? reach.stalled ?? reach.outOfReach,
      damages: tablet?.metadataDamages ?? [],
      isDatabaseFull: metadata.isDatabaseFull,
    }),
    queues: (): QueueReport[] => {
      const { slabsFree, slabsTotal } = compute.slabs
      return [
        { name: "commands", depth: metadata.commandsWaiting, limit: metadata.commandsWaitingMax },
        { name: "slabs", depth: slabsTotal - slabsFree, limit: slabsTotal },
      ]
    },
    jobs: () =>
      jobs().map(({ lastError, failuresInARow: _, ...job }): JobReport => ({
        ...job,
        ...(lastError === undefined ? {} : { lastError }),
      })),
    failingJobs,
    contents: () => contents.read(),
    repair: () => repairView(repair, integrityAudit, record().pausedWork.includes(REPAIR)),
    orphans: () => orphans.report(),
    scrub: () => devices().map(({ tending }) => scrubView(tending.scrub.view, record().pausedWork.includes("scrub"))),
    reencoding: () => reencodingView(reencode, record().pausedWork.includes(REENCODE)),
  }
}

const NOTHING_LOST: LostObjects = { first: [], count: 0 }

function repairView(
  repair: EngineView["repair"],
  integrityAudit: EngineView["integrityAudit"],
  isPaused: boolean,
): RepairView {
  const { singleCopyBlocks } = repair.shardScan()
  const { writtenShards, ...report } = repair.report()
  const { blocks: lostBlocks, bytes: lostBytes } = integrityAudit.report()
  const { first: lostObjects, count: lostObjectsMin } = lostBlocks > 0 ? integrityAudit.objects() : NOTHING_LOST
  const lost = { lostBlocks, lostBytes, lostObjects, lostObjectsMin }
  return { ...report, isPaused, rebuiltShards: writtenShards, ...lost, singleCopyBlocks }
}

/** Returns undefined if nothing remains, or if nothing has been counted yet. */
function reencodingView(reencode: EngineView["reencode"], isPaused: boolean): ReencodingView | undefined {
  const { doneBytes, remainingBytes = 0, secondsLeft, waiting } = reencode.report()
  return remainingBytes > 0 || waiting > 0 ? { isPaused, doneBytes, remainingBytes, secondsLeft, waiting } : undefined
}
