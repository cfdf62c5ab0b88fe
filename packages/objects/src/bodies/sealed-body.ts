/**
 * Sealed bodies: the plaintext of ranges of sealed extents, read from blocks and opened segment by segment.
 *
 * A reader gathers neighbouring segments of one block in compute memory and has them opened on a thread, while its
 * client consumes the run before; short ranges, and runs while memory is short, are opened synchronously.
 *
 * Promises  No byte is handed out before the tag of its segment was verified. A bad tag is logged with its block and
 *           throws `corruptSeal`; it is never read again from other shards, since the checksums of the stored bytes are
 *           right: somebody has changed them, or this program has a bug.
 * Limits    SEALED_LIMITS. A run of one segment is not counted, since the number of requests is limited elsewhere.
 */
import type { Span } from "@hayloft/base/trace.js"
import { concatBytes, copyPlainly } from "@hayloft/base/bytes.js"
import { must } from "@hayloft/base/assert.js"
import { Failure, isFailure } from "@hayloft/base/failures.js"
import type { UploadId } from "@hayloft/base/ids.js"
import { MIB } from "@hayloft/base/limits.js"
import { NEVER } from "@hayloft/base/never.js"
import { isLent, streamOf } from "@hayloft/base/memory/pieces.js"
import { partOf } from "@hayloft/base/text/round.js"
import { openedBytesOf, SEGMENT_PLAIN_BYTES, SEGMENT_STORED_BYTES } from "@hayloft/base/encryption/segments.js"
import type { Blocks, ExtentRange, LentBytes, PieceOwner } from "@hayloft/engine/block/index.js"
import type { Extent } from "@hayloft/engine/format/needles/extent.js"
import { segmentOf, segmentRange } from "@hayloft/engine/format/needles/sealing.js"
import { extentKeyOf } from "@hayloft/access/keys/index.js"
import type { Compute } from "@hayloft/base/seams/compute/contract.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"

export const SEALED_LIMITS = {
  /** Segments that a reader gathers at a time: a megabyte. */
  segmentsOfRun: 16,
  /** Such runs that a reader gathers and opens while its client consumes one. */
  runsAheadMax: 2,
  /**
   * Bytes in such runs that all readers together hold, from the gathering until the client has consumed them. Several threads
   * that serve divide them.
   */
  unsealBytesMax: 32 * MIB,
  /** A client that has consumed more than the buffers of sockets hold does not stall. */
  socketBytes: 4 * MIB,
} as const

const RUN_BYTES = SEALED_LIMITS.segmentsOfRun * SEGMENT_STORED_BYTES
/** With less, no reader would gather a run ahead. */
const UNSEAL_BYTES_MIN = 2 * RUN_BYTES

/** Segments of one block that are opened together, and the part of their plaintext that is wanted. */
interface Run {
  readonly extent: Extent
  readonly block: number
  readonly firstSegment: number
  readonly isLast: boolean
  readonly storedBytes: number
  readonly skipBytes: number
  readonly plainBytes: number
}

/** The methods that are needed from `Compute`. */
type Opener = Pick<Compute, "open" | "openSegments" | "shards">

export class SealedBodies {
  /** Bytes of long runs of all readers. */
  heldBytes = 0
  /** The limit of `heldBytes`. */
  readonly heldBytesMax: number

  constructor(
    private readonly blocks: Pick<Blocks, "read" | "memoryShare">,
    readonly compute: Opener,
    private readonly log: Log,
  ) {
    this.heldBytesMax = partOf(SEALED_LIMITS.unsealBytesMax, blocks.memoryShare, UNSEAL_BYTES_MIN)
  }

  /** The plaintext of an inline payload. Throws `corruptSeal`. */
  openPayload(sealed: Uint8Array, key: Uint8Array): Uint8Array {
    return this.noting({}, () => this.compute.open(sealed, { key, block: 0, segment: 0, isLast: true }))
  }

