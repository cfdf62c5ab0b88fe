/**
 * Read-ahead: what all readers hold, piece by piece: being read, read, or handed out and not yet taken by the client.
 *
 * Promises  Pieces come in order. Where memory is short, what was read ahead for a client that has taken nothing for
 *           `stalledReaderMs` is given back, and read again when it does. A reader that ends gives everything back.
 * Limits    `read-ahead-core.ts`.
 */
import { SUB_BLOCK_BYTES } from "../base/limits.js"
import type { Clock } from "../seams/clock/contract.js"
import { BLOCK_LIMITS } from "./limits.js"
import { nextPieceBytes, type PieceRule } from "./read-ahead-core.js"
import { ReadPlan, type ExtentRange, type PlannedPiece } from "./read-plan-core.js"
import { RebuiltRanges } from "./rebuilt-ranges.js"
import { TurnBytes } from "./turn-bytes.js"

/** How pieces are read, and where those go that nobody takes. */
export interface PieceReads {
  read(planned: PlannedPiece, rebuilt: RebuiltRanges, isFirst: boolean): Promise<Uint8Array>
  readonly give: (bytes: Uint8Array) => void
}

interface FetchedPiece {
  readonly planned: PlannedPiece
  readonly bytes: Promise<Uint8Array>
  /** Its bytes are not held any more. */
  readonly release: () => void
}

const NOT_COUNTED = (): void => undefined

/** What all readers hold together. */
export class ReadAhead {
  private held = 0
  /** Those whose clients have a piece to take, in the order in which they were handed it. */
  readonly waiting = new Set<OpenReader>()
  readonly turns: TurnBytes

  constructor(
    readonly clock: Pick<Clock, "monotonicMs" | "atEndOfTurn">,
    readonly rule: PieceRule = nextPieceBytes,
  ) {
    this.turns = new TurnBytes(clock, BLOCK_LIMITS.readBytesOfTurn)
  }

  /** In long pieces. */
  get heldBytes(): number {
    return this.held
  }

  /** Whether so many bytes may be held that no client has asked for yet. */
  hasRoomFor(bytes: number): boolean {
    return this.held + bytes <= BLOCK_LIMITS.readBytesMax / 2
  }

  /** Counts the bytes until what it returns is called. */
  hold(bytes: number): () => void {
    this.held += bytes
    let isHeld = true
    return () => {
      if (isHeld) this.held -= bytes
      isHeld = false
    }
  }

  /** Takes from stalled readers what was read ahead for them. */
  reclaim(): void {
    const untilMs = this.clock.monotonicMs() - BLOCK_LIMITS.stalledReaderMs
    for (const reader of this.waiting) {
      if (reader.handedOutMs > untilMs) return
      this.waiting.delete(reader)
      reader.fold()
    }
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
  ) {
    this.plan = new ReadPlan(ranges)
    this.rebuilt = new RebuiltRanges(reads.give)
  }

  /** The next piece, which `taken` has to follow; undefined at the end. */
  async next(): Promise<Uint8Array | undefined> {
    while (this.fetchNext());
    const first = this.ahead.shift()
    if (first === undefined) return undefined
    this.handedOut = first
    const bytes = await first.bytes
    const turn = this.all.turns.take(bytes.length)
    if (turn !== undefined) await turn
    this.handedOutMs = this.all.clock.monotonicMs()
    this.all.waiting.add(this)
    return bytes
  }

  /** The client has taken the piece; nobody looks at it any more. */
  taken(bytes: Uint8Array): void {
    this.all.waiting.delete(this)
    this.takenBytes += bytes.length
    this.reads.give(bytes)
    this.handedOut?.release()
    this.handedOut = undefined
  }

  /** Gives back what was read ahead; it will be read again. */
  fold(): void {
    this.plan.back(this.ahead.map(({ planned }) => planned))
    this.drop()
    this.rebuilt = new RebuiltRanges(this.reads.give)
  }

  /** Gives everything back. What was asked for may still be on its way. */
  end(): void {
    this.all.waiting.delete(this)
    this.handedOut?.bytes.then(this.reads.give, () => undefined)
    this.handedOut?.release()
    this.handedOut = undefined
    this.drop()
  }

  private fetchNext(): boolean {
    const { all, ahead, takenBytes, isFirst, rebuilt } = this
    const bytesMax = all.rule({ aheadPieces: ahead.length, takenBytes, isFirst }, all.heldBytes)
    if (bytesMax === undefined) return false
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

  private drop(): void {
    this.rebuilt.end()
    for (const { bytes, release } of this.ahead.splice(0)) {
      bytes.then(this.reads.give, () => undefined).finally(release)
    }
  }
}
