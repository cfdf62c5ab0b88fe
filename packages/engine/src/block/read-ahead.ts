/**
 * Read-ahead: the pieces that all readers hold: being read, read, or handed out and not yet consumed by the client.
 *
 * Promises  Pieces arrive in order. If memory is short, the read-ahead of a client that has consumed nothing for
 *           `stalledReaderMs` is freed, and read again when the client goes on. A reader that ends frees everything.
 * Limits    `read-ahead-core.ts`.
 */
import { SUB_BLOCK_BYTES } from "@hayloft/base/limits.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { BLOCK_LIMITS } from "./limits.js"
import type { CopyReader } from "./hot-copies.js"
import { lengthInUnit } from "./hot-copies-core.js"
import { nextPieceBytes, type PieceRule } from "./read-ahead-core.js"
import { ReadPlan, type ExtentRange, type PlannedPiece } from "./read-plan-core.js"
import { RebuiltRanges } from "./rebuilt-ranges.js"

/** Reads pieces, and takes back those that are not needed any more. */
export interface PieceReads {
  read(planned: PlannedPiece, rebuilt: RebuiltRanges, isFirst: boolean): Promise<Uint8Array>
  readonly give: (bytes: Uint8Array) => void
}

interface FetchedPiece {
  readonly planned: PlannedPiece | ExtentRange
  /** The bytes are undefined if a copy was to be lent, and could not be made. */
  readonly bytes: Promise<Uint8Array | undefined>
  /** Stops counting its bytes as held. */
  readonly release: () => void
}

const NOT_COUNTED = (): void => undefined

/** The pieces of all readers together. */
export class ReadAhead {
  private held = 0
  /** Readers whose clients have a piece to consume, in the order in which they got it. */
  readonly waiting = new Set<OpenReader>()
  readonly turns: TurnBytes

  constructor(
    readonly clock: Pick<Clock, "monotonicMs" | "atEndOfTurn">,
    /** The limit of `heldBytes`. */
    readonly readBytesMax: number = BLOCK_LIMITS.readBytesMax,
    readonly rule: PieceRule = nextPieceBytes,
  ) {
    this.turns = new TurnBytes(clock, BLOCK_LIMITS.readBytesOfTurn)
  }

  /** Held in long pieces. */
  get heldBytes(): number {
    return this.held
  }

  /** Returns true if this many bytes may be held beyond what clients have requested. */
  hasSpaceFor(bytes: number): boolean {
    return this.held + bytes <= this.readBytesMax / 2
  }

  /** Counts the bytes as held until the returned function is called. */
  hold(bytes: number): () => void {
    this.held += bytes
    let isHeld = true
    return () => {
      if (isHeld) this.held -= bytes
      isHeld = false
    }
  }

  /** Frees the read-ahead of stalled readers. */
  reclaim(): void {
    const untilMs = this.clock.monotonicMs() - BLOCK_LIMITS.stalledReaderMs
    for (const reader of this.waiting) {
      if (reader.handedOutMs > untilMs) return
      this.waiting.delete(reader)
      reader.fold()
    }
  }
}

/**
 * Limits the bytes handed out in one turn of the event loop; further requests wait for the next turns, first come, first
 * served. Without the limit, bytes in memory are sent to ready sockets without the turn ending: a thousand readers then
 * delayed every other request for seconds.
 */
export class TurnBytes {
  private remaining: number
  private isOver = true
  private waiting: { readonly bytes: number; readonly go: () => void }[] = []

  constructor(
    private readonly clock: Pick<Clock, "atEndOfTurn">,
    private readonly bytesMax: number,
  ) {
    this.remaining = bytesMax
  }

  /** Takes bytes of this turn; returns a promise if the caller must wait for a later turn. */
  take(bytes: number): Promise<void> | undefined {
    if (this.isOver) {
      this.isOver = false
      this.clock.atEndOfTurn(this.next)
    }
    if (this.remaining > 0) {
      this.remaining -= bytes
      return undefined
    }
    return new Promise(go => this.waiting.push({ bytes, go }))
  }

