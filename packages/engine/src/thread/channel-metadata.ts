/**
 * Channel metadata: the metadata of the engine thread, as a front thread uses it. The engine thread decides and answers
 * everything; a front keeps results about buckets and identities, and those of queries that clients repeat.
 *
 * Promises  Results about buckets and identities that are kept are of one generation, the newest that an answer or the shared memory has
 *           told, and of rows that it protects. Other results are returned again only if no row that they depend on has changed.
 * Limits    KNOWN_LIMITS, ANSWER_LIMITS.
 */
import type { Family } from "@hayloft/base/rows/families.js"
import { parsePosition, type Position, type RowKey } from "@hayloft/base/ids.js"
import { Lent, type LentSoon } from "@hayloft/base/memory/lent.js"
import type { Soon } from "@hayloft/base/soon.js"
import {
  plainCopy,
  type Command,
  type Incarnations,
  type Metadata,
  type MetadataRow,
  type Query,
} from "../metadata/index.js"
import { KeptAnswers, type KeptAnswer } from "./kept-answers.js"
import type { LastChanges } from "./last-changes.js"
import { KNOWN_LIMITS } from "./limits.js"
import type { ThreadLink } from "./link.js"
import { roughBytes } from "./rough-bytes.js"
import { METADATA_METHODS, type Answer, type Named, type Stamped } from "./methods.js"

export class ChannelMetadata implements Metadata {
  generation = 0
  private seen = parsePosition(0)
  private readonly results = new Map<string, unknown>()
  private resultBytes = 0
  /** Payloads that came with their rows. */
  private readonly payloads = new WeakMap<MetadataRow, Uint8Array>()
  private readonly answers: KeptAnswers | undefined

  constructor(
    private readonly link: ThreadLink,
    /** It names this thread as `own`. */
    readonly incarnations: Incarnations,
    /** The changes that the engine thread makes; undefined: other processes make some, too. */
    changes: LastChanges | undefined,
  ) {
    this.answers = changes && new KeptAnswers(changes)
  }

  get position(): Position {
    return this.answers?.changes.position ?? this.seen
  }

  async run<Result>(command: Command<Result>): Promise<Result> {
    return parseResult<Result>(this.note(await this.link.call(METADATA_METHODS.run, named(command))))
  }

  ask<Result>(query: Query<Result>): Soon<Result> {
    const { answers } = this
    if (answers === undefined || !query.isRepeated) return this.askEngine(query)
    const key = keyOf(query)
    const kept = answers.find(key)
    if (kept === undefined) return this.askEngine(query, answers.noteAsked(key) ? key : undefined)
    // It is true now, as an answer of the engine thread would be, which tells the generation.
    this.noteGeneration(answers.changes.generation)
    return parseResult<Result>(kept.result)
  }

  known<Result>(query: Query<Result>): Soon<Result> {
    const key = keyOf(query)
    if (this.results.has(key)) return parseResult<Result>(this.results.get(key))
    return this.learn(key, query)
  }

  confirm(): Promise<void> | undefined {
    if (this.answers !== undefined) {
      this.noteGeneration(this.answers.changes.generation)
      return undefined
    }
    return this.link.ask(METADATA_METHODS.confirm).then(answer => this.note(answer))
  }

  async closeTo(us?: number): Promise<number> {
    return this.note(await this.link.call(METADATA_METHODS.closeTo, us))
  }

  /** The engine thread dates what is decided here: it knows the store's clock. */
  setEarliestTime(): void {}

  async askEveryReplica<Result>(verifiedSinceMs: number, query: Query<Result>): Promise<readonly Result[] | undefined> {
    const request = { verifiedSinceMs, ...named(query) }
    const results = this.note(await this.link.call(METADATA_METHODS.askEveryReplica, request))
    return results?.map(parseResult<Result>)
  }

  payload(family: Family, key: RowKey, row: MetadataRow): LentSoon {
    const here = row.payload?.bytes ?? this.payloads.get(row)
    if (here !== undefined) return new Lent(here)
    return this.link.call(METADATA_METHODS.payload, { family, key, row })
  }

  /** `key`: that of an answer that is kept. */
  private async askEngine<Result>(query: Query<Result>, key?: string): Promise<Result> {
    const answer = await this.link.call(METADATA_METHODS.ask, named(query))
    this.note(answer)
    const { result, payload } = key === undefined ? answer : this.kept(key, answer)
    const parsed = parseResult<Result>(result)
    const next = payload && query.payloadOf(parsed)
    if (payload !== undefined && next !== undefined) this.payloads.set(next.row, payload)
    return parsed
  }

  private kept(key: string, { rows, result, payload }: Answer<unknown>): KeptAnswer {
    return (rows && this.answers?.keep(key, { result, payload }, rows)) ?? { result, payload }
  }

  private async learn<Result>(key: string, query: Query<Result>): Promise<Result> {
    const answer = await this.link.call(METADATA_METHODS.known, named(query))
    const result = parseResult<Result>(this.note(answer))
    if (answer.isOfGeneration && answer.generation === this.generation) this.keep(key, result)
    return result
  }

  private keep(key: string, result: unknown): void {
    const { resultsMax, bytesMax } = KNOWN_LIMITS
    const bytes = roughBytes(key) + roughBytes(result)
    if (this.results.size >= resultsMax || this.resultBytes + bytes > bytesMax) this.forget()
    if (!this.results.has(key)) this.resultBytes += bytes
    // Its bytes are views of a whole message.
    this.results.set(key, plainCopy(result))
  }

  private forget(): void {
    this.results.clear()
    this.resultBytes = 0
  }

  private note<Result>({ result, generation, position }: Stamped<Result>): Result {
    if (position > this.seen) this.seen = position
    this.noteGeneration(generation)
    return result
  }

  private noteGeneration(generation: number): void {
    if (generation <= this.generation) return
    this.generation = generation
    this.forget()
  }
}

const named = ({ name, args }: Command<unknown> | Query<unknown>): Named => ({ name, args: plainCopy(args) })

/** The same function of the same program made it. */
const parseResult = <Result>(result: unknown): Result => result as Result

/** Texts do not hide where one argument ends: JSON escapes them. */
const keyOf = ({ name, args }: Query<unknown>): string => `${name} ${JSON.stringify(args, textOf)}`

const textOf = (_: string, value: unknown): unknown => {
  if (typeof value === "bigint") return `${value}n`
  if (value instanceof Uint8Array) return `bytes ${Buffer.from(value).toString("hex")}`
  if (value instanceof Map || value instanceof Set) return [...value]
  return value
}
