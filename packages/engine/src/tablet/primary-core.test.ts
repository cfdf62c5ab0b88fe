/** Which answers a client gets, and when. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { parseEpoch, parseIncarnation, parsePosition, parseTabletId, rowKeyOf } from "@hayloft/base/ids.js"
import { getThrough, MemoryLayer } from "../device/index.js"
import { entryBytes, type EntryWrite } from "../format/device/entry.js"
import { soleProcess, type Command, type DecisionView } from "../metadata/index.js"
import type { TabletRow } from "./contract.js"
import { openingsIn } from "./openings-core.js"
import { RESERVED_US } from "./timestamps-core.js"
import { BATCH_BYTES_MAX, batchLength, committedLayer, PayloadNeeded, PrimaryCore, type Batch } from "./primary-core.js"

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

/** Not of the core, which reserves timestamps. */
const isOfCommand = ({ family }: EntryWrite): boolean => family !== "clock"

/** A core over committed rows that a test can write, and the answers that clients have received. */
class Scene {
  readonly core: PrimaryCore
  readonly answers: string[] = []

  /** `opening`: the random id of the process. */
  constructor(
    readonly rows = new MemoryLayer<TabletRow>(),
    opening?: number,
  ) {
    const [id, epoch, position] = [parseTabletId(1), parseEpoch(1), parsePosition(0)]
    this.core = new PrimaryCore(id, epoch, position, rows, soleProcess(parseIncarnation(1)), opening)
  }

  /** By the wall clock. */
  nowMs = 0
  /** Commit timestamps of decisions that wrote. */
  readonly timestamps: number[] = []

  /** Another process with the same rows. */
  restarted(): Scene {
    const next = new Scene(this.rows)
    next.nowMs = this.nowMs
    return next
  }

  /** Writes a row at the scene's time. */
  write(name: string): void {
    this.run(name, (_view, { commitUs }) => {
      this.timestamps.push(commitUs)
      return { writes: [write(name, "v")], result: commitUs }
    })
  }

  closeTo(name: string, us?: number): void {
    const settle = {
      resolve: (at: number) => void this.answers.push(`${name}: closed to ${at}`),
      reject: (error: unknown) => void this.answers.push(`${name}! ${isFailure(error) ? error.kind : String(error)}`),
    }
    this.core.closeTo(this.core.momentOf(us, this.nowMs), settle)
  }

  run<Result>(name: string, decide: Command<Result>["decide"]): void {
    const settle = {
      resolve: (result: Result) => void this.answers.push(`${name}: ${String(result)}`),
      reject: (error: unknown) => void this.answers.push(`${name}! ${isFailure(error) ? error.kind : String(error)}`),
    }
    this.core.decide({ decide }, this.nowMs, new Map(), settle)
  }

  put(name: string, text: string, value: string | undefined): void {
    this.run(name, () => ({ writes: [write(text, value)], result: "put" }))
  }

  read(name: string, text: string): void {
    this.run(name, view => ({ writes: [], result: valueAt(view, text) }))
  }

  /** Commits a batch in the order of the replicas: durable, applied, and only then committed. */
  commit(batch: Batch | undefined): void {
    assert.ok(batch)
    for (const { writes } of batch.entries) {
      for (const { family, key: at, value } of writes) this.rows.set(family, at, value && { value, payload: undefined })
    }
    this.core.commit(batch)
  }
}

test("an answer is sent when its entry is committed, not before", () => {
  const scene = new Scene()
  scene.put("put", "a", "1")
  assert.deepEqual(scene.answers, [])
  const batch = scene.core.takeBatch()
  assert.deepEqual(scene.answers, [])
  scene.commit(batch)
  assert.deepEqual(scene.answers, ["put: put"])
})

