/** Undelete: what buckets that opted in keep, how it comes back, and how it goes. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { owned } from "@hayloft/base/memory/lent.js"
import { objectKeyOfText, parseDeviceId, type ObjectKey, type RowKey } from "@hayloft/base/ids.js"
import { ENTRY_BYTES_MAX } from "@hayloft/base/limits.js"
import { parsePolicy } from "@hayloft/base/policy.js"
import { seedsOf } from "@hayloft/base/testing-seed.js"
import { versionOfRow } from "@hayloft/engine/format/objects/deleted-version.js"
import { multipartIdOf } from "@hayloft/engine/format/objects/version-id.js"
import { NO_DETAILS, versionIdOfHead, type VersionDetails } from "@hayloft/engine/format/objects/version-record.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { usageOfBucket } from "@hayloft/objects/buckets/bucket-service.js"
import { ALL_OBJECT_ROWS } from "@hayloft/objects/queries/extent-rows.js"
import { deletedRowOf, deletedRows, dueDeleted, findDeleted, listDeleted } from "./deleted-rows-core.js"
import { readVersion } from "@hayloft/objects/queries/object-info-core.js"
import { closeBucket, dropBucket, openBucket, setVersioning } from "@hayloft/objects/commands/bucket-commands-core.js"
import { readNamings } from "@hayloft/objects/commands/pending-deletion-commands-core.js"
import { beginReencoding, swapExtent } from "@hayloft/objects/commands/reencode-commands-core.js"
import {
  extentOf,
  KEY,
  newBucket,
  putOf,
  randomOf,
  refuses,
  released,
  uploadOf,
} from "@hayloft/objects/commands/testing-bucket.js"
import { purgeDeleted, PURGED_PER_COMMAND, setUndelete, undeleteObject } from "./undelete-commands-core.js"
import { putVersion, removeLatest } from "@hayloft/objects/commands/version-commands-core.js"
import { ALL_ROWS } from "@hayloft/base/rows/key-range.js"
import "../index.js"

const DAY_MS = 86_400_000
const EMPTY = new Uint8Array(0)

async function keepingBucket(days = 3) {
  const scene = await newBucket()
  const { metadata, bucketId } = scene
  await metadata.run(setUndelete({ bucketId, days }))
  const put = (number: number, change: Parameters<typeof putOf>[2] = {}, key: ObjectKey = KEY) =>
    metadata.run(putVersion({ ...putOf(scene, number, change), key }))
  const remove = (key: ObjectKey = KEY) =>
    metadata.run(removeLatest({ bucketId, key, conditions: {}, random: randomOf(200) }))
  const list = async () => (await metadata.ask(listDeleted(bucketId, { limit: 1_000 }))).items
  const rows = async () => (await metadata.ask(deletedRows(ALL_OBJECT_ROWS, 1_000))).rows
  const restore = async ({ over = false, rowKey }: { over?: boolean; rowKey?: RowKey } = {}) => {
    const row = rowKey ?? (await metadata.ask(findDeleted(bucketId, KEY, undefined, undefined))).rowKey
    return row === undefined ? "nothingKept" : metadata.run(undeleteObject({ bucketId, key: KEY, rowKey: row, over }))
  }
  const kept = async () => {
    const { kept: its } = must(await metadata.ask(usageOfBucket(bucketId)), "the bucket is there")
    return [its?.objects, its?.bytes]
  }
  const namings = (number: number) => metadata.run(readNamings({ bucketId, key: KEY, uploadId: uploadOf(number) }))
  const latest = () => readVersion(metadata.committed, bucketId, KEY, undefined)
  return { ...scene, put, remove, list, rows, restore, kept, namings, latest }
}

test("what is deleted or overwritten is kept, and its bytes stay referenced", async () => {
  const scene = await keepingBucket()
  await scene.put(1)
  await scene.put(2)
  await scene.remove()
  const found = await scene.list()
  assert.deepEqual(
    found.map(({ key, reason, sizeBytes }) => [key, reason, sizeBytes]),
    [
      [KEY, "deleted", 100],
      [KEY, "overwritten", 100],
    ],
  )
  for (const { deletedMs, untilMs } of found) assert.equal(untilMs - deletedMs, 3 * DAY_MS)
  assert.deepEqual(released(scene), [])
  assert.deepEqual([(await scene.namings(1)).length, (await scene.namings(2)).length], [1, 1])
  assert.deepEqual(await scene.kept(), [2, 200])
  const usage = must(await scene.metadata.ask(usageOfBucket(scene.bucketId)), "the bucket is there")
  assert.deepEqual([usage.objects, usage.versions, usage.bytes], [0, 0, 0])
})

test("what a restore replaces is kept, also after undelete was turned off or versioning was suspended", async () => {
  for (const end of ["turned off", "suspended"] as const) {
    const scene = await keepingBucket(7)
    const { bucketId, metadata } = scene
    await scene.put(1)
    await scene.remove()
    if (end === "turned off") await metadata.run(setUndelete({ bucketId, days: undefined }))
    else await metadata.run(setVersioning(bucketId, "suspended"))
    await scene.put(2)
    assert.equal(await scene.restore({ over: true }), "restored", end)
    assert.deepEqual(released(scene), [], end)
    assert.deepEqual([scene.latest().record.head.md5[0], (await scene.namings(2)).length], [1, 1], end)
    const [replaced, ...others] = await scene.list()
    const { reason, deletedMs, untilMs } = must(replaced, "what was replaced is kept")
    assert.deepEqual([reason, untilMs - deletedMs, others.length], ["overwritten", 7 * DAY_MS, 0], end)
    assert.deepEqual(await scene.kept(), [1, 100], end)
    assert.equal(await scene.restore({ over: true }), "restored", end)
    assert.equal(scene.latest().record.head.md5[0], 2, end)
    await scene.remove()
    assert.equal((await scene.list()).length, 1, "a deletion of a client keeps nothing more")
  }
})

test("fewer days shorten nothing that is kept, nor do two restores that take turns", async () => {
  const scene = await keepingBucket(30)
  const { bucketId, metadata } = scene
  await scene.put(1)
  await scene.put(2)
  const [first] = await scene.list()
  await metadata.run(setUndelete({ bucketId, days: 1 }))
  assert.deepEqual(await scene.list(), [first])
  for (let turn = 0; turn < 2; turn += 1) {
    assert.equal(await scene.restore({ over: true }), "restored")
    const [item, ...others] = await scene.list()
    const { deletedMs, untilMs } = must(item, "what was replaced is kept")
    assert.deepEqual([untilMs - deletedMs, others.length], [30 * DAY_MS, 0])
  }
})

test("where the wall clock lags behind the store's, what is taken stays for its days all the same", async () => {
  const { bucketId, metadata, ...scene } = await keepingBucket()
  const clockMs = 1_800_000_000_000
  await scene.put(1)
  await metadata.run(putVersion({ ...putOf({ bucketId }, 2), clockMs }))
  const removing = { clockMs, bypassGovernance: false }
  await metadata.run(removeLatest({ bucketId, key: KEY, conditions: {}, removing, random: randomOf(200) }))
  const found = await scene.list()
  assert.deepEqual(
    found.map(({ reason, deletedMs, untilMs }) => [reason, deletedMs < clockMs, untilMs]),
    [
      ["deleted", true, clockMs + 3 * DAY_MS],
      ["overwritten", true, clockMs + 3 * DAY_MS],
    ],
  )
})

test("a bucket that did not opt in, or does not any more, keeps nothing; what it kept stays", async () => {
  const plain = await newBucket()
  await plain.metadata.run(putVersion(putOf(plain, 1)))
  await plain.metadata.run(putVersion(putOf(plain, 2)))
  assert.deepEqual(released(plain), [uploadOf(1)])
  const scene = await keepingBucket()
  await scene.put(1)
  await scene.put(2)
  await scene.metadata.run(setUndelete({ bucketId: scene.bucketId, days: undefined }))
  await scene.remove()
  assert.deepEqual(released(scene), [uploadOf(2)])
  assert.equal((await scene.list()).length, 1)
})

test("a bucket with versions cannot opt in; versioning ends undelete, and keeps what is there", async () => {
  const scene = await keepingBucket()
  await scene.put(1)
  await scene.remove()
  const { metadata, bucketId } = scene
  for (const days of [0, 366, 1.5, Number.NaN])
    await refuses(metadata.run(setUndelete({ bucketId, days })), "invalidArgument")
  await metadata.run(setVersioning(bucketId, "enabled"))
  await scene.put(2)
  await scene.remove()
  assert.deepEqual([(await scene.list()).length, released(scene)], [1, []])
  await refuses(metadata.run(setUndelete({ bucketId, days: 3 })), "invalidArgument")
  assert.equal(await scene.restore(), "restored")
  assert.equal(scene.latest().record.head.isNull, false)
  assert.deepEqual(await scene.kept(), [0, 0])
})

test("a restored object is as it was, but for its time: payload, details, checksums", async () => {
  const scene = await keepingBucket()
  const details: VersionDetails = { ...NO_DETAILS, userMetadata: [["note", "x".repeat(2_000)]], tags: [["a", "b"]] }
  const payload = Buffer.from("the payload")
  const checksum = { checksumAlgorithm: "CRC32", checksumType: "FULL_OBJECT", value: "AAAAAA==" } as const
  await scene.put(1, { content: { kind: "inline" }, payload, sizeBytes: payload.length, details, checksum })
  const before = scene.latest()
  await scene.remove()
  assert.equal(scene.metadata.rows("details"), 0)
  assert.equal(await scene.restore(), "restored")
  const after = scene.latest()
  const { order: _o, modifiedMs, ...same } = before.record.head
  const { order: _p, modifiedMs: restoredMs, ...now } = after.record.head
  assert.deepEqual(now, same)
  assert.ok(restoredMs > modifiedMs)
  assert.deepEqual([after.details, after.record.checksumValue], [details, checksum.value])
  const bytes = await owned(scene.metadata.payload("current", scene.row, after.found.row))
  assert.deepEqual(Buffer.from(must(bytes, "the payload is there")), payload)
  assert.equal(scene.metadata.rows("deleted"), 0)
})

test("nothing is restored over an object unless it is asked for; then the object is kept", async () => {
  const scene = await keepingBucket()
  await scene.put(1)
  await scene.put(2)
  assert.equal(await scene.restore(), "exists")
  assert.equal(await scene.restore({ over: true }), "restored")
  assert.equal((await scene.namings(1)).length, 1)
  assert.deepEqual(
    (await scene.list()).map(({ reason, etag }) => [reason, etag]),
    [["overwritten", "02".repeat(16)]],
  )
  const [row] = await scene.rows()
  assert.equal(await scene.restore({ over: true, rowKey: must(row, "one is kept") }), "restored")
  assert.equal(await scene.restore({ over: true, rowKey: must(row, "one was kept") }), "nothingKept")
})

test("the version of a time, and that of an id, are found", async () => {
  const scene = await keepingBucket()
  const heads = [(await scene.put(1)).head, (await scene.put(2)).head, (await scene.put(3)).head]
  const { metadata, bucketId } = scene
  const [newest, oldest] = await scene.list()
  for (const [i, { modifiedMs }] of heads.slice(0, 2).entries()) {
    const { rowKey } = await metadata.ask(findDeleted(bucketId, KEY, modifiedMs, undefined))
    const [second, first] = [must(newest, "two are kept"), must(oldest, "two are kept")]
    assert.equal(rowKey, deletedRowOf(bucketId, KEY, i === 0 ? first.id : second.id))
  }
  const none = await metadata.ask(findDeleted(bucketId, KEY, must(heads[0], "it was put").modifiedMs - 1, undefined))
  assert.equal(none.rowKey, undefined)
})

test("kept bytes are re-encoded like others, and go with what is purged", async () => {
  const scene = await keepingBucket()
  const { metadata, bucketId } = scene
  const from = extentOf(1, { lengthBytes: 8193 })
  await scene.put(1, { content: { kind: "extent", extent: from } })
  await scene.remove()
  const name = { bucketId, key: KEY, uploadId: uploadOf(1) }
  const to = { ...from, generation: 2 }
  const begin = { ...name, from, policy: from.policy, runs: [], generationFloor: 1 }
  assert.equal(await metadata.run(beginReencoding(begin)), 2)
  await metadata.run(swapExtent({ ...name, generation: 2, from, to, replaced: [] }))
  assert.deepEqual(await scene.namings(1), [to])
  const rows = await scene.rows()
  assert.deepEqual(await metadata.run(purgeDeleted({ bucketId, rows, dueMs: 1_700_000_000_000 })), NOTHING)
  assert.deepEqual(await metadata.run(purgeDeleted({ bucketId, rows })), { objects: 1, bytes: 100 })
  assert.deepEqual(await metadata.run(purgeDeleted({ bucketId, rows })), NOTHING)
  assert.deepEqual([released(scene), await scene.namings(1), await scene.kept()], [[uploadOf(1)], [], [0, 0]])
})

const NOTHING = { objects: 0, bytes: 0 }

test("what is due is what has reached its time", async () => {
  const scene = await keepingBucket(1)
  await scene.put(1)
  await scene.remove()
  const [item] = await scene.list()
  const { untilMs } = must(item, "it is kept")
  const due = async (nowMs: number) => (await scene.metadata.ask(dueDeleted(ALL_OBJECT_ROWS.start, nowMs, 10))).due
  assert.deepEqual(await due(untilMs - 1), [])
  assert.deepEqual(await due(untilMs), [{ bucketId: scene.bucketId, rows: await scene.rows() }])
})

test("what one page purges fits into one entry, also of objects with long extents", async () => {
  const { metadata, bucketId, ...scene } = await keepingBucket()
  const placedSlots = Array.from(
    { length: 8 },
    (_, slot) => [slot, parseDeviceId(`${slot}`.padStart(16, "0"))] as const,
  )
  const exceptions = Array.from({ length: 64 }, (_, block) => ({
    firstBlock: 2 * block,
    lastBlock: 2 * block,
    policy: parsePolicy("ec:6+2"),
    generation: 1,
    missingSlots: [],
    placedSlots,
  }))
  const extent = { ...extentOf(1, { lengthBytes: 4096 * 128 }), exceptions }
  const fill = async () => {
    for (let number = 0; number < 200; number += 1) {
      const key = objectKeyOfText(`${number}`.padStart(1_000, "k"))
      await scene.put(number, { content: { kind: "extent", extent: { ...extent, uploadId: uploadOf(number) } } }, key)
      await scene.remove(key)
    }
  }
  const releasedBytes = () =>
    [...metadata.committed.range("pendingDeletions", ALL_ROWS)].reduce(
      (sum, [key, row]) => sum + key.length + row.value.length,
      0,
    )
  const purge = async (rows: readonly RowKey[]) => {
    const before = releasedBytes()
    await metadata.run(purgeDeleted({ bucketId, rows }))
    const keys = rows.reduce((sum, { length }) => sum + length, 0)
    assert.ok(releasedBytes() - before + keys < 0.9 * ENTRY_BYTES_MAX, `${rows.length} rows`)
    return rows.length
  }
  await fill()
  let purged = 0
  for (let next: RowKey | undefined = ALL_OBJECT_ROWS.start; next !== undefined;) {
    const page: { rows: readonly RowKey[]; next: RowKey | undefined } = await metadata.ask(
      deletedRows({ ...ALL_OBJECT_ROWS, start: next }, PURGED_PER_COMMAND),
    )
    purged += await purge(page.rows)
    next = page.next
  }
  assert.equal(purged, 200)
  await fill()
  for (let next: RowKey | undefined = ALL_OBJECT_ROWS.start; next !== undefined;) {
    const page: { due: readonly { rows: readonly RowKey[] }[]; next: RowKey | undefined } = await metadata.ask(
      dueDeleted(next, Infinity, PURGED_PER_COMMAND),
    )
    for (const { rows } of page.due) purged += await purge(rows)
    next = page.next
  }
  assert.equal(purged, 400)
})

test("a multipart object is kept with its segments", async () => {
  const scene = await keepingBucket()
  const multipartId = multipartIdOf(7, randomOf(7))
  await scene.put(1, { content: { kind: "segments", multipartId, completion: EMPTY }, parts: 2 })
  await scene.remove()
  assert.deepEqual(released(scene), [])
  const { bucketId } = scene
  await scene.metadata.run(purgeDeleted({ bucketId, rows: await scene.rows() }))
  assert.deepEqual(released(scene), [`segments ${multipartId}`])
})

test("what is kept shares no bytes: a copy of the same bytes onto the object is refused for the caller to copy", async () => {
  const scene = await keepingBucket()
  const { head } = await scene.put(1)
  const copy = { ...putOf(scene, 1).version, isShared: true, random: randomOf(9) }
  const put = { ...putOf(scene, 1), version: copy, sharesWith: versionIdOfHead(head) }
  await refuses(scene.metadata.run(putVersion(put)), "conflict")
})

test("bytes that were shared before a bucket opted in are kept once", async () => {
  const scene = await newBucket()
  const { metadata, bucketId } = scene
  const { head } = await metadata.run(putVersion(putOf(scene, 1)))
  const copy = { ...putOf(scene, 1).version, isShared: true, random: randomOf(9) }
  await metadata.run(putVersion({ ...putOf(scene, 1), version: copy, sharesWith: versionIdOfHead(head) }))
  await metadata.run(setUndelete({ bucketId, days: 3 }))
  await metadata.run(removeLatest({ bucketId, key: KEY, conditions: {}, random: randomOf(1) }))
  assert.equal(metadata.rows("shares"), 0)
  const [[, row] = []] = [...metadata.committed.range("deleted", ALL_ROWS)]
  assert.equal(versionOfRow("deleted", must(row, "it is kept").value).head.isShared, false)
  assert.deepEqual(released(scene), [])
})

test("a bucket with kept objects is not removed, and the refusal says what to do", async () => {
  const scene = await keepingBucket()
  const { metadata, bucketId } = scene
  await scene.put(1)
  await scene.remove()
  await refuses(metadata.run(closeBucket(bucketId)), "bucketNotEmpty", {
    message: 'Undelete keeps 1 deleted objects of the bucket; "hayloft bucket undelete purge bucket" removes them',
  })
  await metadata.run(purgeDeleted({ bucketId, rows: await scene.rows() }))
  await metadata.run(closeBucket(bucketId))
  await metadata.run(openBucket(bucketId))
  await metadata.run(closeBucket(bucketId))
  await metadata.run(dropBucket(bucketId))
  assert.equal(metadata.rows("usage"), 0)
})

/** A version that a history expects to be kept; lists have the newest first. */
interface Expected {
  readonly key: ObjectKey
  readonly number: number
  readonly sizeBytes: number
  readonly reason: "deleted" | "overwritten"
}

