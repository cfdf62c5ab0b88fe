import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { runsOf } from "@hayloft/base/testing-seed.js"
import { fileURLToPath } from "node:url"
import { fc } from "@hayloft/base/testing-properties.js"
import { equalBytes, hexOf } from "@hayloft/base/bytes.js"
import { isFailure } from "@hayloft/base/failures.js"
import { FastCodec } from "./codec.js"
import { SCRATCH_BYTES } from "./kernel.js"
import type { CodeShape } from "./matrix.js"
import { parityRows } from "./matrix.js"
import { referenceEncode, referenceRebuild } from "./testing-reference.js"
import type { MatrixKind } from "@hayloft/base/policy.js"

const MATRICES: readonly MatrixKind[] = ["cauchy", "vandermonde", "xor"]
const nothing = new Uint8Array()
const memory = new WebAssembly.Memory({ initial: 16, maximum: 16, shared: true })
const codec = new FastCodec(memory, 0)

/** Copies of the bytes, side by side in the codec's memory, the `index`th area of 512 KiB. */
function place(shards: readonly Uint8Array[], index: 0 | 1): Uint8Array[] {
  let at = SCRATCH_BYTES + index * 512 * 1024 - (index === 1 ? SCRATCH_BYTES : 0)
  return shards.map(bytes => {
    const view = new Uint8Array(memory.buffer, at, bytes.length)
    view.set(bytes)
    at += bytes.length
    return view
  })
}

const blank = (count: number, lengthBytes: number) => Array.from({ length: count }, () => new Uint8Array(lengthBytes))

function encodeFast(shape: CodeShape, data: readonly Uint8Array[]): Uint8Array[] {
  const parity = place(blank(shape.m, data[0]?.length ?? 0), 1)
  codec.encode(shape, place(data, 0), parity)
  return parity.map(bytes => bytes.slice())
}

function rebuildFast(shape: CodeShape, shards: readonly Uint8Array[], lost: readonly number[]): Uint8Array[] {
  const placed = place(shards, 0)
  const present = new Map([...placed.entries()].filter(([slot]) => !lost.includes(slot)))
  for (const slot of lost) placed[slot]?.fill(0)
  const wanted = place(blank(lost.length, shards[0]?.length ?? 0), 1)
  codec.rebuild(shape, present, new Map(lost.map((slot, i) => [slot, wanted[i] ?? nothing])))
  return wanted
}

function* shapesUpTo(shards: number): Generator<CodeShape> {
  for (const matrix of MATRICES) {
    for (let k = 1; k < shards; k += 1) {
      for (let m = 1; k + m <= shards && (m === 1 || matrix !== "xor"); m += 1) yield { k, m, matrix }
    }
  }
}

/** Every choice of 1 … `most` of the numbers from `from` to `below`. */
function* choices(from: number, below: number, most: number): Generator<number[]> {
  for (let first = from; first < below && most > 0; first += 1) {
    yield [first]
    for (const rest of choices(first + 1, below, most - 1)) yield [first, ...rest]
  }
}

const patternData = (k: number) =>
  Array.from({ length: k }, (_, j) =>
    Uint8Array.from({ length: 64 }, (_, i) => 7 * i * i + 13 * i * (2 * j + 1) + 89 * j + 5),
  )

interface KnownAnswer {
  readonly shape: CodeShape
  readonly rows: readonly string[]
  readonly parity: readonly string[]
}

function knownAnswers(): KnownAnswer[] {
  const path = fileURLToPath(new URL("../../../../../packages/engine/src/erasure/known-answers.txt", import.meta.url))
  const lines = readFileSync(path, "utf8")
    .split("\n")
    .filter(line => line !== "" && !line.startsWith("#"))
  const names = [...new Set(lines.map(line => line.split(" ").slice(0, 2).join(" ")))]
  return names.map(name => {
    const found = /^(\w+) (\d+)\+(\d+)$/.exec(name)
    const matrix = MATRICES.find(kind => kind === found?.[1])
    assert.ok(found !== null && matrix !== undefined, `a line names a code: ${name}`)
    const of = (what: string) =>
      lines.filter(line => line.startsWith(`${name} ${what} `)).map(line => line.split(" ")[3] ?? "")
    return { shape: { matrix, k: Number(found[2]), m: Number(found[3]) }, rows: of("row"), parity: of("parity") }
  })
}

