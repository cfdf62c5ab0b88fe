/** Snapshots of the metadata: their contents, when they are made, and how long they are kept. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { hexOf } from "@hayloft/base/bytes.js"
import { must } from "@hayloft/base/assert.js"
import { fail } from "@hayloft/base/failures.js"
import { objectKeyOfText, parseAccountId, parseBucketId, parseBucketName, parseIncarnation } from "@hayloft/base/ids.js"
import {
  parseLogSequence,
  parsePosition,
  parseStoreId,
  parseTabletId,
  parseUploadId,
  type BucketId,
  type RowKey,
  type UploadId,
  type VersionId,
} from "@hayloft/base/ids.js"
import { KIB } from "@hayloft/base/limits.js"
import { parsePolicy } from "@hayloft/base/policy.js"
import type { Family } from "@hayloft/base/rows/families.js"
import { ALL_NEEDLES } from "@hayloft/engine/block/index.js"
import { TestDevices } from "@hayloft/engine/block/testing-blocks.js"
import { Rows } from "@hayloft/engine/device/index.js"
import { makeCodec } from "@hayloft/engine/erasure/index.js"
import { CONTROL_ROW_KEY } from "@hayloft/engine/format/nodes/cluster-rows.js"
import { decodeMetadataChunk, isDecidedBelow, type MetadataChunk } from "@hayloft/engine/format/metadata-backup.js"
import { accountNumberOf } from "@hayloft/engine/format/accounts/account-number.js"
import { BUCKET_SECRET, bucketKeyRowKey, encodeBucketKey } from "@hayloft/engine/format/objects/bucket-key.js"
import {
  decodeBucket,
  decodePendingDeletion,
  encodeAccount,
  type BucketRecord,
} from "@hayloft/engine/format/records.js"
import {
  bucketRowKey,
  objectRowKey,
  parseObjectRowKey,
  settingRowKey,
  textRowKey,
} from "@hayloft/engine/format/row-key.js"
import { isOrdered } from "@hayloft/engine/format/needles/upload-id.js"
import { decodeVersion } from "@hayloft/engine/format/objects/version-record.js"
import {
  command,
  reservedThreads,
  soleProcess,
  withFront,
  withoutFront,
  type Metadata,
} from "@hayloft/engine/metadata/index.js"
import { incarnationsOf } from "@hayloft/engine/metadata/testing-incarnations.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { MemoryStores } from "@hayloft/base/seams/store/testing-memory.js"
import { SYSTEM_BUCKET, SYSTEM_BUCKET_ID } from "@hayloft/objects/index.js"
import { storedSnapshots } from "./metadata-backup-bucket.js"
import { WatchedMetadata } from "@hayloft/objects/watched-metadata.js"
import { walkSlice, WALK_START, type WalkedRow, type WalkPlace } from "./metadata-backup-core.js"
import { MetadataBackup, METADATA_BACKUP_LIMITS } from "./metadata-backup.js"
import { plainIngest } from "./testing-ingest.js"
import { sourceOf } from "@hayloft/objects/bodies/testing-bodies.js"
import { StoreWorld } from "../testing-services.js"
import { Uploads } from "@hayloft/objects/bodies/uploads.js"

const noSignal = new AbortController().signal
const makeRows = async () => new Rows(await new MemoryStores().openReader("base"), parseLogSequence(0))
const storeId = parseStoreId("ab".repeat(16))

/** A world with its own backup, which counts the changes made through `world`. */
class Scene {
  readonly changes: WatchedMetadata
  readonly uploads: Uploads
  readonly backup: MetadataBackup

  constructor(
    readonly world: StoreWorld<TestDevices>,
    number = 1,
    isShared = false,
    metadata: Metadata = world.tablet,
  ) {
    const { tablet, blocks, telemetry } = world
    tablet.incarnations = soleProcess(parseIncarnation(number))
    this.changes = new WatchedMetadata(tablet)
    this.uploads = new Uploads(new SimRandom(77 + number), tablet, blocks, telemetry.log)
    const { backend, ingest } = plainIngest(world, this.uploads, metadata)
    const facts = { storeId, tabletId: parseTabletId(1) }
    const random = new SimRandom(5)
    this.backup = new MetadataBackup(backend, random, ingest, isShared ? undefined : this.changes, facts)
  }

