/** Listings through HTTP, page by page, equal a naive listing. */
import { after, before, test } from "node:test"
import assert from "node:assert/strict"
import { fc } from "@hayloft/base/testing-properties.js"
import {
  CreateBucketCommand,
  ListObjectsCommand,
  ListObjectsV2Command,
  ListObjectVersionsCommand,
  PutObjectCommand,
  S3Client,
} from "@aws-sdk/client-s3"
import { OWNER, serveModel } from "./over-model.js"
import type { Served } from "./over-model.js"

let served: Served
let client: S3Client
let buckets = 0

before(async () => {
  served = await serveModel()
  client = new S3Client({
    endpoint: served.endpoint,
    region: "us-east-1",
    forcePathStyle: true,
    credentials: { accessKeyId: OWNER.id, secretAccessKey: OWNER.secret },
  })
})
after(async () => {
  client.destroy()
  await served.stop()
})

/** Few letters, so that prefixes and delimiters often match; JavaScript sorts some of them differently than UTF-8. */
const LETTERS = ["a", "b", "/", "//", "%", "+", " ", "é", "\u{1f600}", "\uffee", "\u0001", "&", "<"]
const keyText = fc.array(fc.constantFrom(...LETTERS), { minLength: 1, maxLength: 5 }).map(letters => letters.join(""))
const affix = fc.array(fc.constantFrom(...LETTERS), { maxLength: 2 }).map(letters => letters.join(""))

const bytes = (text: string): string => Buffer.from(text, "utf8").toString("latin1")
const textOf = (byteString: string): string => Buffer.from(byteString, "latin1").toString("utf8")
const byBytes = (a: string, b: string): number => (bytes(a) < bytes(b) ? -1 : bytes(a) > bytes(b) ? 1 : 0)

/** Keys and common prefixes in one order, by definition. */
function naive(keys: readonly string[], prefix: string, delimiter: string): string[] {
  const names = new Set<string>()
  for (const key of keys.filter(one => bytes(one).startsWith(bytes(prefix)))) {
    const at = delimiter === "" ? -1 : bytes(key).indexOf(bytes(delimiter), bytes(prefix).length)
    names.add(at < 0 ? `key ${key}` : `prefix ${textOf(bytes(key).slice(0, at + bytes(delimiter).length))}`)
  }
  const name = (entry: string): string => entry.slice(entry.indexOf(" ") + 1)
  return [...names].sort((a, b) => byBytes(name(a), name(b)))
}

interface Page {
  readonly Contents?: { Key?: string | undefined }[] | undefined
  readonly CommonPrefixes?: { Prefix?: string | undefined }[] | undefined
}

function entriesOf({ Contents = [], CommonPrefixes = [] }: Page, decode: (text: string) => string): string[] {
  const keys = Contents.map(({ Key = "" }) => ["key", decode(Key)] as const)
  const prefixes = CommonPrefixes.map(({ Prefix = "" }) => ["prefix", decode(Prefix)] as const)
  return [...keys, ...prefixes].sort((a, b) => byBytes(a[1], b[1])).map(([kind, name]) => `${kind} ${name}`)
}

const PAGES_MAX = 60

async function pagesV2(Bucket: string, Prefix: string, Delimiter: string, MaxKeys: number): Promise<string[]> {
  const entries: string[] = []
  let token: string | undefined
  for (let pages = 0; pages < PAGES_MAX; pages += 1) {
    const page: import("@aws-sdk/client-s3").ListObjectsV2CommandOutput = await client.send(
      new ListObjectsV2Command({ Bucket, Prefix, Delimiter, MaxKeys, ContinuationToken: token, EncodingType: "url" }),
    )
    const found = entriesOf(page, decodeURIComponent)
    assert.equal(page.KeyCount, found.length)
    assert.ok(found.length <= MaxKeys)
    entries.push(...found)
    token = page.NextContinuationToken
    assert.equal(page.IsTruncated, token !== undefined)
    if (token === undefined) return entries
  }
  throw new Error("the listing does not end")
}

async function pagesV1(Bucket: string, Prefix: string, Delimiter: string, MaxKeys: number): Promise<string[]> {
  const entries: string[] = []
  let marker: string | undefined
  for (let pages = 0; pages < PAGES_MAX; pages += 1) {
    const page: import("@aws-sdk/client-s3").ListObjectsCommandOutput = await client.send(
      new ListObjectsCommand({ Bucket, Prefix, Delimiter, MaxKeys, Marker: marker, EncodingType: "url" }),
    )
    entries.push(...entriesOf(page, decodeURIComponent))
    if (page.IsTruncated !== true) return entries
    const last = page.Contents?.at(-1)?.Key
    marker = decodeURIComponent(page.NextMarker ?? last ?? "")
    assert.equal(page.NextMarker === undefined, Delimiter === "", "NextMarker only with a delimiter")
  }
  throw new Error("the listing does not end")
}

async function pagesOfVersions(Bucket: string, Prefix: string, Delimiter: string, MaxKeys: number): Promise<string[]> {
  const entries: string[] = []
  let [KeyMarker, VersionIdMarker]: (string | undefined)[] = []
  for (let pages = 0; pages < PAGES_MAX; pages += 1) {
    const page: import("@aws-sdk/client-s3").ListObjectVersionsCommandOutput = await client.send(
      new ListObjectVersionsCommand({
        Bucket,
        Prefix,
        Delimiter,
        MaxKeys,
        KeyMarker,
        VersionIdMarker,
        EncodingType: "url",
      }),
    )
    const { Versions: Contents, CommonPrefixes } = page
    entries.push(...entriesOf({ Contents, CommonPrefixes }, decodeURIComponent))
    if (page.IsTruncated !== true) return entries
    KeyMarker = decodeURIComponent(page.NextKeyMarker ?? "")
    VersionIdMarker = page.NextVersionIdMarker
  }
  throw new Error("the listing does not end")
}

test("pages of every style, put together, are the naive listing", async () => {
  const listing = fc.record({
    keys: fc.uniqueArray(keyText, { maxLength: 14 }),
    queries: fc.array(fc.record({ prefix: affix, delimiter: affix, max: fc.integer({ min: 1, max: 6 }) }), {
      maxLength: 4,
    }),
  })
  await fc.assert(
    fc.asyncProperty(listing, async ({ keys, queries }) => {
      const Bucket = `listing-${(buckets += 1)}`
      await client.send(new CreateBucketCommand({ Bucket }))
      for (const Key of keys) await client.send(new PutObjectCommand({ Bucket, Key, Body: "x" }))
      for (const { prefix, delimiter, max } of queries) {
        const expected = naive(keys, prefix, delimiter)
        assert.deepEqual(await pagesV2(Bucket, prefix, delimiter, max), expected, "V2")
        assert.deepEqual(await pagesV1(Bucket, prefix, delimiter, max), expected, "V1")
        assert.deepEqual(await pagesOfVersions(Bucket, prefix, delimiter, max), expected, "versions")
      }
    }),
    { numRuns: 25 },
  )
})
