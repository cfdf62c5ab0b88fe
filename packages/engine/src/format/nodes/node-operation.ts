/**
 * Node operation, version 1: what one node asks another to do for an operator, because only that node can: it has the
 * device (`disk-report.ts`), does the job, or serves the requests (`live-report.ts`). Call 17 (`operate`): the request is the operation, the
 * body of the response its result.
 *
 * Positional MessagePack arrays, as are plans, their devices and jobs in them (`pack.ts`); null stands for unknown or
 * none. Later releases append members; readers ignore members that they do not know.
 * Refuses   Anything malformed with `corruptRecord`.
 */
import { parseUploadId } from "@hayloft/base/ids.js"
import {
  absent,
  appended,
  appendedList,
  COUNT,
  FLAG,
  flat,
  group,
  listOf,
  mapped,
  NUMBER,
  oneOf,
  optional,
  parsed,
} from "../encoding/fields.js"
import { recordOf, row, rowsOf, tail, TEXT, union, type ValueOf } from "../encoding/fields.js"
import { DISKS } from "./disk-report.js"
import { DEVICE_ID } from "../encoding/id-fields.js"
import { TRACE_QUESTION, TRACED_REQUESTS, TRAFFIC, TRAFFIC_WINDOW } from "./live-report.js"

export const OPERATE_CALL = 17

/** Numbers are on the wire: append only. */
const DEVICE_STATES = [
  "active",
  "rebuilding",
  "draining",
  "decommissioning",
  "offline",
  "missing",
  "failed",
  "full",
] as const
const JOB_STATES = ["busy", "throttled", "idle", "done", "failed"] as const

/** A change that needs a folder of the node. */
const FOLDER_CHANGE = row(
  union({
    addDevice: { path: TEXT, weight: optional(NUMBER) },
    replaceDevice: { path: TEXT, id: DEVICE_ID, acceptLoss: FLAG },
  }),
)
export type FolderChange = ValueOf<typeof FOLDER_CHANGE>

const OPERATION = union({
  plan: { change: FOLDER_CHANGE },
  change: {
    change: FOLDER_CHANGE,
    confirm: optional(TEXT),
    /** Buckets with object lock that the operator has named. */
    lockedBuckets: appendedList(TEXT),
    /** The outlook of the plan that the operator was shown. */
    outlook: appended(TEXT),
  },
  check: { id: DEVICE_ID },
  /** The id is undefined for all devices of the node. */
  scrub: { id: optional(DEVICE_ID) },
  throttle: { job: TEXT, throttle: NUMBER },
  wake: { job: TEXT },
  /** Orphans are removed, however many there are. */
  orphans: {},
  /** Uploads whose bytes no object has. */
  pending: {},
  /** Requests that have ended. */
  trace: TRACE_QUESTION,
  traffic: { window: TRAFFIC_WINDOW },
  /** The disks of the devices of the node. */
  disks: {},
  /** The state of the metadata backup, which the node does for the store; `isOrdered`: after a new order. */
  backup: { isOrdered: FLAG },
})
export type NodeOperation = ValueOf<typeof OPERATION>
export const { encode: encodeNodeOperation, decode: decodeNodeOperation } = recordOf("node operation", OPERATION)

/** How many arbitrary ones may fail without a loss; -1: something is not readable. */
const LOSSES = row({ before: NUMBER, during: NUMBER, after: NUMBER })

/**
 * Buckets with object lock that would be less safe than they were promised to be, which the operator has to name, and how
 * many there are beside those that are listed. Absent: none.
 */
interface Locked {
  readonly lockedBuckets?: readonly string[]
  readonly moreLockedBuckets?: number
}

/** Not written if no bucket is locked. */
const LOCKED = mapped(
  tail(group({ lockedBuckets: listOf(TEXT), moreLockedBuckets: COUNT })),
  (locked): Locked => locked ?? {},
  ({ lockedBuckets, ...more }) => (lockedBuckets === undefined ? undefined : { lockedBuckets, ...more }),
)

