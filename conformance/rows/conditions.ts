/** Lines 58 to 63: conditions on reads, writes, deletes and copies. */
import { check, expectBody, expectError, expectHeader, expectStatus, present, same } from "../expect.js"
import { row } from "../row.js"
import type { Row } from "../row.js"
import { PART } from "../scene.js"
import type { Scene } from "../scene.js"
import { elements, text } from "../xml.js"

const PAST = "Thu, 01 Jan 2015 00:00:00 GMT"
const WRONG = '"00000000000000000000000000000000"'
const PAST_OTHERWISE = {
  "RFC 850": "Thursday, 01-Jan-15 00:00:00 GMT",
  asctime: "Thu Jan  1 00:00:00 2015",
  "ISO 8601": "2015-01-01T00:00:00Z",
}

interface Stored {
  readonly etag: string
  readonly modified: string
}

async function stored(scene: Scene, key = "k", body = "body"): Promise<Stored> {
  const etag = present((await scene.stored(key, body)).header("etag"), "ETag")
  const modified = present((await scene.head(key)).header("last-modified"), "Last-Modified")
  return { etag, modified }
}

/** The answers to reads, for GET and HEAD alike. */
async function reads(scene: Scene, headers: Record<string, string>, status: number): Promise<void> {
  for (const method of ["GET", "HEAD"]) expectStatus(await scene.call(method, { key: "k", headers }), status)
}

const readRow = (id: string, title: string, headersOf: (s: Stored) => Record<string, string>, status: number): Row =>
  row(id, title, async scene => reads(scene, headersOf(await stored(scene)), status))

const futureDate = () => new Date(Date.now() + 86_400_000).toUTCString()

const readRows: readonly Row[] = [
  readRow("58.1", "If-Match that matches", ({ etag }) => ({ "If-Match": etag }), 200),
  readRow("58.2", "If-Match that does not", () => ({ "If-Match": WRONG }), 412),
  readRow("58.3", "If-None-Match that matches", ({ etag }) => ({ "If-None-Match": etag }), 304),
  readRow("58.4", "If-None-Match that does not", () => ({ "If-None-Match": WRONG }), 200),
  readRow("58.5", "If-Modified-Since its own time", ({ modified }) => ({ "If-Modified-Since": modified }), 304),
  readRow("58.6", "If-Modified-Since the past", () => ({ "If-Modified-Since": PAST }), 200),
  readRow("58.7", "If-Unmodified-Since its own time", ({ modified }) => ({ "If-Unmodified-Since": modified }), 200),
  readRow("58.8", "If-Unmodified-Since the past", () => ({ "If-Unmodified-Since": PAST }), 412),
  readRow(
    "58.9",
    "If-Match decides over If-Unmodified-Since",
    ({ etag }) => ({ "If-Match": etag, "If-Unmodified-Since": PAST }),
    200,
  ),
  readRow(
    "58.10",
    "If-None-Match decides over If-Modified-Since, both ways",
    ({ modified }) => ({ "If-None-Match": WRONG, "If-Modified-Since": modified }),
    200,
  ),
  readRow(
    "58.11",
    "If-None-Match that matches is 304 though modified since",
    ({ etag }) => ({ "If-None-Match": etag, "If-Modified-Since": PAST }),
    304,
  ),
  readRow(
    "58.12",
    "If-Match false comes before If-None-Match true",
    ({ etag }) => ({ "If-Match": WRONG, "If-None-Match": etag }),
    412,
  ),
  row("58.13", "304 carries ETag and Last-Modified and no body", async scene => {
    const { etag, modified } = await stored(scene)
    const response = expectStatus(await scene.get("k", { "If-None-Match": etag }), 304)
    expectHeader(response, "etag", etag)
    expectHeader(response, "last-modified", modified)
    expectBody(response, "")
  }),
  row("58.14", "a missing key is 404 before any condition", async scene => {
    const conditions = [{ "If-Match": WRONG }, { "If-None-Match": "*" }, { "If-Unmodified-Since": PAST }]
    for (const headers of conditions) {
      expectError(await scene.get("missing", headers), 404, "NoSuchKey")
      expectStatus(await scene.head("missing", headers), 404)
    }
  }),
  row("58.15", "conditions come before the range", async scene => {
    const { etag } = await stored(scene)
    expectStatus(await scene.get("k", { "If-None-Match": etag, Range: "bytes=100-" }), 304)
    expectError(await scene.get("k", { "If-Match": WRONG, Range: "bytes=100-" }), 412, "PreconditionFailed")
    expectError(await scene.get("k", { "If-Match": etag, Range: "bytes=100-" }), 416, "InvalidRange")
  }),
]

