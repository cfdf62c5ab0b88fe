/** Tests of what a rescue recovers of a store without metadata, and what it does not: byte for byte, list by list. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { hexOf } from "@hayloft/base/bytes.js"
import { fail } from "@hayloft/base/failures.js"
import { objectKeyOfText } from "@hayloft/base/ids.js"
import { KIB, MIB } from "@hayloft/base/limits.js"
import type { ShardHeader } from "@hayloft/engine/format/needles/needle.js"
import { SYSTEM_BUCKET_ID } from "@hayloft/objects/index.js"
import { interceptedDisk, type Disk } from "@hayloft/base/seams/disk/index.js"
import { salvageNeedles } from "@hayloft/engine/volume/index.js"
import { noSignal, sourceOf } from "../testing-engine.js"
import type { RescueEntry } from "./report.js"
import { DoomedStore, type Rescued } from "./testing-rescue.js"

const nameOf = ({ bucket = "", key, name }: RescueEntry): string => (key === undefined ? `${name}` : `${bucket}/${key}`)

/** The contents of each list: objects and buckets. */
const listsOf = ({ entries }: Rescued) => {
  const of = (list: RescueEntry["list"]) => entries.filter(entry => entry.list === list && entry.kind !== "account")
  return {
    certain: of("certain").map(nameOf).sort(),
    probable: of("probable").map(nameOf).sort(),
    incomplete: of("incomplete").map(nameOf).sort(),
  }
}

const entryOf = ({ entries }: Rescued, name: string, list: RescueEntry["list"]): RescueEntry => {
  const found = entries.filter(entry => entry.list === list && nameOf(entry) === name)
  assert.equal(found.length, 1, `${name} is once in ${list}`)
  return found[0] ?? assert.fail()
}

/** A store with everything in it, a snapshot in the middle of its history, and some more after that. */
async function eventfulStore(devices: number) {
  const store = await DoomedStore.open(devices)
  const plain = await store.bucket("plain")
  const bodies = {
    small: Buffer.from("a few bytes"),
    large: store.bytes(300 * KIB),
    before: store.bytes(100 * KIB),
    after: store.bytes(90 * KIB),
    late: store.bytes(70 * KIB),
    parts: [store.bytes(5 * MIB), store.bytes(20 * KIB)],
    lateParts: [store.bytes(5 * MIB), store.bytes(10 * KIB)],
  }
  await store.put(plain, "small", bodies.small)
  await store.put(plain, "large", bodies.large)
  await store.put(plain, "overwritten early", bodies.late)
  await store.put(plain, "overwritten early", bodies.before)
  await store.put(plain, "overwritten late", bodies.before)
  await store.put(plain, "overwritten late, not yet collected", bodies.before)
  await store.put(plain, "deleted early", bodies.before)
  await store.put(plain, "deleted late", bodies.before)
  await store.put(plain, "deleted late, not yet collected", bodies.before)
  const etag = await store.putParts(plain, "parts", bodies.parts)
  await store.remove(plain, "deleted early")
  const empty = await store.bucket("empty")
  await store.set(empty, "tagging", "<Tagging/>")
  await store.set(empty, "cors", "<CORSConfiguration/>")
  await store.set(empty, "cors", undefined)
  await store.settle("collector")
  await store.backUp()
  await store.put(plain, "late, small", bodies.small)
  await store.put(plain, "late", bodies.late)
  await store.put(plain, "overwritten late", bodies.after)
  await store.putParts(plain, "late parts", bodies.lateParts)
  await store.remove(plain, "deleted late")
  await store.settle("collector")
  await store.put(plain, "overwritten late, not yet collected", bodies.after)
  await store.remove(plain, "deleted late, not yet collected")
  return { store, bodies, etag }
}

