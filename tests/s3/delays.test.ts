/** Requests on the synchronous path get the same answers as on the asynchronous path. */
import assert from "node:assert/strict"
import { Agent, createServer } from "node:http"
import { test } from "node:test"
import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
  S3Client,
} from "@aws-sdk/client-s3"
import { runsOf, TEST_SEED } from "@hayloft/base/testing-seed.js"
import { httpDate } from "@hayloft/base/text/dates.js"
import { digestOnce } from "@hayloft/base/seams/compute/index.js"
import { sha256Hex } from "@hayloft/access/index.js"
import { fail } from "@hayloft/base/failures.js"
import { objectKeyOfText, parseAccountId, parseBucketName } from "@hayloft/base/ids.js"
import { CHECKSUM_ALGORITHMS, type ChecksumAlgorithm } from "@hayloft/base/http/checksum-algorithms.js"
import { hashOnce } from "@hayloft/base/seams/compute/hashes.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { Machine } from "@hayloft/node/testing-engine.js"
import { KIB } from "@hayloft/base/limits.js"
import type { Engine } from "@hayloft/node/engine.js"
import { ask, type HandlerRequest } from "./ask.js"
import { alike, PAGE, RULES, shown, takeLists, world } from "./delays-world.js"

const random = new SimRandom(TEST_SEED)
const oneOf = <T>(...choices: readonly [T, ...T[]]): T => choices[random.below(choices.length)] ?? choices[0]

const bodyOf = (i: number): Buffer => Buffer.alloc(i * 97, `body ${i} `)

const IN_CHUNKS = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"

const ODD_KEYS = ["gone", "a%20b", "a+b", "%FF", ""]

const etagOf = (body: Uint8Array): string => `"${digestOnce("md5", body, "hex")}"`

function anyEtag(bodies: readonly Uint8Array[]): string {
  const one = (): string => oneOf("*", '"x"', ...bodies.map(etagOf))
  return oneOf(one(), one(), `${one()}, ${one()}`, `W/${one()}`, one().replaceAll('"', ""), "")
}

/** Times around the clock of the tests, and values that count as not sent. */
const anyDate = (nowMs: number): string =>
  oneOf("yesterday", ...[-86_400_000, -1_000, 0, 3_600_000].map(more => httpDate(nowMs + more)))

function anyReadConditions(nowMs: number): readonly string[] {
  const bodies = [0, 1, 2].map(bodyOf)
  return [
    ...oneOf<readonly string[]>([], ["if-match", anyEtag(bodies)], ["if-none-match", anyEtag(bodies)]),
    ...oneOf<readonly string[]>([], ["if-none-match", anyEtag(bodies)]),
    ...oneOf<readonly string[]>([], ["if-modified-since", anyDate(nowMs)], ["if-unmodified-since", anyDate(nowMs)]),
    ...oneOf<readonly string[]>([], ["range", oneOf("bytes=0-1", "bytes=9999-")]),
  ]
}

