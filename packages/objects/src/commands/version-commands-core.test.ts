/**
 * Commands on versions, compared with a model list of versions: the versions found, the counters, the pending
 * deletions, and that nothing is left over.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { isFailure } from "@hayloft/base/failures.js"
import {
  parseAccountId,
  parseBucketId,
  parseDeviceId,
  parseIncarnation,
  parsePartitionId,
  parsePosition,
  type VersionId,
} from "@hayloft/base/ids.js"
import { fc } from "@hayloft/base/testing-properties.js"
import { multipartIdOf, NULL_VERSION, versionIdOf } from "@hayloft/engine/format/objects/version-id.js"
import {
  DETAILS_IN_RECORD_BYTES_MAX,
  decodeVersion,
  encodeDetails,
  NO_DETAILS,
  versionIdOfHead,
  type Content,
} from "@hayloft/engine/format/objects/version-record.js"
import { soleProcess, type Command } from "@hayloft/engine/metadata/index.js"
import { closeBucket, setVersioning } from "./bucket-commands-core.js"
import { readCounters } from "./bucket-rows-core.js"
import { findLatest, findVersion, readDetails } from "./found-versions-core.js"
import {
  extentOf,
  foreignUploadOf,
  KEY,
  newBucket,
  putOf as putOfUpload,
  randomOf,
  refuses,
  released,
  uploadOf,
  type Scene,
} from "./testing-bucket.js"
import {
  hintRowKey,
  recordHints,
  putVersion,
  removeLatest,
  removeVersion,
  requireVersion,
  setAcl,
  setLegalHold,
  setRetention,
  setTags,
  type PutVersion,
} from "./version-commands-core.js"
import { ALL_ROWS } from "@hayloft/base/rows/key-range.js"
import "../testing-features.js"

let uploads = 0

/** A put of bytes that no other version references. */
function putOf(scene: Scene, change: Partial<PutVersion["version"]> = {}): PutVersion {
  uploads += 1
  return putOfUpload(scene, uploads, change)
}

/** A version in the model. */
interface Expected {
  readonly id: VersionId
  readonly order: number
  readonly isNull: boolean
  readonly isMarker: boolean
  readonly sizeBytes: number
  /** They are undefined for markers, and for bytes that are stored with the row. */
  readonly bytes: string | undefined
  readonly payload: number | undefined
  tag: string | undefined
  isLarge: boolean
}

/** The expected state of a bucket with one key: versions, newest first, and the deleted bytes. */
class Model {
  versions: Expected[] = []
  versioning: "never" | "enabled" | "suspended" = "never"
  readonly released: string[] = []

  private free({ bytes }: Expected): void {
    if (bytes !== undefined && !this.versions.some(version => version.bytes === bytes)) this.released.push(bytes)
  }

  add(version: Expected): void {
    const replaced = version.isNull ? this.versions.find(({ isNull }) => isNull) : undefined
    this.versions = [version, ...this.versions.filter(other => other !== replaced)]
    if (replaced) this.free(replaced)
  }

  remove(version: Expected): void {
    this.versions = this.versions.filter(other => other !== version)
    this.free(version)
  }
}

const LARGE = "x".repeat(DETAILS_IN_RECORD_BYTES_MAX)
const detailsOf = (tag: string, isLarge: boolean) => ({
  ...NO_DETAILS,
  tags: [["tag", tag] as const],
  userMetadata: isLarge ? [["large", LARGE] as const] : [],
})

