/** The nodes of a store as one of them sees them, for its status and its operations. */
import type { Failure } from "@hayloft/base/failures.js"
import type { Incarnation, NodeName } from "@hayloft/base/ids.js"
import type { NodeRow } from "@hayloft/engine/format/nodes/cluster-rows.js"
import type { NodeReport } from "@hayloft/engine/format/nodes/node-report.js"
import type { Peer } from "@hayloft/engine/rpc/index.js"
import { SILENT_SHOWN_MS, type Duty, type NodesView } from "../status/nodes-core.js"

/** Another node. */
export interface OtherNode {
  readonly name: NodeName
  readonly row: NodeRow
  /** The report is undefined if the node has not reported, or cannot be reached now. */
  readonly report: NodeReport | undefined
  /** The reason why this node cannot reach it. */
  readonly trouble: string | undefined
  readonly peer: Peer
}

export interface ClusterView {
  /** The reason why this node takes part no more. */
  readonly removed: Failure | undefined
  /** The row is undefined until this node has joined. */
  readonly ownRow: NodeRow | undefined
  /** All other nodes. */
  readonly nodes: readonly OtherNode[]
  /** How long each node has written no heartbeat, as this one observed it. */
  readonly silentMs: ReadonlyMap<NodeName, number>
  /** The same, or how long most of the others could not reach it, if that is longer. */
  readonly outOfReachMs: ReadonlyMap<NodeName, number>
  isOver(incarnation: Incarnation): boolean
}

/** The nodes that serve clients now, this one among them; 1 on one machine. */
export function liveNodes(view: ClusterView | undefined): number {
  const isLive = ({ name, row }: OtherNode): boolean =>
    view?.isOver(row.incarnation) === false && (view.silentMs.get(name) ?? 0) < SILENT_SHOWN_MS
  return 1 + (view?.nodes.filter(isLive).length ?? 0)
}

/** The names of the other nodes that this one reaches now; none on one machine. */
export const reachedNodes = (view: Pick<ClusterView, "nodes"> | undefined): readonly string[] =>
  (view?.nodes ?? []).filter(({ trouble }) => trouble === undefined).map(({ name }) => name)

/** Returns the nodes in the form that `status` shows; undefined until this node has joined. */
export function nodesOf(view: ClusterView | undefined, duties: readonly Duty[]): NodesView | undefined {
  if (view?.ownRow === undefined) return undefined
  const { ownRow, nodes, silentMs, outOfReachMs, removed } = view
  const seen = [{ row: ownRow, trouble: undefined }, ...nodes]
  return {
    own: ownRow.name,
    removed: removed?.message,
    nodes: seen.map(({ row, trouble }) => ({
      row,
      trouble,
      isOver: view.isOver(row.incarnation),
      silentMs: silentMs.get(row.name) ?? 0,
      outOfReachMs: outOfReachMs.get(row.name) ?? 0,
    })),
    duties,
  }
}
