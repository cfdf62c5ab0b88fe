/**
 * The work of bulk jobs: finds the objects of a bucket that a job is about, and sends requests of S3 for each, as its
 * starter. Listings need the right to list; what each request needs is checked when it is sent.
 *
 * Promises  Object lock, versioning, undelete, quotas and encryption apply as to a client's requests.
 * Limits    A page looks at `JOB_LIMITS.pageRowsMax` rows; versions of one key are read so many at a time.
 */
import { fail, isFailure } from "@hayloft/base/failures.js"
import { parseBucketName, parseVersionId, textOfObjectKey, type ObjectKey, type VersionId } from "@hayloft/base/ids.js"
import { NULL_VERSION } from "@hayloft/engine/format/objects/version-id.js"
import type {
  Bucket,
  ListedObject,
  ListPage,
  ListRequest,
  Objects,
  VersionEntry,
  VersionsPage,
} from "@hayloft/objects/contract.js"
import {
  isDone,
  isLater,
  isMeant,
  outcomeOf,
  prefixOf,
  requestsFor,
  restoreOf,
  unchangedSince,
  writtenMsOf,
  type BulkItem,
  type JobStart,
  type RequestOutcome,
  type Versions,
} from "./bulk-core.js"
import type { ItemPage, ItemWork } from "../operator/index.js"
import { JOB_LIMITS } from "./limits.js"
import { requireListing, type ObjectReply } from "./object-requests.js"
import { placeInRanges, textInRanges, type ObjectKeyRange } from "./key-ranges-core.js"
import { openJob, type JobServices, type OpenedJob, type StoredJob } from "./open-job.js"

interface BulkServices extends JobServices {
  readonly objects: Pick<Objects, "listVersions" | "getTags">
  /** The objects of a bucket, wherever they are; `isCached`: of a remote bucket those of which something is cached. */
  readonly list: (request: ListRequest, isCached: boolean) => Promise<ListPage>
  /** Returns true if requests that change objects of a bucket may have conditions. */
  readonly hasConditions: (bucket: Bucket) => Promise<boolean>
}

interface BulkJob extends StoredJob {
  readonly startedMs: number
}

/** Throws `noSuchBucket`, `accessDenied`. */
export async function openBulkWork(services: BulkServices, job: BulkJob): Promise<ItemWork<BulkItem, RequestOutcome>> {
  return new BulkWork(services, { ...(await openJob(services, job)), startedMs: job.startedMs })
}

interface Opened extends OpenedJob, JobStart {}

/** Rows of a listing that become items, and how far it was read. */
interface Found {
  readonly items: readonly BulkItem[]
  readonly scanned: number
  readonly next: string | undefined
}

/** A part of a range: behind `from`, and up to `until`. */
interface Within {
  readonly from: string
  readonly until: string | undefined
}

class BulkWork implements ItemWork<BulkItem, RequestOutcome> {
  /** The remotes of the buckets are asked once while a page is worked on. */
  private isAnswered: Promise<boolean> | undefined

  constructor(
    private readonly services: BulkServices,
    private readonly opened: Opened,
  ) {}

  private get isOfVersions(): boolean {
    const { kind } = this.opened.request
    return kind === "delete-versions" || kind === "restore-objects"
  }

  /** Throws `accessDenied`, and `invalidArgument` for a request that the bucket cannot have. */
  async prepare(): Promise<void> {
    const { request, bucket, requester } = this.opened
    if (request.kind === "restore-objects" && bucket.versioning === "never") {
      throw fail("invalidArgument", {
        message: `the bucket ${bucket.name} has no versions; what undelete keeps is restored by hayloft bucket undelete`,
      })
    }
    await requireListing(requester, bucket, this.isOfVersions, prefixOf(request))
  }