function assertEventful(rescued: Rescued, { bodies, etag }: Awaited<ReturnType<typeof eventfulStore>>): void {
  const { target, summary } = rescued
  const bytesOf = (key: string) => target.latest("plain", key)?.bytes
  assert.deepEqual(bytesOf("small"), bodies.small, "inline bytes were in the snapshot")
  assert.deepEqual(bytesOf("large"), Buffer.from(bodies.large))
  assert.deepEqual(bytesOf("overwritten early"), Buffer.from(bodies.before))
  for (const key of ["overwritten late", "overwritten late, not yet collected"]) {
    assert.deepEqual(bytesOf(key), Buffer.from(bodies.after), "the newer one, of which needles tell")
  }
  assert.deepEqual(bytesOf("parts"), Buffer.concat(bodies.parts))
  assert.deepEqual(bytesOf("late"), Buffer.from(bodies.late))
  assert.deepEqual(bytesOf("late parts"), Buffer.concat(bodies.lateParts))
  assert.equal(bytesOf("deleted early"), undefined, "the snapshot does not name it, and it is older")
  assert.deepEqual(bytesOf("deleted late, not yet collected"), Buffer.from(bodies.before), "nothing tells of deletions")
  assert.equal(bytesOf("late, small"), undefined, "lost: it was in the log alone")
  const parts = target.latest("plain", "parts")
  assert.equal(parts?.reportEntry.etag, etag)
  assert.ok(parts?.content.kind === "multipart" && parts.content.parts.length === 2)
  const large = target.latest("plain", "large")
  assert.deepEqual(large?.details.tags, [["of", "large"]])
  assert.deepEqual(large.details.userMetadata, [["name", "large"]])
  assert.deepEqual(large.details.acl, { owner: "writer", grants: [] })
  assert.deepEqual([...(target.buckets.get("empty")?.settings ?? [])], [["tagging", "<Tagging/>"]])
  assert.equal(summary.snapshot?.isComplete, true)
  assert.ok(target.isFinished)
}

const CERTAIN = [
  "empty",
  "plain",
  "plain/deleted late, not yet collected",
  "plain/large",
  "plain/overwritten early",
  "plain/parts",
  "plain/small",
]

for (const [devices, present] of [
  [4, [1, 2, 3, 4]],
  [4, [2, 4]],
  [4, [1, 3]],
  [1, [1]],
] as const) {
  test(`${present.length} of ${devices} folders, all metadata stores and logs lost: exactly this is recovered`, async () => {
    const eventful = await eventfulStore(devices)
    const rescued = await eventful.store.rescue(present)
    assertEventful(rescued, eventful)
    const lists = listsOf(rescued)
    const overwritten = "plain/overwritten late, not yet collected"
    assert.deepEqual(lists.probable, ["plain/late", "plain/late parts", "plain/overwritten late", overwritten])
    assert.deepEqual(lists.certain, [...CERTAIN, overwritten].sort())
    // Its shards are gone. A record with all folders would show that it was deleted, but there is none.
    assert.deepEqual(lists.incomplete, ["plain/deleted late"])
    assert.match(entryOf(rescued, "plain/deleted late", "incomplete").notes.join(), /was deleted, or/)
    const covered = entryOf(rescued, overwritten, "certain")
    assert.equal(covered.isWritten, false)
    assert.match(covered.notes.join(), /overwritten since/)
    assert.equal(entryOf(rescued, overwritten, "probable").isWritten, true)
  })
}

test("type and metadata of objects outside the snapshot come from recovery headers, whichever folders are left", async () => {
  const { store } = await eventfulStore(4)
  for (const present of [
    [1, 2],
    [3, 4],
    [1, 4],
  ]) {
    const { target } = await store.rescue(present)
    const late = target.latest("plain", "late")
    assert.deepEqual(late?.details.headers, [["contentType", "text/late"]])
    assert.deepEqual(late.details.userMetadata, [["name", "late"]])
    assert.deepEqual(target.latest("plain", "late parts")?.details.headers, [["contentType", "text/late parts"]])
  }
})

test("one folder of four in 2+2: nothing can be recovered, and everything is reported", async () => {
  const { store } = await eventfulStore(4)
  const rescued = await store.rescue([2])
  const { certain, probable, incomplete } = listsOf(rescued)
  assert.deepEqual([certain, probable, rescued.target.keys.size], [[], [], 0])
  assert.equal(rescued.summary.snapshot, undefined)
  for (const key of ["large", "late", "late parts", "parts", "overwritten early"]) {
    assert.ok(incomplete.includes(`plain/${key}`), key)
  }
})

