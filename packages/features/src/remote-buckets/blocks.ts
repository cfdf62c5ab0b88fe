/**
 * Blocks of cached objects: where a reader gets the bytes of a range. Blocks that are missing are fetched whole, once for all that
 * wait for them, and cached before they are sent; where nothing can be cached, the bytes stream from the remote.
 *
 * Promises  Bytes that are cached are of the object with the ETag of the entry, and as many as asked for. An object of one block whose
 *           ETag is the MD5 of its bytes is compared with it.
 *           A fetch ends with the last reader that waits for it. Bytes that the cache cannot return are read from the remote.
 * Limits    `fetchesMax` blocks are in memory at a time, whatever clients do: they are sent from the cache, not from there. Each remote
 *           has `fetchesOfRemoteMax` of these places.
 */
import { fail, isFailure, unlessFails, type Failure } from "@hayloft/base/failures.js"
import type { CacheSpace, ObjectKey } from "@hayloft/base/ids.js"
import type { LentBytes, PieceOwner } from "@hayloft/base/memory/pieces.js"
import type { CachedEntry } from "@hayloft/engine/format/objects/remote-entry.js"
import type { ByteRange, ObjectBody, ObjectInfo } from "@hayloft/objects/index.js"
import { FirstAbort } from "@hayloft/base/life/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { digestOnce } from "@hayloft/base/seams/compute/index.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"
import type { RemoteCache } from "./cache.js"
import type { Origin, OriginObject } from "./contract.js"
import { REMOTE_LIMITS } from "./limits.js"
import { RemoteSlots } from "./remote-slots.js"
import { SharedFetches } from "./shared-fetches.js"

/** An object that is read: its entry, and where its bytes are. */
export interface ReadObject {
  /** Name of the remote store. */
  readonly store: string
  /** The header that the origin is sent. */
  readonly hops: string
  /** Fires when the reader has left. */
  readonly signal: AbortSignal
  readonly space: CacheSpace
  readonly key: ObjectKey
  readonly origin: Origin
  readonly entry: CachedEntry
  /** The entry is in the cache, so that its blocks may be. */
  readonly isCached: boolean
  readonly opaqueEtags: boolean
  /** The first block was fetched for this read. */
  readonly isFetched: boolean
  /** The remote has another object by now: drops what is cached, and returns the failure to throw. */
  readonly replaced: (cause: unknown) => Promise<Error>
}

interface BlocksParts {
  readonly clock: Clock
  readonly log: Log
  readonly cache: RemoteCache
  /** Fires when the store stops. */
  readonly signal: AbortSignal
  /** Called with the bytes that readers get. */
  readonly onRead: (bytes: number, isHit: boolean) => void
}

const rangeOfBlock = ({ sizeBytes, blockBytes }: CachedEntry, block: number): ByteRange => ({
  first: block * blockBytes,
  lengthBytes: Math.min(blockBytes, sizeBytes - block * blockBytes),
})

/** With the hops, as the fetches of `RemoteReads`. */
const nameOfCachedBlock = ({ entry, hops }: ReadObject, block: number): string => `${entry.id}/${block}/${hops}`

export class RemoteBlocks {
  private readonly slots: RemoteSlots
  private readonly streams: RemoteSlots
  private readonly fetches = new SharedFetches<boolean>()

  constructor(private readonly parts: BlocksParts) {
    const { fetchesMax, fetchesOfRemoteMax, streamsMax, streamsOfRemoteMax } = REMOTE_LIMITS
    this.slots = new RemoteSlots(parts.clock, fetchesMax, fetchesOfRemoteMax)
    this.streams = new RemoteSlots(parts.clock, streamsMax, streamsOfRemoteMax)
  }

  /** A range of the object, whose first bytes are there. Throws as `Origin.get`. */
  async open(of: ReadObject, info: ObjectInfo, range: ByteRange): Promise<ObjectBody & { readonly isHit: boolean }> {
    const body = new RemoteBody(this, of, info, range)
    await body.openFirst()
    return body
  }

  /** A part of a block from the cache; undefined: it cannot be cached, so that it has to be read from the remote. */
  async openBlock(
    of: ReadObject,
    block: number,
    part: ByteRange,
  ): Promise<{ body: ObjectBody; isHit: boolean } | undefined> {
    if (!of.isCached) return undefined
    const { cache } = this.parts
    const cached = await cache.openBlock(of.space, of.entry, block, part)
    if (cached !== undefined) return { body: cached, isHit: true }
    if ((await unlessCrowded(this.fetch(of, block))) !== true) return undefined
    const body = await cache.openBlock(of.space, of.entry, block, part)
    return body && { body, isHit: false }
  }

  /** Brings a block into the cache. Returns whether it is there. Throws as `Origin.get`, `tooManyInFlight`. */
  fetch(of: ReadObject, block: number): Promise<boolean> {
    return this.fetches.join(nameOfCachedBlock(of, block), of.signal, signal => this.fetchNow(of, block, signal))
  }

