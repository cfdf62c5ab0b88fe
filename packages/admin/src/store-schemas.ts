/**
 * Schemas of the store itself in the admin API's JSON: its status, its devices, and changes with their plans. The
 * `contract.ts` files of `node/status` and `node/control` explain the fields.
 */
import { z } from "zod"
import { JOB, STARTED_JOB } from "@hayloft/features/operator/job-schemas.js"
import { SAFETY } from "./safety-schemas.js"
import { STORAGE_CLASSES } from "@hayloft/base/storage-class.js"

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
    endsInSeconds: seconds.optional().describe("absent if nothing remains, or the rate is not known yet"),
  })
  .meta({ id: "Progress" })

const node = z.string().describe("name of the node that serves it; absent on one machine")
const zone = z.string().describe("absent if none is named")
const machine = z.string().describe("within its zone")

export const DEVICE = z
  .object({
    id,
    path: z.string(),
    node: node.optional(),
    zone: zone.optional(),
    machine: machine.optional(),
    state: z.enum(["active", "rebuilding", "draining", "decommissioning", "offline", "missing", "failed", "full"]),
    reason: z.string().describe("the reason for the state"),
    sinceMs: timestamp.optional().describe("when the state was entered, milliseconds since 1970"),
    weight: z.number().positive().describe("its share of the shards, relative to the other devices"),
    metadataReplica: z.enum(["yes", "learning", "no"]),
    disk: z.string().optional().describe("equal for folders of one machine on one file system, which fail together"),
    totalBytes: count,
    freeBytes: count,
    usableBytes: count.optional().describe("free bytes, without the reserve for deletes, repair and compaction"),
    reserveBytes: count.optional(),
    deadBytes: count.optional().describe("bytes of deleted data, which compaction may reclaim"),
    fullInSeconds: seconds
      .optional()
      .describe(
        "at the rate at which the store has filled it in the last hour; absent if it is not filling up, or not known yet",
      ),
    fileSystemKind: z.string(),
    memtableRows: count.optional().describe("rows not yet in the metadata store; absent if the device is not open"),
    asideRows: count.optional().describe("rows too long for the metadata store; absent for devices of other nodes"),
    logBytes: count.optional().describe("bytes of the commit log above its cut; absent if the device is not open"),
    volumeBytes: count.optional().describe("bytes of needle volumes; absent if the device is not open"),
    queues: z.array(QUEUE),
  })
  .meta({ id: "Device" })

export const REPAIR = z
  .object({
    isPaused: z.boolean(),
    partitionsScanned: count.describe("of 65,536, since the last change of devices or layout"),
    partitionsDone: count.describe("partitions that lacked shards and no longer do"),
    partitionsRemaining: count.describe("partitions that lack shards; complete once all partitions are scanned"),
    progress: PROGRESS.describe("in bytes of missing shards"),
    rebuiltShards: count.describe("since the start of the process"),
    lostBlocks: count.describe("blocks of objects with fewer remaining shards than a read requires"),
    lostBytes: count.describe("bytes of these blocks, before encoding"),
    lostObjects: z
      .array(z.object({ bucket: z.string(), key: z.string(), what: z.enum(["object", "version", "part"]) }))
      .describe("the first that cannot be read: objects, older versions of objects, parts of uploads"),
    singleCopyBlocks: count.describe("blocks that were written as a single copy, regardless of their policy"),
  })
  .meta({ id: "Repair" })

const SCRUB = z
  .object({
    device: id,
    state: z.enum(["running", "waiting", "paused"]),
    passStartedMs: timestamp,
    progress: PROGRESS.describe("of this pass"),
    oldestVerifiedMs: timestamp.describe("when the least recently verified byte was verified or written"),
    damagesFound: count.describe("since the start of the process"),
  })
  .meta({ id: "Scrub" })
const RATES = z
  .object({
    holder: z.enum(["account", "key"]),
    id: z.string(),
    refused: count.describe("requests beyond the limit"),
    paced: count.describe("requests and pieces of bodies that had to wait"),
    waiting: count.describe("of these, now"),
  })
  .meta({ id: "Rates" })
