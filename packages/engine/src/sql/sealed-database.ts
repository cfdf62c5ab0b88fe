/**
 * A database whose rows are encrypted, in a store with `--encrypt-at-rest`: values and heads are sealed before they are
 * sent, and opened when they are read. Statements see only that they are there. See `format/sealed-row.ts`.
 *
 * The rows of coordination (family `cluster`) stay readable: the control record among them holds the sealed keys, and
 * nodes announce themselves and take leases before they can open anything else. They contain nothing of clients but
 * names of damaged objects in the reports of nodes, and names are readable in row keys as well.
 *
 * Promises  A row that does not open fails what reads it, and nothing else: it is opened when it is looked at.
 */
import { must } from "@hayloft/base/assert.js"
import { sealColumn, openColumn } from "../format/sealed-row.js"
import type { RowCipher } from "@hayloft/base/encryption/row-cipher.js"
import type {
  Column,
  CommitOutcome,
  CommitRequest,
  Database,
  Fetched,
  FetchRequest,
  NewRow,
  Session,
  StoredFamily,
  StoredRow,
} from "./database.js"
import { SessionAround } from "./session-around.js"

/** The cipher is undefined until the store's keys are known, and in a store that does not encrypt its rows. */
export interface RowSealing {
  cipher: RowCipher | undefined
}

export class SealedDatabase implements Database {
  constructor(
    private readonly database: Database,
    private readonly sealing: RowSealing,
  ) {}

  migrate(): Promise<void> {
    return this.database.migrate()
  }

  async connect(): Promise<Session> {
    return new SealedSession(await this.database.connect(), this.sealing)
  }
}

class SealedSession extends SessionAround {
  constructor(
    inner: Session,
    private readonly sealing: RowSealing,
  ) {
    super(inner)
  }

  override async fetch(request: FetchRequest): Promise<Fetched> {
    return this.opened(request, await this.inner.fetch(request))
  }

  override snapshot<T>(work: (fetch: Session["fetch"]) => Promise<T>): Promise<T> {
    return this.inner.snapshot(fetch => work(async request => this.opened(request, await fetch(request))))
  }

  override makeChanges(request: CommitRequest): Promise<CommitOutcome> {
    const { cipher } = this.sealing
    if (cipher === undefined) return this.inner.makeChanges(request)
    const { version } = request
    return this.inner.makeChanges({
      ...request,
      replaced: request.replaced.map(row => sealed(cipher, row, version)),
      added: request.added.map(row => sealed(cipher, row, version)),
    })
  }

  private opened({ keys, ranges }: FetchRequest, fetched: Fetched): Fetched {
    const { cipher } = this.sealing
    if (cipher === undefined) return fetched
    const open = (family: StoredFamily, row: StoredRow): StoredRow =>
      isReadable(family) ? row : new SealedRow(cipher, family, row)
    return {
      ...fetched,
      rows: fetched.rows.map((row, at) => row && open(must(keys[at], "rows are of the keys").family, row)),
      ranges: fetched.ranges.map((rows, at) => {
        const { family } = must(ranges[at], "rows are of the ranges")
        return rows.map(row => open(family, row))
      }),
    }
  }
}

const isReadable = (family: StoredFamily): boolean => family === "cluster"

function sealed<Row extends NewRow>(cipher: RowCipher, row: Row, version: bigint): Row {
  const { family, key, value, head } = row
  if (isReadable(family)) return row
  const seal = (column: Column, plain: Uint8Array | undefined) =>
    plain && sealColumn(cipher, { family, key, column, version }, plain)
  return { ...row, value: seal("value", value), head: seal("head", head) }
}

/** Both columns are opened at once, so that a decision which has seen one of them can rely on the other. */
class SealedRow implements StoredRow {
  private plain: Pick<StoredRow, Column> | undefined

  constructor(
    private readonly cipher: RowCipher,
    private readonly family: StoredFamily,
    private readonly stored: StoredRow,
  ) {}

  get key(): StoredRow["key"] {
    return this.stored.key
  }

  get version(): StoredRow["version"] {
    return this.stored.version
  }

  get payload(): StoredRow["payload"] {
    return this.stored.payload
  }

  get value(): StoredRow["value"] {
    return this.columns().value
  }

  get head(): StoredRow["head"] {
    return this.columns().head
  }

  /** Throws `corruptRow`. */
  private columns(): Pick<StoredRow, Column> {
    return (this.plain ??= { value: this.open("value"), head: this.open("head") })
  }

  private open(column: Column): Uint8Array | undefined {
    const { key, version, [column]: bytes } = this.stored
    return bytes && openColumn(this.cipher, { family: this.family, key, column, version }, bytes)
  }
}
