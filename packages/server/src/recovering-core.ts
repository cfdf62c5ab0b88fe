/**
 * Recovery of a store whose writes are halted, decided: when it is opened again in its process, and when the process says
 * that it is not alive. Pure.
 *
 * Promises  A store is opened again only while the devices that its start needs answer, at once if all do, and then after
 *           growing waits: a log that fails again and again does not keep clients waiting for starts.
 *           The process is alive while a device does not answer: a restart would not help.
 */

const RECOVERY = {
  /** With some devices missing, others may return within this time. */
  patienceMs: 30_000,
  firstWaitMs: 5_000,
  waitMsMax: 15 * 60_000,
  /** A store that has served for so long begins with the first wait again. */
  healthyMs: 15 * 60_000,
  /** Writes halted for so long while every device answers: a restart is worth a try. */
  unhealthyMs: 60_000,
} as const

/** How the devices of the record answered. */
export type Answers = "all" | "enough" | "too few"

export interface Observed {
  readonly nowMs: number
  /** The reason why nothing can be written; undefined: writes go on. */
  readonly trouble: string | undefined
  /** Only opening the store again ends the trouble. */
  readonly isLogFailed: boolean
  readonly answers: Answers
}

export class RecoveryCore {
  private troubleSinceMs: number | undefined
  private answeringSinceMs: number | undefined
  private wellSinceMs = -Infinity
  private notBeforeMs = -Infinity
  private waitMs: number = RECOVERY.firstWaitMs

  /** Returns true if the store is to be opened again now. */
  see({ nowMs, trouble, isLogFailed, answers }: Observed): boolean {
    if (trouble === undefined) {
      if (this.troubleSinceMs !== undefined) this.wellSinceMs = nowMs
      this.troubleSinceMs = undefined
      this.answeringSinceMs = undefined
      if (nowMs - this.wellSinceMs >= RECOVERY.healthyMs) this.waitMs = RECOVERY.firstWaitMs
      return false
    }
    this.troubleSinceMs ??= nowMs
    if (answers === "all") this.answeringSinceMs ??= nowMs
    else this.answeringSinceMs = undefined
    const mayOpen = answers === "all" || (answers === "enough" && nowMs - this.troubleSinceMs >= RECOVERY.patienceMs)
    if (!isLogFailed || !mayOpen || nowMs < this.notBeforeMs) return false
    this.notBeforeMs = nowMs + this.waitMs
    this.waitMs = Math.min(2 * this.waitMs, RECOVERY.waitMsMax)
    return true
  }

  /** Returns why a restart of the process is worth a try; undefined: it is not. */
  unhealthy(nowMs: number): string | undefined {
    const sinceMs = Math.max(this.troubleSinceMs ?? nowMs, this.answeringSinceMs ?? nowMs)
    if (nowMs - sinceMs < RECOVERY.unhealthyMs) return undefined
    return "writes have been halted for more than a minute although every device answers"
  }
}

/** How many of the devices answered that a start needs: more than half of those that vote, and one with metadata. */
export function answersOf(
  voting: readonly string[],
  withMetadata: readonly string[],
  answering: ReadonlySet<string>,
): Answers {
  const count = voting.filter(id => answering.has(id)).length
  if (count === voting.length) return "all"
  return 2 * count > voting.length && withMetadata.some(id => answering.has(id)) ? "enough" : "too few"
}
