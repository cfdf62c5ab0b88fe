/**
 * Node operation, version 1: what one node asks another to do for an operator, because only that node can: it has the
 * device, does the job, or serves the requests (`live-report.ts`). Call 17 (`operate`): the request is the operation, the
 * body of the response its result.
 *
 * Positional MessagePack arrays, as are plans, their devices and jobs in them (`pack.ts`); null stands for unknown or
 * none. Later releases append members; readers ignore members that they do not know.
 * Refuses   Anything malformed with `corruptRecord`.
 */
import { fail, isFailure } from "../base/failures.js"
import { parseDeviceId, parseUploadId, type DeviceId, type UploadId } from "../base/ids.js"
import {
  packTraceQuestion,
  packTracedRequests,
  packTraffic,
  packTrafficWindow,
  readTraceQuestion,
  readTracedRequests,
  readTraffic,
  readTrafficWindow,
  type NodeTraffic,
  type TracedRequests,
  type TraceQuestion,
  type TrafficWindow,
} from "./live-report.js"
import { packRecord, pick, RecordReader } from "./pack.js"

export const OPERATE_CALL = 17

/** Numbers are on the wire: append only. */
const KINDS = [
  ...["plan", "change", "check", "scrub", "throttle", "wake", "orphans", "pending", "trace", "traffic"],
] as const
const RESULTS = ["planned", "changed", "checked", "job", "done", "pending", "traced", "traffic"] as const
const DEVICE_STATES = [
  ...["active", "rebuilding", "draining", "decommissioning", "offline"],
  ...["missing", "failed", "full"],
] as const
const JOB_STATES = ["busy", "throttled", "idle", "done", "failed"] as const

/** A change that needs a folder of the node. */
export type FolderChange =
  | { readonly kind: "addDevice"; readonly path: string; readonly weight: number | undefined }
  | { readonly kind: "replaceDevice"; readonly id: DeviceId; readonly path: string; readonly acceptLoss: boolean }

export type NodeOperation =
  | { readonly kind: "plan"; readonly change: FolderChange }
  | {
      readonly kind: "change"
      readonly change: FolderChange
      readonly confirm: string | undefined
      /** Buckets with object lock that the operator has named. */
      readonly lockedBuckets: readonly string[]
    }
  | { readonly kind: "check"; readonly id: DeviceId }
  /** The id is undefined for all devices of the node. */
  | { readonly kind: "scrub"; readonly id: DeviceId | undefined }
  | { readonly kind: "throttle"; readonly job: string; readonly throttle: number }
  | { readonly kind: "wake"; readonly job: string }
  /** Orphans are removed, however many there are. */
  | { readonly kind: "orphans" }
  /** Uploads whose bytes no object has. */
  | { readonly kind: "pending" }
  /** Requests that have ended. */
  | ({ readonly kind: "trace" } & TraceQuestion)
  | { readonly kind: "traffic"; readonly window: TrafficWindow }

interface SentLosses {
  readonly before: number
  readonly during: number
  readonly after: number
}

interface SentPlan {
  readonly summary: string
  readonly policyBefore: string
  readonly policyAfter: string
  readonly devices: readonly {
    readonly id?: DeviceId
    readonly path: string
    readonly node?: string
    readonly bytesIn: number
    readonly bytesOut: number
  }[]
  readonly movedBytes: number
  readonly reencodedBytes: number
  readonly hours: number
  readonly survives: SentLosses
  readonly survivesMachines?: SentLosses
  readonly survivesZones?: SentLosses
  readonly usableBytesBefore?: number
  readonly usableBytesAfter?: number
  readonly warnings: readonly string[]
  readonly confirmBy?: string
  readonly lockedBuckets?: readonly string[]
  readonly moreLockedBuckets?: number
}

interface SentJob {
  readonly name: string
  readonly state: (typeof JOB_STATES)[number]
  readonly progress: string
  readonly lastError?: string
  readonly throttle: number
}

interface SentUpload {
  readonly upload: UploadId
  readonly bucket?: string | undefined
  readonly key: string
  readonly blocks: number
  readonly bytes: number
  readonly removableMs?: number | undefined
}