test("no snapshot at all: the newest upload of each key is probable, and inline objects are lost", async () => {
  const store = await DoomedStore.open(4)
  const plain = await store.bucket("plain")
  const [first, second, other] = [store.bytes(80 * KIB), store.bytes(100 * KIB), store.bytes(64 * KIB)]
  await store.put(plain, "a", first)
  await store.put(plain, "a", second)
  await store.put(plain, "b", other)
  await store.put(plain, "inline", Buffer.from("x"))
  const rescued = await store.rescue([1, 2, 4])
  assert.deepEqual(listsOf(rescued), { certain: [], probable: ["plain", "plain/a", "plain/b"], incomplete: [] })
  const { target, summary } = rescued
  assert.deepEqual(target.latest("plain", "a")?.bytes, Buffer.from(second))
  assert.deepEqual(target.latest("plain", "b")?.bytes, Buffer.from(other))
  assert.equal(summary.superseded, 1)
  assert.equal(summary.snapshot, undefined)
  assert.equal(target.buckets.get("plain")?.owner, target.rootAccount)
})

test("versions, delete markers and null versions are recovered in their order; new versions on top", async () => {
  const store = await DoomedStore.open(4)
  const bucket = await store.bucket("vers")
  const bodies = Array.from({ length: 5 }, (_, i) => store.bytes(70 * KIB + i))
  const body = (i: number) => bodies[i] ?? assert.fail()
  await store.put(bucket, "key", body(0))
  const versioned = await store.bucket("vers", "enabled")
  const { versionId: removed } = await store.put(versioned, "key", Buffer.from("removed"))
  await store.put(versioned, "key", body(1))
  await store.put(versioned, "key", Buffer.from("inline version"))
  await store.remove(versioned, "key", removed)
  await store.remove(versioned, "key")
  await store.put(versioned, "key", body(2))
  await store.put(versioned, "marked", body(3))
  await store.remove(versioned, "marked")
  await store.backUp()
  await store.put(versioned, "key", body(3))
  await store.put(versioned, "key", body(4))
  const rescued = await store.rescue([1, 2, 3])
  const { target } = rescued
  const versions = target.keys.get("vers/key") ?? []
  assert.deepEqual(
    versions.map(({ content, isNull, certainty }) => [content.kind, isNull, certainty]),
    [
      ["single", true, "certain"],
      ["single", false, "certain"],
      ["inline", false, "certain"],
      ["marker", false, "certain"],
      ["single", false, "certain"],
      ["single", false, "probable"],
      ["single", false, "probable"],
    ],
  )
  assert.deepEqual(
    versions.map(({ bytes }) => bytes).filter(bytes => bytes.length > 0),
    [body(0), body(1), Buffer.from("inline version"), body(2), body(3), body(4)].map(bytes => Buffer.from(bytes)),
  )
  assert.equal(target.latest("vers", "marked"), undefined)
  assert.equal(target.keys.get("vers/marked")?.length, 2)
  assert.equal(target.buckets.get("vers")?.versioning, "enabled")
})

test("an uncompleted multipart upload of a key with an object is not written, but reported", async () => {
  const store = await DoomedStore.open(2)
  const plain = await store.bucket("plain")
  const body = store.bytes(70 * KIB)
  await store.put(plain, "key", body)
  await store.putParts(plain, "key", [store.bytes(30 * KIB)], false)
  await store.putParts(plain, "alone", [store.bytes(40 * KIB)], false)
  await store.backUp()
  const rescued = await store.rescue([1, 2])
  assert.deepEqual(rescued.target.latest("plain", "key")?.bytes, Buffer.from(body))
  assert.deepEqual(listsOf(rescued), {
    certain: ["plain", "plain/key"],
    probable: ["plain/alone", "plain/key"],
    incomplete: [],
  })
  assert.equal(entryOf(rescued, "plain/key", "probable").isWritten, false)
  assert.equal(entryOf(rescued, "plain/alone", "probable").isWritten, true)
})

test("parts with a gap, and a body with an unknown end, are incomplete", async () => {
  const store = await DoomedStore.open(2)
  const plain = await store.bucket("plain")
  // Without a declared length, and without a last block that is shorter than the others.
  const even = store.bytes(128 * KIB)
  await store.put(plain, "open ended", even, { ...sourceOf(even), lengthBytes: undefined })
  const uneven = store.bytes(128 * KIB + 1)
  await store.put(plain, "ended", uneven, { ...sourceOf(uneven), lengthBytes: undefined })
  await store.putParts(plain, "gap", [store.bytes(20 * KIB), store.bytes(40 * KIB)], false, [1, 3])
  const rescued = await store.rescue([1, 2])
  assert.deepEqual(listsOf(rescued), {
    certain: [],
    probable: ["plain", "plain/ended"],
    incomplete: ["plain/gap", "plain/open ended"],
  })
  assert.match(entryOf(rescued, "plain/gap", "incomplete").notes.join(), /part 2 is missing/)
  assert.match(entryOf(rescued, "plain/open ended", "incomplete").notes.join(), /length is unknown/)
})

