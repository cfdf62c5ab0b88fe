import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import {
  parseIncarnation,
  parseNodeFingerprint,
  parseNodeName,
  parsePosition,
  type Incarnation,
} from "@hayloft/base/ids.js"
import type { NodeRow } from "@hayloft/engine/format/nodes/cluster-rows.js"
import { SharedNodes } from "./node-directory.js"

const [N1, N2] = [parseNodeName("n1"), parseNodeName("n2")]
const rowOf = (name: typeof N1, incarnation: number): NodeRow => ({
  name,
  incarnation: parseIncarnation(incarnation),
  address: `${name}:7000`,
  zone: "",
  machine: name,
  fingerprint: parseNodeFingerprint("0".repeat(64)),
  proof: new Uint8Array(32),
  program: "1.0.0",
  beat: 1,
  position: parsePosition(1),
  layoutVersion: 1,
  unreachable: [],
})

function world(silentMs: number, over: readonly number[] = []) {
  const ended: Incarnation[] = []
  const incarnations = { own: parseIncarnation(1), isOver: (each: Incarnation) => over.includes(each) }
  const metadata = {
    incarnations,
    endIncarnation: async (each: Incarnation) => void ended.push(each),
    run: () => assert.fail("no row is removed"),
  }
  const view = { ownRow: rowOf(N1, 1), nodes: [{ name: N2, row: rowOf(N2, 2) }], silentMs: new Map([[N2, silentMs]]) }
  const records = { refresh: async () => undefined }
  return { ended, nodes: new SharedNodes(N1, { zone: "a", machine: "m" }, metadata, records, () => view) }
}

test("only a node that is silent, or whose process has ended, is lost", () => {
  const runs = (error: unknown): boolean => isFailure(error, "conflict") && /is running/.test(error.message)
  assert.throws(() => world(29_999).nodes.checkLost(N2), runs)
  assert.throws(() => world(60_000).nodes.checkLost(N1), runs)
  world(30_000).nodes.checkLost(N2)
  world(0, [2]).nodes.checkLost(N2)
  world(0).nodes.checkLost(parseNodeName("n9"))
})

test("a lost node is fenced, unless its process has ended", async () => {
  const [silent, over] = [world(30_000), world(0, [2])]
  await silent.nodes.end(N2)
  await over.nodes.end(N2)
  assert.deepEqual([silent.ended, over.ended], [[2], []])
})

test("a device of this node gets its zone, machine and disk, and is claimed by this process", () => {
  const { nodes } = world(0)
  assert.deepEqual(nodes.homeOn("8:1"), { node: N1, incarnation: 1, zone: "a", machine: "m", disk: "8:1" })
  assert.deepEqual([nodes.has(N1), nodes.has(N2), nodes.has(parseNodeName("n9"))], [true, true, false])
})
