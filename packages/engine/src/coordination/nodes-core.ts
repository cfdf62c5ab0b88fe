/**
 * Rows of nodes: what each node says of itself, and its heartbeats. Pure.
 *
 * Promises  A node writes only its own row, and only the process whose incarnation the row names. A row that was removed
 *           does not return by a heartbeat.
 */
import { fail } from "@hayloft/base/failures.js"
import type { Incarnation, NodeName, Position } from "@hayloft/base/ids.js"
import { decodeNodeRow, encodeNodeRow, NODE_ROWS, nodeRowKey, type NodeRow } from "../format/nodes/cluster-rows.js"
import { command, query } from "../metadata/index.js"
import { leaseTouches, renewals } from "./leases-core.js"

/** The facts that a heartbeat reports; see `NodeRow`. */
export interface NodeFacts {
  readonly position: Position
  readonly layoutVersion: number
  readonly unreachable: readonly NodeName[]
}

/** In the order of their names' bytes. */
export const nodeRows = query("NodeRows", view =>
  Array.from(view.range("cluster", NODE_ROWS), ([, row]) => decodeNodeRow(row.value)),
)

/**
 * Replaces the row of the node's earlier process. Throws `conflict` if it is another incarnation's row, and `nodeRemoved` if
 * the node has no row although it is known to be a member.
 */
export const joinNode = command<[row: NodeRow, isMember?: boolean], void>({
  name: "JoinNode",
  grows: false,
  touches: ({ name }) => [["cluster", nodeRowKey(name)]],
  decide(view, { incarnations }, row, isMember = false) {
    const { own } = incarnations
    if (row.incarnation !== own)
      throw fail("conflict", { message: `incarnation ${row.incarnation} of this node is over; ${own} has begun` })
    const key = nodeRowKey(row.name)
    const before = view.get("cluster", key)
    if (before === undefined && isMember) throw fail("nodeRemoved", { node: row.name })
    return { writes: [{ family: "cluster", key, value: encodeNodeRow(row) }], result: undefined }
  },
})

/**
 * A heartbeat: renews leases with it, and returns those that the node still has. Throws `nodeRemoved` if the node has no
 * row, and `conflict` if the row is another process's: a node that has begun another incarnation joins again.
 */
export const beatNode = command<[name: NodeName, facts: NodeFacts, leases: readonly string[]], readonly string[]>({
  name: "BeatNode",
  grows: false,
  touches: (name, _facts, leases) => [["cluster", nodeRowKey(name)], ...leaseTouches(leases)],
  decide(view, time, name, { position, layoutVersion, unreachable }, leases) {
    const key = nodeRowKey(name)
    const row = view.get("cluster", key)
    if (row === undefined) throw fail("nodeRemoved", { node: name })
    const node = decodeNodeRow(row.value)
    if (node.incarnation !== time.incarnations.own)
      throw fail("conflict", { message: `the row of node ${name} is that of incarnation ${node.incarnation}` })
    const value = encodeNodeRow({ ...node, beat: node.beat + 1, position, layoutVersion, unreachable })
    const renewed = renewals(view, time, leases)
    const writes = [{ family: "cluster", key, value } as const, ...renewed.map(({ write }) => write)]
    return { writes, result: renewed.map(renewal => renewal.name) }
  },
})

/** Removes the row of a node, if it is this incarnation's (undefined: whichever). Returns whether there was one. */
export const removeNodeRow = command<[name: NodeName, incarnation: Incarnation | undefined], boolean>({
  name: "RemoveNodeRow",
  grows: false,
  touches: name => [["cluster", nodeRowKey(name)]],
  decide(view, _time, name, incarnation) {
    const key = nodeRowKey(name)
    const row = view.get("cluster", key)
    const isMeant =
      row !== undefined && (incarnation === undefined || decodeNodeRow(row.value).incarnation === incarnation)
    return { writes: isMeant ? [{ family: "cluster", key, value: undefined }] : [], result: isMeant }
  },
})
