/** Lines 64 to 73: listings, version 1 and 2, and of versions. */
import { check, expectError, expectStatus, present, same } from "../expect.js"
import { checksumBase64 } from "../checksums.js"
import { row } from "../row.js"
import type { Row } from "../row.js"
import type { Scene } from "../scene.js"
import { encodeText } from "../sign-v4.js"
import { elements, text, texts, topText } from "../xml.js"

const PAGES_MAX = 100
const byBytes = (keys: readonly string[]) => [...keys].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))

async function fill(scene: Scene, keys: readonly string[]): Promise<void> {
  for (let at = 0; at < keys.length; at += 8) {
    await Promise.all(keys.slice(at, at + 8).map(key => scene.stored(key, "x")))
  }
}

/** Entries and common prefixes of a page in document order of their kind, merged by bytes. */
function entriesOf(xml: string): string[] {
  const keys = elements(xml, "Contents").map(entry => decodeURIComponent(text(entry, "Key") ?? ""))
  const prefixes = elements(xml, "CommonPrefixes").map(entry => decodeURIComponent(text(entry, "Prefix") ?? ""))
  return byBytes([...keys, ...prefixes])
}

const param = (name: string, value: string | undefined) => (value === undefined ? "" : `&${name}=${encodeText(value)}`)

interface Asked {
  readonly prefix?: string
  readonly delimiter?: string
  readonly maxKeys: number
}

/** All pages of a listing; each page must be in order and hold at most max-keys entries. */
async function paged(scene: Scene, version: 1 | 2, asked: Asked): Promise<string[]> {
  const seen: string[] = []
  let marker: string | undefined
  for (let page = 0; page < PAGES_MAX; page += 1) {
    const next = param(version === 2 ? "continuation-token" : "marker", marker)
    const more = `${param("prefix", asked.prefix)}${param("delimiter", asked.delimiter)}${next}`
    const style = version === 2 ? "list-type=2&" : ""
    const response = await scene.list(`${style}encoding-type=url&max-keys=${asked.maxKeys}${more}`)
    const { text: xml } = expectStatus(response, 200)
    const entries = entriesOf(xml)
    check(entries.length <= asked.maxKeys, `at most ${asked.maxKeys} entries a page`)
    seen.push(...entries)
    if (topText(xml, "IsTruncated") !== "true") return seen
    check(entries.length > 0, "a truncated page is not empty")
    marker =
      version === 2
        ? present(topText(xml, "NextContinuationToken"), "NextContinuationToken")
        : decodeURIComponent(topText(xml, "NextMarker") ?? encodeURIComponent(entries.at(-1) ?? ""))
  }
  throw new Error(`more than ${PAGES_MAX} pages`)
}

/** The listing as the specification words it, over a list of keys. */
function expected(keys: readonly string[], { prefix = "", delimiter = "" }: Asked): string[] {
  const entries = byBytes(keys)
    .filter(key => key.startsWith(prefix))
    .map(key => {
      const at = delimiter === "" ? -1 : key.indexOf(delimiter, prefix.length)
      return at < 0 ? key : key.slice(0, at + delimiter.length)
    })
  return entries.filter((entry, index) => entry !== entries[index - 1])
}

const TREE = [
  "a",
  "a/",
  "a/1",
  "a/2",
  "a/b/1",
  "a/b/2",
  "a//x",
  "a0",
  "b/1",
  "b/2",
  "b/3",
  "c",
  "d//",
  "é/1",
  "é/2",
  "z::1",
  "z::2",
  "z:y",
]

const QUESTIONS: readonly (readonly [title: string, prefix: string | undefined, delimiter: string | undefined])[] = [
  ["the whole", undefined, undefined],
  ["delimiter /", undefined, "/"],
  ["prefix a/ and delimiter /", "a/", "/"],
  ["prefix a", "a", "/"],
  ["a prefix inside a name", "b/", undefined],
  ["delimiter of two characters", undefined, "::"],
  ["delimiter é/", undefined, "é/"],
  ["delimiter that no key has", undefined, "?"],
  ["a prefix that no key has", "nothing", "/"],
  ["delimiter that is a letter", undefined, "b"],
]

