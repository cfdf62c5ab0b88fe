/**
 * Block reader: verified bytes of a range, piece by piece, some pieces ahead of the client.
 *
 * Promises  Bytes that fail their checksum are never returned. If a shard is missing, damaged or out of reach, its
 *           piece is rebuilt from k others, and the caller does not notice. If a shard is slow, its piece is rebuilt
 *           in parallel, and the first result counts. If copies of hot pieces are kept, they come first.
 * Limits    BLOCK_LIMITS: read-ahead, and concurrent rebuilds of slow shards.
 */
import { assert, must } from "@hayloft/base/assert.js"
import { copyPlainly } from "@hayloft/base/bytes.js"
import { fail, isFailure, type Failure } from "@hayloft/base/failures.js"
import { partOf, roundUp } from "@hayloft/base/text/round.js"
import type { DeviceId } from "@hayloft/base/ids.js"
import { SUB_BLOCK_BYTES, SYNC_READ_BYTES_MAX } from "@hayloft/base/limits.js"
import { shardCount, shardsNeeded, tolerance } from "@hayloft/base/policy.js"
import type { Extent } from "../format/needles/extent.js"
import type { ReadBytes } from "@hayloft/base/memory/pieces.js"
import { traced, type Span } from "@hayloft/base/trace.js"
import { after, allSoon, type Soon } from "@hayloft/base/soon.js"
import { leaveIfSlow, waitIfSlow } from "../volume/contract.js"
import { partitionOf } from "../format/needles/partition.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Compute } from "@hayloft/base/seams/compute/contract.js"
import type { Counter } from "@hayloft/base/seams/telemetry/contract.js"
import type { Allocate, NeedleId } from "../volume/contract.js"
import type { BlockBackend } from "./backend.js"
import { ByteBudget } from "@hayloft/base/life/index.js"
import { NEVER } from "@hayloft/base/never.js"
import type { Devices, LentBytes, PieceOwner, ShardCopy } from "./contract.js"
import { firstAnswers } from "./first-answers.js"
import { hasShard, holdersOf, isDamage, isLoss, strayHolders } from "./holders.js"
import { HotCopies, type CopyReader } from "./hot-copies.js"
import type { HotCopyTerms } from "./hot-copies-core.js"
import type { Layouts } from "./layouts.js"
import { BLOCK_LIMITS } from "./limits.js"
import { RangeRebuilder, type RangeRebuild } from "./range-rebuilder.js"
import { READ_BYTES_MIN } from "./read-ahead-core.js"
import { OpenReader, ReadAhead, type PieceReads } from "./read-ahead.js"
import { ReadBuffers } from "./read-buffers.js"
import {
  blockShape,
  PIECE_BYTES_MAX,
  ReadPlan,
  shapeOf,
  type BlockShape,
  type ExtentRange,
  type ReadPiece,
} from "./read-plan-core.js"
import { ReadTimes } from "./read-times.js"
import type { DataShards, RebuiltRanges } from "./rebuilt-ranges.js"

interface ShardRange {
  readonly offsetBytes: number
  readonly lengthBytes: number
}

/** A piece, and its block's shape. */
interface PieceRead {
  readonly extent: Extent
  readonly shape: BlockShape
  readonly piece: ReadPiece
  /** The ranges that the same reader has rebuilt. */
  readonly rebuilt: RebuiltRanges
  /** The span of the request, or of a step of it. */
  readonly trace: Span | undefined
  /** The first piece of its reader: it does not wait for other readers' later pieces. */
  readonly isFirst: boolean
}

export class BlockReader {
  private hedges = 0
  private readonly buffers: ReadBuffers
  private readonly ahead: ReadAhead
  private readonly fetches: ByteBudget
  private readonly rebuilds: ByteBudget
  private readonly times = new ReadTimes()
  private readonly ranges: RangeRebuilder
  /** It is undefined if no copies are kept. */
  readonly copies: HotCopies | undefined

  private readonly clock: Clock
  private readonly devices: Devices
  private readonly layouts: Layouts
  private readonly compute: Compute
  private readonly onDamage: (copy: ShardCopy) => void
  private readonly mayReturn: (id: DeviceId) => boolean