  /** A short range of a sealed extent, if its bytes are available without waiting. */
  lend({ extent, offsetBytes, lengthBytes }: ExtentRange, objectKey: Uint8Array): LentBytes | undefined {
    if (lengthBytes === 0 || lengthBytes > SEGMENT_PLAIN_BYTES) return undefined
    const stored = segmentRange(extent, offsetBytes, lengthBytes)
    const place = { extent, offsetBytes: stored.offsetBytes, lengthBytes: stored.lengthBytes }
    const read = this.blocks.read(place, NEVER, "reader")
    if (!isLent(read)) return undefined
    try {
      const key = keyOfExtent(objectKey, extent)
      const plan = new RunPlan([{ extent, offsetBytes, lengthBytes }])
      const opened: Uint8Array[] = []
      let at = 0
      for (let run = plan.next(1); run !== undefined; run = plan.next(1)) {
        opened.push(this.openOne(run, key, read.bytes.subarray(at, at + run.storedBytes)))
        at += run.storedBytes
      }
      const [first] = opened
      return { bytes: opened.length === 1 && first ? first : concatBytes(opened), giveBack: () => undefined }
    } finally {
      read.giveBack()
    }
  }

  /** The plaintext of ranges, which are counted in plaintext. Extents that are not sealed are read as they are. */
  async *read(
    ranges: Iterable<ExtentRange>,
    objectKey: Uint8Array,
    signal: AbortSignal,
    owner: PieceOwner,
    trace?: Span,
  ): AsyncGenerator<Uint8Array> {
    for (const group of groupsOf(ranges)) {
      const isSealed = group[0]?.extent.isSealed === true
      if (isSealed) yield* this.readSealed(group, objectKey, signal, owner, trace)
      else yield* streamOf(this.blocks.read(group, signal, owner, trace))
    }
  }

  private async *readSealed(
    ranges: readonly ExtentRange[],
    objectKey: Uint8Array,
    signal: AbortSignal,
    owner: PieceOwner,
    trace?: Span,
  ): AsyncGenerator<Uint8Array> {
    const stored = ranges.map(({ extent, offsetBytes, lengthBytes }) => ({
      extent,
      ...segmentRange(extent, offsetBytes, lengthBytes),
    }))
    const pieces = new Pieces(streamOf(this.blocks.read(stored, signal, "reader", trace)))
    const reader = new SealedReader(this, new RunPlan(ranges), new ExtentKeys(objectKey), pieces)
    try {
      for (let bytes = await reader.next(); bytes !== undefined; bytes = await reader.next()) {
        yield owner === "reader" ? bytes : Uint8Array.from(bytes)
        signal.throwIfAborted()
      }
    } finally {
      reader.end()
    }
  }

  /** Memory for a long run. */
  hold(storedBytes: number): HeldBytes {
    const { shards } = this.compute
    const bytes = shards.take(storedBytes)
    this.heldBytes += storedBytes
    let isHeld = true
    const release = (): void => {
      if (!isHeld) return
      isHeld = false
      shards.give(bytes)
      this.heldBytes -= storedBytes
    }
    return { bytes, release }
  }

  /** The wanted part of a run of one segment. */
  openOne({ extent, block, firstSegment, isLast, ...run }: Run, key: Uint8Array, sealed: Uint8Array): Uint8Array {
    const at = { key, block, segment: firstSegment, isLast }
    const plain = this.noting(extent, () => this.compute.open(sealed, at))
    return plain.subarray(run.skipBytes, run.skipBytes + run.plainBytes)
  }

  /** Opens a run in place. */
  async openRun({ extent, block, firstSegment, isLast }: Run, key: Uint8Array, bytes: Uint8Array): Promise<void> {
    try {
      await this.compute.openSegments({ bytes, key, block, firstSegment, isLast })
    } catch (error) {
      throw this.noted(extent, error)
    }
  }

  private noting<T>(extent: Partial<Extent>, work: () => T): T {
    try {
      return work()
    } catch (error) {
      throw this.noted(extent, error)
    }
  }

