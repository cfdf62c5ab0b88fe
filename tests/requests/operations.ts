/**
 * A random operation of S3: its resource, its query, its document, and the values that the generator reads from the
 * answer. `generate.ts` adds headers, signature and framing.
 */
import { md5Base64 } from "../../conformance/checksums.js"
import { encodeBytes } from "../../conformance/sign-v4.js"
import { OPERATIONS } from "@hayloft/protocols/s3/operations.js"
import type { Chance } from "./chance.js"
import * as documents from "./documents.js"
import type { Person } from "./people.js"
import type { About } from "./spec.js"
import type { Header } from "./wire.js"
import { BUCKETS, type World } from "./world.js"

export interface Draft {
  readonly what: string
  readonly method: string
  /** Empty for requests on the service. */
  readonly bucket: string
  /** The key is undefined for requests on the bucket. Bytes as text. */
  readonly key?: string | undefined
  readonly query?: readonly string[]
  readonly headers?: readonly Header[]
  /** The body is undefined if the request has none. */
  readonly body?: Buffer | string
  readonly suits: readonly ("read" | "write" | "copy" | "list" | "create" | "attributes" | "upload")[]
  readonly about?: About
  /** The callers that send it. */
  readonly by?: Person
}

export const KEYS = [
  "a",
  "b",
  "c",
  "d",
  "dir/x",
  "dir/y",
  "dir/",
  "dir/sub/z",
  "e f",
  "g+h",
  "i%j",
  "k&l=m",
  "n?o",
  "p#q",

  "\u00c3\u00a4/\u00c3\u00b6",
  "..",
  ".",
  "../up",
  "dir//double",
  "/first",
  "r\u00ffs",
  "t\u0001u",
  "v<w>'\"",
  "a%2Fb",
  "x".repeat(300),
  "\u00f0\u009f\u0098\u0080",
  "null",
  "y\\z",
  "~tilde",
  "minio/health/live",
] as const
const LONG_KEYS = ["l".repeat(1_024), "l".repeat(1_025), "l".repeat(2_000)] as const

const SIZES: readonly (readonly [weight: number, bytes: number])[] = [
  [10, 0],
  [10, 1],
  [20, 5],
  [20, 97],
  [14, 1_024],
  [4, 4_096],
  [4, 4_097],
  [2, 20_000],
  [2, 65_535],
  [2, 65_537],
  [3, 102_400],
]
const RARE_BYTES = 1_100_000
const PART_BYTES = 5 * 1_024 * 1_024

export class RandomValues {
  constructor(
    readonly chance: Chance,
    readonly world: World,
  ) {}

  bytes(): Buffer {
    const { chance } = this
    const size = chance.below(400) === 0 ? RARE_BYTES : chance.weighted(SIZES)
    return Buffer.alloc(size, chance.of(["abc", "defg", "body ", "Hayloft "]))
  }

  bucket(): string {
    const { chance, world } = this
    const spread: readonly (readonly [number, string])[] = [
      ...BUCKETS.map((name, i) => [i < 3 ? 20 : 9, world.name(name)] as const),
      [2, `${world.prefix}-absent`],
      [1, chance.of(["No", "a", "x..y", "127.0.0.1", "-a-b-", "minio", "b".repeat(64), "a%FFb", "caps-Bucket"])],
    ]
    return chance.weighted(spread)
  }

  key(): string {
    const { chance } = this
    if (chance.below(60) === 0) return chance.of(LONG_KEYS)
    return chance.percent(60) ? (KEYS[chance.below(6)] ?? "a") : (chance.any(KEYS) ?? "a")
  }

  /** Usually an existing object. */
  place(): { bucket: string; key: string } {
    const known = this.chance.percent(75) ? this.chance.any(this.world.objects) : undefined
    return known ?? { bucket: this.bucket(), key: this.key() }
  }

  /** A known version, of that key or, occasionally, of another. */
  versionQuery(bucket: string, key: string): readonly string[] {
    const { chance, world } = this
    const own = world.versions.filter(version => version.bucket === bucket && version.key === key)
    const known = chance.any(own) ?? chance.any(world.versions)
    return [
      `versionId=${chance.weighted([
        [8, known?.id ?? "null"],
        [3, "null"],
        [1, chance.of(["", "nonsense", "00000000000000000000000000", "NULL"])],
      ])}`,
    ]
  }
}

type SeededRandom = (random: RandomValues) => Draft