  constructor(
    backend: BlockBackend,
    private readonly rebuilt: Counter,
    terms?: HotCopyTerms,
    memoryShare = 1,
  ) {
    const { readBytesMax, shortReadBuffers, fetchBytesMax, rebuildBytesMax } = BLOCK_LIMITS
    const readBytes = partOf(readBytesMax, memoryShare, READ_BYTES_MIN)
    this.buffers = new ReadBuffers({
      longBuffers: Math.floor(readBytes / PIECE_BYTES_MAX),
      shortBuffers: partOf(shortReadBuffers, memoryShare),
    })
    this.fetches = new ByteBudget(() => fetchBytesMax * memoryShare)
    this.rebuilds = new ByteBudget(() => rebuildBytesMax * memoryShare)
    const { clock, devices, layouts, compute, onDamage, mayReturn = () => false } = backend
    this.clock = clock
    this.devices = devices
    this.layouts = layouts
    this.compute = compute
    this.onDamage = onDamage
    this.mayReturn = mayReturn
    this.ahead = new ReadAhead(clock, readBytes)
    this.ranges = new RangeRebuilder(backend, this.times)
    this.copies = terms && new HotCopies(clock, terms, (range, into) => this.fill(range, into))
  }

  /** See `Blocks.read`. */
  read(
    ranges: ExtentRange | Iterable<ExtentRange>,
    signal: AbortSignal,
    owner: PieceOwner,
    trace: Span | undefined,
  ): ReadBytes {
    const copies = owner === "reader" ? this.copies?.reader() : undefined
    if (!("extent" in ranges)) return this.stream(ranges, signal, owner, trace, copies)
    const lent = owner === "reader" && trace === undefined ? this.readSync(ranges, copies) : undefined
    return lent ?? this.stream([ranges], signal, owner, trace, copies)
  }

  /** Always a stream, piece by piece. Without `copies` all bytes are from devices. */
  async *stream(
    ranges: Iterable<ExtentRange>,
    signal: AbortSignal,
    owner: PieceOwner,
    trace?: Span,
    copies?: CopyReader,
  ): AsyncGenerator<Uint8Array> {
    const allocate: Allocate | undefined = owner === "reader" ? length => this.buffers.take(length) : undefined
    const reads: PieceReads = {
      read: ({ extent, piece }, rebuilt, isFirst) =>
        this.readPiece({ extent, shape: blockShape(extent, piece.block), piece, rebuilt, isFirst, trace }, allocate),
      give: allocate ? this.giveBack : () => undefined,
    }
    const reader = new OpenReader(this.ahead, reads, ranges, copies)
    try {
      for (;;) {
        signal.throwIfAborted()
        const piece = await reader.next()
        if (piece === undefined) return
        yield piece
        reader.taken(piece)
      }
    } finally {
      reader.end()
    }
  }

  /** The memory of a copy: `range` is a unit. */
  private async fill(range: ExtentRange, into: Uint8Array): Promise<void> {
    let at = 0
    for await (const piece of this.stream([range], NEVER, "reader")) {
      copyPlainly(into, piece, at)
      at += piece.length
    }
    assert(at === into.length, "a copy is complete")
  }

  /** A whole short range without waiting; undefined if a piece of it cannot be read synchronously. */
  private readSync(range: ExtentRange, copies: CopyReader | undefined): LentBytes | undefined {
    const { extent, lengthBytes } = range
    if (lengthBytes > SYNC_READ_BYTES_MAX) return undefined
    const copied = copies?.ask(range)
    if (copied !== undefined) return this.lentCopy(copied, lengthBytes)
    const lent: Uint8Array[] = []
    const take: Allocate = length => {
      const bytes = this.buffers.take(length)
      lent.push(bytes)
      return bytes
    }
    const giveBack = (): void => {
      for (const bytes of lent) this.buffers.give(bytes)
    }
    let whole: Uint8Array | undefined
    let at = 0
    const plan = new ReadPlan([range])
    for (let next = plan.next(PIECE_BYTES_MAX); next !== undefined; next = plan.next(PIECE_BYTES_MAX)) {
      const { piece } = next
      const bytes = this.readShardSync(extent, piece, take)
      if (bytes === undefined) {
        giveBack()
        return undefined
      }
      if (bytes.length === lengthBytes) return { bytes, giveBack }
      whole ??= take(lengthBytes)
      whole.set(bytes, at)
      at += bytes.length
    }
    return whole && { bytes: whole, giveBack }
  }

  /** Returns undefined if the copy is being made, or has only a part of the range. */
  private lentCopy(copied: Soon<Uint8Array | undefined>, lengthBytes: number): LentBytes | undefined {
    const giveBack = (bytes: Uint8Array | undefined): void => {
      if (bytes !== undefined) this.giveBack(bytes)
    }
    if (copied instanceof Uint8Array && copied.length === lengthBytes)
      return { bytes: copied, giveBack: () => giveBack(copied) }
    void after(copied, giveBack)
    return undefined
  }

