/**
 * Shapes of the store itself in the admin API's JSON: its status, its devices, the changes that an
 * operator asks for and their plans. The `contract.ts` files of `node/status` and
 * `node/control` say what each member means.
 */
import { z } from "zod"

const id = z.string().min(1).max(128)
const timestamp = z.number().int().describe("milliseconds since 1970")
const count = z.number().int().nonnegative()
const losses = z.number().int().min(-1)
const seconds = z.number().nonnegative()

const QUEUE = z.object({ name: z.string(), depth: count, limit: count }).meta({ id: "Queue" })

export const PROGRESS = z
  .object({
    doneBytes: count,
    remainingBytes: count,
    bytesPerSecond: z.number().nonnegative().describe("over the last minutes"),
    endsInSeconds: seconds.optional().describe("absent: nothing is left, or the rate is not known yet"),
  })
  .meta({ id: "Progress" })

export const DEVICE = z
  .object({
    id,
    path: z.string(),
    state: z.enum(["active", "rebuilding", "draining", "decommissioning", "offline", "missing", "failed", "full"]),
    reason: z.string().describe("why the state is what it is"),
    sinceMs: timestamp.optional().describe("when the state was entered, milliseconds since 1970"),
    weight: z.number().positive().describe("its share of the shards, relative to the others"),
    metadataReplica: z.enum(["yes", "learning", "no"]),
    disk: z.string().optional().describe("equal for folders on one file system, which fail together"),
    totalBytes: count,
    freeBytes: count,
    usableBytes: count.optional().describe("free, and not kept back for deletes, repair and compaction"),
    reserveBytes: count.optional(),
    deadBytes: count.optional().describe("of what is gone: compaction may give it back"),
    fullInSeconds: seconds.optional().describe("at the rate of the last minutes; absent: it does not fill"),
    fileSystemKind: z.string(),
    memtableRows: count.optional().describe("rows that the base does not contain yet; absent: the device is not open"),
    logBytes: count.optional().describe("bytes of the commit log above its cut; absent: the device is not open"),
    volumeBytes: count.optional().describe("bytes of needle volumes; absent: the device is not open"),
    queues: z.array(QUEUE),
  })
  .meta({ id: "Device" })

export const SAFETY = z
  .object({
    sentence: z.string().describe("what may fail, and why it is not more"),
    disks: count,
    safeLosses: losses.describe("so many arbitrary disks may fail now; -1: something cannot be read now"),
    safeLossesWhenWhole: losses,
    safeFolderLosses: losses.describe("the same of folders, each by itself"),
    safeFolderLossesWhenWhole: losses,
    opensWithout: count.describe("so many arbitrary disks may be missing at a start without hayloft device forget"),
    reasons: z.array(z.string()).describe("what keeps the store from being whole"),
    critical: z.array(id).describe("devices on a disk that must not fail now"),
    levels: z
      .array(z.object({ losses, bytes: count }))
      .describe("bytes of blocks, before coding, by how many more lost disks they survive; -1: not readable now"),
    riskiest: z
      .array(z.object({ partition: count, losses, lacking: z.array(id) }))
      .describe("a few partitions that lack something, the worst first"),
    wholeInSeconds: seconds.optional(),
  })
  .meta({ id: "Safety" })

export const REPAIR = z
  .object({
    isPaused: z.boolean(),
    partitionsScanned: count.describe("of 65,536, since devices or layouts changed last"),
    partitionsDone: count.describe("that lacked shards, and do no longer"),
    partitionsLeft: count.describe("that lack shards; all of them are known once all have been looked at"),
    progress: PROGRESS.describe("of shards that are missing"),
    rebuiltShards: count.describe("since the start of the process"),
    lostBlocks: count.describe("blocks that objects are made of, of which fewer shards are left than a read needs"),
    lostBytes: count.describe("bytes of these blocks, before coding"),
    lostObjects: z
      .array(z.object({ bucket: z.string(), key: z.string(), what: z.enum(["object", "version", "part"]) }))
      .describe("the first of those that cannot be read: objects, older versions of objects, parts of uploads"),
    singleCopyBlocks: count.describe("blocks that were written as one copy, whatever their policy should be"),
  })
  .meta({ id: "Repair" })

const SCRUB = z
  .object({
    device: id,
    state: z.enum(["running", "waiting", "paused"]),
    passStartedMs: timestamp,
    progress: PROGRESS.describe("of this pass"),
    oldestVerifiedMs: timestamp.describe("when the byte that was verified longest ago was verified, or written"),
    damagesFound: count.describe("since the start of the process"),
  })
  .meta({ id: "Scrub" })
export const SCRUBS = z.object({ scrub: z.array(SCRUB) }).meta({ id: "Scrubs" })
export const START_SCRUB = z
  .strictObject({ device: id.optional().describe("all devices where absent") })
  .meta({ id: "StartScrub" })

export const JOB = z
  .object({
    name: z.string(),
    state: z.enum(["busy", "throttled", "idle", "done", "failed"]),
    progress: z.string(),
    lastError: z.string().optional(),
    throttle: z.number().nonnegative().describe("rest after a step, as a multiple of how long the step took"),
  })
  .meta({ id: "Job" })
