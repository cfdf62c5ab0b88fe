/** Lines 1 to 7: raw paths, hosts, keys, bucket names, the list of buckets. */
import { utf8 } from "../client.js"
import { check, expectBody, expectError, expectHeader, expectStatus, present, same } from "../expect.js"
import { row, rowWithOther } from "../row.js"
import type { Row } from "../row.js"
import type { Scene } from "../scene.js"
import { encodeText } from "../sign-v4.js"
import { elements, text, texts } from "../xml.js"

const byteOrder = (keys: readonly string[]): string[] =>
  [...keys].sort((left, right) => Buffer.compare(Buffer.from(left), Buffer.from(right)))

async function keptExactly(scene: Scene, keys: readonly string[]): Promise<void> {
  for (const key of keys) await scene.stored(key, `body of ${key}`)
  for (const key of keys) expectBody(expectStatus(await scene.get(key), 200), `body of ${key}`)
  same(await scene.keys(), byteOrder(keys), "keys listed")
}

const DOTTED = ["a/../b", "./a", "a/./b", "../a", "..", ".", "a/..", "a/.", ".../a"]
const SLASHED = ["/a", "//a", "a//b", "a///", "/", "//"]

async function rawTarget(scene: Scene, rawKey: string, key: string): Promise<void> {
  const body = `raw ${rawKey}`
  expectStatus(await scene.call("PUT", { path: `/${scene.bucket}/${rawKey}`, body }), 200)
  same(await scene.keys(), [key], `key of the raw target ${rawKey}`)
  expectBody(expectStatus(await scene.call("GET", { path: `/${scene.bucket}/${rawKey}` }), 200), body)
  expectBody(expectStatus(await scene.get(key), 200), body)
}

const RAW: readonly (readonly [id: string, raw: string, key: string])[] = [
  ["1.3", "x%2Fy", "x/y"],
  ["1.4", "%2E%2E/%2e", "../."],
  ["1.5", "a+b", "a+b"],
  ["1.6", "a%2541", "a%41"],
  ["1.7", "back\\slash", "back\\slash"],
  ["1.8", "q%3Fm%23h%26", "q?m#h&"],
  ["1.9", "!*'()~$@:;=,&", "!*'()~$@:;=,&"],
  ["1.10", "%C3%A9 ".trim() + "%20end", "é end"],
]

const key1024 = "k".repeat(1000) + "/" + "m".repeat(23)
const emoji256 = "😀".repeat(256)

const BAD_NAMES: readonly string[] = [
  "ab",
  "a".repeat(64),
  "Upper-case",
  "under_score",
  "-start",
  "end-",
  ".start",
  "end.",
  "two..dots",
  "dot.-dash",
  "dash-.dot",
  "192.168.5.4",
  "sp%20ace",
]

/** Before or after the rest of a name. */
const RESERVED_NAMES: readonly (readonly [before: string, after: string])[] = [
  ["xn--", ""],
  ["sthree-", ""],
  ["amzn-s3-demo-", ""],
  ["", "-s3alias"],
  ["", "--ol-s3"],
  ["", ".mrap"],
  ["", "--x-s3"],
  ["", "--table-s3"],
]