  static async open(policy = "ec:2+2"): Promise<Scene> {
    return new Scene(await StoreWorld.open(new TestDevices(makeRows), makeCodec, parsePolicy(policy)))
  }

  async put(key: string, bytes: Uint8Array): Promise<void> {
    await this.world.put(key, bytes)
    this.changes.changes += 1
  }

  /** Steps until nothing is left to do; returns the number of steps. */
  async settle(): Promise<number> {
    for (let steps = 1; steps < 5_000; steps += 1) {
      if ((await this.world.clock.runUntil(this.backup.step())) === "idle") return steps
    }
    throw new Error("the backup does not become idle")
  }

  async later(ms: number = METADATA_BACKUP_LIMITS.everyMs): Promise<number> {
    await this.world.clock.advance(ms)
    return this.settle()
  }

  get snapshots() {
    return storedSnapshots(this.world.tablet.committed)
  }

  /** The chunks of a snapshot, read back like objects of a user. */
  async chunks(number: number): Promise<MetadataChunk[]> {
    const chunks: MetadataChunk[] = []
    for (const key of this.snapshots.at(number)?.keys ?? []) {
      const read = async () => {
        const pieces: Uint8Array[] = []
        const body = await this.world.services.objects.get({ bucket: SYSTEM_BUCKET, key, conditions: {} })
        for await (const piece of body.read(noSignal)) pieces.push(piece.slice())
        return Buffer.concat(pieces)
      }
      chunks.push(decodeMetadataChunk(await this.world.clock.runUntil(read())))
    }
    return chunks
  }
}

test("a snapshot contains every row with its payload, its store and its time", async () => {
  const scene = await Scene.open()
  const { world } = scene
  await scene.put("small", Buffer.from("inline"))
  await scene.put("large", world.random.bytes(40 * KIB))
  await scene.later()
  const [chunk, ...more] = await scene.chunks(0)
  assert.ok(chunk && more.length === 0)
  const { header, records } = chunk
  assert.deepEqual([header.storeId, header.number, header.isLast, header.recordsBefore], [storeId, 0, true, 0])
  assert.ok(header.fromPosition > 0 && header.atPosition >= header.fromPosition)
  const families = new Map<string, number>()
  for (const { family } of records) families.set(family, (families.get(family) ?? 0) + 1)
  assert.equal(families.get("current"), 2, "the objects of users, and no chunks")
  for (const family of ["names", "buckets", "counters", "accountBuckets"]) assert.ok(families.has(family), family)
  const rowOf = (key: string) => {
    const rowKey = objectRowKey(world.home.id, objectKeyOfText(key))
    return must(
      records.find(record => record.family === "current" && record.key === rowKey),
      "the row exists",
    )
  }
  assert.equal(Buffer.from(rowOf("small").payload ?? []).toString(), "inline")
  assert.equal(rowOf("large").payload, undefined)
  assert.equal(decodeVersion(rowOf("large").value).content.kind, "extent")
  assert.ok(
    (await world.blocks.shardScan(ALL_NEEDLES.start)).groups.length >= 4,
    "even a small snapshot is stored in blocks",
  )
})

test("an object whose payload is overwritten whenever it is read is in the snapshot without it, so that a rescue names it", async () => {
  const scene = await Scene.open()
  const { tablet, home } = scene.world
  const hot = objectRowKey(home.id, objectKeyOfText("hot"))
  const payload: Metadata["payload"] = tablet.payload.bind(tablet)
  const overwritten: Metadata["payload"] = (family, key, row) =>
    key === hot ? Promise.resolve(undefined) : payload(family, key, row)
  Object.defineProperty(tablet, "payload", { value: overwritten })
  for (const key of ["cold", "hot", "warm"]) await scene.put(key, Buffer.from(key))
  await scene.later()
  const [chunk] = await scene.chunks(0)
  const found = chunk?.records.filter(({ family }) => family === "current") ?? []
  assert.deepEqual(
    found.map(({ payload: bytes }) => bytes && Buffer.from(bytes).toString()),
    ["cold", undefined, "warm"],
  )
})

