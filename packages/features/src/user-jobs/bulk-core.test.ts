/** Which versions a restore brings back, which objects a filter means, and what replies mean. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { objectKeyOfText, parseVersionId } from "@hayloft/base/ids.js"
import { copiedKey, isLater, isMeant, outcomeOf, requestsFor, restoreOf, type Versions } from "./bulk-core.js"
import { BULK_REQUEST, type BulkRequest } from "./bulk-request.js"

const key = objectKeyOfText("a/1")
const idOf = (n: number) => parseVersionId(String(n).padStart(26, "0"))

/** `V5` is a version of the time 5 with an ETag of that time, `M7` a delete marker; the newest first. */
function versionsOf(text: string): Versions {
  return text.split(" ").map((word, i) => {
    const [kind, atMs] = [word[0], Number(word.slice(1))]
    const facts = { versionId: idOf(i), isLatest: i === 0 }
    if (kind === "M") return { kind: "marker", ...facts, key, lastModifiedMs: atMs }
    // Its attributes were changed later: a restore goes by when it was written.
    const object = { key, sizeBytes: 10, etag: `e${atMs}`, lastModifiedMs: atMs + 10 }
    return {
      kind: "version",
      ...facts,
      writtenMs: atMs,
      object: { ...object, storageClass: "STANDARD", checksumAlgorithm: undefined, checksumType: undefined },
    }
  })
}

test("a restore removes delete markers, or copies the version of the time", () => {
  const cases: readonly (readonly [string, number | undefined, ReturnType<typeof restoreOf>])[] = [
    ["M7 V5", undefined, { markers: [idOf(0)] }],
    ["M9 M7 V5", undefined, { markers: [idOf(0), idOf(1)] }],
    ["V5", undefined, "nothing"],
    ["M7", undefined, "more"],
    ["M7 V5", 6, { markers: [idOf(0)] }],
    ["M7 V5", 7, "nothing"],
    ["M7 V5", 4, "more"],
    ["V9 V5", 6, { copy: idOf(1) }],
    ["V9 M7 V5", 6, { copy: idOf(2) }],
    ["M9 V8 V5", 6, { copy: idOf(2) }],
    ["V9 M7 V5", 8, "nothing"],
    ["V5", 6, "nothing"],
  ]
  for (const [text, atMs, expected] of cases)
    assert.deepEqual(restoreOf(versionsOf(text), atMs), expected, `${text} ${atMs}`)
  const [latest, ...others] = versionsOf("V9 V5")
  assert.ok(latest?.kind === "version")
  const copied = { ...latest, object: { ...latest.object, etag: "e5" } }
  assert.equal(restoreOf([copied, ...others], 6), "nothing", "it was copied already")
})

const request = (more: object): BulkRequest => BULK_REQUEST.parse({ kind: "delete-objects", ...more })

test("a filter means objects by age and size, and never those that are newer than the job", () => {
  const object = { key, sizeBytes: 100, lastModifiedMs: 50 }
  const cases: readonly (readonly [object, number, boolean])[] = [
    [{}, 50, true],
    [{}, 49, false],
    [{ modifiedBeforeMs: 51 }, 90, true],
    [{ modifiedBeforeMs: 50 }, 90, false],
    [{ largerThanBytes: 99 }, 90, true],
    [{ largerThanBytes: 100 }, 90, false],
  ]
  for (const [filter, startedMs, expected] of cases)
    assert.equal(isMeant(request(filter), object, { startedMs, asOfUs: undefined }), expected)
})

test("the order of writes says what is newer than the job, and dates only where there is no order", () => {
  const cases: readonly (readonly [number, number | undefined, number | undefined, boolean])[] = [
    // The clock of the node that started the job is ahead, or behind.
    [90, 7, 8, true],
    [10, 7, 7, false],
    // The job of an earlier release, and an object of a remote.
    [49, undefined, 1, true],
    [50, undefined, 9, false],
    [49, 7, undefined, true],
    [50, 7, undefined, false],
  ]
  for (const [startedMs, asOfUs, orderUs, expected] of cases) {
    const written = orderUs === undefined ? undefined : { versionId: idOf(1), orderUs }
    assert.equal(isLater({ lastModifiedMs: 50, written }, { startedMs, asOfUs }), expected, `${startedMs} ${asOfUs}`)
  }
})

test("requests are those that a client would send", () => {
  const item = { key: objectKeyOfText("a/ä b"), versionId: idOf(3), sizeBytes: 1, etag: "e" } as const
  assert.deepEqual(requestsFor("photos", request({}), item), [
    { method: "DELETE", bucket: "photos", key: item.key, headers: [["if-match", '"e"']] },
  ])
  const copy = request({ kind: "copy-objects", prefix: "a/", toBucket: "other", toPrefix: "b/" })
  const [sent] = requestsFor("photos", copy, item)
  assert.equal(sent?.bucket, "other")
  assert.equal(sent?.key, objectKeyOfText("b/ä b"))
  assert.deepEqual(sent?.headers?.[0], ["x-amz-copy-source", "/photos/a/%C3%A4%20b"])
  assert.ok(copy.kind === "copy-objects")
  assert.equal(copiedKey({ ...copy, toPrefix: undefined }, item.key), item.key)
})

test("a refusal stays, what passes is tried again, and what is gone is done", () => {
  const reply = (status: number, code: string) => outcomeOf(request({}), { status, code, message: "m" })
  assert.equal(reply(204, ""), "done")
  assert.equal(reply(404, "NoSuchKey"), "done")
  assert.equal(reply(503, "SlowDown"), "later")
  assert.equal(reply(507, "StorageFull"), "later")
  assert.deepEqual(reply(500, "InternalError"), { failing: "InternalError: m" })
  assert.deepEqual(reply(404, "NoSuchBucket"), { reason: "NoSuchBucket: m" })
  assert.deepEqual(reply(403, "AccessDenied"), { reason: "AccessDenied: m" })
  // The same request fails again, so the job does not wait for another answer: a bucket of another store may have no tags.
  assert.deepEqual(reply(501, "NotImplemented"), { reason: "NotImplemented: m" })
  assert.deepEqual(reply(502, "RemoteRefused"), { reason: "RemoteRefused: m" })
  assert.equal(reply(502, "RemoteUnavailable"), "later")
  assert.match(JSON.stringify(reply(412, "PreconditionFailed")), /stays as it is/)
})
