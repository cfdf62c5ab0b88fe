/**
 * Container sync: sends what changes in a container to the container of another cluster that it is synchronized with. A job.
 *
 * Promises  Each change that is acknowledged arrives, in time, also after a crash or while the other cluster is away: its row in
 *           the metadata goes only once the other cluster has it, or a newer one. What the other cluster has changed later stays.
 *           A removal is remembered for `removalsKeptMs`, so that older writes that arrive late are refused.
 *           Only objects that the setter of the container's key may read at that time are sent; others wait, and are shown.
 * Limits    SYNC_LIMITS. An object is sent in a piece: one that the other cluster finds too large waits, and is shown.
 * Source    `container/sync.py`, OpenStack Swift.
 */
import type { AccountFinder } from "../requests.js"
import { asFailure, fail, isFailure } from "@hayloft/base/failures.js"
import { textOfObjectKey, type BucketId, type ObjectKey, type RowKey } from "@hayloft/base/ids.js"
import { asPromise } from "@hayloft/base/soon.js"
import { parseTimestamp, textOfTimestamp, type Timestamp } from "@hayloft/base/text/timestamp.js"
import { percentEncode } from "@hayloft/base/http/uri.js"
import { decodeSymlink } from "@hayloft/engine/format/objects/symlink.js"
import type { JobStarter } from "@hayloft/engine/format/job-record.js"
import type { SwiftSetter } from "@hayloft/engine/format/swift/swift-setter.js"
import { decodeSwiftSync, encodeSwiftSync, type SwiftSync } from "@hayloft/engine/format/swift/swift-sync.js"
import { mapBounded, type Job, type StepOutcome, limited } from "@hayloft/base/life/index.js"
import type { Bucket, ObjectBody, ObjectInfo, ObjectServices } from "@hayloft/objects/contract.js"
import { dueTimeMs, segmentsIn, timestampOfInfo, type NotedChange, type ObjectChanges } from "@hayloft/objects/index.js"
import type { OwnRequests } from "../../s3/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"
import type { SendAnswer, WebServices } from "@hayloft/base/seams/web/contract.js"
import { walkPages } from "@hayloft/base/walk-pages.js"
import { metadataFields, OBJECT_METADATA } from "../metadata-core.js"
import { isPathOf } from "../requests.js"
import { internalManifest, syncSignature, targetOfSync, type SyncRealms, type SyncTarget } from "./sync-core.js"

const SYNC_LIMITS = {
  changesPerPage: 64,
  concurrent: 4,
  /** At most so many objects are marked as changed by one command. */
  namesPerCommand: 250,
  /** After the end of a pass the next one begins after this … */
  restMs: 2_000,
  /** … where containers are synchronized, else after this … */
  restWithoutMs: 10_000,
  /** … and after so many times what the last one took to look at all rows. */
  restTimes: 20,
  removalsKeptMs: 7 * 86_400_000,
  /** A container whose other cluster does not do what it is asked is left alone for a while, longer each time. */
  awayMs: 10_000,
  awayMsMax: 600_000,
  answerBytesMax: 65_536,
  answerMs: 60_000,
  /** The slowest upload. */
  bytesPerMs: 100,
} as const

const CONTENT_HEADERS = [
  ["contentEncoding", "content-encoding"],
  ["contentDisposition", "content-disposition"],
  ["contentLanguage", "content-language"],
  ["cacheControl", "cache-control"],
  ["expires", "expires"],
] as const

interface SyncSeams {
  readonly clock: Clock
  /** 0 while it is unknown. */
  readonly storeClock: { nowMs(): number; readonly isDoubtful: boolean }
  readonly random: Random
  readonly changes: ObjectChanges
  readonly services: Pick<ObjectServices, "buckets" | "objects">
  readonly accounts: AccountFinder
  readonly web: Pick<WebServices, "send">
  readonly realms: SyncRealms
  readonly log: Log
}

/** A container and the one that its changes go to. */
interface Route extends SyncTarget {
  readonly bucket: Bucket
  /** The container's. */
  readonly key: string
  /** The setter of the key. */
  readonly reader: Awaited<ReturnType<OwnRequests["as"]>>
}

interface Away {
  readonly untilMs: number
  readonly times: number
  readonly bucket: string
  readonly reason: string
}