test("no user sees the bucket of the snapshots", async () => {
  const scene = await Scene.open()
  await scene.put("a", Buffer.from("a"))
  await scene.later()
  const { buckets } = scene.world.services
  await assert.rejects(async () => buckets.open(SYSTEM_BUCKET.name), /does not exist/)
  for (const owner of [SYSTEM_BUCKET.owner, scene.world.home.owner]) {
    const listed = await buckets.list({ owner, max: 10 })
    assert.ok(listed.buckets.every(({ id }) => id !== SYSTEM_BUCKET_ID))
  }
  // A user who chooses its name gets a separate bucket.
  const same = await buckets.create({ name: SYSTEM_BUCKET.name, owner: parseAccountId("root"), location: "" })
  assert.notEqual(same.id, SYSTEM_BUCKET_ID)
  const page = await scene.world.services.objects.list({ bucket: same, prefix: "", delimiter: "", after: "", max: 10 })
  assert.deepEqual(page.entries, [])
})

test("snapshots are made after changes, hourly at most, and two are kept", async () => {
  const scene = await Scene.open()
  await scene.put("a", scene.world.random.bytes(20 * KIB))
  assert.equal(await scene.later(METADATA_BACKUP_LIMITS.firstAfterMs - 1), 1)
  assert.equal(scene.snapshots.length, 0, "not in the first minutes")
  await scene.later(1)
  assert.equal(scene.snapshots.length, 1)
  await scene.later(24 * METADATA_BACKUP_LIMITS.everyMs)
  assert.equal(scene.snapshots.length, 1, "nothing changed")
  const names = [scene.snapshots[0]?.name]
  for (let round = 0; round < 3; round += 1) {
    await scene.put(`b${round}`, Buffer.from("b"))
    await scene.later(round === 0 ? 1 : METADATA_BACKUP_LIMITS.everyMs)
    names.push(scene.snapshots.at(-1)?.name)
    await scene.put(`c${round}`, Buffer.from("c"))
    assert.equal(await scene.later(METADATA_BACKUP_LIMITS.everyMs - 1), 1, "not twice within the hour")
  }
  assert.equal(new Set(names).size, 4)
  assert.deepEqual(
    scene.snapshots.map(({ name, isComplete }) => [name, isComplete]),
    names.slice(-2).map(name => [name, true]),
  )
  await scene.world.settle("collector")
  const uploads = new Set((await scene.world.blocks.shardScan(ALL_NEEDLES.start)).groups.map(group => group.uploadId))
  assert.equal(uploads.size, 3, "the object and two snapshots: outdated ones are deleted")
})

test("a new store has a snapshot within minutes, and the next ones in intervals that double up to an hour", async () => {
  const scene = await Scene.open()
  const begun: number[] = []
  let name: string | undefined
  for (let minute = 1; minute <= 250; minute += 1) {
    await scene.put("a", Buffer.from(String(minute)))
    await scene.later(60_000)
    if (scene.snapshots.at(-1)?.name === name) continue
    name = scene.snapshots.at(-1)?.name
    begun.push(minute)
  }
  assert.deepEqual(begun, [2, 4, 8, 16, 32, 64, 124, 184, 244])
  assert.match(scene.backup.progress(), /^the last snapshot is from .* \d+ min old$/)
})

