/**
 * Remote buckets of a running store: the parts of this folder, put together for protocols, for the admin API and for jobs.
 */
import { fail, isFailure } from "@hayloft/base/failures.js"
import type { AccountId, BucketName, CacheSpace, ObjectKey, VersionId } from "@hayloft/base/ids.js"
import { asPromise, type Soon } from "@hayloft/base/soon.js"
import type { BackgroundService } from "@hayloft/base/life/index.js"
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import {
  StoredObjects,
  type Bucket,
  type Buckets,
  type Conditions,
  type GetRequest,
  type ListRequest,
  type Objects,
  type BucketSettingName,
} from "@hayloft/objects/index.js"
import type { Core } from "@hayloft/objects/door/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type { Log, Metrics } from "@hayloft/base/seams/telemetry/contract.js"
import { RemoteBlocks } from "./blocks.js"
import { Eviction } from "../eviction/index.js"
import { isEvictable, REMOTE_PREFIX, RemoteCache, spaceOf, type CachedItem } from "./cache.js"
import { REMOTE_LIMITS } from "./limits.js"
import type {
  AskOptions,
  Origin,
  PendingWrite,
  RemoteAdmin,
  RemoteBuckets,
  RemoteListEntry,
  RemoteListPage,
  RemoteListRequest,
  RemoteRead,
  RemoteSetting,
  ShownCache,
  ShownStore,
} from "./contract.js"
import { holdPendingWrites, pendingHeldSince } from "./held-core.js"
import { hopsThrough } from "./hops.js"
import { listRemote, keyOfRemoteEntry } from "./listing.js"
import { PendingWrites } from "./pending.js"
import { RemoteReads, type RemoteObjectRef } from "./reads.js"
import type { StoreHealth } from "./s3-origin.js"
import { RemoteWrites } from "./writes.js"

/** A remote store, as this module needs it. */
interface NamedStore {
  readonly name: string
  readonly config: {
    readonly endpoint: string
    readonly region: string
    readonly accounts?: readonly string[] | undefined
  }
  readonly health: Pick<StoreHealth, "requests" | "failures" | "lastError" | "lastErrorMs">
  bucket(place: Pick<RemoteSetting, "bucket" | "prefix">, options: { readonly hops: string }): Origin
}

interface RemoteParts {
  readonly clock: Clock
  readonly storeClock: Pick<Core["storeClock"], "shownMs" | "isDoubtful">
  readonly random: Random
  readonly log: Log
  readonly metrics: Metrics
  readonly metadata: Pick<Metadata, "run" | "ask">
  readonly objects: Objects
  readonly buckets: Pick<Buckets, "open" | "confirm" | "setVersioning" | "usage"> & {
    withSetting(name: BucketSettingName): Promise<readonly Bucket[]>
  }
  readonly stores: ReadonlyMap<string, NamedStore>
  /** The setting of a bucket. */
  readonly settingOf: (bucket: Bucket) => Soon<RemoteSetting | undefined>
  /** Returns true if buckets of an account may use a store. */
  readonly mayUse: (owner: AccountId, accounts: readonly string[] | undefined) => Promise<boolean>
  /** Resolves once the devices refuse releases that would take a remote bucket for an ordinary one. */
  readonly refuseEarlier: () => Promise<void>
  /** Other processes use the same store. */
  readonly isShared: boolean
  /** Returns true if this process sends pending writes. */
  readonly isSender: () => boolean
  /** The bucket to which the store itself writes the audit log, without a client that waits for the remote. */
  readonly auditBucket: BucketName | undefined
  readonly cacheBytesMax: number
  /** Returns true if the store refuses writes, since a disk is full. */
  readonly isStoreFull: () => boolean
  /** If absent, it is `REMOTE_LIMITS.blockBytes`. */
  readonly blockBytes?: number
  /** Fires when the store stops. */
  readonly signal: AbortSignal
}

type OpenOptions = Parameters<RemoteBuckets["open"]>[2]
type WriteConditions = Pick<Conditions, "ifMatch" | "ifNoneMatch">

/** Settings that would act on pending writes as if they were the objects. */
const EXCLUDED: readonly BucketSettingName[] = [
  "lifecycle",
  "encryption",
  "append",
  "sync",
  "swift",
  "dedup",
  "history",
  "packing",
  "copies",
]