const RESPONSES = [
  "content-type",
  "content-language",
  "expires",
  "cache-control",
  "content-disposition",
  "content-encoding",
]

const readObject: SeededRandom = random => {
  const { chance, world } = random
  const known = chance.percent(25) ? chance.any(world.versions) : undefined
  const { bucket, key } = known ?? random.place()
  const query = [
    ...(known !== undefined ? [`versionId=${known.id}`] : chance.percent(8) ? random.versionQuery(bucket, key) : []),
    ...(chance.percent(6) ? [`partNumber=${chance.of(["1", "2", "0", "x", "10001"])}`] : []),
    ...(chance.percent(8)
      ? [`response-${chance.any(RESPONSES) ?? ""}=${chance.of(["a%2Fb", "", "x%0D%0Ay", "%C3%A4"])}`]
      : []),
    ...(chance.percent(10) ? ["x-id=GetObject"] : []),
  ]
  const method = chance.of(["GET", "GET", "HEAD"])
  return {
    what: method === "GET" ? "GetObject" : "HeadObject",
    method,
    bucket,
    key,
    query,
    suits: ["read"],
    about: { does: "read", bucket, key },
  }
}

const putObject: SeededRandom = random => {
  const { chance } = random
  const [bucket, key] = [random.bucket(), random.key()]
  const body = random.bytes()
  const about: About = { does: "put", bucket, key, bytes: body.length }
  const query = chance.percent(10) ? ["x-id=PutObject"] : []
  return { what: "PutObject", method: "PUT", bucket, key, query, body, suits: ["create", "create", "write"], about }
}

const copySource = (random: RandomValues): string => {
  const { chance, world } = random
  const known = chance.percent(30) ? chance.any(world.versions) : undefined
  const { bucket, key } = known ?? random.place()
  const path = `${bucket}/${encodeBytes(Buffer.from(key, "latin1"), true)}${known === undefined ? "" : `?versionId=${known.id}`}`
  return chance.weighted([
    [10, `/${path}`],
    [5, path],
    [1, chance.of(["", "/", "nobucket", "/x/%zz", "arn:aws:s3:::x/y", `${path}?versionId=x`])],
  ])
}

const copyObject: SeededRandom = random => {
  const { chance } = random
  const [bucket, key] = [random.bucket(), random.key()]
  const headers: Header[] = [["x-amz-copy-source", copySource(random)]]
  if (chance.percent(3)) headers.push(["x-amz-copy-source-range", "bytes=0-1"])
  const about: About = { does: "put", bucket, key }
  return { what: "CopyObject", method: "PUT", bucket, key, headers, body: "", suits: ["copy", "copy", "create"], about }
}

const deleteObject: SeededRandom = random => {
  const { chance } = random
  const { bucket, key } = random.place()
  const query = chance.percent(35) ? random.versionQuery(bucket, key) : []
  return {
    what: "DeleteObject",
    method: "DELETE",
    bucket,
    key,
    query,
    suits: chance.percent(20) ? ["write"] : [],
    about: { does: "delete", bucket, key },
  }
}

const escape = (text: string): string => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;")

/** XML is text, and keys here are bytes. */
const inXml = (key: string): string => escape(Buffer.from(key, "latin1").toString("utf8"))

const deleteObjects: SeededRandom = random => {
  const { chance, world } = random
  const bucket = random.bucket()
  // Entries of the same key are executed in any order.
  const keys = new Set<string>()
  const entries = Array.from(
    {
      length: chance.weighted([
        [1, 0],
        [8, 1],
        [8, 3],
        [4, 8],
      ]),
    },
    () => {
      const known = chance.percent(40) ? chance.any(world.versions) : undefined
      const key = known?.key ?? random.key()
      if (keys.has(key)) return ""
      keys.add(key)
      const version = known === undefined ? "" : `<VersionId>${chance.percent(90) ? known.id : "x"}</VersionId>`
      const etag = chance.percent(5) ? `<ETag>${world.anyEtag(chance) ?? "x"}</ETag>` : ""
      return `<Object><Key>${inXml(key)}</Key>${version}${etag}</Object>`
    },
  )
  const quiet = chance.percent(30) ? "<Quiet>true</Quiet>" : ""
  const right = `<Delete>${quiet}${entries.join("")}</Delete>`
  return { ...documented(random, right), what: "DeleteObjects", method: "POST", bucket, query: ["delete"], suits: [] }
}

