/** The tests that every metadata engine must pass. `open` returns an empty engine; the optional `reopen` restarts it. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fc } from "@hayloft/base/testing-properties.js"
import { runsOf } from "@hayloft/base/testing-seed.js"
import { must } from "@hayloft/base/assert.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import type { Family } from "@hayloft/base/rows/families.js"
import {
  objectKeyOfText,
  parseBucketId,
  parseIncarnation,
  rowKeyOf,
  type Incarnation,
  type RowKey,
} from "@hayloft/base/ids.js"
import { owned } from "@hayloft/base/memory/lent.js"
import { COMMAND_ROWS_MAX, ENTRY_BYTES_MAX, INLINE_BYTES_MAX, ROW_KEY_BYTES_MAX } from "@hayloft/base/limits.js"
import { asPromise } from "@hayloft/base/soon.js"
import { entryBytes, type EntryWrite } from "../format/device/entry.js"
import { objectRowKey, suffixRange, versionRowKey } from "../format/row-key.js"
import { command, query, type Metadata } from "./contract.js"
import { plainCopy } from "./plain-copy.js"
import { RememberedByGeneration } from "./remembered.js"
import type { MetadataRow, RowView } from "./views.js"

export interface MetadataUnderTest {
  readonly metadata: Metadata
  /** Its decisions are dated by this engine; undefined: by itself. */
  readonly datedBy?: Metadata
  /** Acknowledged changes must be present afterwards. */
  reopen?(): Promise<MetadataUnderTest>
  dispose(): Promise<void>
}

/** A row with a key, a value and a payload of these lengths. */
interface SizedRow {
  readonly name: string
  readonly keyBytes: number
  readonly valueBytes: number
  readonly payloadBytes?: number
}

interface Change {
  readonly family: Family
  readonly key: string
  /** The value is undefined if the row is deleted. */
  readonly value: string | undefined
  readonly payload?: string
}

const bytes = (text: string): Uint8Array => Buffer.from(text)
const textOf = (value: Uint8Array | undefined): string | undefined => value && Buffer.from(value).toString()
const ALL = { start: rowKeyOf(""), end: rowKeyOf("\xff".repeat(16)) }

const writeOf = ({ family, key, value, payload }: Change): EntryWrite => ({
  family,
  key: rowKeyOf(key),
  value: value === undefined ? undefined : bytes(value),
  ...(payload === undefined ? {} : { payload: bytes(payload) }),
})

const change = command<[changes: readonly Change[]], number>({
  name: "Change",
  touches: changes => changes.map(({ family, key }) => [family, rowKeyOf(key)]),
  decide(view, time, changes) {
    for (const { family, key } of changes) view.get(family, rowKeyOf(key))
    return { writes: changes.map(writeOf), result: time.position }
  },
})

const sizedKey = ({ name, keyBytes }: SizedRow): RowKey => rowKeyOf(name.padEnd(keyBytes, "\xfe"))
const filled = (lengthBytes: number): Uint8Array => new Uint8Array(lengthBytes).fill(7)

const sizedWrite = (row: SizedRow): EntryWrite => ({
  family: "missingShardHints",
  key: sizedKey(row),
  value: filled(row.valueBytes),
  ...(row.payloadBytes === undefined ? {} : { payload: filled(row.payloadBytes) }),
})

const writeSized = command<[rows: readonly SizedRow[]], void>({
  name: "WriteSized",
  touches: rows => rows.map(row => ["missingShardHints", sizedKey(row)]),
  decide(view, _time, rows) {
    for (const row of rows) view.get("missingShardHints", sizedKey(row))
    return { writes: rows.map(sizedWrite), result: undefined }
  },
})

/** Lengths of the values of these rows; undefined for absent ones. */
const sizesOf = query("SizesOf", (view, rows: readonly SizedRow[]) => {
  const keys = rows.map(sizedKey).sort()
  const range = { start: must(keys[0], "there are rows"), end: rowKeyOf(`${must(keys.at(-1), "there are rows")}\xff`) }
  const lengths = new Map(Array.from(view.range("missingShardHints", range), ([key, { value }]) => [key, value.length]))
  return rows.map(row => lengths.get(sizedKey(row)))
})