const pageRows = QUESTIONS.map(([title, prefix, delimiter], index) =>
  row(`66.${index + 1}`, `pages of every size: ${title}`, async scene => {
    await fill(scene, TREE)
    for (const maxKeys of [1, 2, 3, 7, 1000]) {
      const asked = {
        maxKeys,
        ...(prefix === undefined ? {} : { prefix }),
        ...(delimiter === undefined ? {} : { delimiter }),
      }
      const right = expected(TREE, asked)
      same(await paged(scene, 1, asked), right, `version 1, pages of ${maxKeys}`)
      same(await paged(scene, 2, asked), right, `version 2, pages of ${maxKeys}`)
    }
  }),
)

const ORDERED = [
  "Z",
  "a",
  "a\u0000",
  "a\u0001",
  "a b",
  "a!",
  "a/",
  "a0",
  "~",
  "\u00e9",
  "\uffff",
  "\u{10000}",
  "\u{1f600}",
  "\ue000",
]

const v1Rows: readonly Row[] = [
  row("67.1", "version 1: Marker echoed, Owner in each entry, NextMarker only with a delimiter", async scene => {
    await fill(scene, ["a", "b", "c", "d/1", "e"])
    const { text: xml } = expectStatus(await scene.list("max-keys=2&marker=a"), 200)
    same(topText(xml, "Marker"), "a", "Marker")
    same(topText(xml, "Name"), scene.bucket, "Name")
    same(topText(xml, "MaxKeys"), "2", "MaxKeys")
    same(topText(xml, "IsTruncated"), "true", "IsTruncated")
    same(topText(xml, "NextMarker"), undefined, "NextMarker")
    for (const entry of elements(xml, "Contents")) check((text(entry, "ID") ?? "") !== "", "Owner with an ID")
    const withDelimiter = expectStatus(await scene.list("max-keys=2&marker=b&delimiter=%2F"), 200).text
    same(topText(withDelimiter, "NextMarker"), "d/", "NextMarker")
  }),
  row("67.2", "version 1: a marker inside a common prefix skips the whole prefix", async scene => {
    await fill(scene, ["a/1", "a/2", "b"])
    for (const marker of ["a%2F", "a%2F1"]) {
      const { text: xml } = expectStatus(await scene.list(`delimiter=%2F&marker=${marker}`), 200)
      same(entriesOf(xml), ["b"], `entries after ${marker}`)
    }
  }),
]

const v2Rows: readonly Row[] = [
  row("67.3", "version 2: KeyCount, echoes, Owner only when asked", async scene => {
    await fill(scene, ["a", "b/1", "b/2", "c", "d"])
    const { text: xml } = expectStatus(await scene.list("list-type=2&max-keys=2&delimiter=%2F&start-after=A"), 200)
    same(topText(xml, "KeyCount"), "2", "KeyCount")
    same(topText(xml, "StartAfter"), "A", "StartAfter")
    same(topText(xml, "Delimiter"), "/", "Delimiter")
    same(elements(xml, "Owner").length, 0, "owners")
    const token = present(topText(xml, "NextContinuationToken"), "NextContinuationToken")
    const next = await scene.list(`list-type=2&delimiter=%2F&continuation-token=${encodeText(token)}`)
    same(topText(next.text, "ContinuationToken"), token, "ContinuationToken")
    same(entriesOf(next.text), ["c", "d"], "second page")
    const owned = expectStatus(await scene.list("list-type=2&fetch-owner=true"), 200).text
    same(elements(owned, "Owner").length, 5, "owners with fetch-owner")
  }),
  ...["", "foreign", "%00%01", "MTIzNDU2Nzg5MA%3D%3D"].map((token, index) =>
    row(`67.${4 + index}`, `version 2: the token "${token}" is refused`, async scene => {
      expectError(await scene.list(`list-type=2&continuation-token=${token}`), 400, "InvalidArgument")
    }),
  ),
  row("67.8", "version 2: a damaged token is refused", async scene => {
    await fill(scene, ["a", "b", "c"])
    const { text: xml } = expectStatus(await scene.list("list-type=2&max-keys=1"), 200)
    const token = present(topText(xml, "NextContinuationToken"), "NextContinuationToken")
    const middle = Math.floor(token.length / 2)
    const flipped = token[middle] === "A" ? "B" : "A"
    const damaged = `${token.slice(0, middle)}${flipped}${token.slice(middle + 1)}`
    const response = await scene.list(`list-type=2&continuation-token=${encodeText(damaged)}`)
    expectError(response, 400, "InvalidArgument")
  }),
  row("68.1", "start-after and marker need not exist", async scene => {
    await fill(scene, ["a", "c", "e"])
    same(await scene.keys("start-after=b"), ["c", "e"], "after b")
    same(entriesOf((await scene.list("marker=c0")).text), ["e"], "after c0")
    same(texts((await scene.list("versions&key-marker=b")).text, "Key"), ["c", "e"], "versions after b")
  }),
  row("68.2", "a token wins over start-after", async scene => {
    await fill(scene, ["a", "b", "c"])
    const { text: xml } = await scene.list("list-type=2&max-keys=1")
    const token = present(topText(xml, "NextContinuationToken"), "NextContinuationToken")
    same(await scene.keys(`start-after=c&continuation-token=${encodeText(token)}`), ["b", "c"], "keys")
  }),
]