  /** Fetches blocks that will be read next; failures show when they are read. Returns the last one that is fetched. */
  fetchAhead(of: ReadObject, block: number, last: number): number {
    const ahead = Math.min(last, block + REMOTE_LIMITS.blocksAhead)
    for (let next = block + 1; next <= ahead; next += 1) {
      const isFetched = this.fetches.has(nameOfCachedBlock(of, next))
      if (!isFetched && this.slots.isFull(of.store)) return next - 1
      if (!isFetched) this.fetch(of, next).catch(() => undefined)
    }
    return ahead
  }

  /** Returns true if one more block would have to wait. */
  isBusy(store: string): boolean {
    return this.slots.isFull(store)
  }

  /** For work that has the bytes of a block in memory. The signal ends it if it takes too long. Throws `tooManyInFlight`. */
  async withSlot<Result>(
    store: string,
    signal: AbortSignal,
    work: (signal: AbortSignal) => Promise<Result>,
  ): Promise<Result> {
    const giveBack = await this.slots.take(store, signal)
    const ended = new FirstAbort([signal, this.parts.signal])
    const { fetchMsMax } = REMOTE_LIMITS
    const message = `The remote has not sent a block within ${fetchMsMax / 60_000} minutes.`
    const cancel = this.parts.clock.alarm(fetchMsMax, () => ended.abort(fail("remoteUnavailable", { message })))
    try {
      return await work(ended.signal)
    } finally {
      cancel()
      // A response that was not read to its end is given up.
      ended.abort()
      giveBack()
    }
  }

  private fetchNow(of: ReadObject, block: number, left: AbortSignal): Promise<boolean> {
    const { space, entry } = of
    return this.withSlot(of.store, left, async signal => {
      if (await this.parts.cache.hasBlock(space, entry, block)) return true
      const range = rangeOfBlock(entry, block)
      const bytes = await this.gathered(of, await bytesOfRange(of, range, signal), range.lengthBytes)
      return this.parts.cache.putBlock(space, entry, block, bytes)
    })
  }

  /** All bytes of a block, and no more. Throws `remoteRefused` if they cannot be those of the object. */
  async gathered(
    { entry, opaqueEtags }: Pick<ReadObject, "entry" | "opaqueEtags">,
    body: AsyncIterable<Uint8Array>,
    lengthBytes: number,
  ): Promise<Uint8Array> {
    const bytes = Buffer.allocUnsafe(lengthBytes)
    let found = 0
    for await (const piece of body) {
      if (found + piece.length > lengthBytes) throw fail("remoteRefused", { message: LONGER })
      bytes.set(piece, found)
      found += piece.length
    }
    if (found < lengthBytes) throw fail("remoteUnavailable", { message: SHORTER })
    if (entry.etagIsMd5 && !opaqueEtags && lengthBytes === entry.sizeBytes) checkMd5(bytes, entry.etag)
    return bytes
  }

  /** Streams the rest of a range from the remote store, past the cache. Always call `stop`, also after an unfinished read. */
  async stream(of: ReadObject, range: ByteRange): Promise<BytesOfRemote> {
    const giveBack = await this.streams.take(of.store, of.signal)
    const stopped = new FirstAbort([of.signal, this.parts.signal])
    const stop = (): void => {
      stopped.abort()
      giveBack()
    }
    try {
      const body = await bytesOfRange(of, range, stopped.signal)
      return { bytes: this.checked(body, range.lengthBytes), stop }
    } catch (error) {
      stop()
      throw error
    }
  }

  private async *checked(body: AsyncIterable<Uint8Array>, lengthBytes: number): AsyncGenerator<Uint8Array> {
    let found = 0
    for await (const piece of body) {
      found += piece.length
      if (found > lengthBytes) throw fail("remoteRefused", { message: LONGER })
      this.parts.onRead(piece.length, false)
      yield piece
    }
    if (found < lengthBytes) throw fail("remoteUnavailable", { message: SHORTER })
  }

  noteUnread({ space, entry }: ReadObject, block: number, failure: Failure): Promise<void> {
    return this.parts.cache.noteUnread(space, entry, block, failure)
  }

  noteRead(bytes: number, isHit: boolean): void {
    this.parts.onRead(bytes, isHit)
  }
}

/** The result of a fetch; undefined if it got no place in time: what it was for is streamed instead, as without a cache. */
export const unlessCrowded = <Result>(fetch: Promise<Result>): Promise<Result | undefined> =>
  unlessFails(fetch, "tooManyInFlight")

interface BytesOfRemote {
  readonly bytes: AsyncIterable<Uint8Array>
  readonly stop: () => void
}

/** Bytes of the object that is meant: another one fails with `preconditionFailed`, also if the remote has no ETags. */
async function bytesOfRange(
  { origin, key, entry }: ReadObject,
  range: ByteRange,
  signal: AbortSignal,
): Promise<AsyncIterable<Uint8Array>> {
  const { object, body } = await origin.get(key, { range, etag: entry.etag }, signal)
  if (isSameObject(entry, object)) return body
  throw fail("preconditionFailed", { condition: "If-Match" })
}

