/**
 * The cache of remote buckets: for each object an entry, which says what the object is, and blocks with its bytes. Both are objects of
 * the system bucket.
 *
 * Promises  Everything here can be fetched again, so that anything may be evicted at any time. A block belongs to one entry, and is of
 *           the object that the entry describes: another object has another entry, with blocks of its own.
 *           An entry is only replaced if it is still the one that was read before the remote was asked. A write replaces it by
 *           "changing" before it asks the remote, and by "changed" at its end, so that no fetch caches what is outdated.
 * Limits    `sizeBytesMax` in all, as far as this process knows, and less while disks are full; beyond, nothing more is cached until
 *           the eviction has made room.
 */
import { isFailure, type Failure } from "@hayloft/base/failures.js"
import {
  objectKeyOfText,
  parseCacheSpace,
  textOfObjectKey,
  type BucketId,
  type CacheSpace,
  type ObjectKey,
} from "@hayloft/base/ids.js"
import { NEVER } from "@hayloft/base/never.js"
import {
  decodeRemoteEntry,
  encodeRemoteEntry,
  type CachedEntry,
  type RemoteEntry,
} from "@hayloft/engine/format/objects/remote-entry.js"
import {
  gathered,
  type Bucket,
  type ByteRange,
  type ListedObject,
  type NewStored,
  type ObjectBody,
  type StoredObjects,
} from "@hayloft/objects/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { digestOnce } from "@hayloft/base/seams/compute/index.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"
import type { OriginObject, RemoteSetting } from "./contract.js"
import { CacheRoom, EVICTION_LIMITS, type EvictableItem } from "../eviction/index.js"
import { REMOTE_LIMITS } from "./limits.js"

export const REMOTE_PREFIX = "remote/"
const ENTRIES = "e/"
const BLOCKS = "b/"
/** Ids of buckets have the same length, so that no prefix is one of another. */
const ID_DIGITS = 16
const PLACE_DIGITS = 12
const NUMBER_DIGITS = 8
const ID_BYTES = 12

/** An entry, and the ETag of the object that has it: the entry is replaced only if it still has that. */
export interface FoundEntry {
  readonly entry: RemoteEntry
  readonly tag: string
  readonly usedMs: number
  readonly chargedBytes: number
}

/** No other entry is so short. */
const MARK_BYTES = encodeRemoteEntry({ kind: "changing", id: "0".repeat(2 * ID_BYTES) }).length

/** An object of the cache, as the eviction sees it. */
export interface CachedItem extends EvictableItem {
  readonly name: string
  readonly space: string
  /** An entry that says that its object changes, or has changed. */
  readonly isMark: boolean
}

/** A mark that says that an object changes is kept for `changingKeptMs`. */
export const isEvictable = ({ isMark, usedMs }: CachedItem, nowMs: number): boolean =>
  !isMark || nowMs - usedMs > REMOTE_LIMITS.changingKeptMs

interface CacheParts {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** Below `REMOTE_PREFIX`. */
  readonly stored: StoredObjects
  readonly sizeBytesMax: number
  /** If absent, it is `REMOTE_LIMITS.blockBytes`. */
  readonly blockBytes?: number | undefined
}

/** A bucket that becomes another remote's has another space, so that nothing of the former one is found. */
export function spaceOf(of: Pick<Bucket, "id">, setting: RemoteSetting, endpoint: string): CacheSpace {
  const known = SPACES.get(setting)
  if (known !== undefined && known.id === of.id) return known.space
  const space = newSpaceOf(of, setting, endpoint)
  SPACES.set(setting, { id: of.id, space })
  return space
}

/** A setting is one object for all requests until it changes. */
const SPACES = new WeakMap<RemoteSetting, { readonly id: BucketId; readonly space: CacheSpace }>()