/** Compares everything that can be read with the model. */
function checkScene(scene: Scene, model: Model): void {
  const { metadata, row, bucketId } = scene
  const view = metadata.committed
  const latest = findLatest(view, row)
  const [newest] = model.versions
  assert.equal(latest && versionIdOfHead(latest.head), newest?.id)
  for (const version of model.versions) {
    const found = must(findVersion(view, row, version.id), "the version is found")
    const { head } = found
    assert.deepEqual(
      [head.order, head.isNull, head.isMarker, head.sizeBytes],
      [version.order, version.isNull, version.isMarker, version.sizeBytes],
    )
    const details = readDetails(view, row, decodeVersion(found.row.value))
    assert.equal(details.tags[0]?.[1], version.tag)
    assert.equal(details.userMetadata.length, version.isLarge ? 1 : 0)
    assert.equal(found.row.payload?.bytes?.[0], version.payload)
    // If the latest version is an object, it is in `current`, where a request for the key looks first.
    assert.equal(found.family, version === newest && !version.isMarker ? "current" : "versions")
  }
  const objects = newest && !newest.isMarker ? 1 : 0
  const bytes = model.versions.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  assert.deepEqual(readCounters(view, bucketId), { objects, versions: model.versions.length, bytes, uploads: 0 })
  assert.deepEqual(released(scene).sort(), [...model.released].sort())
  assert.equal(metadata.rows("current"), objects)
  assert.equal(metadata.rows("versions"), model.versions.length - objects)
  assert.equal(metadata.rows("details"), model.versions.filter(({ isLarge }) => isLarge).length)
  if (model.versions.length === 0) assert.equal(metadata.rows("heads"), 0)
  const named = model.versions.flatMap(version => version.bytes ?? [])
  const isShared = (one: string) => named.filter(other => other === one).length > 1
  const sharesMin = new Set(named.filter(isShared)).size
  assert.ok(metadata.rows("shares") >= sharesMin && metadata.rows("shares") <= new Set(named).size)
}

type Step =
  | { readonly do: "put"; readonly kind: "extent" | "inline" | "segments"; readonly isLarge: boolean }
  | { readonly do: "share" | "removeVersion" | "tag"; readonly which: number; readonly isLarge: boolean }
  | { readonly do: "removeLatest" | "removeNull" | "enable" | "suspend" }

const which = fc.nat({ max: 5 })
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof<fc.Arbitrary<Step>[]>(
    fc.record({
      do: fc.constant("put" as const),
      kind: fc.constantFrom("extent", "inline", "segments"),
      isLarge: fc.boolean(),
    }),
    fc.record({ do: fc.constantFrom("share", "removeVersion", "removeVersion", "tag"), which, isLarge: fc.boolean() }),
    fc.record({ do: fc.constantFrom("removeLatest", "removeLatest", "removeNull", "enable", "suspend") }),
  ),
  { maxLength: 16 },
)

async function put(scene: Scene, model: Model, change: Partial<PutVersion["version"]>, from?: Expected): Promise<void> {
  const request = putOf(scene, change)
  const source = from && { sharesWith: from.id }
  const { head } = await scene.metadata.run(putVersion({ ...request, ...source }))
  const { content, payload, sizeBytes, details } = request.version
  assert.equal(head.isNull, model.versioning !== "enabled")
  model.add({
    id: versionIdOfHead(head),
    order: head.order,
    isNull: head.isNull,
    isMarker: false,
    sizeBytes,
    bytes: bytesNamed(content),
    payload: payload?.[0],
    tag: details.tags[0]?.[1],
    isLarge: details.userMetadata.length > 0,
  })
}

function bytesNamed(content: Content): string | undefined {
  if (content.kind === "extent") return content.extent.uploadId
  return content.kind === "segments" ? `segments ${content.multipartId}` : undefined
}

function contentOf(kind: "extent" | "inline" | "segments"): Partial<PutVersion["version"]> {
  if (kind === "extent") return {}
  if (kind === "inline") return { content: { kind }, payload: Uint8Array.of(uploads + 1), sizeBytes: 1 }
  return { content: { kind, multipartId: multipartIdOf(uploads + 1, randomOf(1)), completion: randomOf(2) } }
}

