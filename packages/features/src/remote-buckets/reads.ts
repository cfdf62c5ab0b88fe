/**
 * Reads of remote buckets: which object there is, from the cache or from the remote, and its bytes.
 *
 * Promises  A cached object is read without a request to the remote, unless the bucket's rule, or the reader, wants it compared first.
 *           What differs in ETag, size or time of modification is another object, and is fetched.
 *           All bytes of a response are of one object: if the remote replaces it meanwhile, the read starts over, or breaks off once
 *           bytes have been sent.
 */
import { fail, isFailure } from "@hayloft/base/failures.js"
import { shownMetadata } from "@hayloft/base/http/header-text.js"
import { parseVersionId, type CacheSpace, type ObjectKey } from "@hayloft/base/ids.js"
import type { CachedEntry } from "@hayloft/engine/format/objects/remote-entry.js"
import { headersOf, openListed, type Bucket, type ObjectBody, type ObjectInfo } from "@hayloft/objects/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { isSameObject, unlessCrowded, type ReadObject, type RemoteBlocks } from "./blocks.js"
import type { FoundEntry, RemoteCache } from "./cache.js"
import type { Origin, OriginObject, ReadOutcome, RemoteBuckets, RemoteRead, RemoteSetting } from "./contract.js"
import { REMOTE_LIMITS } from "./limits.js"
import { SharedFetches } from "./shared-fetches.js"

type OpenRequest = Parameters<RemoteBuckets["open"]>[1]

interface ReadsParts {
  readonly clock: Clock
  readonly cache: RemoteCache
  readonly blocks: RemoteBlocks
  readonly originOf: (place: RemoteObjectRef) => Origin
}

/** An object of a remote bucket. */
export interface RemoteObjectRef {
  readonly setting: RemoteSetting
  readonly bucket: Bucket
  readonly key: ObjectKey
  readonly space: CacheSpace
  /** The header for the remote, as `hopsThrough` makes it. */
  readonly hops: string
}

interface Options {
  readonly revalidates: boolean
  readonly signal: AbortSignal
}

/** The facts known of an object after the remote was asked, if it had to be. */
interface Resolved {
  readonly entry: CachedEntry
  readonly isCached: boolean
  /** Its first block was fetched. */
  readonly isFetched: boolean
  readonly outcome: ReadOutcome
}

/** How the first block of an object is fetched: once for all that wait for it. */
type Fetches = SharedFetches<Resolved>

const NULL_VERSION = parseVersionId("null")

export class RemoteReads {
  private readonly fetches: Fetches = new SharedFetches()

  constructor(private readonly parts: ReadsParts) {}

  async open(place: RemoteObjectRef, request: OpenRequest, options: Options): Promise<RemoteRead> {
    for (let tries = 1; ; tries += 1) {
      try {
        // An outdated entry is still there if it could not be dropped.
        const revalidates = options.revalidates || tries > 1
        return await this.openOnce(place, request, { ...options, revalidates })
      } catch (error) {
        if (!isFailure(error) || error.details["replaced"] !== true || tries > REMOTE_LIMITS.readRetriesMax) throw error
      }
    }
  }

  /** Brings the object into the cache, whole. */
  async prefetch(place: RemoteObjectRef, signal: AbortSignal): Promise<void> {
    const resolved = await this.resolve(place, { revalidates: false, signal }, undefined)
    const { entry, isCached } = resolved
    if (entry.sizeBytes > this.parts.cache.room.sizeBytesMax)
      throw fail("invalidRequest", { message: "The object is larger than the cache of remote buckets." })
    const of = this.readObject(place, resolved, signal)
    for (let block = 0; block * entry.blockBytes < entry.sizeBytes; block += 1) {
      signal.throwIfAborted()
      if (!isCached || !(await this.parts.blocks.fetch(of, block)))
        throw fail("deviceFull", { message: "The cache of remote buckets has no room for the object." })
    }
  }