test("a snapshot of many rows has numbered chunks, the last one marked as such", async () => {
  const scene = await Scene.open("replica:1")
  // Rows of 3 KiB and more.
  const tags = Array.from({ length: 10 }, (_, i): [string, string] => [`tag${i}`, "x".repeat(250)])
  const bytes = scene.world.random.bytes(4_000)
  for (let i = 0; i < 900; i += 1) {
    const target = { bucket: scene.world.home, key: objectKeyOfText(`key${i}`), conditions: {} }
    const what = { attributes: { headers: {}, userMetadata: [] }, tags, signal: noSignal, body: sourceOf(bytes) }
    await scene.world.clock.runUntil(scene.world.services.objects.put({ ...target, ...what }))
  }
  scene.changes.changes += 1
  await scene.later()
  const chunks = await scene.chunks(0)
  assert.ok(chunks.length >= 2, `${chunks.length} chunks`)
  let before = 0
  for (const [number, { header, records }] of chunks.entries()) {
    assert.deepEqual(
      [header.number, header.isLast, header.recordsBefore],
      [number, number === chunks.length - 1, before],
    )
    before += records.length
  }
  const keys = chunks.flatMap(({ records }) => records.filter(({ family }) => family === "current"))
  assert.equal(new Set(keys.map(({ key }) => key)).size, 900)
  assert.ok(keys.every(({ payload }) => payload?.length === 4_000))
})

test("a full disk ends a snapshot without an error, and its chunks are deleted", async () => {
  const scene = await Scene.open()
  await scene.put("a", Buffer.from("a"))
  await scene.later()
  await scene.put("b", Buffer.from("b"))
  scene.world.devices.meddle = what => {
    if (what === "append") throw fail("deviceFull")
  }
  await scene.later()
  assert.deepEqual(
    scene.snapshots.map(({ isComplete }) => isComplete),
    [true],
  )
  scene.world.devices.meddle = () => undefined
  await scene.put("c", Buffer.from("c"))
  await scene.later()
  assert.equal(scene.snapshots.length, 2)
})

test("an ordered snapshot that a full disk ends is made a minute later, even if nothing changes", async () => {
  const scene = await Scene.open()
  await scene.put("a", Buffer.from("a"))
  const order = scene.backup.order()
  scene.world.devices.meddle = what => {
    if (what === "append") throw fail("deviceFull")
  }
  await scene.settle()
  assert.match(scene.backup.progress(), /^an ordered snapshot waits: .*full.*; there is no snapshot/)
  const { isOrdered, waits = "", completedMs: before } = scene.backup.report()
  assert.deepEqual([isOrdered, /full/.test(waits), before], [true, true, undefined])
  await scene.later(METADATA_BACKUP_LIMITS.retryMs)
  scene.world.devices.meddle = () => undefined
  await scene.later(METADATA_BACKUP_LIMITS.retryMs - 1)
  assert.equal(scene.backup.isComplete(order), false, "it does not try all the time")
  await scene.later(1)
  assert.ok(scene.backup.isComplete(order))
  assert.equal(scene.snapshots.length, 1)
  await scene.later(METADATA_BACKUP_LIMITS.retryMs)
  assert.equal(scene.snapshots.length, 1)
  const { waits: nothing, ...done } = scene.backup.report()
  assert.deepEqual([done.isOrdered, nothing, done.sizeBytes], [false, undefined, scene.snapshots[0]?.sizeBytes])
})

test("while a snapshot is ordered, its progress names no earlier one as the last", async () => {
  const before = await Scene.open()
  assert.equal(before.backup.progress(), "looking for the last snapshot")
  await before.put("a", Buffer.from("a"))
  before.backup.order()
  await before.settle()
  const first = before.backup.progress()
  assert.match(first, /^the last snapshot is from /)
  await before.world.clock.advance(60_000)
  const scene = new Scene(before.world.restart(2), 2)
  scene.backup.order()
  const seen = [scene.backup.progress()]
  while ((await scene.world.clock.runUntil(scene.backup.step())) !== "idle") seen.push(scene.backup.progress())
  const last = scene.backup.progress()
  assert.match(last, /^the last snapshot is from /)
  const early = seen.filter(text => text.startsWith("the last snapshot") && text !== last)
  assert.deepEqual(early, [], seen.join("\n"))
})

