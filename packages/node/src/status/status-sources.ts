/**
 * Status sources: small views of a running store that its runner provides. All of them read from memory without I/O.
 * Values that are unknown or do not exist are undefined, never invented. Views that nodes send each other have the types of
 * their record (`format/node-report.ts`).
 */
import type {
  EncryptingReport,
  ErasureReport,
  JobReport,
  MetadataReport,
  QueueReport,
  ThreadsReport,
} from "./contract.js"
import type { Failure } from "@hayloft/base/failures.js"
import type { DeviceId } from "@hayloft/base/ids.js"
import type { RateReport } from "@hayloft/access/index.js"
import type { KeyServiceReport } from "@hayloft/access/keys/index.js"
import type { OrphanReport } from "@hayloft/upkeep/index.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import type {
  NodeReport,
  ReportedContents,
  ReportedRepair,
  ReportedRepairer,
  ReportedSpace,
} from "@hayloft/engine/format/nodes/node-report.js"
import type { DatabaseView } from "./database-core.js"
import type { NodesView } from "./nodes-core.js"

export interface StatusSources {
  /** The record in effect. */
  readonly record: () => ControlRecord
  /** Open devices. */
  readonly devices: () => readonly OpenDevice[]
  /** Returns why this process took a device offline. */
  readonly offlineReason: (id: DeviceId) => string | undefined
  /** The view is undefined on one machine, and until this node has joined. */
  readonly nodes?: () => NodesView | undefined
  readonly metadata: () => MetadataView
  /** The view is undefined if the metadata is on the devices. */
  readonly database?: () => DatabaseView | undefined
  /** Queues that belong to no device. */
  readonly queues: () => readonly QueueReport[]
  readonly jobs: () => readonly JobReport[]
  /** Jobs of this process that have failed several times in a row. */
  readonly failingJobs: () => readonly { readonly name: string; readonly failuresInARow: number }[]
  /** Stored blocks by policy and device; undefined if nothing has been scanned. */
  readonly contents: () => StoreContents | undefined
  /** Returns undefined if this process does no such work. */
  readonly repair: () => RepairView | undefined
  readonly orphans: () => OrphanReport
  /** Returns the fields of features, by their names. */
  readonly features?: () => object
  /** Returns the erasures of buckets under way. */
  readonly erasures?: () => readonly ErasureReport[]
  /** It is undefined unless an existing store is being encrypted. */
  readonly encrypting?: () => EncryptingReport | undefined
  /** It is undefined if this process has no key services. */
  readonly keyServices?: () => readonly KeyServiceReport[]
  /** They are undefined if no front threads are wanted. */
  readonly threads?: () => ThreadsReport | undefined
  /** Accounts and keys whose limits were used. */
  readonly rates?: () => readonly RateReport[]
  /** Buckets whose keys were missing when they were last asked for. */
  readonly bucketsWithoutKeys?: () => number
  /** Returns true if a device lacks the newest keys: it was full, or overloaded, when they were made. */
  readonly isShortOfKeys?: () => boolean
  readonly scrub: () => readonly ScrubView[] | undefined
  /** Returns the re-encoding of blocks from one policy to another; undefined if unknown, or if none are re-encoded. */
  readonly reencoding: () => ReencodingView | undefined
}

interface MetadataView {
  /** The reason why writes are not accepted; undefined: they are. */
  readonly trouble: string | undefined
  /** Differences between the metadata of a replica and what was written; empty if no damage was found. */
  readonly damages: readonly string[]
  readonly isDatabaseFull: boolean
}

export interface OpenDevice {
  readonly id: DeviceId
  readonly path: string
  /** The reason to take it offline; undefined while it is healthy. A full device is healthy. */
  readonly trouble: Failure | undefined
  /** The reason why the latest checkpoint failed, or the files and rows that checkpoints and merges left out. */
  readonly checkpointError: string | undefined
  /** The last known values; undefined before the first query of the file system. */
  readonly space: SpaceView | undefined
  /** Bytes of removed needles in volumes; undefined if not counted. */
  readonly deadBytes: number | undefined
  readonly volumeBytes: number
  readonly logBytes: number
  readonly memtableRows: number
  /** Rows that the metadata store could not hold as rows; absent for devices of other nodes. */
  readonly asideRows?: number
  readonly calls: QueueReport
}

export type SpaceView = ReportedSpace
export type StoreContents = ReportedContents
export type RepairView = ReportedRepair
export type ReencodingView = NonNullable<ReportedRepairer["reencoding"]>
/** Progress in bytes. */
export type Work = Pick<ReencodingView, "doneBytes" | "remainingBytes">
export type ScrubView = NodeReport["scrub"][number]

/** The metadata replicas by the record; if there are several tablets, of the one with the fewest. */
export function namesOf({ tablets, devices, metaCopies }: ControlRecord): MetadataReport {
  const fewest = [...tablets].sort((a, b) => a.replicas.length - b.replicas.length)[0]
  return {
    isInDatabase: tablets.length === 0,
    copies: fewest?.replicas.length ?? 0,
    copiesWanted: fewest ? Math.min(metaCopies, devices.length) : 0,
    learning: fewest?.learners.length ?? 0,
  }
}