type Headers = Readonly<Record<string, string>>

export class ContainerSync implements Job {
  readonly name = "container-sync"
  private pass: AsyncGenerator<void> | undefined
  private nextPassAtMs = -Infinity
  private buckets: ReadonlyMap<BucketId, Bucket> = new Map()
  private readonly away = new Map<BucketId, Away>()
  private readonly done = { objects: 0, removals: 0 }
  /** Changes that the last whole pass left, and that this one has left so far. */
  private readonly left = { last: 0, now: 0 }
  /** Nothing is sent before it is attached. */
  private requests: Pick<OwnRequests, "as"> | undefined

  constructor(private readonly seams: SyncSeams) {}

  progress(): string {
    if (this.buckets.size === 0 && this.left.last === 0) return "no container is synchronized"
    const { objects, removals } = this.done
    const waiting = [...this.away.values()].slice(0, 3).map(({ bucket, reason }) => `; ${bucket} waits: ${reason}`)
    const lag = Math.max(this.left.last, this.left.now)
    const wait = `${lag}${this.away.size === 0 ? "" : " or more"} changes wait`
    return `${objects} objects and ${removals} removals sent, ${wait}${waiting.join("")}`
  }

  attach(requests: Pick<OwnRequests, "as">): void {
    this.requests = requests
  }

  async step(signal: AbortSignal): Promise<StepOutcome> {
    const { clock } = this.seams
    const outcome = () => (this.buckets.size === 0 && this.seams.realms.size === 0 ? "idle" : "throttled")
    if (this.pass === undefined && clock.monotonicMs() < this.nextPassAtMs) return outcome()
    this.pass ??= this.goOver(signal)
    const { done } = await this.pass.next()
    if (done !== true && !signal.aborted) return "busy"
    this.pass = undefined
    return outcome()
  }

  async release(): Promise<void> {
    this.pass = undefined
  }

  /** All changes once: each step is a page of one container. */
  private async *goOver(signal: AbortSignal): AsyncGenerator<void> {
    const { clock, changes: noted } = this.seams
    let lookedMs = 0
    const looked = async <T>(work: Promise<T>): Promise<T> => {
      const begunMs = clock.monotonicMs()
      const found = await work
      lookedMs += clock.monotonicMs() - begunMs
      return found
    }
    this.left.now = 0
    const buckets = await this.readBuckets()
    for (const bucket of buckets) yield* this.fill(bucket)
    let from: RowKey | undefined
    do {
      const keptFromMs = (dueTimeMs(this.seams) ?? 0) - SYNC_LIMITS.removalsKeptMs
      const { changes, next, nextBucket } = await looked(noted.page(from, keptFromMs, SYNC_LIMITS.changesPerPage))
      const [first] = changes
      const isStuck = first !== undefined && !(await this.end(first.bucketId, changes, signal))
      from = isStuck ? nextBucket : next
      yield
    } while (from !== undefined && !signal.aborted)
    this.left.last = this.left.now
    const restMs = buckets.length === 0 ? SYNC_LIMITS.restWithoutMs : SYNC_LIMITS.restMs
    const rests = [restMs, SYNC_LIMITS.restTimes * lookedMs]
    this.nextPassAtMs = clock.monotonicMs() + Math.max(...rests)
  }

  private async readBuckets(): Promise<readonly Bucket[]> {
    const buckets = await this.seams.changes.buckets()
    this.buckets = new Map(buckets.map(bucket => [bucket.id, bucket]))
    return buckets
  }

  /** Returns undefined if the bucket is gone or not synchronized any more: its changes go nowhere. */
  private async bucketOf(id: BucketId): Promise<Bucket | undefined> {
    // It may have been synchronized since.
    if (!this.buckets.has(id)) await this.readBuckets()
    return this.buckets.get(id)
  }

  private async settingOf(bucket: Bucket): Promise<SwiftSync | undefined> {
    const record = await asPromise(() => this.seams.services.buckets.setting(bucket, "sync"))
    return record && decodeSwiftSync(record.document)
  }