const isWithinLimits = (rows: readonly SizedRow[]): boolean =>
  rows.length <= COMMAND_ROWS_MAX &&
  rows.every(({ keyBytes }) => keyBytes <= ROW_KEY_BYTES_MAX) &&
  entryBytes(rows.map(sizedWrite)) <= ENTRY_BYTES_MAX

/** One row that fills an entry, with a key of this length. */
function largestRow(keyBytes: number, payloadBytes?: number): SizedRow {
  const row = { name: "largest", keyBytes, valueBytes: 0, ...(payloadBytes === undefined ? {} : { payloadBytes }) }
  return { ...row, valueBytes: ENTRY_BYTES_MAX - entryBytes([sizedWrite(row)]) }
}

const createOnce = command<[key: string, value: string], void>({
  name: "CreateOnce",
  decide(view, _time, key, value) {
    if (view.get("names", rowKeyOf(key))) throw fail("bucketExists")
    return { writes: [writeOf({ family: "names", key, value })], result: undefined }
  },
})

const increment = command<[key: string], number>({
  name: "Increment",
  decide(view, _time, key) {
    const number = Number(textOf(view.get("accounts", rowKeyOf(key))?.value) ?? 0) + 1
    return { writes: [writeOf({ family: "accounts", key, value: String(number) })], result: number }
  },
})

/** Does not say which rows it reads; refuses absent rows unless it makes them. */
const incrementAll = command<[keys: readonly string[], makesRows: boolean], void>({
  name: "IncrementAll",
  decide(view, _time, keys, makesRows) {
    const writes = keys.map(key => {
      const before = textOf(view.get("names", rowKeyOf(key))?.value)
      if (before === undefined && !makesRows) throw fail("noSuchKey")
      return writeOf({ family: "names", key, value: String(Number(before ?? 0) + 1) })
    })
    return { writes, result: undefined }
  },
})

/** Makes a row that has the command's timestamp, or adds one to a row that lists them. */
const stamp = command<[key: string], number>({
  name: "Stamp",
  touches: key => [["names", rowKeyOf(key)]],
  decide(view, { commitUs }, key) {
    const before = textOf(view.get("names", rowKeyOf(key))?.value)
    const value = before === undefined ? String(commitUs) : `${before} ${commitUs}`
    return { writes: [writeOf({ family: "names", key, value })], result: commitUs }
  },
})

/** The timestamps in all rows up to a moment, in order. */
const stampsUpTo = query("StampsUpTo", (view, us: number) =>
  Array.from(view.range("names", ALL), ([, { value }]) => (textOf(value) ?? "").split(" ").map(Number))
    .flat()
    .filter(each => each <= us)
    .sort((a, b) => a - b),
)

const HOUR_US = 3_600_000_000

const OBJECT: string = objectRowKey(parseBucketId(1), objectKeyOfText("object"))
const versionOf = (object: string): RowKey => versionRowKey(rowKeyOf(object), 1)

/** Moves a row with its payload to another family. */
const move = command<[key: string], boolean>({
  name: "Move",
  decide(view, _time, key) {
    const row = view.get("current", rowKeyOf(key))
    if (!row) return { writes: [], result: false }
    const payload = view.payload("current", rowKeyOf(key), row)
    const { value } = row
    const writes: EntryWrite[] = [
      { family: "current", key: rowKeyOf(key), value: undefined },
      { family: "versions", key: versionOf(key), value, ...(payload && { payload }) },
    ]
    return { writes, result: true }
  },
})

/** Like `move`, back, of the row that a range finds. */
const moveBack = command<[key: string], boolean>({
  name: "MoveBack",
  decide(view, _time, key) {
    view.get("current", rowKeyOf(key))
    const [pair] = view.range("versions", suffixRange(rowKeyOf(key)))
    if (pair === undefined) return { writes: [], result: false }
    const [found, row] = pair
    const payload = view.payload("versions", found, row)
    const writes: EntryWrite[] = [
      { family: "versions", key: found, value: undefined },
      { family: "current", key: rowKeyOf(key), value: row.value, ...(payload && { payload }) },
    ]
    return { writes, result: true }
  },
})

/** Reads a row whose key depends on the decision's time. */
const readNow = command<[], boolean>({
  name: "ReadNow",
  decide: (view, { nowMs }) => ({ writes: [], result: view.get("names", rowKeyOf(`now ${nowMs}`)) !== undefined }),
})

