/** The methods that an engine thread offers its fronts, for rows and shards. */
import type { FailureDetails, FailureKind } from "@hayloft/base/failures.js"
import type { Family } from "@hayloft/base/rows/families.js"
import type { DeviceId, Position, RowKey } from "@hayloft/base/ids.js"
import type { PageEnd } from "../format/nodes/shard-calls.js"
import type { MetadataRow } from "../metadata/index.js"
import type { CachedPlace, IndexedNeedle, Needle, NeedleId, NeedleRange, ShardHeader } from "../volume/contract.js"
import type { RowsOfAnswer } from "./kept-answers.js"
import type { ThreadMethod } from "./link.js"

/** A command or a query: the other thread has the function. */
export interface Named {
  readonly name: string
  readonly args: readonly unknown[]
}

/** A result, with the state of the metadata at its moment or later. */
export interface Stamped<Result> {
  readonly result: Result
  readonly generation: number
  readonly position: Position
}

/** A result with the payload that its caller reads next, if it has one. */
export interface Answer<Result> extends Stamped<Result> {
  readonly payload: Uint8Array | undefined
  /** The rows on which a result depends that may be kept; undefined: it is not kept. */
  readonly rows: RowsOfAnswer | undefined
}

/** A result of a query about buckets and identities. */
export interface Known<Result> extends Stamped<Result> {
  /** It depends on rows of buckets and identities alone: it stays true as long as their generation. */
  readonly isOfGeneration: boolean
}

interface PayloadRequest {
  readonly family: Family
  readonly key: RowKey
  readonly row: MetadataRow
}

/** Makes a method that changes nothing. */
export const reading = <Request, Answer>(name: string): ThreadMethod<Request, Answer> => ({ name, changes: false })
/** Makes a method whose call may have happened although its answer is lost. */
export const changing = <Request, Answer>(name: string): ThreadMethod<Request, Answer> => ({ name, changes: true })

/** The same method, whose calls and answers are small and many. */
const small = <Request, Answer>(method: ThreadMethod<Request, Answer>): ThreadMethod<Request, Answer> => ({
  ...method,
  isPacked: true,
})

export const METADATA_METHODS = {
  run: small(changing<Named, Stamped<unknown>>("run")),
  ask: small(reading<Named, Answer<unknown>>("ask")),
  known: small(reading<Named, Known<unknown>>("known")),
  confirm: small(reading<undefined, Stamped<undefined>>("confirm")),
  closeTo: changing<number | undefined, Stamped<number>>("close to"),
  askEveryReplica: reading<Named & { readonly verifiedSinceMs: number }, Stamped<readonly unknown[] | undefined>>(
    "ask every replica",
  ),
  payload: reading<PayloadRequest, Uint8Array | undefined>("payload"),
} as const

interface OfDevice {
  readonly deviceId: DeviceId
}

interface OfNeedle extends OfDevice {
  readonly id: NeedleId
}

interface OfNeedles extends OfDevice {
  readonly ids: readonly NeedleId[]
}

interface AppendRequest extends OfDevice {
  readonly needle: Omit<Needle, "trace">
}

interface ReadRequest extends OfNeedle {
  readonly range: NeedleRange
}

interface FetchRequest extends ReadRequest {
  readonly bodyBytes: number
  readonly isUnhurried: boolean
}

interface FetchAnswer {
  readonly header: ShardHeader
  readonly body: Uint8Array
}

interface IndexRequest extends OfDevice {
  readonly start: RowKey
  readonly end: RowKey
  readonly needlesMin: number
}

interface IndexAnswer {
  readonly needles: readonly IndexedNeedle[]
  readonly end: PageEnd
}

/** The state of a device for those that write to it, as it was a moment ago. */
export interface DeviceHints {
  readonly id: DeviceId
  readonly isWritable: boolean
  readonly isFull: boolean
  /** The reason why it accepts no needles any more. */
  readonly refusing: { readonly kind: FailureKind; readonly details: FailureDetails } | undefined
  /** See `KeptVolumes.removedVolumes`; undefined if another process has the volumes. */
  readonly removedVolumes: number | undefined
}

export const SHARD_METHODS = {
  /** The place of a needle whose range is likely in the page cache. */
  cachedPlace: small(reading<ReadRequest, CachedPlace | undefined>("cached place")),
  append: changing<AppendRequest, void>("append"),
  read: reading<ReadRequest, Uint8Array>("read"),
  fetch: reading<FetchRequest, FetchAnswer>("fetch"),
  headerOf: reading<OfNeedle, ShardHeader>("header of"),
  has: reading<OfNeedle, boolean>("has"),
  remove: changing<OfNeedles, void>("remove"),
  markSuspect: changing<OfNeedles, void>("mark suspect"),
  indexed: reading<IndexRequest, IndexAnswer>("indexed"),
} as const