export const JOBS = z.object({ jobs: z.array(JOB) }).meta({ id: "Jobs" })
export const SET_THROTTLE = z.strictObject({ throttle: z.number().nonnegative() }).meta({ id: "SetThrottle" })

export const LAYOUT = z
  .object({
    version: count,
    width: count.describe("slots of each partition"),
    transition: z
      .object({ fromVersion: count, progress: PROGRESS.optional() })
      .optional()
      .describe("while shards move from one layout to the next"),
  })
  .meta({ id: "Layout" })

export const STATUS = z
  .object({
    storeId: z.string(),
    version: z.string(),
    region: z.string(),
    startedMs: timestamp,
    uptimeSeconds: seconds,
    policy: z.string().describe("what new blocks are written under: ec:4+3, replica:2"),
    isPolicyAutomatic: z.boolean().describe("nobody chose the policy: it follows the number of devices"),
    blockBytes: count,
    compatibility: z
      .array(z.string())
      .describe("settings that allow, for the sake of older clients, what is refused otherwise; those that are on"),
    safety: SAFETY,
    metadata: z
      .object({ copies: count, copiesWanted: count, learning: count })
      .describe("devices that hold the names, that should, and that are on the way to"),
    health: z.object({ ready: z.boolean(), reasons: z.array(z.string()) }),
    devices: z.array(DEVICE),
    layout: LAYOUT,
    reencoding: PROGRESS.optional().describe("while blocks are brought from one policy to another"),
    repair: REPAIR.optional(),
    scrub: z.array(SCRUB).optional(),
    jobs: z.array(JOB),
    queues: z.array(QUEUE),
  })
  .meta({ id: "Status" })
export const DEVICES = z.object({ devices: z.array(DEVICE) }).meta({ id: "Devices" })

const dryRun = z.boolean().default(false).describe("answer with the plan only; nothing is changed")
const confirm = z
  .string()
  .max(4096)
  .optional()
  .describe("what the plan has as confirmBy; a change whose plan has one is refused without it")
const request = { confirm, dryRun }
const path = z
  .string()
  .max(4096)
  .regex(/^\/[^\0]*$/, "an absolute path on the server's machine")
const weight = z.number().positive().max(1e6)

export const ADD_DEVICE = z
  .strictObject({ path, weight: weight.optional().describe("by its size where absent"), ...request })
  .meta({ id: "AddDevice" })
export const CHANGE_DEVICE = z.strictObject(request).meta({ id: "ChangeDevice" })
const acceptLoss = z.boolean().default(false).describe("also where objects are lost by it")
export const FORGET_DEVICE = z.strictObject({ acceptLoss, ...request }).meta({ id: "ForgetDevice" })
export const REPLACE_DEVICE = z.strictObject({ path, acceptLoss, ...request }).meta({ id: "ReplaceDevice" })
export const SET_WEIGHT = z.strictObject({ weight, ...request }).meta({ id: "SetWeight" })

const policy = z
  .string()
  .max(64)
  .describe("ec:4+2, replica:2, or automatic: by the number of devices, or as the store where a bucket is named")
export const SET_REDUNDANCY = z
  .strictObject({ policy, bucket: z.string().optional().describe("the store where absent"), ...request })
  .meta({ id: "SetRedundancy" })

export const PLAN = z
  .object({
    summary: z.string().describe("what the change does"),
    policyBefore: z.string(),
    policyAfter: z.string(),
    devices: z.array(
      z.object({
        id: id.optional().describe("absent: a device that does not exist yet"),
        path: z.string(),
        bytesIn: count.describe("of shards that are written to it"),
        bytesOut: count.describe("of shards that it gives up"),
      }),
    ),
    movedBytes: count.describe("of shards that are copied to, or rebuilt on, another device"),
    reencodedBytes: count.describe("of shards that are written anew under another policy"),
    hours: z.number().nonnegative().describe("at the rate that such work keeps to"),
    survives: z
      .object({ before: losses, during: losses, after: losses })
      .describe("how many arbitrary disks may fail without a loss; -1: something is not readable"),
    usableBytesBefore: count.optional().describe("bytes of objects that fit, those that are there included"),
    usableBytesAfter: count.optional(),
    warnings: z.array(z.string()),
    confirmBy: z
      .string()
      .optional()
      .describe("less safe than now, or likely a mistake: a person has to repeat this before it is done"),
  })
  .meta({ id: "Plan" })
export const CHANGE = z
  .object({
    applied: z.boolean().describe("false for a dry run"),
    plan: PLAN,
    generation: count.optional().describe("of the control record that holds the change"),
  })
  .meta({ id: "Change" })

export const DEVICE_CHECK = z.object({ id, state: DEVICE.shape.state, finding: z.string() }).meta({ id: "DeviceCheck" })

export const REDUNDANCY = z
  .object({
    policy: z.string(),
    isAutomatic: z.boolean().describe("nobody chose it: it follows the number of devices"),
    meaning: z.string().describe("what it means with the devices that are there"),
    buckets: z
      .array(z.object({ bucket: z.string(), policy: z.string() }))
      .describe("buckets that have a policy of their own"),
    reencoding: PROGRESS.optional().describe("while blocks are brought from one policy to another"),
  })
  .meta({ id: "Redundancy" })