const timeOfDecision = command<[], number>({
  name: "TimeOfDecision",
  decide: (_view, { nowMs }) => ({ writes: [], result: nowMs }),
})

/** The first parts of all keys, by one seek for each, and the values of the first and the last row that it finds. */
const prefixesOf = query("PrefixesOf", (view, end: string) => {
  const prefixes: string[] = []
  const values: (string | undefined)[] = []
  for (let start = ""; ;) {
    const [first] = view.range("names", { start: rowKeyOf(start), end: rowKeyOf(end) })
    if (first === undefined) return { prefixes, ends: [values[0], values.at(-1)] }
    const [prefix = ""] = first[0].split("/")
    prefixes.push(prefix)
    values.push(textOf(first[1].value))
    start = `${prefix}0`
  }
})

const countRows = command<[family: Family], number>({
  name: "CountRows",
  decide: (view, _time, family) => ({ writes: [], result: [...view.range(family, ALL)].length }),
})

const valueOf = query(
  "ValueOf",
  (view, family: Family, key: string) => textOf(view.get(family, rowKeyOf(key))?.value),
  { isRepeated: true },
)
const rowOf = query("RowOf", (view, family: Family, key: string) => view.get(family, rowKeyOf(key)), {
  isRepeated: true,
})
const pairOf = query("PairOf", (view, a: string, b: string) =>
  [a, b].map(key => textOf(view.get("names", rowKeyOf(key))?.value)),
)
const isOver = query("IsOver", (view, incarnation: Incarnation) => view.incarnations.isOver(incarnation))
const decideIsOver = command<[incarnation: Incarnation], boolean>({
  name: "DecideIsOver",
  decide: (_view, { incarnations }, incarnation) => ({ writes: [], result: incarnations.isOver(incarnation) }),
})
const positionOf = query("PositionOf", view => view.position)
const refused = query("Refused", () => {
  throw fail("noSuchKey")
})

interface Page {
  readonly start: string
  readonly end: string
  readonly reverse: boolean
  readonly max: number
}

function readPage(view: RowView, family: Family, { start, end, reverse, max }: Page): readonly string[] {
  const found: string[] = []
  for (const [key, { value }] of view.range(family, { start: rowKeyOf(start), end: rowKeyOf(end), reverse })) {
    if (found.length === max) break
    found.push(`${key}=${textOf(value) ?? ""}`)
  }
  return found
}
const pageOf = query("PageOf", readPage)

const scanOf = query("ScanOf", (view, family: Family, { start, end, max }: Page) => {
  const found: string[] = []
  if (max === 0) return found
  const row = (memory: Buffer, keyAt: number, valueAt: number, rowEnd: number): boolean =>
    found.push(`${memory.toString("latin1", keyAt, valueAt)}=${memory.toString("utf8", valueAt, rowEnd)}`) < max
  view.scan(family, { start: rowKeyOf(start), end: rowKeyOf(end) }, { row })
  return found
})

let accountReads = 0
const keptAccounts = new RememberedByGeneration(view => {
  accountReads += 1
  return readPage(view, "accounts", { ...ALL, reverse: false, max: Infinity })
})
const accountsOf = query("AccountsOf", view => keptAccounts.of(view))