const versionRows: readonly Row[] = [
  row("73.1", "a bucket never versioned shows null versions", async scene => {
    await fill(scene, ["a", "b"])
    const { text: xml } = expectStatus(await scene.list("versions"), 200)
    same(texts(xml, "VersionId"), ["null", "null"], "version ids")
    same(texts(xml, "IsLatest"), ["true", "true"], "IsLatest")
    same(texts(xml, "Key"), ["a", "b"], "keys")
    same(elements(xml, "Owner").length, 2, "owners")
  }),
  row("73.2", "versions come newest first, delete markers in place", async scene => {
    await scene.setVersioning("Enabled")
    const first = (await scene.stored("k", "1")).header("x-amz-version-id")
    const marker = (await scene.remove("k")).header("x-amz-version-id")
    const last = (await scene.stored("k", "2")).header("x-amz-version-id")
    const { text: xml } = expectStatus(await scene.list("versions"), 200)
    const order = [...xml.matchAll(/<(Version|DeleteMarker)>[\s\S]*?<VersionId>(.*?)<\/VersionId>/g)]
    const seen = order.map(([, kind, id]) => `${kind} ${id}`)
    same(seen, [`Version ${last}`, `DeleteMarker ${marker}`, `Version ${first}`], "entries")
    same(texts(xml, "IsLatest"), ["true", "false", "false"], "IsLatest")
  }),
  row("73.3", "key-marker and version-id-marker page inside one key", async scene => {
    await scene.setVersioning("Enabled")
    const ids: string[] = []
    for (let version = 0; version < 5; version += 1) {
      ids.unshift((await scene.stored("k", String(version))).header("x-amz-version-id") ?? "")
    }
    await scene.stored("l", "x")
    for (const size of [1, 2, 3]) same((await pagedVersions(scene, size)).slice(0, 5), ids, `pages of ${size}`)
  }),
  row("73.4", "version-id-marker alone is refused", async scene => {
    expectError(await scene.list("versions&version-id-marker=null"), 400, "InvalidArgument")
  }),
  row("73.5", "versions with prefix and delimiter", async scene => {
    await scene.setVersioning("Enabled")
    await fill(scene, ["a/1", "a/1", "a/2", "b", "b"])
    const { text: xml } = expectStatus(await scene.list("versions&delimiter=%2F"), 200)
    same(texts(xml, "Key"), ["b", "b"], "keys")
    same(
      elements(xml, "CommonPrefixes").map(entry => text(entry, "Prefix")),
      ["a/"],
      "prefixes",
    )
    const inside = expectStatus(await scene.list("versions&prefix=a%2F"), 200)
    same(texts(inside.text, "Key"), ["a/1", "a/1", "a/2"], "keys of the prefix")
  }),
]

async function pagedVersions(scene: Scene, size: number): Promise<string[]> {
  const ids: string[] = []
  let next = ""
  for (let page = 0; page < PAGES_MAX; page += 1) {
    const { text: xml } = expectStatus(await scene.list(`versions&max-keys=${size}${next}`), 200)
    ids.push(...elements(xml, "Version").map(entry => text(entry, "VersionId") ?? ""))
    if (topText(xml, "IsTruncated") !== "true") return ids
    next = `${param("key-marker", topText(xml, "NextKeyMarker"))}${param("version-id-marker", topText(xml, "NextVersionIdMarker"))}`
  }
  throw new Error(`more than ${PAGES_MAX} pages`)
}

const ENCODED = "a b+c%d&e<f>/é😀\"'~*()!"
const ENCODED_URL = "a%20b%2Bc%25d%26e%3Cf%3E/%C3%A9%F0%9F%98%80%22%27"

/** Stand for all characters outside XML 1.0. */
const NOT_CARRIED = ["\u0000", "\u0001", "\u001f", "\ufffe", "\uffff"]
const REFERENCES = /&#(?:[0-8]|1[124-9]|2\d|3[01]|6553[45]|x[0-8bcef]|x1[0-9a-f]|xfff[ef]);/i

