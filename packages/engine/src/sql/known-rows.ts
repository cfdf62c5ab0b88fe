/**
 * Known rows: rows of buckets and identities in memory. Each change of one increases the store's generation, and each
 * statement returns it, so they are as in the database while the generation is the same.
 *
 * Promises  A query is answered from rows that were all of one generation: the newest that a statement has returned.
 * Limits    KNOWN_LIMITS.
 */
import { MIB } from "@hayloft/base/limits.js"
import { isOfGeneration, type Incarnations, type Query } from "../metadata/index.js"
import type { Position } from "@hayloft/base/ids.js"
import { isFailure } from "@hayloft/base/failures.js"
import type { Fetched, StoredRow } from "./database.js"
import { FetchedRows, RowsMissing, Wants } from "./rows-core.js"
import { NOT_FETCHED, SqlQueryView } from "./query-view.js"

const KNOWN_LIMITS = { rows: 20_000, bytes: 16 * MIB } as const

const NO_GENERATION = -1n

export class KnownRows {
  private rows = new FetchedRows()
  private count = 0
  private bytes = 0
  private current = NO_GENERATION
  private changesSeen = 0
  private mark: object = {}

  /** Increases whenever known rows may have changed. */
  get changes(): number {
    return this.changesSeen
  }

  /** A statement has returned this generation. An older one comes from a statement that was overtaken. */
  note(generation: bigint): void {
    if (generation <= this.current) return
    this.current = generation
    this.change()
  }

  /** Another incarnation begins: what happened since the last statement is unknown. */
  forget(): void {
    this.current = NO_GENERATION
    this.change()
  }

  private change(): void {
    this.clear()
    this.changesSeen += 1
    this.mark = {}
  }

  /** The `generationMark` of views of this generation; undefined: it is not the newest that is known. */
  markOf(generation: bigint): object | undefined {
    return generation === this.current ? this.mark : undefined
  }

  private clear(): void {
    this.rows = new FetchedRows()
    this.count = 0
    this.bytes = 0
  }

  /** Keeps what one statement returned for everything wanted. */
  keep(generation: bigint, wants: Wants, fetched: Fetched): void {
    if (generation !== this.current) return
    for (const [at, [name, { family }]] of [...wants.keys].entries()) {
      if (!isOfGeneration(family) || this.rows.hasNamed(name)) continue
      const row = fetched.rows[at]
      const valueBytes = valueBytesOf(row)
      if (valueBytes === undefined) continue
      this.count += 1
      this.bytes += name.length + valueBytes
      if (this.count > KNOWN_LIMITS.rows || this.bytes > KNOWN_LIMITS.bytes) this.clear()
      this.rows.addNamed(name, row)
    }
  }

  /** The result, if all rows that it needs are known. Throws what the query throws. */
  answer<Result>(
    query: Query<Result>,
    incarnations: Incarnations,
    position: Position,
  ): { readonly result: Result } | undefined {
    const mark = this.current === NO_GENERATION ? NOT_FETCHED : this.mark
    try {
      return { result: query.answer(new SqlQueryView(this.rows, new Wants(), { incarnations, position, mark })) }
    } catch (error) {
      if (error instanceof RowsMissing) return undefined
      throw error
    }
  }
}

/**
 * Returns undefined if the row does not open. Queries that read it fail, but not other queries that read with the same
 * statement.
 */
function valueBytesOf(row: StoredRow | undefined): number | undefined {
  try {
    return row?.value?.length ?? 0
  } catch (error) {
    if (isFailure(error, "corruptRow")) return undefined
    throw error
  }
}