test("both codecs give the committed known answers", () => {
  const answers = knownAnswers()
  assert.ok(answers.length >= 15)
  for (const { shape, rows, parity } of answers) {
    const data = patternData(shape.k)
    const name = JSON.stringify(shape)
    assert.deepEqual(
      parityRows(shape).map(row => hexOf(Uint8Array.from(row))),
      rows,
      name,
    )
    assert.deepEqual(referenceEncode(shape, data).map(hexOf), parity, name)
    assert.deepEqual(encodeFast(shape, data).map(hexOf), parity, name)
  }
})

test("the matrices are those of ISA-L (cauchy) and Backblaze (vandermonde)", () => {
  const rows = (matrix: MatrixKind) => parityRows({ k: 4, m: 2, matrix }).map(row => hexOf(Uint8Array.from(row)))
  assert.deepEqual(rows("cauchy"), ["47a77aba", "a747ba7a"])
  assert.deepEqual(rows("vandermonde"), ["1b1c1214", "1c1b1412"])
})

test("every pattern of up to m losses is rebuilt, for every code of up to 12 shards", () => {
  let patterns = 0
  for (const shape of shapesUpTo(12)) {
    const data = patternData(shape.k)
    const parity = encodeFast(shape, data)
    assert.ok(referenceEncode(shape, data).every((bytes, i) => equalBytes(bytes, parity[i] ?? nothing)))
    const shards = [...data, ...parity]
    for (const lost of choices(0, shards.length, shape.m)) {
      const rebuilt = rebuildFast(shape, shards, lost)
      const right = lost.every((slot, i) => equalBytes(rebuilt[i] ?? nothing, shards[slot] ?? nothing))
      assert.ok(right, `${JSON.stringify(shape)} without ${lost.join()}`)
      patterns += 1
    }
  }
  assert.ok(patterns > 40_000, `${patterns} patterns`)
})

test("both codecs agree on codes of up to 32 shards, lengths and losses at random", () => {
  const shapes = [...shapesUpTo(32)]
  const scenario = fc.record({
    shape: fc.constantFrom(...shapes),
    units: fc.integer({ min: 1, max: 40 }),
    seed: fc.integer(),
    order: fc.array(fc.nat(), { minLength: 32, maxLength: 32 }),
  })
  fc.assert(
    fc.property(scenario, ({ shape, units, seed, order }) => {
      let state = seed | 1
      const next = () => (state = Math.imul(state, 1664525) + 1013904223) >>> 24
      const data = blank(shape.k, 64 * units).map(bytes => bytes.map(next))
      const parity = referenceEncode(shape, data)
      assert.deepEqual(encodeFast(shape, data), parity)
      const shards = [...data, ...parity]
      const slots = [...shards.keys()].sort((a, b) => (order[a] ?? 0) - (order[b] ?? 0))
      const lost = slots.slice(0, 1 + (Math.abs(seed) % shape.m))
      const present = new Map([...shards.entries()].filter(([slot]) => !lost.includes(slot)))
      const reference = referenceRebuild(shape, present, lost)
      for (const [i, bytes] of rebuildFast(shape, shards, lost).entries()) {
        assert.deepEqual(bytes, shards[lost[i] ?? -1])
        assert.deepEqual(bytes, reference.get(lost[i] ?? -1))
      }
    }),
    { numRuns: runsOf(50) },
  )
})

test("shapes that do not exist are refused", () => {
  const impossible: CodeShape[] = [
    { k: 0, m: 2, matrix: "cauchy" },
    { k: 4, m: 0, matrix: "cauchy" },
    { k: 30, m: 3, matrix: "cauchy" },
    { k: 2.5, m: 1, matrix: "vandermonde" },
    { k: 4, m: 2, matrix: "xor" },
  ]
  for (const shape of impossible) {
    assert.throws(
      () => parityRows(shape),
      error => isFailure(error, "invalidConfig"),
    )
  }
})

test("shards outside the memory, unequal or not padded fail an assertion and are never coded", () => {
  const shape: CodeShape = { k: 2, m: 1, matrix: "cauchy" }
  const inside = place(blank(3, 64), 0)
  const [a, b, c] = [inside[0], inside[1], inside[2]]
  assert.ok(a && b && c)
  assert.throws(() => codec.encode(shape, [a, new Uint8Array(64)], [c]), /memory/)
  assert.throws(() => codec.encode(shape, [a, b.subarray(32)], [c]), /equal/)
  assert.throws(() => codec.encode(shape, [a.subarray(32), b.subarray(32)], [c.subarray(32)]), /padded/)
  assert.throws(() => codec.encode(shape, [a], [c]), /slot/)
  assert.throws(() => codec.rebuild(shape, new Map([[0, a]]), new Map([[1, b]])), /exactly k/)
})
