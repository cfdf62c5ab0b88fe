/**
 * Lines of several threads on one stream of the process. Each thread writes its own with calls of the system:
 * `process.stderr` of a worker thread only passes them to the main thread, and what that has not written is lost when the
 * process ends by force.
 *
 * Promises  To write never waits and never fails. Lines of a thread keep their order. A line of at most `PIPE_BYTES` stays
 *           whole among those of other threads and processes; in a file and on a terminal so does every line. While the
 *           reader of a pipe does not keep up lines wait in memory, and the process does not end of itself.
 * Refuses   To keep a longer line whole in a pipe that is almost full, and to keep what waits if the process ends by force.
 * Limits    `WAITING_BYTES_MAX`: lines beyond are dropped, and counted. Lines for a stream without a reader are dropped.
 */
import { writeSync } from "node:fs"
import type { Clock } from "../clock/contract.js"

/** PIPE_BUF of Linux: so many bytes are written to a pipe at once, or not at all. It is lower elsewhere, as on macOS. */
export const PIPE_BYTES = 4_096
export const WAITING_BYTES_MAX = 4 * 1024 * 1024
const RETRY_MS = 10
const NEWLINE = 10
const STANDARD_ERROR = 2

/** Whole lines, as many at a time as stay whole. */
function groupsOf(lines: string): readonly Uint8Array[] {
  const bytes = Buffer.from(lines)
  const groups: Uint8Array[] = []
  for (let start = 0; start < bytes.length;) {
    let end = bytes.length
    if (end > start + PIPE_BYTES) {
      end = bytes.lastIndexOf(NEWLINE, start + PIPE_BYTES - 1) + 1
      if (end <= start) end = bytes.indexOf(NEWLINE, start) + 1
      if (end === 0) end = bytes.length
    }
    groups.push(bytes.subarray(start, end))
    start = end
  }
  return groups
}

const linesIn = (text: string): number => text.split("\n").length - 1

export class WholeLines {
  private waiting: Uint8Array[] = []
  private waitingBytes = 0
  private dropped = 0

  /**
   * `put` writes bytes, or some of them, and returns their number; it may throw. `onDropped` learns how many lines are
   * missing, once there is room again.
   */
  constructor(
    private readonly clock: Pick<Clock, "alarm">,
    private readonly put: (bytes: Uint8Array) => number,
    private readonly onDropped: (lines: number) => void,
  ) {}

  /** The lines of this thread on standard error. */
  static onStandardError(clock: Pick<Clock, "alarm">, onDropped: (lines: number) => void): WholeLines {
    return new WholeLines(clock, bytes => writeSync(STANDARD_ERROR, bytes), onDropped)
  }

  /** `lines` end with a newline. */
  write(lines: string): void {
    if (this.waitingBytes + lines.length > WAITING_BYTES_MAX) {
      this.dropped += linesIn(lines)
      return
    }
    const isFirst = this.waiting.length === 0
    for (const group of groupsOf(lines)) {
      this.waiting.push(group)
      this.waitingBytes += group.length
    }
    if (isFirst) this.flush()
  }

  private flush(): void {
    let written = 0
    for (const group of this.waiting) {
      const bytes = this.tryPut(group)
      this.waitingBytes -= bytes
      if (bytes < group.length) {
        this.waiting = this.waiting.slice(written)
        this.waiting[0] = group.subarray(bytes)
        this.clock.alarm(RETRY_MS, () => this.flush())
        return
      }
      written += 1
    }
    this.waiting = []
    const { dropped } = this
    this.dropped = 0
    if (dropped > 0) this.onDropped(dropped)
  }

  private tryPut(bytes: Uint8Array): number {
    try {
      return this.put(bytes)
    } catch (error) {
      // The pipe is full; after any other error it has no reader.
      return error instanceof Error && "code" in error && error.code === "EAGAIN" ? 0 : bytes.length
    }
  }
}
