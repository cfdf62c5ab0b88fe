/**
 * The nodes of a store as one of them sees them: their states, which of them cannot reach which, who does what, and
 * which silent ones an operator has to decide about. Pure.
 */
import type { NodesReport, NodeState, NodeStatus } from "./contract.js"
import type { NodeName } from "@hayloft/base/ids.js"
import { devicesOfNode, silentNodes } from "@hayloft/engine/cluster/index.js"
import type { NodeRow } from "@hayloft/engine/format/nodes/cluster-rows.js"
import type { ControlDevice, ControlRecord } from "@hayloft/engine/format/device/control-record.js"

/** Several heartbeats: a node that is this late has trouble, and is not only busy. */
export const SILENT_SHOWN_MS = 30_000
/** The lease of the node that watches over the others. */
const STEWARD = "steward"

/** A node that has a row. */
export interface SeenNode {
  readonly row: Pick<NodeRow, "name" | "zone" | "machine" | "address" | "program" | "unreachable">
  /** Its process has ended, or was ended. */
  readonly isOver: boolean
  /** How long it has written no heartbeat, as this node observed it. */
  readonly silentMs: number
  /** The same, or how long most of the others could not reach it, if that is longer. */
  readonly outOfReachMs: number
  /** The reason why this node cannot reach it; undefined: it can. */
  readonly trouble: string | undefined
}

/** A job that one node at a time does for the whole store. */
export interface Duty {
  readonly name: string
  /** The node is undefined if none does the job now. */
  readonly node: string | undefined
}

export interface NodesView {
  readonly own: NodeName
  /** The reason why this node takes part no more. */
  readonly removed: string | undefined
  /** This one among them. */
  readonly nodes: readonly SeenNode[]
  readonly duties: readonly Duty[]
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

export function nodesReport(record: ControlRecord, view: NodesView): NodesReport {
  const { own, nodes, duties } = view
  const seen = nodes.map(node => nodeStatus(record, node, view))
  const known = new Set<string>(nodes.map(({ row }) => row.name))
  const named = new Set(record.devices.flatMap(({ home }) => (home === undefined ? [] : [home.node])))
  const unknown = [...named].filter(name => !known.has(name)).map(name => unknownNode(record, name))
  const steward = duties.find(({ name }) => name === STEWARD)?.node
  const outOfReachMs = new Map(nodes.map(({ row, outOfReachMs: ms }) => [row.name, ms]))
  return {
    own,
    ...(steward === undefined ? {} : { steward }),
    nodes: [...seen, ...unknown].sort((a, b) => compare(a.zone ?? "", b.zone ?? "") || compare(a.name, b.name)),
    idleJobs: duties.filter(({ name, node }) => name !== STEWARD && node === undefined).map(({ name }) => name),
    heldBack: silentNodes(record, outOfReachMs).heldBack.map(({ reason }) => reason),
  }
}

function nodeStatus(record: ControlRecord, node: SeenNode, view: NodesView): NodeStatus {
  const { name, zone, machine, address, program, unreachable } = node.row
  const [state, reason] = name === view.own ? stateOfOwn(view) : stateOf(node)
  const devices = devicesOfNode(record, name)
  return {
    name,
    ...(zone === "" ? {} : { zone }),
    machine,
    address,
    version: program,
    state,
    reason,
    use: useOf(record, name, devices),
    devices: devices.map(({ id }) => id),
    cannotReach: state === "serving" || state === "unreachable" ? unreachable : [],
    jobs: view.duties.filter(duty => duty.node === name && duty.name !== STEWARD).map(duty => duty.name),
  }
}

function unknownNode(record: ControlRecord, name: NodeName): NodeStatus {
  const devices = devicesOfNode(record, name)
  const { zone, machine = "" } = devices[0]?.home ?? {}
  return {
    name,
    ...(zone === undefined ? {} : { zone }),
    machine,
    address: "",
    version: "",
    state: "unknown",
    reason: "devices name it as their node, but it has not joined, or was removed: start it, or forget it",
    use: useOf(record, name, devices),
    devices: devices.map(({ id }) => id),
    cannotReach: [],
    jobs: [],
  }
}

const stateOfOwn = ({ removed }: NodesView): readonly [state: NodeState, reason: string] =>
  removed === undefined ? ["serving", ""] : ["removed", removed]

function stateOf({ isOver, silentMs, trouble }: SeenNode): readonly [state: NodeState, reason: string] {
  if (isOver) return ["ended", "its process has stopped, or was silent for 5 minutes; it is back once it starts again"]
  if (silentMs >= SILENT_SHOWN_MS) {
    const seconds = Math.floor(silentMs / 1000)
    const since = `no heartbeat for ${seconds < 120 ? `${seconds} s` : `${Math.floor(seconds / 60)} min`}`
    return [
      "silent",
      trouble === undefined
        ? `${since}, although it can be reached from here: it may have lost the database`
        : `${since}, and it cannot be reached from here: ${trouble}`,
    ]
  }
  return trouble === undefined ? ["serving", ""] : ["unreachable", `it cannot be reached from here: ${trouble}`]
}

function useOf(record: ControlRecord, name: NodeName, devices: readonly ControlDevice[]): NodeStatus["use"] {
  if (record.leavingNodes?.includes(name)) return "leaving"
  if (devices.length === 0) return "in use"
  if (devices.every(({ state }) => state === "decommissioning")) return "leaving"
  if (!devices.every(({ state }) => state === "draining")) return "in use"
  const placed = new Set([...record.layout.devices, ...(record.previousLayout?.devices ?? [])])
  return devices.some(({ id }) => placed.has(id)) ? "draining" : "drained"
}

/** Returns what is wrong with nodes, one line each; empty if nothing is. */
export function nodeTroubles({ nodes, heldBack, own }: NodesReport): readonly string[] {
  return [
    ...nodes.flatMap(({ name, state, reason }) =>
      state === "serving"
        ? []
        : [`node ${name} ${name === own ? "takes part no more" : `is ${WORDS[state]}`}: ${reason}`],
    ),
    ...nodes.flatMap(({ name, cannotReach }) =>
      cannotReach.length === 0 || name === own ? [] : [`node ${name} cannot reach ${cannotReach.join(", ")}`],
    ),
    ...heldBack,
  ]
}

const WORDS: Readonly<Record<NodeState, string>> = {
  serving: "serving",
  unreachable: "cut off",
  silent: "silent",
  ended: "not running",
  removed: "removed",
  unknown: "unknown",
}
