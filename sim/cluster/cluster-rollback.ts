/**
 * A database that loses its last commits, in a failover or by a restore, while all nodes run: every node must notice and
 * halt, nothing is removed, and after a reconciliation every upload that clients rely on is an object again, or is listed.
 */
import { must } from "@hayloft/base/assert.js"
import { isFailure } from "@hayloft/base/failures.js"
import type { DeviceId, RowKey } from "@hayloft/base/ids.js"
import type { ReconcileEntry } from "@hayloft/upkeep/index.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type { TablesCopy } from "@hayloft/engine/sql/simulated/tables.js"
import { check } from "../world/checks.js"
import { Observer, type Shown, type Write } from "../world/observer.js"
import { describeNeedle, holdings } from "../world/wholeness.js"
import type { Cluster } from "./cluster.js"
import type { ServingNode } from "./cluster-node.js"

const POLL_MS = 500
/** From the loss to the halt of the last node. */
const NOTICED_MS_MAX = 60_000
const RECONCILED_MS_MAX = 10 * 60_000
/** Between the halt and the reconciliation, jobs must remove nothing. */
const HALTED_MS = 5 * 60_000

export class ClusterRollback {
  private readonly copy: TablesCopy
  private readonly sinceTick: number

  /** The database will return to this moment. */
  constructor(
    private readonly cluster: Cluster,
    private readonly random: Random,
    private readonly observer: Observer,
  ) {
    this.copy = cluster.database.copy()
    this.sinceTick = observer.now()
  }

  /** The clients rest. Loses what was committed since, and reconciles; returns what the operator is told. */
  async run(): Promise<readonly ReconcileEntry[]> {
    const { cluster } = this
    const before = this.held()
    cluster.database.restore(this.copy)
    await this.until(NOTICED_MS_MAX, "a node does not notice that its database lost commits", () =>
      cluster.serving.every(serving => haltOf(serving) !== undefined),
    )
    await cluster.sleep(HALTED_MS)
    const after = this.held()
    for (const [device, keys] of before) {
      const gone = [...keys].find(key => after.get(device)?.has(key) !== true)
      check("bodiesOutliveRows", gone === undefined, () => `device ${device} has removed ${describeNeedle(gone ?? "")}`)
    }
    const entries = await this.reconcile()
    await this.until(RECONCILED_MS_MAX, "a node stays halted after the reconciliation", () =>
      cluster.serving.every(serving => haltOf(serving) === undefined),
    )
    return entries
  }

  private held(): ReadonlyMap<DeviceId, ReadonlySet<RowKey>> {
    return new Map(this.cluster.serving.flatMap(({ engine }) => [...holdings(engine)]))
  }

  /** Reconciles like an operator, who tries again if devices are out of reach. */
  private async reconcile(): Promise<readonly ReconcileEntry[]> {
    const { cluster } = this
    const { reconciling } = must(cluster.pick(this.random), "all nodes serve")
    const desk = must(reconciling, "a node reconciles")
    await this.until(RECONCILED_MS_MAX, "the database cannot be reconciled", () => {
      const { phase, confirmBy } = desk.report()
      try {
        if (phase === "none" || phase === "failed") desk.compare([])
        if (phase === "planned") desk.apply(must(confirmBy, "a plan is confirmed"))
      } catch (error) {
        if (!isFailure(error, "conflict")) throw error
      }
      return phase === "done"
    })
    const entries: ReconcileEntry[] = []
    for (let from: number | undefined = 0; from !== undefined;) {
      const page = desk.entries(from)
      entries.push(...page.entries)
      from = page.next
    }
    return entries
  }

  private async until(limitMs: number, what: string, isSo: () => boolean): Promise<void> {
    const { clock } = this.cluster
    const untilMs = clock.monotonicMs() + limitMs
    while (!isSo()) {
      check("lossIsNoticed", clock.monotonicMs() < untilMs, () => what)
      await this.cluster.sleep(POLL_MS)
    }
  }

  /**
   * Every upload that a client relies on since the moment of the copy is visible or listed. All of them were too large
   * for a row. `shown`: what each key shows now. Returns the observer of the time from now on.
   */
  judge(entries: readonly ReconcileEntry[], shown: ReadonlyMap<string, Shown | undefined>): Observer {
    const next = new Observer()
    const listed = new Set(entries.map(({ key }) => key))
    for (const [key, now] of shown) {
      const writes = this.observer.writesOf(key)
      const writer = writes.find(({ name }) => name === now?.name)
      check("noPartialWrites", now === undefined || writer !== undefined, () => `${key} shows "${now?.name}"`)
      const last = lastOnes(writes)
      const isLost = last.some(write => write.startTick > this.sinceTick && write.name !== undefined)
      const isShown = last.some(({ name }) => name === now?.name)
      check(
        "lossIsReported",
        isShown || !isLost || listed.has(key),
        () => `"${last.map(({ name }) => name).join()}" of ${key} is lost and not listed`,
      )
      if (now === undefined) continue
      next.end(next.begin(key, now.name, now.etag), "done", now.versionId)
    }
    return next
  }
}

/** Acknowledged writes after which no other was begun. */
function lastOnes(writes: readonly Write[]): readonly Write[] {
  const done = writes.filter(({ outcome }) => outcome === "done")
  return done.filter(write => !done.some(other => other.startTick > write.endTick))
}

const haltOf = ({ opened }: ServingNode) => opened.node?.metadata.halt