function newSpaceOf(
  { id }: Pick<Bucket, "id">,
  { store, bucket, prefix }: RemoteSetting,
  endpoint: string,
): CacheSpace {
  const place = digestOnce("md5", Buffer.from(JSON.stringify([store, endpoint, bucket, prefix])), "hex").slice(
    0,
    PLACE_DIGITS,
  )
  return parseCacheSpace(`${String(id).padStart(ID_DIGITS, "0")}-${place}`)
}

const entryName = (space: CacheSpace, key: ObjectKey): string => `${ENTRIES}${space}/${textOfObjectKey(key)}`
const blocksPrefix = (space: CacheSpace, id: string): string => `${BLOCKS}${space}/${id}/`
const blockName = (space: CacheSpace, id: string, block: number): string =>
  `${blocksPrefix(space, id)}${String(block).padStart(NUMBER_DIGITS, "0")}`

const bytesOfBlock = ({ sizeBytes, blockBytes }: CachedEntry, block: number): number =>
  Math.min(blockBytes, sizeBytes - block * blockBytes)

/** Keys of the system bucket have the same limit as all keys. */
const KEY_BYTES_MAX = 1024 - `${REMOTE_PREFIX}${ENTRIES}`.length - ID_DIGITS - PLACE_DIGITS - 2
const isCachable = (key: ObjectKey): boolean => key.length <= KEY_BYTES_MAX

export class RemoteCache {
  private readonly random: Random
  private touching = 0
  readonly room: CacheRoom

  constructor(private readonly parts: CacheParts) {
    this.random = parts.random.fork("remote cache")
    this.room = new CacheRoom(parts.sizeBytesMax, this.blockBytes)
  }

  get blockBytes(): number {
    return this.parts.blockBytes ?? REMOTE_LIMITS.blockBytes
  }

  /** A new entry of an object of the remote. */
  entryOf({ headers, ...object }: OriginObject, checkedMs: number): CachedEntry {
    const texts = Object.entries(headers).flatMap(([name, value]) =>
      typeof value === "string" ? [[name, value] as const] : [],
    )
    const { blockBytes } = this
    return { ...object, kind: "cached", id: this.newId(), checkedMs, blockBytes, headers: texts }
  }

  private newId(): string {
    return Buffer.from(this.random.bytes(ID_BYTES)).toString("hex")
  }

  /** "uncachable": the key is so long that its object is never cached, or its entry is damaged or lost here. */
  async read(space: CacheSpace, key: ObjectKey): Promise<FoundEntry | "none" | "uncachable"> {
    if (!isCachable(key)) return "uncachable"
    try {
      return await this.readEntry(space, key)
    } catch (error) {
      if (!isFailure(error) || error.remedy !== "repair") throw error
      this.parts.log.debug("remote_entry_not_read", { reason: error.message })
      return "uncachable"
    }
  }

  private async readEntry(space: CacheSpace, key: ObjectKey): Promise<FoundEntry | "none"> {
    const body = await this.parts.stored.open(entryName(space, key))
    if (body === undefined) return "none"
    const { etag: tag, lastModifiedMs: usedMs, sizeBytes } = body.info
    const found = { tag, usedMs, chargedBytes: this.room.chargeOf(sizeBytes) }
    const { whole } = body
    if (whole === undefined) return { ...found, entry: decodeRemoteEntry(await gathered(body, NEVER)) }
    const entry = decodeRemoteEntry(whole)
    body.close()
    return { ...found, entry }
  }

  /**
   * Replaces the entry that had this tag (undefined: there was none). Returns the tag of the new one, or undefined if another one is
   * there by now, or nothing more can be cached.
   */
  async replace(
    space: CacheSpace,
    key: ObjectKey,
    entry: CachedEntry,
    was: string | undefined,
  ): Promise<string | undefined> {
    if (!this.room.claim(0)) return undefined
    const conditions = was === undefined ? { ifNoneMatch: ["*"] } : { ifMatch: [was] }
    try {
      const bytes = encodeRemoteEntry(entry)
      const tag = await this.parts.stored.put(entryName(space, key), { bytes, userMetadata: [], conditions })
      if (was === undefined) this.room.sizeBytes += this.room.chargeOf(bytes.length)
      return tag
    } catch (error) {
      // A full store still answers.
      if (!isFailure(error)) throw error
      if (error.kind !== "preconditionFailed" && error.kind !== "noSuchKey")
        this.parts.log.debug("remote_entry_not_cached", { reason: error.message })
      return undefined
    }
  }