  async itemsAfter(cursor: string, until: string | undefined, max: number): Promise<ItemPage<BulkItem>> {
    const { ranges, request } = this.opened
    const isSelection = request.selected !== undefined
    const end = until === undefined ? undefined : placeInRanges(isSelection, until)
    const items: BulkItem[] = []
    let [scanned, looked] = [0, 0]
    for (let place = placeInRanges(isSelection, cursor); ;) {
      const range = ranges[place.range]
      if (range === undefined) return { items, bytes: sumOf(items), scanned, next: undefined }
      const within = { from: place.within, until: end?.range === place.range ? end.within : undefined }
      const most = max - items.length
      const found = this.isOfVersions
        ? await this.versionsIn(range, within, most)
        : await this.objectsIn(range, within, most)
      items.push(...found.items)
      scanned += found.scanned
      looked += Math.max(1, found.scanned)
      const isOver = found.next === undefined
      const isLast = isOver && (place.range + 1 >= ranges.length || place.range === end?.range)
      place = isOver ? { range: place.range + 1, within: "" } : { range: place.range, within: found.next }
      // A page that is repeated is read to its end, whatever has changed.
      const isEnough = isLast || items.length >= max || (until === undefined && looked >= JOB_LIMITS.pageRowsMax)
      const next = isLast ? undefined : textInRanges(isSelection, place)
      if (isEnough) return { items, bytes: sumOf(items), scanned, next }
    }
  }

  private async objectsIn(range: ObjectKeyRange, { from, until }: Within, max: number): Promise<Found> {
    const { request, bucket } = this.opened
    const rows = range.isOneKey ? 1 : JOB_LIMITS.pageRowsMax
    const listed = { bucket, prefix: range.prefix, delimiter: "", after: from, max: rows, withOrders: true }
    const page = await this.services.list(listed, request.kind === "evict-objects")
    const items: BulkItem[] = []
    let scanned = 0
    for (const entry of page.entries) {
      if (entry.kind !== "object") continue
      const { object } = entry
      if (isBeyond(range, object.key) || (until !== undefined && object.key > until))
        return { items, scanned, next: undefined }
      scanned += 1
      const isWanted = isMeant(request, object, this.opened) && !isDone(request, object)
      const tagged = isWanted ? await this.tagged(object) : undefined
      const { key, sizeBytes, etag, written } = object
      const unchanged = unchangedSince(this.opened, written)
      if (tagged !== undefined) items.push({ key, versionId: "", sizeBytes, etag, unchanged, ...tagged })
      if (items.length >= max) return { items, scanned, next: range.isOneKey ? undefined : object.key }
    }
    return { items, scanned, next: range.isOneKey ? undefined : page.next }
  }

  private async versionsIn(range: ObjectKeyRange, { from, until }: Within, max: number): Promise<Found> {
    const { bucket } = this.opened
    const { keyMarker, versionIdMarker } = placeOf(from)
    const page = await this.services.objects.listVersions({
      bucket,
      prefix: range.prefix,
      delimiter: "",
      keyMarker,
      versionIdMarker,
      max: JOB_LIMITS.pageRowsMax,
      withOrders: true,
    })
    const items: BulkItem[] = []
    const entries = withoutNullAtEnd(page)
    let scanned = 0
    for (const entry of entries) {
      const key = keyOf(entry)
      const { versionId } = entry
      if (isBeyond(range, key) || (until !== undefined && isBehind(key, versionId, placeOf(until))))
        return { items, scanned, next: undefined }
      scanned += 1
      const isSelected = range.versionIds === undefined || range.versionIds.has(versionId)
      const item = isSelected ? await this.itemOf(entry) : undefined
      if (item !== undefined) items.push(item)
      // A null version that is removed marks no place any more.
      if (items.length >= max && versionId !== NULL_VERSION) {
        return { items, scanned, next: textOfPlace(key, versionId) }
      }
    }
    const last = entries.at(-1)
    return { items, scanned, next: page.next && last && textOfPlace(keyOf(last), last.versionId) }
  }