export type NodeOperationResult =
  | { readonly kind: "planned"; readonly plan: SentPlan }
  | { readonly kind: "changed"; readonly plan: SentPlan; readonly generation: number }
  | {
      readonly kind: "checked"
      readonly id: DeviceId
      readonly state: (typeof DEVICE_STATES)[number]
      readonly finding: string
    }
  | { readonly kind: "job"; readonly job: SentJob }
  | { readonly kind: "done" }
  | { readonly kind: "pending"; readonly uploads: readonly SentUpload[]; readonly more: number }
  | ({ readonly kind: "traced" } & TracedRequests)
  | ({ readonly kind: "traffic" } & NodeTraffic)

/** A member that is left out if there is nothing to send. */
const ifAny = (texts: readonly string[]): readonly unknown[] => (texts.length === 0 ? [] : [texts])

const flag = (value: boolean): number => (value ? 1 : 0)

const packFolderChange = (change: FolderChange): readonly unknown[] =>
  change.kind === "addDevice"
    ? [0, change.path, change.weight ?? null]
    : [1, change.path, change.id, flag(change.acceptLoss)]

function membersOf(operation: NodeOperation): readonly unknown[] {
  switch (operation.kind) {
    case "plan":
      return [packFolderChange(operation.change)]
    case "change":
      return [packFolderChange(operation.change), operation.confirm ?? null, ...ifAny(operation.lockedBuckets)]
    case "check":
      return [operation.id]
    case "scrub":
      return [operation.id ?? null]
    case "throttle":
      return [operation.job, operation.throttle]
    case "wake":
      return [operation.job]
    case "orphans":
    case "pending":
      return []
    case "trace":
      return packTraceQuestion(operation)
    case "traffic":
      return [packTrafficWindow(operation.window)]
  }
}

export const encodeNodeOperation = (operation: NodeOperation): Uint8Array =>
  packRecord(1, [KINDS.indexOf(operation.kind), ...membersOf(operation)])

/** Throws `corruptRecord`. */
export const decodeNodeOperation = (bytes: Uint8Array): NodeOperation =>
  reading("node operation", bytes, row => {
    const kind = pick(KINDS, row.number(), "node operation")
    switch (kind) {
      case "plan":
        return { kind, change: readFolderChange(row.row()) }
      case "change":
        return {
          ...{ kind, change: readFolderChange(row.row()), confirm: row.optional(() => row.text()) },
          lockedBuckets: row.optional(() => row.texts()) ?? [],
        }
      case "check":
        return { kind, id: readDeviceId(row) }
      case "scrub":
        return { kind, id: row.optional(() => readDeviceId(row)) }
      case "throttle":
        return { kind, job: row.text(), throttle: row.number() }
      case "wake":
        return { kind, job: row.text() }
      case "orphans":
      case "pending":
        return { kind }
      case "trace":
        return { kind, ...readTraceQuestion(row) }
      case "traffic":
        return { kind, window: readTrafficWindow(row) }
    }
  })

const packLosses = ({ before, during, after }: SentLosses): readonly unknown[] => [before, during, after]
const orNull = <T, U>(value: T | undefined, pack: (value: T) => U): U | null =>
  value === undefined ? null : pack(value)

const packPlan = (plan: SentPlan): readonly unknown[] => [
  ...[plan.summary, plan.policyBefore, plan.policyAfter],
  plan.devices.map(({ id, path, node, bytesIn, bytesOut }) => [id ?? null, path, node ?? null, bytesIn, bytesOut]),
  ...[plan.movedBytes, plan.reencodedBytes, plan.hours, packLosses(plan.survives)],
  ...[orNull(plan.survivesMachines, packLosses), orNull(plan.survivesZones, packLosses)],
  ...[plan.usableBytesBefore ?? null, plan.usableBytesAfter ?? null, plan.warnings, plan.confirmBy ?? null],
  ...(plan.lockedBuckets === undefined ? [] : [plan.lockedBuckets, plan.moreLockedBuckets ?? 0]),
]

const packUpload = ({ upload, bucket, key, blocks, bytes, removableMs }: SentUpload): readonly unknown[] => [
  ...[upload, bucket ?? null, key, blocks, bytes, removableMs ?? null],
]

function resultMembers(result: NodeOperationResult): readonly unknown[] {
  switch (result.kind) {
    case "planned":
      return [packPlan(result.plan)]
    case "changed":
      return [packPlan(result.plan), result.generation]
    case "checked":
      return [result.id, DEVICE_STATES.indexOf(result.state), result.finding]
    case "job": {
      const { name, state, progress, lastError, throttle } = result.job
      return [[name, JOB_STATES.indexOf(state), progress, lastError ?? null, throttle]]
    }
    case "done":
      return []
    case "pending":
      return [result.uploads.map(packUpload), result.more]
    case "traced":
      return packTracedRequests(result)
    case "traffic":
      return packTraffic(result)
  }
}

