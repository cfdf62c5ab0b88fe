/** The commands and queries of what nodes share, with random arguments: a few nodes, leases, layouts and epochs. */
import { parseNodeFingerprint, parseNodeName, parsePosition } from "@hayloft/base/ids.js"
import {
  advanceEpoch,
  beatNode,
  changeControl,
  controlRow,
  epochOfAge,
  joinNode,
  layoutTable,
  leaseRows,
  nodeRows,
  releaseLeases,
  removeNodeRow,
  restartEpochs,
  setConversion,
  takeLease,
  type EpochFacts,
} from "@hayloft/engine/coordination/index.js"
import {
  CONTROL_ROW_KEY,
  CONVERSION_ROW_KEY,
  decodeControlRow,
  decodeConversionRow,
  decodeEpochsRow,
  decodeLeaseRow,
  decodeNodeRow,
  EPOCHS_ROW_KEY,
  LEASE_ROWS,
  NODE_ROWS,
} from "@hayloft/engine/format/nodes/cluster-rows.js"
import { settle } from "@hayloft/engine/sql/incarnation.js"
import { COPIED_FAMILIES, countersOf, FIRST_KEY, rowsFrom, rowsOf } from "@hayloft/node/convert/rows-core.js"
import { commandKind, queryKind, type PlayKind, type Scene } from "./scene.js"

const NODES = ["a", "b", "héron"].map(parseNodeName)
const LEASES = ["steward", "repair", "collector"]

const generationOf = (scene: Scene): number => {
  const row = scene.model.committed.get("cluster", CONTROL_ROW_KEY)
  return row ? decodeControlRow(row.value).generation : 0
}

/** Mostly the present one. */
const near = (scene: Scene, number: number): number => (scene.oneIn(4) ? Math.max(0, number - 1) : number)

const positionOf = (scene: Scene) => parsePosition(scene.random.below(1 << 30))

function change(scene: Scene) {
  const before = near(scene, generationOf(scene))
  const tables = [before, before + 1]
    .filter(() => scene.oneIn(2))
    .map(version => [version, scene.random.bytes(50)] as const)
  const drop = scene.oneIn(3) ? [Math.max(0, before - 1)] : []
  const put = tables.filter(([version]) => !drop.includes(version))
  return changeControl({ before, generation: before + 1, record: scene.random.bytes(20), layouts: { put, drop } })
}

/** Mostly from the present state. */
function convert(scene: Scene) {
  const states = [undefined, "copying", "copied", "active", "leaving", "left"] as const
  const found = scene.model.committed.get("cluster", CONVERSION_ROW_KEY)
  const present = found && decodeConversionRow(found.value).state
  const from = scene.oneIn(4) ? scene.pick(states) : present
  // Nothing follows it.
  const state = scene.oneIn(20) ? "left" : scene.pick(["copying", "copied", "active", "leaving"] as const)
  return setConversion(from, { state, generation: 1 + scene.random.below(9) })
}

function row(scene: Scene) {
  const { own, other } = scene.actor
  return {
    name: scene.pick(NODES),
    incarnation: scene.oneIn(8) ? (other ?? own) : own,
    address: "127.0.0.1:7000",
    fingerprint: parseNodeFingerprint("0a".repeat(32)),
    proof: scene.random.bytes(32),
    zone: "z",
    machine: "m",
    program: "1.0.0",
    beat: 1,
    position: positionOf(scene),
    layoutVersion: 1,
    unreachable: [],
  }
}

const nodesOf = (scene: Scene) => scene.rows("cluster", NODE_ROWS).map(([, { value }]) => decodeNodeRow(value))
const leasesOf = (scene: Scene) => scene.rows("cluster", LEASE_ROWS).map(([, { value }]) => decodeLeaseRow(value))

/** Mostly of a node that this process has joined as. */
function beat(scene: Scene) {
  const own = nodesOf(scene).filter(({ incarnation }) => incarnation === scene.actor.own)
  const name = scene.oneIn(6) ? scene.pick(NODES) : scene.pickOr(own, () => ({ name: scene.pick(NODES) })).name
  const facts = { position: positionOf(scene), layoutVersion: scene.random.below(9), unreachable: scene.some(NODES) }
  return beatNode(name, facts, scene.some(LEASES))
}

function take(scene: Scene) {
  const name = scene.pick(LEASES)
  const found = leasesOf(scene).find(lease => lease.name === name)
  const seen = found && { incarnation: found.incarnation, beat: near(scene, found.beat) }
  return takeLease(name, scene.oneIn(8) ? undefined : seen)
}

function epochFacts(scene: Scene): EpochFacts {
  const { own, other } = scene.actor
  const live = other === undefined ? [own] : [own, other]
  return { highest: own, positions: live.map(incarnation => [incarnation, positionOf(scene)] as const) }
}

function advance(scene: Scene) {
  const row = scene.model.committed.get("cluster", EPOCHS_ROW_KEY)
  const newest = row ? decodeEpochsRow(row.value).newest : 0
  const facts = epochFacts(scene)
  const dropUpTo = scene.pick([0, newest - 3, newest, newest + 2])
  return advanceEpoch(near(scene, newest), facts, dropUpTo)
}

export const CLUSTER_COMMANDS: readonly PlayKind[] = [
  commandKind("Settle", 1, () => settle()),
  commandKind("ChangeControl", 2, change),
  commandKind("SetConversion", 1, convert),
  commandKind("JoinNode", 2, scene => joinNode(row(scene))),
  commandKind("BeatNode", 3, beat),
  commandKind("RemoveNodeRow", 1, scene =>
    removeNodeRow(scene.pick(NODES), scene.pick([undefined, scene.actor.own, scene.actor.other])),
  ),
  commandKind("TakeLease", 3, take),
  commandKind("ReleaseLeases", 1, scene => releaseLeases(scene.some(LEASES))),
  commandKind("AdvanceEpoch", 2, advance),
  commandKind("RestartEpochs", 1, scene => restartEpochs(epochFacts(scene))),
]

export const CLUSTER_QUERIES: readonly PlayKind[] = [
  queryKind("RowsFrom", scene => rowsFrom(scene.pick(COPIED_FAMILIES), FIRST_KEY)),
  queryKind("RowsOf", scene =>
    rowsOf(
      scene.some(COPIED_FAMILIES).flatMap(family =>
        scene
          .rows(family)
          .slice(0, 3)
          .map(([key]) => ({ family, key })),
      ),
    ),
  ),
  queryKind("CountersOf", scene => countersOf([scene.bucketId()])),
  queryKind("ControlRow", () => controlRow()),
  queryKind("LayoutTable", scene => layoutTable(near(scene, generationOf(scene)))),
  queryKind("NodeRows", () => nodeRows()),
  queryKind("LeaseRows", () => leaseRows()),
  queryKind("EpochOfAge", scene => epochOfAge(scene.random.below(4))),
]
