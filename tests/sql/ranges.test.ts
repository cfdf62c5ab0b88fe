/** Ranges on PostgreSQL return the rows that the simulated database returns, and read little else. */
import assert from "node:assert/strict"
import { after, before, test } from "node:test"
import { Client } from "pg"
import { objectKeyOfText, parseBucketId, rowKeyOf, type RowKey } from "@hayloft/base/ids.js"
import { ALL_ROWS, type KeyRange } from "@hayloft/base/rows/key-range.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { fc } from "@hayloft/base/testing-properties.js"
import { runsOf } from "@hayloft/base/testing-seed.js"
import {
  bucketRowKey,
  foldingOf,
  objectRowKey,
  prefixRange,
  suffixRange,
  textRowKey,
} from "@hayloft/engine/format/row-key.js"
import { Postgres } from "@hayloft/engine/sql/index.js"
import type { FetchRequest, NewRow, StoredFamily, StoredRange } from "@hayloft/engine/sql/database.js"
import { fetchValues } from "@hayloft/engine/sql/postgres/fetch-parameters.js"
import { HAYLOFT_SCHEMA } from "@hayloft/engine/sql/postgres/schema.js"
import { PLANNER_SETTINGS } from "@hayloft/engine/sql/postgres/session.js"
import { statementsOf } from "@hayloft/engine/sql/postgres/statements.js"
import { SimulatedDatabase } from "@hayloft/engine/sql/simulated/simulated-database.js"
import { noPostgres } from "../harness/postgres.js"
import { Databases } from "./databases.js"
import { FIRST_LANE, fillRows } from "./filled.js"

const rowOf = (bucket: number, text: string): RowKey => objectRowKey(parseBucketId(bucket), objectKeyOfText(text))
const rangeOf = (family: StoredFamily, range: KeyRange, max: number): StoredRange => ({
  family,
  column: "value",
  start: range.start,
  end: range.end,
  reverse: range.reverse ?? false,
  folding: range.folding,
  max,
})
const requestOf = (...ranges: readonly StoredRange[]): FetchRequest => ({
  lane: FIRST_LANE,
  keys: [],
  ranges,
  counters: [],
  usage: [],
})

const CONTENT = { head: undefined, payload: undefined }
const VALUE = Buffer.from("value")

test("ranges within a bucket, of a bucket and over buckets return the same rows", { skip: noPostgres }, async () => {
  assert.ok(databases)
  const clock = new SimClock()
  const simulated = await new SimulatedDatabase({ clock, random: new SimRandom(1) }).connect()
  const real = await new Postgres(await databases.create()).connect()
  const keys = [1, 2, 3, 255, 256].flatMap(bucket => ["a", "a/b", "b", "\u{10ffff}"].map(text => rowOf(bucket, text)))
  const texts = ["a", "b", "c", "\xff"].map(textRowKey)
  const rows = [
    ...keys.map((key, at): NewRow => {
      const isHead = at % 3 === 0
      return {
        family: "current",
        key,
        payload: undefined,
        value: isHead ? undefined : VALUE,
        head: isHead ? VALUE : undefined,
      }
    }),
    ...texts.map((key): NewRow => ({ family: "keyUses", key, value: VALUE, ...CONTENT })),
  ]
  for (const session of [simulated, real]) await clock.runUntil(fillRows(session, rows))
  const places = [...keys, ...[0, 1, 2, 4, 255, 257].map(id => bucketRowKey(parseBucketId(id)))]
  const ends = ["", "\x00", "\xff", ALL_ROWS.end].map(rowKeyOf)
  const placeOf = fc.constantFrom(...places, ...ends, ...texts)
  const wholes = fc.constantFrom(1, 2, 255, 256, 9).map(id => suffixRange(bucketRowKey(parseBucketId(id))))
  const bounds = fc.oneof(fc.record({ start: placeOf, end: placeOf }), wholes)
  const anyRange = fc
    .tuple(
      fc.constantFrom("current" as const, "keyUses" as const),
      bounds,
      fc.boolean(),
      fc.integer({ min: 1, max: 30 }),
    )
    .map(([family, { start, end }, reverse, max]) => rangeOf(family, { start, end, reverse }, max))
  await fc.assert(
    fc.asyncProperty(fc.array(anyRange, { minLength: 1, maxLength: 4 }), async ranges => {
      const found = await real.fetch(requestOf(...ranges))
      const expected = await clock.runUntil(simulated.fetch(requestOf(...ranges)))
      assert.deepEqual(
        found.ranges.map(each => each.map(({ key }) => key)),
        expected.ranges.map(each => each.map(({ key }) => key)),
      )
    }),
    { numRuns: runsOf(300) },
  )
  await real.close()
})