async function take(scene: Scene, model: Model, step: Step): Promise<void> {
  const { metadata, bucketId, row } = scene
  const address = { bucketId, key: KEY, conditions: {} }
  switch (step.do) {
    case "put":
      await put(scene, model, { ...contentOf(step.kind), details: detailsOf(`put ${uploads}`, step.isLarge) })
      return
    case "share": {
      const sources = model.versions.filter(({ bytes }) => bytes !== undefined)
      const from = sources[step.which % Math.max(1, sources.length)]
      if (!from) return
      const found = must(findVersion(metadata.committed, row, from.id), "the source exists")
      const { content } = decodeVersion(found.row.value)
      await put(scene, model, { content, isShared: true, details: detailsOf(`shares ${uploads}`, step.isLarge) }, from)
      return
    }
    case "removeVersion": {
      const version = model.versions[step.which]
      if (!version) return
      const removed = await metadata.run(removeVersion({ ...address, versionId: version.id }))
      assert.deepEqual(removed, {
        versioning: model.versioning,
        versionId: version.id,
        deleteMarker: version.isMarker,
      })
      model.remove(version)
      return
    }
    case "removeNull": {
      await metadata.run(removeVersion({ ...address, versionId: NULL_VERSION }))
      const version = model.versions.find(({ isNull }) => isNull)
      if (version) model.remove(version)
      return
    }
    case "removeLatest": {
      uploads += 1
      const removed = await metadata.run(removeLatest({ ...address, random: randomOf(uploads) }))
      const [newest] = model.versions
      if (model.versioning === "never") {
        assert.deepEqual(removed, { versioning: "never", versionId: undefined, deleteMarker: false })
        if (newest) model.remove(newest)
        return
      }
      assert.equal(removed.deleteMarker, true)
      const { head } = must(findLatest(metadata.committed, row), "there is a marker")
      assert.equal(removed.versionId, versionIdOfHead(head))
      const isNull = model.versioning === "suspended"
      const marker = { isNull, isMarker: true, sizeBytes: 0, bytes: undefined, payload: undefined }
      model.add({ id: versionIdOfHead(head), order: head.order, ...marker, tag: undefined, isLarge: false })
      return
    }
    case "tag": {
      const version = model.versions[step.which]
      if (!version || version.isMarker) return
      const result = await metadata.run(
        setTags({ bucketId, key: KEY, versionId: version.id }, [["tag", `set ${step.which}`]]),
      )
      assert.equal(result, model.versioning === "never" ? undefined : version.id)
      version.tag = `set ${step.which}`
      return
    }
    case "enable":
    case "suspend":
      model.versioning = step.do === "enable" ? "enabled" : "suspended"
      await metadata.run(setVersioning(bucketId, model.versioning))
  }
}

test("after any commands, versions, counters and pending deletions match the model list", async () => {
  await fc.assert(
    fc.asyncProperty(steps, async list => {
      const scene = await newBucket()
      const model = new Model()
      for (const step of list) {
        await take(scene, model, step)
        checkScene(scene, model)
      }
      for (const version of [...model.versions]) {
        await scene.metadata.run(
          removeVersion({ bucketId: scene.bucketId, key: KEY, versionId: version.id, conditions: {} }),
        )
        model.remove(version)
        checkScene(scene, model)
      }
      for (const family of ["current", "versions", "heads", "details", "shares"] as const)
        assert.equal(scene.metadata.rows(family), 0, family)
    }),
    { numRuns: 60 },
  )
})

/** Decides at a time chosen by the test, on rows that stay unchanged. */
function decideAt<Result>({ metadata }: Scene, nowMs: number, command: Command<Result>): Result {
  const view = { ...metadata.committed, payload: () => undefined }
  const incarnations = soleProcess(parseIncarnation(1))
  return command.decide(view, { nowMs, commitUs: nowMs * 1000, position: parsePosition(99), id: "99", incarnations })
    .result
}

test("setting the clock back never decreases order or time of newer versions", async () => {
  const scene = await newBucket()
  await scene.metadata.run(setVersioning(scene.bucketId, "enabled"))
  const first = (await scene.metadata.run(putVersion(putOf(scene)))).head
  const { head } = decideAt(scene, first.modifiedMs - 60_000, putVersion(putOf(scene)))
  assert.equal(head.order, first.order + 1)
  assert.equal(head.modifiedMs, first.modifiedMs)
  const later = decideAt(scene, first.modifiedMs + 60_000, putVersion(putOf(scene))).head
  assert.deepEqual([later.order, later.modifiedMs], [(first.modifiedMs + 60_000) * 1000, first.modifiedMs + 60_000])
})

test("a version is found only by its whole id, and the null version only by its name", async () => {
  const scene = await newBucket()
  const { metadata, row } = scene
  const first = (await metadata.run(putVersion(putOf(scene)))).head
  assert.equal(findVersion(metadata.committed, row, versionIdOf(first.order, first.random)), undefined)
  assert.ok(findVersion(metadata.committed, row, NULL_VERSION))
  await metadata.run(setVersioning(scene.bucketId, "enabled"))
  const second = (await metadata.run(putVersion(putOf(scene)))).head
  assert.ok(findVersion(metadata.committed, row, versionIdOf(second.order, second.random)))
  assert.equal(findVersion(metadata.committed, row, versionIdOf(second.order, randomOf(0))), undefined)
  assert.equal(findVersion(metadata.committed, row, versionIdOf(second.order + 1, second.random)), undefined)
  assert.equal(findVersion(metadata.committed, row, versionIdOf(first.order, first.random)), undefined)
})