  private async openOnce(place: RemoteObjectRef, request: OpenRequest, options: Options): Promise<RemoteRead> {
    const resolved = await this.resolve(place, options, startOf(request))
    const { entry } = resolved
    const info = infoOf(entry)
    const of = this.readObject(place, resolved, options.signal)
    let isHit = true
    const openSegment = async (_: unknown, range: { first: number; lengthBytes: number }): Promise<ObjectBody> => {
      const body = await this.parts.blocks.open(of, info, range)
      isHit = body.isHit
      return body
    }
    const body = await openListed({ info, segments: segmentsOf(entry), openSegment }, request)
    const isFetched = !isHit && resolved.outcome === "hit"
    return { body, outcome: isFetched ? "miss" : resolved.outcome }
  }

  private readObject(
    place: RemoteObjectRef,
    { entry, isCached, isFetched }: Pick<Resolved, "entry" | "isCached" | "isFetched">,
    signal: AbortSignal,
  ): ReadObject {
    const { setting, space, key, hops } = place
    const origin = this.parts.originOf(place)
    const replaced = (cause: unknown): Promise<Error> => this.replaced(place, entry, cause)
    return {
      store: setting.store,
      hops,
      signal,
      space,
      key,
      origin,
      entry,
      isCached,
      isFetched,
      opaqueEtags: setting.opaqueEtags,
      replaced,
    }
  }

  /** Drops the cached object, as it is outdated; the read starts over. */
  private async replaced({ space, key }: RemoteObjectRef, { id }: CachedEntry, cause: unknown): Promise<Error> {
    const found = await this.parts.cache.read(space, key)
    if (typeof found === "object" && found.entry.id === id) await this.parts.cache.dropOutdated(space, key, found)
    const reason = "the remote replaced the object while it was read"
    return fail("conflict", { replaced: true, reason }, cause)
  }

  /** `first`: where the read begins; undefined: only headers are read. */
  private async resolve(place: RemoteObjectRef, options: Options, first: number | undefined): Promise<Resolved> {
    const { space, key, setting } = place
    const found = await this.parts.cache.read(space, key)
    if (typeof found === "object" && found.entry.kind === "cached") {
      const entry = found.entry
      this.parts.cache.noteRead(space, key, found)
      if (!options.revalidates && this.isFresh(setting, entry))
        return { entry, isCached: true, isFetched: false, outcome: "hit" }
      return this.compare(place, { ...found, entry }, options)
    }
    const was = typeof found === "object" ? found.tag : undefined
    const mayCache = found !== "uncachable" && !this.isChanging(found) && this.parts.cache.room.claim(0)
    const fetchesFirst = first !== undefined && first < this.parts.cache.blockBytes && mayCache
    const fetched = fetchesFirst ? await unlessCrowded(this.fetchFirst(place, was, options.signal)) : undefined
    if (fetched !== undefined) return fetched
    const object = await this.parts.originOf(place).head(key, options.signal)
    return this.newEntry(place, object, mayCache && !fetchesFirst ? { was } : undefined)
  }

  /** Returns true if a write may be under way. */
  private isChanging(found: FoundEntry | "none"): boolean {
    if (found === "none" || found.entry.kind !== "changing") return false
    return this.parts.clock.wallMs() - found.usedMs < REMOTE_LIMITS.changingKeptMs
  }

  /**
   * The tag of the entry before is part of the name: a read that began after a write joins no fetch from before it. So are the hops:
   * in a loop of remote buckets, a fetch would otherwise wait for the one that it is a part of.
   */
  private fetchFirst(place: RemoteObjectRef, was: string | undefined, signal: AbortSignal): Promise<Resolved> {
    const name = `${place.space}/${was ?? ""}/${place.hops}/${place.key}`
    return this.fetches.join(name, signal, left => this.fetchFirstNow(place, was, left))
  }

  private isFresh({ freshness }: RemoteSetting, { checkedMs }: CachedEntry): boolean {
    if (freshness.check === "Never") return true
    if (freshness.check === "Always") return false
    // A comparison in the future is one of a wall clock that was ahead. Those of nodes may differ a little.
    const ageMs = this.parts.clock.wallMs() - checkedMs
    const maxAgeMs = freshness.maxAgeSeconds * 1000
    return ageMs < maxAgeMs && ageMs > -maxAgeMs
  }