  private readShardSync(
    extent: Extent,
    { block, slot, offsetBytes, lengthBytes }: ReadPiece,
    allocate?: Allocate,
  ): Uint8Array | undefined {
    if (lengthBytes > SYNC_READ_BYTES_MAX) return undefined
    const { uploadId, part } = extent
    const { generation, exception } = blockShape(extent, block)
    const id = { partition: partitionOf(uploadId, part, block), uploadId, part, block, generation, slot }
    const [deviceId] = holdersOf(this.layouts, id, exception)
    const device = deviceId === undefined ? undefined : this.devices.get(deviceId)
    return device?.volumes.read(id, { offsetBytes, lengthBytes }, leaveIfSlow, allocate)
  }

  private readonly giveBack = (bytes: Uint8Array): void => {
    if (this.copies?.give(bytes) !== true) this.buffers.give(bytes)
  }

  private async readPiece(read: PieceRead, allocate: Allocate | undefined): Promise<Uint8Array> {
    const known = read.rebuilt.take(read.extent, read.piece)
    const piece = known && (await known)
    if (piece) return piece
    const isLossy = read.rebuilt.isLossy && this.isLossy(read)
    if (isLossy instanceof Promise ? await isLossy : isLossy) return this.rebuildPiece(read, undefined, allocate)
    const readSync = (take?: Allocate) => this.readShardSync(read.extent, read.piece, take)
    const bytes = read.trace === undefined && (await (allocate ? this.buffers.during(readSync) : readSync()))
    if (bytes) return bytes
    if (read.isFirst) return this.readSlowly(read, allocate)
    return this.fetches.run(read.piece.lengthBytes, () => this.readSlowly(read, allocate))
  }

  private async readSlowly(read: PieceRead, allocate: Allocate | undefined): Promise<Uint8Array> {
    const own = this.readShard(read, read.piece.slot, read.piece, allocate)
    try {
      if (tolerance(read.shape.policy) === 0 || !(await this.isSlow(own))) return await own
    } catch (error) {
      if (!isFailure(error) || !isLoss(error)) throw error
      this.rebuilt.add({ reason: error.kind })
      return this.rebuildPiece(read, read.piece.slot, allocate)
    }
    return this.hedged(read, own, allocate)
  }

  /**
   * Returns true if its devices report that the block lacks a data shard from this slot on: then all are rebuilt
   * together.
   */
  private isLossy(read: PieceRead, slot = read.piece.slot): Soon<boolean> {
    const { extent, shape, piece } = read
    const { uploadId, part } = extent
    const partition = partitionOf(uploadId, part, piece.block)
    for (let at = slot; at < shardsNeeded(shape.policy); at += 1) {
      const id = { partition, uploadId, part, block: piece.block, generation: shape.generation, slot: at }
      const holders = holdersOf(this.layouts, id, shape.exception)
      const isThere = after(
        allSoon(holders, deviceId => hasShard(this.devices, deviceId, id)),
        has => has.includes(true),
      )
      if (isThere instanceof Promise) {
        return isThere.then(is => (is ? this.isLossy(read, at + 1) : this.noteLoss(at === piece.slot)))
      }
      if (!isThere) return this.noteLoss(at === piece.slot)
    }
    return false
  }

  private noteLoss(isOfPiece: boolean): true {
    if (isOfPiece) this.rebuilt.add({ reason: "noSuchNeedle" })
    return true
  }

  /** Resolves with true if the read is slow and a hedge is allowed; with false once it has ended, well or not. */
  private isSlow(read: Promise<Uint8Array>): Promise<boolean> {
    return new Promise(resolve => {
      const callOff = this.clock.alarm(this.times.slowMs, () => resolve(this.hedges < BLOCK_LIMITS.maxConcurrentHedges))
      const ended = (): void => {
        callOff()
        resolve(false)
      }
      read.then(ended, ended)
    })
  }

  /** The slow shard, or the same bytes from other shards: whichever arrives first. */
  private async hedged(read: PieceRead, own: Promise<Uint8Array>, allocate: Allocate | undefined): Promise<Uint8Array> {
    this.hedges += 1
    this.rebuilt.add({ reason: "slow" })
    const other = this.rebuildPiece(read, read.piece.slot, allocate).finally(() => (this.hedges -= 1))
    try {
      const first = await Promise.any([own, other])
      const giveBackOther = (bytes: Uint8Array): void => (bytes === first ? undefined : this.giveBack(bytes))
      for (const each of [own, other]) each.then(giveBackOther, () => undefined)
      return first
    } catch {
      // Both failed: the error of the rebuild is more specific.
      return other
    }
  }

