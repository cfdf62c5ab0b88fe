/** Tests of what nodes share, on metadata in memory: each process decides as its own incarnation. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import { parseIncarnation, parseNodeFingerprint, parseNodeName, parsePosition } from "@hayloft/base/ids.js"
import { MemoryMetadata } from "../metadata/testing-engine.js"
import type { Command } from "../metadata/index.js"
import {
  advanceEpoch,
  beatNode,
  changeControl,
  controlRow,
  joinNode,
  layoutTable,
  leaseRows,
  nodeRows,
  releaseLeases,
  removeNodeRow,
  takeLease,
} from "./index.js"
import { epochRows } from "./testing-rows.js"

const [A, B] = [parseNodeName("a"), parseNodeName("b")]
const bytes = (...values: number[]) => Uint8Array.from(values)

class Store {
  readonly metadata = new MemoryMetadata()
  private ended = 0

  /** Runs the command as this incarnation. */
  as<Result>(own: number, command: Command<Result>): Promise<Result> {
    const oldestLive = parseIncarnation(Math.min(own, this.ended + 1))
    this.metadata.incarnations = { own: parseIncarnation(own), oldestLive, isOver: each => each <= this.ended }
    return this.metadata.run(command)
  }

  join(name: string, own: number): Promise<void> {
    return this.as(own, joinNode(rowOf(name, own)))
  }
}

const rowOf = (name: string, incarnation: number) => ({
  name: parseNodeName(name),
  incarnation: parseIncarnation(incarnation),
  address: "h:1",
  fingerprint: parseNodeFingerprint("0f".repeat(32)),
  proof: bytes(1),
  zone: "a",
  machine: "m",
  program: "1.0.0",
  beat: 1,
  position: parsePosition(0),
  layoutVersion: 1,
  unreachable: [],
})

const FACTS = { position: parsePosition(5), layoutVersion: 2, unreachable: [parseNodeName("c")] }
const changeFrom = (before: number, record: number, layouts = NO_LAYOUTS) =>
  changeControl({ before, generation: before + 1, record: bytes(record), layouts })
const NO_LAYOUTS = { put: [], drop: [] } as Parameters<typeof changeControl>[0]["layouts"]

test("of two changes of one generation of the control record one is made", async () => {
  const { metadata } = new Store()
  assert.equal(await metadata.ask(controlRow()), undefined)
  await metadata.run(changeFrom(0, 1))
  await assert.rejects(metadata.run(changeFrom(0, 2)), error => isFailure(error, "conflict"))
  await metadata.run(changeFrom(1, 3))
  await assert.rejects(metadata.run(changeFrom(3, 4)), error => isFailure(error, "conflict"))
  assert.deepEqual(await metadata.ask(controlRow()), { generation: 2, record: Uint8Array.of(3) })
})

test("layout tables are added and dropped with the record, and never change", async () => {
  const { metadata } = new Store()
  await metadata.run(changeFrom(0, 1, { put: [[1, bytes(7)]], drop: [] }))
  await assert.rejects(metadata.run(changeFrom(1, 1, { put: [[1, bytes(8)]], drop: [] })), error =>
    isFailure(error, "conflict"),
  )
  await metadata.run(
    changeFrom(1, 1, {
      put: [
        [1, bytes(7)],
        [2, bytes(9)],
      ],
      drop: [],
    }),
  )
  await metadata.run(changeFrom(2, 1, { put: [], drop: [1, 5] }))
  assert.equal(await metadata.ask(layoutTable(1)), undefined)
  assert.deepEqual(await metadata.ask(layoutTable(2)), Uint8Array.of(9))
})