  /** Compares a cached object with the remote's. */
  private async compare(
    place: RemoteObjectRef,
    found: FoundEntry & { readonly entry: CachedEntry },
    { signal }: Options,
  ): Promise<Resolved> {
    const { space, key, setting } = place
    const { entry, tag } = found
    try {
      const object = await this.parts.originOf(place).head(key, signal)
      if (!isSameObject(entry, object)) {
        const fresh = await this.newEntry(place, object, { was: tag })
        if (fresh.isCached) await this.parts.cache.dropBlocks(space, entry)
        else await this.parts.cache.dropOutdated(space, key, found)
        return fresh
      }
    } catch (error) {
      if (isFailure(error, "noSuchKey")) await this.parts.cache.dropOutdated(space, key, found)
      if (setting.serveStale && isFailure(error, "remoteUnavailable"))
        return { entry, isCached: true, isFetched: false, outcome: "stale" }
      throw error
    }
    if (setting.freshness.check === "Age") {
      const checked = { ...entry, checkedMs: this.parts.clock.wallMs() }
      await this.parts.cache.replace(space, key, checked, tag)
    }
    return { entry, isCached: true, isFetched: false, outcome: "revalidated" }
  }

  /** The first block says what the object is, so that a small object takes one request. */
  private fetchFirstNow(place: RemoteObjectRef, was: string | undefined, left: AbortSignal): Promise<Resolved> {
    const { space, key, setting } = place
    const { blocks, cache, originOf } = this.parts
    const { blockBytes } = cache
    const origin = originOf(place)
    return blocks.withSlot(setting.store, left, async signal => {
      try {
        const { object, body } = await origin.get(key, { range: { first: 0, lengthBytes: blockBytes } }, signal)
        const resolved = await this.newEntry(place, object, { was })
        const { entry, isCached } = resolved
        const lengthBytes = Math.min(blockBytes, object.sizeBytes)
        const bytes = await blocks.gathered({ entry, opaqueEtags: setting.opaqueEtags }, body, lengthBytes)
        if (isCached) await cache.putBlock(space, entry, 0, bytes)
        return { ...resolved, isFetched: true }
      } catch (error) {
        // An empty object has no range.
        if (!isFailure(error, "invalidRange")) throw error
        return this.newEntry(place, await origin.head(key, signal), { was })
      }
    })
  }

  /** `cached`: the tag of the entry that was there before; undefined: the object is not cached. */
  private async newEntry(
    { space, key }: RemoteObjectRef,
    object: OriginObject,
    cached: { readonly was: string | undefined } | undefined,
  ): Promise<Resolved> {
    const { cache, clock } = this.parts
    const entry = cache.entryOf(object, clock.wallMs())
    const tag = cached && (await cache.replace(space, key, entry, cached.was))
    return { entry, isCached: tag !== undefined, isFetched: false, outcome: "miss" }
  }
}

function infoOf({ sizeBytes, etag, lastModifiedMs, headers, userMetadata }: CachedEntry): ObjectInfo {
  return {
    versionId: NULL_VERSION,
    sizeBytes,
    etag,
    lastModifiedMs,
    tags: [],
    headers: headersOf({ headers }),
    userMetadata: shownMetadata(userMetadata),
    acl: undefined,
    lock: undefined,
    storageClass: "STANDARD",
    checksum: undefined,
    partsCount: undefined,
  }
}

/** The object as one segment, which a reader opens with a range. */
const segmentsOf = ({ sizeBytes, etag, lastModifiedMs }: CachedEntry) =>
  sizeBytes === 0
    ? []
    : [
        {
          kind: "object" as const,
          container: "",
          key: "",
          etag,
          sizeBytes,
          contentType: "",
          lastModifiedMs,
          isLarge: false,
          span: undefined,
        },
      ]

/** Returns where a read begins, if it reads bytes. */
function startOf({ range, headersOnly }: OpenRequest): number | undefined {
  if (headersOnly === true) return undefined
  if (range === undefined || range.kind === "part") return 0
  return range.kind === "fromTo" ? range.first : Infinity
}
