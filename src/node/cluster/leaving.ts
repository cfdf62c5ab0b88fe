/**
 * Leaving: a node that an operator removed is no longer one of the store once its devices are empty and forgotten. Every
 * node does this: each step may be done twice.
 */
import { emptyLeavingNodes, withLeaving } from "../../cluster/index.js"
import { removeNodeRow } from "../../coordination/index.js"
import type { Job, StepOutcome } from "../../life/index.js"
import type { Metadata } from "../../metadata/index.js"
import type { Log } from "../../seams/telemetry/contract.js"
import type { RecordManager } from "../control/record-manager.js"

export class Leaving implements Job {
  readonly name = "leaving"

  constructor(
    private readonly records: RecordManager,
    private readonly metadata: Metadata,
    private readonly log: Log,
  ) {}

  progress(): string {
    const { leavingNodes = [] } = this.records.record
    return leavingNodes.length === 0 ? "no node leaves" : `${leavingNodes.join(", ")} will leave once empty`
  }

  async step(): Promise<StepOutcome> {
    const [node] = emptyLeavingNodes(this.records.record)
    if (node === undefined) return "idle"
    // In this order: the record remembers the node until its row is gone.
    await this.metadata.run(removeNodeRow(node, undefined))
    await this.records.change("node has left", record =>
      emptyLeavingNodes(record).includes(node) ? withLeaving(record, node, false) : record,
    )
    this.log.info("node_left", { node })
    return "busy"
  }
}