test("conditions of a write are checked against the current row: a marker counts as no object", async () => {
  const scene = await newBucket()
  const { metadata, bucketId } = scene
  const write = (conditions: PutVersion["conditions"]) => metadata.run(putVersion({ ...putOf(scene), conditions }))
  const address = { bucketId, key: KEY, random: randomOf(1) }
  await refuses(write({ ifMatch: ["*"] }), "noSuchKey")
  await write({ ifNoneMatch: ["*"] })
  await refuses(write({ ifNoneMatch: ["*"] }), "preconditionFailed")
  await refuses(metadata.run(removeLatest({ ...address, conditions: { ifMatch: ["0"] } })), "preconditionFailed")
  await metadata.run(setVersioning(bucketId, "enabled"))
  const { head } = await write({ ifMatch: ["*"] })
  const versionId = versionIdOfHead(head)
  const removal = { bucketId, key: KEY, versionId, conditions: { ifMatch: ["0"] } }
  await refuses(metadata.run(removeVersion(removal)), "preconditionFailed")
  const marker = await metadata.run(removeLatest({ ...address, conditions: {} }))
  await refuses(write({ ifMatch: ["*"] }), "noSuchKey")
  const ofMarker = { bucketId, key: KEY, versionId: must(marker.versionId, "a marker"), conditions: { ifMatch: ["*"] } }
  await refuses(metadata.run(removeVersion(ofMarker)), "noSuchKey")
  await write({ ifNoneMatch: ["*"] })
})

test("the version that a request names is an object, or the failure states what exists instead", async () => {
  const scene = await newBucket()
  const { metadata, bucketId } = scene
  const find = (versionId?: VersionId) => requireVersion(metadata.committed, bucketId, KEY, versionId)
  const failureOf = (versionId?: VersionId) => {
    try {
      find(versionId)
    } catch (error) {
      if (isFailure(error)) return { kind: error.kind, ...error.details }
    }
    return assert.fail("it was found")
  }
  assert.deepEqual(failureOf(), { kind: "noSuchKey" })
  await metadata.run(setVersioning(bucketId, "enabled"))
  const { head } = await metadata.run(putVersion(putOf(scene)))
  const id = versionIdOfHead(head)
  assert.equal(find().head.order, head.order)
  assert.equal(find(id).head.order, head.order)
  assert.deepEqual(failureOf(NULL_VERSION), { kind: "noSuchVersion", versionId: NULL_VERSION })
  const remove = { bucketId, key: KEY, conditions: {}, random: randomOf(1) }
  const { versionId } = await metadata.run(removeLatest(remove))
  const marker = must(versionId, "a marker")
  assert.deepEqual(failureOf(), { kind: "noSuchKey", deleteMarker: true, versionId: marker })
  const { modifiedMs } = must(findLatest(metadata.committed, scene.row), "a marker").head
  assert.deepEqual(failureOf(marker), {
    kind: "isDeleteMarker",
    versionId: marker,
    deleteMarker: true,
    lastModifiedMs: modifiedMs,
  })
  assert.equal(find(id).head.order, head.order)
})

