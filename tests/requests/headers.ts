/**
 * Kinds of request headers: each with the requests that it suits, and valid, unusual and invalid values.
 *
 * `useful` headers change an answer, `noise` changes nothing, `harmful` headers make nearly every request fail.
 */
import { ALGORITHMS, checksumBase64, checksumHeader, md5Base64 } from "../../conformance/checksums.js"
import type { Chance } from "./chance.js"
import type { World } from "./world.js"
import type { Header } from "./wire.js"

type Suits = "read" | "write" | "copy" | "list" | "any" | "create" | "attributes" | "upload"

export interface HeaderScene {
  readonly chance: Chance
  readonly world: World
  readonly bucket: string
  /** The object that is read, if the current version is read. */
  readonly current: string | undefined
  readonly body: Buffer
}

export interface HeaderKind {
  readonly name: string
  readonly suits: Suits
  readonly sort: "useful" | "noise" | "harmful"
  readonly make: (scene: HeaderScene) => readonly Header[]
}

const kind = (
  sort: HeaderKind["sort"],
  suits: Suits,
  name: string,
  make: (scene: HeaderScene) => string | readonly Header[],
): HeaderKind => ({
  name,
  suits,
  sort,
  make: scene => {
    const made = make(scene)
    return typeof made === "string" ? [[name, made]] : made
  },
})

const one =
  (...values: readonly [string, ...string[]]) =>
  ({ chance }: HeaderScene): string =>
    chance.of(values)

/** A quoted ETag of an object, or a similar text. */
function etag({ chance, world }: HeaderScene): string {
  const own = world.anyEtag(chance) ?? '"d41d8cd98f00b204e9800998ecf8427e"'
  return chance.weighted([
    [5, own],
    [2, "*"],
    [1, '"x"'],
    [1, `"x", ${own}`],
    [1, `W/${own}`],
    [1, own.replaceAll('"', "")],
    [1, ""],
  ])
}

function date({ chance, world, bucket, current }: HeaderScene): string {
  const known = world.dateOf(bucket, current) ?? "Sun, 01 Feb 2026 00:00:00 GMT"
  return chance.weighted([
    [4, known],
    [2, "Sun, 01 Feb 2026 00:00:00 GMT"],
    [2, "Fri, 01 Jan 2100 00:00:00 GMT"],
    [1, "yesterday"],
    [1, "2026-02-01T00:00:00Z"],
    [1, "Sunday, 01-Feb-26 00:00:00 GMT"],
    [1, ""],
  ])
}

const RANGES = [
  "bytes=0-0",
  "bytes=0-1",
  "bytes=1-3",
  "bytes=-1",
  "bytes=-3",
  "bytes=2-",
  "bytes=0-",
  "bytes=0-99999999",
  "bytes=9999999-",
  "bytes=3-1",
  "bytes=-0",
  "bytes=0-1,3-4",
  "lines=1-2",
  "bytes=a-b",
  "bytes = 0-1",
  "",
  "bytes=4095-4097",
  "bytes=65535-65537",
  "bytes=-70000",
  "bytes=00-01",
  "bytes=0-18446744073709551616",
] as const

function checksum({ chance, body }: HeaderScene): readonly Header[] {
  const algorithm = chance.any(ALGORITHMS) ?? "CRC32"
  const right = checksumBase64(algorithm, body)
  const value = chance.weighted([
    [7, right],
    [1, checksumBase64(algorithm, Buffer.concat([body, Buffer.of(7)]))],
    [1, chance.of(["", "AAAA", right.toLowerCase(), `${right}=`, "*"])],
  ])
  const named: readonly Header[] = chance.percent(40) ? [["x-amz-sdk-checksum-algorithm", algorithm]] : []
  return [...named, [checksumHeader(algorithm), value]]
}