interface ExplainedPart {
  readonly "Shared Hit Blocks": number
  readonly "Shared Read Blocks": number
}

const OBJECTS = 20_000
/** Eleven searches of an index, each through four blocks, and their rows: one for each prefix that is listed. */
const BLOCKS_MAX = 60

test("a range that ends reads nothing of the rows after it", { skip: noPostgres }, async t => {
  assert.ok(databases)
  const url = await databases.create()
  const client = new Client({ connectionString: url })
  t.after(() => client.end())
  await client.connect()
  await client.query(PLANNER_SETTINGS)
  const statements = statementsOf(HAYLOFT_SCHEMA)
  const textOf = (at: number): string => `${String(at).padStart(5, "0")}/a`
  // Two buckets, and a family of no bucket.
  for (const [family, bucket] of [
    [2, 1],
    [2, 3],
    [25, 0],
  ]) {
    await client.query(
      `INSERT INTO hayloft.rows (family, bucket, key, version, value)
       SELECT $1, $2, key, 1, 'value' FROM unnest($3::bytea[]) AS key`,
      [
        family,
        bucket,
        Array.from({ length: OBJECTS }, (_, at) => Buffer.from(rowOf(1, textOf(at)).slice(8), "latin1")),
      ],
    )
  }
  await client.query("VACUUM ANALYZE hayloft.rows")
  const blocksOf = async (request: FetchRequest): Promise<number> => {
    const { isWide, values } = fetchValues(request)
    const text = `EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ${(isWide ? statements.fetchWide : statements.fetch).text}`
    const { rows } = await client.query<{ readonly "QUERY PLAN": readonly { readonly Plan: ExplainedPart }[] }>(text, [
      ...values,
    ])
    const plan = rows[0]?.["QUERY PLAN"][0]?.Plan
    assert.ok(plan)
    return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
  }
  const [first, third] = [parseBucketId(1), parseBucketId(3)]
  const ofObject = (at: number): KeyRange => prefixRange(first, textOf(at))
  const ofLast = ofObject(OBJECTS - 9).start
  const text = rowOf(1, textOf(3)).slice(8)
  const cases: readonly (readonly [string, StoredFamily, KeyRange])[] = [
    ["the first rows of a bucket", "current", ofObject(3)],
    ["the last rows of a bucket, in reverse", "current", { ...ofObject(OBJECTS - 3), reverse: true }],
    ["rows of no bucket", "keyUses", suffixRange(rowKeyOf(text))],
    ["the end of a bucket", "current", { ...suffixRange(bucketRowKey(first)), start: ofLast }],
    ["the end of a bucket and one more, before another", "current", { start: ofLast, end: bucketRowKey(third) }],
    [
      "the end of one bucket, and a bucket without rows",
      "current",
      { start: prefixRange(third, textOf(OBJECTS - 9)).start, end: rowKeyOf("\xff") },
    ],
    ["a prefix with a delimiter", "current", { ...prefixRange(first, "0000"), ...foldingOf("0000", "/") }],
    ["a hundred rows without a common prefix", "current", { ...prefixRange(first, "000"), ...foldingOf("000", "-") }],
  ]
  for (const [name, family, range] of cases) {
    await blocksOf(requestOf(rangeOf(family, range, 1_000)))
    const blocks = await blocksOf(requestOf(rangeOf(family, range, 1_000)))
    t.diagnostic(`${name}: ${blocks}`)
    assert.ok(blocks <= BLOCKS_MAX, `${name}: ${blocks} blocks were read`)
  }
})

let databases: Databases | undefined
if (noPostgres === false) {
  before(async () => {
    databases = await Databases.start()
  })
  after(() => databases?.stop())
}