/** Returns true if an object of the remote is the one that an entry describes. */
export const isSameObject = (entry: CachedEntry, { etag, sizeBytes, lastModifiedMs }: OriginObject): boolean =>
  entry.etag === etag && entry.sizeBytes === sizeBytes && entry.lastModifiedMs === lastModifiedMs

const SHORTER = "The remote sent fewer bytes than it announced."
const LONGER = "The remote sends more bytes than were asked for."

function checkMd5(bytes: Uint8Array, etag: string): void {
  const md5 = digestOnce("md5", bytes, "hex")
  if (md5 === etag) return
  const message =
    "The remote's ETag is not the MD5 of the bytes that it sent. If its ETags are something else, set OpaqueETags in the bucket's setting."
  throw fail("remoteRefused", { message, etag, md5 })
}

class RemoteBody implements ObjectBody {
  readonly partChecksum = undefined
  isHit = false
  private fetchedUpTo: number
  /** The body of the block that is read next. */
  private block: ObjectBody | undefined
  /** The bytes of all that is left, if it cannot be cached. */
  private streamed: BytesOfRemote | undefined

  constructor(
    private readonly blocks: RemoteBlocks,
    private readonly of: ReadObject,
    readonly info: ObjectInfo,
    readonly range: ByteRange,
  ) {
    this.fetchedUpTo = of.isFetched ? 0 : -1
  }

  private get lastBlock(): number {
    const { first, lengthBytes } = this.range
    return Math.floor((first + lengthBytes - 1) / this.of.entry.blockBytes)
  }

  /** The part of a block that the range needs; `first` counts from the beginning of the block. */
  private partOf(block: number): ByteRange {
    const { blockBytes } = this.of.entry
    const begin = Math.max(this.range.first, block * blockBytes)
    const end = Math.min(this.range.first + this.range.lengthBytes, (block + 1) * blockBytes)
    return { first: begin - block * blockBytes, lengthBytes: end - begin }
  }

  openFirst(): Promise<void> {
    return this.openAt(this.range.first)
  }

  private openAt(at: number): Promise<void> {
    return this.orReplaced(this.openBlockAt(at))
  }

  private async openBlockAt(at: number): Promise<void> {
    const block = Math.floor(at / this.of.entry.blockBytes)
    const opened = await this.blocks.openBlock(this.of, block, this.partOf(block))
    this.block = opened?.body
    this.isHit = opened?.isHit === true && block > this.fetchedUpTo
    if (opened === undefined) await this.streamFrom(at)
  }

  /** The rest of the range, from the remote. */
  private async streamFrom(at: number): Promise<void> {
    const lengthBytes = this.range.first + this.range.lengthBytes - at
    this.streamed = await this.blocks.stream(this.of, { first: at, lengthBytes })
  }

  private async orReplaced(opening: Promise<void>): Promise<void> {
    try {
      await opening
    } catch (error) {
      throw isFailure(error, "preconditionFailed", "noSuchKey") ? await this.of.replaced(error) : error
    }
  }

  private get isWithinBlock(): boolean {
    return this.lastBlock === Math.floor(this.range.first / this.of.entry.blockBytes)
  }

  get whole(): Uint8Array | undefined {
    return this.isWithinBlock ? this.block?.whole : undefined
  }

  lend(): LentBytes | undefined {
    const lent = this.isWithinBlock ? this.block?.lend() : undefined
    if (lent !== undefined) this.blocks.noteRead(this.range.lengthBytes, this.isHit)
    return lent
  }

  async *read(signal: AbortSignal, pieces?: PieceOwner): AsyncGenerator<Uint8Array> {
    const { blockBytes } = this.of.entry
    const end = this.range.first + this.range.lengthBytes
    try {
      for (let at = this.range.first; at < end;) {
        const block = Math.floor(at / blockBytes)
        if (this.block === undefined && this.streamed === undefined) await this.openAt(at)
        if (this.block === undefined) {
          if (this.streamed !== undefined) yield* this.streamed.bytes
          return
        }
        // A block that was not cached shows that the next ones are not either.
        if (!this.isHit) this.fetchedUpTo = this.blocks.fetchAhead(this.of, block, this.lastBlock)
        const sent = yield* this.readBlock(this.block, block, signal, pieces)
        this.blocks.noteRead(sent, this.isHit)
        this.close()
        if (sent < this.partOf(block).lengthBytes) await this.orReplaced(this.streamFrom(at + sent))
        else at = Math.min(end, (block + 1) * blockBytes)
      }
    } finally {
      this.close()
    }
  }

  /** Returns the bytes that were sent: fewer than there are if the block cannot be read any further. */
  private async *readBlock(
    body: ObjectBody,
    block: number,
    signal: AbortSignal,
    pieces: PieceOwner | undefined,
  ): AsyncGenerator<Uint8Array, number> {
    let sent = 0
    try {
      for await (const piece of body.read(signal, pieces)) {
        sent += piece.length
        yield piece
      }
    } catch (error) {
      if (!isFailure(error) || signal.aborted) throw error
      await this.blocks.noteUnread(this.of, block, error)
    }
    return sent
  }

  close(): void {
    this.block?.close()
    this.block = undefined
    this.streamed?.stop()
    this.streamed = undefined
  }
}
