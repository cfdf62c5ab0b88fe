/**
 * Read pins: bytes pending deletion that may still be read.
 *
 * Unreferenced bytes may still have readers. A reader pins the position of the rows that it got, and the collector
 * deletes only bytes that became unreferenced before every pin. A pin lasts while its reader makes progress. If it
 * expires, the reader's connection fails; it never gets wrong bytes.
 */
import { fail } from "@hayloft/base/failures.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { RETENTION_LIMITS, type DuePositions, type ByteRetention } from "./retention.js"

const READ_PIN_LIMITS = {
  /** Other processes of the store do not know of a pin: its reader ends before they may delete the bytes. */
  ageMsMax: RETENTION_LIMITS.retentionMs - RETENTION_LIMITS.epochMs,
  /** A reader without progress for this long loses its pin. */
  idleMsMax: 15 * 60_000,
} as const

export class ReadPin {
  private touchedMs: number
  private expired = false

  constructor(
    readonly position: number,
    private readonly bornMs: number,
    private readonly pins: Set<ReadPin>,
    private readonly clock: Clock,
    private readonly ageMsMax: number,
  ) {
    this.touchedMs = bornMs
    pins.add(this)
  }

  /** Called before bytes are returned. Throws if the pin has expired. */
  progress(): void {
    const nowMs = this.clock.monotonicMs()
    // Nobody asks for the oldest pin if other processes share the store.
    this.expireIfOver(nowMs)
    if (this.expired) throw fail("requestTimeout", { message: "the read took too long" })
    this.touchedMs = nowMs
  }

  /** The same pieces; the pin ends with them. */
  async *during(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    try {
      for await (const bytes of pieces) {
        this.progress()
        yield bytes
      }
    } finally {
      this.close()
    }
  }

  close(): void {
    this.pins.delete(this)
  }

  expireIfOver(nowMs: number): void {
    const { idleMsMax } = READ_PIN_LIMITS
    if (nowMs - this.bornMs <= this.ageMsMax && nowMs - this.touchedMs <= idleMsMax) return
    this.expired = true
    this.close()
  }
}

export class ReadPins implements ByteRetention {
  private readonly pins = new Set<ReadPin>()

  constructor(
    private readonly clock: Clock,
    /** A reader may last this long: less than released bytes are kept. */
    private readonly ageMsMax: number = READ_PIN_LIMITS.ageMsMax,
  ) {}

  open(position: number): ReadPin {
    return new ReadPin(position, this.clock.monotonicMs(), this.pins, this.clock, this.ageMsMax)
  }

  /** Returns what no reader of this process uses: for a store that only this process opens. */
  now(): DuePositions {
    return dueUpTo(this.oldest())
  }

  /** No reader uses bytes that became unreferenced at or below this position. */
  oldest(): number {
    const nowMs = this.clock.monotonicMs()
    let oldest = Number.MAX_SAFE_INTEGER
    for (const pin of this.pins) {
      pin.expireIfOver(nowMs)
      if (this.pins.has(pin) && pin.position < oldest) oldest = pin.position
    }
    return oldest
  }

  get count(): number {
    return this.pins.size
  }
}

const dueUpTo = (oldest: number): DuePositions => ({ isDue: position => position <= oldest, after: () => undefined })

/** The pins of a process whose other threads have readers, too; `others` asks these now. */
export class ThreadPins implements ByteRetention {
  constructor(
    private readonly own: Pick<ReadPins, "oldest">,
    private readonly others: () => Promise<number>,
  ) {}

  async now(): Promise<DuePositions> {
    const ofOthers = await this.others()
    return dueUpTo(Math.min(ofOthers, this.own.oldest()))
  }
}
