/**
 * Metadata host: runs the commands and queries that a front thread has sent, in the thread of the engine.
 *
 * Promises  A command is decided as one of the front's own process would be: `incarnations.own` is the front. It is decided
 *           in the incarnation of the process in which the front has begun, or refused: the front is over with it.
 *           Answers share no memory with rows.
 */
import { fail } from "@hayloft/base/failures.js"
import type { Family } from "@hayloft/base/rows/families.js"
import type { Incarnation, Position, RowKey } from "@hayloft/base/ids.js"
import { owned } from "@hayloft/base/memory/lent.js"
import { after, recover, type Soon } from "@hayloft/base/soon.js"
import {
  commandOf,
  isOfGeneration,
  queryOf,
  type Command,
  type DecisionTime,
  type DecisionView,
  type Incarnations,
  type Metadata,
  type PayloadRow,
  type Query,
  type QueryView,
} from "../metadata/index.js"
import type { RowsOfAnswer } from "./kept-answers.js"
import { groupOfRow } from "./last-changes.js"
import { moved, type ThreadLink } from "./link.js"
import { METADATA_METHODS, type Known, type Stamped } from "./methods.js"

/**
 * Serves the metadata to the thread that the incarnations name as their own. `tellsChanges`: that thread shares the
 * memory of its last changes.
 */
export function serveMetadata(
  link: ThreadLink,
  metadata: Metadata,
  incarnations: Incarnations,
  tellsChanges: boolean,
): void {
  const stamped = <Result>(result: Result): Stamped<Result> => ({
    result,
    generation: metadata.generation,
    position: metadata.position,
  })
  const { own: engineIncarnation } = metadata.incarnations
  link.handle(METADATA_METHODS.run, async ({ name, args }) =>
    stamped(await metadata.run(new CommandOfFront(commandOf(name, args), incarnations, engineIncarnation))),
  )
  link.handle(METADATA_METHODS.ask, ({ name, args }) => {
    const query = new QueryOfFront(queryOf(name, args), incarnations)
    const { reads } = query
    return after(metadata.ask(query), result =>
      after(nextPayload(metadata, query.payloadOf(result)), payload => ({
        ...stamped(result),
        payload,
        rows: tellsChanges && query.isRepeated ? reads.rows : undefined,
      })),
    )
  })
  link.handle(METADATA_METHODS.known, ({ name, args }): Soon<Known<unknown>> => {
    // The result may be older than a change that happens while it is computed.
    const { generation, position } = metadata
    const query = new QueryOfFront(queryOf(name, args), incarnations)
    return after(metadata.known(query), found => ({
      result: found,
      generation,
      position,
      isOfGeneration: query.reads.areOfGeneration,
    }))
  })
  link.handle(METADATA_METHODS.confirm, () => after(metadata.confirm(), () => stamped(undefined)))
  link.handle(METADATA_METHODS.closeTo, async us => stamped(await metadata.closeTo(us)))
  link.handle(METADATA_METHODS.askEveryReplica, async ({ verifiedSinceMs, name, args }) =>
    stamped(await metadata.askEveryReplica(verifiedSinceMs, new QueryOfFront(queryOf(name, args), incarnations))),
  )
  link.handle(METADATA_METHODS.payload, ({ family, key, row }, move) =>
    after(owned(metadata.payload(family, key, row)), bytes => bytes && moved(bytes, move)),
  )
}

/** Returns the payload that the front reads next; undefined if the row has none, or if the front has to ask for it. */
function nextPayload(metadata: Metadata, next: PayloadRow | undefined): Soon<Uint8Array | undefined> {
  if (next === undefined || next.row.payload === undefined || next.row.payload.bytes !== undefined) return undefined
  // Whatever prevents it happens again when the front asks, and is told then.
  return recover(
    () => owned(metadata.payload(next.family, next.rowKey, next.row)),
    () => undefined,
  )
}
const AWAY = "the process was away for too long, and this thread of it ends; try again"

class CommandOfFront<Result> implements Command<Result> {
  constructor(
    private readonly command: Command<Result>,
    private readonly incarnations: Incarnations,
    /** The process as the front has begun in it. */
    private readonly process: Incarnation,
  ) {}

  get name(): string {
    return this.command.name
  }

  get args(): Command<Result>["args"] {
    return this.command.args
  }

  get grows(): boolean {
    return this.command.grows
  }

  get touches(): Command<Result>["touches"] {
    return this.command.touches
  }

  decide(rows: DecisionView, time: DecisionTime) {
    if (time.incarnations.own !== this.process) throw fail("tooManyInFlight", { message: AWAY })
    return this.command.decide(rows, { ...time, incarnations: this.incarnations })
  }

  copied(): Command<Result> {
    return new CommandOfFront(this.command.copied(), this.incarnations, this.process)
  }
}

/** The use that a query has made of its views. */
class Reads {
  /** All that was read changes with the generation. */
  areOfGeneration = true
  private areSingleRows = true
  private readonly groups = new Set<number>()
  private position: Position | undefined

  /** The rows that were read, if they were all that was. */
  get rows(): RowsOfAnswer | undefined {
    const { position } = this
    return this.areSingleRows && position !== undefined ? { groups: [...this.groups], position } : undefined
  }

  noteRow(view: QueryView, family: Family, key: RowKey): void {
    this.noteFamily(family)
    this.groups.add(groupOfRow(key))
    // A query whose rows have to be fetched is repeated: the earliest position is true of all of them.
    this.position ??= view.position
  }

  noteRange(family: Family): void {
    this.noteFamily(family)
    this.areSingleRows = false
  }

  noteOther(): void {
    this.areOfGeneration = false
    this.areSingleRows = false
  }

  private noteFamily(family: Family): void {
    if (!isOfGeneration(family)) this.areOfGeneration = false
  }
}

class QueryOfFront<Result> implements Query<Result> {
  constructor(
    private readonly query: Query<Result>,
    private readonly incarnations: Incarnations,
    readonly reads = new Reads(),
  ) {}

  get name(): string {
    return this.query.name
  }

  get args(): Query<Result>["args"] {
    return this.query.args
  }

  get isRepeated(): boolean {
    return this.query.isRepeated
  }

  answer(view: QueryView): Result {
    return this.query.answer(new ViewOfFront(view, this.incarnations, this.reads))
  }

  payloadOf(result: Result): PayloadRow | undefined {
    return this.query.payloadOf(result)
  }

  copied(): Query<Result> {
    return new QueryOfFront(this.query.copied(), this.incarnations, this.reads)
  }
}

class ViewOfFront implements QueryView {
  constructor(
    private readonly view: QueryView,
    private readonly ofFront: Incarnations,
    private readonly reads: Reads,
  ) {}

  get incarnations(): Incarnations {
    this.reads.noteOther()
    return this.ofFront
  }

  get position(): Position {
    this.reads.noteOther()
    return this.view.position
  }

  get generationMark(): object | undefined {
    this.reads.noteRange("buckets")
    return this.view.generationMark
  }

  get: QueryView["get"] = (family, key) => {
    this.reads.noteRow(this.view, family, key)
    return this.view.get(family, key)
  }

  range: QueryView["range"] = (family, range) => {
    this.reads.noteRange(family)
    return this.view.range(family, range)
  }

  scan: QueryView["scan"] = (family, range, visitor) => {
    this.reads.noteRange(family)
    this.view.scan(family, range, visitor)
  }
}