test("an upload of another process is refused, and bytes are shared only while they are the same", async () => {
  const scene = await newBucket()
  const { metadata, row } = scene
  await refuses(metadata.run(putVersion({ ...putOf(scene), uploadId: foreignUploadOf(77_000) })), "uploadAborted")
  await metadata.run(putVersion({ ...putOf(scene), uploadId: uploadOf(78_000) }))
  const [extent, other] = [extentOf(50_000), extentOf(50_001)]
  await metadata.run(setVersioning(scene.bucketId, "enabled"))
  const { head } = await metadata.run(putVersion(putOf(scene, { content: { kind: "extent", extent } })))
  const copyOf = (content: Content, sharesWith = versionIdOfHead(head)) =>
    metadata.run(putVersion({ ...putOf(scene, { content, isShared: true }), sharesWith }))
  await refuses(copyOf({ kind: "extent", extent: other }), "conflict")
  await refuses(copyOf({ kind: "inline" }), "conflict")
  await refuses(copyOf({ kind: "extent", extent }, versionIdOf(1, randomOf(1))), "conflict")
  const moved = { ...extent, generation: 3 }
  await copyOf({ kind: "extent", extent: moved })
  const { content } = decodeVersion(must(findLatest(metadata.committed, row), "a copy").row.value)
  assert.deepEqual(content, { kind: "extent", extent }, "the copy references the source's current bytes")
  const segments = { kind: "segments", completion: randomOf(1) } as const
  const whole = { ...segments, multipartId: multipartIdOf(5, randomOf(5)) }
  const made = await metadata.run(putVersion(putOf(scene, { content: whole })))
  await refuses(
    copyOf({ ...segments, multipartId: multipartIdOf(6, randomOf(5)) }, versionIdOfHead(made.head)),
    "conflict",
  )
  await copyOf(whole, versionIdOfHead(made.head))
})

test("at most 128 versions share bytes: one command changes all of them", async () => {
  const scene = await newBucket()
  const { metadata } = scene
  await metadata.run(setVersioning(scene.bucketId, "enabled"))
  const content = { kind: "extent", extent: extentOf(50_000) } as const
  const { head } = await metadata.run(putVersion(putOf(scene, { content })))
  const sharesWith = versionIdOfHead(head)
  const copy = () => metadata.run(putVersion({ ...putOf(scene, { content, isShared: true }), sharesWith }))
  for (let copies = 1; copies < 128; copies += 1) await copy()
  await refuses(copy(), "conflict")
})

test("hints are written with the version that needs them, or separately", async () => {
  const scene = await newBucket()
  const hint = (number: number) => ({
    partition: parsePartitionId(number),
    deviceId: parseDeviceId("00000000000000d1"),
  })
  await scene.metadata.run(putVersion({ ...putOf(scene), hints: [hint(1), hint(2)] }))
  await scene.metadata.run(recordHints([hint(2), hint(3)]))
  assert.deepEqual(
    [...scene.metadata.committed.range("missingShardHints", ALL_ROWS)].map(([key]) => key),
    [1, 2, 3].map(number => hintRowKey(hint(number))),
  )
})

test("an access control list is replaced only by one for the same owner, and may be removed", async () => {
  const scene = await newBucket()
  const { metadata, bucketId } = scene
  const address = { bucketId, key: KEY, versionId: undefined }
  const acl = (owner: string) => ({ owner: parseAccountId(owner), grants: [] })
  const listOf = () => {
    const { row } = requireVersion(metadata.committed, bucketId, KEY, undefined)
    return readDetails(metadata.committed, scene.row, decodeVersion(row.value)).acl
  }
  await metadata.run(putVersion(putOf(scene, { details: { ...NO_DETAILS, acl: acl("writer") } })))
  await refuses(metadata.run(setAcl(address, acl("other"))), "conflict")
  await refuses(metadata.run(setAcl(address, undefined)), "conflict")
  await metadata.run(setAcl(address, acl("writer")))
  assert.deepEqual(listOf(), acl("writer"))
  await metadata.run(putVersion(putOf(scene)))
  await metadata.run(setAcl(address, undefined))
  assert.equal(listOf(), undefined)
})

test("missing details are reported as damage, not as an object without details", async () => {
  const scene = await newBucket()
  const { metadata, row } = scene
  await metadata.run(putVersion(putOf(scene, { details: detailsOf("tag", true) })))
  const [[detailsKey] = []] = [...metadata.committed.range("details", ALL_ROWS)]
  metadata.lose("details", must(detailsKey, "the details have a row"))
  const record = decodeVersion(must(findLatest(metadata.committed, row), "the object").row.value)
  assert.throws(
    () => readDetails(metadata.committed, row, record),
    error => isFailure(error, "corruptRecord"),
  )
})

test("a bucket that does not exist, or is being deleted, accepts no version", async () => {
  const scene = await newBucket()
  const { metadata, bucketId } = scene
  await refuses(metadata.run(putVersion({ ...putOf(scene), bucketId: parseBucketId(999) })), "noSuchBucket")
  await metadata.run(closeBucket(bucketId))
  await refuses(metadata.run(putVersion(putOf(scene))), "bucketClosing")
  await refuses(
    metadata.run(removeLatest({ bucketId, key: KEY, random: randomOf(1), conditions: {} })),
    "bucketClosing",
  )
})