  private async itemOf(entry: Exclude<VersionEntry, { readonly kind: "prefix" }>): Promise<BulkItem | undefined> {
    const { request } = this.opened
    const { versionId } = entry
    const key = keyOf(entry)
    const listed = entry.kind === "version" ? entry.object : { ...entry, sizeBytes: 0 }
    if (request.kind === "restore-objects") return this.toRestore(entry, key)
    if (!isMeant(request, listed, this.opened)) return undefined
    if (entry.kind === "marker" && request.tag !== undefined) return undefined
    const tagged = entry.kind === "version" ? await this.tagged(entry.object, versionId) : {}
    if (tagged === undefined) return undefined
    const unchanged = unchangedSince(this.opened, listed.written)
    const etag = entry.kind === "version" ? entry.object.etag : ""
    return { key, versionId, sizeBytes: listed.sizeBytes, etag, unchanged, ...tagged }
  }

  /** One item for each key: at its latest version. */
  private async toRestore(latest: Versions[number], key: ObjectKey): Promise<BulkItem | undefined> {
    const { request } = this.opened
    if (request.kind !== "restore-objects" || !latest.isLatest) return undefined
    const isMarker = latest.kind === "marker"
    const writtenMs = writtenMsOf(latest)
    const { written } = isMarker ? latest : latest.object
    if (isLater({ lastModifiedMs: writtenMs, written }, this.opened)) return undefined
    if (request.atMs === undefined ? !isMarker : writtenMs <= request.atMs) return undefined
    for (let known: Versions = []; ;) {
      const { versions, isAll } = await this.versionsOf(key, known)
      known = versions
      const restore = restoreOf(known, request.atMs)
      if (restore === "nothing" || (restore === "more" && isAll)) return undefined
      if (restore === "more" || restore === undefined) continue
      const wanted = known.find(({ versionId, kind }) =>
        "copy" in restore ? versionId === restore.copy : kind === "version",
      )
      if (wanted?.kind !== "version" || !isMeant(request, wanted.object, this.opened)) return undefined
      const tagged = await this.tagged(wanted.object, wanted.versionId)
      if (tagged === undefined) return undefined
      const { sizeBytes, etag } = wanted.object
      const unchanged = unchangedSince(this.opened, written, isMarker)
      return { key, versionId: wanted.versionId, sizeBytes, etag, unchanged, restore, ...tagged }
    }
  }

  /** One page more of the versions of a key. */
  private async versionsOf(key: ObjectKey, known: Versions): Promise<{ versions: Versions; isAll: boolean }> {
    const last = known.at(-1)
    const page = await this.services.objects.listVersions({
      bucket: this.opened.bucket,
      prefix: key,
      delimiter: "",
      max: JOB_LIMITS.pageRowsMax,
      keyMarker: last === undefined ? "" : key,
      versionIdMarker: last?.versionId,
      withOrders: true,
    })
    const more = page.entries.flatMap(entry => (entry.kind !== "prefix" && keyOf(entry) === key ? [entry] : []))
    return { versions: [...known, ...more], isAll: more.length < page.entries.length || page.next === undefined }
  }

  /**
   * Returns undefined for an object without the tag of the request, and otherwise what its item says of it. Throws
   * `accessDenied`: an object whose tags may not be read cannot be told from the others.
   */
  private async tagged(
    { key }: Pick<ListedObject, "key">,
    versionId?: VersionId,
  ): Promise<Pick<BulkItem, "failing"> | undefined> {
    const { request, bucket, requester } = this.opened
    if (request.tag === undefined) return {}
    const version = versionId === undefined ? [] : [["versionId", versionId] as const]
    const query = [["tagging", ""] as const, ...version]
    const reply = await requester.send({ method: "GET", bucket: bucket.name, key, query })
    if (reply.status === 404) return undefined
    const outcome = await this.outcomeOf(key, reply)
    if (outcome !== "done" && "failing" in outcome) return outcome
    if (outcome !== "done")
      throw fail("accessDenied", { message: `the tags of ${textOfObjectKey(key)} cannot be read: ${reply.message}` })
    return (await this.hasTag(key, versionId)) ? {} : undefined
  }