test("a node beats in its own row until another process of it joins, or the row is removed", async () => {
  const store = new Store()
  await store.join("a", 1)
  await store.as(1, beatNode(A, FACTS, []))
  assert.deepEqual(await store.metadata.ask(nodeRows()), [{ ...rowOf("a", 1), ...FACTS, beat: 2 }])
  await assert.rejects(store.as(2, beatNode(A, FACTS, [])), error => isFailure(error, "conflict"))
  await assert.rejects(store.as(2, joinNode(rowOf("a", 1))), error => isFailure(error, "conflict"))
  await store.join("a", 2)
  await assert.rejects(store.as(1, beatNode(A, FACTS, [])), error => isFailure(error, "conflict"))
  assert.equal(await store.as(3, removeNodeRow(A, parseIncarnation(1))), false)
  assert.equal(await store.as(3, removeNodeRow(A, parseIncarnation(2))), true)
  assert.equal(await store.as(3, removeNodeRow(A, undefined)), false)
  const isRemoved = (error: unknown): boolean =>
    isFailure(error, "nodeRemoved") && /this node was removed from the store/.test(error.message)
  await assert.rejects(store.as(2, beatNode(A, FACTS, [])), isRemoved)
  await assert.rejects(store.as(2, joinNode(rowOf("a", 2), true)), isRemoved)
})

test("a lease is taken by one of those that saw the same row, and renewed by heartbeats", async () => {
  const store = new Store()
  const [a, b] = [parseIncarnation(1), parseIncarnation(2)]
  await store.join("a", a)
  await store.join("b", b)
  assert.equal(await store.as(a, takeLease("repair", undefined)), true)
  assert.equal(await store.as(b, takeLease("repair", undefined)), false)
  assert.deepEqual(await store.as(a, beatNode(A, FACTS, ["repair", "steward"])), ["repair"])
  assert.deepEqual(await store.as(b, beatNode(B, FACTS, ["repair"])), [])
  assert.equal(await store.as(b, takeLease("repair", { incarnation: a, beat: 1 })), false)
  assert.equal(await store.as(b, takeLease("repair", { incarnation: a, beat: 2 })), true)
  assert.deepEqual(await store.as(a, beatNode(A, FACTS, ["repair"])), [])
  await store.as(a, releaseLeases(["repair"]))
  assert.deepEqual(await store.metadata.ask(leaseRows()), [{ name: "repair", incarnation: b, beat: 3 }])
  await store.as(b, releaseLeases(["repair", "none"]))
  assert.deepEqual(await store.metadata.ask(leaseRows()), [{ name: "repair", incarnation: undefined, beat: 4 }])
  assert.equal(await store.as(a, takeLease("repair", { incarnation: undefined, beat: 4 })), true)
})

test("an epoch is advanced once, and one that saw an older epoch never does", async () => {
  const store = new Store()
  const facts = (highest: number) => ({ highest: parseIncarnation(highest), positions: [] })
  for (let before = 0; before < 5; before += 1) assert.equal(await store.as(1, advanceEpoch(before, facts(1), 0)), true)
  assert.equal(await store.as(1, advanceEpoch(4, facts(2), 0)), false)
  assert.equal(await store.as(1, advanceEpoch(5, facts(3), 4)), true)
  assert.deepEqual(
    (await store.metadata.ask(epochRows())).map(({ number }) => number),
    [5, 6],
  )
  // The rows that it would write are free again.
  assert.equal(await store.as(1, advanceEpoch(0, facts(9), 0)), false)
  assert.equal(await store.as(1, advanceEpoch(2, facts(9), 0)), false)
  assert.equal(await store.as(1, advanceEpoch(6, facts(3), 100)), true)
  assert.deepEqual(
    (await store.metadata.ask(epochRows())).map(({ number }) => number),
    [7],
  )
})

test("rows of many dropped epochs are removed a few at a time", async () => {
  const store = new Store()
  const facts = { highest: parseIncarnation(1), positions: [] }
  for (let before = 0; before < 150; before += 1) await store.as(1, advanceEpoch(before, facts, 0))
  const left: number[] = []
  for (let before = 150; before < 154; before += 1) {
    await store.as(1, advanceEpoch(before, facts, 149))
    left.push((await store.metadata.ask(epochRows())).length)
  }
  assert.deepEqual(left, [87, 24, 4, 5])
})
