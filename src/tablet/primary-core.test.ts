/** What a client may be told, and when. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fail, isFailure } from "../base/failures.js"
import { parseEpoch, parseIncarnation, parsePosition, parseTabletId, rowKeyOf } from "../base/ids.js"
import { MIB } from "../base/limits.js"
import { MemoryLayer } from "../device/index.js"
import { entryBytes, type EntryWrite } from "../format/entry.js"
import { soleProcess, type Command, type DecisionView } from "../metadata/index.js"
import type { TabletRow } from "./contract.js"
import { BATCH_BYTES_MAX, PayloadNeeded, PrimaryCore, type Batch } from "./primary-core.js"

const FAMILY = "current"
const key = (text: string) => rowKeyOf(text)
const bytes = (text: string) => new TextEncoder().encode(text)
const write = (text: string, value: string | undefined): EntryWrite => {
  return { family: FAMILY, key: key(text), value: value === undefined ? undefined : bytes(value) }
}
const valueAt = (view: DecisionView, text: string): string | undefined => {
  const row = view.get(FAMILY, key(text))
  return row && new TextDecoder().decode(row.value)
}

/** A core over committed rows that a test can write, and the answers that clients have had. */
class Scene {
  readonly rows = new MemoryLayer<TabletRow>()
  readonly core = new PrimaryCore(
    parseTabletId(1),
    parseEpoch(1),
    parsePosition(0),
    this.rows,
    soleProcess(parseIncarnation(1)),
  )
  readonly answers: string[] = []

  run<Result>(name: string, decide: Command<Result>["decide"]): void {
    const settle = {
      resolve: (result: Result) => void this.answers.push(`${name}: ${String(result)}`),
      reject: (error: unknown) => void this.answers.push(`${name}! ${isFailure(error) ? error.kind : String(error)}`),
    }
    this.core.decide({ decide }, 0, new Map(), settle)
  }

  put(name: string, text: string, value: string | undefined): void {
    this.run(name, () => ({ writes: [write(text, value)], result: "put" }))
  }

  read(name: string, text: string): void {
    this.run(name, view => ({ writes: [], result: valueAt(view, text) }))
  }

  /** As the members do: durable, applied, and only then committed. */
  commit(batch: Batch | undefined): void {
    assert.ok(batch)
    for (const { writes } of batch.entries) {
      for (const { family, key: at, value } of writes) this.rows.set(family, at, value && { value, payload: undefined })
    }
    this.core.commit(batch)
  }
}

test("an answer is given when its entry is committed, not before", () => {
  const scene = new Scene()
  scene.put("put", "a", "1")
  assert.deepEqual(scene.answers, [])
  const batch = scene.core.takeBatch()
  assert.deepEqual(scene.answers, [])
  scene.commit(batch)
  assert.deepEqual(scene.answers, ["put: put"])
})

test("decisions see what was decided before them, and their answers wait for it, refusals and no-ops too", () => {
  const scene = new Scene()
  scene.put("first", "a", "1")
  scene.read("read", "a")
  scene.run("refused", view => {
    if (valueAt(view, "a") !== undefined) throw fail("preconditionFailed")
    return { writes: [], result: undefined }
  })
  scene.run("ranged", view => {
    const seen = [...view.range(FAMILY, { start: key("a"), end: key("b") })]
    return { writes: [], result: seen.length }
  })
  scene.read("other", "b")
  assert.deepEqual(scene.answers, ["other: undefined"], "what saw nothing uncommitted need not wait")
  scene.commit(scene.core.takeBatch())
  assert.deepEqual(scene.answers.slice(1), ["first: put", "read: 1", "refused! preconditionFailed", "ranged: 1"])
})

test("the absence that an uncommitted removal makes is waited for as well", () => {
  const scene = new Scene()
  scene.put("put", "a", "1")
  scene.commit(scene.core.takeBatch())
  scene.put("remove", "a", undefined)
  scene.read("read", "a")
  scene.run("ranged", view => ({
    writes: [],
    result: [...view.range(FAMILY, { start: key("a"), end: key("b") })].length,
  }))
  assert.deepEqual(scene.answers, ["put: put"])
  scene.commit(scene.core.takeBatch())
  assert.deepEqual(scene.answers.slice(1), ["remove: put", "read: undefined", "ranged: 0"])
})

