/** Listings with a delimiter: a page takes a few statements, however many rows are below each common prefix. */
import assert from "node:assert/strict"
import { after, before, test } from "node:test"
import { objectKeyOfText, parseAccountId, parseBucketId, parseBucketName, type RowKey } from "@hayloft/base/ids.js"
import type { Family } from "@hayloft/base/rows/families.js"
import { afterFolded } from "@hayloft/base/rows/key-range.js"
import { fc } from "@hayloft/base/testing-properties.js"
import { runsOf } from "@hayloft/base/testing-seed.js"
import { encodeUpload } from "@hayloft/engine/format/records.js"
import { foldingOf, multipartRowKey, objectRowKey, prefixRange, versionRowKey } from "@hayloft/engine/format/row-key.js"
import { multipartIdOfSuffix } from "@hayloft/engine/format/objects/version-id.js"
import { encodeVersion, NO_DETAILS, type VersionHead } from "@hayloft/engine/format/objects/version-record.js"
import { command, query, type Metadata } from "@hayloft/engine/metadata/index.js"
import { Postgres } from "@hayloft/engine/sql/index.js"
import type { NewRow } from "@hayloft/engine/sql/database.js"
import { SimulatedDatabase } from "@hayloft/engine/sql/simulated/simulated-database.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import type { Bucket } from "@hayloft/objects/contract.js"
import { listUploads, listVersions } from "@hayloft/objects/queries/listing-core.js"
import { listObjects, pageOf } from "@hayloft/objects/queries/object-page-core.js"
import { noPostgres } from "../harness/postgres.js"
import { AskedDatabase } from "./asked-database.js"
import { Databases } from "./databases.js"
import { FIRST_LANE, fillRows } from "./filled.js"
import { SimulatedWorld, SLOW } from "./simulated-world.js"

const PREFIXES = 60
/** More than an engine fetches after a seek. */
const ROWS_OF_PREFIX = 70
/** A range that begins with few rows grows with each. */
const FETCHES_MAX = 8
const random = Buffer.alloc(8)
/** The suffixes of these have the byte of the delimiter in row keys, 0x30. */
const SUFFIX_ORDER = 0xcf_cf_cf_00

const bucket: Bucket = {
  id: parseBucketId(1),
  name: parseBucketName("bucket"),
  owner: parseAccountId("root"),
  createdMs: 0,
  location: "",
  versioning: "enabled",
  settings: [],
  settingsVersion: 1,
}

const head: VersionHead = {
  isMarker: false,
  isNull: false,
  hasDetails: false,
  isShared: false,
  isLocked: false,
  storageClass: "STANDARD",
  checksumAlgorithm: undefined,
  checksumType: undefined,
  sizeBytes: 1,
  modifiedMs: 1,
  order: 2,
  random,
  md5: new Uint8Array(16),
  parts: 0,
}

const versionOf = (order: number): Uint8Array =>
  encodeVersion({
    head: { ...head, order },
    content: { kind: "inline" },
    checksumValue: undefined,
    details: NO_DETAILS,
  })

const upload = encodeUpload({
  initiatedMs: 1,
  checksum: undefined,
  details: NO_DETAILS,
  completion: undefined,
  countedBy: [],
})

const rowOf = (text: string): RowKey => objectRowKey(bucket.id, objectKeyOfText(text))
const MULTIPART_ID = multipartIdOfSuffix("0x0x0x0x0x0x0x0x")

const prefixAt = (at: number): string => `folder-${String(at).padStart(3, "0")}/`

/** A page of objects, versions and uploads: below a prefix, and after it one of its own. */
const fill = command<[at: number], undefined>({
  name: "FillFolder",
  touches: () => [],
  decide(view, _, at) {
    const keys = Array.from({ length: ROWS_OF_PREFIX }, (_row, i) => `${prefixAt(at)}${String(i).padStart(3, "0")}`)
    const writes = [...keys, `folder-${String(at).padStart(3, "0")}0`].flatMap(text => {
      const key = rowOf(text)
      const rows: readonly (readonly [Family, RowKey, Uint8Array])[] = [
        ["current", key, versionOf(2)],
        ["versions", versionRowKey(key, SUFFIX_ORDER), versionOf(1)],
        ["versions", versionRowKey(key, SUFFIX_ORDER + 1), versionOf(1)],
        ["uploads", multipartRowKey(key, MULTIPART_ID), upload],
      ]
      return rows.map(([family, rowKey, value]) => {
        view.get(family, rowKey)
        return { family, key: rowKey, value }
      })
    })
    return { writes, result: undefined }
  },
})

const MAX = 1_000
const scope = { bucket, prefix: "", delimiter: "/", max: MAX }
const objects = query("ListFolders", (view, after: string) => pageOf(listObjects(view, { ...scope, after })))
const versions = query("ListFoldersOfVersions", (view, keyMarker: string) =>
  listVersions(view, { ...scope, keyMarker, versionIdMarker: undefined }),
)
const uploads = query("ListFoldersOfUploads", (view, keyMarker: string) =>
  listUploads(view, { ...scope, keyMarker, uploadIdMarker: undefined }),
)