/** A document with its checksum headers; occasionally a broken one. */
function documented({ chance }: RandomValues, right: string): Pick<Draft, "body" | "headers"> {
  const body = chance.percent(4) ? chance.of(documents.BAD_XML) : right
  const md5 = body.includes("{{") ? undefined : md5Base64(Buffer.from(body))
  return {
    body,
    headers: md5 === undefined || chance.percent(40) ? [] : [["Content-MD5", chance.percent(95) ? md5 : "AAAA"]],
  }
}

const LIST_VALUES: Readonly<Record<string, readonly string[]>> = {
  prefix: ["", "d", "dir/", "a", "zzz", "%C3%A4", "e%20f", "dir", "dir/", "d", "%FF"],
  delimiter: ["/", "/", "i", "", "//", "%2F"],
  "max-keys": ["0", "1", "2", "3", "5", "7", "10", "1000", "1001", "1", "2", "3", "-1", "x", ""],
  "start-after": ["a", "dir/", "c", ""],
  marker: ["a", "dir/", "b"],
  "key-marker": ["a", "dir/", "b"],
  "encoding-type": ["url", "url", "xml"],
  "fetch-owner": ["true", "false"],
  "max-uploads": ["1", "2", "0", "x"],
}

const LISTS = {
  ListObjectsV2: [
    "list-type=2",
    "prefix",
    "delimiter",
    "max-keys",
    "start-after",
    "encoding-type",
    "fetch-owner",
    "continuation-token",
  ],
  ListObjects: ["", "prefix", "delimiter", "max-keys", "marker", "encoding-type"],
  ListObjectVersions: [
    "versions",
    "prefix",
    "delimiter",
    "max-keys",
    "key-marker",
    "encoding-type",
    "version-id-marker",
  ],
  ListMultipartUploads: [
    "uploads",
    "prefix",
    "delimiter",
    "max-uploads",
    "key-marker",
    "encoding-type",
    "upload-id-marker",
  ],
} as const

/** The start of the next page from an earlier answer; occasionally another value. */
function placeQuery({ chance, world }: RandomValues, name: string, bucket: string): readonly string[] {
  if (chance.percent(4)) return [`${name}=x`]
  if (name === "continuation-token") {
    const known = world.tokens.filter(token => chance.percent(5) || token.bucket === bucket)
    return known.length === 0 ? [] : [`${name}=${chance.any(known)?.text ?? ""}`]
  }
  const known = name === "version-id-marker" ? chance.any(world.versions) : chance.any(world.uploads)
  if (known === undefined) return []
  return chance.percent(10)
    ? [`${name}=${known.id}`]
    : [`${name}=${known.id}`, `key-marker=${encodeBytes(Buffer.from(known.key, "latin1"))}`]
}

const list: SeededRandom = random => {
  const { chance } = random
  const what = chance.of([
    "ListObjectsV2",
    "ListObjectsV2",
    "ListObjects",
    "ListObjectVersions",
    "ListMultipartUploads",
  ])
  const [which, ...names] = LISTS[what]
  const bucket = random.bucket()
  const query: string[] = which === "" ? [] : [which]
  for (const name of names) {
    if (!chance.percent(28)) continue
    if (name === "continuation-token") query.push(...placeQuery(random, name, bucket))
    else if (name === "version-id-marker") query.push(...placeQuery(random, name, bucket))
    else if (name === "upload-id-marker") query.push(...placeQuery(random, name, bucket))
    else query.push(`${name}=${chance.any(LIST_VALUES[name] ?? []) ?? ""}`)
  }
  return { what, method: "GET", bucket, query, suits: ["list"], about: { does: "list", bucket } }
}

const createUpload: SeededRandom = random => {
  const mine = random.world.name(random.chance.of(["plain", "versioned", "suspended", "public", "cors"]))
  const [bucket, key] = [random.chance.percent(75) ? mine : random.bucket(), random.key()]
  const about: About = { does: "createUpload", bucket, key }
  return {
    what: "CreateMultipartUpload",
    method: "POST",
    bucket,
    key,
    query: ["uploads"],
    suits: ["create", "upload"],
    about,
  }
}

const uploadOf = (random: RandomValues) =>
  random.chance.any(random.world.uploads) ?? {
    bucket: random.world.name("plain"),
    key: "a",
    id: "00000000000000000000000000",
    parts: [],
  }

