/**
 * The report of a running store, which metrics, the admin API and the command line render.
 *
 * The reports are plain data, made when they are requested and never cached here. They contain no secrets. A value that
 * is not known is absent, never invented. Their types are those of the schemas (`schemas.ts`), which explain the fields.
 */
import type { z } from "zod"
import type { ReadOnly } from "@hayloft/base/read-only.js"
import type { ReportedJob } from "@hayloft/engine/format/nodes/node-operation.js"
import type * as schema from "./schemas.js"

export type DeviceReport = ReadOnly<z.output<typeof schema.DEVICE>>
export type DeviceState = DeviceReport["state"]
/** A bounded queue and its fill level. */
export type QueueReport = DeviceReport["queues"][number]
/** Finite work: how much is done, and when the rest will be. */
export type ProgressReport = ReadOnly<z.output<typeof schema.PROGRESS>>
/** The losses that the store tolerates now. */
export type SafetyReport = ReadOnly<z.output<typeof schema.SAFETY>>
export type AtRiskReport = NonNullable<SafetyReport["atRisk"]>
export type RepairReport = ReadOnly<z.output<typeof schema.REPAIR>>
export type ScrubReport = ReadOnly<z.output<typeof schema.SCRUB>>
/** `isPaused`: it takes no steps; absent for a job on another node. */
export type JobReport = ReportedJob & { readonly isPaused?: boolean }
export type LayoutReport = ReadOnly<z.output<typeof schema.LAYOUT>>
export type NodesReport = ReadOnly<z.output<typeof schema.NODES>>
/** A node as the asked one sees it. */
export type NodeStatus = NodesReport["nodes"][number]
export type NodeState = NodeStatus["state"]
/** The database that keeps the metadata of the store. */
export type DatabaseReport = ReadOnly<z.output<typeof schema.DATABASE>>
/** How the database answers a node. */
export type NodeOfDatabase = DatabaseReport["nodes"][number]
/** Something that is wrong with the database: what is the case, what it means, what to do. */
export type DatabaseFinding = DatabaseReport["findings"][number]
/** The erasure of a bucket under way. */
export type ErasureReport = ReadOnly<z.output<typeof schema.ERASURE>>
/** Features add fields of their own. */
export type StoreReport = ReadOnly<z.output<typeof schema.STATUS>>
export type MetadataReport = StoreReport["metadata"]
export type HealthReport = StoreReport["health"]
/** The report on an existing store that is being encrypted. */
export type EncryptingReport = NonNullable<StoreReport["encrypting"]>
export type ThreadsReport = NonNullable<StoreReport["threads"]>

/** Responds from memory, without I/O, whatever devices do. */
export interface StoreStatus {
  /**
   * Cheap: every probe calls it. `isListening`: the S3 port is open, as a thread that answers there knows; default: once the
   * process has opened it in all threads.
   */
  health(isListening?: boolean): HealthReport
  /** Reports whether the process works; if not, a restart of it is worth a try. As cheap. */
  liveness(): HealthReport
  report(): StoreReport
}