test("unfinished snapshots of an earlier process are removed, and a start alone makes no snapshot", async () => {
  const scene = await Scene.open()
  for (let i = 0; i < 30; i += 1) await scene.put(`key${i}`, Buffer.from("x"))
  await scene.later()
  // A first chunk of a snapshot that never ended.
  const [complete] = scene.snapshots
  const unfinished = objectKeyOfText("metadata/9999999999999999-0000000001/00000000")
  const chunk = sourceOf(scene.world.random.bytes(5_000))
  const put = { attributes: { headers: {}, userMetadata: [] }, tags: [], signal: noSignal, conditions: {}, body: chunk }
  await scene.world.clock.runUntil(scene.world.services.objects.put({ bucket: SYSTEM_BUCKET, key: unfinished, ...put }))
  assert.equal(scene.snapshots.length, 2)
  const next = new Scene(scene.world.restart(2), 2)
  await next.later(METADATA_BACKUP_LIMITS.firstAfterMs)
  assert.equal(next.snapshots.length, 2, "the last complete one is recent")
  await next.later()
  assert.deepEqual(
    next.snapshots.map(({ isComplete }) => isComplete),
    [true, true],
  )
  assert.equal(next.snapshots[0]?.name, complete?.name)
})

test("an upload in progress is undecided; all earlier uploads that have ended are decided", async () => {
  const { uploads } = await Scene.open()
  const [first, second, third] = [uploads.nextId(), uploads.nextId(), uploads.nextId()]
  uploads.release(first)
  uploads.release(third)
  const decided = (id: UploadId) => isDecidedBelow(id, uploads.decidedBelow)
  assert.deepEqual([first, second, third].map(decided), [true, false, false])
  uploads.release(second)
  assert.deepEqual([first, second, third].map(decided), [true, true, true])
  assert.equal(decided(uploads.nextId()), false)
})

test("in a shared store a snapshot follows every hour: other processes may have changed something", async () => {
  const { world } = await Scene.open()
  const scene = new Scene(world, 1, true)
  await scene.later()
  assert.equal(scene.snapshots.length, 1)
  await scene.later()
  assert.equal(scene.snapshots.length, 2)
})

test("a snapshot is newer than those that other processes have written before, whatever their positions", async () => {
  const first = await Scene.open()
  const { world } = first
  await first.put("key", Buffer.from("x"))
  await first.later()
  /** A process whose positions are below those of the first one. */
  class EarlierPositions extends WatchedMetadata {
    override get position() {
      return parsePosition(1)
    }
  }
  const second = new Scene(world, 2, true, new EarlierPositions(world.tablet))
  for (let round = 0; round < 3; round += 1) {
    const before = second.snapshots.at(-1)?.modifiedMs ?? 0
    await second.later()
    assert.ok((second.snapshots.at(-1)?.modifiedMs ?? 0) > before, `round ${round}: the last one is the newest`)
    assert.equal(second.snapshots.length, 2)
  }
})

test("a process that loses the job while it writes a snapshot begins another one when it has the job again", async () => {
  const scene = await Scene.open()
  await scene.put("key", Buffer.from("x"))
  await scene.world.clock.advance(METADATA_BACKUP_LIMITS.everyMs)
  await scene.world.clock.runUntil(scene.backup.step())
  assert.match(scene.backup.progress(), /^writing/)
  await scene.backup.release()
  await scene.settle()
  assert.equal(scene.snapshots.length, 0)
  await scene.put("key", Buffer.from("y"))
  await scene.later()
  assert.deepEqual(
    scene.snapshots.map(({ isComplete }) => isComplete),
    [true],
  )
})

test("uploads of another live process are undecided, also those that it begins after the snapshot", async () => {
  const { uploads, world } = await Scene.open()
  const before = uploads.nextId()
  uploads.release(before)
  const [five, seven] = [parseIncarnation(5), parseIncarnation(7)]
  const idOf = (incarnation: number) => parseUploadId(`${incarnation.toString(16).padStart(8, "0")}${"0".repeat(24)}`)
  world.tablet.incarnations = { own: seven, oldestLive: five, isOver: each => each < five }
  const decided = (id: UploadId) => isDecidedBelow(id, uploads.decidedBelow)
  assert.deepEqual([before, idOf(4), idOf(5), idOf(6), idOf(7)].map(decided), [true, true, false, false, false])
  world.tablet.incarnations = soleProcess(seven)
  assert.deepEqual([idOf(5), idOf(6), uploads.nextId()].map(decided), [true, true, false])
})

