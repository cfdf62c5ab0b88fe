/**
 * S3 over the admin port, by the session: what the page on objects reads and changes.
 *
 * Limits  a page of a listing is `PAGE_KEYS` long; documents are small. Keys that no browser can address are shown, and
 *         have no more.
 */
import { ApiError, failureOfText, request, type Method, type RequestOptions } from "./client.js"

const ROOT = "/v1/s3"
export const PAGE_KEYS = 200

type Query = Readonly<Record<string, string | number | undefined>>

/** Headers under which a request is carried out at all. */
type Conditions = Readonly<Record<string, string>>

interface Target {
  readonly bucket: string
  readonly key?: string
}

/** The address of an object or a bucket, for requests, links, pictures and films. */
export function s3Path({ bucket, key }: Target, query: Query = {}): string {
  const path = key === undefined ? "" : `/${key.split("/").map(encodeURIComponent).join("/")}`
  const words = Object.entries(query).flatMap(([name, value]) =>
    value === undefined ? [] : [value === "" ? name : `${name}=${encodeURIComponent(value)}`],
  )
  return `${ROOT}/${encodeURIComponent(bucket)}${path}${words.length === 0 ? "" : `?${words.join("&")}`}`
}

interface Sent extends RequestOptions {
  readonly ask?: Query
  readonly body?: BodyInit
}

async function send(method: Method, target: Target, { ask, body, ...options }: Sent = {}): Promise<Response> {
  if (target.key !== undefined) checkAddressable(target.key)
  return request(method, s3Path(target, ask), body, options)
}

async function document(target: Target, ask: Query, signal?: AbortSignal): Promise<Element> {
  const response = await send("GET", target, { ask, signal })
  return new DOMParser().parseFromString(await response.text(), "application/xml").documentElement
}

const children = (element: Element, name: string): readonly Element[] =>
  [...element.children].filter(child => child.localName === name)
const textIn = (element: Element, name: string): string => children(element, name)[0]?.textContent ?? ""
const isTrue = (element: Element, name: string): boolean => textIn(element, name) === "true"

/** A key as a listing has it. All keys are UTF-8. */
const keyOf = (encoded: string): string => decodeURIComponent(encoded.replace(/\+/g, "%20"))

export interface Row {
  readonly key: string
  /** A browser can address it: no part of it is "." or "..". */
  readonly isAddressable: boolean
  readonly versionId: string | undefined
  readonly isLatest: boolean
  readonly isMarker: boolean
  readonly sizeBytes: number
  readonly modifiedMs: number
  readonly storageClass: string
}

export interface Listing {
  /** Whole keys, with their ends. */
  readonly folders: readonly string[]
  readonly rows: readonly Row[]
  /** The place where the next page begins; undefined: this is the last one. */
  readonly next: Query | undefined
}

const isAddressable = (key: string): boolean => !key.split("/").some(part => part === "." || part === "..")

/** Browsers shorten such addresses: a request would be about another object. Throws an `ApiError`. */
export function checkAddressable(key: string): void {
  if (isAddressable(key)) return
  const message = `${key} has a part "." or "..", which browsers cannot address: choose another name, or use an S3 client.`
  throw new ApiError(0, "notAddressable", message)
}

function rowOf(element: Element): Row {
  const key = keyOf(textIn(element, "Key"))
  const isMarker = element.localName === "DeleteMarker"
  const versionId = textIn(element, "VersionId")
  return {
    key,
    isAddressable: isAddressable(key),
    isMarker,

    versionId: versionId === "" ? undefined : versionId,
    isLatest: versionId === "" || isTrue(element, "IsLatest"),
    sizeBytes: Number(textIn(element, "Size")),
    modifiedMs: Date.parse(textIn(element, "LastModified")),
    storageClass: textIn(element, "StorageClass"),
  }
}

export interface ListRequest {
  readonly bucket: string
  readonly prefix: string
  /** Keys below the next "/" are one folder. */
  readonly isByFolder: boolean
  readonly hasVersions: boolean
  /** The moment that the listing shows; undefined for the present. */
  readonly at?: string | undefined
  /** `next` of the page before. */
  readonly from?: Query | undefined
  /** At most so many keys and folders; default: `PAGE_KEYS`. */
  readonly max?: number
}

