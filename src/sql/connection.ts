/**
 * Connection to the database that is made again when it is lost.
 *
 * Limits  Waits between two tries double up to `SQL_LIMITS.reconnectMs.most`.
 */
import type { Clock } from "../seams/clock/contract.js"
import { ConnectionLost, OutcomeUnknown, TryAgain, type Database, type Session } from "./database.js"
import { SQL_LIMITS } from "./limits.js"

const mayPass = (error: unknown): boolean =>
  error instanceof ConnectionLost || error instanceof OutcomeUnknown || error instanceof TryAgain

export class Connection {
  private current: Session | undefined

  constructor(
    private readonly database: Database,
    private readonly clock: Clock,
    private readonly signal: AbortSignal,
  ) {}

  /** The session, if it is open: for work that must not be repeated. */
  get open(): Session | undefined {
    return this.current?.isOpen === true ? this.current : undefined
  }

  /** The session; connects if there is none. Throws `ConnectionLost`. */
  private async session(): Promise<Session> {
    if (this.current?.isOpen !== true) this.current = await this.database.connect()
    return this.current
  }

  /**
   * Runs work that may be repeated until it succeeds, on a new session if the last one is lost. Throws the last error
   * after `untilMs` of the monotonic clock or once the signal has fired, and any other error at once.
   */
  async repeat<T>(untilMs: number, work: (session: Session) => Promise<T>): Promise<T> {
    let waitMs: number = SQL_LIMITS.reconnectMs.first
    for (;;) {
      try {
        return await work(await this.session())
      } catch (error) {
        if (!mayPass(error) || this.signal.aborted || this.clock.monotonicMs() > untilMs) throw error
      }
      await this.clock.sleep(waitMs, this.signal)
      waitMs = Math.min(2 * waitMs, SQL_LIMITS.reconnectMs.most)
    }
  }

  async close(): Promise<void> {
    await this.current?.close()
  }
}