test("uploads of fronts are undecided, also of those that begin after the snapshot", async () => {
  const { uploads, world } = await Scene.open()
  let threads = reservedThreads(parseIncarnation(9), 4)
  world.tablet.incarnations = incarnationsOf(() => threads, threads.own)
  const idOf = (incarnation: number) => parseUploadId(`${incarnation.toString(16).padStart(8, "0")}${"0".repeat(24)}`)
  const decided = (id: UploadId) => isDecidedBelow(id, uploads.decidedBelow)
  assert.deepEqual([4, 5, 9].map(idOf).map(decided), [true, false, false])
  const { front, after } = withFront(threads)
  threads = after
  assert.deepEqual([4, 5, 6, 9].map(idOf).map(decided), [true, false, false, false])
  threads = withoutFront(threads, front)
  assert.deepEqual([5, 6, 9].map(idOf).map(decided), [true, false, false])
})

test("ids of a process with fronts tell that they have no order, and those of others that they have", async () => {
  const idsOf = async (of: Metadata["incarnations"]) => {
    const { uploads, world } = await Scene.open()
    world.tablet.incarnations = of
    const ids = [uploads.nextId(), uploads.nextId()] as const
    for (const each of ids) assert.equal(isDecidedBelow(each, uploads.decidedBelow), false)
    for (const each of ids) uploads.release(each)
    return ids
  }
  const threads = withFront(reservedThreads(parseIncarnation(9), 4)).after
  const alone = await idsOf(soleProcess(parseIncarnation(4)))
  const front = await idsOf(incarnationsOf(() => threads, parseIncarnation(5)))
  const engine = await idsOf(incarnationsOf(() => threads, threads.own))
  const next = await idsOf(soleProcess(parseIncarnation(10)))
  for (const [first, second] of [alone, front, engine, next]) assert.ok(isOrdered(first, second) && first < second)
  assert.equal(isOrdered(front[0], engine[0]), false)
  for (const each of [front[0], engine[0]]) assert.ok(isOrdered(alone[0], each) && isOrdered(each, next[0]))
})

test("what the nodes of a store share is not part of a snapshot", async () => {
  const scene = await Scene.open()
  const record = Uint8Array.of(1)
  await scene.world.tablet.run(
    command<[], void>({
      name: "Share",
      decide: () => ({ writes: [{ family: "cluster", key: CONTROL_ROW_KEY, value: record }], result: undefined }),
    })(),
  )
  const families = new Set((await walked(scene, () => Promise.resolve())).map(({ family }) => family))
  assert.ok(families.has("buckets") && !families.has("cluster"))
})

/** The rows of a walk in small slices, with an action between them. */
async function walked(scene: Scene, between: () => Promise<void>): Promise<WalkedRow[]> {
  const rows: WalkedRow[] = []
  const limits = { rowsPerStep: 3, bytesPerStep: 1e9, rowsPerSliceMax: 1_000 }
  for (let place: WalkPlace | undefined = WALK_START; place !== undefined;) {
    const slice = walkSlice(scene.world.tablet.committed, place, limits)
    rows.push(...slice.rows)
    place = slice.next
    await between()
  }
  return rows
}

/** The row of bucket 0 holds the last assigned id. */
const LAST_BUCKET_ID = bucketRowKey(parseBucketId(0))

const writeRow = command<[family: Family, key: RowKey, value: Uint8Array], void>({
  name: "WriteRow",
  decide: (_view, _time, family, key, value) => ({ writes: [{ family, key, value }], result: undefined }),
})