const KEY_SERVICE = z
  .object({
    name: z.enum(["vault", "aws"]),
    state: z.enum(["reachable", "unreachable", "refuses"]).describe("refuses: it does not accept the credentials"),
    sinceMs: timestamp.optional().describe("of a state that is not reachable"),
    reason: z.string().optional(),
    running: count.describe("calls"),
    waiting: count.describe("calls"),
  })
  .meta({ id: "KeyService" })
export const ERASURE = z
  .object({
    bucket: z.string().describe("its former name"),
    bucketId: count,
    sinceMs: timestamp,
    keysReplaced: z.boolean().describe("the control record has no key any more that opens the bucket's secret"),
    devices: z
      .array(z.object({ id, path: z.string(), isOffline: z.boolean(), node: node.optional() }))
      .describe("those that may still have such a key"),
    versions: count.describe("still to be removed"),
    uploads: count.describe("still to be removed"),
  })
  .meta({ id: "Erasure" })
export const PENDING_UPLOADS = z
  .object({
    uploads: z.array(
      z.object({
        upload: z.string(),
        bucket: z.string().optional().describe("absent: it does not exist any more"),
        key: z.string(),
        blocks: count,
        bytes: count,
        removableMs: timestamp
          .optional()
          .describe("absent: not every metadata replica has confirmed yet that no object has the bytes"),
      }),
    ),
    more: count.describe("further uploads, which the list leaves out"),
  })
  .meta({ id: "PendingUploads" })
export const SCRUBS = z.object({ scrub: z.array(SCRUB) }).meta({ id: "Scrubs" })
export const START_SCRUB = z
  .strictObject({ device: id.optional().describe("all devices if absent") })
  .meta({ id: "StartScrub" })

const LAYOUT_FACTS = {
  version: count,
  width: count.describe("slots of each partition"),
  transition: z
    .object({ fromVersion: count, progress: PROGRESS.optional() })
    .optional()
    .describe("present while shards move from one layout to the next"),
}
const LAYOUT = z.object(LAYOUT_FACTS).meta({ id: "Layout" })
const share = z.number().min(0).max(1)
export const LAYOUT_DETAILS = z
  .object({
    ...LAYOUT_FACTS,
    devices: z
      .array(
        z.object({
          id,
          path: z.string(),
          node: node.optional(),
          zone: zone.optional(),
          machine: machine.optional(),
          state: z.enum(["active", "rebuilding", "offline", "draining", "decommissioning"]),
          weight: z.number().positive(),
          slots: count.describe("slots of all partitions"),
          fairSlots: count.optional().describe("slots that its weight and an even spread give it"),
          share: share.describe("its slots as a share of all"),
          shareBefore: share.optional().describe("in the previous layout, while shards move"),
        }),
      )
      .describe("by zone and machine"),
  })
  .meta({ id: "LayoutDetails" })

export const NODES = z
  .object({
    own: z.string().describe("the node that was asked"),
    steward: z.string().optional().describe("the node that watches over the others; absent if none does now"),
    nodes: z.array(
      z.object({
        name: z.string(),
        zone: zone.optional(),
        machine,
        address: z.string().describe("where the other nodes reach it"),
        version: z.string().describe("of its program"),
        state: z
          .enum(["serving", "unreachable", "silent", "ended", "removed", "unknown"])
          .describe("as the node that was asked sees it"),
        reason: z.string().describe("the reason for the state"),
        use: z
          .enum(["in use", "draining", "drained", "leaving"])
          .describe("whether its devices are being emptied, to stay or to leave"),
        devices: z.array(id),
        cannotReach: z.array(z.string()).describe("nodes that it cannot reach"),
        jobs: z.array(z.string()).describe("jobs that it does for the whole store"),
      }),
    ),
    idleJobs: z.array(z.string()).describe("jobs for the whole store that no node does now"),
    heldBack: z.array(z.string()).describe("silent nodes that wait for a decision: which, why, and what to do"),
  })
  .meta({ id: "Nodes" })

const milliseconds = z.number().nonnegative()
const responseTimes = z
  .object({
    count,
    medianMs: milliseconds,
    slowMs: milliseconds.describe("99 of 100 take no longer"),
  })
  .optional()
