/**
 * Connection to the database that is made again when it is lost.
 *
 * Limits  Waits between two tries double up to `SQL_LIMITS.reconnectMs.most`, half of each at random.
 */
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { ConnectionLost, OutcomeUnknown, TryAgain, type Database, type Session } from "./database.js"
import { SQL_LIMITS } from "./limits.js"

const mayPass = (error: unknown): boolean =>
  error instanceof ConnectionLost || error instanceof OutcomeUnknown || error instanceof TryAgain

interface ConnectionSeams {
  readonly clock: Clock
  readonly random: Random
  readonly database: Database
}

export class SqlConnection {
  private current: Session | undefined
  private connecting: Promise<Session> | undefined
  private lastError: string | undefined
  private failingSinceMs: number | undefined
  /** When work has last succeeded. */
  private workedAtMs = -Infinity
  private healing: Promise<void> | undefined

  constructor(
    private readonly seams: ConnectionSeams,
    private readonly signal: AbortSignal,
  ) {}

  /** The session, if it is open: for work that must not be repeated. */
  get open(): Session | undefined {
    return this.current?.isOpen === true ? this.current : undefined
  }

  /** Returns why the last connection was lost or could not be made; undefined: it works. */
  get trouble(): string | undefined {
    return this.lastError
  }

  /** It has not worked for so long that work is refused until it does. */
  private get isDown(): boolean {
    const { failingSinceMs } = this
    return failingSinceMs !== undefined && this.seams.clock.monotonicMs() - failingSinceMs >= SQL_LIMITS.downAfterMs
  }

  /** The session; connects unless it is open. Throws `ConnectionLost`. */
  private async session(): Promise<Session> {
    if (this.current?.isOpen === true) return this.current
    // Two users of the connection that find it lost share the new one.
    this.connecting ??= this.seams.database.connect().finally(() => (this.connecting = undefined))
    this.current = await this.connecting
    return this.current
  }

  /**
   * Runs work that may be repeated until it succeeds, on a new session if the last one is lost. Throws the last error
   * after `untilMs` of the monotonic clock or once the signal has fired, and any other error at once. Unless `untilMs`
   * is infinite, it gives up earlier if the connection is down: then it is made again in the background.
   */
  async repeat<T>(untilMs: number, work: (session: Session) => Promise<T>): Promise<T> {
    const { clock, random } = this.seams
    let waitMs: number = SQL_LIMITS.reconnectMs.first
    for (;;) {
      if (this.isDown && untilMs !== Infinity) throw this.down()
      const startedMs = clock.monotonicMs()
      try {
        const done = await work(await this.session())
        this.lastError = undefined
        this.failingSinceMs = undefined
        this.workedAtMs = clock.monotonicMs()
        return done
      } catch (error) {
        if (error instanceof ConnectionLost) {
          this.lastError = `the database cannot be reached: ${error.message}`
          // One that did not answer has not worked for as long as that was waited for, unless other work succeeded meanwhile.
          this.failingSinceMs ??= Math.max(startedMs, this.workedAtMs)
        }
        if (!mayPass(error) || this.signal.aborted || clock.monotonicMs() > untilMs) throw error
      }
      // Half of it is random, so that all nodes do not come back at the same moment.
      await clock.sleep(waitMs / 2 + random.below(waitMs / 2), this.signal)
      waitMs = Math.min(2 * waitMs, SQL_LIMITS.reconnectMs.most)
    }
  }

  private down(): ConnectionLost {
    this.healing ??= this.repeat(Infinity, session => session.storeId())
      .then(
        () => undefined,
        () => undefined,
      )
      .finally(() => (this.healing = undefined))
    return new ConnectionLost(this.lastError)
  }

  /** Call it once the signal has fired. */
  async close(): Promise<void> {
    await this.healing
    await this.current?.close()
  }
}