test("what objects and buckets refer to is in a walk with them, also if it was made during the walk", async () => {
  const scene = await Scene.open("replica:1")
  const { world } = scene
  const { objects, buckets } = world.services
  const objectKey = objectKeyOfText("key")
  for (let i = 0; i < 20; i += 1) await scene.put(`before ${i}`, world.random.bytes(10))
  let made = 0
  const make = async () => {
    if (made === 25) return
    made += 1
    const owner = parseAccountId(`owner-${made}`)
    const account = { id: owner, displayName: "", email: "", createdMs: 0, number: accountNumberOf(owner) }
    await world.tablet.run(writeRow("accounts", textRowKey(owner), encodeAccount(account)))
    const name = parseBucketName(`bucket-${made}`)
    const bucket = await buckets.create({ name, owner, location: "", settings: new Map([["cors", "a"]]) })
    const secret = encodeBucketKey({ kind: "secret", createdMs: 0, epoch: 0, sealed: new Uint8Array(60) })
    await world.tablet.run(writeRow("bucketKeys", bucketKeyRowKey(bucket.id, BUCKET_SECRET), secret))
    await buckets.setSetting(bucket, "tagging", "b")
    const attributes = { headers: {}, userMetadata: [] }
    const body = sourceOf(world.random.bytes(50))
    await objects.put({ bucket, key: objectKey, attributes, tags: [], conditions: {}, signal: noSignal, body })
  }
  const rows = await walked(scene, make)
  const has = new Set(rows.map(row => `${row.family} ${row.key}`))
  const found = new Map<BucketId, BucketRecord>()
  for (const { family, key, row } of rows) {
    const bucket = family === "buckets" && key !== LAST_BUCKET_ID ? decodeBucket(row.value) : undefined
    if (bucket !== undefined) found.set(bucket.id, bucket)
  }
  for (const { id, owner, settings } of found.values()) {
    if (id === world.home.id || id === SYSTEM_BUCKET_ID) continue
    assert.ok(has.has(`accounts ${textRowKey(owner)}`), `the account of bucket ${id}`)
    for (const name of settings) assert.ok(has.has(`settings ${settingRowKey(id, name)}`), `${name} of bucket ${id}`)
  }
  let objectsFound = 0
  for (const { family, key: row } of rows) {
    if (family !== "current") continue
    const id = parseBucketId(parseObjectRowKey(row).bucketId)
    assert.ok(found.has(id), `bucket ${id}`)
    if (id === world.home.id) continue
    assert.ok(has.has(`bucketKeys ${bucketKeyRowKey(id, BUCKET_SECRET)}`), `the secret of bucket ${id}`)
    objectsFound += 1
  }
  assert.ok(objectsFound > 15, `${objectsFound} objects`)
})

test("a version that exists throughout a walk is in it, wherever it moves meanwhile", async () => {
  const scene = await Scene.open("replica:1")
  const { world } = scene
  const { objects, buckets } = world.services
  const bucket = await buckets.create({ name: parseBucketName("versions"), owner: parseAccountId("o"), location: "" })
  await buckets.setVersioning(bucket, "enabled")
  const keys = Array.from({ length: 8 }, (_, i) => objectKeyOfText(`key${i}`))
  const alive = new Map<string, { versionId: VersionId; key: (typeof keys)[number]; md5: string }>()
  const put = async (key: (typeof keys)[number]) => {
    const body = sourceOf(world.random.bytes(50))
    const request = {
      bucket,
      key,
      attributes: { headers: {}, userMetadata: [] },
      tags: [],
      conditions: {},
      signal: noSignal,
      body,
    }
    const { versionId, etag } = await objects.put(request)
    alive.set(String(versionId), { versionId: must(versionId, "versioned"), key, md5: etag })
  }
  for (const key of keys) for (let i = 0; i < 3; i += 1) await put(key)
  for (let round = 0; round < 20; round += 1) {
    const begun = new Map(alive)
    const rows = await walked(scene, async () => {
      for (let i = 0; i < 3; i += 1) {
        const key = must(keys[world.random.below(keys.length)], "there are keys")
        if (world.random.below(2) === 0) await put(key)
        else {
          // The latest, so that the previous one becomes current.
          const latest = [...alive.values()].findLast(version => version.key === key)
          if (latest === undefined) continue
          await objects.remove({ bucket, key, versionId: latest.versionId, conditions: {} })
          alive.delete(String(latest.versionId))
        }
      }
    })
    const found = new Set(
      rows.flatMap(({ family, row }) =>
        family === "current" || family === "versions" ? [hexOf(decodeVersion(row.value).head.md5)] : [],
      ),
    )
    for (const [id, { md5 }] of begun) if (alive.has(id)) assert.ok(found.has(md5), `round ${round}: ${id}`)
  }
})