test("decisions see earlier decisions, and their answers wait for those, refusals and no-ops too", () => {
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

test("an answer that saw an uncommitted removal waits for it as well", () => {
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

test("when the log fails, all waiting answers are indeterminate, and head is committed again", () => {
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
  scene.read("read", "a")
  assert.deepEqual(scene.answers.slice(1), ["read: undefined"])
})

test("many decisions are logged in batches that a log accepts, in their order", () => {
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

test("a decision that needs a payload throws, and is made again with it", () => {
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

const appended = (valueBytes: readonly number[]) =>
  valueBytes.map((length, i) => {
    const writes: EntryWrite[] = [{ family: FAMILY, key: key("a"), value: new Uint8Array(length) }]
    return { position: parsePosition(i + 1), writes }
  })
const ROW_BYTES = entryBytes([{ family: FAMILY, key: key("a"), value: new Uint8Array(0) }])

test("a batch contains entries up to its limit exactly, and an entry of any size when it is the first", () => {
  const half = BATCH_BYTES_MAX / 2 - ROW_BYTES
  assert.equal(batchLength([]), 0)
  assert.equal(batchLength(appended([half])), 1)
  assert.equal(batchLength(appended([half, half])), 2)
  assert.equal(batchLength(appended([half, half + 1])), 1)
  assert.equal(batchLength(appended([half, half, 0])), 2)
  assert.equal(batchLength(appended([2 * BATCH_BYTES_MAX, 0])), 1)
})

test("a decision receives its time, the position that it would get and the incarnations that ended", () => {
  const scene = new Scene()
  scene.put("first", "a", "1")
  const seen: unknown[] = []
  const settle = { resolve: () => undefined, reject: assert.fail }
  const command: Pick<Command<undefined>, "decide"> = {
    decide(_view, { nowMs, position, incarnations }) {
      seen.push(nowMs, position, incarnations.isOver(parseIncarnation(1)))
      return { writes: [], result: undefined }
    },
  }
  scene.core.decide(command, 1234, new Map(), settle)
  assert.deepEqual(seen, [1234, 2, false])
})

test("entries are logged under the newest configuration, and an older one that arrives late changes nothing", () => {
  const scene = new Scene()
  const epochOfNext = () => {
    scene.put("put", "a", "1")
    const batch = scene.core.takeBatch()
    scene.commit(batch)
    return batch?.entries.map(({ epoch }) => epoch)
  }
  assert.deepEqual(epochOfNext(), [1])
  scene.core.raiseEpoch(parseEpoch(3))
  assert.equal(scene.core.epoch, 3)
  assert.deepEqual(epochOfNext(), [3])
  scene.core.raiseEpoch(parseEpoch(2))
  assert.deepEqual(epochOfNext(), [3])
})

test("the backlog counts the answers that wait", () => {
  const scene = new Scene()
  assert.equal(scene.core.backlog, 0)
  scene.put("one", "a", "1")
  scene.read("saw", "a")
  scene.read("saw nothing", "b")
  assert.equal(scene.core.backlog, 2)
  scene.commit(scene.core.takeBatch())
  assert.equal(scene.core.backlog, 0)
  scene.put("two", "a", "2")
  scene.core.abandon()
  assert.equal(scene.core.backlog, 0)
})

test("the same batch is not committed twice", () => {
  const scene = new Scene()
  scene.put("one", "a", "1")
  const batch = scene.core.takeBatch()
  scene.commit(batch)
  assert.equal(scene.core.committed, 1)
  assert.throws(() => scene.commit(batch), /commits go forward/)
})

test("committed rows leave the head: later changes of the committed rows are seen", () => {
  const scene = new Scene()
  scene.put("one", "a", "1")
  scene.commit(scene.core.takeBatch())
  scene.rows.set(FAMILY, key("a"), { value: bytes("newer"), payload: undefined })
  scene.read("read", "a")
  assert.deepEqual(scene.answers.slice(1), ["read: newer"])
})

test("when the log fails after a first batch, rows of the second are not seen, and its positions are reused", () => {
  const scene = new Scene()
  scene.put("one", "a", "1")
  const first = scene.core.takeBatch()
  scene.put("two", "b", "2")
  scene.core.takeBatch()
  scene.commit(first)
  scene.core.abandon(fail("deviceFailed"))
  scene.read("gone", "b")
  assert.deepEqual(scene.answers, ["one: put", "two! deviceFailed", "gone: undefined"])
  scene.put("again", "b", "3")
  assert.deepEqual(
    scene.core.takeBatch()?.entries.map(({ position }) => position),
    [2],
  )
})

test("a batch after a failure contains no abandoned entry", () => {
  const scene = new Scene()
  scene.put("lost", "a", "1")
  scene.core.abandon()
  scene.put("kept", "b", "2")
  const batch = scene.core.takeBatch()
  assert.deepEqual(
    batch?.entries.map(({ writes }) => writes.filter(isOfCommand).map(({ key: at }) => at)),
    [[key("b")]],
  )
})

test("a decision sees the same row as often as it reads it, and each of many rows", () => {
  const scene = new Scene()
  for (let i = 0; i < 20; i += 1)
    scene.rows.set(FAMILY, key(`row ${i}`), { value: bytes(String(i)), payload: undefined })
  scene.rows.set("versions", key("row 3"), { value: bytes("other family"), payload: undefined })
  scene.run("all", view => {
    const found = Array.from({ length: 40 }, (_, i) => valueAt(view, `row ${i % 20}`))
    const other = view.get("versions", key("row 3"))
    return { writes: [], result: [...found, other && new TextDecoder().decode(other.value)].join(" ") }
  })
  const numbers = Array.from({ length: 40 }, (_, i) => String(i % 20)).join(" ")
  assert.deepEqual(scene.answers, [`all: ${numbers} other family`])
})

test("the next decision sees the payload that an uncommitted one wrote, and none if there is none", () => {
  const scene = new Scene()
  scene.run("with", () => ({ writes: [{ ...write("a", "1"), payload: bytes("inline") }], result: "with" }))
  scene.run("without", () => ({ writes: [write("b", "1")], result: "without" }))
  const lengthOf = (view: DecisionView, text: string) => {
    const row = view.get(FAMILY, key(text))
    return row && view.payload(FAMILY, key(text), row)?.length
  }
  scene.run("lengths", view => ({ writes: [], result: `${lengthOf(view, "a")} ${lengthOf(view, "b")}` }))
  scene.commit(scene.core.takeBatch())
  assert.deepEqual(scene.answers, ["with: with", "without: without", "lengths: 6 undefined"])
})

test("a payload that was read for an older row is not used for a newer one", () => {
  const scene = new Scene()
  const payload = { in: "volume", volume: 1, offsetBytes: 0, lengthBytes: 3 } as const
  scene.rows.set(FAMILY, key("a"), { value: bytes("new"), payload })
  const stale = new Map([[key("a"), { row: { value: bytes("old"), payload }, bytes: bytes("abc") }]])
  const command: Pick<Command<unknown>, "decide"> = {
    decide(view) {
      const row = view.get(FAMILY, key("a"))
      return { writes: [], result: row && view.payload(FAMILY, key("a"), row) }
    },
  }
  const settle = { resolve: () => assert.fail("stale"), reject: assert.fail }
  assert.throws(
    () => scene.core.decide(command, 0, stale, settle),
    (error: unknown) => error instanceof PayloadNeeded && error.key === key("a") && error.family === FAMILY,
  )
})

test("a replica's committed rows are a layer: rows that exist, and none for others", () => {
  const row: TabletRow = { value: bytes("1"), payload: undefined }
  const layer = committedLayer({
    get: (_family, at) => (at === key("a") ? row : undefined),
    range: () => [[key("a"), row]],
  })
  assert.deepEqual(layer.get(FAMILY, key("a")), { row })
  assert.equal(layer.get(FAMILY, key("b")), undefined)
  const range = layer.range(FAMILY, { start: key("a"), end: key("b") })
  assert.deepEqual(range.next().value, [key("a"), { row }])
  assert.equal(range.next().done, true)
})

const HOUR_US = 3_600_000_000

test("timestamps follow the clock, and grow while it stands still or is set back", () => {
  const scene = new Scene()
  for (const nowMs of [5_000, 5_000, 5_001, 4_000, 4_000, 9_000]) {
    scene.nowMs = nowMs
    scene.write("a")
  }
  assert.deepEqual(scene.timestamps, [5_000_000, 5_000_001, 5_001_000, 5_001_001, 5_001_002, 9_000_000])
})

test("what writes nothing uses no timestamp", () => {
  const scene = new Scene()
  for (let i = 0; i < 5; i += 1) scene.read("read", "a")
  scene.write("a")
  assert.deepEqual(scene.timestamps, [1])
})

test("a process that starts goes on after all timestamps before, whatever its clock says", () => {
  const scene = new Scene()
  scene.nowMs = HOUR_US / 1_000
  for (let i = 0; i < 3; i += 1) scene.write("a")
  scene.commit(scene.core.takeBatch())
  scene.write("lost")
  const [, , before = 0] = scene.timestamps
  let next = scene.restarted()
  for (const nowMs of [0, 2 * (HOUR_US / 1_000), 1]) {
    const lastUs = Math.max(before, ...next.timestamps)
    next = next.restarted()
    next.nowMs = nowMs
    next.write("b")
    assert.ok((next.timestamps[0] ?? 0) > lastUs, `${next.timestamps[0]} at ${nowMs} ms`)
    assert.ok((next.timestamps[0] ?? 0) <= Math.max(nowMs * 1_000, lastUs + 1) + RESERVED_US, "not far ahead")
    next.commit(next.core.takeBatch())
  }
})

test("a reservation lasts for many entries, and is made again after entries were abandoned", () => {
  const scene = new Scene()
  const reserves = () => scene.core.takeBatch()?.entries.map(({ writes }) => writes.some(each => !isOfCommand(each)))
  for (const nowMs of [1_000, 1_050, 1_100, 1_101, 1_102]) {
    scene.nowMs = nowMs
    scene.write("a")
  }
  assert.deepEqual(reserves(), [true, false, false, true, false])
  scene.core.abandon()
  scene.write("a")
  assert.deepEqual(reserves(), [true])
})

test("a process notes itself with its first entry, once, also if entries are abandoned", () => {
  const scene = new Scene(undefined, 7)
  const noted = () => openingsIn({ get: (family, at) => getThrough([scene.rows], family, at) })
  scene.write("a")
  scene.core.abandon()
  scene.write("a")
  scene.commit(scene.core.takeBatch())
  assert.deepEqual(noted(), [{ id: 7, after: 0 }], "the first entry was abandoned")
  scene.core.abandon()
  scene.write("b")
  scene.commit(scene.core.takeBatch())
  assert.deepEqual(noted(), [{ id: 7, after: 0 }], "it was noted before")
})

test("a moment is closed once everything up to it is committed, and nothing gets its timestamp any more", () => {
  const scene = new Scene()
  scene.nowMs = 1_000
  scene.write("a")
  scene.closeTo("early", 1_000_000)
  scene.nowMs = 2_000
  scene.closeTo("now")
  scene.nowMs = 1_500
  scene.write("b")
  assert.deepEqual(scene.answers, [], "a is not committed yet")
  assert.deepEqual(scene.timestamps, [1_000_000, 2_000_001])
  scene.commit(scene.core.takeBatch())
  assert.deepEqual(scene.answers.slice(0, 3), ["a: 1000000", "early: closed to 1000000", "now: closed to 2000000"])
  assert.ok(scene.core.isClosed(2_000_000))
  scene.closeTo("again", 1_999_999)
  assert.equal(scene.answers.at(-1), "again: closed to 1999999")
})

test("a closed moment stays closed after a start with a clock that was set back", () => {
  const scene = new Scene()
  scene.nowMs = 9_000
  scene.closeTo("now")
  assert.deepEqual(scene.answers, [])
  scene.commit(scene.core.takeBatch())
  assert.deepEqual(scene.answers, ["now: closed to 9000000"])
  const next = scene.restarted()
  next.nowMs = 1
  next.write("a")
  assert.ok((next.timestamps[0] ?? 0) > 9_000_000)
})

test("a moment in the future is refused, and one whose entries are lost is not closed", () => {
  const scene = new Scene()
  scene.nowMs = 1_000
  assert.throws(
    () => scene.core.momentOf(1_000_001, 1_000),
    error => isFailure(error, "invalidArgument"),
  )
  scene.write("a")
  scene.closeTo("now")
  scene.core.abandon()
  assert.deepEqual(scene.answers, ["a! indeterminate", "now! indeterminate"])
  assert.ok(!scene.core.isClosed(1_000_000))
})