const DATABASE_HEALTH = z
  .object({
    version: z.string().optional().describe("as the server describes itself"),
    isInRecovery: z.boolean().optional(),
    settings: z.record(z.string(), z.string()).describe("settings that matter, as they are now"),
    bytes: count.optional().describe("size of the database"),
    unfrozenTransactions: count
      .optional()
      .describe("transactions since the oldest one whose rows are not frozen; the database stops at 2.1e9"),
    connectionsMax: count.optional(),
    connectionsLeft: count.optional().describe("that the server, the database and the role still allow"),
    tables: z
      .array(
        z.object({
          name: z.string(),
          liveRows: count,
          deadRows: count.describe("replaced or deleted versions of rows that vacuum has not removed yet"),
          bytes: count.optional(),
          vacuumedSecondsAgo: z.number().optional().describe("absent if never, as far as the database knows"),
        }),
      )
      .optional()
      .describe("tables of the store"),
    holders: z
      .array(
        z.object({
          kind: z.enum(["session", "prepared", "standby", "slot"]),
          name: z.string().describe("the process id of a session, otherwise a name"),
          owner: z.string().describe("user and application"),
          seconds: z.number().optional(),
          transactions: z.number().optional().describe("that have begun since"),
        }),
      )
      .optional()
      .describe("the oldest transactions that hold back vacuum"),
    standbys: z
      .array(
        z.object({
          name: z.string(),
          state: z.string().optional(),
          sync: z.string().optional().describe("sync or quorum: commits wait for it"),
          lagBytes: z.number().optional().describe("what it has not applied yet"),
          lagSeconds: z.number().optional(),
          goneSeconds: seconds.optional().describe("for how long it has not been connected; absent: it is"),
        }),
      )
      .optional(),
    unusedSlots: z
      .array(z.object({ name: z.string(), bytes: z.number().optional().describe("of WAL that it keeps") }))
      .optional()
      .describe("replication slots that are not in use"),
  })
  .meta({ id: "DatabaseHealth" })
export const DATABASE = z
  .object({
    own: z.string().describe("the node that was asked"),
    findings: z
      .array(
        z.object({
          check: z.enum([
            "responseTimes",
            "clock",
            "oldSnapshot",
            "deadRows",
            "vacuum",
            "durability",
            "recovery",
            "replication",
            "connections",
            "slots",
            "transactionIds",
          ]),
          sentence: z.string().describe("what is wrong, what it means, and what to do"),
        }),
      )
      .describe("empty if nothing is wrong"),
    nodes: z
      .array(
        z.object({
          name: z.string(),
          commits: responseTimes.describe("over the last minutes; absent: none"),
          reads: responseTimes.describe("over the last minutes; absent: none"),
          clock: z
            .object({ aheadMs: z.number(), uncertainMs: milliseconds })
            .optional()
            .describe("how far its clock is ahead of the database's, and by how much that may be wrong"),
        }),
      )
      .describe("how the database answers each node"),
    health: DATABASE_HEALTH.optional().describe(
      "what it says about itself, as one node has read it; what it does not say, or not to this role, is absent",
    ),
    healthSecondsAgo: seconds.optional(),
  })
  .meta({ id: "Database" })