test("commands declare the row that they read first, and those that free space succeed on a full disk", async () => {
  const scene = await newBucket()
  const { bucketId, row } = scene
  const address = { bucketId, key: KEY, versionId: NULL_VERSION, conditions: {}, random: randomOf(1) }
  const growing = [
    putVersion(putOf(scene)),
    setTags(address, [["a", "b"]]),
    setAcl(address, { owner: undefined, grants: [] }),
    setLegalHold(address, true),
  ]
  const removing = { clockMs: 1, bypassGovernance: true }
  const unlocking = [setLegalHold(address, false), setRetention(address, { retention: undefined, ...removing })]
  const removed = [setTags(address, []), setAcl(address, undefined)]
  const freeing = [removeLatest(address), removeVersion(address), ...unlocking, ...removed]
  for (const command of [...growing, ...freeing]) assert.deepEqual(command.touches, [["current", row]], command.name)
  for (const command of growing) assert.equal(command.grows, true, command.name)
  for (const command of [...freeing, recordHints([])]) assert.equal(command.grows, false, command.name)
})

test("removing a version that does not exist succeeds and changes nothing", async () => {
  const scene = await newBucket()
  const { metadata, bucketId } = scene
  await metadata.run(putVersion(putOf(scene)))
  const { position } = metadata
  const versionId = versionIdOf(5, randomOf(5))
  const removed = await metadata.run(removeVersion({ bucketId, key: KEY, versionId, conditions: {} }))
  assert.deepEqual(removed, { versioning: "never", versionId, deleteMarker: false })
  assert.equal(metadata.position, position)
})

test("a rewrite keeps inline bytes, also if a version is shared or moved below another", async () => {
  const scene = await newBucket()
  const { metadata, bucketId, row } = scene
  await metadata.run(setVersioning(bucketId, "enabled"))
  const inline = { content: { kind: "inline" }, payload: Uint8Array.of(7), sizeBytes: 1 } as const
  const { head } = await metadata.run(putVersion(putOf(scene, inline)))
  await metadata.run(setTags({ bucketId, key: KEY, versionId: undefined }, [["a", "b"]]))
  await metadata.run(putVersion(putOf(scene)))
  const found = must(findVersion(metadata.committed, row, versionIdOfHead(head)), "the older version")
  assert.equal(found.family, "versions")
  assert.deepEqual(found.row.payload?.bytes, Uint8Array.of(7))
})

test("details up to a limit are stored in the record, and larger ones in their own row", async () => {
  const scene = await newBucket()
  const { metadata, bucketId } = scene
  const ofSize = (characters: number) => ({ ...NO_DETAILS, userMetadata: [["k", "x".repeat(characters)] as const] })
  const overhead = encodeDetails(ofSize(400)).length - 400
  const largest = DETAILS_IN_RECORD_BYTES_MAX - overhead
  await metadata.run(putVersion(putOf(scene, { details: ofSize(largest) })))
  assert.equal(metadata.rows("details"), 0)
  await metadata.run(putVersion(putOf(scene, { details: ofSize(largest + 1) })))
  assert.equal(metadata.rows("details"), 1)
  await metadata.run(putVersion(putOf(scene, { details: ofSize(largest) })))
  assert.equal(metadata.rows("details"), 0)
  const tagged = (characters: number) => [["t", "x".repeat(characters)] as const]
  const tagOverhead = encodeDetails({ ...ofSize(0), tags: tagged(400) }).length - 400
  await metadata.run(putVersion(putOf(scene, { details: ofSize(0) })))
  const address = { bucketId, key: KEY, versionId: undefined }
  await metadata.run(setTags(address, tagged(DETAILS_IN_RECORD_BYTES_MAX - tagOverhead)))
  assert.equal(metadata.rows("details"), 0)
  await metadata.run(setTags(address, tagged(DETAILS_IN_RECORD_BYTES_MAX - tagOverhead + 1)))
  assert.equal(metadata.rows("details"), 1)
  await metadata.run(setTags(address, []))
  assert.equal(metadata.rows("details"), 0)
})
