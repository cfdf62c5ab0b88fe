/**
 * Read pins: which released bytes may still be read.
 *
 * "Unreferenced" does not say that nobody reads it: a reader pins the position of the rows it was
 * given, and the collector deletes only what was released before every pin. A pin lasts while its
 * reader progresses; one that outlives it breaks the reader's connection, never its bytes.
 */
import { fail } from "../base/failures.js"
import type { Clock } from "../seams/clock/contract.js"

export const READ_PIN_LIMITS = {
  ageMsMax: 24 * 3_600_000,
  /** Without progress for this long a reader has lost its pin. */
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
  ) {
    this.touchedMs = bornMs
    pins.add(this)
  }

  /** Called before bytes are passed on. Throws when the pin was lost. */
  progress(): void {
    if (this.expired) throw fail("requestTimeout", { message: "the read took too long" })
    this.touchedMs = this.clock.monotonicMs()
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
    const { ageMsMax, idleMsMax } = READ_PIN_LIMITS
    if (nowMs - this.bornMs <= ageMsMax && nowMs - this.touchedMs <= idleMsMax) return
    this.expired = true
    this.close()
  }
}

export class ReadPins {
  private readonly pins = new Set<ReadPin>()

  constructor(private readonly clock: Clock) {}

  open(position: number): ReadPin {
    return new ReadPin(position, this.clock.monotonicMs(), this.pins, this.clock)
  }

  /** Bytes released at or below this position are read by nobody. */
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
