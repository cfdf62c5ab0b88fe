/** A database whose answers to reads a test can hold back or change, as slow networks and servers that were replaced do. */
import type { Database, Fetched, Session } from "@hayloft/engine/sql/database.js"
import { SessionAround } from "@hayloft/engine/sql/session-around.js"

type Answer = (found: Fetched) => Fetched | Promise<Fetched>

export class AnsweredDatabase implements Database {
  private next: Answer | undefined

  constructor(private readonly inner: Database) {}

  migrate(): Promise<void> {
    return this.inner.migrate()
  }

  async connect(): Promise<Session> {
    return new AnsweredSession(await this.inner.connect(), found => this.answer(found))
  }

  private answer(found: Fetched): Fetched | Promise<Fetched> {
    const { next } = this
    this.next = undefined
    return next === undefined ? found : next(found)
  }

  /** The next read shows its lane as it was one commit before. */
  answerOneCommitLate(): void {
    this.next = ({ lane, ...found }) => ({ ...found, lane: lane && { ...lane, number: lane.number - 1n } })
  }

  /** The answer to the next read arrives once this is called. */
  holdNext(): () => void {
    let release: () => void = () => undefined
    const released = new Promise<void>(resolve => (release = resolve))
    this.next = found => released.then(() => found)
    return release
  }
}

class AnsweredSession extends SessionAround {
  constructor(
    inner: Session,
    private readonly answer: Answer,
  ) {
    super(inner)
  }

  override async fetch(...request: Parameters<Session["fetch"]>): Promise<Fetched> {
    return this.answer(await super.fetch(...request))
  }
}