/** A disk on which some bytes of some files are flipped, or cannot be read at all. */
function spoiled(disk: Disk, spots: readonly Spot[]): Disk {
  const hits = (path: string, from: number, to: number) =>
    spots.filter(spot => spot.path === path && spot.atBytes >= from && spot.atBytes < to)
  return interceptedDisk(disk, call => {
    if (call.kind !== "read") return undefined
    const { path, offsetBytes, lengthBytes } = call
    const hit = hits(path, offsetBytes, offsetBytes + lengthBytes)
    if (hit.some(({ isUnreadable }) => isUnreadable)) throw fail("deviceFailed", { code: "EIO" })
    return {
      rot: (bytes, from) => {
        for (const { atBytes } of hit) bytes[atBytes - from] = (bytes[atBytes - from] ?? 0) ^ 0x40
      },
    }
  })
}

interface Spot {
  readonly path: string
  readonly atBytes: number
  readonly isUnreadable?: boolean
}

/** The locations of a key's shards, in headers or bodies: of some block, in these folders. */
async function spotsOf(
  store: DoomedStore,
  isWanted: (header: ShardHeader) => boolean,
  devices: readonly number[],
  where: "header" | "body",
): Promise<Spot[]> {
  const spots: Spot[] = []
  for (const device of devices) {
    const folder = `/d${device}/volumes`
    for await (const item of salvageNeedles(store.machine.disk.boot(), folder)) {
      if (item.kind !== "needle" || item.header.kind !== "shard" || !isWanted(item.header)) continue
      const { volume, offsetBytes, headerBytes } = item.place
      const path = `${folder}/${String(volume).padStart(10, "0")}.volume`
      spots.push({ path, atBytes: where === "header" ? offsetBytes + 20 : offsetBytes + headerBytes + 100 })
    }
  }
  return spots
}

const isOfKey =
  (key: string, block = 0) =>
  ({ owner, id }: ShardHeader) =>
    owner.key === key && id.block === block

for (const where of ["header", "body"] as const) {
  test(`a damaged ${where}: as many shards of a block as the code tolerates cost nothing, one more costs the object`, async () => {
    const store = await DoomedStore.open(4)
    const plain = await store.bucket("plain")
    const bodies = { key: store.bytes(200 * KIB), other: store.bytes(100 * KIB) }
    await store.put(plain, "key", bodies.key)
    await store.put(plain, "other", bodies.other)
    await store.backUp()
    const all = [1, 2, 3, 4]
    const disk = store.machine.disk.boot()
    const two = spoiled(disk, await spotsOf(store, isOfKey("key"), [1, 3], where))
    const spared = await store.rescue(all, {}, two)
    assert.deepEqual(listsOf(spared), { certain: ["plain", "plain/key", "plain/other"], probable: [], incomplete: [] })
    assert.deepEqual(spared.target.latest("plain", "key")?.bytes, Buffer.from(bodies.key))
    const three = spoiled(disk, await spotsOf(store, isOfKey("key", 1), [1, 3, 4], where))
    const lost = await store.rescue(all, {}, three)
    assert.deepEqual(listsOf(lost), { certain: ["plain", "plain/other"], probable: [], incomplete: ["plain/key"] })
    assert.equal(lost.target.latest("plain", "key"), undefined)
    assert.deepEqual(lost.target.latest("plain", "other")?.bytes, Buffer.from(bodies.other))
  })
}