/** One page of a listing. */
export async function list(listed: ListRequest, signal?: AbortSignal): Promise<Listing> {
  const { bucket, prefix, isByFolder, hasVersions, at, from = {}, max = PAGE_KEYS } = listed
  const kind: Query = hasVersions ? { versions: "" } : { "list-type": 2, readTimestamp: at }
  const ask = { ...kind, "encoding-type": "url", "max-keys": max, prefix, ...from }
  const root = await document({ bucket }, isByFolder ? { ...ask, delimiter: "/" } : ask, signal)
  const rows = [...root.children].filter(({ localName }) => ROWS.has(localName)).map(rowOf)
  const folders = children(root, "CommonPrefixes").map(folder => keyOf(textIn(folder, "Prefix")))
  const marker = hasVersions
    ? { "key-marker": keyOf(textIn(root, "NextKeyMarker")), "version-id-marker": textIn(root, "NextVersionIdMarker") }
    : { "continuation-token": textIn(root, "NextContinuationToken") }
  const next = Object.fromEntries(Object.entries(marker).filter(([, value]) => value !== ""))
  return { folders, rows, next: isTrue(root, "IsTruncated") ? next : undefined }
}

const ROWS = new Set(["Contents", "Version", "DeleteMarker"])

/** The longest page of S3. */
const WHOLE_PAGE = 1_000
/** A search, or a sum, reads so many pages, and says how far it came. */
const PAGES_AT_ONCE = 10

export interface Found {
  readonly rows: readonly Row[]
  /** Names that were read. */
  readonly searched: number
  /** The place to go on at; undefined: all names were read. */
  readonly next: Query | undefined
}

/** The objects below a prefix whose keys contain a text behind it, whatever the case; the search goes on from `from`. */
export async function searchNames(
  searched: Pick<ListRequest, "bucket" | "prefix" | "from"> & { readonly text: string },
  signal?: AbortSignal,
): Promise<Found> {
  const { bucket, prefix, text } = searched
  const wanted = text.toLowerCase()
  const rows: Row[] = []
  let [from, count] = [searched.from, 0]
  for (let page = 0; page < PAGES_AT_ONCE && rows.length < PAGE_KEYS; page += 1) {
    const found = await list({ bucket, prefix, isByFolder: false, hasVersions: false, from, max: WHOLE_PAGE }, signal)
    count += found.rows.length
    rows.push(...found.rows.filter(({ key }) => key.slice(prefix.length).toLowerCase().includes(wanted)))
    from = found.next
    if (from === undefined) break
  }
  return { rows, searched: count, next: from }
}

export interface Amount {
  readonly objects: number
  readonly bytes: number
  /** False: there are more, which were not counted. */
  readonly isAll: boolean
}

/** How much is below a prefix, as far as a bounded number of names tells. */
export async function amountBelow(bucket: string, prefix: string, signal?: AbortSignal): Promise<Amount> {
  let [from, objects, bytes]: [ListRequest["from"], number, number] = [undefined, 0, 0]
  for (let page = 0; page < PAGES_AT_ONCE; page += 1) {
    const found = await list({ bucket, prefix, isByFolder: false, hasVersions: false, from, max: WHOLE_PAGE }, signal)
    objects += found.rows.length
    bytes += found.rows.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
    from = found.next
    if (from === undefined) return { objects, bytes, isAll: true }
  }
  return { objects, bytes, isAll: false }
}

/** Keys below a prefix, at most `max` and one more. */
export async function keysBelow(bucket: string, prefix: string, max: number): Promise<readonly Row[]> {
  const rows: Row[] = []
  let from: ListRequest["from"]
  do {
    const found = await list({ bucket, prefix, isByFolder: false, hasVersions: false, from, max: WHOLE_PAGE })
    rows.push(...found.rows.filter(({ key }) => !key.endsWith("/")))
    from = found.next
  } while (from !== undefined && rows.length <= max)
  return rows.slice(0, max + 1)
}

export interface ObjectName {
  readonly bucket: string
  readonly key: string
  /** The id is undefined for the current version. */
  readonly versionId: string | undefined
}

/** The headers of an object; undefined if the name is that of a delete marker. */
export async function head({ versionId, ...target }: ObjectName, signal?: AbortSignal): Promise<Headers | undefined> {
  try {
    const headers = { "x-amz-checksum-mode": "ENABLED" }
    return (await send("HEAD", target, { ask: { versionId }, headers, signal })).headers
  } catch (error) {
    if (error instanceof ApiError && error.isDeleteMarker) return undefined
    throw error
  }
}