export class StoreRemotes implements RemoteBuckets, RemoteAdmin {
  private readonly cached: RemoteCache
  private readonly reads: RemoteReads
  private readonly writes: RemoteWrites
  private readonly eviction: Eviction<CachedItem>
  readonly pendingWrites: PendingWrites
  private hitBytes = 0
  private missBytes = 0

  constructor(private readonly parts: RemoteParts) {
    const {
      clock,
      storeClock,
      log,
      metrics,
      random,
      objects,
      metadata,
      signal,
      isSender,
      cacheBytesMax: sizeBytesMax,
      blockBytes,
    } = parts
    const stored = new StoredObjects({ objects, metadata }, REMOTE_PREFIX)
    const cache = (this.cached = new RemoteCache({ clock, random, log, stored, sizeBytesMax, blockBytes }))
    const originOf = ({ setting, hops }: RemoteObjectRef): Origin => this.originOf(setting, hops)
    const onRead = (bytes: number, isHit: boolean): void => {
      if (isHit) this.hitBytes += bytes
      else this.missBytes += bytes
    }
    const blocks = new RemoteBlocks({ clock, log, cache, signal, onRead })
    this.reads = new RemoteReads({ clock, cache, blocks, originOf })
    const throughMsMax = parts.isShared ? REMOTE_LIMITS.throughMsMax : undefined
    const ofWrites = { clock, log, cache, blocks, objects, originOf, throughMsMax, signal }
    const writes = (this.writes = new RemoteWrites(ofWrites))
    const remoteBuckets = () => parts.buckets.withSetting("remote")
    const settingOf = (bucket: Bucket) => asPromise(() => parts.settingOf(bucket))
    const placeOf = (setting: RemoteSetting, bucket: Bucket, key: ObjectKey) =>
      this.placeOf(setting, bucket, key, undefined)
    this.pendingWrites = new PendingWrites({
      clock,
      storeClock,
      log,
      metrics,
      objects,
      writes,
      remoteBuckets,
      settingOf,
      isHeld: async ({ id }) => (await metadata.ask(pendingHeldSince(id))) !== undefined,
      placeOf,
      isSender,
      isShared: parts.isShared,
    })
    this.eviction = new Eviction({
      name: "remote-eviction",
      clock,
      log,
      metrics,
      room: cache.room,
      sweepEveryMs: REMOTE_LIMITS.sweepEveryMs,
      isStoreFull: parts.isStoreFull,
      items: () => cache.items(),
      remove: item => cache.removeItem(item),
      outdated: async () => {
        const found = await this.buckets()
        const spaces = new Set<string>(found.map(({ bucket, setting }) => this.spaceOf(bucket, setting)))
        return ({ space }) => !spaces.has(space)
      },
      mayGo: isEvictable,
    })
  }

  get services(): readonly BackgroundService[] {
    return [this.eviction, this.pendingWrites]
  }

  settingOf(bucket: Bucket): Soon<RemoteSetting | undefined> {
    return bucket.settings.includes("remote") ? this.parts.settingOf(bucket) : undefined
  }

  private placeOf(setting: RemoteSetting, bucket: Bucket, key: ObjectKey, hops: string | undefined): RemoteObjectRef {
    return { setting, bucket, key, space: this.spaceOf(bucket, setting), hops: hopsThrough(bucket, hops) }
  }

  private spaceOf(bucket: Bucket, setting: RemoteSetting): CacheSpace {
    return spaceOf(bucket, setting, this.parts.stores.get(setting.store)?.config.endpoint ?? "")
  }

  private storeOf({ store }: Pick<RemoteSetting, "store">): NamedStore {
    const found = this.parts.stores.get(store)
    if (found !== undefined) return found
    throw fail("invalidRequest", { message: `The operator's file of remote stores does not name ${store}.` })
  }

  private originOf(setting: RemoteSetting, hops: string): Origin {
    return this.storeOf(setting).bucket(setting, { hops })
  }