export function metadataSuite(kind: string, open: () => Promise<MetadataUnderTest>): void {
  const metadataTest = (name: string, body: (metadata: Metadata, under: MetadataUnderTest) => Promise<void>): void => {
    test(`${kind}: ${name}`, async () => {
      const under = await open()
      try {
        await body(under.metadata, under)
      } finally {
        await under.dispose()
      }
    })
  }
  /** Asks with a copy of the row, as another thread does. */
  const payloadOf = async (metadata: Metadata, family: Family, key: string, row: MetadataRow) =>
    textOf(await asPromise(() => owned(metadata.payload(family, rowKeyOf(key), plainCopy(row)))))

  metadataTest("a query shows every change that was acknowledged before it", async metadata => {
    for (let i = 0; i < 50; i += 1) {
      await metadata.run(change([{ family: "names", key: "key", value: String(i) }]))
      assert.equal(await metadata.ask(valueOf("names", "key")), String(i))
    }
    await metadata.run(change([{ family: "names", key: "key", value: undefined }]))
    assert.equal(await metadata.ask(valueOf("names", "key")), undefined)
  })

  metadataTest("what was read of buckets and identities may be kept until one of them changes", async metadata => {
    for (let i = 0; i < 5; i += 1) {
      await metadata.run(change([{ family: "accounts", key: "a", value: String(i) }]))
      assert.deepEqual(await metadata.ask(accountsOf()), [`a=${i}`])
      await metadata.confirm()
      assert.deepEqual(await metadata.known(accountsOf()), [`a=${i}`])
      const before = accountReads
      await metadata.run(change([{ family: "missingShardHints", key: "b", value: String(i) }]))
      assert.deepEqual(await metadata.ask(accountsOf()), [`a=${i}`])
      assert.equal(accountReads, before)
    }
  })

  metadataTest(
    "of many concurrent creations of one row exactly one succeeds, and queries return it",
    async metadata => {
      const names = Array.from({ length: 64 }, (_, i) => `creator ${i}`)
      const outcomes = await Promise.allSettled(names.map(name => metadata.run(createOnce("key", name))))
      const winners = names.filter((_, i) => outcomes[i]?.status === "fulfilled")
      assert.equal(winners.length, 1)
      assert.equal(await metadata.ask(valueOf("names", "key")), winners[0])
      for (const outcome of outcomes)
        if (outcome.status === "rejected") assert.ok(isFailure(outcome.reason, "bucketExists"), String(outcome.reason))
    },
  )

  metadataTest("a decision may read a row whose key depends on its time", async metadata => {
    assert.equal(await metadata.run(readNow()), false)
  })

  metadataTest("a decision is told no time before the one that the store has confirmed", async (metadata, under) => {
    const { datedBy = metadata } = under
    const wallMs = await metadata.run(timeOfDecision())
    datedBy.setEarliestTime(wallMs + 3_600_000)
    assert.equal(await metadata.run(timeOfDecision()), wallMs + 3_600_000)
    for (const earliestMs of [wallMs - 3_600_000, 0]) {
      datedBy.setEarliestTime(earliestMs)
      const nowMs = await metadata.run(timeOfDecision())
      assert.ok(nowMs >= wallMs && nowMs < wallMs + 3_600_000)
    }
  })

  metadataTest("a decision may read row after row without naming them, as many as it may write", async metadata => {
    const keys = Array.from({ length: COMMAND_ROWS_MAX }, (_, i) => `row ${i}`)
    await metadata.run(incrementAll(keys, true))
    await metadata.run(incrementAll(keys, true))
    for (const key of [must(keys[0], "the first"), must(keys.at(-1), "the last")])
      assert.equal(await metadata.ask(valueOf("names", key)), "2")
    // Each row decides whether another one is read.
    const some = keys.slice(0, 100)
    await metadata.run(incrementAll(some, false))
    await assert.rejects(metadata.run(incrementAll([...some, "absent"], false)), error => isFailure(error, "noSuchKey"))
    assert.equal(await metadata.ask(valueOf("names", "row 99")), "3")
  })

  metadataTest("a query may seek from range to range, all of one moment", async metadata => {
    const prefixes = Array.from({ length: 150 }, (_, i) => `prefix ${String(i).padStart(4, "0")}`)
    // Every tenth has more rows than are read at once.
    const rowsOf = (prefix: string, count: number) =>
      Array.from({ length: count }, (_, n) => ({ family: "names" as const, key: `${prefix}/${n}`, value: "0" }))
    for (const [i, prefix] of prefixes.entries()) await metadata.run(change(rowsOf(prefix, i % 10 === 9 ? 90 : 2)))
    const ends = ["prefix 0000/0", "prefix 0149/0"]
    const write = (value: string) => metadata.run(change(ends.map(key => ({ family: "names" as const, key, value }))))
    const writing = (async () => {
      for (let value = 1; value <= 60; value += 1) await write(String(value))
    })()
    for (let i = 0; i < 3; i += 1) {
      const found = await metadata.ask(prefixesOf("q"))
      assert.deepEqual(found.prefixes, prefixes)
      assert.equal(found.ends[0], found.ends[1])
    }
    await writing
    assert.deepEqual(await metadata.ask(prefixesOf("q")), { prefixes, ends: ["60", "60"] })
  })

  metadataTest("no increment is lost or seen twice", async metadata => {
    const numbers = await Promise.all(Array.from({ length: 200 }, (_, i) => metadata.run(increment(`key ${i % 3}`))))
    for (const start of [0, 1, 2]) {
      const own = numbers.filter((_, i) => i % 3 === start).sort((a, b) => a - b)
      assert.deepEqual(
        own,
        own.map((_, i) => i + 1),
      )
    }
  })

  metadataTest("what was answered before has an earlier timestamp, and no two commands share one", async metadata => {
    let lastUs = 0
    for (let round = 0; round < 8; round += 1) {
      const together = await Promise.all(Array.from({ length: 20 }, (_, i) => metadata.run(stamp(`key ${i % 7}`))))
      assert.equal(new Set(together).size, together.length)
      assert.ok(Math.min(...together) > lastUs, `${Math.min(...together)} is not after ${lastUs}`)
      lastUs = Math.max(...together)
    }
  })

  metadataTest("the timestamps of the changes of a row are in the order of these changes", async metadata => {
    await Promise.all(Array.from({ length: 40 }, () => metadata.run(stamp("key"))))
    const inOrder = (await metadata.ask(valueOf("names", "key")))?.split(" ").map(Number) ?? []
    assert.equal(inOrder.length, 40)
    assert.deepEqual(
      inOrder,
      inOrder.toSorted((a, b) => a - b),
    )
  })

  metadataTest("what is visible up to a closed moment stays so, beside writers", async metadata => {
    let isDone = false
    const writers = Array.from({ length: 4 }, async (_, writer) => {
      for (let i = 0; !isDone; i += 1) {
        await metadata.run(stamp(`key ${writer} ${i % 5}`))
        await new Promise(resolve => setImmediate(resolve))
      }
    })
    const closed: { readonly us: number; readonly stamps: readonly number[] }[] = []
    for (let i = 0; i < 10; i += 1) {
      const answered = await metadata.run(stamp("answered"))
      const us = await metadata.closeTo()
      assert.ok(us >= answered, `${us} is before ${answered}`)
      closed.push({ us, stamps: await metadata.ask(stampsUpTo(us)) })
    }
    isDone = true
    await Promise.all(writers)
    for (const { us, stamps } of closed) assert.deepEqual(await metadata.ask(stampsUpTo(us)), stamps)
    for (const { us } of closed) assert.equal(await metadata.closeTo(us), us)
  })

  metadataTest("a moment in the future is refused, one in the past is closed", async metadata => {
    const us = await metadata.run(stamp("key"))
    for (const future of [us + HOUR_US, Number.MAX_SAFE_INTEGER])
      await assert.rejects(metadata.closeTo(future), error => isFailure(error, "invalidArgument"))
    assert.equal(await metadata.closeTo(us), us)
    assert.equal(await metadata.closeTo(us - HOUR_US), us - HOUR_US)
    assert.ok((await metadata.run(stamp("key"))) > us)
  })

  test(`${kind}: timestamps go on after a restart, and a closed moment stays closed`, async () => {
    let under = await open()
    try {
      for (let starts = 0; starts < 4; starts += 1) {
        const us = await under.metadata.run(stamp("key"))
        const closedUs = await under.metadata.closeTo()
        if (under.reopen === undefined) return
        under = await under.reopen()
        assert.ok((await under.metadata.run(stamp("key"))) > Math.max(us, closedUs))
      }
    } finally {
      await under.dispose()
    }
  })

  metadataTest("the writes of a command are seen together or not at all", async metadata => {
    const both = (value: string): readonly Change[] => ["a", "z"].map(key => ({ family: "names" as const, key, value }))
    await metadata.run(change(both("0")))
    const writing = (async () => {
      for (let i = 1; i <= 40; i += 1) await metadata.run(change(both(String(i))))
    })()
    let isDone = false
    const done = writing.then(() => (isDone = true))
    for (let reads = 0; !isDone; reads += 1) {
      const [a, z] = await metadata.ask(pairOf("a", "z"))
      assert.equal(a, z)
      if (reads % 8 === 0) await new Promise(resolve => setImmediate(resolve))
    }
    await done
    assert.deepEqual(await metadata.ask(pairOf("a", "z")), ["40", "40"])
  })

  metadataTest("a refused command writes nothing, and later ones do not see it", async metadata => {
    await metadata.run(createOnce("key", "first"))
    await assert.rejects(metadata.run(createOnce("key", "second")), error => isFailure(error, "bucketExists"))
    assert.equal(await metadata.ask(valueOf("names", "key")), "first")
    assert.equal(await metadata.run(countRows("names")), 1)
  })

  metadataTest("a decision sees every acknowledged change, also in ranges", async metadata => {
    const changes = Array.from({ length: 20 }, (_, i) =>
      metadata.run(change([{ family: "missingShardHints", key: `key ${i}`, value: "there" }])),
    )
    await Promise.all(changes)
    assert.equal(await metadata.run(countRows("missingShardHints")), 20)
    await metadata.run(change([{ family: "missingShardHints", key: "key 7", value: undefined }]))
    assert.equal(await metadata.run(countRows("missingShardHints")), 19)
  })

  metadataTest("neither this process nor an unknown one is over", async metadata => {
    const { own } = metadata.incarnations
    for (const incarnation of [own, parseIncarnation(own + 1)]) {
      assert.equal(metadata.incarnations.isOver(incarnation), false)
      assert.equal(await metadata.ask(isOver(incarnation)), false)
      assert.equal(await metadata.run(decideIsOver(incarnation)), false)
    }
  })

  metadataTest("a query that refuses throws its refusal", async metadata => {
    await assert.rejects(
      asPromise(() => metadata.ask(refused())),
      error => isFailure(error, "noSuchKey"),
    )
  })

  metadataTest("positions grow with the changes, and a query returns the position it shows", async metadata => {
    const before = await metadata.ask(positionOf())
    const first = await metadata.run(change([{ family: "names", key: "a", value: "1" }]))
    const shown = await metadata.ask(positionOf())
    assert.ok(first > before && shown >= first, `${before} ${first} ${shown}`)
    assert.ok(metadata.position >= shown)
    const second = await metadata.run(change([{ family: "names", key: "a", value: "2" }]))
    assert.ok(second > first)
  })

  metadataTest("an inline payload is read back, also after its row has moved", async metadata => {
    await metadata.run(change([{ family: "current", key: OBJECT, value: "row", payload: "the payload" }]))
    const row = await metadata.ask(rowOf("current", OBJECT))
    assert.ok(row?.payload)
    assert.equal(await payloadOf(metadata, "current", OBJECT, row), "the payload")
    assert.equal(await metadata.run(move(OBJECT)), true)
    const moved = await metadata.ask(rowOf("versions", versionOf(OBJECT)))
    assert.ok(moved?.payload)
    assert.equal(await payloadOf(metadata, "versions", versionOf(OBJECT), moved), "the payload")
    assert.equal(await metadata.run(move(OBJECT)), false)
    assert.equal(await metadata.run(moveBack(OBJECT)), true)
    const back = await metadata.ask(rowOf("current", OBJECT))
    assert.ok(back?.payload)
    assert.equal(await payloadOf(metadata, "current", OBJECT, back), "the payload")
  })

  metadataTest("a query of every replica gets each replica's own rows, or runs on none", async metadata => {
    await metadata.run(change([{ family: "names", key: "key", value: "there" }]))
    const answers = await metadata.askEveryReplica(-Infinity, valueOf("names", "key"))
    assert.ok(answers === undefined || (answers.length > 0 && answers.every(answer => answer === "there")))
  })

  test(`${kind}: whatever a command may write is present after a checkpoint; more is refused, and changes nothing`, async () => {
    let under = await open()
    const isAccepted = async (rows: readonly SizedRow[]): Promise<boolean> => {
      try {
        await under.metadata.run(writeSized(rows))
        return true
      } catch (error) {
        if (isFailure(error, "invalidRequest")) return false
        throw error
      }
    }
    const isWritten = async (rows: readonly SizedRow[]): Promise<boolean> => {
      const isPresent = await isAccepted(rows)
      under = (await under.reopen?.()) ?? under
      const sizes = await under.metadata.ask(sizesOf(rows))
      const expected = rows.map(({ valueBytes }) => (isPresent ? valueBytes : undefined))
      assert.deepEqual(sizes, expected)
      return isPresent
    }
    try {
      const tiny = (count: number) =>
        Array.from({ length: count }, (_, i): SizedRow => ({ name: `${i} of ${count} `, keyBytes: 20, valueBytes: 1 }))
      for (const [row, isAllowed] of [
        [largestRow(8), true],
        [largestRow(9, INLINE_BYTES_MAX), true],
        [largestRow(ROW_KEY_BYTES_MAX), true],
        [{ name: "longer", keyBytes: ROW_KEY_BYTES_MAX + 1, valueBytes: 1 }, false],
        [{ ...largestRow(12), name: "one more", valueBytes: largestRow(12).valueBytes + 1 }, false],
      ] as const) {
        assert.equal(await isWritten([row]), isAllowed, row.name)
      }
      assert.equal(await isWritten(tiny(COMMAND_ROWS_MAX)), true)
      assert.equal(await isWritten(tiny(COMMAND_ROWS_MAX + 1)), false)
      const keyBytes = fc.oneof(
        fc.integer({ min: 20, max: 60 }),
        fc.integer({ min: ROW_KEY_BYTES_MAX - 2, max: ROW_KEY_BYTES_MAX + 1 }),
      )
      const valueBytes = fc
        .tuple(fc.integer({ min: 1, max: 4 }), fc.nat(8_000))
        .map(([share, less]) => Math.floor(ENTRY_BYTES_MAX / share) - less)
      const sizes = fc.array(fc.record({ keyBytes, valueBytes }), { minLength: 1, maxLength: 4 })
      for (const [round, some] of fc.sample(sizes, runsOf(5)).entries()) {
        const rows = some.map((each, i): SizedRow => ({ ...each, name: `${round} ${i} ` }))
        assert.equal(await isWritten(rows), isWithinLimits(rows), JSON.stringify(rows))
      }
    } finally {
      await under.dispose()
    }
  })

  test(`${kind}: commands and queries agree with a model, in every order and range, over restarts`, async () => {
    const key = fc.integer({ min: 0, max: 30 }).map(number => `key ${String(number).padStart(2, "0")}`)
    const family = fc.constantFrom<Family>("names", "missingShardHints", "accounts")
    const value = fc.option(fc.string({ maxLength: 20, unit: "grapheme-ascii" }), { nil: undefined, freq: 3 })
    const step = fc.oneof(
      { weight: 6, arbitrary: fc.array(fc.record({ family, key, value }), { minLength: 1, maxLength: 5 }) },
      {
        weight: 3,
        arbitrary: fc.record({
          family,
          start: key,
          end: key,
          reverse: fc.boolean(),
          max: fc.integer({ min: 0, max: 9 }),
        }),
      },
      { weight: 1, arbitrary: fc.constant("reopen" as const) },
    )
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async steps => {
        let under = await open()
        try {
          const model = new Map<string, string>()
          for (const each of steps) {
            if (each === "reopen") under = (await under.reopen?.()) ?? under
            else if (Array.isArray(each)) await changeBoth(under.metadata, model, each)
            else await comparePage(under.metadata, model, each.family, each)
          }
          for (const each of ["names", "missingShardHints", "accounts"] as const)
            await comparePage(under.metadata, model, each, { ...ALL, reverse: false, max: Infinity })
        } finally {
          await under.dispose()
        }
      }),
      { numRuns: runsOf(8) },
    )
  })
}