/** The status without the fields of features. */
export const STATUS = z.object({
  storeId: z.string(),
  version: z.string(),
  region: z.string(),
  startedMs: timestamp,
  uptimeSeconds: seconds,
  policy: z.string().describe("the policy for new blocks: ec:4+3, replica:2"),
  isPolicyAutomatic: z.boolean().describe("true if no policy was set: it follows the number of devices"),
  blockBytes: count,
  isEncryptedAtRest: z.boolean().describe("whether everything on the devices is encrypted"),
  bucketsWithoutKeys: count.describe("buckets whose keys were missing when they were last asked for"),
  isShortOfKeys: z
    .boolean()
    .describe("whether a device of this node lacks the newest keys: requests that need a new key fail"),
  encrypting: z
    .object({
      percent: z.number().int().describe("of the bytes of objects"),
      doing: z.string(),
      devices: z.array(
        z.object({ id: z.string(), path: z.string(), isOffline: z.boolean(), left: z.string().optional() }),
      ),
      troubles: z
        .array(z.object({ bucket: z.string(), key: z.string(), reason: z.string() }))
        .describe("objects that could not be encrypted in the latest pass, and are tried again; 100 of them"),
      troubleCount: count.describe("of all such objects"),
    })
    .optional()
    .describe("present while an existing store is being encrypted, with the devices that may still have plain files"),
  compatibility: z
    .array(z.string())
    .describe("enabled settings that allow, for older clients, requests that are refused by default"),
  threads: z
    .object({
      wanted: count,
      running: count,
      reason: z.string().optional().describe("why there are none"),
    })
    .optional()
    .describe("front threads, which serve the ports of clients; absent if none are configured"),
  safety: SAFETY,
  metadata: z
    .object({ isInDatabase: z.boolean(), copies: count, copiesWanted: count, learning: count })
    .describe("metadata replicas on the disks: present, wanted, and still being filled; none if it is in a database"),
  health: z.object({
    ready: z.boolean(),
    reasons: z.array(z.string()),
    refusesWrites: z.boolean().optional().describe("a device is full: new objects may be refused"),
  }),
  devices: z.array(DEVICE),
  nodes: NODES.optional().describe("absent on one machine"),
  database: DATABASE.optional().describe("absent if the metadata is on the devices"),
  layout: LAYOUT,
  reencoding: PROGRESS.optional().describe("present while blocks are re-encoded from one policy to another"),
  repair: REPAIR.optional(),
  scrub: z.array(SCRUB).optional(),
  rates: z
    .array(RATES)
    .optional()
    .describe("accounts and keys whose limits of rates were used, on this node since its start"),
  erasures: z.array(ERASURE).optional().describe("of buckets, under way; absent if there are none"),
  keyServices: z.array(KEY_SERVICE).optional().describe("of this node; absent if it has none"),
  jobs: z.array(JOB),
  queues: z.array(QUEUE),
})
export const DEVICES = z.object({ devices: z.array(DEVICE) }).meta({ id: "Devices" })

export const FREE_DISKS = z
  .object({
    disks: z
      .array(
        z.object({
          path: z.string().describe("the folder that is proposed for a device"),
          mount: z.string(),
          source: z.string().describe("/dev/sdb1"),
          fileSystemKind: z.string(),
          isOnSystem: z.boolean().describe("a partition of the disk that has the system"),
          totalBytes: count,
          freeBytes: count,
        }),
      )
      .describe("the largest first, those of the system disk last"),
  })
  .meta({ id: "FreeDisks" })

/** Nodes that have not answered. */
export const UNSHOWN = z.array(z.object({ node: z.string(), reason: z.string() }))

export const DISK_IO = z.object({
  reads: count,
  readBytes: count,
  readMs: count.describe("time of all reads together"),
  writes: count,
  writtenBytes: count,
  writeMs: count.describe("time of all writes together"),
  inFlight: count,
})

export const DISK_HEALTH = z
  .object({
    model: z.string().optional(),
    serial: z.string().optional(),
    isHealthy: z.boolean().optional().describe("the disk's own verdict"),
    celsius: z.number().optional(),
    powerOnHours: count.optional(),
    wearPercent: count.optional().describe("of the writes that the disk is made for; above 100 beyond them"),
    reallocatedSectors: count.optional(),
  })
  .meta({ id: "DiskHealth" })

export const DEVICE_DISKS = z
  .object({
    disks: z.array(
      z.object({
        device: id,
        atMs: z.number().describe("when the counters were read, by a clock that is never set; rates are differences"),
        failedCalls: count.describe("calls of the store that failed or hung, since the device was opened"),
        name: z
          .string()
          .optional()
          .describe("of the disk or partition: sdb1; absent where the system tells nothing of it"),
        io: DISK_IO.optional().describe("since the start of the system"),
        health: DISK_HEALTH.optional().describe(
          "absent if smartctl is not installed or not permitted, or the disk sleeps",
        ),
      }),
    ),
    unshown: UNSHOWN.optional().describe("nodes whose disks are missing, and why; absent on one machine"),
  })
  .meta({ id: "DeviceDisks" })

const dryRun = z.boolean().default(false).describe("return the plan only; nothing is changed")
const confirm = z
  .string()
  .max(4096)
  .optional()
  .describe("the plan's confirmBy; a change whose plan has one is refused without it")
