import assert from "node:assert/strict"
import { test } from "node:test"
import { parseNodeName } from "@hayloft/base/ids.js"
import { finishTransition } from "@hayloft/engine/cluster/index.js"
import { clusterOf } from "@hayloft/engine/cluster/testing-records.js"
import { nodesReport, nodeTroubles, type NodesView, type SeenNode } from "./nodes-core.js"
import { drainNode, removeNode } from "@hayloft/engine/cluster/testing-changes.js"

const [A, B, C] = [parseNodeName("a1"), parseNodeName("b1"), parseNodeName("c1")]
const STORE = clusterOf(["a1@a:2", "b1@b:2", "c1@c:2"], "ec:2+1")
const seen = (name: typeof A, of: Partial<SeenNode> = {}, unreachable: readonly (typeof A)[] = []): SeenNode => ({
  row: { name, zone: name.slice(0, 1), machine: name, address: `${name}:7700`, program: "1.0.0", unreachable },
  isOver: false,
  silentMs: 0,
  outOfReachMs: of.silentMs ?? 0,
  trouble: undefined,
  ...of,
})
const DUTIES = [
  { name: "steward", node: "b1" },
  { name: "repair", node: "c1" },
  { name: "collector", node: undefined },
]
const viewOf = (b: SeenNode = seen(B), c: SeenNode = seen(C), of: Partial<NodesView> = {}): NodesView => ({
  own: A,
  removed: undefined,
  nodes: [seen(A), c, b],
  duties: DUTIES,
  ...of,
})
const report = (...args: Parameters<typeof viewOf>) => nodesReport(STORE, viewOf(...args))
const statesOf = ({ nodes }: ReturnType<typeof nodesReport>) => nodes.map(({ name, state }) => `${name} ${state}`)

test("nodes are listed by zone and name, with what each does for the store", () => {
  const { own, steward, nodes, idleJobs, heldBack } = report()
  assert.deepEqual([own, steward, idleJobs, heldBack], ["a1", "b1", ["collector"], []])
  assert.deepEqual(
    nodes.map(({ name, zone, state, use, devices, jobs }) => [name, zone, state, use, devices.length, jobs]),
    [
      ["a1", "a", "serving", "in use", 2, []],
      ["b1", "b", "serving", "in use", 2, []],
      ["c1", "c", "serving", "in use", 2, ["repair"]],
    ],
  )
  assert.deepEqual(nodeTroubles(report()), [])
})

test("a node that cannot be reached, is silent, or has ended is shown with the reason", () => {
  const cut = report(seen(B, { trouble: "connection refused" }), seen(C, {}, [B]))
  assert.deepEqual(statesOf(cut), ["a1 serving", "b1 unreachable", "c1 serving"])
  assert.deepEqual(nodeTroubles(cut), [
    "node b1 is cut off: it cannot be reached from here: connection refused",
    "node c1 cannot reach b1",
  ])
  const silent = report(seen(B, { silentMs: 45_000 }), seen(C, { silentMs: 300_000, trouble: "it timed out" }, [B]))
  assert.deepEqual(statesOf(silent), ["a1 serving", "b1 silent", "c1 silent"])
  assert.match(
    nodeTroubles(silent).join("\n"),
    /b1.*for 45 s, although.*lost the database\n.*c1.*for 5 min.*timed out$/,
  )
  assert.deepEqual(statesOf(report(seen(B, { isOver: true, silentMs: 9e9 }))), ["a1 serving", "b1 ended", "c1 serving"])
  const removed = report(seen(B), seen(C), { removed: "this node was removed" })
  assert.deepEqual(nodeTroubles(removed), ["node a1 takes part no more: this node was removed"])
})

test("devices of silent nodes that only the operator may give up are named with the reason", () => {
  const long = 16 * 60_000
  const { heldBack } = report(seen(B, { silentMs: long }))
  assert.match(
    heldBack.join(),
    /node b1 has been silent or cut off for 16 min, .* every device of zone b would be offline/,
  )
  assert.ok(nodeTroubles(report(seen(B, { silentMs: long }))).some(text => text === heldBack[0]))
  assert.deepEqual(report(seen(B, { outOfReachMs: long })).heldBack, heldBack, "the same if it is cut off")
})

test("devices whose node has no row are not lost from sight", () => {
  const { nodes } = nodesReport(STORE, { ...viewOf(), nodes: [seen(A), seen(B)] })
  const [, , c] = nodes
  assert.deepEqual([c?.name, c?.state, c?.devices.length, c?.zone], ["c1", "unknown", 2, "c"])
})

test("a node that is emptied is draining, then drained; one that was removed is leaving", () => {
  const four = clusterOf(["a1@a:2", "b1@b:2", "c1@c:2", "d1@c:2"], "ec:2+1")
  const view = viewOf()
  const useOf = (record: typeof four) => nodesReport(record, view).nodes.find(({ name }) => name === B)?.use
  const draining = drainNode(four, B, [], 7)
  assert.equal(useOf(draining), "draining")
  assert.equal(useOf(finishTransition(draining)), "drained")
  assert.equal(useOf(removeNode(four, B, [], 7)), "leaving")
})
