/** Lines 44 to 57: PUT, GET, HEAD, DELETE and ranges. */
import { utf8 } from "../client.js"
import { md5Hex, multipartEtag } from "../checksums.js"
import { check, expectBody, expectError, expectHeader, expectStatus, present, same } from "../expect.js"
import { row } from "../row.js"
import type { Row } from "../row.js"
import { PART } from "../scene.js"
import type { Scene } from "../scene.js"
import { UNSIGNED_PAYLOAD } from "../sign-v4.js"
import { elements, text, texts } from "../xml.js"

const ISO_SECOND = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.000Z$/
const RFC_1123 = /^(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$/

const KEPT: readonly (readonly [name: string, value: string])[] = [
  ["cache-control", "max-age=3600,  private"],
  ["content-disposition", `attachment; filename*=UTF-8''na%C3%AFve.txt; x="${utf8("naïve")}"`],
  ["content-encoding", "x-Own, gzip"],
  ["content-language", "de-AT, en"],
  ["content-type", "Text/HTML; charset=UTF-8"],
  ["expires", "next Tuesday, perhaps"],
  ["x-amz-meta-plain", "a value with = and ; and ,"],
  ["x-amz-meta-empty", ""],
]

async function racingReaders(scene: Scene): Promise<void> {
  const bodies = ["a", "b"].map(letter => Buffer.alloc(700_000, letter))
  const etags = bodies.map(body => `"${md5Hex(body)}"`)
  await scene.stored("k", bodies[0], { "x-amz-meta-letter": "a" })
  let writing = true
  const writer = async () => {
    try {
      for (let round = 0; round < 12; round += 1) {
        await scene.stored("k", bodies[round % 2], { "x-amz-meta-letter": round % 2 ? "b" : "a" })
        if (round % 4 === 3) expectStatus(await scene.remove("k"), 204)
      }
    } finally {
      writing = false
    }
  }
  const reader = async () => {
    while (writing) {
      const response = await scene.get("k")
      if (response.status === 404) continue
      const which = etags.indexOf(expectStatus(response, 200).header("etag") ?? "")
      check(which >= 0, "the ETag is one of the two")
      expectBody(response, bodies[which] ?? "")
      expectHeader(response, "x-amz-meta-letter", which ? "b" : "a")
    }
  }
  await Promise.all([writer(), reader(), reader()])
}

const deleteRows: readonly Row[] = [
  row("51.1", "DELETE of a missing key is 204", async scene => {
    expectStatus(await scene.remove("missing"), 204)
  }),
  row("51.2", "DELETE in a missing bucket is NoSuchBucket", async scene => {
    expectError(await scene.client.call("DELETE", { bucket: scene.uniqueName(), key: "k" }), 404, "NoSuchBucket")
  }),
  row("51.3", "a deleted key is gone", async scene => {
    await scene.stored("k", "body")
    expectStatus(await scene.remove("k"), 204)
    expectError(await scene.get("k"), 404, "NoSuchKey")
  }),
  row("52.1", "DeleteObjects answers per key, in the order asked, missing ones as deleted", async scene => {
    await scene.stored("a")
    await scene.stored("c")
    const { text: xml } = expectStatus(await scene.deleteMany(["c", "missing", "a"]), 200)
    same(texts(xml, "Key"), ["c", "missing", "a"], "keys")
    same(elements(xml, "Deleted").length, 3, "deleted")
    same(await scene.keys(), [], "keys left")
  }),
  row("52.2", "Quiet shows errors only", async scene => {
    await scene.stored("a")
    const { text: xml } = expectStatus(await scene.deleteMany(["a", "missing"], true), 200)
    same(elements(xml, "Deleted").length + elements(xml, "Error").length, 0, "entries")
    same(await scene.keys(), [], "keys left")
  }),
  row("52.3", "an empty list is MalformedXML", async scene => {
    expectError(await scene.document("POST", "delete", "<Delete></Delete>"), 400, "MalformedXML")
  }),
  row(
    "52.12",
    "an element that S3 does not have in a list of deletions is MalformedXML, and nothing is deleted",
    async scene => {
      await scene.stored("k")
      for (const xml of [
        "<Object><Key>k</Key><VersionID>v</VersionID></Object>",
        "<Object><Key>k</Key></Object><Prefix>k</Prefix>",
      ]) {
        expectError(await scene.document("POST", "delete", `<Delete>${xml}</Delete>`), 400, "MalformedXML")
      }
      same(await scene.keys(), ["k"], "keys left")
    },
  ),
  row("52.4", "1,000 keys are good, 1,001 are MalformedXML", async scene => {
    const keys = Array.from({ length: 1001 }, (_, index) => `k${index}`)
    await scene.stored("k0")
    expectError(await scene.deleteMany(keys), 400, "MalformedXML")
    same(await scene.keys(), ["k0"], "keys after the refusal")
    const { text: xml } = expectStatus(await scene.deleteMany(keys.slice(0, 1000)), 200)
    same(elements(xml, "Deleted").length, 1000, "deleted")
    same(texts(xml, "Key"), keys.slice(0, 1000), "keys, in the order asked")
    same(await scene.keys(), [], "keys left")
  }),
  row("52.5", "keys with CR, control characters and spaces at the ends are exact", async scene => {
    const keys = ["cr\rend", "a\u0001b", " both ", "tab\t", "line\nend", "a&b<c>"]
    for (const key of keys) await scene.stored(key, "x")
    await scene.stored("both", "stays")
    const { text: xml } = expectStatus(await scene.deleteMany(keys), 200)
    // XML 1.0 carries no U+0001 back.
    const shown = keys.map(key => key.replace("\u0001", "\ufffd"))
    same(texts(xml, "Key"), shown, "keys")
    same(await scene.keys(), ["both"], "keys left")
  }),
  row("52.6", "the version id null deletes the only version", async scene => {
    await scene.stored("k")
    expectStatus(await scene.deleteMany([{ key: "k", versionId: "null" }]), 200)
    same(await scene.keys(), [], "keys left")
  }),
]

const RANGES: readonly (readonly [range: string, first: number, last: number])[] = [
  ["bytes=0-0", 0, 0],
  ["bytes=5-", 5, 25],
  ["bytes=-5", 21, 25],
  ["bytes=20-1000", 20, 25],
  ["bytes=-1000", 0, 25],
  ["bytes=3-7", 3, 7],
  ["bytes=25-25", 25, 25],
  ["bytes=0-99999999999999999999", 0, 25],
]
const ALPHABET = "abcdefghijklmnopqrstuvwxyz"
const WHOLE_RANGES = [
  "bytes=7-3",
  "bytes=a-b",
  "bytes",
  "items=0-5",
  "bytes=0-1,3-4",
  "bytes=--5",
  "bytes=1-2-3",
  "bytes=-",
]

async function rangeOfLarge(scene: Scene): Promise<void> {
  const body = Buffer.alloc(9 * 1024 * 1024)
  for (let at = 0; at < body.length; at += 4) body.writeUInt32LE(at, at)
  await scene.call("PUT", { key: "k", body, sign: { payloadHash: UNSIGNED_PAYLOAD } })
  const edges = [0, 65_535, 65_536, 1_398_101, 4_194_303, 4_194_304, 8_388_607, body.length - 1]
  for (const first of edges) {
    const last = Math.min(first + 70_000, body.length - 1)
    const response = expectStatus(await scene.get("k", { Range: `bytes=${first}-${last}` }), 206)
    expectHeader(response, "content-range", `bytes ${first}-${last}/${body.length}`)
    check(response.body.equals(body.subarray(first, last + 1)), `bytes ${first}-${last} are the object's`)
  }
}

const partRows: readonly Row[] = [
  row("57.1", "partNumber gives that part, the count and the ETag of the whole", async scene => {
    const tail = Buffer.from("the tail")
    await scene.multipart("k", [PART, tail])
    for (const method of ["GET", "HEAD"] as const) {
      const response = expectStatus(await scene.call(method, { key: "k", query: "partNumber=2" }), 206)
      expectHeader(response, "content-range", `bytes ${PART.length}-${PART.length + 7}/${PART.length + 8}`)
      expectHeader(response, "content-length", "8")
      expectHeader(response, "x-amz-mp-parts-count", "2")
      expectHeader(response, "etag", `"${multipartEtag([PART, tail])}"`)
      if (method === "GET") expectBody(response, tail)
    }
    expectError(await scene.get("k", {}, "partNumber=3"), 416, "InvalidPartNumber")
  }),
  row("57.2", "part 1 of a single object is the whole, part 2 does not exist", async scene => {
    await scene.stored("k", "body")
    expectBody(expectStatus(await scene.get("k", {}, "partNumber=1"), [200, 206]), "body")
    expectError(await scene.get("k", {}, "partNumber=2"), 416, "InvalidPartNumber")
  }),
  row("57.3", "partNumber with a Range is refused", async scene => {
    await scene.stored("k", "body")
    expectError(await scene.get("k", { Range: "bytes=0-1" }, "partNumber=1"), 400, "InvalidRequest")
  }),
  ...["0", "10001", "x", "-1"].map((number, index) =>
    row(`57.${4 + index}`, `partNumber=${number} is refused`, async scene => {
      await scene.stored("k", "body")
      expectError(await scene.get("k", {}, `partNumber=${number}`), 400)
    }),
  ),
]

export const objectRows: readonly Row[] = [
  row("44.1", "PUT answers 200, ETag, no body, no version id", async scene => {
    const response = expectStatus(await scene.put("k", "body"), 200)
    expectBody(response, "")
    expectHeader(response, "etag", `"${md5Hex(Buffer.from("body"))}"`)
    expectHeader(response, "x-amz-version-id", undefined)
  }),
  row("45.1", "no Content-Type is binary/octet-stream", async scene => {
    await scene.stored("k", "body")
    expectHeader(await scene.get("k"), "content-type", "binary/octet-stream")
  }),
  row("45.2", "content headers and metadata come back byte for byte, names in lower case", async scene => {
    const headers = KEPT.map(([name, value]) => [name.replace(/(^|-)[a-z]/g, c => c.toUpperCase()), value] as const)
    await scene.stored("k", "body", headers)
    for (const response of [await scene.get("k"), await scene.head("k")]) {
      for (const [name, value] of KEPT) expectHeader(response, name, value)
      const metadata = response.headers.map(([name]) => name).filter(name => /^x-amz-meta/i.test(name))
      check(
        metadata.every(name => name === name.toLowerCase()),
        "metadata names in lower case",
      )
    }
  }),
  // "Values of such headers are … encoded as per RFC 2047 to make them mail-safe before returning. If the string contains only
  // US-ASCII characters, it is presented as is." ("Working with object metadata", Amazon S3 User Guide)
  row("45.20", "metadata and a Content-Type beyond ASCII come back as encoded words", async scene => {
    const given = [
      ["content-type", utf8("text/naïve"), "=?UTF-8?Q?text/na=C3=AFve?="],
      ["x-amz-meta-quoted", utf8("Hello World é"), "=?UTF-8?Q?Hello_World_=C3=A9?="],
      ["x-amz-meta-base64", utf8("é😀"), "=?UTF-8?B?w6nwn5iA?="],
      ["x-amz-meta-latin", "\u00e9\u00ff", "=?UTF-8?B?w6nDvw==?="],
      ["x-amz-meta-words", "=?UTF-8?B?w6k=?=", "=?UTF-8?B?w6k=?="],
    ] as const
    await scene.stored(
      "k",
      "body",
      given.map(([name, value]) => [name, value] as const),
    )
    for (const response of [await scene.get("k"), await scene.head("k")]) {
      for (const [name, , shown] of given) expectHeader(response, name, shown)
    }
  }),
  row("45.3", "an overwrite replaces all headers and metadata", async scene => {
    await scene.stored("k", "body", KEPT)
    await scene.stored("k", "new")
    const response = await scene.head("k")
    expectHeader(response, "cache-control", undefined)
    expectHeader(response, "x-amz-meta-plain", undefined)
    expectHeader(response, "content-type", "binary/octet-stream")
  }),
  row("46.1", "an empty object, also with a key that ends in a slash", async scene => {
    for (const key of ["empty", "dir/"]) {
      await scene.stored(key)
      const response = expectStatus(await scene.get(key), 200)
      expectHeader(response, "content-length", "0")
      expectBody(response, "")
    }
    same(texts((await scene.list()).text, "Size"), ["0", "0"], "sizes listed")
  }),
  row("46.2", "dir/ with a body is an ordinary object", async scene => {
    await scene.stored("dir/", "body")
    await scene.stored("dir/x", "inside")
    expectBody(await scene.get("dir/"), "body")
    expectStatus(await scene.remove("dir/"), 204)
    expectBody(await scene.get("dir/x"), "inside")
  }),
  row("47.1", "a length over 5 GiB is refused before the body", async scene => {
    const headers = { "Content-Length": String(5 * 1024 ** 3 + 1), Expect: "100-continue" }
    const call = { key: "k", headers, awaitContinue: true, sign: { payloadHash: UNSIGNED_PAYLOAD } }
    expectError(await scene.call("PUT", call), 400, "EntityTooLarge")
  }),
  row("48.1", "HEAD has GET's headers and no body", async scene => {
    await scene.stored("k", "body", KEPT)
    const [get, head] = [await scene.get("k"), await scene.head("k")]
    const changing = ["date", "x-amz-request-id", "x-amz-id-2", "server-timing"]
    const names = (headers: readonly (readonly [string, string])[]) =>
      headers.filter(([name]) => !changing.includes(name.toLowerCase())).map(([name, value]) => `${name}: ${value}`)
    same(names(head.headers).sort(), names(get.headers).sort(), "headers")
    expectBody(head, "")
  }),
  row("48.2", "missing keys and buckets", async scene => {
    expectStatus(await scene.head("missing"), 404)
    expectError(await scene.get("missing"), 404, "NoSuchKey")
    const bucket = scene.uniqueName()
    expectError(await scene.client.call("GET", { bucket, key: "k" }), 404, "NoSuchBucket")
    expectError(await scene.client.call("GET", { bucket, key: "k", anonymous: true }), 404, "NoSuchBucket")
    expectStatus(await scene.client.call("HEAD", { bucket, key: "k" }), 404)
  }),
  row("48.3", "anonymous callers are refused", async scene => {
    await scene.stored("k", "body")
    expectError(await scene.call("GET", { key: "k", anonymous: true }), 403, "AccessDenied")
    expectError(await scene.call("PUT", { key: "n", body: "x", anonymous: true }), 403, "AccessDenied")
    expectError(await scene.call("DELETE", { key: "k", anonymous: true }), 403, "AccessDenied")
    expectBody(await scene.get("k"), "body")
  }),
  row("49.1", "Last-Modified is the same second in headers and lists", async scene => {
    await scene.stored("k", "body")
    const modified = present((await scene.head("k")).header("last-modified"), "Last-Modified")
    check(RFC_1123.test(modified), `${modified} is RFC 1123`)
    for (const query of ["list-type=2", "", "versions"]) {
      const listed = text((await scene.list(query)).text, "LastModified") ?? ""
      check(ISO_SECOND.test(listed), `${listed} is ISO 8601 of a whole second`)
      same(Date.parse(listed), Date.parse(modified), `time listed (${query})`)
    }
    check(Math.abs(Date.parse(modified) - Date.now()) < 120_000, "it is a time of now")
  }),
  row("49.2", "a PUT in the same second is not taken for unchanged", async scene => {
    const first = await scene.stored("k", "one")
    const modified = (await scene.head("k")).header("last-modified") ?? ""
    await scene.stored("k", "two")
    const headers = { "If-None-Match": first.header("etag") ?? "", "If-Modified-Since": modified }
    expectBody(expectStatus(await scene.get("k", headers), 200), "two")
  }),
  row("50.1", "Accept-Ranges and ETag on 200, 206 and HEAD", async scene => {
    await scene.stored("k", "body")
    for (const response of [
      await scene.get("k"),
      await scene.get("k", { Range: "bytes=0-1" }),
      await scene.head("k"),
    ]) {
      expectHeader(response, "accept-ranges", "bytes")
      expectHeader(response, "etag", `"${md5Hex(Buffer.from("body"))}"`)
    }
  }),
  ...deleteRows,
  row("53.1", "readers beside overwrites and deletes see one version whole", racingReaders),
  ...RANGES.map(([range, first, last], index) =>
    row(`54.${index + 1}`, `${range} of 26 bytes is ${first} to ${last}`, async scene => {
      await scene.stored("k", ALPHABET)
      const response = expectStatus(await scene.get("k", { Range: range }), 206)
      expectHeader(response, "content-range", `bytes ${first}-${last}/26`)
      expectHeader(response, "content-length", String(last - first + 1))
      expectBody(response, ALPHABET.slice(first, last + 1))
    }),
  ),
  row("54.10", "ranges over the edges of sub-blocks, shards and blocks", rangeOfLarge),
  row("54.11", "HEAD with a range", async scene => {
    await scene.stored("k", ALPHABET)
    const response = expectStatus(await scene.head("k", { Range: "bytes=3-7" }), 206)
    expectHeader(response, "content-length", "5")
    expectHeader(response, "content-range", "bytes 3-7/26")
  }),
  ...["bytes=26-", "bytes=26-30", "bytes=-0", "bytes=100-"].map((range, index) =>
    row(`55.${index + 1}`, `${range} of 26 bytes is 416`, async scene => {
      await scene.stored("k", ALPHABET)
      const response = expectError(await scene.get("k", { Range: range }), 416, "InvalidRange")
      expectHeader(response, "content-range", "bytes */26")
    }),
  ),
  row("55.5", "any range of an empty object is 416", async scene => {
    await scene.stored("k")
    for (const range of ["bytes=0-0", "bytes=0-", "bytes=-5"]) {
      expectError(await scene.get("k", { Range: range }), 416, "InvalidRange")
    }
  }),
  ...WHOLE_RANGES.map((range, index) =>
    row(`56.${index + 1}`, `${range} gives the whole object`, async scene => {
      await scene.stored("k", ALPHABET)
      const response = expectStatus(await scene.get("k", { Range: range }), 200)
      expectBody(response, ALPHABET)
      expectHeader(response, "content-range", undefined)
    }),
  ),
  row("56.20", "If-Range that matches gives the range, another the whole", async scene => {
    const etag = (await scene.stored("k", ALPHABET)).header("etag") ?? ""
    const modified = (await scene.head("k")).header("last-modified") ?? ""
    const ask = (value: string) => scene.get("k", { Range: "bytes=0-1", "If-Range": value })
    expectBody(expectStatus(await ask(etag), 206), "ab")
    expectBody(expectStatus(await ask(modified), 206), "ab")
    expectBody(expectStatus(await ask('"other"'), 200), ALPHABET)
    expectBody(expectStatus(await ask("Thu, 01 Jan 2015 00:00:00 GMT"), 200), ALPHABET)
  }),
  ...partRows,
]