  /** Notes what was in a container before it was synchronized. */
  private async *fill(bucket: Bucket): AsyncGenerator<void> {
    const { services, changes } = this.seams
    const sync = await this.settingOf(bucket)
    if (sync === undefined || sync.to === "" || sync.isFilled) return
    const pages = walkPages("", after => {
      const bounds = { prefix: "", delimiter: "", after, max: SYNC_LIMITS.namesPerCommand }
      return services.objects.list({ bucket, ...bounds })
    })
    for await (const page of pages) {
      const keys = page.entries.flatMap(entry => (entry.kind === "object" ? [entry.object.key] : []))
      if (keys.length > 0) await changes.note(bucket.id, keys)
      yield
    }
    await services.buckets.changeSetting(bucket, "sync", former => {
      const now = former === undefined ? undefined : decodeSwiftSync(former)
      // It may have got another target meanwhile, or none.
      if (former === undefined || now?.to !== sync.to) throw fail("conflict")
      return encodeSwiftSync({ ...now, isFilled: true })
    })
  }

  /** Deals with changes of a bucket. Returns whether its next ones may be tried. */
  private async end(bucketId: BucketId, changes: readonly NotedChange[], signal: AbortSignal): Promise<boolean> {
    const { clock } = this.seams
    const bucket = await this.bucketOf(bucketId)
    const sync = bucket && (await this.settingOf(bucket))
    if (bucket === undefined || sync === undefined) {
      for (const change of changes) await this.seams.changes.end(change, false)
      return true
    }
    const away = this.away.get(bucketId)
    try {
      const due = away === undefined || clock.monotonicMs() >= away.untilMs
      const route = sync.to === "" || !due ? undefined : await this.routeOf(bucket, sync)
      if (route === undefined && sync.to !== "") {
        this.left.now += changes.length
        return false
      }
      await mapBounded(changes, SYNC_LIMITS.concurrent, change => this.trySending(route, change, signal))
      this.away.delete(bucketId)
      return true
    } catch (error) {
      this.noteAway(bucket, error, away?.times ?? 0)
      this.left.now += changes.length
      return false
    }
  }

  private noteAway(bucket: Bucket, error: unknown, times: number): void {
    const { clock, log } = this.seams
    const failure = asFailure(error)
    const reason = String(failure.details["reason"] ?? failure.message)
    const restMs = Math.min(SYNC_LIMITS.awayMs * 2 ** Math.min(times, 10), SYNC_LIMITS.awayMsMax)
    this.away.set(bucket.id, { untilMs: clock.monotonicMs() + restMs, times: times + 1, bucket: bucket.name, reason })
    log.warn("container_sync_waits", { bucket: bucket.name, reason, seconds: restMs / 1000 })
  }

  /** Returns undefined if no request can be made yet. Throws `invalidRequest`, `accessDenied`. */
  private async routeOf(bucket: Bucket, { to, key, setter }: SwiftSync): Promise<Route | undefined> {
    if (key === "") throw fail("invalidRequest", { message: "the container has no X-Container-Sync-Key" })
    const target = targetOfSync(to, this.seams.realms)
    if (setter === undefined)
      throw fail("accessDenied", { message: "it is not known who has set the X-Container-Sync-Key: set it again" })
    const reader = await this.requests?.as(starterOf(setter), bucket)
    return reader && { ...target, bucket, key, reader }
  }

  /** Throws `accessDenied` unless the setter of the key may read the object: another cluster gets what he could copy there. */
  private async requireRead({ bucket, reader }: Route, key: ObjectKey, signal: AbortSignal): Promise<void> {
    const request = { method: "GET", bucket: bucket.name, key, headers: [["range", "bytes=0-0"]] } as const
    const { status, code } = await reader.send(request, signal)
    if (status >= 500) throw fail("tooManyInFlight", { message: code })
    if (status === 403) throw fail("accessDenied", { message: "who has set the X-Container-Sync-Key may not read it" })
  }

  /** One object that cannot be sent holds up no others: its change waits for the next pass. Throws `providerUnreachable`. */
  private async trySending(route: Route | undefined, change: NotedChange, signal: AbortSignal): Promise<void> {
    try {
      await this.send(route, change, signal)
    } catch (error) {
      const failure = asFailure(error)
      if (failure.kind === "providerUnreachable" && failure.details["isOfObject"] !== true) throw failure
      this.left.now += 1
      const [key, reason] = [textOfObjectKey(change.key).slice(0, 200), String(failure.details["reason"] ?? failure)]
      this.seams.log.warn("container_sync_object_waits", { bucket: route?.bucket.name, key, reason })
    }
  }