const CHECKSUMS = ["CRC32", "crc32c", "CRC64NVME", "SHA1", "SHA256", "SHA3", ""] as const
const CANNED = [
  "private",
  "public-read",
  "public-read-write",
  "authenticated-read",
  "bucket-owner-read",
  "bucket-owner-full-control",
  "log-delivery-write",
  "Private",
  "nonsense",
] as const

const GRANTEES = (world: World): readonly [string, ...string[]] => [
  `id="${world.account("a")}"`,
  `id=${world.account("b")}`,
  'uri="http://acs.amazonaws.com/groups/global/AllUsers"',
  'uri="http://acs.amazonaws.com/groups/global/AuthenticatedUsers"',
  `emailAddress="${world.account("b")}@example.com"`,
  'emailAddress="nobody@example.com"',
  `id="${world.account("a")}", id="${world.account("b")}"`,
  'id="missing"',
  "nonsense",
]

const TAGS = ["color=red", "color=blue&a=1", "a=", "=1", "a=1&a=2", "a%3D=%26", "a=%zz", "", "a b=c"] as const
const tagsTooMany = Array.from({ length: 11 }, (_, i) => `k${i}=v`).join("&")

const READS: readonly HeaderKind[] = [
  kind("useful", "read", "if-match", etag),
  kind("useful", "read", "if-none-match", etag),
  kind("useful", "read", "if-modified-since", date),
  kind("useful", "read", "if-unmodified-since", date),
  kind("useful", "read", "range", ({ chance }) => chance.of(RANGES)),
  kind("useful", "read", "Range", ({ chance }) => [
    ["Range", chance.of(RANGES)],
    ["if-range", chance.of(['"x"', "*", "Sun, 01 Feb 2026 00:00:00 GMT"])],
  ]),
  kind("useful", "read", "range twice", ({ chance }) => [
    ["range", chance.of(RANGES)],
    ["range", chance.of(RANGES)],
  ]),
  kind("useful", "read", "x-amz-checksum-mode", one("ENABLED", "ENABLED", "enabled", "DISABLED", "")),
  kind("useful", "read", "range and checksum-mode", ({ chance }) => [
    ["x-amz-checksum-mode", "ENABLED"],
    ["range", chance.of(RANGES)],
  ]),
  kind("useful", "read", "two conditions", scene => [
    [scene.chance.of(["if-match", "if-unmodified-since"]), scene.chance.percent(50) ? etag(scene) : date(scene)],
    [scene.chance.of(["if-none-match", "if-modified-since"]), scene.chance.percent(50) ? etag(scene) : date(scene)],
  ]),
  kind("useful", "attributes", "x-amz-object-attributes", ({ chance }) =>
    chance.of(["ETag", "ETag,ObjectSize,StorageClass", "ObjectParts,Checksum", "Nonsense", "", "etag"]),
  ),
  kind("useful", "attributes", "x-amz-max-parts", one("1", "0", "1001", "x", "-1")),
  kind("useful", "attributes", "x-amz-part-number-marker", one("0", "1", "10001", "x")),
]