const uploadPart: SeededRandom = random => {
  const { chance } = random
  const { bucket, key, id: upload } = uploadOf(random)
  const part = chance.weighted([
    [10, 1],
    [6, 2],
    [2, 3],
    [1, 0],
    [1, 10_001],
  ])
  const query = [`partNumber=${part}`, `uploadId=${chance.percent(96) ? upload : "nonsense"}`]
  const about: About = { does: "uploadPart", bucket, key, upload, part }
  if (chance.percent(25)) {
    const headers: Header[] = [["x-amz-copy-source", copySource(random)]]
    if (chance.percent(40))
      headers.push(["x-amz-copy-source-range", chance.of(["bytes=0-0", "bytes=0-4", "bytes=0-", "x"])])
    return { what: "UploadPartCopy", method: "PUT", bucket, key, query, headers, body: "", suits: ["copy"], about }
  }
  const body = chance.below(60) === 0 ? Buffer.alloc(PART_BYTES, "part") : random.bytes()
  return { what: "UploadPart", method: "PUT", bucket, key, query, body, suits: ["write"], about }
}

const endUpload: SeededRandom = random => {
  const { chance } = random
  const { bucket, key, id, parts } = uploadOf(random)
  const query = [`uploadId=${id}`]
  // Occasionally the upload is kept, so that later requests name an upload that has ended.
  const about: About = { does: chance.percent(90) ? "endUpload" : "put", bucket, key, upload: id }
  if (chance.percent(15))
    return { what: "AbortMultipartUpload", method: "DELETE", bucket, key, query, suits: [], about }
  const sorted = [...parts].sort((a, b) => a.number - b.number)
  const entry = ({ number, etag }: { number: number; etag: string }): string =>
    `<Part><PartNumber>${number}</PartNumber><ETag>${chance.percent(96) ? etag : '"00000000000000000000000000000000"'}</ETag></Part>`
  const chosen = chance.weighted([
    [14, sorted.slice(-1)],
    [6, sorted],
    [1, [...sorted].reverse()],
    [1, []],
  ])
  const xml = `<CompleteMultipartUpload>${chosen.map(entry).join("")}</CompleteMultipartUpload>`
  return {
    what: "CompleteMultipartUpload",
    method: "POST",
    bucket,
    key,
    query,
    body: chance.percent(97) ? xml : "<x",
    suits: chance.percent(30) ? ["write"] : [],
    about,
  }
}

const listParts: SeededRandom = random => {
  const { bucket, key, id } = uploadOf(random)
  const query = [`uploadId=${id}`]
  if (random.chance.percent(30)) query.push(`max-parts=${random.chance.of(["1", "0", "x"])}`)
  if (random.chance.percent(30)) query.push(`part-number-marker=${random.chance.of(["1", "0", "x"])}`)
  return { what: "ListParts", method: "GET", bucket, key, query, suits: [] }
}

/** Tags and lists of objects, and their attributes. */
const ofObject: SeededRandom = random => {
  const { chance } = random
  const { bucket, key } = random.place()
  const version = chance.percent(25) ? random.versionQuery(bucket, key) : []
  const at = { bucket, key }
  const kind = chance.of(["tagging", "tagging", "acl", "acl", "attributes", "retention", "legal-hold"])
  const query = [kind, ...version]
  if (kind === "retention" || kind === "legal-hold") return ofLock(random, { ...at, query }, kind)
  if (kind === "attributes") {
    const headers: Header[] = chance.percent(80)
      ? [["x-amz-object-attributes", chance.of(["ETag,ObjectSize", "Checksum,StorageClass", "ObjectParts"])]]
      : []
    return { ...at, what: "GetObjectAttributes", method: "GET", query, headers, suits: ["attributes"] }
  }
  const method = chance.of(["GET", "PUT", "PUT", "DELETE"])
  if (method === "GET" || (kind === "acl" && method === "DELETE"))
    return { ...at, what: kind === "acl" ? "GetObjectAcl" : "GetObjectTagging", method: "GET", query, suits: [] }
  if (method === "DELETE") return { ...at, what: "DeleteObjectTagging", method, query, suits: [] }
  if (kind === "tagging")
    return {
      ...at,
      ...documented(
        random,
        chance.of(chance.percent(80) ? [documents.TAGGINGS[0], documents.TAGGINGS[1] ?? ""] : documents.TAGGINGS),
      ),
      what: "PutObjectTagging",
      method,
      query,
      suits: [],
    }
  return { ...at, ...newList(random), what: "PutObjectAcl", method, query, suits: [] }
}