  async prepare(bucket: Bucket, setting: RemoteSetting): Promise<RemoteSetting | undefined> {
    const { buckets, mayUse, refuseEarlier, signal } = this.parts
    const { accounts } = this.storeOf(setting).config
    if (!(await mayUse(bucket.owner, accounts)))
      throw fail("accessDenied", { message: `The operator does not let this account's buckets use ${setting.store}.` })
    const before = await asPromise(() => this.settingOf(bucket))
    if (bucket.name === this.parts.auditBucket)
      throw fail("invalidRequest", {
        message: "The audit log is delivered to this bucket, so it cannot become remote.",
      })
    if (before === undefined) await this.requireOrdinary(bucket)
    const isGentle = before !== undefined && isGentleChange(before, setting)
    if (before !== undefined && !isGentle) await this.requireNothingPending(bucket)
    // A setting that only says how to read and write is accepted while the remote is away.
    if (before === undefined || !isSamePlace(before, setting))
      await this.originOf(setting, hopsThrough(bucket, undefined)).list(
        { prefix: "", delimiter: "", after: "", max: 1 },
        signal,
      )
    await refuseEarlier()
    if (bucket.versioning !== "enabled") await buckets.setVersioning(bucket, "enabled")
    return isGentle ? undefined : { ...(before ?? setting), writes: "None" }
  }

  async requireNothingPending(bucket: Bucket): Promise<void> {
    const { versions } = await this.parts.buckets.usage(bucket)
    if (versions === 0) return
    const setting = await asPromise(() => this.settingOf(bucket))
    throw fail("conflict", { message: setting?.writes === "Through" ? UNDER_WAY : PENDING })
  }

  /** Throws `bucketNotEmpty`, `invalidRequest` for a bucket that cannot become remote. */
  private async requireOrdinary(bucket: Bucket): Promise<void> {
    checkPlain(bucket)
    const { versions, uploads } = await this.parts.buckets.usage(bucket)
    if (versions + uploads > 0) throw fail("bucketNotEmpty", { message: "Only an empty bucket can become remote." })
  }

  async open(
    setting: RemoteSetting,
    request: Parameters<RemoteBuckets["open"]>[1],
    options: OpenOptions,
  ): Promise<RemoteRead> {
    const { bucket, key } = request
    const pending = setting.writes === "Through" ? undefined : await this.openPending(request)
    if (pending !== undefined) return { body: pending, outcome: "pending" }
    return this.reads.open(this.placeOf(setting, bucket, key, options.hops), request, options)
  }

  /** A write that the remote does not have yet. Throws as `Objects.get` for a deletion. */
  private async openPending(request: GetRequest) {
    try {
      return await asPromise(() => this.parts.objects.get(request))
    } catch (error) {
      if (isFailure(error, "noSuchKey") && error.details["deleteMarker"] !== true) return undefined
      if (isFailure(error, "noSuchKey")) throw fail("noSuchKey")
      throw error
    }
  }

  async list(
    setting: RemoteSetting,
    request: RemoteListRequest,
    { signal, hops }: AskOptions,
  ): Promise<RemoteListPage> {
    const { bucket } = request
    const parts = {
      objects: this.parts.objects,
      cache: this.cached,
      origin: this.originOf(setting, hopsThrough(bucket, hops)),
      space: this.spaceOf(bucket, setting),
      showsPending: setting.writes !== "Through",
    }
    return listRemote(parts, request, signal)
  }

  async written(
    bucket: Bucket,
    key: ObjectKey,
    versionId: VersionId,
    { hops, ...conditions }: WriteConditions & Pick<AskOptions, "hops">,
  ): Promise<string | undefined> {
    const now = await this.asItIs(bucket)
    // An ordinary bucket, which it has become meanwhile, has the object.
    if (now === undefined) return undefined
    if (now.writes === "Through")
      return this.writes.sendOrDiscard(this.placeOf(now, bucket, key, hops), versionId, conditions)
    // Also if the bucket takes no writes any more: only the sender sends where writes may be pending.
    this.pendingWrites.wake()
    return undefined
  }

  /** The setting after the write, so that no write is taken for pending after the bucket has ceased to have such. */
  private async asItIs(bucket: Bucket): Promise<RemoteSetting | undefined> {
    const { buckets } = this.parts
    await buckets.confirm()
    const opened = await asPromise(() => buckets.open(bucket.name))
    if (opened.id !== bucket.id) throw fail("noSuchBucket", { bucket: bucket.name })
    return asPromise(() => this.settingOf(opened))
  }

  async remove(
    bucket: Bucket,
    key: ObjectKey,
    { ifMatch, ...others }: Conditions,
    { hops }: Pick<AskOptions, "hops">,
  ): Promise<void> {
    const setting = await asPromise(() => this.settingOf(bucket))
    if (setting === undefined) throw fail("conflict", { reason: "the bucket is not remote any more" })
    if (Object.values(others).some(value => value !== undefined))
      throw fail("notImplemented", { message: "Of a deletion in a remote bucket, only If-Match can be a condition." })
    if (setting.writes === "None") throw readOnly()
    if (setting.writes === "Through") return this.writes.remove(this.placeOf(setting, bucket, key, hops), { ifMatch })
    if (ifMatch !== undefined) throw noConditions()
    await this.parts.objects.remove({ bucket, key, conditions: {} })
    const now = await this.asItIs(bucket)
    if (now === undefined || now.writes !== "Through") return this.pendingWrites.wake()
    await this.writes.remove(this.placeOf(now, bucket, key, hops), {})
  }