  private noted({ uploadId, part }: Partial<Extent>, error: unknown): unknown {
    if (!isFailure(error, "corruptSeal")) return error
    const details = { ...error.details, uploadId, part }
    this.log.error("sealed_bytes_changed", details)
    return new Failure("corruptSeal", details, error)
  }
}

/** Neighbouring ranges that are all sealed, or all not; none is empty. */
function* groupsOf(ranges: Iterable<ExtentRange>): Generator<readonly ExtentRange[]> {
  let group: ExtentRange[] = []
  for (const range of ranges) {
    if (range.lengthBytes === 0) continue
    const [first] = group
    if (first !== undefined && first.extent.isSealed !== range.extent.isSealed) {
      yield group
      group = []
    }
    group.push(range)
  }
  if (group.length > 0) yield group
}

const keyOfExtent = (objectKey: Uint8Array, { uploadId, part, sealedAs = uploadId }: Extent): Uint8Array =>
  extentKeyOf(objectKey, sealedAs, part)

/** Keys of extents, of which neighbouring runs often have the same. */
class ExtentKeys {
  private last: { readonly uploadId: UploadId; readonly part: number; readonly key: Uint8Array } | undefined

  constructor(private readonly objectKey: Uint8Array) {}

  of(extent: Extent): Uint8Array {
    const { uploadId, part } = extent
    if (this.last?.uploadId !== uploadId || this.last.part !== part)
      this.last = { uploadId, part, key: keyOfExtent(this.objectKey, extent) }
    return this.last.key
  }
}

/** The rest of some ranges of sealed extents, run by run. */
class RunPlan {
  private readonly ranges: Iterator<ExtentRange, unknown>
  private extent: Extent | undefined
  /** In the plaintext of the extent. */
  private at = 0
  private end = 0

  constructor(ranges: Iterable<ExtentRange>) {
    this.ranges = ranges[Symbol.iterator]()
  }

  /** The next run, of at most so many segments; undefined at the end. */
  next(segmentsMax: number): Run | undefined {
    while (this.at === this.end) {
      const next = this.ranges.next()
      if (next.done === true) return undefined
      const { extent, offsetBytes, lengthBytes } = next.value
      this.extent = extent
      this.at = offsetBytes
      this.end = offsetBytes + lengthBytes
    }
    const { at } = this
    const extent = must(this.extent, "a range has an extent")
    const first = segmentOf(extent, at)
    const blockEnd = (first.block + 1) * openedBytesOf(extent.blockBytes)
    const to = Math.min(this.end, blockEnd, first.plainAt + segmentsMax * SEGMENT_PLAIN_BYTES)
    const last = segmentOf(extent, to - 1)
    this.at = to
    return {
      extent,
      block: first.block,
      firstSegment: first.segment,
      isLast: last.isLast,
      storedBytes: last.storedAt + last.storedBytes - first.storedAt,
      skipBytes: at - first.plainAt,
      plainBytes: to - at,
    }
  }
}

/** The pieces of a stream, cut as they are needed. */
class Pieces {
  private readonly stream: AsyncIterator<Uint8Array>
  /** The rest of the last piece. */
  private rest: Uint8Array = new Uint8Array(0)

  constructor(stream: AsyncIterable<Uint8Array>) {
    this.stream = stream[Symbol.asyncIterator]()
  }

  /** The next bytes: valid until the next call. */
  async take(lengthBytes: number): Promise<Uint8Array> {
    if (this.rest.length === 0) await this.more()
    if (this.rest.length < lengthBytes) {
      const own = Buffer.allocUnsafe(lengthBytes)
      await this.fill(own)
      return own
    }
    const bytes = this.rest.subarray(0, lengthBytes)
    this.rest = this.rest.subarray(lengthBytes)
    return bytes
  }

  async fill(into: Uint8Array): Promise<void> {
    for (let at = 0; at < into.length;) {
      if (this.rest.length === 0) await this.more()
      const some = this.rest.subarray(0, into.length - at)
      copyPlainly(into, some, at)
      at += some.length
      this.rest = this.rest.subarray(some.length)
    }
  }