/** Returns true if a document holds no character, and no reference to one, that XML 1.0 does not allow. */
const isCarried = (xml: string): boolean =>
  !/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/.test(xml) && !REFERENCES.test(xml)

export const listingRows: readonly Row[] = [
  row("64.1", "keys ascend by the bytes of UTF-8", async scene => {
    await fill(scene, ORDERED)
    const right = byBytes(ORDERED)
    same(await scene.keys(), right, "version 2")
    for (const version of [1, 2] as const) {
      same(await paged(scene, version, { maxKeys: 1 }), right, `version ${version} in pages of one`)
    }
  }),
  row("64.2", "over a thousand keys in pages of a thousand, none twice, none missing", async scene => {
    const keys = Array.from({ length: 1_050 }, (_, index) => `key-${String(index * 7).padStart(5, "0")}`)
    await fill(scene, keys)
    for (const version of [1, 2] as const)
      same(await paged(scene, version, { maxKeys: 1000 }), keys, `version ${version}`)
    const { text: xml } = await scene.list("list-type=2")
    same([topText(xml, "KeyCount"), topText(xml, "IsTruncated")], ["1000", "true"], "first page")
    const over = await scene.list("list-type=2&max-keys=5000")
    same([topText(over.text, "KeyCount"), topText(over.text, "MaxKeys")], ["1000", "1000"], "max-keys over 1,000")
  }),
  row("64.3", "keys present throughout are listed beside writers and deleters", async scene => {
    const lasting = Array.from({ length: 30 }, (_, index) => `k${String(index).padStart(3, "0")}`)
    await fill(scene, lasting)
    const churn = async () => {
      for (let round = 0; round < 30; round += 1) {
        await scene.stored(`k${String(round).padStart(3, "0")}-x`, "x")
        if (round > 0) await scene.remove(`k${String(round - 1).padStart(3, "0")}-x`)
      }
    }
    const lister = async () => {
      for (let round = 0; round < 5; round += 1) {
        const seen = (await paged(scene, 2, { maxKeys: 4 })).filter(key => !key.endsWith("-x"))
        same(seen, lasting, "lasting keys")
      }
    }
    await Promise.all([churn(), lister()])
  }),
  row("65.1", "max-keys=0 is empty and not truncated", async scene => {
    await fill(scene, ["a"])
    for (const query of ["list-type=2&max-keys=0", "max-keys=0", "versions&max-keys=0"]) {
      const { text: xml } = expectStatus(await scene.list(query), 200)
      same([topText(xml, "IsTruncated"), texts(xml, "Key").length], ["false", 0], query)
    }
  }),
  ...["-1", "abc", "1.5", "%20"].map((value, index) =>
    row(`65.${2 + index}`, `max-keys=${value} is refused`, async scene => {
      for (const style of ["list-type=2&", "", "versions&"]) {
        expectError(await scene.list(`${style}max-keys=${value}`), 400, "InvalidArgument")
      }
    }),
  ),
  ...pageRows,
  row("66.20", "an empty delimiter and an empty prefix are as absent", async scene => {
    await fill(scene, ["a/1", "b"])
    const { text: xml } = expectStatus(await scene.list("list-type=2&delimiter=&prefix="), 200)
    same(entriesOf(xml), ["a/1", "b"], "entries")
  }),
  ...v1Rows,
  ...v2Rows,
  row("69.1", "encoding-type=url encodes keys, prefix, delimiter and markers", async scene => {
    await scene.stored(ENCODED, "x")
    for (const style of ["list-type=2&", "", "versions&"]) {
      const { text: xml } = expectStatus(await scene.list(`${style}encoding-type=url&prefix=a%20b%2B`), 200)
      const key = present(text(xml, "Key"), "Key")
      check(key.startsWith(ENCODED_URL), `${key} is encoded`)
      same(decodeURIComponent(key), ENCODED, "decoded key")
      same(topText(xml, "Prefix"), "a%20b%2B", "Prefix")
      same(topText(xml, "EncodingType"), "url", "EncodingType")
    }
    const { text: xml } = await scene.list("list-type=2&encoding-type=url&delimiter=%2B&start-after=A%2BB")
    same(topText(xml, "Delimiter"), "%2B", "Delimiter")
    same(topText(xml, "StartAfter"), "A%2BB", "StartAfter")
    same(
      elements(xml, "CommonPrefixes").map(entry => text(entry, "Prefix")),
      ["a%20b%2B"],
      "CommonPrefixes",
    )
  }),
  row("69.2", "another encoding-type is refused", async scene => {
    for (const style of ["list-type=2&", "", "versions&"]) {
      expectError(await scene.list(`${style}encoding-type=base64`), 400, "InvalidArgument")
    }
  }),
  row("70.1", "without it, what XML would change is a reference", async scene => {
    const keys = ["a&b<c>", "cr\rend", "tab\tend", "lf\nend"]
    await fill(scene, keys)
    for (const query of ["list-type=2", "", "versions"]) {
      const { text: xml } = expectStatus(await scene.list(query), 200)
      same(texts(xml, "Key"), byBytes(keys), `keys (${query})`)
      check(!xml.includes("\r"), "no bare CR in the document")
      same(text(xml, "EncodingType"), undefined, "EncodingType")
    }
  }),
  ...NOT_CARRIED.map((character, index) => {
    const name = `U+${character.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}`
    return row(`70.${index + 2}`, `a page with ${name}, which XML 1.0 cannot carry, comes encoded`, async scene => {
      const keys = ["a b", `x${character}y`, "z&"]
      await fill(scene, keys)
      const uploadId = await scene.createUpload(`x${character}y`)
      for (const query of ["list-type=2", "", "versions"]) {
        const { text: xml } = expectStatus(await scene.list(query), 200)
        check(isCarried(xml), `well-formed (${query})`)
        same(text(xml, "EncodingType"), "url", "EncodingType")
        same(texts(xml, "Key").map(decodeURIComponent), byBytes(keys), `keys (${query})`)
      }
      const marker = expectStatus(await scene.list(`marker=${encodeText(`x${character}y`)}`), 200).text
      same([text(marker, "EncodingType"), texts(marker, "Key")], ["url", ["z%26"]], "after a marker")
      const uploads = expectStatus(await scene.list("uploads"), 200).text
      check(isCarried(uploads) && decodeURIComponent(text(uploads, "Key") ?? "") === `x${character}y`, "uploads")
      const parts = await scene.call("GET", { key: `x${character}y`, query: `uploadId=${encodeText(uploadId)}` })
      check(isCarried(expectStatus(parts, 200).text) && text(parts.text, "EncodingType") === "url", "parts")
      check(isCarried(expectError(await scene.get(`no${character}`), 404, "NoSuchKey").text), "an error")
      const after = expectStatus(await scene.list(`list-type=2&start-after=z`), 200).text
      same([text(after, "EncodingType"), texts(after, "Key")], [undefined, ["z&"]], "a page without it")
    })
  }),
  row("71.1", "entries carry what clients read", async scene => {
    const value = checksumBase64("CRC32", Buffer.from("body"))
    const etag = (await scene.stored("k", "body", { "x-amz-checksum-crc32": value })).header("etag")
    for (const query of ["list-type=2", ""]) {
      const { text: xml } = await scene.list(query)
      const entry = present(elements(xml, "Contents")[0], "Contents")
      same(text(entry, "ETag"), etag, "ETag")
      same([text(entry, "Key"), text(entry, "Size"), text(entry, "StorageClass")], ["k", "4", "STANDARD"], "entry")
      same([text(entry, "ChecksumAlgorithm"), text(entry, "ChecksumType")], ["CRC32", "FULL_OBJECT"], "checksum")
    }
  }),
  row("72.1", "every list, HEAD and GET after an answered PUT or DELETE sees it", async scene => {
    for (let round = 0; round < 15; round += 1) {
      const key = `k${round}`
      await scene.stored(key, "x")
      const lists = await Promise.all([scene.list("list-type=2"), scene.list(""), scene.list("versions")])
      for (const list of lists) check(texts(list.text, "Key").includes(key), `${key} is listed`)
      expectStatus(await scene.head(key), 200)
      expectStatus(await scene.remove(key), 204)
      const after = await Promise.all([scene.list("list-type=2"), scene.list(""), scene.list("versions")])
      for (const list of after) same(texts(list.text, "Key"), [], "keys listed after the deletion")
      expectStatus(await scene.head(key), 404)
    }
  }),
  ...versionRows,
  row("64.4", "the list of a missing bucket is NoSuchBucket", async scene => {
    const bucket = scene.uniqueName()
    for (const query of ["list-type=2", "", "versions", "uploads"]) {
      expectError(await scene.client.call("GET", { bucket, query }), 404, "NoSuchBucket")
    }
  }),
]