test("unreadable pages cost the data in them, and no more", async () => {
  const store = await DoomedStore.open(1)
  const plain = await store.bucket("plain")
  const bodies = Array.from({ length: 6 }, (_, i) => store.bytes(100 * KIB + i))
  for (const [i, bytes] of bodies.entries()) await store.put(plain, `key${i}`, bytes)
  await store.backUp()
  const spots = [
    ...(await spotsOf(store, isOfKey("key1"), [1], "body")),
    ...(await spotsOf(store, isOfKey("key4", 1), [1], "header")),
  ].map(spot => ({ ...spot, isUnreadable: true }))
  const rescued = await store.rescue([1], {}, spoiled(store.machine.disk.boot(), spots))
  const { certain, incomplete } = listsOf(rescued)
  assert.deepEqual(incomplete, ["plain/key1", "plain/key4"])
  assert.deepEqual(certain, ["plain", "plain/key0", "plain/key2", "plain/key3", "plain/key5"])
  for (const i of [0, 2, 3, 5]) {
    assert.deepEqual(rescued.target.latest("plain", `key${i}`)?.bytes, Buffer.from(bodies[i] ?? assert.fail()))
  }
})

test("if the newest snapshot is damaged the one before is used; without both, only needles", async () => {
  const store = await DoomedStore.open(1)
  const plain = await store.bucket("plain")
  const body = store.bytes(70 * KIB)
  await store.put(plain, "first", Buffer.from("inline, in both"))
  await store.backUp()
  await store.put(plain, "second", Buffer.from("inline, in the newer one"))
  await store.put(plain, "large", body)
  await store.backUp()
  const chunks = new Set<string>()
  await spotsOf(store, ({ owner }) => owner.bucketId === SYSTEM_BUCKET_ID && !!chunks.add(owner.key), [1], "body")
  const [older, newer] = [...chunks].sort()
  const without = async (keys: readonly (string | undefined)[]) => {
    const spots = await spotsOf(store, ({ owner }) => keys.includes(owner.key), [1], "body")
    return store.rescue([1], {}, spoiled(store.machine.disk.boot(), spots))
  }
  const whole = await without([])
  assert.deepEqual(listsOf(whole).certain, ["plain", "plain/first", "plain/large", "plain/second"])
  const older1 = await without([newer])
  assert.deepEqual(listsOf(older1), {
    certain: ["plain", "plain/first"],
    probable: ["plain/large"],
    incomplete: [],
  })
  assert.equal(older1.summary.snapshot?.isComplete, true)
  const none = await without([older, newer])
  assert.deepEqual(listsOf(none), { certain: [], probable: ["plain", "plain/large"], incomplete: [] })
  assert.deepEqual(none.target.latest("plain", "large")?.bytes, Buffer.from(body))
})

test("more needles than fit in memory are read in passes, with the same outcome", async () => {
  const eventful = await eventfulStore(4)
  const once = await eventful.store.rescue([1, 2, 3])
  const often = await eventful.store.rescue([1, 2, 3], { needlesMax: 200 })
  assert.equal(once.summary.passes, 1)
  assert.ok(often.summary.passes > 2, `${often.summary.passes} passes`)
  assertEventful(often, eventful)
  assert.deepEqual(listsOf(often), listsOf(once))
  const withoutPasses = ({ summary: { passes: _, ...rest } }: Rescued) => rest
  assert.deepEqual(withoutPasses(often), withoutPasses(once))
})

test("a large object is one again, and the list of its segments is whole", async () => {
  const store = await DoomedStore.open(4)
  const bucket = await store.bucket("large")
  const list = store.bytes(200 * KIB)
  const largeObject = { sizeBytes: 9_000_000_000, md5: store.bytes(16), parts: 1000 }
  const request = {
    bucket,
    key: objectKeyOfText("film"),
    attributes: { headers: {}, userMetadata: [] },
    tags: [],
    conditions: {},
    largeObject,
    body: sourceOf(list),
    signal: noSignal,
  }
  await store.machine.clock.runUntil(store.services.objects.put(request))
  await store.backUp()
  const { target, entries } = await store.rescue([1, 2, 3, 4])
  const film = target.latest("large", "film")
  assert.deepEqual([film?.largeObject?.sizeBytes, film?.largeObject?.parts], [9_000_000_000, 1000])
  assert.deepEqual(
    [film?.largeObject?.md5, film?.bytes].map(bytes => Buffer.from(bytes ?? [])),
    [Buffer.from(largeObject.md5), Buffer.from(list)],
  )
  assert.ok(entries.some(({ etag }) => etag === `${hexOf(largeObject.md5)}-1000`))
})
