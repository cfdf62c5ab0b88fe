/** Text for the nodes of a store and its layout. Pure. */
import type { z } from "zod"
import { plural, percentText } from "@hayloft/base/text/quantity-text.js"
import { labelled, printable, tableText } from "@hayloft/base/text/report-text.js"
import type { LAYOUT_DETAILS, NODES } from "./store-schemas.js"

type Nodes = z.output<typeof NODES>
type LayoutDetails = z.output<typeof LAYOUT_DETAILS>
type Node = Nodes["nodes"][number]

/** `serving`, `serving, draining`, `silent (no heartbeat for 40 s)`. */
function stateText({ state, use, reason }: Node): string {
  const doing = use === "in use" ? state : `${state}, ${use}`
  return reason === "" ? doing : `${doing} (${printable(reason)})`
}

const jobsText = ({ steward }: Nodes, { name, jobs }: Node): string =>
  [...(name === steward ? ["steward"] : []), ...jobs].join(", ") || "-"

export function nodesTable(nodes: Nodes): string {
  const rows = nodes.nodes.map(node => [
    printable(node.name),
    printable(node.zone ?? "-"),
    printable(node.machine),
    printable(node.address || "-"),
    printable(node.version || "-"),
    String(node.devices.length),
    jobsText(nodes, node),
    stateText(node),
  ])
  const head = ["NODE", "ZONE", "MACHINE", "ADDRESS", "VERSION", "DEVICES", "JOBS", "STATE"]
  return `${tableText(head, rows)}${nodeNotes(nodes)
    .map(note => `${note}\n`)
    .join("")}`
}

/**
 * Returns the notes that are not in a table of nodes: which node cannot reach which, and what waits for the operator.
 */
function nodeNotes({ nodes, steward, idleJobs, heldBack }: Nodes): readonly string[] {
  return [
    ...nodes.flatMap(({ name, cannotReach }) =>
      cannotReach.length === 0 ? [] : [`${printable(name)} cannot reach ${printable(cannotReach.join(", "))}`],
    ),
    ...(steward === undefined ? ["no node is the steward at the moment"] : []),
    ...(idleJobs.length === 0 ? [] : [`no node does ${idleJobs.join(", ")} at the moment`]),
    ...heldBack.map(printable),
  ]
}

/** Nodes in a line of `status`, and what is wrong with them. */
export function nodeLines(nodes: Nodes): readonly string[] {
  const { length } = nodes.nodes
  const zones = new Set(nodes.nodes.flatMap(({ zone }) => zone ?? []))
  const serving = nodes.nodes.filter(({ state }) => state === "serving").length
  const where = zones.size === 0 ? "" : ` in ${plural(zones.size, "zone")}`
  const how = serving === length ? "all serving" : `${serving} serving`
  return [`${plural(length, "node")}${where}, ${how}; asked: ${printable(nodes.own)}`, ...nodeNotes(nodes)]
}

interface Placed {
  readonly node?: string | undefined
  readonly zone?: string | undefined
}

/**
 * A table of devices under their nodes, by zone. `table` makes the table of all of them, with a line for each in this
 * order after its head.
 */
export function devicesByNode<Device extends Placed>(
  nodes: Nodes,
  devices: readonly Device[],
  table: (devices: readonly Device[]) => string,
): string {
  const ofNode = new Map(nodes.nodes.map(({ name }) => [name, devices.filter(({ node }) => node === name)]))
  const others = devices.filter(({ node }) => node === undefined || !ofNode.has(node))
  const ordered = [...nodes.nodes.flatMap(({ name }) => ofNode.get(name) ?? []), ...others]
  const [head = "", ...lines] = table(ordered).trimEnd().split("\n")
  const take = (count: number): readonly string[] => lines.splice(0, count).map(line => `  ${line}`)
  let zone: string | undefined
  const groups = nodes.nodes.flatMap((node, at) => {
    const isNewZone = at === 0 ? node.zone !== undefined : node.zone !== zone
    zone = node.zone
    const { name, machine, address, version } = node
    const facts = [`machine ${machine}`, address, version].filter(fact => fact !== "").map(printable)
    const jobs = jobsText(nodes, node)
    return [
      ...(isNewZone ? [`zone ${printable(zone ?? "(none)")}`] : []),
      `${printable(name)}: ${stateText(node)}; ${facts.join(", ")}${jobs === "-" ? "" : `; does ${jobs}`}`,
      ...take(ofNode.get(name)?.length ?? 0),
    ]
  })
  const rest = others.length === 0 ? [] : ["without a node", ...take(others.length)]
  return [`  ${head}`, ...groups, ...rest, ""].join("\n")
}

export function layoutText(
  layout: LayoutDetails,
  work: (progress: NonNullable<Transition["progress"]>) => string,
): string {
  const { version, width, transition, devices } = layout
  const isMoving = transition !== undefined
  const hasNodes = devices.some(({ node }) => node !== undefined)
  const rows = devices.map(({ id, zone, machine, node, path, state, weight, share, shareBefore }) => [
    ...(hasNodes ? [printable(zone ?? "-"), printable(machine ?? "-"), printable(node ?? "-")] : []),

    id,
    state,
    String(weight),
    percentText(share),
    ...(isMoving ? [percentText(shareBefore ?? 0)] : []),
    printable(path),
  ])
  const head = [
    ...(hasNodes ? ["ZONE", "MACHINE", "NODE"] : []),
    "DEVICE",
    "STATE",
    "WEIGHT",
    "SHARE",
    ...(isMoving ? ["BEFORE"] : []),
    "FOLDER",
  ]
  const moving = !isMoving
    ? []
    : [
        labelled(
          "moving",
          `from layout ${transition.fromVersion}${transition.progress === undefined ? "" : `: ${work(transition.progress)}`}`,
        ),
      ]
  const lines = [labelled("layout", `version ${version}, ${plural(width, "slot")} for each partition`), ...moving]
  return `${lines.join("\n")}\n\n${tableText(head, rows)}`
}

type Transition = NonNullable<LayoutDetails["transition"]>
