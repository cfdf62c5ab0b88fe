/**
 * The tests that every store must pass. `make` returns an empty world of stores and a path to use in it.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fc } from "../../testing-properties.js"
import { isFailure } from "../../failures.js"
import { rowKeyOf } from "../../ids.js"
import type { KeyRange, StoreHost, StoreReader, Stores, StoreWrite } from "./contract.js"
import { KEY_BYTES_MAX, VALUE_BYTES_MAX } from "./contract.js"

interface StoresUnderTest {
  readonly stores: Stores
  readonly path: string
  readonly host: StoreHost
  dispose(): Promise<void>
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const put = (key: string, value: string): StoreWrite => ({ family: "current", key: rowKeyOf(key), value: bytes(value) })
const remove = (key: string): StoreWrite => ({ family: "current", key: rowKeyOf(key), value: undefined })
const ALL = { start: rowKeyOf(""), end: rowKeyOf("\xff".repeat(KEY_BYTES_MAX)) }

const textAt = (reader: StoreReader, key: string): string | undefined => {
  const value = reader.get("current", rowKeyOf(key))
  return value === undefined ? undefined : new TextDecoder().decode(value)
}
const keysIn = (reader: StoreReader, range: KeyRange): string[] =>
  Array.from(reader.range("current", range), ([key]) => key)

function scanned(reader: StoreReader, range: KeyRange, max = Infinity): string[] {
  const found: string[] = []
  reader.scan("current", range, {
    row: (memory, keyAt, valueAt, end) =>
      found.push(`${memory.toString("latin1", keyAt, valueAt)}=${memory.toString("utf8", valueAt, end)}`) < max,
  })
  return found
}

/** `runs`: the random steps of a store; fewer are enough for one that differs only in its disk. */
export function storeSuite(kind: string, make: () => Promise<StoresUnderTest>, { runs = 120 } = {}): void {
  const storeTest = (name: string, body: (under: StoresUnderTest) => Promise<void>): void => {
    test(`${kind}: ${name}`, async () => {
      const under = await make()
      try {
        await body(under)
      } finally {
        await under.dispose()
      }
    })
  }

  storeTest("what was committed is read back, by this and by every later open", async ({ stores, path, host }) => {
    const writer = await stores.openWriter(path, host)
    await writer.commit([put("a", "1"), put("b", "2"), put("c", "3")])
    await writer.commit([remove("b"), remove("never there"), put("c", "4")])
    assert.deepEqual(
      ["a", "b", "c"].map(key => textAt(writer, key)),
      ["1", undefined, "4"],
    )
    await writer.close()
    const reader = await stores.openReader(path, host)
    assert.deepEqual(
      ["a", "b", "c"].map(key => textAt(reader, key)),
      ["1", undefined, "4"],
    )
    await reader.close()
  })

  storeTest("families do not see each other's rows", async ({ stores, path, host }) => {
    const writer = await stores.openWriter(path, host)
    await writer.commit([put("a", "1"), { family: "needles", key: rowKeyOf("a"), value: bytes("n") }])
    assert.deepEqual(writer.get("needles", rowKeyOf("a"))?.length, 1)
    assert.equal(writer.get("versions", rowKeyOf("a")), undefined)
    assert.deepEqual(Array.from(writer.range("heads", ALL)), [])
    await writer.close()
  })

  storeTest("a reader sees later commits once it has prepared and adopted them, and not before", async under => {
    const writer = await under.stores.openWriter(under.path, under.host)
    await writer.commit([put("a", "1"), put("b", "1")])
    const reader = await under.stores.openReader(under.path, under.host)
    await writer.commit([put("a", "2"), remove("b"), put("c", "2")])
    assert.deepEqual(keysIn(reader, ALL), ["a", "b"])
    await reader.prepare()
    assert.deepEqual([textAt(reader, "a"), ...keysIn(reader, ALL)], ["1", "a", "b"], "reads are as they were")
    assert.ok(reader.generation < writer.generation)
    reader.adopt()
    assert.equal(reader.generation, writer.generation)
    assert.deepEqual(
      ["a", "b", "c"].map(key => textAt(reader, key)),
      ["2", undefined, "2"],
    )
    assert.deepEqual(keysIn(reader, ALL), ["a", "c"])
    await reader.close()
    assert.equal(textAt(writer, "a"), "2", "closing a reader closes nobody else's store")
    await writer.close()
  })

  storeTest("a range left half-way leaves the store usable", async ({ stores, path, host }) => {
    const writer = await stores.openWriter(path, host)
    await writer.commit(Array.from({ length: 50 }, (_, i) => put(`k${String(i).padStart(2, "0")}`, "v")))
    for (let i = 0; i < 60; i += 1) {
      const entries = writer.range("current", { ...ALL, reverse: i % 2 === 1 })[Symbol.iterator]()
      assert.equal(show(entries.next().value), i % 2 === 1 ? "k49=v" : "k00=v")
      entries.return?.()
      if (i % 20 === 0) await writer.commit([put("z", String(i)), remove("z")])
    }
    await writer.close()
  })

  storeTest(
    "a scan ends where its taker says so or throws, and leaves the store usable",
    async ({ stores, path, host }) => {
      const writer = await stores.openWriter(path, host)
      const large = "v".repeat(VALUE_BYTES_MAX)
      await writer.commit([put("a", "1"), put("b", large), put("c", ""), put("d", "4")])
      const whole = ["a=1", `b=${large}`, "c=", "d=4"]
      for (let i = 0; i < 30; i += 1) {
        assert.deepEqual(scanned(writer, ALL, 3), whole.slice(0, 3))
        assert.deepEqual(scanned(writer, { start: rowKeyOf("c"), end: rowKeyOf("d") }), ["c="])
        const torn = () => {
          throw new Error("no more")
        }
        assert.throws(() => writer.scan("current", ALL, { row: torn }), /no more/)
        if (i % 10 === 0) await writer.commit([put("e", String(i)), remove("e")])
      }
      assert.deepEqual(scanned(writer, ALL), whole)
      assert.deepEqual(keysIn(writer, ALL), ["a", "b", "c", "d"])
      await writer.close()
    },
  )

  storeTest(
    "the longest keys and values are kept; empty and longer keys are refused",
    async ({ stores, path, host }) => {
      const writer = await stores.openWriter(path, host)
      const longest = "\xff".repeat(KEY_BYTES_MAX - 1) + "\xfe"
      const value = Uint8Array.from({ length: VALUE_BYTES_MAX }, (_, i) => (i * 7) % 251)
      const empty = new Uint8Array(0)
      await writer.commit([
        { family: "current", key: rowKeyOf(longest), value },
        { family: "current", key: rowKeyOf("\0"), value: empty },
      ])
      assert.deepEqual(Buffer.from(writer.get("current", rowKeyOf(longest)) ?? []), Buffer.from(value))
      assert.deepEqual(
        Array.from(writer.range("current", ALL), ([key, { length }]) => [key, length]),
        [
          ["\0", 0],
          [longest, VALUE_BYTES_MAX],
        ],
      )
      for (const key of ["", "k".repeat(KEY_BYTES_MAX + 1)])
        await assert.rejects(writer.commit([put("kept?", "no"), put(key, "1")]))
      assert.equal(textAt(writer, "kept?"), undefined, "a refused commit changes nothing")
      await writer.close()
    },
  )

  storeTest(
    "a commit whose writes cannot be had changes nothing and is the caller's error",
    async ({ stores, path, host }) => {
      const writer = await stores.openWriter(path, host)
      await writer.commit([put("a", "1")])
      function* torn(): Generator<StoreWrite> {
        yield put("a", "2")
        throw new Error("no more")
      }
      await assert.rejects(writer.commit(torn()), /no more/)
      assert.equal(textAt(writer, "a"), "1")
      await writer.commit([put("a", "3")])
      assert.equal(textAt(writer, "a"), "3")
      await writer.close()
    },
  )

  storeTest(
    "keys of every byte, and of every length that is allowed, come back as they are",
    async ({ stores, path, host }) => {
      const writer = await stores.openWriter(path, host)
      const everyByte = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte)).join("")
      const lengths = Array.from({ length: 50 }, (_, i) => KEY_BYTES_MAX - 29 * i)
      const keys = lengths.map(length => everyByte.repeat(Math.ceil(KEY_BYTES_MAX / 256)).slice(-length))
      await writer.commit(keys.map(key => put(key, `${key.length}`)))
      assert.deepEqual(keysIn(writer, ALL), [...keys].sort())
      for (const key of keys) assert.equal(textAt(writer, key), `${key.length}`)
      await writer.warm("current", keys.map(rowKeyOf))
      await writer.close()
    },
  )

  storeTest(
    "warming is answered for keys that are there and for those that are not",
    async ({ stores, path, host }) => {
      const writer = await stores.openWriter(path, host)
      const keys = Array.from({ length: 300 }, (_, i) => rowKeyOf(`key ${i}`.padEnd(100, ".")))
      await writer.commit(keys.slice(100).map(key => ({ family: "current", key, value: bytes("v") })))
      await writer.warm("current", [])
      await writer.warm("current", keys)
      await writer.close()
    },
  )

  storeTest("a discarded store is empty when it is opened again", async ({ stores, path, host }) => {
    await stores.discard(path, host)
    const writer = await stores.openWriter(path, host)
    await writer.commit([put("a", "1")])
    await writer.close()
    await stores.discard(path, host)
    const reader = await stores.openReader(path, host)
    assert.equal(textAt(reader, "a"), undefined)
    await reader.close()
  })

  storeTest(
    "what was committed is verified, whatever was replaced and removed before, also beside commits",
    async under => {
      const writer = await under.stores.openWriter(under.path, under.host)
      const { signal } = new AbortController()
      await writer.verify(signal)
      const some = (value: string) => Array.from({ length: 700 }, (_, i) => put(`k${i}`, value))
      await writer.commit([...some("1"), { family: "needles", key: rowKeyOf("k1"), value: bytes("n") }])
      await writer.commit([
        ...some("2").slice(300),
        remove("k5"),
        remove("never there"),
        put("k6", "a"),
        put("k6", "b"),
      ])
      await writer.verify(signal)
      const reader = await under.stores.openReader(under.path, under.host)
      const verifying = reader.verify(signal)
      await writer.commit([remove("k1"), remove("k699"), put("k700", "3")])
      await verifying
      await reader.verify(signal)
      await reader.close()
      await writer.close()
    },
  )

  storeTest("a verification ends when its signal fires", async ({ stores, path, host }) => {
    const writer = await stores.openWriter(path, host)
    await writer.commit(Array.from({ length: 2_000 }, (_, i) => put(`k${i}`, "v")))
    const stop = new AbortController()
    const verifying = writer.verify(stop.signal)
    stop.abort()
    await assert.rejects(verifying, error => isFailure(error, "stopping"))
    await writer.close()
  })

  storeTest("answers as a sorted list of pairs would, forward and backward", async ({ stores, path, host }) => {
    const writer = await stores.openWriter(path, host)
    let model: Map<string, string> = new Map()
    const key = fc
      .array(fc.constantFrom("\0", "a", "b", "\x7f", "\x80", "\xff"), { minLength: 1, maxLength: 4 })
      .map(c => c.join(""))
    const writes = fc.array(fc.tuple(key, fc.option(fc.string({ maxLength: 3 }), { nil: undefined })), {
      maxLength: 12,
    })
    const bound = fc.oneof(key, fc.constant(""))
    const step = fc.tuple(writes, bound, bound, fc.boolean())
    await fc.assert(
      fc.asyncProperty(step, async ([pairs, start, end, reverse]) => {
        await writer.commit(pairs.map(([name, value]) => (value === undefined ? remove(name) : put(name, value))))
        const later = new Map(model)
        for (const [name, value] of pairs) {
          if (value === undefined) later.delete(name)
          else later.set(name, value)
        }
        model = later
        const expected = [...model].filter(([name]) => name >= start && name < end).sort(([a], [b]) => (a < b ? -1 : 1))
        const range: KeyRange = { start: rowKeyOf(start), end: rowKeyOf(end), reverse }
        const found = Array.from(writer.range("current", range), entry => show(entry))
        assert.deepEqual(
          found,
          (reverse ? expected.toReversed() : expected).map(([name, value]) => `${name}=${value}`),
        )
        assert.deepEqual(
          scanned(writer, range),
          expected.map(([name, value]) => `${name}=${value}`),
        )
      }),
      { numRuns: runs },
    )
    await writer.close()
  })
}

/** An entry, or anything else, as text. */
function show(found: unknown): string {
  if (!Array.isArray(found)) return String(found)
  const entry: readonly unknown[] = found
  const [key, value] = entry
  return `${String(key)}=${value instanceof Uint8Array ? new TextDecoder().decode(value) : "?"}`
}
