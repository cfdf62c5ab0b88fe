/**
 * Sends what is under a key of a bucket to its target, as it is when it is sent; in a bucket with versions, as its last change made it.
 *
 * Promises  Sending again is harmless: a request brings the target to the state that this store has. The versions of a key that are
 *           stated, and are still there, are sent in their order before that, so that a target with versions has them too.
 *           Bytes are streamed. An object that was replaced meanwhile is left to the change that the log has of that.
 */
import { fail, isFailure } from "@hayloft/base/failures.js"
import { textOfObjectKey, type ObjectKey, type VersionId } from "@hayloft/base/ids.js"
import { asPromise } from "@hayloft/base/soon.js"
import { NULL_VERSION } from "@hayloft/engine/format/objects/version-id.js"
import type { Bucket, ObjectInfo, Objects } from "@hayloft/objects/index.js"
import type { LoggedCopy } from "./copy-log.js"
import { checkEtag, keepsEtag, uploadOf, type Origin, type OriginObject } from "../remote-buckets/index.js"
import type { CopiesSetting } from "./setting.js"

/** Metadata of each copy: the target that it was made for. */
const MARK = "hayloft-copy"

export interface SendingParts {
  readonly objects: Pick<Objects, "get" | "parts">
  /** Throws `remoteUnavailable` if the operator's file does not name the store. */
  readonly originOf: (setting: CopiesSetting) => Origin
}

interface SentKey {
  readonly bucket: Bucket
  readonly setting: CopiesSetting
  readonly key: ObjectKey
  /** Changes that the log has of the key, in their order. */
  readonly changes: readonly LoggedCopy[]
  /** The target is filled. It may have the object already: it is asked. */
  readonly isFilling: boolean
}

/** The amount that was sent of a key: bytes, and whether anything was. */
interface Sent {
  readonly objects: number
  readonly removals: number
  readonly bytes: number
  /** It arrived from another store, and the target is filled. */
  readonly isLeftOut?: boolean
}

const NOTHING_SENT: Sent = { objects: 0, removals: 0, bytes: 0 }

/** Throws `remoteUnavailable`, `remoteRefused`, `notCopied` details, and as reads of objects. */
export async function sendKey(parts: SendingParts, sent: SentKey, signal: AbortSignal): Promise<Sent> {
  const before = await sendEarlier(parts, sent, signal)
  const now = await sendLast(parts, sent, signal)
  return added(before, now)
}

const added = (one: Sent, other: Sent): Sent => ({
  objects: one.objects + other.objects,
  removals: one.removals + other.removals,
  bytes: one.bytes + other.bytes,
  isLeftOut: other.isLeftOut === true,
})

/** Versions and removals before the last change of the key: a target with versions keeps them. */
async function sendEarlier(parts: SendingParts, sent: SentKey, signal: AbortSignal): Promise<Sent> {
  let all = NOTHING_SENT
  if (sent.bucket.versioning !== "enabled") return all
  for (const change of sent.changes.slice(0, -1)) {
    const one = await sendChange(parts, sent, change, signal).catch(orSkipped)
    all = added(all, one)
  }
  return all
}

async function sendChange(
  parts: SendingParts,
  sent: SentKey,
  { kind, versionId }: LoggedCopy,
  signal: AbortSignal,
): Promise<Sent> {
  if (kind === "removed") return { ...NOTHING_SENT, removals: await remove(parts, sent, signal) }
  const info = versionId === NULL_VERSION ? undefined : await currentInfoOf(parts, sent, versionId)
  if (info === undefined || !(await put(parts, sent, info, signal))) return NOTHING_SENT
  return { objects: 1, removals: 0, bytes: info.sizeBytes }
}

/** An earlier state that cannot be copied, or is refused, holds up no later one: only the last one decides about the key. */
function orSkipped(error: unknown): Sent {
  if (isUncopyable(error) || isFailure(error, "remoteRefused")) return NOTHING_SENT
  throw error
}

/** In a bucket with versions, the state of the last change: a newer one would come before versions that the log has yet. */
async function sendLast(parts: SendingParts, sent: SentKey, signal: AbortSignal): Promise<Sent> {
  const last = sent.changes.at(-1)
  if (last === undefined || sent.bucket.versioning !== "enabled") return sendCurrent(parts, sent, signal)
  const one = await sendChange(parts, sent, last, signal)
  return one.objects + one.removals > 0 ? one : sendCurrent(parts, sent, signal)
}

async function sendCurrent(parts: SendingParts, sent: SentKey, signal: AbortSignal): Promise<Sent> {
  const info = await currentInfoOf(parts, sent, undefined)
  if (info === undefined) return { ...NOTHING_SENT, removals: await remove(parts, sent, signal) }
  if (sent.isFilling && sent.setting.sendBack !== true && isArrived(info, sent.setting))
    return { ...NOTHING_SENT, isLeftOut: true }
  if (sent.isFilling && (await hasIt(parts, sent, info, signal))) return NOTHING_SENT
  if (!(await put(parts, sent, info, signal))) return NOTHING_SENT
  return { objects: 1, removals: 0, bytes: info.sizeBytes }
}

async function remove(parts: SendingParts, { setting, key }: SentKey, signal: AbortSignal): Promise<0 | 1> {
  if (!setting.deletes) return 0
  await parts.originOf(setting).remove(key, {}, signal)
  return 1
}