/** At most `bytesMax` of the object's beginning. */
export async function beginningOf(
  { versionId, ...target }: ObjectName,
  bytesMax: number,
  signal?: AbortSignal,
): Promise<Blob> {
  const headers = { range: `bytes=0-${bytesMax - 1}` }
  return (await send("GET", target, { ask: { versionId }, headers, signal, timeoutMs: 120_000 })).blob()
}

/** All versions of a key that fit into one page, the newest first. */
export async function versionsOf({ bucket, key }: Target & { readonly key: string }, signal?: AbortSignal) {
  const { rows, next } = await list({ bucket, prefix: key, isByFolder: false, hasVersions: true }, signal)
  const own = rows.filter(row => row.key === key)
  return { versions: own, hasMore: next !== undefined && own.length === rows.length }
}

export const remove = async ({ versionId, ...target }: ObjectName, bypass = false): Promise<void> => {
  const headers: Record<string, string> = bypass ? { "x-amz-bypass-governance-retention": "true" } : {}
  await send("DELETE", target, { ask: { versionId }, headers })
}

/**
 * Copies a version, with its metadata and tags, unless `headers` say otherwise. An object over 5 GiB is refused, as S3 does
 * in one request.
 */
export async function copyObject(
  { versionId, ...source }: ObjectName,
  to: Required<Target>,
  headers: Readonly<Record<string, string>> = {},
): Promise<void> {
  const from = s3Path(source, { versionId }).slice(ROOT.length)
  const all = { "x-amz-copy-source": from, "x-amz-tagging-directive": "COPY", ...headers }
  const isChanged = `${source.key} has changed, or ${to.bucket}/${to.key} has appeared, since they were looked at. Nothing was done: try again.`
  await checkLate(await orChanged(send("PUT", to, { headers: all, timeoutMs: 600_000 }), isChanged))
}

/** The result of a request with conditions; throws an `ApiError` with this message if they do not hold. */
const orChanged = (work: Promise<Response>, message: string): Promise<Response> =>
  work.catch((error: unknown) => {
    if (error instanceof ApiError && error.status === 412) throw new ApiError(412, error.code, message, error.requestId)
    throw error
  })

/** Makes an older version the current one, by a copy of it. */
export const restoreVersion = (name: ObjectName): Promise<void> => copyWhole(name, name)

/** Headers of an object that a copy of it would not keep by itself. */
const KEPT = [
  "x-amz-storage-class",
  "x-amz-server-side-encryption",
  "x-amz-server-side-encryption-aws-kms-key-id",
  "x-amz-website-redirect-location",
]

/** A copy with these is as the object is, and refused if that has changed since its headers were read. */
export function copyHeaders(headers: Headers): Readonly<Record<string, string>> {
  const kept = KEPT.flatMap(name => {
    const value = headers.get(name)
    return value === null ? [] : [[name, value] as const]
  })
  const etag = headers.get("etag")
  return { ...Object.fromEntries(kept), ...(etag === null ? {} : { "x-amz-copy-source-if-match": etag }) }
}

/** Copies a version with what a copy would not keep by itself. */
export async function copyWhole(name: ObjectName, to: Required<Target>, more: Conditions = {}): Promise<void> {
  const headers = await head(name)
  await copyObject(name, to, { ...(headers && copyHeaders(headers)), ...more })
}

/** Gives the latest version another key, also in another bucket, in one step. */
export async function renameObject(
  { bucket, key }: ObjectName,
  to: Required<Target>,
  more: Conditions = {},
): Promise<void> {
  const headers = { "x-amz-rename-source": s3Path({ bucket, key }).slice(ROOT.length), ...more }
  const sent = send("PUT", to, { ask: { renameObject: "" }, headers, timeoutMs: 3_600_000 })
  await checkLate(await orChanged(sent, `${to.bucket}/${to.key} has appeared meanwhile. Nothing was done.`))
}

export const contentOf = async ({ bucket, key }: Required<Target>, signal: AbortSignal): Promise<Blob> =>
  (await send("GET", { bucket, key }, { signal, timeoutMs: 3_600_000 })).blob()