const WRITES: readonly HeaderKind[] = [
  kind("useful", "write", "if-none-match *", () => [["if-none-match", "*"]]),
  kind("useful", "write", "write if-match", scene => [["if-match", etag(scene)]]),
  kind("useful", "write", "write if-none-match", scene => [["if-none-match", etag(scene)]]),
  kind("useful", "write", "content-md5", ({ chance, body }) =>
    chance.weighted([
      [6, md5Base64(body)],
      [1, md5Base64(Buffer.from("other"))],
      [1, chance.of(["nonsense", "", "AAAA"])],
    ]),
  ),
  kind("useful", "write", "checksum", checksum),
  kind("useful", "write", "checksum again", checksum),
  kind("useful", "write", "two checksums", scene => [...checksum(scene), ...checksum(scene)]),
  // SSE-KMS and SSE-C have random ETags.
  kind("useful", "create", "x-amz-server-side-encryption", one("AES256")),
  kind("useful", "upload", "x-amz-checksum-algorithm", one(...CHECKSUMS)),
  kind("useful", "write", "x-amz-sdk-checksum-algorithm", one(...CHECKSUMS)),
  kind("useful", "upload", "x-amz-checksum-type", one("COMPOSITE", "FULL_OBJECT", "full_object", "NONE")),
  kind("useful", "create", "content-type", one("text/plain", "text/html; charset=utf-8", "", "a", "application/xml")),
  kind("useful", "create", "Content-Type twice", () => [
    ["Content-Type", "text/plain"],
    ["content-type", "text/html"],
  ]),
  kind("useful", "create", "cache-control", one("no-store", "max-age=1, public", "")),
  kind("useful", "create", "content-disposition", one("inline", 'attachment; filename="\u00c3\u00a4.txt"')),
  kind("useful", "create", "content-encoding", one("gzip", "gzip, br", "aws-chunked,gzip", "identity", "aws-chunked")),
  kind("useful", "create", "content-language", one("en", "de, en", "")),
  kind("useful", "create", "expires", one("Fri, 01 Jan 2100 00:00:00 GMT", "never", "0")),
  kind("useful", "create", "x-amz-meta-a", ({ chance }) =>
    chance.of(["1", "", "  blanks  inside ", "\u00c3\u00a4", "\u00e4"]),
  ),
  kind("useful", "create", "X-Amz-Meta-Mixed", one("A", "b")),
  kind("useful", "create", "meta twice", () => [
    ["x-amz-meta-b", "1"],
    ["X-Amz-Meta-B", "2"],
  ]),
  kind("useful", "create", "many metas", ({ chance }) =>
    Array.from({ length: 1 + chance.below(6) }, (_, i): Header => [`x-amz-meta-${"zyxwvu"[i] ?? ""}`, `${i}`]),
  ),
  kind("useful", "create", "long meta", ({ chance }) => [
    ["x-amz-meta-long", "m".repeat(chance.of([1_000, 2_030, 2_100]))],
  ]),
  kind("useful", "create", "x-amz-tagging", ({ chance }) => (chance.percent(5) ? tagsTooMany : chance.of(TAGS))),
  kind("useful", "create", "x-amz-storage-class", one("STANDARD", "standard", "GLACIER", "REDUCED_REDUNDANCY", "")),
  kind("useful", "create", "x-amz-acl", ({ chance }) => chance.of(CANNED)),
  kind("useful", "create", "x-amz-grant-read", ({ chance, world }) => chance.of(GRANTEES(world))),
  kind("useful", "create", "x-amz-grant-full-control", ({ chance, world }) => chance.of(GRANTEES(world))),
  kind("useful", "create", "grants and canned", ({ world, chance }) => [
    ["x-amz-acl", "private"],
    ["x-amz-grant-write-acp", chance.of(GRANTEES(world))],
  ]),
]

const COPIES: readonly HeaderKind[] = [
  kind("useful", "copy", "x-amz-metadata-directive", one("REPLACE", "COPY", "replace", "NONE")),
  kind("useful", "copy", "x-amz-tagging-directive", one("REPLACE", "COPY", "NONE")),
  kind("useful", "copy", "x-amz-copy-source-if-match", etag),
  kind("useful", "copy", "x-amz-copy-source-if-none-match", etag),
  kind("useful", "copy", "x-amz-copy-source-if-modified-since", date),
  kind("useful", "copy", "x-amz-copy-source-if-unmodified-since", date),
  kind("useful", "copy", "x-amz-source-expected-bucket-owner", ({ chance, world }) =>
    chance.of([world.account("a"), world.account("b"), "1"]),
  ),
  kind("useful", "copy", "replaced", ({ chance }) => [
    ["x-amz-metadata-directive", "REPLACE"],
    ["content-type", chance.of(["text/x", "text/y"])],
    ["x-amz-meta-new", "1"],
  ]),
]