/** Mostly reads: what is locked cannot be removed by the requests that follow. */
function ofLock(
  random: RandomValues,
  at: Pick<Draft, "bucket" | "key" | "query">,
  kind: "retention" | "legal-hold",
): Draft {
  const title = kind === "retention" ? "ObjectRetention" : "ObjectLegalHold"
  if (random.chance.percent(60)) return { ...at, what: `Get${title}`, method: "GET", suits: [] }
  const choice = kind === "retention" ? documents.RETENTIONS : documents.LEGAL_HOLDS
  return { ...at, ...documented(random, random.chance.of(choice)), what: `Put${title}`, method: "PUT", suits: [] }
}

function newList(random: RandomValues): Pick<Draft, "body" | "headers"> {
  const { chance, world } = random
  if (chance.percent(50)) return documented(random, chance.of(documents.lists(world)))
  return {
    body: "",
    headers: [["x-amz-acl", chance.of(["private", "public-read", "bucket-owner-full-control", "nonsense"])]],
  }
}

const SETTINGS: readonly (readonly [
  name: string,
  title: string,
  values: (world: World, bucket: string) => readonly [string, ...string[]],
])[] = [
  ["policy", "BucketPolicy", (world, bucket) => documents.policies(world, bucket)],
  ["cors", "BucketCors", () => documents.CORS],
  ["versioning", "BucketVersioning", () => documents.VERSIONING],
  ["ownershipControls", "BucketOwnershipControls", () => documents.OWNERSHIP],
  ["publicAccessBlock", "PublicAccessBlock", () => documents.ACCESS_BLOCK],
  ["requestPayment", "BucketRequestPayment", () => documents.PAYMENT],
  ["tagging", "BucketTagging", () => documents.TAGGINGS],
  ["object-lock", "ObjectLockConfiguration", () => documents.OBJECT_LOCK],
  ["encryption", "BucketEncryption", () => documents.ENCRYPTION],
  ["lifecycle", "BucketLifecycleConfiguration", () => documents.LIFECYCLE],
  ["acl", "BucketAcl", world => documents.lists(world)],
]

const setting: SeededRandom = random => {
  const { chance, world } = random
  const [name, title, values] = chance.any(SETTINGS) ?? SETTINGS[0] ?? ["policy", "BucketPolicy", () => [""] as const]
  const bucket = random.bucket()
  const method = chance.weighted([
    [12, "GET"],
    [5, "PUT"],
    [1, "DELETE"],
  ])
  const query = [name]
  if (method === "GET") return { what: `Get${title}`, method, bucket, query, suits: [] }
  if (method === "DELETE") return { what: `Delete${title}`, method, bucket, query, suits: [] }
  const about: About = { does: "settings", bucket }
  if (name === "acl") return { ...newList(random), what: `Put${title}`, method, bucket, query, suits: [], about }
  const [first, second = first, ...rest] = values(world, bucket)
  const right = chance.percent(70) ? chance.of([first, second]) : chance.of([first, ...rest])
  return { ...documented(random, right), what: `Put${title}`, method, bucket, query, suits: [], about }
}

const buckets: SeededRandom = random => {
  const { chance, world } = random
  const bucket = random.bucket()
  const fresh = `${world.prefix}-new${chance.below(3)}`
  const what = chance.of([
    "ListBuckets",
    "HeadBucket",
    "GetBucketLocation",
    "GetBucketPolicyStatus",
    "CreateBucket",
    "DeleteBucket",
  ])
  switch (what) {
    case "ListBuckets":
      return {
        what,
        method: "GET",
        bucket: "",
        query: [
          `prefix=${world.prefix}`,
          ...(chance.percent(30) ? [`max-buckets=${chance.of(["1", "3", "0", "x"])}`] : []),
        ],
        suits: [],
      }
    case "HeadBucket":
      return { what, method: "HEAD", bucket, suits: [] }
    case "GetBucketLocation":
      return { what, method: "GET", bucket, query: ["location"], suits: [] }
    case "GetBucketPolicyStatus":
      return { what, method: "GET", bucket, query: ["policyStatus"], suits: [] }
    case "CreateBucket": {
      const headers: Header[] = chance.percent(20)
        ? [
            chance.of<Header>([
              ["x-amz-object-ownership", "ObjectWriter"],
              ["x-amz-acl", "private"],
              ["x-amz-acl", "public-read"],
            ]),
          ]
        : []
      return {
        what,
        method: "PUT",
        bucket: chance.percent(75) ? fresh : bucket,
        body: chance.of(documents.LOCATION),
        headers,
        suits: [],
      }
    }
    case "DeleteBucket":
      return { what, method: "DELETE", bucket: fresh, suits: [] }
  }
}