  /** `route`: undefined if changes of the bucket go nowhere. Throws `providerUnreachable`, and as a read. */
  private async send(route: Route | undefined, change: NotedChange, signal: AbortSignal): Promise<void> {
    const { key, removedAt, isCopied } = change
    if (route === undefined || isCopied) return this.seams.changes.end(change, removedAt !== undefined && !isCopied)
    const { clock, storeClock } = this.seams
    const info = await this.infoOf(route.bucket, key)
    if (info !== undefined) {
      const isOver =
        info.expiresAtSeconds !== undefined &&
        info.expiresAtSeconds * 1000 <= Math.min(storeClock.nowMs(), clock.wallMs())
      if (!isOver) await this.requireRead(route, key, signal)
      if (!isOver && !(await this.hasIt(route, key, info, signal))) {
        if (!(await this.sendObject(route, key, signal))) return
        this.done.objects += 1
      }
    } else if (removedAt !== undefined) {
      const { status } = await this.ask(route, key, { method: "DELETE", timestamp: removedAt, signal })
      if (status >= 300 && status !== 404 && status !== 409) throw refused(route, "DELETE", status)
      this.done.removals += 1
    }
    await this.seams.changes.end(change, info === undefined && removedAt !== undefined)
  }

  /** Returns undefined if there is no object. */
  private async infoOf(bucket: Bucket, key: ObjectKey): Promise<ObjectInfo | undefined> {
    const body = await this.open(bucket, key, true)
    body?.close()
    return body?.info
  }

  private async open(bucket: Bucket, key: ObjectKey, headersOnly: boolean): Promise<ObjectBody | undefined> {
    const request = { bucket, key, conditions: {}, headersOnly, isForServer: headersOnly }
    try {
      return await asPromise(() => this.seams.services.objects.get(request))
    } catch (error) {
      if (isFailure(error, "noSuchKey", "isDeleteMarker")) return undefined
      throw error
    }
  }

  /**
   * Returns true if the other cluster has the object as it is, or a later one. It decides which of two at the same time
   * stays.
   */
  private async hasIt(route: Route, key: ObjectKey, info: ObjectInfo, signal: AbortSignal): Promise<boolean> {
    const timestamp = timestampOfInfo(info)
    const { status, headers } = await this.ask(route, key, { method: "HEAD", timestamp, signal })
    if (status === 404) return false
    if (status !== 200) throw refused(route, "HEAD", status)
    const there = parseTimestamp(headers.get("x-timestamp") ?? "") ?? 0
    const isOther = hasMd5(info) && (headers.get("etag") ?? info.etag).replaceAll('"', "") !== info.etag
    return there > timestamp || (there === timestamp && !isOther)
  }

  /** Returns whether it was sent: it may be gone by now, which is another change. */
  private async sendObject(route: Route, key: ObjectKey, signal: AbortSignal): Promise<boolean> {
    const body = await this.open(route.bucket, key, false)
    if (body === undefined) return false
    try {
      const { info } = body
      const manifest = info.segmentListBytes === undefined ? undefined : internalManifest(await segmentsIn(body))
      const lengthBytes = manifest?.length ?? info.sizeBytes
      const headers = { ...(await this.headersOf(route, info)), "content-length": String(lengthBytes) }
      const sent = manifest === undefined ? copied(body.read(signal)) : once(manifest)
      const timestamp = timestampOfInfo(info)
      const request = { method: "PUT", timestamp, headers, body: sent, lengthBytes, signal } as const
      const { status } = await this.ask(route, key, request)
      if (status >= 300) throw refused(route, "PUT", status)
      return true
    } finally {
      body.close()
    }
  }