export const pathRows: readonly Row[] = [
  row("1.1", "dot segments in a key are kept exactly", scene => keptExactly(scene, DOTTED)),
  row("1.2", "leading, trailing and doubled slashes are kept", scene => keptExactly(scene, SLASHED)),
  ...RAW.map(([id, raw, key]) => row(id, `the raw key ${raw} is ${key}`, scene => rawTarget(scene, raw, key))),
  row("1.11", "a, a/, a// and a/b are four objects", async scene => {
    await keptExactly(scene, ["a", "a/", "a//", "a/b"])
    expectStatus(await scene.remove("a/"), 204)
    same(await scene.keys(), ["a", "a//", "a/b"], "keys left")
  }),
  row("1.12", "plus is not a space", async scene => {
    await scene.stored("a+b", "plus")
    expectError(await scene.get("a b"), 404, "NoSuchKey")
    await scene.stored("a b", "space")
    expectBody(await scene.get("a+b"), "plus")
  }),
  row("2.1", "a key of 1,024 bytes is stored, listed and read", scene => keptExactly(scene, [key1024])),
  row("2.2", "a key of 1,025 bytes is refused", async scene => {
    expectError(await scene.put(`${key1024}x`, "body"), 400, "KeyTooLongError")
  }),
  row("2.3", "the limit counts bytes, not characters", async scene => {
    await keptExactly(scene, [emoji256])
    expectError(await scene.put(`${emoji256}x`, "body"), 400, "KeyTooLongError")
  }),
  ...["%ff", "a%C3", "%ED%A0%80", "%C0%80", "%F5%80%80%80"].map((raw, index) =>
    row(`2.${4 + index}`, `a key that is no UTF-8 (${raw}) is refused`, async scene => {
      expectError(await scene.call("PUT", { path: `/${scene.bucket}/${raw}`, body: "x" }), 400)
      same(await scene.keys(), [], "keys")
    }),
  ),
  row("2.9", "composed and decomposed é are two keys", scene => keptExactly(scene, ["caf\u00e9", "cafe\u0301"])),
  row("2.10", "control characters, U+0000 included, live in keys", scene =>
    keptExactly(scene, ["nul\u0000end", "a\u0001b", "tab\tnew\nline", "cr\rend", "\u007f", "\u0085"]),
  ),
  row("2.11", "code points of every plane live in keys", scene =>
    keptExactly(scene, ["\uffff", "\ufffd", "\u{10ffff}", "\u{1f600}", "\ue000", "\u2028"]),
  ),
  row("3.1", "virtual-host style on *.localhost without configuration", async scene => {
    const host = `${scene.bucket}.${scene.surroundings.domain}:${scene.client.endpoint.port}`
    expectStatus(await scene.client.call("PUT", { host, path: "/a/key", body: "virtual" }), 200)
    expectBody(expectStatus(await scene.get("a/key"), 200), "virtual")
    expectBody(expectStatus(await scene.client.call("GET", { host, path: "/a/key" }), 200), "virtual")
    const list = expectStatus(await scene.client.call("GET", { host, path: "/", query: "list-type=2" }), 200)
    same(texts(list.text, "Key"), ["a/key"], "keys listed by virtual host")
  }),
  row("3.2", "a bucket name with dots works in both styles", async scene => {
    const bucket = await scene.newBucket({ name: `${scene.uniqueName()}.with.dots` })
    const host = `${bucket}.${scene.surroundings.domain}:${scene.client.endpoint.port}`
    expectStatus(await scene.client.call("PUT", { bucket, key: "k", body: "path" }), 200)
    expectBody(expectStatus(await scene.client.call("GET", { host, path: "/k" }), 200), "path")
  }),
  row("3.3", "another Host is path style", async scene => {
    await scene.stored("k", "body")
    for (const host of ["example.test", "10.1.2.3:9000", "[::1]:9000", scene.surroundings.domain]) {
      expectBody(expectStatus(await scene.call("GET", { key: "k", host }), 200), "body")
    }
  }),
  row("3.4", "by virtual host the first segment of the path belongs to the key", async scene => {
    const host = `${scene.bucket}.${scene.surroundings.domain}`
    expectStatus(await scene.client.call("PUT", { host, path: `/${scene.bucket}/k`, body: "x" }), 200)
    same(await scene.keys(), [`${scene.bucket}/k`], "keys")
  }),
  row("3.5", "a bucket is made, asked for and removed by virtual host", async scene => {
    const host = `${scene.adopt(scene.uniqueName())}.${scene.surroundings.domain}`
    expectStatus(await scene.client.call("PUT", { host, path: "/" }), 200)
    expectStatus(await scene.client.call("HEAD", { host, path: "/" }), 200)
    expectStatus(await scene.client.call("DELETE", { host, path: "/" }), 204)
  }),
  row("4.1", "Host without a port verifies", async scene => {
    expectStatus(await scene.call("GET", { query: "list-type=2", host: scene.client.endpoint.host }), 200)
  }),
  row("4.2", "Host in upper case verifies and names the same bucket", async scene => {
    await scene.stored("k", "body")
    const { domain } = scene.surroundings
    for (const host of [`${scene.bucket}.${domain.toUpperCase()}:8080`, `${scene.bucket.toUpperCase()}.${domain}`]) {
      expectBody(expectStatus(await scene.client.call("GET", { host, path: "/k" }), 200), "body")
    }
  }),
  row("5.1", "unknown query parameters are ignored", async scene => {
    const query = "x-id=PutObject&cachebust=17&utm_source=a%20b&empty="
    expectStatus(await scene.call("PUT", { key: "k", query, body: "body" }), 200)
    expectBody(expectStatus(await scene.get("k", {}, "x-id=GetObject&_=1"), 200), "body")
    expectStatus(await scene.remove("k", {}, "x-id=DeleteObject"), 204)
    same(await scene.keys("x-id=ListObjectsV2"), [], "keys")
  }),
  row("5.2", "unknown query parameters are part of the signature", async scene => {
    await scene.stored("k", "body")
    const { request } = scene.client.prepare("GET", { bucket: scene.bucket, key: "k", query: "x-id=GetObject" })
    const { headers } = request
    const authorization = present(headers.find(([name]) => name === "Authorization")?.[1], "Authorization")
    const rest = headers.filter(([name]) => !["Authorization", "Host"].includes(name))
    const target = request.target.replace("GetObject", "HeadObject")
    const response = await scene.client.send("GET", target, { headers: [...rest, ["Authorization", authorization]] })
    expectError(response, 403, "SignatureDoesNotMatch")
  }),
  ...BAD_NAMES.map((name, index) =>
    row(`6.${index + 1}`, `the bucket name ${name.slice(0, 20)} is refused`, async scene => {
      expectError(await scene.client.call("PUT", { path: `/${name}` }), 400, "InvalidBucketName")
      const status = [400, 404]
      expectError(await scene.client.call("GET", { path: `/${name}` }), status, "NoSuchBucket", "InvalidBucketName")
    }),
  ),
  ...RESERVED_NAMES.map(([before, after], index) =>
    row(`6.${index + 30}`, `a reserved name (${before}…${after}) is refused, and the message says why`, async scene => {
      const name = `${before}${scene.uniqueName()}${after}`
      const refused = expectError(await scene.client.call("PUT", { bucket: name }), 400, "InvalidBucketName")
      check((text(refused.text, "Message") ?? "").includes(before + after), "the message names what is reserved")
      expectError(await scene.client.call("GET", { bucket: name }), 404, "NoSuchBucket")
    }),
  ),
  row("6.21", "InvalidBucketName says what is wrong", async scene => {
    const reasons = [
      ["ab", /3 to 63/],
      ["Upper-case", /lower-case/],
      ["-start", /begins and ends/],
      ["192.168.5.4", /IP address/],
      ["two..dots", /dot/],
    ] as const
    for (const [name, reason] of reasons) {
      const refused = expectError(await scene.client.call("PUT", { path: `/${name}` }), 400, "InvalidBucketName")
      check(reason.test(text(refused.text, "Message") ?? ""), `${name}: ${String(reason)}`)
    }
  }),
  row("6.20", "names of 3 and of 63 characters are good", async scene => {
    await scene.newBucket({ name: scene.uniqueName().padEnd(63, "0") })
    const short = Math.floor(Math.random() * 36 ** 3)
      .toString(36)
      .padStart(3, "0")
    expectStatus(await scene.client.call("PUT", { bucket: short }), [200, 409])
    scene.adopt(short)
  }),
  row("7.1", "the list of buckets shows the owner and the bucket", async scene => {
    const list = expectStatus(await scene.client.call("GET", {}), 200)
    const names = elements(list.text, "Bucket").map(entry => text(entry, "Name"))
    check(names.includes(scene.bucket), "the bucket is listed")
    const owner = present(elements(list.text, "Owner")[0], "Owner")
    check((text(owner, "ID") ?? "") !== "", "Owner has an ID")
    const entry = present(elements(list.text, "Bucket")[0], "Bucket")
    check(
      /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(text(entry, "CreationDate") ?? ""),
      "CreationDate in ISO 8601",
    )
  }),
  row("7.2", "anonymous callers may not list buckets", async scene => {
    expectError(await scene.client.call("GET", { anonymous: true }), 403, "AccessDenied")
  }),
  row("7.3", "prefix, max-buckets and continuation-token page through the buckets", async scene => {
    const prefix = scene.uniqueName()
    for (const end of ["a", "b", "c"]) await scene.newBucket({ name: `${prefix}${end}` })
    const seen: string[] = []
    let token = ""
    for (let page = 0; page < 3; page += 1) {
      const more = token === "" ? "" : `&continuation-token=${encodeText(token)}`
      const query = `max-buckets=1&prefix=${prefix}${more}`
      const { text: xml } = expectStatus(await scene.client.call("GET", { query }), 200)
      const names = elements(xml, "Bucket").map(entry => text(entry, "Name") ?? "")
      check(names.length <= 1, "at most one bucket a page")
      seen.push(...names)
      token = text(xml, "ContinuationToken") ?? ""
      if (token === "") break
    }
    same(seen, [`${prefix}a`, `${prefix}b`, `${prefix}c`], "buckets over the pages")
  }),
  rowWithOther("7.4", "another account sees its own buckets only, and an empty list is an answer", async scene => {
    const list = expectStatus(await scene.other.call("GET", {}), 200)
    check(!list.text.includes(scene.bucket), "the bucket of the first account is not shown")
    expectHeader(list, "content-type", /application\/xml/)
  }),
  row("7.6", "bucket-region that is no region is refused, and another region has none of the buckets", async scene => {
    const refused = expectError(await scene.client.call("GET", { query: "bucket-region=abc" }), 400, "InvalidArgument")
    same(text(refused.text, "Message"), "Argument value abc is not a valid AWS Region", "Message")
    const other = expectStatus(await scene.client.call("GET", { query: "bucket-region=eu-north-9" }), 200)
    same(elements(other.text, "Bucket").length, 0, "buckets of another region")
  }),
  row("7.5", "metadata bytes beside a Unicode key", async scene => {
    await scene.stored("é", "x", { "x-amz-meta-name": utf8("é") })
    expectHeader(await scene.get("é"), "x-amz-meta-name", "=?UTF-8?B?w6k=?=")
  }),
]