test("an answer waits for the last entry that it saw, not for later ones", () => {
  const scene = new Scene()
  scene.put("one", "a", "1")
  const first = scene.core.takeBatch()
  scene.put("two", "b", "2")
  const second = scene.core.takeBatch()
  scene.read("read", "a")
  scene.commit(first)
  assert.deepEqual(scene.answers, ["one: put", "read: 1"])
  scene.commit(second)
  assert.deepEqual(scene.answers.slice(2), ["two: put"])
})

test("a row that was written again while it was being committed keeps its newer value at head", () => {
  const scene = new Scene()
  scene.put("one", "a", "1")
  const first = scene.core.takeBatch()
  scene.put("two", "a", "2")
  scene.commit(first)
  scene.read("read", "a")
  assert.deepEqual(scene.answers, ["one: put"])
  scene.commit(scene.core.takeBatch())
  assert.deepEqual(scene.answers.slice(1), ["two: put", "read: 2"])
})

test("when the log fails, all that waits is told that it is unknown, and head is committed again", () => {
  const scene = new Scene()
  scene.put("kept", "a", "1")
  scene.commit(scene.core.takeBatch())
  scene.put("logging", "a", "2")
  scene.core.takeBatch()
  scene.put("pending", "b", "3")
  scene.read("saw", "a")
  scene.core.abandon()
  assert.deepEqual(scene.answers.slice(1), ["logging! indeterminate", "pending! indeterminate", "saw! indeterminate"])
  scene.read("after", "a")
  scene.read("gone", "b")
  assert.deepEqual(scene.answers.slice(4), ["after: 1", "gone: undefined"])
  assert.equal(scene.core.takeBatch(), undefined)
})

test("a decision that throws changes nothing", () => {
  const scene = new Scene()
  scene.run("refuses", () => {
    throw fail("conflict")
  })
  assert.deepEqual(scene.answers, ["refuses! conflict"])
  assert.equal(scene.core.takeBatch(), undefined)
  const large = { family: FAMILY, key: key("a"), value: new Uint8Array(2 * MIB) } as const
  scene.run("large", () => ({ writes: [large], result: undefined }))
  assert.deepEqual(scene.answers.slice(1), ["large! invalidRequest"])
  scene.read("read", "a")
  assert.deepEqual(scene.answers.slice(2), ["read: undefined"])
})

test("many decisions are logged in batches that a log takes, in their order", () => {
  const scene = new Scene()
  const value = "x".repeat(900_000)
  for (let i = 0; i < 12; i += 1) scene.put(`put ${i}`, `key ${i}`, value)
  const positions: number[] = []
  for (let batch = scene.core.takeBatch(); batch; batch = scene.core.takeBatch()) {
    assert.ok(batch.entries.reduce((sum, { writes }) => sum + entryBytes(writes), 0) <= BATCH_BYTES_MAX)
    positions.push(...batch.entries.map(entry => entry.position))
    scene.commit(batch)
  }
  assert.deepEqual(
    positions,
    Array.from({ length: 12 }, (_, i) => i + 1),
  )
  assert.equal(scene.answers.length, 12)
})

test("a decision that needs a payload says so, and is taken again with it", () => {
  const scene = new Scene()
  const payload = { in: "volume", volume: 1, offsetBytes: 0, lengthBytes: 3 } as const
  const row: TabletRow = { value: bytes("v"), payload }
  scene.rows.set(FAMILY, key("a"), row)
  const command: Pick<Command<number>, "decide"> = {
    decide(view) {
      const found = view.get(FAMILY, key("a"))
      return { writes: [], result: (found && view.payload(FAMILY, key("a"), found)?.length) ?? 0 }
    },
  }
  const settle = { resolve: (length: number) => void scene.answers.push(String(length)), reject: () => undefined }
  assert.throws(() => scene.core.decide(command, 0, new Map(), settle), PayloadNeeded)
  scene.core.decide(command, 0, new Map([[key("a"), { row, bytes: bytes("abc") }]]), settle)
  assert.deepEqual(scene.answers, ["3"])
})
