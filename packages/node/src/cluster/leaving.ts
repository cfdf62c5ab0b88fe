/**
 * Leaving: a node that an operator removed ends by itself once its devices are empty and forgotten, and is no longer one of
 * the store once its process has ended. Every node does this: each step may be done twice.
 *
 * Promises  A node that leaves first answers the requests that it has: the others know it until then.
 * Limits    `LEAVE_MS_MAX`; a node that does not end by itself is removed after it.
 */
import { fail, type Failure } from "@hayloft/base/failures.js"
import type { NodeName } from "@hayloft/base/ids.js"
import { emptyLeavingNodes, withLeaving } from "@hayloft/engine/cluster/index.js"
import { removeNodeRow } from "@hayloft/engine/coordination/index.js"
import type { Job, StepOutcome } from "@hayloft/base/life/index.js"
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"
import type { RecordManager } from "../control/record-manager.js"
import { SILENT_SHOWN_MS } from "../status/nodes-core.js"
import type { ClusterView, OtherNode } from "./cluster-view.js"

/** A node needs less to answer its last requests and to stop. */
export const LEAVE_MS_MAX = 120_000

interface LeavingSeams {
  readonly clock: Clock
  readonly log: Log
  readonly records: RecordManager
  readonly metadata: Metadata
}

interface Others extends Pick<ClusterView, "silentMs" | "isOver"> {
  readonly nodes: readonly Pick<OtherNode, "name" | "row">[]
}

interface OwnNode {
  readonly name: NodeName
  /** The other nodes; undefined until this one has joined. */
  readonly others: () => Others | undefined
  /** This process is to end. */
  readonly onLeaving: (reason: Failure) => void
}

export class Leaving implements Job {
  readonly name = "leaving"
  /** The node that is awaited, and since when. */
  private awaited: { readonly node: NodeName; readonly sinceMs: number } | undefined
  private hasLeft = false

  constructor(
    private readonly seams: LeavingSeams,
    private readonly own: OwnNode,
  ) {}

  progress(): string {
    const { leavingNodes = [] } = this.seams.records.record
    return leavingNodes.length === 0 ? "no node leaves" : `${leavingNodes.join(", ")} will leave once empty`
  }

  async step(): Promise<StepOutcome> {
    const { records, metadata, log } = this.seams
    const [node] = emptyLeavingNodes(records.record)
    if (node === undefined) return "idle"
    if (node === this.own.name) this.leave(node)
    if (node === this.own.name || this.mayStillEnd(node)) return "throttled"
    // In this order: the record remembers the node until its row is gone.
    await metadata.run(removeNodeRow(node, undefined))
    await records.change("node has left", record =>
      emptyLeavingNodes(record).includes(node) ? withLeaving(record, node, false) : record,
    )
    log.info("node_left", { node })
    return "busy"
  }

  private leave(node: NodeName): void {
    if (this.hasLeft) return
    this.hasLeft = true
    const reason = fail("nodeRemoved", { node })
    this.seams.log.error("node_removed", { reason: reason.message })
    this.own.onLeaving(reason)
  }

  /** Its process runs, and is about to end by itself. */
  private mayStillEnd(node: NodeName): boolean {
    const nowMs = this.seams.clock.monotonicMs()
    if (this.awaited?.node !== node) this.awaited = { node, sinceMs: nowMs }
    const view = this.own.others()
    const row = view?.nodes.find(({ name }) => name === node)?.row
    if (view === undefined || row === undefined || view.isOver(row.incarnation)) return false
    return (view.silentMs.get(node) ?? 0) < SILENT_SHOWN_MS && nowMs - this.awaited.sinceMs < LEAVE_MS_MAX
  }
}