const bare = (etag: string) => etag.replace(/"/g, "")

const formRows: readonly Row[] = [
  readRow("59.1", "an ETag without quotes", ({ etag }) => ({ "If-Match": bare(etag) }), 200),
  readRow("59.2", "a list of ETags", ({ etag }) => ({ "If-Match": `${WRONG}, ${etag}` }), 200),
  readRow(
    "59.3",
    "a list of ETags in If-None-Match",
    ({ etag }) => ({ "If-None-Match": `${WRONG},${bare(etag)}` }),
    304,
  ),
  readRow("59.4", "a weak ETag", ({ etag }) => ({ "If-None-Match": `W/${etag}` }), 304),
  readRow("59.7", "a weak ETag never matches If-Match", ({ etag }) => ({ "If-Match": `W/${etag}` }), 412),
  readRow(
    "59.8",
    "a strong ETag beside weak ones matches If-Match",
    ({ etag }) => ({ "If-Match": `W/${etag}, ${etag}` }),
    200,
  ),
  row("59.9", "a write with a weak ETag in If-Match is refused", async scene => {
    const { etag } = await stored(scene)
    expectError(await scene.put("k", "new", { "If-Match": `W/${etag}` }), 412, "PreconditionFailed")
    expectBody(await scene.get("k"), "body")
    expectError(await scene.remove("k", { "If-Match": `W/${etag}` }), 412, "PreconditionFailed")
    const { text: xml } = expectStatus(await scene.deleteMany([{ key: "k", etag: `W/${etag}` }]), 200)
    check(xml.includes("PreconditionFailed"), "DeleteObjects refuses it too")
    expectBody(await scene.get("k"), "body")
  }),
  readRow("59.5", "If-None-Match: *", () => ({ "If-None-Match": "*" }), 304),
  readRow("59.6", "If-Match: *", () => ({ "If-Match": "*" }), 200),
  ...Object.entries(PAST_OTHERWISE).flatMap(([name, date], index) => [
    readRow(`59.${10 + index}`, `a date in ${name} (unmodified)`, () => ({ "If-Unmodified-Since": date }), 412),
    readRow(`59.${20 + index}`, `a date in ${name} (modified)`, () => ({ "If-Modified-Since": date }), 200),
  ]),
  readRow("59.30", "an unreadable If-Modified-Since is ignored", () => ({ "If-Modified-Since": "soon" }), 200),
  readRow("59.31", "a future If-Modified-Since is ignored", () => ({ "If-Modified-Since": futureDate() }), 200),
]

type Write = (scene: Scene, key: string, headers: Record<string, string>) => ReturnType<Scene["put"]>

const put: Write = (scene, key, headers) => scene.put(key, "new", headers)
const copy: Write = async (scene, key, headers) => {
  await scene.stored("source", "new")
  return scene.copy("source", key, headers)
}
const complete: Write = async (scene, key, headers) => {
  const uploadId = await scene.createUpload(key)
  const etag = await scene.storedPart(key, uploadId, 1, "new")
  return scene.complete(key, uploadId, [[1, etag]], headers)
}
const WRITES: readonly (readonly [name: string, write: Write])[] = [
  ["PUT", put],
  ["CopyObject", copy],
  ["Complete", complete],
]

const writeRows = WRITES.flatMap(([name, write], index): readonly Row[] => [
  row(`60.${index * 10 + 1}`, `${name} with If-None-Match: * on an existing key is 412`, async scene => {
    await scene.stored("k", "old")
    expectError(await write(scene, "k", { "If-None-Match": "*" }), 412, "PreconditionFailed")
    expectBody(await scene.get("k"), "old")
  }),
  row(`60.${index * 10 + 2}`, `${name} with If-None-Match: * on a free key stores`, async scene => {
    expectStatus(await write(scene, "k", { "If-None-Match": "*" }), 200)
    expectBody(await scene.get("k"), "new")
  }),
  row(`60.${index * 10 + 3}`, `${name} with If-None-Match: * over a delete marker stores`, async scene => {
    await scene.setVersioning("Enabled")
    await scene.stored("k", "old")
    expectStatus(await scene.remove("k"), 204)
    expectStatus(await write(scene, "k", { "If-None-Match": "*" }), 200)
    expectBody(await scene.get("k"), "new")
  }),
  row(`60.${index * 10 + 4}`, `${name} with a list of ETags in If-None-Match`, async scene => {
    const { etag } = await stored(scene)
    expectError(await write(scene, "k", { "If-None-Match": `${WRONG}, ${etag}` }), 412, "PreconditionFailed")
    expectStatus(await write(scene, "k", { "If-None-Match": WRONG }), 200)
  }),
  row(`61.${index * 10 + 1}`, `${name} with If-Match on a missing key is NoSuchKey`, async scene => {
    expectError(await write(scene, "k", { "If-Match": WRONG }), 404, "NoSuchKey")
  }),
  row(`61.${index * 10 + 2}`, `${name} with If-Match: mismatch 412, match 200`, async scene => {
    const { etag } = await stored(scene)
    expectError(await write(scene, "k", { "If-Match": WRONG }), 412, "PreconditionFailed")
    expectBody(await scene.get("k"), "body")
    expectStatus(await write(scene, "k", { "If-Match": etag }), 200)
    expectBody(await scene.get("k"), "new")
  }),
])

async function race(scene: Scene, headers: Record<string, string>): Promise<void> {
  const bodies = Array.from({ length: 8 }, (_, index) => `writer ${index}`)
  const answers = await Promise.all(bodies.map(body => scene.put("k", body, headers)))
  const winners = answers.flatMap((answer, index) => (answer.status === 200 ? [index] : []))
  for (const answer of answers) expectStatus(answer, [200, 409, 412])
  same(winners.length, 1, "winners")
  expectBody(await scene.get("k"), bodies[winners[0] ?? -1] ?? "")
}

export const conditionRows: readonly Row[] = [
  ...readRows,
  ...formRows,
  ...writeRows,
  row("61.40", "of 8 racing writers with If-None-Match: * one wins", scene => race(scene, { "If-None-Match": "*" })),
  row("61.41", "of 8 racing writers with If-Match one wins", async scene => {
    const { etag } = await stored(scene)
    await race(scene, { "If-Match": etag })
  }),
  row("61.42", "a large upload that began first loses to a small one that ended first", async scene => {
    const slow = scene.put("k", PART, { "If-None-Match": "*" })
    const fast = scene.put("k", "small", { "If-None-Match": "*" })
    const answers = await Promise.all([slow, fast])
    same(answers.filter(answer => answer.status === 200).length, 1, "winners")
    for (const answer of answers) expectStatus(answer, [200, 409, 412])
  }),
  row("62.1", "DELETE with If-Match", async scene => {
    const { etag } = await stored(scene)
    expectError(await scene.remove("k", { "If-Match": WRONG }), 412, "PreconditionFailed")
    expectBody(await scene.get("k"), "body")
    expectStatus(await scene.remove("k", { "If-Match": etag }), 204)
    expectError(await scene.get("k"), 404, "NoSuchKey")
  }),
  row("62.2", "DeleteObjects with an ETag per key", async scene => {
    const { etag } = await stored(scene, "good")
    await stored(scene, "bad")
    const response = await scene.deleteMany([
      { key: "good", etag },
      { key: "bad", etag: WRONG },
    ])
    const { text: xml } = expectStatus(response, 200)
    const error = present(elements(xml, "Error")[0], "Error")
    same([text(error, "Key"), text(error, "Code")], ["bad", "PreconditionFailed"], "error")
    same(await scene.keys(), ["bad"], "keys left")
  }),
  // "If the Size value does not match, the operation returns a 412 Precondition Failed error. If the Size matches or if
  // the object doesn't exist, the operation returns a 204 Success (No Content) response." (DeleteObject)
  row("62.3", "DELETE with x-amz-if-match-size", async scene => {
    await stored(scene)
    expectError(await scene.remove("k", { "x-amz-if-match-size": "5" }), 412, "PreconditionFailed")
    expectError(await scene.remove("k", { "x-amz-if-match-size": "four" }), 400, "InvalidArgument")
    expectBody(await scene.get("k"), "body")
    expectStatus(await scene.remove("k", { "x-amz-if-match-size": "4" }), 204)
    expectError(await scene.get("k"), 404, "NoSuchKey")
    expectStatus(await scene.remove("k", { "x-amz-if-match-size": "4" }), 204)
  }),
  // "If present, the object is deleted only if its modification times matches the provided Timestamp." (DeleteObject)
  row("62.4", "DELETE with x-amz-if-match-last-modified-time", async scene => {
    const { modified } = await stored(scene)
    const name = "x-amz-if-match-last-modified-time"
    expectError(await scene.remove("k", { [name]: PAST }), 412, "PreconditionFailed")
    expectError(await scene.remove("k", { [name]: "yesterday" }), 400, "InvalidArgument")
    expectBody(await scene.get("k"), "body")
    expectStatus(await scene.remove("k", { [name]: modified }), 204)
    expectError(await scene.get("k"), 404, "NoSuchKey")
    expectStatus(await scene.remove("k", { [name]: modified }), 204)
  }),
  // "You can use the If-Match, x-amz-if-match-last-modified-time and x-amz-if-match-size conditional headers in
  // conjunction with each-other or individually." (DeleteObject)
  row("62.5", "all conditions of a DELETE must hold", async scene => {
    const { etag, modified } = await stored(scene)
    const holding = { "If-Match": etag, "x-amz-if-match-size": "4", "x-amz-if-match-last-modified-time": modified }
    const failing = [
      { "If-Match": WRONG },
      { "x-amz-if-match-size": "0" },
      { "x-amz-if-match-last-modified-time": PAST },
    ]
    for (const one of failing) {
      expectError(await scene.remove("k", { ...holding, ...one }), 412, "PreconditionFailed")
    }
    expectStatus(await scene.remove("k", holding), 204)
  }),
  row("62.6", "DeleteObjects with Size and LastModifiedTime per key", async scene => {
    const { modified } = await stored(scene, "good")
    await stored(scene, "large")
    await stored(scene, "late")
    const size = "4"
    const response = await scene.deleteMany([
      { key: "good", size, modified: new Date(modified).toISOString() },
      { key: "large", size: "5" },
      { key: "late", size, modified: "2015-01-01T00:00:00Z" },
      { key: "missing", size },
      { key: "late", size: "-1" },
    ])
    const { text: xml } = expectStatus(response, 200)
    const errors = elements(xml, "Error").map(error => [text(error, "Key"), text(error, "Code")])
    const failed = "PreconditionFailed"
    same(
      errors,
      [
        ["large", failed],
        ["late", failed],
        ["late", "InvalidArgument"],
      ],
      "errors",
    )
    same(await scene.keys(), ["large", "late"], "keys left")
  }),
  row("62.7", "x-amz-if-match-size speaks of the version that is removed", async scene => {
    await scene.setVersioning("Enabled")
    const old = present((await scene.stored("k", "a longer body")).header("x-amz-version-id"), "version id")
    await stored(scene)
    expectError(
      await scene.call("DELETE", { key: "k", query: `versionId=${old}`, headers: { "x-amz-if-match-size": "4" } }),
      412,
      "PreconditionFailed",
    )
    expectStatus(
      await scene.call("DELETE", { key: "k", query: `versionId=${old}`, headers: { "x-amz-if-match-size": "13" } }),
      204,
    )
  }),
  // "If the initiated timestamp of the multipart upload does not match the provided value, the operation returns a 412
  // Precondition Failed error. If the initiated timestamp matches or if the multipart upload doesn't exist, the operation
  // returns a 204 Success (No Content) response." (AbortMultipartUpload)
  row("62.8", "AbortMultipartUpload with x-amz-if-match-initiated-time", async scene => {
    const uploadId = await scene.createUpload("k")
    const listed = expectStatus(await scene.call("GET", { query: "uploads" }), 200).text
    const initiated = new Date(present(text(listed, "Initiated"), "Initiated")).toUTCString()
    const abort = (time: string) =>
      scene.call("DELETE", {
        key: "k",
        query: `uploadId=${uploadId}`,
        headers: { "x-amz-if-match-initiated-time": time },
      })
    expectError(await abort(PAST), 412, "PreconditionFailed")
    expectStatus(await abort(initiated), 204)
    expectStatus(await abort(initiated), 204)
    expectError(await scene.part("k", uploadId, 1, "x"), 404, "NoSuchUpload")
  }),
  row("63.1", "copy-source conditions that hold", async scene => {
    const { etag, modified } = await stored(scene)
    const holding = [
      { "x-amz-copy-source-if-match": etag },
      { "x-amz-copy-source-if-none-match": WRONG },
      { "x-amz-copy-source-if-modified-since": PAST },
      { "x-amz-copy-source-if-unmodified-since": modified },
      { "x-amz-copy-source-if-match": etag, "x-amz-copy-source-if-unmodified-since": PAST },
      { "x-amz-copy-source-if-none-match": WRONG, "x-amz-copy-source-if-modified-since": PAST },
    ]
    for (const headers of holding) expectStatus(await scene.copy("k", "copied", headers), 200)
  }),
  row("63.2", "copy-source conditions that fail are 412, never 304", async scene => {
    const { etag, modified } = await stored(scene)
    const failing = [
      { "x-amz-copy-source-if-match": WRONG },
      { "x-amz-copy-source-if-none-match": etag },
      { "x-amz-copy-source-if-modified-since": modified },
      { "x-amz-copy-source-if-unmodified-since": PAST },
      { "x-amz-copy-source-if-none-match": etag, "x-amz-copy-source-if-modified-since": PAST },
    ]
    for (const headers of failing) {
      expectError(await scene.copy("k", "copied", headers), 412, "PreconditionFailed")
    }
    expectError(await scene.get("copied"), 404, "NoSuchKey")
  }),
  row("63.3", "copy-source conditions of UploadPartCopy", async scene => {
    const { etag } = await stored(scene)
    const uploadId = await scene.createUpload("target")
    const source = { "x-amz-copy-source": `${scene.bucket}/k` }
    const ask = (headers: Record<string, string>) => scene.part("target", uploadId, 1, "", { ...source, ...headers })
    expectError(await ask({ "x-amz-copy-source-if-match": WRONG }), 412, "PreconditionFailed")
    expectError(await ask({ "x-amz-copy-source-if-none-match": etag }), 412, "PreconditionFailed")
    expectStatus(await ask({ "x-amz-copy-source-if-match": etag }), 200)
  }),
  row("58.20", "conditions speak of the version asked for", async scene => {
    await scene.setVersioning("Enabled")
    const first = await scene.stored("k", "one")
    await scene.stored("k", "two")
    const query = `versionId=${present(first.header("x-amz-version-id"), "version id")}`
    const etag = present(first.header("etag"), "ETag")
    expectStatus(await scene.get("k", { "If-None-Match": etag }, query), 304)
    expectBody(expectStatus(await scene.get("k", { "If-None-Match": etag }), 200), "two")
    check((await scene.get("k", { "If-Match": etag })).status === 412, "the latest does not match")
  }),
  row("58.21", "304 carries the headers of caches that a 200 would", async scene => {
    const headers = { "Cache-Control": "max-age=60", Expires: "Wed, 21 Oct 2037 07:28:00 GMT" }
    const etag = present((await scene.put("k", "bytes", headers)).header("etag"), "ETag")
    const response = expectStatus(await scene.get("k", { "If-None-Match": etag }), 304)
    expectHeader(response, "cache-control", "max-age=60")
    expectHeader(response, "expires", headers.Expires)
    const query = "response-cache-control=no-store"
    expectHeader(expectStatus(await scene.get("k", { "If-None-Match": etag }, query), 304), "cache-control", "no-store")
  }),
]