  private readonly next = (): void => {
    this.remaining = this.bytesMax
    let count = 0
    for (; count < this.waiting.length && this.remaining > 0; count += 1)
      this.remaining -= this.waiting[count]?.bytes ?? 0
    this.isOver = count === 0
    if (!this.isOver) this.clock.atEndOfTurn(this.next)
    for (const { go } of this.waiting.splice(0, count)) go()
  }
}

/** One reader's pieces. */
export class OpenReader {
  handedOutMs = 0
  private readonly plan: ReadPlan
  private ahead: FetchedPiece[] = []
  private handedOut: FetchedPiece | undefined
  private takenBytes = 0
  private isFirst = true
  private rebuilt: RebuiltRanges

  constructor(
    private readonly all: ReadAhead,
    private readonly reads: PieceReads,
    ranges: Iterable<ExtentRange>,
    /** It is undefined if there are no copies. */
    private readonly copies?: CopyReader,
  ) {
    this.plan = new ReadPlan(ranges)
    this.rebuilt = new RebuiltRanges(reads.give)
  }

  /** The next piece, after which `taken` must be called; undefined at the end. */
  async next(): Promise<Uint8Array | undefined> {
    while (this.fetchNext());
    const first = this.ahead.shift()
    if (first === undefined) return undefined
    this.handedOut = first
    const bytes = await first.bytes
    if (bytes === undefined) return this.readInstead(first)
    const turn = this.all.turns.take(bytes.length)
    if (turn !== undefined) await turn
    this.handedOutMs = this.all.clock.monotonicMs()
    this.all.waiting.add(this)
    return bytes
  }

  /** The client has consumed the piece; its memory may be reused. */
  taken(bytes: Uint8Array): void {
    this.all.waiting.delete(this)
    this.takenBytes += bytes.length
    this.reads.give(bytes)
    this.handedOut?.release()
    this.handedOut = undefined
  }

  /** Plans the piece again, now that it is known that it has no copy. */
  private readInstead(piece: FetchedPiece): Promise<Uint8Array | undefined> {
    this.handedOut = undefined
    this.ahead.unshift(piece)
    this.fold()
    return this.next()
  }

  /** Frees the read-ahead; it will be read again. */
  fold(): void {
    this.plan.back(this.ahead.map(({ planned }) => planned))
    this.drop()
    this.rebuilt = new RebuiltRanges(this.reads.give)
  }

  /** Frees everything. Reads already requested may still be in progress. */
  end(): void {
    this.all.waiting.delete(this)
    this.handedOut?.bytes.then(this.give, () => undefined)
    this.handedOut?.release()
    this.handedOut = undefined
    this.drop()
  }

  private fetchNext(): boolean {
    const { all, ahead, takenBytes, isFirst, rebuilt } = this
    const bytesMax = all.rule({ aheadPieces: ahead.length, takenBytes, isFirst }, all.heldBytes, all.readBytesMax)
    if (bytesMax === undefined) return false
    if (this.copies !== undefined && this.borrowNext(this.copies)) return true
    if (bytesMax === SUB_BLOCK_BYTES && !isFirst) all.reclaim()
    const planned = this.plan.next(bytesMax)
    if (planned === undefined) return false
    this.isFirst = false
    const { lengthBytes } = planned.piece
    const release = lengthBytes > SUB_BLOCK_BYTES ? all.hold(lengthBytes) : NOT_COUNTED
    const bytes = this.reads.read(planned, rebuilt, isFirst)
    bytes.catch(() => undefined)
    ahead.push({ planned, bytes, release })
    return true
  }

  /** The next piece from a copy. Its bytes are not counted as held: all readers share them. */
  private borrowNext(copies: CopyReader): boolean {
    const range = this.plan.range()
    const lent = range && copies.ask(range)
    if (range === undefined || lent === undefined) return false
    const planned = this.plan.pass(lengthInUnit(range))
    this.isFirst = false
    this.ahead.push({ planned, bytes: Promise.resolve(lent), release: NOT_COUNTED })
    return true
  }

  private readonly give = (bytes: Uint8Array | undefined): void => {
    if (bytes !== undefined) this.reads.give(bytes)
  }

  private drop(): void {
    this.rebuilt.end()
    for (const { bytes, release } of this.ahead.splice(0)) {
      bytes.then(this.give, () => undefined).finally(release)
    }
  }
}