  private async hasTag(key: ObjectKey, versionId: VersionId | undefined): Promise<boolean> {
    const { request, bucket } = this.opened
    try {
      const { tags } = await this.services.objects.getTags({ bucket, key, ...(versionId && { versionId }) })
      return tags.some(([name, value]) => name === request.tag?.key && value === request.tag.value)
    } catch (error) {
      if (isFailure(error, "noSuchKey", "noSuchVersion", "isDeleteMarker")) return false
      throw error
    }
  }

  async work(item: BulkItem): Promise<RequestOutcome> {
    const { request, bucket, requester } = this.opened
    if (item.failing !== undefined) return { failing: item.failing }
    const hasConditions = request.kind !== "delete-objects" || (await this.services.hasConditions(bucket))
    for (const each of requestsFor(bucket.name, request, item, hasConditions)) {
      const outcome = await this.outcomeOf(item.key, await requester.send(each))
      if (outcome !== "done") return "reason" in outcome ? outcome.reason : outcome
    }
    return undefined
  }

  /** A remote that fails at one object while it lists others may do so for ever. Throws what passes. */
  private async outcomeOf(key: ObjectKey, reply: ObjectReply): Promise<Exclude<ReturnType<typeof outcomeOf>, "later">> {
    const outcome = outcomeOf(this.opened.request, reply)
    if (outcome !== "later") return outcome
    const reason = `${reply.code}: ${reply.message}`
    if (reply.failure?.kind === "remoteUnavailable" && (await this.remotesAnswer())) return { failing: reason }
    throw fail("tooManyInFlight", { message: `${textOfObjectKey(key)}: ${reason}` })
  }

  private remotesAnswer(): Promise<boolean> {
    return (this.isAnswered ??= this.probe())
  }

  private async probe(): Promise<boolean> {
    const { bucket, request } = this.opened
    const { buckets, list } = this.services
    const target = request.kind === "copy-objects" ? [await buckets.open(parseBucketName(request.toBucket))] : []
    try {
      for (const each of [bucket, ...target])
        await list({ bucket: each, prefix: "", delimiter: "", after: "", max: 1 }, false)
      return true
    } catch (error) {
      if (isFailure(error, "remoteUnavailable", "remoteRefused")) return false
      throw error
    }
  }

  describe({ key, versionId }: BulkItem) {
    return { key, versionId }
  }
}

const keyOf = (entry: Exclude<VersionEntry, { readonly kind: "prefix" }>): ObjectKey =>
  entry.kind === "version" ? entry.object.key : entry.key

/** The entries of a page, which goes on behind the last one of them. */
export function withoutNullAtEnd({ entries, next }: VersionsPage): Versions {
  const versions = entries.flatMap(entry => (entry.kind === "prefix" ? [] : [entry]))
  const isMidway = next !== undefined && versions.length > 1 && versions.at(-1)?.versionId === NULL_VERSION
  return isMidway ? versions.slice(0, -1) : versions
}

/** Ids of versions are in the order of listings; a null version counts as if it were before the place. */
const isBehind = (key: ObjectKey, versionId: VersionId, place: Place): boolean =>
  key > place.keyMarker ||
  (key === place.keyMarker && versionId !== NULL_VERSION && versionId > (place.versionIdMarker ?? ""))

/** A listing by prefix goes on with longer keys. */
const isBeyond = ({ isOneKey, prefix }: ObjectKeyRange, key: ObjectKey): boolean => isOneKey && key !== prefix

const sumOf = (items: readonly BulkItem[]): number => items.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)

interface Place {
  readonly keyMarker: string
  readonly versionIdMarker: VersionId | undefined
}

/** Version ids have no space, and begin no key's end: the last space ends the key. */
const textOfPlace = (key: string, versionId: VersionId | undefined): string => `${key} ${versionId ?? ""}`

function placeOf(cursor: string): Place {
  if (cursor === "") return { keyMarker: "", versionIdMarker: undefined }
  const space = cursor.lastIndexOf(" ")
  const versionId = cursor.slice(space + 1)
  return {
    keyMarker: cursor.slice(0, space),
    versionIdMarker: versionId === "" ? undefined : parseVersionId(versionId),
  }
}