const preflight: SeededRandom = random => {
  const { chance } = random
  const headers: Header[] = []
  if (chance.percent(90))
    headers.push(["Origin", chance.of(["https://page.example.com", "https://other.example.com", "null"])])
  if (chance.percent(90))
    headers.push(["Access-Control-Request-Method", chance.of(["GET", "PUT", "DELETE", "PATCH", ""])])
  if (chance.percent(40))
    headers.push(["Access-Control-Request-Headers", chance.of(["content-type", "x-amz-meta-a, x-b", ""])])
  const bucket = chance.percent(60) ? random.world.name("cors") : chance.percent(90) ? random.bucket() : ""
  return {
    what: "CorsPreflight",
    method: "OPTIONS",
    bucket,
    key: chance.percent(60) && bucket !== "" ? random.key() : undefined,
    headers,
    suits: [],
  }
}

const PLAIN_OPERATIONS = OPERATIONS.filter(
  ({ answer, method }) => answer.kind !== "alias" && answer.kind !== "form" && method !== "OPTIONS",
)

/** Any row of the table of operations, without additions. */
const anyRow: SeededRandom = random => {
  const { chance } = random
  const { name, method, resource, when, header } = chance.any(PLAIN_OPERATIONS) ?? OPERATIONS[0] ?? failTable()
  const bucket = resource === "service" ? "" : random.bucket()
  const query = when.map(term =>
    term === "id"
      ? "id=x"
      : term === "uploadId"
        ? `uploadId=${uploadOf(random).id}`
        : term === "partNumber"
          ? "partNumber=1"
          : term,
  )
  const headers: Header[] =
    header === undefined ? [] : [[header, header === "x-amz-copy-source" ? copySource(random) : "x"]]
  const isWrite = method === "PUT" || method === "POST"
  const prefix = name === "ListBuckets" ? [`prefix=${random.world.prefix}`] : []
  const fresh = name === "CreateBucket" ? { bucket: `${random.world.prefix}-row` } : { bucket }
  return {
    what: name,
    method,
    ...fresh,
    key: resource === "object" ? random.key() : undefined,
    query: [...query, ...prefix],
    headers,
    ...(isWrite && { body: "" }),
    suits: [],
  }
}

function failTable(): never {
  throw new Error("the table of operations is empty")
}

const SUB_RESOURCES = [
  "acl",
  "tagging",
  "uploads",
  "versions",
  "torrent",
  "retention",
  "legal-hold",
  "website",
  "nothing",
  "uploadId",
  "partNumber=1",
  "delete",
  "select",
  "restore",
  "location",
  "events=s3:x",
  "list-type=3",
]

/** Queries with methods that do not support them. */
const stray: SeededRandom = random => {
  const { chance } = random
  const method = chance.of([
    "GET",
    "HEAD",
    "PUT",
    "POST",
    "DELETE",
    "PATCH",
    "get",
    "TRACE",
    "CONNECT",
    "PROPFIND",
    "BREW",
  ])
  const query = Array.from({ length: chance.below(3) }, () => chance.any(SUB_RESOURCES) ?? "")
  const bucket = chance.percent(90) ? random.bucket() : ""
  const key = bucket !== "" && chance.percent(60) ? random.key() : undefined
  if (bucket === "") query.push(`prefix=${random.world.prefix}`)
  return {
    what: "stray",
    method,
    bucket,
    key,
    query,
    ...((method === "PUT" || method === "POST") && { body: "" }),
    suits: [],
  }
}

const DRAWS: readonly (readonly [weight: number, draw: SeededRandom])[] = [
  [20, putObject],
  [24, readObject],
  [9, list],
  [6, deleteObject],
  [4, deleteObjects],
  [5, copyObject],
  [3, createUpload],
  [6, uploadPart],
  [4, endUpload],
  [2, listParts],
  [7, ofObject],
  [6, setting],
  [3, buckets],
  [2, preflight],
  [2, anyRow],
  [2, stray],
]

export const randomOperation = (random: RandomValues): Draft => random.chance.weighted(DRAWS)(random)