async function pagesAreFew(engine: Pick<Metadata, "ask">, fetches: () => number): Promise<void> {
  // Rows that hold no prefix: an object, its three versions, an upload.
  const cases = [
    { name: "objects", ask: (from: string) => engine.ask(objects(from)), own: 1 },
    { name: "versions", ask: (from: string) => engine.ask(versions(from)), own: 3 },
    { name: "uploads", ask: (from: string) => engine.ask(uploads(from)), own: 1 },
  ]
  for (const { name, ask, own } of cases) {
    for (const from of ["", `${prefixAt(0)}003`]) {
      const before = fetches()
      const { entries, next } = await ask(from)
      const prefixes = entries.flatMap(entry => (entry.kind === "prefix" ? [entry.prefix] : []))
      const expected = Array.from({ length: PREFIXES }, (_, at) => prefixAt(at)).slice(from === "" ? 0 : 1)
      assert.deepEqual(prefixes, expected, name)
      assert.equal(entries.length - prefixes.length, own * PREFIXES, name)
      assert.equal(next, undefined)
      const taken = fetches() - before
      assert.ok(taken <= FETCHES_MAX, `${name} took ${taken} statements`)
    }
  }
}

test("a page of common prefixes takes a few statements, however many rows each has", () => {
  const world = new SimulatedWorld(5, SLOW)
  return world.run(async () => {
    const database = new AskedDatabase(world.database)
    const engine = await world.open("node", world.clock, [], database)
    for (let at = 0; at < PREFIXES; at += 1) await engine.run(fill(at))
    await pagesAreFew(engine, () => database.fetches)
  })
})

const piece = fc.constantFrom("a", "b", "/", "//", "a/", "\u{f4}", "\u{10ffff}", "\u0001")

test(
  "PostgreSQL leaves out the rows of common prefixes that `afterFolded` leaves out",
  { skip: noPostgres },
  async () => {
    assert.ok(databases)
    const texts = fc.array(piece, { minLength: 1, maxLength: 4 }).map(pieces => pieces.join(""))
    const scopes = fc.record({
      prefix: fc.constantFrom("", "a", "a/"),
      delimiter: fc.constantFrom("/", "a", "//", "\u{f4}"),
    })
    const clock = new SimClock()
    const simulated = await new SimulatedDatabase({ clock, random: new SimRandom(1) }).connect()
    const real = await new Postgres(await databases.create()).connect()
    const keys = [...new Set(fc.sample(texts, { numRuns: 150, seed: 1 }))].map(rowOf)
    const content = (value: string | undefined, headText?: string) => ({
      value: value === undefined ? undefined : Buffer.from(value),
      head: headText === undefined ? undefined : Buffer.from(headText),
      payload: undefined,
    })
    const rows = keys.flatMap((key, at): NewRow[] => [
      { family: "current", key, ...(at % 4 === 0 ? content(undefined, "head") : content("value")) },
      { family: "versions", key: versionRowKey(key, SUFFIX_ORDER), ...content("old") },
      { family: "versions", key: versionRowKey(key, SUFFIX_ORDER + 1), ...content("old") },
    ])
    for (const session of [simulated, real]) await clock.runUntil(fillRows(session, rows))
    const families = fc.constantFrom("current" as const, "versions" as const)
    await fc.assert(
      fc.asyncProperty(
        scopes,
        families,
        fc.nat(keys.length),
        fc.integer({ min: 1, max: 40 }),
        async (scopeOf, family, from, max) => {
          const { folding } = foldingOf(scopeOf.prefix, scopeOf.delimiter)
          const { start, end } = prefixRange(bucket.id, scopeOf.prefix)
          const later = keys[from]
          const range = {
            family,
            column: "value" as const,
            start: later !== undefined && later > start ? later : start,
            end,
            reverse: false,
            max,
          }
          const request = {
            lane: FIRST_LANE,
            keys: [],
            ranges: [{ ...range, folding }, range],
            counters: [],
            usage: [],
          }
          const found = await real.fetch(request)
          const shown = found.ranges.map(each => each.map(({ key }) => key))
          const expected = await clock.runUntil(simulated.fetch(request))
          assert.deepEqual(
            shown,
            expected.ranges.map(each => each.map(({ key }) => key)),
          )
          for (const [at, key] of (shown[0] ?? []).entries()) {
            const next = shown[0]?.[at + 1]
            assert.ok(next === undefined || folding === undefined || next >= afterFolded(key, folding))
          }
        },
      ),
      { numRuns: runsOf(200) },
    )
    await real.close()
  },
)

let databases: Databases | undefined
if (noPostgres === false) {
  before(async () => {
    databases = await Databases.start()
  })
  after(() => databases?.stop())
}