export const encodeOperationResult = (result: NodeOperationResult): Uint8Array =>
  packRecord(1, [RESULTS.indexOf(result.kind), ...resultMembers(result)])

/** Throws `corruptRecord`. */
export const decodeOperationResult = (bytes: Uint8Array): NodeOperationResult =>
  reading("operation result", bytes, row => {
    const kind = pick(RESULTS, row.number(), "operation result")
    switch (kind) {
      case "planned":
        return { kind, plan: readPlan(row.row()) }
      case "changed":
        return { kind, plan: readPlan(row.row()), generation: row.number() }
      case "checked": {
        const id = readDeviceId(row)
        return { kind, id, state: pick(DEVICE_STATES, row.number(), "device state"), finding: row.text() }
      }
      case "job":
        return { kind, job: readJob(row.row()) }
      case "done":
        return { kind }
      case "pending":
        return { kind, uploads: row.rows(readUpload), more: row.number() }
      case "traced":
        return { kind, ...readTracedRequests(row) }
      case "traffic":
        return { kind, ...readTraffic(row) }
    }
  })

function readFolderChange(row: RecordReader): FolderChange {
  const isReplacement = row.number() !== 0
  const path = row.text()
  if (!isReplacement) return { kind: "addDevice", path, weight: row.optional(() => row.number()) }
  return { kind: "replaceDevice", path, id: readDeviceId(row), acceptLoss: row.number() !== 0 }
}

function readPlan(row: RecordReader): SentPlan {
  const known = {
    ...{ summary: row.text(), policyBefore: row.text(), policyAfter: row.text() },
    devices: row.rows(device => {
      const [id, path, node] = [device.optional(() => readDeviceId(device)), device.text(), textIn(device)]
      return {
        ...(id === undefined ? {} : { id }),
        ...{ path, ...(node === undefined ? {} : { node }) },
        ...{ bytesIn: device.number(), bytesOut: device.number() },
      }
    }),
    ...{ movedBytes: row.number(), reencodedBytes: row.number(), hours: row.number() },
    survives: readLosses(row.row()),
  }
  const [machines, zones] = [row.optional(() => readLosses(row.row())), row.optional(() => readLosses(row.row()))]
  const [before, after] = [row.optional(() => row.number()), row.optional(() => row.number())]
  const [warnings, confirmBy] = [row.texts(), textIn(row)]
  const lockedBuckets = row.optional(() => row.texts())
  const moreLockedBuckets = row.optional(() => row.number()) ?? 0
  return {
    ...known,
    ...(machines && { survivesMachines: machines }),
    ...(zones && { survivesZones: zones }),
    ...(before === undefined ? {} : { usableBytesBefore: before }),
    ...(after === undefined ? {} : { usableBytesAfter: after }),
    warnings,
    ...(confirmBy === undefined ? {} : { confirmBy }),
    ...(lockedBuckets === undefined ? {} : { lockedBuckets }),
    ...(moreLockedBuckets === 0 ? {} : { moreLockedBuckets }),
  }
}

function readJob(row: RecordReader): SentJob {
  const job = { name: row.text(), state: pick(JOB_STATES, row.number(), "job state"), progress: row.text() }
  const lastError = textIn(row)
  return { ...job, ...(lastError === undefined ? {} : { lastError }), throttle: row.number() }
}

const readUpload = (row: RecordReader): SentUpload => ({
  ...{ upload: parseUploadId(row.text()), bucket: textIn(row), key: row.text(), blocks: row.number() },
  ...{ bytes: row.number(), removableMs: row.optional(() => row.number()) },
})

const readLosses = (row: RecordReader): SentLosses => ({
  before: row.number(),
  during: row.number(),
  after: row.number(),
})

const textIn = (row: RecordReader): string | undefined => row.optional(() => row.text())
const readDeviceId = (row: RecordReader): DeviceId => parseDeviceId(row.text())

function reading<T>(what: string, bytes: Uint8Array, read: (row: RecordReader) => T): T {
  try {
    return read(RecordReader.open(what, bytes, 1))
  } catch (error) {
    throw isFailure(error, "corruptRecord") ? error : fail("corruptRecord", { what }, error)
  }
}
