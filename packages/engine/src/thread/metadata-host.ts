/**
 * Metadata host: runs the commands and queries that a front thread has sent, in the thread of the engine.
 *
 * Promises  A command is decided as one of the front's own process would be: `incarnations.own` is the front. It is decided
 *           in the incarnation of the process in which the front has begun, or refused: the front is over with it.
 *           Answers share no memory with rows.
 */
import { fail } from "@hayloft/base/failures.js"
import type { Family } from "@hayloft/base/families.js"
import type { Incarnation, Position } from "@hayloft/base/ids.js"
import { owned } from "@hayloft/base/lent.js"
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
import { moved, type ThreadLink } from "./link.js"
import { METADATA_METHODS, type Known, type Stamped } from "./methods.js"

/** Serves the metadata to the thread that the incarnations name as their own. */
export function serveMetadata(link: ThreadLink, metadata: Metadata, incarnations: Incarnations): void {
  const stamped = <Result>(result: Result): Stamped<Result> => ({
    result,
    generation: metadata.generation,
    position: metadata.position,
  })
  const { own: process } = metadata.incarnations
  link.handle(METADATA_METHODS.run, async ({ name, args }) =>
    stamped(await metadata.run(new CommandOfFront(commandOf(name, args), incarnations, process))),
  )
  link.handle(METADATA_METHODS.ask, ({ name, args }) => {
    const query = new QueryOfFront(queryOf(name, args), incarnations)
    return after(metadata.ask(query), result =>
      after(nextPayload(metadata, query.payloadOf(result)), payload => ({ ...stamped(result), payload })),
    )
  })
  link.handle(METADATA_METHODS.known, ({ name, args }): Soon<Known<unknown>> => {
    // The result may be older than a change that happens while it is computed.
    const { generation, position } = metadata
    const reads: Reads = { areOfGeneration: true }
    return after(metadata.known(new QueryOfFront(queryOf(name, args), incarnations, reads)), found => ({
      result: found,
      generation,
      position,
      isOfGeneration: reads.areOfGeneration,
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

/** The view of a query, as far as it was used. */
interface Reads {
  /** All that was read changes with the generation. */
  areOfGeneration: boolean
}

class QueryOfFront<Result> implements Query<Result> {
  constructor(
    private readonly query: Query<Result>,
    private readonly incarnations: Incarnations,
    private readonly reads: Reads = { areOfGeneration: true },
  ) {}

  get name(): string {
    return this.query.name
  }

  get args(): Query<Result>["args"] {
    return this.query.args
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
    this.reads.areOfGeneration = false
    return this.ofFront
  }

  get position(): Position {
    this.reads.areOfGeneration = false
    return this.view.position
  }

  get: QueryView["get"] = (family, key) => this.noted(family).get(family, key)
  range: QueryView["range"] = (family, range) => this.noted(family).range(family, range)
  scan: QueryView["scan"] = (family, range, visitor) => this.noted(family).scan(family, range, visitor)

  private noted(family: Family): QueryView {
    if (!isOfGeneration(family)) this.reads.areOfGeneration = false
    return this.view
  }
}