const PLAN = row({
  /** The effect, in a sentence. */
  summary: TEXT,
  policyBefore: TEXT,
  policyAfter: TEXT,
  devices: rowsOf({
    /** The id is absent for a device that does not exist yet. */
    id: absent(DEVICE_ID),
    path: TEXT,
    /** Its node; absent on one machine. */
    node: absent(TEXT),
    /** Bytes of shards that are written to it. */
    bytesIn: NUMBER,
    /** Bytes of shards that it gives up. */
    bytesOut: NUMBER,
  }),
  /** Bytes of shards that are copied to, or rebuilt on, another device. */
  movedBytes: NUMBER,
  /** Bytes of shards that are re-encoded under another policy. */
  reencodedBytes: NUMBER,
  /** At the rate limit of such work. */
  hours: NUMBER,
  /** Disks. */
  survives: LOSSES,
  /** The losses of machines; absent on one machine. */
  survivesMachines: absent(LOSSES),
  /** The losses of zones; absent if no zone is named. */
  survivesZones: absent(LOSSES),
  /** Bytes of objects that fit, including stored ones; absent if unknown. */
  usableBytesBefore: absent(NUMBER),
  usableBytesAfter: absent(NUMBER),
  /** Warnings for the operator before confirmation. */
  warnings: listOf(TEXT),
  /** Text to repeat for a change that is less safe or probably a mistake; absent: yes is enough. */
  confirmBy: absent(TEXT),
  locked: flat(LOCKED),
})

const JOB = row({
  name: TEXT,
  state: oneOf(JOB_STATES),
  progress: TEXT,
  lastError: absent(TEXT),
  /** Rest after a step, as a multiple of the step's duration. */
  throttle: NUMBER,
})
export type ReportedJob = ValueOf<typeof JOB>

const BACKUP = row({
  /** The process that has the order. */
  process: NUMBER,
  /** No snapshot that began after the latest order is complete, or older ones are still being removed. */
  isOrdered: FLAG,
  isPaused: FLAG,
  /** Failed steps since the latest that succeeded. */
  failures: NUMBER,
  lastError: absent(TEXT),
  /** The reason why an ordered snapshot does not go on. */
  waits: absent(TEXT),
  /** The newest complete snapshot. */
  completedMs: absent(NUMBER),
  sizeBytes: absent(NUMBER),
})
export type ReportedBackup = ValueOf<typeof BACKUP>

const UPLOADS = rowsOf({
  upload: parsed(TEXT, parseUploadId),
  /** The bucket is undefined if it does not exist any more. */
  bucket: absent(optional(TEXT)),
  key: TEXT,
  blocks: NUMBER,
  bytes: NUMBER,
  /** The time is undefined if metadata replicas have not confirmed yet that no object has the blocks. */
  removableMs: absent(optional(NUMBER)),
})

const RESULT = union({
  /** The outlook is what the plan says of losses, in the text that a confirmation repeats (`outlook-core.ts`). */
  planned: { plan: PLAN, outlook: appended(TEXT) },
  /** The generation is that of the control record with the change. */
  changed: { plan: PLAN, generation: NUMBER },
  /** The finding is the result of the probe, in a sentence. */
  checked: { id: DEVICE_ID, state: oneOf(DEVICE_STATES), finding: TEXT },
  job: { job: JOB },
  done: {},
  /** `more`: further uploads, which the list leaves out. */
  pending: { uploads: UPLOADS, more: NUMBER },
  traced: TRACED_REQUESTS,
  traffic: TRAFFIC,
  disks: { disks: DISKS },
  backup: { backup: BACKUP },
})
export type NodeOperationResult = ValueOf<typeof RESULT>
export const { encode: encodeOperationResult, decode: decodeOperationResult } = recordOf("operation result", RESULT)