/** A slow answer says in its document that it failed. Throws an `ApiError`. */
async function checkLate(response: Response): Promise<void> {
  const text = await response.text()
  if (/^(?:<\?xml[^>]*>)?\s*<Error[ >]/.test(text)) throw failureOfText(500, text)
}

export const createFolder = async (bucket: string, key: string): Promise<void> =>
  void (await send(
    "PUT",
    { bucket, key },
    { body: new Blob([]), headers: { "content-type": "application/x-directory" } },
  ))

export type Tags = readonly (readonly [key: string, value: string])[]

export async function tagsOf({ versionId, ...target }: ObjectName, signal?: AbortSignal): Promise<Tags> {
  const root = await document(target, { tagging: "", versionId }, signal)
  return [...root.getElementsByTagName("Tag")].map(tag => [textIn(tag, "Key"), textIn(tag, "Value")] as const)
}

export const setTags = (name: ObjectName, tags: Tags): Promise<void> =>
  putDocument(
    name,
    "tagging",
    `<Tagging><TagSet>${tags
      .map(([key, value]) => `<Tag><Key>${escaped(key)}</Key><Value>${escaped(value)}</Value></Tag>`)
      .join("")}</TagSet></Tagging>`,
  )

export type LockMode = "GOVERNANCE" | "COMPLIANCE"

/** `bypass`: shortens one in governance mode, which needs the permission for it. */
export const setRetention = (name: ObjectName, mode: LockMode | undefined, untilMs: number, bypass: boolean) =>
  putDocument(
    name,
    "retention",
    mode === undefined
      ? "<Retention/>"
      : `<Retention><Mode>${mode}</Mode><RetainUntilDate>${new Date(untilMs).toISOString()}</RetainUntilDate></Retention>`,
    bypass ? { "x-amz-bypass-governance-retention": "true" } : {},
  )

export const setLegalHold = (name: ObjectName, isOn: boolean): Promise<void> =>
  putDocument(name, "legal-hold", `<LegalHold><Status>${isOn ? "ON" : "OFF"}</Status></LegalHold>`)

/** Returns true if objects of the bucket may be locked. */
export async function hasLock(bucket: string, signal?: AbortSignal): Promise<boolean> {
  const root = await document({ bucket }, { "object-lock": "" }, signal)
  return root.getElementsByTagName("ObjectLockEnabled").length > 0
}

async function putDocument(
  { versionId, ...target }: ObjectName,
  part: string,
  text: string,
  more: Readonly<Record<string, string>> = {},
): Promise<void> {
  const body = new TextEncoder().encode(text)
  const headers = { "content-type": "application/xml", "x-amz-checksum-crc32": crc32Text(body), ...more }
  await send("PUT", target, { ask: { [part]: "", versionId }, body, headers })
}

const escaped = (text: string): string => text.replace(/[&<>"\r\n]/g, character => `&#${character.charCodeAt(0)};`)

/** Returns the CRC-32 that S3 requires for each document: big endian, in base64. */
function crc32Text(bytes: Uint8Array): string {
  let crc = ~0
  for (const byte of bytes) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0)
  }
  const [a, b, c, d] = [24, 16, 8, 0].map(shift => (~crc >>> shift) & 0xff)
  return btoa(String.fromCharCode(a ?? 0, b ?? 0, c ?? 0, d ?? 0))
}

/** Begins an upload in parts. */
export async function beginParts(target: Required<Target>, type: string): Promise<string> {
  const response = await send("POST", target, { ask: { uploads: "" }, headers: { "content-type": type } })
  const root = new DOMParser().parseFromString(await response.text(), "application/xml").documentElement
  return textIn(root, "UploadId")
}

export async function endParts(target: Required<Target>, uploadId: string, etags: readonly string[]): Promise<void> {
  const parts = etags.map((etag, at) => `<Part><PartNumber>${at + 1}</PartNumber><ETag>${escaped(etag)}</ETag></Part>`)
  const body = `<CompleteMultipartUpload>${parts.join("")}</CompleteMultipartUpload>`
  const headers = { "content-type": "application/xml" }
  await checkLate(await send("POST", target, { ask: { uploadId }, body, headers, timeoutMs: 600_000 }))
}

export const dropParts = async (target: Required<Target>, uploadId: string): Promise<void> =>
  void (await send("DELETE", target, { ask: { uploadId } }))