  /** Notes that the object changes now, or has changed. Returns the tag of the entry; undefined: the object is never cached. */
  async mark(space: CacheSpace, key: ObjectKey, kind: "changing" | "changed"): Promise<string | undefined> {
    if (!isCachable(key)) return undefined
    const before = await this.read(space, key)
    const tag = await this.putMark(space, key, kind, {})
    if (typeof before === "object" && before.entry.kind === "cached") await this.dropBlocks(space, before.entry)
    else if (before === "none") this.room.sizeBytes += EVICTION_LIMITS.chargedBytesMin
    return tag
  }

  private putMark(
    space: CacheSpace,
    key: ObjectKey,
    kind: "changing" | "changed",
    conditions: NewStored["conditions"] & object,
  ): Promise<string> {
    const bytes = encodeRemoteEntry({ kind, id: this.newId() })
    // A mark comes before what is pending, or cached, is removed here.
    const mark = { bytes, userMetadata: [], conditions, makesSpace: true } as const
    return this.parts.stored.put(entryName(space, key), mark)
  }

  /**
   * Drops what is cached, if the entry still has this tag. "Changed" takes its place: without an entry, a fetch that began before a
   * write, and found none either, would cache what was there before the write.
   */
  async drop(space: CacheSpace, key: ObjectKey, { entry, tag, chargedBytes }: FoundEntry): Promise<void> {
    try {
      await this.putMark(space, key, "changed", { ifMatch: [tag] })
    } catch (error) {
      if (!isFailure(error, "preconditionFailed", "noSuchKey")) throw error
      return
    }
    this.room.sizeBytes += EVICTION_LIMITS.chargedBytesMin - chargedBytes
    if (entry.kind === "cached") await this.dropBlocks(space, entry)
  }

  /** For readers, which know that the entry is outdated: they go on if it cannot be dropped now. */
  async dropOutdated(space: CacheSpace, key: ObjectKey, found: FoundEntry): Promise<void> {
    try {
      await this.drop(space, key, found)
    } catch (error) {
      if (!isFailure(error)) throw error
      this.parts.log.debug("remote_entry_not_dropped", { reason: error.message })
    }
  }

  /** Nothing reads them any more: those that cannot be removed now are left to the eviction. */
  async dropBlocks(space: CacheSpace, { id }: CachedEntry): Promise<void> {
    try {
      for await (const { name, sizeBytes } of this.parts.stored.list(blocksPrefix(space, id)))
        await this.removeNamed(name, sizeBytes)
    } catch (error) {
      if (!isFailure(error)) throw error
      this.parts.log.debug("remote_blocks_not_dropped", { reason: error.message })
    }
  }

  private async removeNamed(name: string, sizeBytes: number): Promise<void> {
    await this.parts.stored.remove(name)
    this.room.sizeBytes -= this.room.chargeOf(sizeBytes)
  }

  /** A range of a cached block; undefined: it is not cached, or cannot be read now. The caller reads or closes it. */
  async openBlock(
    space: CacheSpace,
    entry: CachedEntry,
    block: number,
    { first, lengthBytes }: ByteRange,
  ): Promise<ObjectBody | undefined> {
    const name = blockName(space, entry.id, block)
    const range = { kind: "fromTo", first, last: first + lengthBytes - 1 } as const
    try {
      const body = await this.parts.stored.open(name, { range })
      if (body !== undefined) this.noteUse(name, body.info.lastModifiedMs)
      return body
    } catch (error) {
      if (!isFailure(error)) throw error
      await this.noteUnread(space, entry, block, error)
      return undefined
    }
  }