  /** Reads from the first holder that has the shard. Throws the error of one, if possible of one that does not respond. */
  private async readShard(
    { extent, shape, trace, piece: { block } }: PieceRead,
    slot: number,
    range: ShardRange,
    allocate?: Allocate,
    search: "assigned" | "elsewhere" = "assigned",
  ): Promise<Uint8Array> {
    const { uploadId, part } = extent
    const partition = partitionOf(uploadId, part, block)
    const id: NeedleId = { partition, uploadId, part, block, generation: shape.generation, slot }
    const holders = holdersOf(this.layouts, id, shape.exception)
    let failure: Failure | undefined
    for (const deviceId of search === "assigned" ? holders : await strayHolders(this.devices, id, holders)) {
      try {
        if (trace === undefined) return await this.readFrom(deviceId, id, range, allocate)
        const facts = { "hayloft.device": deviceId, "hayloft.slot": slot, "hayloft.bytes": range.lengthBytes }
        return await traced(trace, "shard read", facts, span => this.readFrom(deviceId, id, range, allocate, span))
      } catch (error) {
        if (!isFailure(error) || !isLoss(error)) throw error
        if (failure?.kind !== "deviceFailed") failure = error
      }
    }
    // Created only here: its stack trace costs more main-thread time than everything else that a piece needs.
    throw failure ?? fail("deviceFailed", { slot })
  }

  private async readFrom(
    deviceId: DeviceId,
    id: NeedleId,
    range: ShardRange,
    allocate: Allocate | undefined,
    trace?: Span,
  ): Promise<Uint8Array> {
    const device = this.devices.get(deviceId)
    if (!device) throw fail("deviceFailed", { device: deviceId })
    const startedMs = this.clock.monotonicMs()
    try {
      const read = (take?: Allocate): Soon<Uint8Array> => device.volumes.read(id, range, waitIfSlow, take, trace)
      const reading = allocate ? this.buffers.during(read) : read()
      if (!(reading instanceof Promise)) return reading
      const bytes = await reading
      this.times.note(this.clock.monotonicMs() - startedMs)
      return bytes
    } catch (error) {
      // The device went offline meanwhile: its own error no longer matters.
      if (this.devices.get(deviceId) !== device) throw fail("deviceFailed", { device: deviceId }, error)
      if (isDamage(error)) this.onDamage({ deviceId, id })
      throw error
    }
  }

  /** The piece from other shards: a copy, or k equal ranges decoded. */
  private async rebuildPiece(
    read: PieceRead,
    avoidSlot: number | undefined,
    allocate: Allocate | undefined,
  ): Promise<Uint8Array> {
    const { extent, shape, piece, rebuilt } = read
    const known = rebuilt.take(extent, piece)
    const found = known && (await known)
    if (found) return found
    const from = Math.floor(piece.offsetBytes / SUB_BLOCK_BYTES) * SUB_BLOCK_BYTES
    const to = Math.min(shape.shardBytes, roundUp(piece.offsetBytes + piece.lengthBytes, SUB_BLOCK_BYTES))
    const range = { offsetBytes: from, lengthBytes: to - from }
    const needed = shardsNeeded(shape.policy)
    // The reader needs the same range of the other shards next: rebuild it too if memory permits.
    const others = slotsInStep(shape, range) ? (needed - 1) * range.lengthBytes : 0
    const isAhead = others > 0 && this.ahead.hasSpaceFor(others)
    const release = this.ahead.hold(isAhead ? others : 0)
    const toSlot = isAhead ? Infinity : piece.slot + 1
    const shards = this.rebuilds.run(needed * range.lengthBytes, () =>
      this.rebuildRange(read, { avoidSlot, fromSlot: piece.slot, toSlot }, range, allocate),
    )
    rebuilt.keep({ extent, block: piece.block, from, to, shards, release })
    const bytes = rebuilt.take(extent, piece)
    await shards
    return must(await bytes, "the wanted shard was rebuilt")
  }

  private async rebuildRange(
    read: PieceRead,
    slots: Pick<RangeRebuild, "avoidSlot" | "fromSlot" | "toSlot">,
    range: ShardRange,
    allocate?: Allocate,
  ): Promise<DataShards> {
    const { trace, piece } = read
    if (trace === undefined) return this.rebuildShards(read, slots, range, allocate)
    const facts = { "hayloft.block": piece.block, "hayloft.slot": piece.slot, "hayloft.bytes": range.lengthBytes }
    return traced(trace, "decode", facts, span => this.rebuildShards({ ...read, trace: span }, slots, range, allocate))
  }