const ANY: readonly HeaderKind[] = [
  kind("useful", "any", "x-amz-expected-bucket-owner", ({ chance, world }) =>
    chance.weighted([
      [6, world.account("a")],
      [1, world.account("b")],
      [1, ""],
    ]),
  ),
  kind("useful", "any", "x-amz-request-payer", one("requester", "requester", "Requester", "me")),
  kind("useful", "any", "origin", one("https://page.example.com", "https://other.example.com", "null", "")),
  kind("useful", "any", "connection: close", () => [["connection", "close"]]),
  kind("useful", "any", "Connection: keep-alive", () => [["Connection", "Keep-Alive"]]),
  kind("useful", "any", "user-agent", one("aws-sdk-js/3.0", "Mozilla/5.0", "mc", "")),
  kind("useful", "any", "referer", one("https://page.example.com/", "x")),
  kind("useful", "list", "x-amz-optional-object-attributes", one("RestoreStatus", "x")),
  kind("noise", "any", "accept", one("*/*", "text/html", "application/json")),
  kind("noise", "any", "accept-encoding", one("identity", "gzip")),
  kind("noise", "any", "amz-sdk-invocation-id", one("1")),
  kind("noise", "any", "amz-sdk-request", one("attempt=1; max=3")),
  kind("noise", "any", "x-amz-user-agent", one("aws-sdk-js/3.0")),
  kind("noise", "any", "x-amz-api-version", one("2006-03-01")),
  kind("noise", "any", "x-amz-nonsense", one("1", "", "\u00ff")),
  kind("noise", "any", "x-amz-te", one("append-md5")),
  kind("noise", "any", "x-amz-cf-id", one("1")),
  kind("noise", "any", "x-amz-bypass-governance-retention", one("true")),
  kind("noise", "any", "X-Forwarded-For", one("10.0.0.1")),
  kind("noise", "any", "x-forwarded-proto", one("https")),
  kind("noise", "any", "forwarded", one("for=1.2.3.4")),
  kind("noise", "any", "te", one("trailers")),
  kind("noise", "any", "upgrade", one("h2c")),
  kind("noise", "any", "Cookie", one("a=b; c=d")),
  kind("noise", "any", "via", one("1.1 proxy")),
  kind("noise", "any", "traceparent", one("00-1-2-03")),
  kind("noise", "any", "x-blank", () => [["x-blank", "   "]]),
  kind("noise", "any", "x-tab", () => [["x-tab", "\ta\tb "]]),
  kind("noise", "any", "date", one("Sun, 01 Feb 2026 00:00:00 GMT", "yesterday")),
  kind("noise", "any", "x-long", ({ chance }) => [["x-long", "l".repeat(chance.of([500, 4_000, 9_000]))]]),
  kind("noise", "any", "many", ({ chance }) =>
    Array.from({ length: chance.of([20, 120]) }, (_, i): Header => [`x-many-${i}`, "1"]),
  ),
]