  private async headersOf({ bucket }: Route, info: ObjectInfo): Promise<Headers> {
    const { headers, userMetadata, expiresAtSeconds } = info
    const stated: (readonly [string, string | undefined])[] = CONTENT_HEADERS.map(([name, header]) => [
      header,
      headers[name],
    ])
    const others: Readonly<Record<string, string | undefined>> = {
      ...(hasMd5(info) && { etag: info.etag }),
      ...(info.segmentListBytes !== undefined && { "x-static-large-object": "True" }),
      "x-object-manifest": headers.segmentPrefix,
      ...(headers.symlink !== undefined && (await this.linkHeaders(bucket, headers.symlink))),
      ...(expiresAtSeconds !== undefined && { "x-delete-at": String(expiresAtSeconds) }),
    }
    const result: Record<string, string> = { "content-type": headers.contentType ?? "application/octet-stream" }
    const metadata = metadataFields(userMetadata, OBJECT_METADATA)
    for (const [name, value] of [...stated, ...metadata, ...Object.entries(others)])
      if (value !== undefined) result[name.toLowerCase()] = value
    return result
  }

  /** A link within its account is one in the account of the other container. */
  private async linkHeaders(bucket: Bucket, symlink: string): Promise<Headers> {
    const { account, container, object, pinned } = decodeSymlink(symlink)
    const owner = await asPromise(() => this.seams.accounts.getAccount(bucket.owner))
    const isOwn = owner !== undefined && isPathOf(owner, account)
    return {
      "x-symlink-target": [container, object].map(part => percentEncode(part, true)).join("/"),
      ...(!isOwn && { "x-symlink-target-account": percentEncode(account) }),
      ...(pinned !== undefined && { "x-symlink-target-etag": pinned.etag }),
    }
  }

  private async ask(
    { url, realm, realmKey, key: containerKey }: Route,
    key: ObjectKey,
    {
      method,
      timestamp,
      headers = {},
      body,
      lengthBytes = 0,
      signal,
    }: {
      readonly method: "HEAD" | "PUT" | "DELETE"
      readonly timestamp: Timestamp
      readonly headers?: Headers
      readonly body?: AsyncIterable<Uint8Array>
      readonly lengthBytes?: number
      readonly signal: AbortSignal
    },
  ): Promise<SendAnswer> {
    const { clock, random, web } = this.seams
    const address = `${url}/${percentEncode(key, true)}`
    // The path is cut from the text of the address: a URL that is parsed has lost dots and slashes.
    const [, path = ""] = /^https?:\/\/[^/]+(\/.*)$/.exec(address) ?? []
    const nonce = Buffer.from(random.bytes(16)).toString("hex")
    const stated = textOfTimestamp(timestamp)
    const signed = { method, path, timestamp: stated, nonce }
    const auth = `${realm} ${nonce} ${syncSignature(signed, realmKey, containerKey)}`
    const limitMs = SYNC_LIMITS.answerMs + lengthBytes / SYNC_LIMITS.bytesPerMs
    // A link, or a large object, as it is itself.
    const query = method === "HEAD" ? "?symlink=get&multipart-manifest=get" : ""
    const request = {
      method,
      url: address + query,
      body,
      headers: { ...headers, "x-timestamp": stated, "x-container-sync-auth": auth },
    }
    return limited({ clock, durationMs: limitMs }, [signal], either =>
      web.send(request, SYNC_LIMITS.answerBytesMax, either),
    )
  }
}

/** The setter of a key as the starter of a job. A service's user acts with his own key: the service's token is not kept. */
const starterOf = ({ kind, id }: SwiftSetter): JobStarter =>
  kind === "root" ? { kind: "operator", id: "", name: "" } : { kind: "key", id, name: "" }

/** Returns true if the ETag is the MD5 of the bytes: not that of several parts, or of some encrypted objects. */
const hasMd5 = ({ partsCount, encryption }: ObjectInfo): boolean => partsCount === undefined && encryption === undefined

/** Statuses of an answer that is about the object, not about its container, or the other cluster. */
const OF_OBJECTS: readonly number[] = [400, 408, 409, 411, 412, 413, 422, 507]

const refused = ({ url }: Route, method: string, status: number) =>
  fail("providerUnreachable", {
    url,
    isOfObject: OF_OBJECTS.includes(status),
    reason: `${method} of an object of ${url} was answered with status ${status}`,
  })

/** Pieces that stay valid: what is lent is not. */
async function* copied(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const piece of pieces) yield Uint8Array.from(piece)
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}