  async listCached(bucket: Bucket, { prefix, after, max }: ListRequest): Promise<RemoteListPage> {
    const setting = await asPromise(() => this.settingOf(bucket))
    if (setting === undefined) return { entries: [], next: undefined }
    const entries: RemoteListEntry[] = []
    for await (const object of this.cached.entries(this.spaceOf(bucket, setting), prefix, after)) {
      if (entries.length === max) return { entries, next: keyOfRemoteEntry(entries.at(-1)) }
      entries.push({ kind: "object", object, status: "cached" })
    }
    return { entries, next: undefined }
  }

  async prefetch(setting: RemoteSetting, bucket: Bucket, key: ObjectKey, { signal, hops }: AskOptions): Promise<void> {
    await this.reads.prefetch(this.placeOf(setting, bucket, key, hops), signal)
  }

  async evict(bucket: Bucket, key: ObjectKey): Promise<void> {
    const setting = await asPromise(() => this.settingOf(bucket))
    if (setting === undefined) return
    const space = this.spaceOf(bucket, setting)
    const found = await this.cached.read(space, key)
    if (typeof found === "object" && found.entry.kind === "cached") await this.cached.drop(space, key, found)
  }

  stores(): readonly ShownStore[] {
    return [...this.parts.stores.values()].map(({ name, config, health }) => {
      const { endpoint, region, accounts = ["root"] } = config
      const { requests, failures, lastError, lastErrorMs } = health
      return { name, endpoint, region, accounts, requests, failures, lastError, lastErrorMs }
    })
  }

  cache(): ShownCache {
    const { sizeBytes, limitBytes } = this.cached.room
    const { hitBytes, missBytes } = this
    return {
      sizeBytes,
      sizeBytesMax: Math.floor(limitBytes),
      hitBytes,
      missBytes,
      evictedBytes: this.eviction.evictedBytes,
    }
  }

  async buckets() {
    const found: { readonly bucket: Bucket; readonly setting: RemoteSetting }[] = []
    for (const bucket of await this.parts.buckets.withSetting("remote")) {
      const setting = await asPromise(() => this.settingOf(bucket))
      if (setting !== undefined) found.push({ bucket, setting })
    }
    return found
  }

  pending(bucket: Bucket, max: number): Promise<readonly PendingWrite[]> {
    return this.pendingWrites.list(bucket, max)
  }

  async resume({ id }: Bucket): Promise<void> {
    await this.parts.metadata.run(holdPendingWrites(id, false))
    this.pendingWrites.resumed(id)
  }
}

const PENDING =
  "Writes are pending: the remote does not have them yet. Set Writes to None, which takes no further ones, and wait until the remote has them."
const UNDER_WAY =
  "Writes are under way, or were left by a process that was killed: those are removed by themselves. Try again later."

export const readOnly = () =>
  fail("methodNotAllowed", { message: "This remote bucket takes no writes: the Writes of its setting are None." })

export const noConditions = () =>
  fail("notImplemented", { message: "Conditions of writes need a remote bucket whose Writes are Through." })

/** Throws `invalidRequest` for a bucket that cannot become remote. */
function checkPlain({ lock, undeleteDays, settings }: Bucket): void {
  const refuse = (what: string) => fail("invalidRequest", { message: `A bucket with ${what} cannot become remote.` })
  if (lock !== undefined) throw refuse("object lock")
  if (undeleteDays !== undefined) throw refuse("undelete")
  const excluded = settings.find(name => EXCLUDED.includes(name))
  if (excluded !== undefined) throw refuse(`the setting ${excluded}`)
}

const isSamePlace = (before: RemoteSetting, now: RemoteSetting): boolean =>
  before.store === now.store && before.bucket === now.bucket && before.prefix === now.prefix

/** Returns true if a change leaves pending writes as they are. */
const isGentleChange = (before: RemoteSetting, now: RemoteSetting): boolean =>
  isSamePlace(before, now) && (before.writes === now.writes || (before.writes === "Back" && now.writes === "None"))