const lockedBuckets = z
  .array(z.string().min(1).max(255))
  .max(1024)
  .optional()
  .describe("the plan's lockedBuckets; a change whose plan has some is refused unless all of them are named")
const request = { confirm, lockedBuckets, dryRun }
const path = z
  .string()
  .max(4096)
  .regex(/^\/[^\0]*$/, "an absolute path on the server's machine")
const weight = z.number().positive().max(1e6)
const nodeName = z.string().max(255)
const onNode = nodeName.optional().describe("the node whose folder it is; if absent, the node that is asked")

export const ADD_DEVICE = z
  .strictObject({ path, node: onNode, weight: weight.optional().describe("by its size if absent"), ...request })
  .meta({ id: "AddDevice" })
export const CHANGE_DEVICE = z.strictObject(request).meta({ id: "ChangeDevice" })
const acceptLoss = z.boolean().default(false).describe("proceed even if objects are lost")
export const FORGET_DEVICE = z.strictObject({ acceptLoss, ...request }).meta({ id: "ForgetDevice" })
export const REPLACE_DEVICE = z
  .strictObject({
    path,
    node: nodeName.optional().describe("the node whose folder it is; if absent, the node of the device"),
    acceptLoss,
    ...request,
  })
  .meta({ id: "ReplaceDevice" })
export const CONVERSION = z
  .object({
    state: z
      .enum(["none", "copying", "switching", "done", "failed"])
      .describe("copying: clients work as before; switching: their requests wait, or are refused with 503"),
    progress: z.string().describe("what is done now, or why it failed"),
    settings: z.record(z.string(), z.string()).optional().describe("settings that later starts need, by flag"),
  })
  .meta({ id: "Conversion" })

const setting = z.string().min(1).max(1024).optional()

export const TO_DATABASE = z
  .strictObject({
    databaseUrl: z.string().min(1).max(4096).describe("an empty PostgreSQL database"),
    node: setting.describe("as --node of serve, like the others"),
    zone: setting,
    machine: setting,
    nodeListen: setting,
    nodeAddress: setting,
  })
  .meta({ id: "ToDatabase" })

export const TO_DEVICES = z
  .strictObject({
    lockedBuckets: lockedBuckets.describe(
      "all buckets with object lock that hold versions; the refusal of a request without them lists them",
    ),
  })
  .meta({ id: "ToDevices" })
export const CHANGE_NODE = z.strictObject(request).meta({ id: "ChangeNode" })
export const FORGET_NODE = z.strictObject({ acceptLoss, ...request }).meta({ id: "ForgetNode" })
export const SET_WEIGHT = z.strictObject({ weight, ...request }).meta({ id: "SetWeight" })

export const STAGED_CHANGE = z
  .discriminatedUnion("kind", [
    z.strictObject({ kind: z.enum(["drainDevice", "removeDevice", "useDevice"]), id }),
    z.strictObject({ kind: z.literal("setWeight"), id, weight }),
    z.strictObject({ kind: z.enum(["drainNode", "removeNode", "useNode"]), node: nodeName }),
  ])
  .meta({ id: "StagedChange" })
const STAGED_MAX = 4096
export const CHANGE_LAYOUT = z
  .strictObject({
    changes: z.array(STAGED_CHANGE).min(1).max(STAGED_MAX).describe("made together, in one change of the layout"),
    ...request,
  })
  .meta({ id: "ChangeLayout" })
export const REVERT_LAYOUT = z.strictObject(request).meta({ id: "RevertLayout" })

const policy = z
  .string()
  .max(64)
  .describe("ec:4+2, replica:2, or automatic: follows the number of devices, or for a bucket the store")
export const SET_REDUNDANCY = z
  .strictObject({ policy, bucket: z.string().optional().describe("the store if absent"), ...request })
  .meta({ id: "SetRedundancy" })

const storageClass = z.enum(STORAGE_CLASSES)
export const SET_CLASS = z
  .strictObject({
    storageClass,
    policy: z
      .string()
      .max(64)
      .describe("ec:4+2, replica:2, or automatic: the redundancy of the bucket or the store, as before any was set"),
    ...request,
  })
  .meta({ id: "SetClass" })

