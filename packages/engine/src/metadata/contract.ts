/**
 * Metadata: ordered rows, changed by commands and read by queries. Only an engine stores them.
 *
 * A command or a query is a name, plain arguments and a pure function over a view of the rows; its result is plain data,
 * too. The engine may call the function several times, also with a copy of the arguments, until the rows that it reads
 * are in memory; or in another thread, which finds it by the name. Views and ranges are valid during one call; rows may be
 * kept, and never change.
 *
 * Who asks may receive a copy of the result, in which a Buffer is a plain Uint8Array, and no object is the one that the
 * function returned. Of a `Failure` that the function throws, only the kind and the details arrive, neither its class nor
 * its cause.
 *
 * Promises  A command is decided on the rows of one moment, and its writes are atomic. A result or a
 *           refusal is returned only once everything that the decision read is committed. A query reads the rows of one
 *           moment, which includes everything acknowledged before the query.
 */
import type { Family } from "@hayloft/base/rows/families.js"
import type { BucketId, Position, RowKey } from "@hayloft/base/ids.js"
import type { LentSoon } from "@hayloft/base/memory/lent.js"
import { ENTRY_BYTES_MAX } from "@hayloft/base/limits.js"
import type { Soon } from "@hayloft/base/soon.js"
import type { EntryWrite } from "../format/device/entry.js"
import type { Counters } from "../format/records.js"
import type { Usage } from "../format/objects/usage.js"
import { Kinds } from "./kinds.js"
import { checkSize } from "./command-size.js"
import { GuardedView } from "./guards.js"
import type { Incarnations } from "./incarnations.js"
import { plainCopy } from "./plain-copy.js"
import type { CommandView, DecisionView, MetadataRow, QueryView, RowView } from "./views.js"

export interface DecisionTime {
  /** The wall clock, or the time of `setEarliestTime` if that is later. */
  readonly nowMs: number
  /**
   * The commit timestamp: whole microseconds since 1970. A command that was requested after another one was answered, or
   * seen by any client, has a later one, whichever processes run them. Commands of one process that write never share one.
   */
  readonly commitUs: number
  /** The position that the decision's entry would get. */
  readonly position: Position
  /** A byte string that no other decision of the store gets; its first 8 bytes are the position. */
  readonly id: string
  /** The incarnations that are known at this moment. */
  readonly incarnations: Incarnations
}

interface Decision<Result> {
  /** Empty: nothing changes. */
  readonly writes: readonly EntryWrite[]
  /** Changes of the counters of buckets (family `counters`), which decisions read but do not write: each bucket once. */
  readonly counts?: readonly CounterChange[] | undefined
  /** Changes of counts (family `usage`), each row once. */
  readonly usage?: readonly UsageChange[] | undefined
  readonly result: Result
}

export interface CounterChange {
  readonly bucketId: BucketId
  /** The amounts to add to each counter; "drop": the bucket is gone, and so are its counters. */
  readonly change: Counters | "drop"
}

/**
 * A change of a count, which may have a limit. Like a counter it is added to: nothing validates the row that the decision read. But a
 * change with a limit takes effect only if the sum is within it by then; otherwise the command is decided again.
 */
export interface UsageChange {
  readonly key: RowKey
  /** The usage to add; "drop": the row is deleted, if there is one. */
  readonly change: Usage | "drop"
  /** The row is new: the change is what it has. */
  readonly isNew?: true
  /** The most that bytes and bytes of parts may be together, afterwards. */
  readonly bytesMax?: number
  readonly objectsMax?: number
}

/** Rows that a command reads first: the engine fetches them together, before it. */
export type Touches = readonly (readonly [Family, RowKey])[]

/** Reads the rows and deletes those that are present. */
export const deletionsOf = (view: RowView, rows: Touches): EntryWrite[] =>
  rows.flatMap(([family, key]) => (view.get(family, key) ? [{ family, key, value: undefined }] : []))

type Arguments = readonly unknown[]

interface CommandKind<Args extends Arguments, Result> {
  readonly name: string
  /** False if the command shrinks rows or records usage. Such commands run even if a disk has no space for more. */
  readonly grows?: false | ((...args: Args) => boolean)
  /** The bytes that it may write, if they are more than an entry of a log has. Only an engine without one runs it. */
  readonly bytesMax?: number
  touches?(...args: Args): Touches
  /** Pure. Throws a `Failure` to refuse. */
  decide(view: CommandView, time: DecisionTime, ...args: Args): Decision<Result>
}

export interface Command<Result> {
  readonly name: string
  readonly args: Arguments
  readonly grows: boolean
  readonly touches: Touches
  /** Throws the refusal. */
  decide(rows: DecisionView, time: DecisionTime): Decision<Result>
  /** The same command with a copy of its arguments: as another process receives it. Throws if they are not plain data. */
  copied(): Command<Result>
}

class CommandOfKind<Args extends Arguments, Result> implements Command<Result> {
  readonly name: string
  readonly grows: boolean
  readonly touches: Touches

  constructor(
    private readonly kind: CommandKind<Args, Result>,
    readonly args: Args,
  ) {
    const { name, grows } = kind
    this.name = name
    this.grows = typeof grows === "function" ? grows(...args) : grows !== false
    this.touches = kind.touches?.(...args) ?? NOTHING_TOUCHED
  }