/** A command writes each row at most once. */
async function changeBoth(metadata: Metadata, model: Map<string, string>, changes: readonly Change[]): Promise<void> {
  const once = new Map(changes.map(each => [`${each.family} ${each.key}`, each]))
  await metadata.run(change([...once.values()]))
  for (const [name, { value }] of once) {
    if (value === undefined) model.delete(name)
    else model.set(name, value)
  }
}

async function comparePage(metadata: Metadata, model: Map<string, string>, family: Family, page: Page): Promise<void> {
  const inRange = [...model]
    .filter(([name]) => name.startsWith(`${family} `))
    .map(([name, value]) => [name.slice(family.length + 1), value] as const)
    .filter(([key]) => key >= page.start && key < page.end)
    .sort(([a], [b]) => (a < b ? -1 : 1))
  const expected = inRange.map(([key, value]) => `${key}=${value}`)
  const ordered = page.reverse ? expected.toReversed() : expected
  assert.deepEqual(await metadata.ask(pageOf(family, page)), ordered.slice(0, page.max))
  assert.deepEqual(await metadata.ask(scanOf(family, page)), expected.slice(0, page.max))
  if (family !== "accounts") return
  const accounts = [...model]
    .filter(([name]) => name.startsWith("accounts "))
    .map(([name, value]) => `${name.slice(9)}=${value}`)
  assert.deepEqual(await metadata.ask(accountsOf()), accounts.sort())
}
