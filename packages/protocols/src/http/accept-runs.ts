/**
 * Runs of accepts: turns of the event loop in a row of which each has accepted a connection.
 *
 * The event loop accepts one connection in a turn. The others wait in the system's queue, and a client there, of any account,
 * waits for as many turns as connections are before it: with hundreds of them whose requests occupy their turns for some
 * milliseconds, that is seconds before its head can be read, and before fairness can know it. During a run requests
 * and bodies therefore wait, so that its turns are short.
 *
 * Promises  Connections that come one by one begin no run, and clients that keep their connections cause none.
 * Limits    A run holds work back for `HOLD_MS`, then lets it go on for as long.
 */
import type { Clock } from "@hayloft/base/seams/clock/contract.js"

/** Fewer turns in a row are no run: their connections may have come one by one. */
const TURNS_MIN = 4
const HOLD_MS = 100

export class AcceptRuns {
  private hasAccepted = false
  private turns = 0
  private beganMs = 0

  constructor(private readonly clock: Pick<Clock, "atEndOfTurn" | "monotonicMs">) {}

  /** A connection has been accepted. */
  note(): void {
    if (this.hasAccepted) return
    this.hasAccepted = true
    this.turns += 1
    if (this.turns === TURNS_MIN) this.beganMs = this.clock.monotonicMs()
    this.clock.atEndOfTurn(this.endTurn)
  }

  /** Returns true if work is to wait for a later turn, because connections wait to be accepted. */
  holds(nowMs: number): boolean {
    return this.turns >= TURNS_MIN && (nowMs - this.beganMs) % (2 * HOLD_MS) < HOLD_MS
  }

  private readonly endTurn = (): void => {
    this.hasAccepted = false
    this.clock.atEndOfTurn(this.endRun)
  }

  /** Called at the end of the next turn. */
  private readonly endRun = (): void => {
    if (!this.hasAccepted) this.turns = 0
  }
}