test("an upload that is replaced during a walk is in the row that was read, or among the pending deletions", async () => {
  const scene = await Scene.open("replica:1")
  const { world } = scene
  const keys = Array.from({ length: 12 }, (_, i) => `key${i}`)
  const uploadOf = (key: string): UploadId | undefined => {
    const row = world.tablet.committed.get("current", objectRowKey(world.home.id, objectKeyOfText(key)))
    const content = row && decodeVersion(row.value).content
    return content?.kind === "extent" ? content.extent.uploadId : undefined
  }
  for (const key of keys) await scene.put(key, world.random.bytes(20 * KIB))
  const replaced = new Set<UploadId>()
  const rows = await walked(scene, async () => {
    const key = must(keys[world.random.below(keys.length)], "there are keys")
    replaced.add(must(uploadOf(key), "it is stored in blocks"))
    await scene.put(key, world.random.bytes(20 * KIB))
  })
  const found = new Set<UploadId>()
  for (const { family, row } of rows) {
    const content = family === "current" ? decodeVersion(row.value).content : undefined
    const release = family === "pendingDeletions" ? decodePendingDeletion(row.value) : undefined
    if (content?.kind === "extent") found.add(content.extent.uploadId)
    if (release?.kind === "extent") found.add(release.extent.uploadId)
  }
  // Uploads that were stored and replaced during the last steps may be younger than all that was read.
  const missing = [...replaced].slice(0, -3).filter(uploadId => !found.has(uploadId))
  assert.ok(replaced.size > 10)
  assert.deepEqual(missing, [])
})

test("a key with more rows than fit a slice has several, with its current row repeated after them", async () => {
  const scene = await Scene.open("replica:1")
  const { objects, buckets } = scene.world.services
  const bucket = await buckets.create({ name: parseBucketName("versions"), owner: parseAccountId("o"), location: "" })
  await buckets.setVersioning(bucket, "enabled")
  const put = (key: string) => {
    const target = { bucket, key: objectKeyOfText(key), conditions: {}, signal: noSignal }
    return objects.put({
      ...target,
      attributes: { headers: {}, userMetadata: [] },
      tags: [],
      body: sourceOf(Buffer.from(key)),
    })
  }
  for (let i = 0; i < 20; i += 1) await put("many")
  await put("one")
  const rows: WalkedRow[] = []
  const limits = { rowsPerStep: 4, bytesPerStep: 1e9, rowsPerSliceMax: 6 }
  let longest = 0
  for (let place: WalkPlace | undefined = WALK_START; place !== undefined;) {
    const slice = walkSlice(scene.world.tablet.committed, place, limits)
    longest = Math.max(longest, slice.rows.length)
    rows.push(...slice.rows)
    place = slice.next
  }
  assert.ok(longest <= 7, `${longest} rows in one slice`)
  const stem = objectRowKey(bucket.id, objectKeyOfText("many"))
  const ofMany = rows.filter(({ key, family }) => key.startsWith(stem) && family !== "heads")
  assert.equal(ofMany.length, 21)
  assert.deepEqual(
    [ofMany[0], ofMany.at(-1)].map(row => [row?.family, row?.key]),
    [
      ["current", stem],
      ["current", stem],
    ],
  )
  assert.equal(new Set(ofMany.map(({ key }) => key)).size, 20)
})