test("random histories: a list shows what was taken, the counters are a walk's sums, and no kept byte is released", async () => {
  for (const seed of seedsOf(7)) {
    const random = new SimRandom(seed)
    const scene = await keepingBucket()
    const { metadata, bucketId } = scene
    const keys = ["a", "b", "b/c"].map(objectKeyOfText)
    const current = new Map<ObjectKey, Omit<Expected, "reason">>()
    let expected: Expected[] = []
    const taken = (key: ObjectKey, reason: Expected["reason"]): void => {
      const before = current.get(key)
      if (before !== undefined) expected.unshift({ ...before, reason })
      current.delete(key)
    }
    for (let number = 1; number <= 60; number += 1) {
      const key = must(keys[random.below(keys.length)], "there are keys")
      const what = random.below(8)
      if (what < 4) {
        const sizeBytes = random.below(1_000)
        await scene.put(number, { sizeBytes }, key)
        taken(key, "overwritten")
        current.set(key, { key, number, sizeBytes })
      } else if (what < 6) {
        await scene.remove(key)
        taken(key, "deleted")
      } else if (what === 6) {
        const { rowKey } = await metadata.ask(findDeleted(bucketId, key, undefined, undefined))
        const newest = expected.find(each => each.key === key)
        assert.equal(rowKey === undefined, newest === undefined, `seed ${seed}`)
        if (rowKey === undefined || newest === undefined) continue
        const over = random.below(2) === 0
        const outcome = await metadata.run(undeleteObject({ bucketId, key, rowKey, over }))
        assert.equal(outcome, !over && current.has(key) ? "exists" : "restored", `seed ${seed}`)
        if (outcome === "exists") continue
        expected = expected.filter(each => each !== newest)
        taken(key, "overwritten")
        current.set(key, { key, number: newest.number, sizeBytes: newest.sizeBytes })
      } else {
        const rows = (await scene.rows()).slice(0, 1)
        const [first] = await scene.list()
        await metadata.run(purgeDeleted({ bucketId, rows }))
        expected = expected.filter(({ number: its }) => first?.etag !== etagOf(its))
      }
      const byKey = (a: { readonly key: ObjectKey }, b: { readonly key: ObjectKey }) =>
        a.key < b.key ? -1 : a.key > b.key ? 1 : 0
      const shown = (await scene.list()).map(({ key: its, etag, sizeBytes, reason }) => [its, etag, sizeBytes, reason])
      const wanted = [...expected].sort(byKey)
      assert.deepEqual(
        shown,
        wanted.map(each => [each.key, etagOf(each.number), each.sizeBytes, each.reason]),
        `seed ${seed}, step ${number}`,
      )
      const bytes = wanted.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
      assert.deepEqual(await scene.kept(), [wanted.length, bytes], `seed ${seed}, step ${number}`)
      const gone = new Set(released(scene))
      for (const each of [...expected, ...current.values()]) {
        const uploadId = uploadOf(each.number)
        assert.ok(!gone.has(uploadId), `seed ${seed}: bytes of ${each.number} are released`)
        const named = await metadata.run(readNamings({ bucketId, key: each.key, uploadId }))
        assert.equal(named.length, 1, `seed ${seed}: rows that reference ${each.number}`)
      }
    }
  }
})

const etagOf = (number: number): string => number.toString(16).padStart(2, "0").repeat(16)