const planned = z.object({ before: losses, during: losses, after: losses })
export const PLAN = z
  .object({
    summary: z.string().describe("what the change does"),
    policyBefore: z.string(),
    policyAfter: z.string(),
    devices: z.array(
      z.object({
        id: id.optional().describe("absent for a device that does not exist yet"),
        path: z.string(),
        node: node.optional(),
        bytesIn: count.describe("bytes of shards written to it"),
        bytesOut: count.describe("bytes of shards moved off it"),
      }),
    ),
    movedBytes: count.describe("bytes of shards that are copied to, or rebuilt on, another device"),
    reencodedBytes: count.describe("bytes of shards that are rewritten under another policy"),
    hours: z.number().nonnegative().describe("at the rate limit of such work"),
    survives: planned.describe("number of arbitrary disks that may fail without a loss; -1: something is not readable"),
    survivesMachines: planned.optional().describe("the same for machines; absent on one machine"),
    survivesZones: planned.optional().describe("the same for zones; absent if none is named"),
    usableBytesBefore: count.optional().describe("capacity in bytes of objects, including the stored ones"),
    usableBytesAfter: count.optional(),
    warnings: z.array(z.string()),
    confirmBy: z
      .string()
      .optional()
      .describe("for a change that reduces safety or is likely a mistake: the text that a person must repeat"),
    lockedBuckets: z
      .array(z.string())
      .optional()
      .describe("buckets with object lock that would be less safe than promised, which a person must name"),
    moreLockedBuckets: count.optional().describe("how many there are beside those that are listed; absent: none"),
  })
  .meta({ id: "Plan" })
export const CHANGE = z
  .object({
    applied: z.boolean().describe("false for a dry run"),
    plan: PLAN,
    generation: count.optional().describe("generation of the control record that contains the change"),
    job: STARTED_JOB.optional().describe("the work that goes on; absent: there is none, or it does not show yet"),
  })
  .meta({ id: "Change" })

export const DEVICE_CHECK = z.object({ id, state: DEVICE.shape.state, finding: z.string() }).meta({ id: "DeviceCheck" })

export const REDUNDANCY = z
  .object({
    policy: z.string(),
    isAutomatic: z.boolean().describe("true if no policy was set: it follows the number of devices"),
    meaning: z.string().describe("what it means with the present devices"),
    buckets: z.array(z.object({ bucket: z.string(), policy: z.string() })).describe("buckets with their own policy"),
    classes: z.array(z.object({ storageClass, policy: z.string() })).describe("storage classes with their own policy"),
    reencoding: PROGRESS.optional().describe("present while blocks are re-encoded from one policy to another"),
  })
  .meta({ id: "Redundancy" })

export const RECONCILE = z
  .strictObject({
    without: z.array(z.string()).optional().describe("devices that are out of reach, and that it goes on without"),
    confirm: z.string().optional().describe("`confirmBy` of the plan: carries it out"),
  })
  .meta({ id: "Reconcile" })

export const RECONCILIATION = z
  .object({
    phase: z.enum(["none", "comparing", "planned", "applying", "done", "failed"]),
    progress: z.string(),
    halt: z.string().optional().describe("why the store is halted; absent if it is not"),
    putBack: count.describe("uploads that certainly belong to their keys"),
    listed: count.describe("uploads, and partitions of K2V, that are only listed"),
    items: count.describe("K2V items that are put back"),
    messages: count.optional().describe("messages of queues that were put back"),
    missing: count.describe("rows whose bytes are gone"),
    confirmBy: z.string().optional().describe("of a plan"),
    error: z.string().optional(),
  })
  .meta({ id: "Reconciliation" })

export const RECONCILE_ENTRIES = z
  .object({
    entries: z.array(
      z.object({
        outcome: z.enum(["putBack", "listed", "missing"]),
        bucketId: count,
        bucket: z.string().optional().describe("its name, as the upload says"),
        key: z.string().describe("of K2V items: their partition"),
        uploadId: z.string().optional().describe("absent for K2V items"),
        items: count.optional().describe("K2V items that differ from those of the database"),
        part: count.optional().describe("of a multipart upload"),
        sizeBytes: count.optional(),
        reason: z.string().optional().describe("why it is not put back"),
      }),
    ),
    next: count.optional(),
  })
  .meta({ id: "ReconcileEntries" })
