/** Pages that name rows which must be there, as members of a group are: they take a few statements. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { createIdentity } from "@hayloft/access/identities/identity-commands-core.js"
import { groupMembership } from "@hayloft/access/identities/identity-links-core.js"
import { readLinked } from "@hayloft/access/identities/identity-queries-core.js"
import { objectKeyOfText, parseAccountId, parseBucketId, parseBucketName, rowKeyOf } from "@hayloft/base/ids.js"
import { bucketRowKey, objectRowKey, suffixRange, versionRowKey } from "@hayloft/engine/format/row-key.js"
import {
  encodeDetails,
  encodeVersion,
  NO_DETAILS,
  type VersionHead,
} from "@hayloft/engine/format/objects/version-record.js"
import { command, query } from "@hayloft/engine/metadata/index.js"
import type { SqlMetadata } from "@hayloft/engine/sql/index.js"
import { differencesOf, listObjectsAt, WALK_LIMITS } from "@hayloft/features/history/moments-core.js"
import { NO_RULES } from "@hayloft/features/lifecycle/due-core.js"
import { walkVersions } from "@hayloft/features/lifecycle/walk-core.js"
import type { Bucket } from "@hayloft/objects/contract.js"
import { pageOfObjects, pageOfVersions } from "@hayloft/objects/object-service.js"
import { AskedDatabase } from "./asked-database.js"
import { SimulatedWorld, SLOW } from "./simulated-world.js"

const FETCHES_MAX = 8
const ROWS = 90
const account = parseAccountId("root")

/** Runs work on an engine whose statements are counted. */
function onEngine(work: (engine: SqlMetadata, fetches: () => number) => Promise<void>): Promise<void> {
  const world = new SimulatedWorld(6, SLOW)
  return world.run(async () => {
    const database = new AskedDatabase(world.database)
    await work(await world.open("node", world.clock, [], database), () => database.fetches)
  })
}

test("a page of the members of a group takes a few statements", () =>
  onEngine(async (engine, fetches) => {
    for (let at = 0; at < ROWS; at += 1) {
      const user = { kind: "user", name: `user-${at}`, path: "/", id: `AIDA${at}` } as const
      const record = { ...user, tags: [], inline: [], attached: [], boundary: undefined, groups: ["team"], keys: [] }
      await engine.run(createIdentity(account, { ...record, role: undefined }))
    }
    const before = fetches()
    const { items } = await engine.ask(readLinked(account, groupMembership("team"), rowKeyOf("")))
    assert.equal(items.length, ROWS)
    assert.ok(fetches() - before <= FETCHES_MAX, `${fetches() - before} statements`)
  }))

const bucket: Bucket = {
  id: parseBucketId(1),
  name: parseBucketName("bucket"),
  owner: account,
  createdMs: 0,
  location: "",
  versioning: "enabled",
  settings: [],
  settingsVersion: 1,
}

const head: VersionHead = {
  isMarker: false,
  isNull: false,
  hasDetails: true,
  isShared: false,
  isLocked: false,
  storageClass: "STANDARD",
  checksumAlgorithm: undefined,
  checksumType: undefined,
  sizeBytes: 1,
  modifiedMs: 1,
  order: 2,
  random: new Uint8Array(8),
  md5: new Uint8Array(16),
  parts: 0,
}
const VERSION = encodeVersion({ head, content: { kind: "inline" }, checksumValue: undefined, details: undefined })
const DETAILS = encodeDetails({ ...NO_DETAILS, headers: [["contentType", "text/plain"]] })

const fill = command<[], undefined>({
  name: "FillWithDetails",
  touches: () => [],
  decide(view) {
    const keys = Array.from({ length: ROWS }, (_, at) => objectRowKey(bucket.id, objectKeyOfText(`key-${at}`)))
    for (const key of keys) view.get("current", key)
    const writes = keys.flatMap(key => [
      { family: "current" as const, key, value: VERSION },
      { family: "details" as const, key: versionRowKey(key, head.order), value: DETAILS },
    ])
    return { writes, result: undefined }
  },
})

test("a page of objects or versions with what their details say takes a few statements", () =>
  onEngine(async (engine, fetches) => {
    await engine.run(fill())
    const request = { bucket, prefix: "", delimiter: "", max: 1_000, withTypes: true }
    const beforeObjects = fetches()
    const { extras } = await engine.ask(pageOfObjects({ ...request, after: "" }))
    assert.deepEqual(new Set(extras?.map(({ contentType }) => contentType)), new Set(["text/plain"]))
    assert.equal(extras?.length, ROWS)
    assert.ok(fetches() - beforeObjects <= FETCHES_MAX, `${fetches() - beforeObjects} statements`)
    const beforeVersions = fetches()
    const { entries } = await engine.ask(pageOfVersions({ ...request, keyMarker: "", versionIdMarker: undefined }))
    assert.equal(entries.length, ROWS)
    for (const entry of entries) assert.equal(entry.kind === "version" && entry.object.contentType, "text/plain")
    assert.ok(fetches() - beforeVersions <= FETCHES_MAX, `${fetches() - beforeVersions} statements`)
  }))

const ofMoments = query("ListThen", view => {
  const request = { bucket, prefix: "", delimiter: "", after: "", max: 1_000 }
  const at = { atUs: 10, extras: { withTypes: true }, limits: WALK_LIMITS }
  return listObjectsAt(view, request, at).entries.length
})
const ofDifferences = query("CompareThen", view => {
  const request = { bucket, prefix: "", after: "", until: undefined, fromUs: 1, toUs: 10, max: 1_000 }
  return differencesOf(view, request, WALK_LIMITS).differences.length
})
const ofTags = query("WalkTags", view => {
  let versions = 0
  const bounds = { ...suffixRange(bucketRowKey(bucket.id)), rowsMax: 1_000 }
  walkVersions(view, bounds, NO_RULES, ({ tags }) => {
    versions += tags().length === 0 ? 1 : 0
    return true
  })
  return versions
})

test("walks that look at the details of each version take a few statements", () =>
  onEngine(async (engine, fetches) => {
    await engine.run(fill())
    for (const walk of [ofMoments(), ofDifferences(), ofTags()]) {
      const before = fetches()
      assert.equal(await engine.ask(walk), ROWS, walk.name)
      assert.ok(fetches() - before <= FETCHES_MAX, `${walk.name}: ${fetches() - before} statements`)
    }
  }))