/** The object under a key of this store; undefined: there is none. */
export async function currentInfoOf(
  { objects }: Pick<SendingParts, "objects">,
  { bucket, key }: Pick<SentKey, "bucket" | "key">,
  versionId: VersionId | undefined,
): Promise<ObjectInfo | undefined> {
  const request = { bucket, key, versionId, conditions: {}, headersOnly: true, isForServer: true }
  try {
    const body = await asPromise(() => objects.get(request))
    body.close()
    return body.info
  } catch (error) {
    if (isFailure(error, "noSuchKey", "noSuchVersion", "isDeleteMarker")) return undefined
    throw error
  }
}

/** Returns whether it was sent: otherwise it was replaced or removed meanwhile. */
async function put(parts: SendingParts, sent: SentKey, info: ObjectInfo, signal: AbortSignal): Promise<boolean> {
  requireCopyable(info)
  const { bucket, key, setting } = sent
  try {
    const upload = { ...(await uploadOf({ objects: parts.objects, signal }, { bucket, key }, info)), conditions: {} }
    const described = { userMetadata: markedMetadata(info, setting), fields: fieldsOf(info, setting) }
    const { etag } = await parts.originOf(setting).put(key, { ...upload, ...described }, signal)
    if (!setting.opaqueEtags && keepsEtag(upload, info)) checkEtag(etag, info.etag)
    return true
  } catch (error) {
    if (isFailure(error) && error.details["overtaken"] === true) return false
    throw error
  }
}

/** Returns true if a failure says that an object cannot be copied as it is, whatever is tried. */
export const isUncopyable = (error: unknown): boolean => isFailure(error) && error.details["uncopyable"] === true

/** Throws `invalidRequest` for an object that cannot be copied as it is. */
function requireCopyable({ encryption, segmentListBytes, headers }: ObjectInfo): void {
  const refuse = (message: string) => fail("invalidRequest", { message, uncopyable: true })
  if (encryption?.mode === "client") throw refuse("It is encrypted with a key that only its clients have (SSE-C).")
  if (segmentListBytes !== undefined || headers.segmentPrefix !== undefined)
    throw refuse("It is a large object of Swift: its segments are other objects.")
  if (headers.symlink !== undefined) throw refuse("It is a symbolic link of Swift.")
}

const markedMetadata = ({ userMetadata }: ObjectInfo, { id }: CopiesSetting): ObjectInfo["userMetadata"] => [
  ...userMetadata.filter(([name]) => name !== MARK),
  [MARK, id],
]

function fieldsOf(
  { tags, headers }: ObjectInfo,
  { storageClass }: CopiesSetting,
): readonly (readonly [string, string])[] {
  const { websiteRedirect } = headers
  const tagging = tags.map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`).join("&")
  return [
    ...(tags.length === 0 ? [] : [["x-amz-tagging", tagging] as const]),
    ...(websiteRedirect === undefined ? [] : [["x-amz-website-redirect-location", websiteRedirect] as const]),
    ...(storageClass === undefined ? [] : [["x-amz-storage-class", storageClass] as const]),
  ]
}

/** The target's object under the key; undefined: there is none. */
export async function thereOf(origin: Origin, key: ObjectKey, signal: AbortSignal): Promise<OriginObject | undefined> {
  try {
    return await origin.head(key, signal)
  } catch (error) {
    if (isFailure(error, "noSuchKey")) return undefined
    throw error
  }
}

/** Returns true if an object of the target was made as a copy for this target. */
export const isCopyFor = ({ userMetadata }: OriginObject, { id }: CopiesSetting): boolean =>
  userMetadata.some(([name, value]) => name === MARK && value === id)

/**
 * Returns true if an object of this store carries the mark of another target: another store sent it. That store may
 * have replaced or removed it since, and a fill does not notice that.
 */
const isArrived = ({ userMetadata }: ObjectInfo, { id }: CopiesSetting): boolean =>
  userMetadata.some(([name, value]) => name === MARK && value !== id)

const COMPARED = ["cacheControl", "contentDisposition", "contentEncoding", "contentLanguage", "expires"] as const

/** Returns true if the target has the object as it is. Tags do not show: an object that has any is sent. */
async function hasIt(
  { originOf }: SendingParts,
  { setting, key }: SentKey,
  info: ObjectInfo,
  signal: AbortSignal,
): Promise<boolean> {
  if (setting.opaqueEtags || info.tags.length > 0 || info.headers.websiteRedirect !== undefined) return false
  const there = await thereOf(originOf(setting), key, signal)
  if (there === undefined || there.etag !== info.etag || there.sizeBytes !== info.sizeBytes) return false
  const { contentType } = info.headers
  if (contentType !== undefined && contentType !== there.headers.contentType) return false
  if (COMPARED.some(name => info.headers[name] !== there.headers[name])) return false
  const sorted = (metadata: ObjectInfo["userMetadata"]) => JSON.stringify([...metadata].sort())
  return sorted(there.userMetadata) === sorted(markedMetadata(info, setting))
}

/** For people: what an object of the log or of the list is called. */
export const shownKey = (key: ObjectKey): string => textOfObjectKey(key).slice(0, 200)
