/**
 * A progress line on a terminal: bytes, share, speed, time left. Drawn at most ten times a second, and only on a
 * terminal.
 */
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { durationText, sizeText } from "./text.js"

const DRAW_EVERY_MS = 100
const BAR_CELLS = 24

export class Progress {
  readonly #startedMs: number
  #drawnMs: number
  #doneBytes = 0
  #drawn = false

  constructor(
    private readonly draw: ((text: string) => void) | undefined,
    private readonly clock: Clock,
    private readonly label: () => string,
    /** The total is undefined if unknown. */
    private readonly totalBytes: number | undefined,
  ) {
    this.#startedMs = clock.monotonicMs()
    this.#drawnMs = this.#startedMs
  }

  add(bytes: number): void {
    this.#doneBytes += bytes
    const nowMs = this.clock.monotonicMs()
    if (this.draw === undefined || nowMs - this.#drawnMs < DRAW_EVERY_MS) return
    this.#drawnMs = nowMs
    this.#drawn = true
    this.draw(
      `\r\x1b[K${progressText(this.label(), this.#doneBytes, this.totalBytes, (nowMs - this.#startedMs) / 1000)}`,
    )
  }

  /** Removes the line; further bytes draw it again. */
  end(): void {
    if (this.#drawn) this.draw?.("\r\x1b[K")
    this.#drawn = false
  }
}

export function progressText(
  label: string,
  doneBytes: number,
  totalBytes: number | undefined,
  seconds: number,
): string {
  const bytesPerSecond = seconds > 0 ? doneBytes / seconds : 0
  const speed = `${sizeText(bytesPerSecond)}/s`
  if (totalBytes === undefined || totalBytes === 0) return `${label}  ${sizeText(doneBytes)}  ${speed}`
  const share = Math.min(1, doneBytes / totalBytes)
  const full = Math.round(share * BAR_CELLS)
  const bar = `[${"#".repeat(full)}${".".repeat(BAR_CELLS - full)}]`
  const left = bytesPerSecond > 0 ? `  ${durationText((totalBytes - doneBytes) / bytesPerSecond)} left` : ""
  return `${label}  ${bar} ${Math.floor(share * 100)}%  ${sizeText(doneBytes)} of ${sizeText(totalBytes)}  ${speed}${left}`
}