  /** A block could not be read. One that is damaged or lost here is removed, so that it is fetched again. */
  async noteUnread(space: CacheSpace, entry: CachedEntry, block: number, { remedy, message }: Failure): Promise<void> {
    const name = blockName(space, entry.id, block)
    this.parts.log.debug("remote_block_not_read", { name, reason: message })
    if (remedy !== "repair") return
    try {
      await this.removeNamed(name, bytesOfBlock(entry, block))
    } catch (error) {
      if (!isFailure(error)) throw error
    }
  }

  /** Returns true if anything of the object is cached. */
  async hasEntry(space: CacheSpace, key: ObjectKey): Promise<boolean> {
    const found = await this.read(space, key)
    return typeof found === "object" && found.entry.kind === "cached"
  }

  async hasBlock(space: CacheSpace, { id }: CachedEntry, block: number): Promise<boolean> {
    const body = await this.parts.stored.open(blockName(space, id, block), { headersOnly: true })
    body?.close()
    return body !== undefined
  }

  /** Caches a block if there is room. Returns whether it is cached. */
  async putBlock(space: CacheSpace, { id }: CachedEntry, block: number, bytes: Uint8Array): Promise<boolean> {
    if (!this.room.claim(bytes.length)) return false
    try {
      await this.parts.stored.put(blockName(space, id, block), { bytes, userMetadata: [] })
      this.room.sizeBytes += this.room.chargeOf(bytes.length)
      return true
    } catch (error) {
      if (!isFailure(error)) throw error
      this.parts.log.debug("remote_block_not_cached", { reason: error.message })
      return false
    }
  }

  /** Objects of which something is cached, whose keys begin with the prefix, behind a key, in the order of their keys. */
  async *entries(space: CacheSpace, prefix: string, after: string): AsyncGenerator<ListedObject> {
    const begin = `${ENTRIES}${space}/`
    const from = after === "" ? undefined : `${begin}${textOfObjectKey(after)}`
    for await (const { name } of this.parts.stored.list(`${begin}${textOfObjectKey(prefix)}`, from)) {
      const key = objectKeyOfText(name.slice(begin.length))
      const found = await this.read(space, key)
      if (typeof found !== "object" || found.entry.kind !== "cached") continue
      const { sizeBytes, etag, lastModifiedMs } = found.entry
      const described = { key, sizeBytes, etag, lastModifiedMs, storageClass: "STANDARD" } as const
      yield { ...described, checksumAlgorithm: undefined, checksumType: undefined }
    }
  }

  /** Everything that is cached. */
  async *items(): AsyncGenerator<CachedItem> {
    for await (const { name, sizeBytes, lastModifiedMs } of this.parts.stored.list()) {
      const [kind = "", space = ""] = name.split("/", 2)
      const item = {
        name,
        chargedBytes: this.room.chargeOf(sizeBytes),
        usedMs: lastModifiedMs,
        isMark: `${kind}/` === ENTRIES && sizeBytes === MARK_BYTES,
      }
      yield { ...item, space }
    }
  }

  async removeItem({ name, chargedBytes }: CachedItem): Promise<void> {
    await this.parts.stored.remove(name)
    this.room.sizeBytes -= chargedBytes
  }

  /** A reader has used the entry. */
  noteRead(space: CacheSpace, key: ObjectKey, { usedMs }: Pick<FoundEntry, "usedMs">): void {
    this.noteUse(entryName(space, key), usedMs)
  }

  /** Times of use are in the metadata, since the eviction of every node has to know them; so they are noted rarely. */
  private noteUse(name: string, usedMs: number): void {
    const { clock, stored } = this.parts
    const { touchEveryMs, touchesMax } = REMOTE_LIMITS
    if (clock.wallMs() - usedMs < touchEveryMs || this.touching >= touchesMax) return
    this.touching += 1
    stored
      .touch(name)
      .catch(() => undefined)
      .finally(() => (this.touching -= 1))
  }
}