  private async rebuildShards(
    read: PieceRead,
    slots: Pick<RangeRebuild, "avoidSlot" | "fromSlot" | "toSlot">,
    range: ShardRange,
    allocate: Allocate = allocateOwn,
  ): Promise<DataShards> {
    const { extent, shape, piece } = read
    const request = { extent, shape, block: piece.block, ...range, ...slots, allocate }
    const shards = read.trace === undefined ? await this.ranges.rebuild(request) : undefined
    if (shards) return shards
    const decoded = await this.decode(
      shape,
      piece.slot,
      range.lengthBytes,
      await this.gather(read, slots.avoidSlot, range),
    )
    for (const slot of decoded.keys()) if (slot < slots.fromSlot || slot >= slots.toSlot) decoded.delete(slot)
    return decoded
  }

  /**
   * Returns true if a device that may have the shard does not respond, and may return. `hasFailed`: it has just not
   * responded.
   */
  private isOutOfReach({ extent, shape, piece: { block } }: PieceRead, slot: number, hasFailed: boolean): boolean {
    const partition = partitionOf(extent.uploadId, extent.part, block)
    return holdersOf(this.layouts, { partition, slot }, shape.exception).some(
      id => this.mayReturn(id) && (hasFailed || this.devices.get(id)?.isWritable !== true),
    )
  }

  /** Ranges of enough other shards. If the layouts lead to too few, all other devices are searched. */
  private async gather(
    read: PieceRead,
    avoidSlot: number | undefined,
    range: ShardRange,
  ): Promise<ReadonlyMap<number, Uint8Array>> {
    const { extent, shape, piece } = read
    const needed = shardsNeeded(shape.policy)
    const slots = Array.from({ length: shardCount(shape.policy) }, (_, slot) => slot)
    const others = slots.filter(slot => slot !== avoidSlot)
    // Their devices may respond again by the end of the search.
    const failed = new Set<number>()
    const gatherFrom = (candidates: readonly number[], missing: number, search: "assigned" | "elsewhere") =>
      firstAnswers(this.clock, {
        candidates,
        needed: missing,
        slowMs: this.times.slowMs,
        ask: slot =>
          this.readShard(read, slot, range, undefined, search).catch((error: unknown) => {
            if (!isLoss(error)) throw error
            if (search === "assigned" && isFailure(error, "deviceFailed")) failed.add(slot)
            return undefined
          }),
      })
    const present = await gatherFrom(others, needed, "assigned")
    if (present.size === needed) return present
    const left = slots.filter(slot => !present.has(slot))
    const all = new Map([...present, ...(await gatherFrom(left, needed - present.size, "elsewhere"))])
    if (all.size === needed) return all
    if (slots.some(slot => !all.has(slot) && this.isOutOfReach(read, slot, failed.has(slot)))) {
      throw fail("deviceFailed", { message: "too few of the devices that have the block respond now" })
    }
    throw fail("notEnoughShards", { uploadId: extent.uploadId, part: extent.part, block: piece.block })
  }

  /** The data shards. All missing ones are rebuilt together, since a sequential reader needs them next. */
  private async decode(
    { policy }: BlockShape,
    slot: number,
    rangeBytes: number,
    present: ReadonlyMap<number, Uint8Array>,
  ): Promise<DataShards> {
    const shape = shapeOf(policy)
    if (shape.kind === "copies") return new Map([[slot, must([...present.values()][0], "a copy was found")]])
    const wanted = Array.from({ length: shape.k }, (_, data) => data).filter(data => !present.has(data))
    if (wanted.length === 0) return new Map(present)
    const rebuilt = await this.compute.rebuild({ shape, shardBytes: rangeBytes, present, wanted })
    return new Map([...present, ...rebuilt])
  }
}

const allocateOwn: Allocate = lengthBytes => Buffer.allocUnsafeSlow(lengthBytes)

/** Returns true if a reader's pieces of the next slots cover the same range. */
const slotsInStep = ({ shardBytes }: BlockShape, { offsetBytes, lengthBytes }: ShardRange): boolean =>
  offsetBytes % PIECE_BYTES_MAX === 0 && lengthBytes === Math.min(PIECE_BYTES_MAX, shardBytes - offsetBytes)
