/**
 * Duties: what one node at a time does for the whole store. Each job that works on all blocks or rows has a lease, and so
 * has the steward; a node takes those that no other has while it can work.
 */
import type { BackgroundService, Job } from "@hayloft/base/life/index.js"
import { jobsOfFeatures } from "@hayloft/features/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"
import type { SharedMetadata } from "../metadata/database.js"
import type { Duty } from "../status/nodes-core.js"
import type { ClusterView } from "./cluster-view.js"
import { DatabaseWatch } from "./database-watch.js"
import { LeasedJob } from "./leased-job.js"
import { Leases } from "./leases.js"
import type { SharedRecordManager } from "./shared-record.js"
import { Steward, STEWARD_LEASE } from "./steward.js"

/** Leases of the jobs that read or write blocks of all nodes. Those of "repair" use what the others have found. */
const LEASE_OF_JOB: Readonly<Record<string, string>> = {
  collector: "collector",
  repair: "repair",
  reencode: "repair",
  orphans: "repair",
  "integrity-audit": "repair",
  encrypt: "repair",
  // An erasure waits for a backup that its process has made.
  "metadata-backup": "metadata-backup",
  erasure: "metadata-backup",
  "master-key": "metadata-backup",
  "moved-devices": "repair",
  // Once an hour, wherever that is.
  "usage-history": "collector",
  "account-reaper": "collector",
  // Another node would send the same changes.
  "container-sync": "container-sync",
}

const leasesOfFeatures = (): Readonly<Record<string, string>> =>
  Object.fromEntries(
    jobsOfFeatures().flatMap(({ name, doneWith }) => (doneWith === undefined ? [] : [[name, doneWith]])),
  )

interface DutySeams {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly metadata: SharedMetadata
  readonly records: SharedRecordManager
  /** The name of this node. */
  readonly name: string
  /** Returns undefined until this node has joined. */
  readonly nodes: () => ClusterView | undefined
  /** More jobs that one node does for all, those that this node may do: each has a lease of its name. */
  readonly ownJobs: readonly string[]
}

export class Duties {
  readonly leases: Leases
  private readonly leaseOf: Readonly<Record<string, string>>
  /** Holds what this node reports about the database. */
  readonly database: DatabaseWatch
  /** The caller supervises them. */
  readonly services: readonly BackgroundService[]

  /** `wake`: called with a job that this node does from now on. `mayWork`: whether the node can do any. */
  constructor(seams: DutySeams, mayWork: () => boolean, wake: (job: string) => void) {
    const { records } = seams
    this.leaseOf = {
      ...LEASE_OF_JOB,
      ...leasesOfFeatures(),
      ...Object.fromEntries(seams.ownJobs.map(name => [name, name])),
    }
    const names = [...new Set([STEWARD_LEASE, ...Object.values(this.leaseOf)])]
    const onTaken = (taken: string): void => {
      for (const [job, lease] of Object.entries(this.leaseOf)) if (lease === taken) wake(job)
    }
    this.leases = new Leases(seams, { names, mayWork, onTaken })
    const changeRecord = (decide: Parameters<SharedRecordManager["change"]>[1]) =>
      records.change("silent nodes", decide)
    // The steward reads for all nodes. One that has no report of what it has read does so itself.
    const readsFacts = () =>
      this.leases.holds(STEWARD_LEASE) ||
      (seams.nodes()?.nodes ?? []).every(({ report }) => report?.database?.health === undefined)
    this.database = new DatabaseWatch(seams, readsFacts)
    this.services = [this.leases, new Steward({ ...seams, leases: this.leases, changeRecord }), this.database]
  }

  /**
   * The same jobs; those that one node does for all take steps only while this node does them. `helpWith`: what this
   * node has done for the one that does the job.
   */
  share(jobs: readonly Job[], helpWith: (job: string) => string | undefined): readonly Job[] {
    return jobs.map(job => {
      const lease = this.leaseOf[job.name]
      return lease === undefined ? job : new LeasedJob(job, lease, this.leases, () => helpWith(job.name))
    })
  }

  /** Which node does what, as last read. */
  get all(): readonly Duty[] {
    const jobs = Object.entries(this.leaseOf).map(([name, lease]) => ({ name, node: this.leases.holder(lease) }))
    return [{ name: STEWARD_LEASE, node: this.leases.holder(STEWARD_LEASE) }, ...jobs]
  }

  get doesRepair(): boolean {
    return this.leases.holds("repair")
  }
}