  decide(rows: DecisionView, time: DecisionTime): Decision<Result> {
    const view = new GuardedView(rows)
    const decision = this.kind.decide(view, time, ...this.args)
    if (decision.writes.length > 0) {
      view.check(decision.writes)
      checkSize(this.name, decision, this.kind.bytesMax ?? ENTRY_BYTES_MAX)
    }
    return decision
  }

  copied(): Command<Result> {
    return new CommandOfKind(this.kind, plainCopy(this.args))
  }
}

const COMMANDS = new Kinds<Command<unknown>>("command")

/** Makes the function that makes commands of this kind. */
export function command<Args extends Arguments, Result>(kind: CommandKind<Args, Result>) {
  const make = (...args: Args): Command<Result> => new CommandOfKind(kind, args)
  COMMANDS.add(kind.name, make)
  return make
}

/** The command of this name, which another thread has sent. */
export const commandOf = (name: string, args: Arguments): Command<unknown> => COMMANDS.make(name, args)

/** A row whose payload is read next. */
export interface PayloadRow {
  readonly family: Family
  readonly rowKey: RowKey
  readonly row: MetadataRow
}

export interface Query<Result> {
  readonly name: string
  readonly args: Arguments
  /** Pure. The result must hold neither views nor ranges. */
  answer(view: QueryView): Result
  /** A row of the result whose payload its caller reads next: one that answers from afar may send it along. */
  payloadOf(result: Result): PayloadRow | undefined
  /** Clients repeat it with the same arguments: who asks from afar may keep the result for as long as it is true. */
  readonly isRepeated: boolean
  /** The same query with a copy of its arguments. Throws if an argument is not plain data. */
  copied(): Query<Result>
}

class QueryOf<Args extends Arguments, Result> implements Query<Result> {
  constructor(
    readonly name: string,
    private readonly answerOf: (view: QueryView, ...args: Args) => Result,
    private readonly use: UseOfResult<Args, Result>,
    readonly args: Args,
  ) {}

  get isRepeated(): boolean {
    return this.use.isRepeated === true
  }

  answer(view: QueryView): Result {
    return this.answerOf(view, ...this.args)
  }

  payloadOf(result: Result): PayloadRow | undefined {
    return this.use.payloadOf?.(result, ...this.args)
  }

  copied(): Query<Result> {
    return new QueryOf(this.name, this.answerOf, this.use, plainCopy(this.args))
  }
}

/** How callers use the result of a query: see `Query`. */
interface UseOfResult<Args extends Arguments, Result> {
  readonly payloadOf?: (result: Result, ...args: Args) => PayloadRow | undefined
  readonly isRepeated?: boolean
}

const QUERIES = new Kinds<Query<unknown>>("query")

/** Makes the function that makes queries of this name. */
export function query<Args extends Arguments, Result>(
  name: string,
  answer: (view: QueryView, ...args: Args) => Result,
  use: UseOfResult<Args, Result> = {},
) {
  const make = (...args: Args): Query<Result> => new QueryOf(name, answer, use, args)
  QUERIES.add(name, make)
  return make
}

/** The query of this name, which another thread has sent. */
export const queryOf = (name: string, args: Arguments): Query<unknown> => QUERIES.make(name, args)

/** Names of commands, and of queries, that several kinds have: a mistake of the program. */
export const ambiguousNames = (): readonly string[] => [...COMMANDS.ambiguous, ...QUERIES.ambiguous]

const NOTHING_TOUCHED: Touches = []

export interface Metadata {
  /**
   * Decides, commits and returns the result. Throws the decision's refusal, `tooManyInFlight`, `stopping`,
   * `deviceFull`, `deviceFailed` (refused, nothing happened) or `indeterminate` (it may or may not have happened).
   */
  run<Result>(command: Command<Result>): Promise<Result>
  /** Runs the query on the committed rows of one moment. Throws what the query throws. */
  ask<Result>(query: Query<Result>): Soon<Result>
  /**
   * The same for rows of buckets and identities, from memory where possible: as new as the latest `confirm`, or statement
   * of any kind, that has resolved in this process.
   */
  known<Result>(query: Query<Result>): Soon<Result>
  /** Resolves once `known` includes everything that was acknowledged before this call; undefined: it does already. */
  confirm(): Promise<void> | undefined
  /**
   * Closes a moment, the present one by default, and returns it: from then on no command gets a commit timestamp up to it,
   * and all that have one are visible to each query that begins afterwards. Throws `invalidArgument` if the moment is in
   * the future, otherwise as `run`.
   */
  closeTo(us?: number): Promise<number>
  /** From now on decisions are told this time while the wall clock shows an earlier one; 0: they always get the wall clock. */
  setEarliestTime(earliestMs: number): void
  /** Increases by the time `known` may give other results, because another process has changed rows. */
  readonly generation: number
  /**
   * Runs the query on every replica's own committed rows: for decisions by absence. Undefined while a replica is
   * offline, or its metadata has not been verified by a walk over all rows that began in this process and not before
   * `verifiedSinceMs` of the monotonic clock.
   */
  askEveryReplica<Result>(verifiedSinceMs: number, query: Query<Result>): Promise<readonly Result[] | undefined>
  /**
   * The inline payload of a row that a query returned: lent if it is available, else a promise of bytes that
   * the caller owns. Undefined if the row was since deleted or overwritten.
   */
  payload(family: Family, key: RowKey, row: MetadataRow): LentSoon
  /** The last committed change. */
  readonly position: Position
  readonly incarnations: Incarnations
}