const HARMFUL: readonly HeaderKind[] = [
  kind("harmful", "any", "too long", () => [["x-too-long", "l".repeat(17_000)]]),
  kind("harmful", "any", "x-amz-server-side-encryption", one("aws:kms:dsse", "nonsense")),
  kind("harmful", "any", "x-amz-server-side-encryption-customer-key", one("c2VjcmV0")),
  kind("harmful", "any", "x-amz-copy-source-server-side-encryption-customer-algorithm", one("AES256")),
  kind("harmful", "any", "x-amz-website-redirect-location", one("/x")),
  kind("harmful", "any", "x-amz-object-lock-mode", one("COMPLIANCE")),
  kind("harmful", "any", "lock until", () => [
    ["x-amz-object-lock-mode", "GOVERNANCE"],
    ["x-amz-object-lock-retain-until-date", "2140-01-01T00:00:00Z"],
  ]),
  kind("harmful", "any", "x-amz-object-lock-legal-hold", one("OFF", "ON", "on")),
  kind("harmful", "any", "x-amz-transition-default-minimum-object-size", one("varies_by_storage_class", "nonsense")),
  kind("harmful", "any", "x-amz-mfa", one("1 2")),
  kind("harmful", "any", "x-amz-write-offset-bytes", one("0")),
  kind("harmful", "any", "x-amz-checksum-crc64", one("AAAAAAAAAAA=")),
  kind("harmful", "any", "x-amz-bucket-object-lock-enabled", one("true", "false")),
  kind("harmful", "any", "x-amz-bucket-namespace", one("global", "account-regional")),
  kind("harmful", "any", "x-amz-object-ownership", one("ObjectWriter", "nonsense")),
  kind("harmful", "any", "acl anywhere", () => [["x-amz-acl", "public-read"]]),
  kind("harmful", "any", "x-amz-copy-source anywhere", ({ bucket }) => [["x-amz-copy-source", `/${bucket}/a`]]),
  kind("harmful", "any", "x-amz-if-match-size", one("1")),
  kind("harmful", "any", "x-amz-rename-source-if-match", one("x")),
  kind("harmful", "any", "x-amz-fwd-status", one("200")),
  kind("harmful", "any", "x-amz-trailer", one("x-amz-checksum-crc32", "x-amz-meta-a")),
  kind("harmful", "any", "x-amz-decoded-content-length", one("1", "x")),
  kind("harmful", "any", "x-amz-security-token", one("token", "")),
  kind("harmful", "any", "x-amz-mp-object-size", one("1", "x")),
  kind("harmful", "any", "host twice", () => [["Host", "other"]]),
  kind("harmful", "any", "content-length twice", () => [["Content-Length", "1"]]),
  kind("harmful", "any", "transfer-encoding", one("gzip", "chunked, identity", "identity")),
  kind("harmful", "any", "expect", one("200-ok", "100-Continue, x")),
  kind("harmful", "any", "blank in name", () => [["x bad", "1"]]),
  kind("harmful", "any", "blank before colon", () => [["x-bad ", "1"]]),
  kind("harmful", "any", "folded", () => [["x-folded", "a\r\n b"]]),
  kind("harmful", "any", "control", () => [["x-control", "a\u0001b"]]),
  kind("harmful", "any", "zero", () => [["x-zero", "a\u0000b"]]),
  kind("harmful", "any", "bare return", () => [["x-return", "a\rb"]]),
  kind("harmful", "any", "empty name", () => [["", "1"]]),
]

export const HEADER_KINDS: readonly HeaderKind[] = [...READS, ...WRITES, ...COPIES, ...ANY, ...HARMFUL]

const bySuits = new Map<string, readonly HeaderKind[]>()
for (const sort of ["useful", "noise", "harmful"] as const)
  for (const suits of ["read", "write", "copy", "list", "any", "create", "attributes", "upload"] as const)
    bySuits.set(
      `${sort} ${suits}`,
      HEADER_KINDS.filter(of => of.sort === sort && of.suits === suits),
    )

/** Headers of some kinds that suit the request; occasionally of a kind that does not. */
export function randomHeaders(scene: HeaderScene, suits: readonly Suits[], note: (name: string) => void): Header[] {
  const { chance } = scene
  const headers: Header[] = []
  const add = (sort: HeaderKind["sort"], from: Suits): void => {
    const found = chance.any(bySuits.get(`${sort} ${from}`) ?? [])
    if (found === undefined) return
    note(found.name)
    headers.push(...found.make(scene))
  }
  if (suits.length > 0 && chance.percent(40)) add("useful", chance.any(suits) ?? "any")
  if (suits.length > 0 && chance.percent(15)) add("useful", chance.any(suits) ?? "any")
  if (chance.percent(8)) add("useful", "any")
  if (chance.percent(12)) add("noise", "any")
  if (chance.percent(3)) add("harmful", "any")
  return headers
}