function anyRead(nowMs: number): HandlerRequest & { readonly secret: string; readonly hash: string } {
  const more = oneOf<readonly string[]>(
    [],
    [],
    [],
    ["x-amz-checksum-mode", "ENABLED"],
    ["x-amz-checksum-mode", "enabled"],
    ["range", oneOf("bytes=1-3", "bytes=0-0", "bytes=-3", "bytes=9999-", "bytes=3-1", "bytes=0-1,3-4", "lines=1-2")],
    ["range", "bytes=0-1", "if-range", '"x"'],
    ["range", "bytes=0-1", "x-amz-checksum-mode", "ENABLED"],
    ["range", "bytes=0-1", "range", "bytes=2-3"],
    ...[1, 2, 3, 4, 5, 6].map(() => anyReadConditions(nowMs)),
    ["x-amz-expected-bucket-owner", "root"],
    ["x-amz-acl", "private"],
    ["x-amz-nonsense", "1"],
    ["origin", oneOf(PAGE, "https://other.example.com")],
    ["content-length", "0"],
    ["user-agent", "sdk", "amz-sdk-invocation-id", "1"],
  )
  const bucket = oneOf("bench", "bench", "bench", "kept", "ruled", "shared", "other", "No")
  const key = oneOf("plain", "typed", "meta", "tagged", "summed", "large", "absent", ...ODD_KEYS)
  const query = oneOf(
    "",
    "",
    "",
    "?x-id=GetObject",
    "?versionId=null",
    "?response-content-type=a",
    "?acl",
    "?partNumber=1",
  )
  return {
    method: oneOf("GET", "HEAD"),
    rawTarget: `/${bucket}/${key}${query}`,
    rawHeaders: ["host", oneOf("127.0.0.1:9000", "127.0.0.1:9000", "bench.s3.test", "h"), ...more],
    secret: oneOf("secret", "secret", "secret", "wrong"),
    hash: oneOf("UNSIGNED-PAYLOAD", IN_CHUNKS, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
  }
}

test("reads get the same answers on the synchronous and the asynchronous path", () => {
  const machine = new Machine({ devices: 1 })
  return machine.clock.runUntil(compareReads(machine))
})

async function compareReads(machine: Machine): Promise<void> {
  const { slow, quick, sign, count, engine, clock } = await world(machine)
  const stored: readonly (readonly [string, readonly string[]])[] = [
    ["plain", []],
    ["typed", ["content-type", "text/x", "cache-control", "no-store", "content-disposition", "inline"]],
    ["meta", ["x-amz-meta-b", "2", "x-amz-meta-a", "\u00c3\u00a4"]],
    ["tagged", ["x-amz-tagging", "a=1&b=2"]],
    ["summed", ["x-amz-sdk-checksum-algorithm", "SHA256", "x-amz-checksum-sha256", SUM]],
    ["large", ["x-amz-meta-much", "m".repeat(1_500)]],
    ["gone", []],
    ["a%20b", []],
  ]
  for (const bucket of ["bench", "kept", "ruled", "shared"]) {
    for (const [i, [key, more]] of stored.entries()) {
      const body = key === "summed" ? Buffer.from("hello") : bodyOf(i)
      const rawHeaders = ["host", "h", "content-length", String(body.length), ...more]
      const put = await ask(slow, { ...sign({ method: "PUT", rawTarget: `/${bucket}/${key}`, rawHeaders }), body })
      assert.equal(put.answer?.status, 200, key)
    }
    await ask(slow, sign({ method: "DELETE", rawTarget: `/${bucket}/gone`, rawHeaders: ["host", "h"] }))
  }
  const denied = await ask(quick, sign({ method: "GET", rawTarget: "/ruled/typed", rawHeaders: ["host", "h"] }))
  assert.equal(denied.answer?.status, 403)
  await giveAway(engine, "typed")
  const theirs = await ask(quick, sign({ method: "GET", rawTarget: "/shared/typed", rawHeaders: ["host", "h"] }))
  assert.equal(theirs.answer?.status, 403)
  for (const rawTarget of ["/bench/plain", "/kept/plain", "/bench/plain?versionId=null", "/bench/tagged"]) {
    const read = await ask(quick, sign({ method: "GET", rawTarget, rawHeaders: ["host", "h"] }))
    assert.ok(read.answer?.status === 200 && !read.waited, `${rawTarget} was not answered synchronously`)
  }
  for (let i = 0; i < runsOf(2_000); i += 1) {
    const { secret, hash, ...read } = anyRead(clock.wallMs())
    const handlerRequest = sign(read, hash, secret)
    const [atOnce, later] = [shown(await ask(quick, handlerRequest)), shown(await ask(slow, handlerRequest))]
    assert.deepEqual(atOnce, later, JSON.stringify(handlerRequest))
  }
  assert.ok(count.objects > 200, `only ${count.objects} were answered synchronously`)
  for (const kind of ["noSuchKey", "notModified", "preconditionFailed"] as const)
    assert.ok((count.refused[kind] ?? 0) > 5, `${kind}: only ${count.refused[kind]} synchronous answers`)
  await engine.stop()
}

/** The sizes of sub-blocks and blocks in these tests. */
const BLOCK_BYTES = 64 * KIB

/** First and last bytes near the borders of stored pieces. */
function anyRange(sizeBytes: number): string {
  const place = (): number =>
    Math.max(0, oneOf(0, BLOCK_BYTES, 2 * BLOCK_BYTES, 3 * BLOCK_BYTES, sizeBytes) + oneOf(-2, -1, 0, 1, 2, 700))
  const [first, last] = [place(), place()].sort((a, b) => a - b)
  return oneOf(`bytes=${first}-${last}`, `bytes=${first}-${last}`, `bytes=${first}-`, `bytes=-${last}`)
}

for (const devices of [1, 3]) {
  test(`bytes in blocks, and ranges of them, are the same on the synchronous and the asynchronous path: ${devices} devices`, () => {
    const machine = new Machine({ devices })
    return machine.clock.runUntil(compareStored(machine, devices))
  })
}

async function compareStored(machine: Machine, devices: number): Promise<void> {
  const { slow, quick, sign, count, engine } = await world(machine)
  const lengths = [4 * KIB + 1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 3 * BLOCK_BYTES + 5]
  const bodies = lengths.map(length => Buffer.from(random.bytes(length)))
  for (const [i, body] of bodies.entries()) {
    const rawHeaders = ["host", "h", "content-length", String(body.length), "x-amz-meta-a", "1"]
    await ask(slow, { ...sign({ method: "PUT", rawTarget: `/${i % 2 ? "kept" : "bench"}/${i}`, rawHeaders }), body })
  }
  const compare = async (): Promise<void> => {
    for (let n = 0; n < runsOf(200); n += 1) {
      const i = random.below(bodies.length)
      const more = random.below(4) === 0 ? [] : ["range", anyRange(lengths[i] ?? 0)]
      const rawHeaders = ["host", "h", ...more]
      const read = { method: oneOf("GET", "GET", "HEAD"), rawTarget: `/${i % 2 ? "kept" : "bench"}/${i}`, rawHeaders }
      const [atOnce, later] = [shown(await ask(quick, sign(read))), shown(await ask(slow, sign(read)))]
      assert.deepEqual(atOnce, later, JSON.stringify(read))
      const [, first, last] = /bytes (\d+)-(\d+)/.exec(atOnce.pairs.join()) ?? [undefined, 0, lengths[i]]
      if (atOnce.status >= 300 || read.method === "HEAD") continue
      const expected = bodies[i]?.subarray(Number(first), atOnce.status === 206 ? Number(last) + 1 : undefined)
      assert.ok(expected?.equals(Buffer.from(atOnce.body, "latin1")), JSON.stringify(read))
    }
  }
  await compare()
  assert.ok(count.lent > 50 && count.outside === 0, `${count.lent} bodies were lent`)
  if (devices > 1) {
    // One of the devices has only damaged needles: the bytes are read from the others.
    for (let at = 4_096; at < 3 * BLOCK_BYTES; at += 1_024)
      machine.disk.flipBit("/d1/volumes/0000000001.volume", 8 * at)
    const before = count.lent
    await compare()
    assert.ok(count.lent > before && count.outside === 0, "the others are not read synchronously")
  }
  await engine.stop()
}

test("requests that wait concurrently get their own bytes, even if buffers are reused during the wait", () => {
  const machine = new Machine({ devices: 1 })
  return machine.clock.runUntil(readAtTheSameTime(machine))
})

/** Buckets are read asynchronously, objects synchronously: as after a start, while few rows are in memory. */
async function readAtTheSameTime(machine: Machine): Promise<void> {
  const { slow, half, sign, engine } = await world(machine)
  const keys = Array.from({ length: 20 }, (_, i) => `/bench/key-${i}`)
  for (const [i, rawTarget] of keys.entries()) {
    const body = bodyOf(i + 1)
    const rawHeaders = ["host", "h", "content-length", String(body.length)]
    await ask(slow, { ...sign({ method: "PUT", rawTarget, rawHeaders }), body })
  }
  const reads = keys.map(rawTarget => sign({ method: "GET", rawTarget, rawHeaders: ["host", "h"] }))
  const result = await Promise.all(reads.map(read => ask(half, read)))
  for (const [i, each] of result.entries()) assert.equal(shown(each).body, bodyOf(i + 1).toString("latin1"), keys[i])
  await engine.stop()
}

test("a read that waits for the permission to see a lock gets its own bytes", () => {
  const machine = new Machine({ devices: 1 })
  return machine.clock.runUntil(readLocked(machine))
})

/** The decision about the read follows from the request, the one about the lock needs the object's tags. */
async function readLocked(machine: Machine): Promise<void> {
  const { slow, quick, sign, engine } = await world(machine)
  const { buckets } = engine.services
  const owner = parseAccountId("root")
  const bucket = await buckets.create({ name: parseBucketName("locked"), owner, location: "", hasLock: true })
  const unlessTagged = {
    Effect: "Deny",
    Principal: "*",
    Action: "s3:GetObjectLegalHold",
    Resource: "arn:aws:s3:::locked/*",
  }
  const Condition = { StringEquals: { "s3:ExistingObjectTag/hide": "yes" } }
  await buckets.setSetting(
    bucket,
    "policy",
    JSON.stringify({ Version: "2012-10-17", Statement: { ...unlessTagged, Condition } }),
  )
  const keys = Array.from({ length: 20 }, (_, i) => `/locked/key-${i}`)
  for (const [i, rawTarget] of keys.entries()) {
    const body = bodyOf(i + 1)
    const digest = ["content-md5", Buffer.from(digestOnce("md5", body, "hex"), "hex").toString("base64")]
    const asked = ["x-amz-object-lock-legal-hold", "ON", "x-amz-tagging", `hide=${i % 2 ? "yes" : "no"}`]
    const rawHeaders = ["host", "h", "content-length", String(body.length), ...digest, ...asked]
    await ask(slow, { ...sign({ method: "PUT", rawTarget, rawHeaders }), body })
  }
  const reads = keys.map(rawTarget => sign({ method: "GET", rawTarget, rawHeaders: ["host", "h"] }))
  for (const read of reads) await ask(quick, read)
  const results = await Promise.all(reads.map(read => ask(quick, read)))
  for (const [i, result] of results.entries()) {
    const { body, pairs } = shown(result)
    assert.equal(body, bodyOf(i + 1).toString("latin1"), keys[i])
    assert.equal(pairs.includes("x-amz-object-lock-legal-hold: ON"), i % 2 === 0, keys[i])
  }
  await engine.stop()
}

test("damaged bytes are never returned, on either path", () => {
  const machine = new Machine({ devices: 1 })
  return machine.clock.runUntil(readDamaged(machine))
})

async function readDamaged(machine: Machine): Promise<void> {
  const { slow, quick, sign, count, engine } = await world(machine)
  const body = Buffer.from(random.bytes(BLOCK_BYTES))
  const put = { method: "PUT", rawTarget: "/bench/a", rawHeaders: ["host", "h", "content-length", String(body.length)] }
  await ask(slow, { ...sign(put), body })
  const read = sign({ method: "GET", rawTarget: "/bench/a", rawHeaders: ["host", "h"] })
  for (let i = 0; i < 2; i += 1) assert.equal(shown(await ask(quick, read)).body, body.toString("latin1"))
  assert.equal(count.lent, 1)
  for (let at = 4_200; at < BLOCK_BYTES; at += 7_001) {
    machine.disk.flipBit("/d1/volumes/0000000001.volume", 8 * at)
    const [atOnce, later] = [shown(await ask(quick, read)), shown(await ask(slow, read))]
    assert.ok(atOnce.status >= 500, `byte ${at}`)
    assert.deepEqual(atOnce, later)
    machine.disk.flipBit("/d1/volumes/0000000001.volume", 8 * at)
  }
  assert.equal(shown(await ask(quick, read)).body, body.toString("latin1"))
  await engine.stop()
}

/** The checksum of "hello". */
const SUM = "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ="

const NO_BYTES = new Uint8Array()

function anyChecksum(body: Uint8Array): readonly string[] {
  const algorithm = oneOf<ChecksumAlgorithm>("CRC32", ...CHECKSUM_ALGORITHMS)
  const { checksum = NO_BYTES } = hashOnce({ md5: false, sha256: false, checksum: algorithm }, body)
  const value = Buffer.from(checksum).toString("base64")
  const header = [`x-amz-checksum-${algorithm.toLowerCase()}`, oneOf(value, value, value, value.toLowerCase(), "")]
  return [...oneOf<readonly string[]>([], ["x-amz-sdk-checksum-algorithm", algorithm]), ...header]
}

/** Sizes at the limit of the synchronous path, and beyond. */
const bodyInBlocks = (more: number): Buffer => Buffer.alloc(oneOf(4 * KIB, BLOCK_BYTES) + more, "large ")

const KEYS = ["a", "b", "c", "d", "year%3D2024/%C3%A4", "year=2024/x", "a%2Fb", "%FF"] as const

const LENGTHS = [0, 1, 5, 20, 50] as const

function anyWriteCondition(): readonly string[] {
  const etag = anyEtag(LENGTHS.map(bodyOf))
  return oneOf<readonly string[]>(
    ["if-none-match", "*"],
    ["if-none-match", etag],
    ["if-match", etag],
    ["if-match", "*", "if-none-match", etag],
    ["if-match", etag, "if-match", "*"],
    ["if-unmodified-since", "yesterday"],
  )
}

function anyPut(): HandlerRequest & { readonly hash: string } {
  const more = oneOf<readonly string[]>(
    [],
    ["content-type", oneOf("text/x", "text/x", "")],
    ["content-type", "text/x", "x-amz-meta-a", "1", "x-amz-meta-b", "2"],
    ["content-disposition", "inline", "content-language", "en"],
    ["user-agent", "sdk", "x-amz-user-agent", "sdk", "x-amz-api-version", "2006-03-01"],
    ["cache-control", "no-store"],
    ["x-amz-meta-a", "1"],
    ["x-amz-tagging", "a=1"],
    ["origin", PAGE],
    ...[1, 2, 3].map(() => anyWriteCondition()),
    ["content-encoding", "gzip"],
    ["x-amz-storage-class", oneOf("GLACIER", "GLACIER_IR", "NOPE")],
    ["x-amz-acl", oneOf("private", "Private", "public-read", "bucket-owner-full-control")],
    ["x-amz-grant-read", "id=root"],
    ["x-amz-meta-a", "m".repeat(oneOf(100, 600, 2_100)), "x-amz-meta-b", "2", "expires", "never"],
    ["x-amz-meta-a", "1", "X-Amz-Meta-A", "2"],
  )
  const key = oneOf(...KEYS)
  const body = random.below(4) === 0 ? bodyInBlocks(oneOf(-1, 0, 1)) : bodyOf(oneOf(...LENGTHS))
  const { md5 = NO_BYTES } = hashOnce({ md5: true, sha256: false, checksum: undefined }, body)
  const promises = oneOf<readonly string[]>(
    [],
    [],
    ...[body, body, Buffer.from("other")].map(anyChecksum),
    [...anyChecksum(body), ...anyChecksum(body)],
    ["x-amz-checksum-crc64", "AAAAAAAAAAA="],
    ["x-amz-sdk-checksum-algorithm", oneOf("CRC32", "crc32c", "MD4")],
    ["content-md5", oneOf(Buffer.from(md5).toString("base64"), "nonsense", "1B2M2Y8AsgTpgAmY7PhCfg==")],
  )
  const query = oneOf("", "", "", "?x-id=PutObject", "?acl")
  return {
    method: "PUT",
    rawTarget: `/${oneOf("left", "left", "left", "other")}/${key}${query}`,
    rawHeaders: ["host", "127.0.0.1:9000", "content-length", String(body.length), ...more, ...promises],
    body,
    hash: oneOf("UNSIGNED-PAYLOAD", sha256Hex(body), sha256Hex(body), sha256Hex(body), sha256Hex(NO_BYTES)),
  }
}

/** A body as SDKs send it over TLS: in chunks, followed by a checksum. */
function anyPutInChunks(): HandlerRequest & { readonly hash: string } {
  const body = random.below(4) === 0 ? bodyInBlocks(-200) : bodyOf(oneOf(...LENGTHS))
  const cut = oneOf(0, 0, 0, random.below(body.length + 1))
  const chunks = [body.subarray(0, cut), body.subarray(cut)].filter(chunk => chunk.length > 0)
  const { checksum = NO_BYTES } = hashOnce({ md5: false, sha256: false, checksum: "CRC32" }, body)
  const value = Buffer.from(checksum).toString("base64")
  const usual = "x-amz-checksum-crc32"
  const trailer = oneOf(usual, usual, usual, usual, "x-amz-checksum-sha1", "x-amz-meta-a")
  const lines = oneOf(
    `${usual}:${value}\r\n\r\n`,
    `${usual}:${value}\r\n\r\n`,
    `${usual}: ${value}\n`,
    `${usual}:AAAA\r\n`,
    "",
  )
  const encoded = Buffer.concat([
    ...chunks.flatMap(chunk => [Buffer.from(`${chunk.length.toString(16)}\r\n`), chunk, Buffer.from("\r\n")]),
    Buffer.from(`0${oneOf("", "", "", ";chunk-signature=0")}\r\n${lines}`),
  ])
  const length = body.length + oneOf(0, 0, 0, 0, 1)
  const more = oneOf<readonly string[]>(
    [],
    [],
    [],
    [usual, value],
    ["content-md5", "1B2M2Y8AsgTpgAmY7PhCfg=="],
    ["x-amz-meta-a", "1"],
    ["x-amz-sdk-checksum-algorithm", "CRC32"],
  )
  const coding = oneOf("aws-chunked", "aws-chunked", "aws-chunked", "aws-chunked,gzip", "AWS-chunked", "gzip")
  return {
    method: "PUT",
    rawTarget: `/left/${oneOf(...KEYS)}`,
    rawHeaders: [
      "host",
      "h",
      "content-length",
      String(encoded.length),
      "content-encoding",
      coding,
      "x-amz-trailer",
      trailer,
      ...(random.below(8) === 0 ? [] : ["x-amz-decoded-content-length", String(length)]),
      ...more,
    ],
    body: encoded,
    hash: oneOf(IN_CHUNKS, IN_CHUNKS, IN_CHUNKS, IN_CHUNKS, "UNSIGNED-PAYLOAD", sha256Hex(encoded)),
  }
}

function anyDelete(): HandlerRequest & { readonly hash: string } {
  const more = oneOf<readonly string[]>(
    [],
    [],
    [],
    ["content-length", "0"],
    ["user-agent", "sdk"],
    anyWriteCondition(),
    ["x-amz-mfa", "1 2"],
    ["x-amz-bypass-governance-retention", "true"],
    ["origin", PAGE],
  )
  const query = oneOf("", "", "", "?x-id=DeleteObject", "?versionId=null", "?tagging")
  return {
    method: "DELETE",
    rawTarget: `/${oneOf("left", "left", "left", "other")}/${oneOf(...KEYS)}${query}`,
    rawHeaders: ["host", "127.0.0.1:9000", ...more],
    hash: oneOf("UNSIGNED-PAYLOAD", IN_CHUNKS, sha256Hex(NO_BYTES)),
  }
}

/** An object of the shared bucket is another account's from now on. */
async function giveAway({ services: { buckets, objects } }: Engine, key: string): Promise<void> {
  const bucket = await buckets.open(parseBucketName("shared"))
  const source = { bucket, key: objectKeyOfText(key), conditions: {} }
  const acl = { owner: parseAccountId("friend"), grants: undefined }
  const replaceAttributes = { headers: {}, userMetadata: [] }
  const { signal } = new AbortController()
  await objects.copy({
    source,
    bucket,
    key: source.key,
    conditions: {},
    replaceAttributes,
    replaceTags: undefined,
    acl,
    signal,
    checksumAlgorithm: undefined,
  })
}

test("puts and deletes have the same effects and answers on the synchronous and the asynchronous path", () => {
  const machine = new Machine({ devices: 1 })
  return machine.clock.runUntil(compareWrites(machine))
})

async function compareWrites(machine: Machine): Promise<void> {
  const { slow, quick, sign, count, engine } = await world(machine)
  const owner = parseAccountId("root")
  const list = async (bucket: string, rawTarget: string) => {
    const handlerRequest = {
      method: "GET",
      rawTarget: `${rawTarget.replace(/left|right/, bucket)}?acl`,
      rawHeaders: ["host", "h"],
    }
    return alike(shown(await ask(slow, sign(handlerRequest))))
  }
  let putInChunks = 0
  for (const versioning of ["never", "enabled", "with lists"] as const) {
    for (const name of ["left", "right"]) {
      const bucket =
        versioning === "never"
          ? await engine.services.buckets.create({ name: parseBucketName(name), owner, location: "" })
          : await engine.services.buckets.open(parseBucketName(name))
      await engine.services.buckets.setSetting(bucket, "cors", RULES)
      if (versioning === "enabled") await engine.services.buckets.setVersioning(bucket, versioning)
      if (versioning === "with lists") await takeLists(engine.services.buckets, bucket)
    }
    const isEnough = () => versioning !== "with lists" || (count.refused["preconditionFailed"] ?? 0) > 0
    for (let i = 0; i < runsOf(250) || (!isEnough() && i < runsOf(2_500)); i += 1) {
      const { hash, ...write } = oneOf(anyDelete, anyPut, anyPut, anyPutInChunks, anyPutInChunks)()
      const other = { ...write, rawTarget: write.rawTarget.replace("/left/", "/right/") }
      const putsBefore = count.puts
      const result = await ask(quick, sign(write, hash), oneOf("with the head", "later"))
      if (hash === IN_CHUNKS && count.puts > putsBefore) putInChunks += 1
      const later = shown(await ask(slow, sign(other, hash)))
      assert.deepEqual(alike(shown(result)), alike(later), JSON.stringify(write))
      const rawHeaders = ["host", "h", "x-amz-checksum-mode", "ENABLED"]
      const read = { method: "GET", rawTarget: write.rawTarget.replace(/\?.*/, ""), rawHeaders }
      const [mine, its] = [sign(read), sign({ ...read, rawTarget: read.rawTarget.replace("/left/", "/right/") })]
      assert.deepEqual(alike(shown(await ask(slow, mine))), alike(shown(await ask(slow, its))))
      assert.deepEqual(await list("left", read.rawTarget), await list("right", read.rawTarget))
    }
  }
  assert.ok(count.puts > 60, `only ${count.puts} synchronous puts`)
  for (const kind of ["noSuchKey", "preconditionFailed"] as const)
    assert.ok((count.refused[kind] ?? 0) > 0, `${kind}: only ${count.refused[kind]} synchronous answers`)
  assert.ok(putInChunks > 5, `only ${putInChunks} synchronous puts in chunks`)
  assert.ok(count.putsInBlocks > 15, `only ${count.putsInBlocks} of them into blocks`)
  const usage = async (name: string) => {
    const { buckets } = engine.services
    return buckets.usage(await buckets.open(parseBucketName(name)))
  }
  assert.deepEqual(await usage("left"), await usage("right"))
  await engine.stop()
}

test("a late body is requested, logged and counted as on the asynchronous path", () => {
  const machine = new Machine({ devices: 1 })
  return machine.clock.runUntil(compareMissing(machine))
})

async function compareMissing(machine: Machine): Promise<void> {
  const { slow, quick, sign, engine } = await world(machine)
  await ask(slow, sign({ method: "GET", rawTarget: "/bench/a", rawHeaders: ["host", "h"] }))
  const promises = [
    [],
    ["content-md5", "1B2M2Y8AsgTpgAmY7PhCfg=="],
    ["x-amz-checksum-crc32", "AAAAAA=="],

    ["content-md5", "nonsense"],
    ["x-amz-checksum-crc32", "AAAA"],
  ]
  for (const promised of promises) {
    for (const failure of [fail("incompleteBody"), fail("requestTimeout")]) {
      const bodyComes = Promise.reject(failure)
      bodyComes.catch(() => undefined)
      const rawHeaders = ["host", "h", "content-length", "4", ...promised]
      const put = sign({ method: "PUT", rawTarget: "/bench/a", rawHeaders })
      const handlerRequest = { ...put, body: Buffer.from("body"), bodyComes }
      const later = shown(await ask(slow, handlerRequest, "later"))
      assert.equal(later.status, 400)
      assert.deepEqual(
        shown(await ask(quick, handlerRequest, "later")),
        later,
        `${promised.join(": ")} ${failure.kind}`,
      )
    }
  }
  await engine.stop()
}

/** The requests that the AWS SDK sends by default to put, get, head and delete small objects. */
async function sdkRequests(wallMs: number): Promise<readonly HandlerRequest[]> {
  const captured: HandlerRequest[] = []
  const server = createServer((request, response) => {
    const pieces: Buffer[] = []
    request.on("data", (piece: Buffer) => pieces.push(piece))
    request.on("end", () => {
      const { method = "", url = "", rawHeaders } = request
      captured.push({ method, rawTarget: url, rawHeaders, body: Buffer.concat(pieces) })
      // The SDK adjusts its clock to the answers.
      response.sendDate = false
      response.end()
    })
  })
  await new Promise<void>(resolve => server.listen(0, "127.0.0.1", resolve))
  const address = server.address()
  assert.ok(typeof address === "object" && address !== null)
  const config = {
    region: "us-east-1",
    credentials: { accessKeyId: "ROOTKEY", secretAccessKey: "secret" },
    systemClockOffset: wallMs - Date.now(),
  }
  const byPath = new S3Client({ ...config, endpoint: `http://127.0.0.1:${address.port}` })
  const httpAgent = new Agent({
    lookup: (_name, { all }, found) =>
      all ? found(null, [{ address: "127.0.0.1", family: 4 }]) : found(null, "127.0.0.1", 4),
  })
  const endpoint = `http://localhost:${address.port}`
  const byHost = new S3Client({ ...config, endpoint, requestHandler: { httpAgent } })
  for (const client of [byPath, byHost]) {
    const target = { Bucket: "bench", Key: "of/sdk" }
    await client.send(new PutObjectCommand({ ...target, Body: Buffer.alloc(4_096, "b") }))
    await client.send(new PutObjectCommand({ ...target, Body: "text", ChecksumAlgorithm: "SHA256" }))
    await client.send(new PutObjectCommand({ ...target, Body: "t", ContentType: "a/b", Metadata: { a: "1", b: "2" } }))
    await client.send(new GetObjectCommand(target))
    await client.send(new HeadObjectCommand({ ...target, ChecksumMode: "ENABLED" }))
    await client.send(new DeleteObjectCommand(target))
    client.destroy()
  }
  await new Promise(resolve => server.close(resolve))
  return captured
}

test("the AWS SDK's requests are answered synchronously, and as on the asynchronous path", () => {
  const machine = new Machine({ devices: 1 })
  return machine.clock.runUntil(compareSdk(machine))
})

async function compareSdk(machine: Machine): Promise<void> {
  const { slow, quick, engine, clock } = await world(machine)
  const requests = await sdkRequests(clock.wallMs())
  assert.equal(requests.length, 12)
  // A key is cached from its second request on.
  for (const handlerRequest of requests.slice(0, 1)) await ask(slow, handlerRequest)
  for (const handlerRequest of requests) {
    const result = await ask(quick, handlerRequest)
    const atOnce = alike(shown(result))
    assert.equal(atOnce.status, handlerRequest.method === "DELETE" ? 204 : 200, atOnce.body)
    const isRead = handlerRequest.method === "GET" || handlerRequest.method === "HEAD"
    assert.equal(result.waited, !isRead, `${handlerRequest.method}: only reads are answered synchronously`)
    assert.deepEqual(atOnce, alike(shown(await ask(slow, handlerRequest))))
  }
  await engine.stop()
}