  private async more(): Promise<void> {
    const next = await this.stream.next()
    this.rest = must(next.done === true ? undefined : next.value, "the blocks have all bytes of a range")
  }

  end(): void {
    this.rest = new Uint8Array(0)
    this.stream.return?.().catch(() => undefined)
  }
}

/** Bytes in memory that is to be freed. */
interface HeldBytes {
  readonly bytes: Uint8Array
  readonly release: () => void
}

/**
 * The runs of one reader: one that its client consumes, and those after it. While a thread opens one, the next is
 * gathered.
 */
class SealedReader {
  private ahead: Promise<HeldBytes>[] = []
  /** The gathering of the last run; its failure is that of all runs after it. */
  private gathered: Promise<unknown> = Promise.resolve()
  private handedOut: HeldBytes | undefined
  private takenBytes = 0
  private isFirst = true

  constructor(
    private readonly all: SealedBodies,
    private readonly plan: RunPlan,
    private readonly keys: ExtentKeys,
    private readonly pieces: Pieces,
  ) {}

  /** The next bytes, valid until the next call; undefined at the end. */
  async next(): Promise<Uint8Array | undefined> {
    this.takenBytes += this.handedOut?.bytes.length ?? 0
    this.handedOut?.release()
    this.handedOut = undefined
    if (this.ahead.length === 0) this.begin(this.mayHoldLong ? SEALED_LIMITS.segmentsOfRun : 1)
    const next = this.ahead.shift()
    if (next === undefined) return undefined
    const run = await next
    this.handedOut = run
    while (this.ahead.length < SEALED_LIMITS.runsAheadMax && this.isPlenty) {
      if (!this.begin(SEALED_LIMITS.segmentsOfRun)) break
    }
    return run.bytes
  }

  /** Frees everything, once nothing is written into it any more. */
  end(): void {
    this.handedOut?.release()
    this.handedOut = undefined
    const freed = this.ahead.splice(0).map(ahead =>
      ahead.then(
        run => run.release(),
        () => undefined,
      ),
    )
    void Promise.all(freed).then(() => this.pieces.end())
  }

  /** Read-ahead stops at half of the memory; the rest is for clients that do not stall. */
  private get isPlenty(): boolean {
    return this.all.heldBytes + RUN_BYTES <= this.all.heldBytesMax / 2
  }

  /** The first run is short, so that the first byte leaves early. */
  private get mayHoldLong(): boolean {
    if (this.isFirst) return false
    const { heldBytes, heldBytesMax } = this.all
    return this.isPlenty || (this.takenBytes > SEALED_LIMITS.socketBytes && heldBytes + RUN_BYTES <= heldBytesMax)
  }

  /** Begins the next run; false at the end. */
  private begin(segmentsMax: number): boolean {
    const run = this.plan.next(segmentsMax)
    if (run === undefined) return false
    this.isFirst = false
    const opening = run.storedBytes <= SEGMENT_STORED_BYTES ? this.openOne(run) : this.openLong(run)
    opening.catch(() => undefined)
    this.ahead.push(opening)
    return true
  }

  /** Runs `gather` after the runs before have their bytes. */
  private inOrder<T>(gather: () => Promise<T>): Promise<T> {
    const gathered = this.gathered.then(gather)
    gathered.catch(() => undefined)
    this.gathered = gathered
    return gathered
  }

  private openOne(run: Run): Promise<HeldBytes> {
    return this.inOrder(async () => {
      const sealed = await this.pieces.take(run.storedBytes)
      return { bytes: this.all.openOne(run, this.keys.of(run.extent), sealed), release: () => undefined }
    })
  }

  private async openLong(run: Run): Promise<HeldBytes> {
    const { bytes, release } = this.all.hold(run.storedBytes)
    try {
      await this.inOrder(() => this.pieces.fill(bytes))
      await this.all.openRun(run, this.keys.of(run.extent), bytes)
      return { bytes: bytes.subarray(run.skipBytes, run.skipBytes + run.plainBytes), release }
    } catch (error) {
      release()
      throw error
    }
  }
}
