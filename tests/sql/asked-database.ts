/** A database that keeps what its statements were asked for: how many that read, and the most rows of one range. */
import type { Database, FetchRequest, Session } from "@hayloft/engine/sql/database.js"
import { SessionAround } from "@hayloft/engine/sql/session-around.js"

export class AskedDatabase implements Database {
  fetches = 0
  rangeMax = 0

  constructor(private readonly inner: Database) {}

  migrate(): Promise<void> {
    return this.inner.migrate()
  }

  async connect(): Promise<Session> {
    const note = ({ ranges }: FetchRequest): void => {
      this.fetches += 1
      for (const { max } of ranges) this.rangeMax = Math.max(this.rangeMax, max)
    }
    return new AskedSession(await this.inner.connect(), note)
  }
}

class AskedSession extends SessionAround {
  constructor(
    inner: Session,
    private readonly note: (request: FetchRequest) => void,
  ) {
    super(inner)
  }

  override fetch(request: FetchRequest): ReturnType<Session["fetch"]> {
    this.note(request)
    return super.fetch(request)
  }

  override snapshot<T>(work: (fetch: Session["fetch"]) => Promise<T>): Promise<T> {
    return super.snapshot(fetch =>
      work(request => {
        this.note(request)
        return fetch(request)
      }),
    )
  }
}
