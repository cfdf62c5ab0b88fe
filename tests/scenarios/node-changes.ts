/**
 * Commands of store scenarios for a store of several nodes: claims of devices, commands for whole nodes, nodes that fall
 * silent, and what may fail.
 */
import { parseIncarnation, parseNodeName, type DeviceId, type NodeName } from "@hayloft/base/ids.js"
import { textOfPolicy } from "@hayloft/base/policy.js"
import {
  claimDevice,
  devicesOfNode,
  domainsOfHome,
  followHomes,
  forgetNode,
  joinDevices,
  layoutOf,
  markOffline,
  markReturning,
  markWhole,
  placeWithout,
  releaseDevices,
  SafetyEvaluator,
  safetySentence,
  silentNodes,
} from "@hayloft/engine/cluster/index.js"
import { homeOn, newDevice } from "@hayloft/engine/cluster/testing-records.js"
import type { ControlRecord, DeviceHome } from "@hayloft/engine/format/device/control-record.js"
import type { Call } from "./call.js"
import { idOf, nameOf, namesOf } from "./devices.js"
import { drainNode, removeNode, useNode } from "@hayloft/engine/cluster/testing-changes.js"

export type Change = (record: ControlRecord, call: Call) => ControlRecord

const MINUTE_MS = 60_000

const nodeWord = (call: Call): NodeName => parseNodeName(call.word())
const homeOf = (call: Call): DeviceHome =>
  homeOn(call.text("node"), call.optional("zone"), call.number("incarnation", 1))
const idsOf = (record: ControlRecord, node: NodeName): readonly DeviceId[] =>
  devicesOfNode(record, node).map(({ id }) => id)

export const nodeChanges = (nowMs: () => number): Readonly<Record<string, Change>> => ({
  /** Input: `10 node=n4 zone=east weight=2` for each device. */
  join: (record, call) => {
    const devices = call.inputCalls().map(line => {
      const weight = line.number("weight", 0)
      return { ...newDevice(0), id: idOf(line.name), home: homeOf(line), ...(weight > 0 && { weight }) }
    })
    return joinDevices(record, devices, [], nowMs())
  },
  claim: (record, call) => {
    const isOver = call.flag("earlier-is-over")
    return claimDevice(record, idOf(call.word()), homeOf(call), () => isOver)
  },
  release: (record, call) => releaseDevices(record, nodeWord(call), parseIncarnation(call.number("incarnation", 1))),
  "drain-node": (record, call) => drainNode(record, nodeWord(call), [], nowMs()),
  "remove-node": (record, call) => removeNode(record, nodeWord(call), [], nowMs()),
  "use-node": (record, call) => useNode(record, nodeWord(call), [], nowMs()),
  "forget-node": (record, call) => forgetNode(record, nodeWord(call), [], call.flag("accept-loss")),
  "node-offline": (record, call) => markOffline(record, idsOf(record, nodeWord(call)), nowMs()),
  "node-returns": (record, call) =>
    idsOf(record, nodeWord(call)).reduce((next, id) => markReturning(next, id, nowMs()), record),
  "all-whole": record => record.devices.reduce((next, { id }) => markWhole(next, id, nowMs()), record),
  "place-without": (record, call) => placeWithout(record, call.rest().map(idOf)),
  "follow-homes": record => followHomes(record, []),
})

export const shownHome = (home: DeviceHome | undefined): string => {
  if (home === undefined) return ""
  const zone = home.zone === undefined ? "" : ` in zone ${home.zone}`
  return ` on ${home.node}${zone}${home.incarnation === 0 ? " (released)" : ""}`
}

/** `n1=16`: node n1 has been silent for 16 minutes. */
export function silence(record: ControlRecord, call: Call): readonly string[] {
  const silent = call.restPairs().map(([name, minutes]): [NodeName, number] => {
    return [parseNodeName(name), Number(minutes) * MINUTE_MS]
  })
  const { offline, heldBack } = silentNodes(record, new Map(silent))
  return [
    ...(offline.length > 0 ? [`devices go offline: ${namesOf(offline)}`] : []),
    ...heldBack.map(({ reason }) => `held back: ${reason}`),
  ]
}

/** The numbers of shards of a partition by zone: counts of partitions by pattern, most frequent first. */
export function spread({ layout, devices: all }: ControlRecord, call: Call): readonly string[] {
  const by = call.word()
  const { table, width, devices } = layoutOf(layout)
  const domains = devices.map(id => {
    const home = all.find(device => device.id === id)?.home
    return (by === "zone" ? home?.zone : home?.machine) ?? "none"
  })
  const patterns = new Map<string, number>()
  for (let at = 0; at < table.length; at += width) {
    const counts = new Map<string, number>()
    for (const index of table.subarray(at, at + width)) {
      const domain = domains[index] ?? ""
      counts.set(domain, (counts.get(domain) ?? 0) + 1)
    }
    const pattern = [...counts].map(([name, count]) => `${name} ${count}`)
    const key = pattern.sort().join(", ")
    patterns.set(key, (patterns.get(key) ?? 0) + 1)
  }
  return [...patterns].sort(([, a], [, b]) => b - a).map(([pattern, count]) => `${count} partitions: ${pattern}`)
}

/** Returns what `status` says of the store, if devices have what their states claim. */
export function survives(record: ControlRecord): readonly string[] {
  const safety = new SafetyEvaluator().evaluate({
    devices: record.devices.map(({ id, state, home }) => ({
      id,
      state,
      disk: undefined,
      ...(home && domainsOfHome(home)),
    })),
    layout: layoutOf(record.layout),
    previousLayout: record.previousLayout && layoutOf(record.previousLayout),
    policies: [{ policy: record.policy, bytes: 0, isDecommissioning: false }],
    metadata: undefined,
    lacking: new Map(),
    misplacedGroups: [],
  })
  const policy = textOfPolicy(record.policy)
  return [
    safetySentence(safety, {
      policy,
      pathOf: id => `device ${nameOf(id)}`,
      wholeInSeconds: undefined,
      isRepairPaused: false,
    }),
  ]
}
