/**
 * Schemas of the store itself in the admin API's JSON: its devices, and changes with their plans. Those of its status are the
 * report that `node` makes (`node/status/schemas.ts`).
 */
import { z } from "zod"
import { STORAGE_CLASSES } from "@hayloft/base/storage-class.js"
import { STARTED_JOB } from "@hayloft/features/operator/job-schemas.js"
import { DEVICE, LAYOUT_FACTS, machine, node, PROGRESS, SCRUB, zone } from "@hayloft/node/status/schemas.js"

export * from "@hayloft/node/status/schemas.js"

const id = z.string().min(1).max(128)
const timestamp = z.number().int().describe("milliseconds since 1970")
const count = z.number().int().nonnegative()
const losses = z.number().int().min(-1)

export const BACKUP = z
  .object({
    process: z
      .number()
      .int()
      .describe("the process incarnation that makes the snapshots; another one has not received the order"),
    isOrdered: z.boolean().describe("an ordered snapshot is not complete yet, or older ones are still being removed"),
    isPaused: z.boolean(),
    failures: count.describe("failed steps since the latest that succeeded"),
    lastError: z.string().optional(),
    waits: z.string().optional().describe("why an ordered snapshot does not go on; absent: it does"),
    completedMs: timestamp.optional().describe("of the newest complete snapshot; absent: none is known"),
    sizeBytes: count.optional().describe("of that snapshot"),
  })
  .meta({ id: "Backup" })

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
const outlook = z
  .string()
  .max(16_384)
  .optional()
  .describe(
    "the plan's outlook: the change is refused with planOutdated if it would now lose more, or leave the store less safe, than that plan showed; absent: no plan was shown",
  )
const request = { confirm, lockedBuckets, outlook, dryRun }
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
    outlook: z
      .string()
      .optional()
      .describe(
        "of a dry run: the loss, and what may fail afterwards, as a text to repeat when a person confirms this plan",
      ),
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
