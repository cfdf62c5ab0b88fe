/**
 * The nine operations of K2V.
 *
 * Source  "Specification of the Garage K2V API".
 */
import { fail } from "@hayloft/base/failures.js"
import { parseItemKey, textOfObjectKey, type ItemKey } from "@hayloft/base/ids.js"
import { decodeMarker, encodeMarker } from "@hayloft/engine/format/k2v/k2v-marker.js"
import { decodeToken, encodeToken } from "@hayloft/engine/format/k2v/k2v-token.js"
import type { PlainAnswer, QueryParameters } from "../http/index.js"
import type { Until } from "@hayloft/base/life/index.js"
import type { Bucket } from "@hayloft/objects/contract.js"
import {
  ITEM_LIMITS,
  itemRange,
  type ItemContent,
  type Items,
  type KeyBounds,
  type SeenChanges,
} from "@hayloft/features/items/index.js"
import type { OperationName } from "./actions.js"
import {
  checkStart,
  DOCUMENT_LIMITS,
  NOTHING_SEEN,
  parseDeletions,
  parseInserts,
  parseRangePoll,
  parseSearches,
  type RangePoll,
  type Search,
  type Selection,
} from "./documents.js"
import { acceptOf, itemAnswer, TOKEN_HEADER } from "./item-answer.js"

/** A request by a caller of the bucket's account. */
export interface K2vCall {
  readonly items: Items
  readonly until: Until
  readonly bucket: Bucket
  /** "" for operations on the bucket. */
  readonly partition: ItemKey
  readonly parameters: QueryParameters
  readonly header: (name: string) => string | undefined
  /** Throws `accessDenied`. Without a partition: on the bucket. */
  readonly require: (partition?: ItemKey) => void
  /** The body, at most so long. */
  readonly body: (bytesMax: number) => Promise<Uint8Array>
}

const POLL_SECONDS = { first: 1, usual: 300, most: 600 } as const

/** Limits the time in the same way as Garage: a longer time becomes the longest, and 0 the shortest. */
const pollSeconds = (asked: number | undefined): number =>
  Math.min(Math.max(asked ?? POLL_SECONDS.usual, POLL_SECONDS.first), POLL_SECONDS.most)

const NO_BODY = new Uint8Array(0)
const NO_CONTENT: PlainAnswer = { status: 204, headers: [], body: NO_BODY }
const NOT_MODIFIED: PlainAnswer = { status: 304, headers: [], body: NO_BODY }

const jsonAnswer = (value: unknown): PlainAnswer => ({
  status: 200,
  headers: ["Content-Type", "application/json"],
  body: Buffer.from(JSON.stringify(value)),
})

const shownKey = (key: ItemKey | undefined): string | null => (key === undefined ? null : textOfObjectKey(key))

type ShownItem = ReturnType<typeof shownItem>

/** Bytes of an item in JSON that do not depend on it. */
const ITEM_JSON_BYTES = 32

const bytesOfShown = ({ sk, ct, v }: ShownItem): number =>
  v.reduce((sum, value) => sum + (value?.length ?? 0), ITEM_JSON_BYTES + sk.length + ct.length)

const shownItem = ({ sortKey, context, values }: ItemContent) => ({
  sk: textOfObjectKey(sortKey),
  ct: encodeToken(context),
  v: values.map(bytes => (bytes === undefined ? null : Buffer.from(bytes).toString("base64"))),
})

/** Throws `invalidKey`, `keyTooLong`. */
function keyIn(parameters: QueryParameters, name: string): ItemKey | undefined {
  const text = parameters.text(name)
  return text === undefined ? undefined : parseItemKey(text)
}

/** Throws `invalidArgument`: a boolean of K2V has no other forms. */
function reverseIn(parameters: QueryParameters): boolean {
  const text = parameters.text("reverse") ?? "false"
  if (text === "true" || text === "false") return text === "true"
  throw fail("invalidArgument", { message: "The parameter reverse must be true or false." })
}

/** Throws `invalidArgument`, `invalidKey`, `keyTooLong`. */
const sortKeyIn = (parameters: QueryParameters): ItemKey => parseItemKey(parameters.needed("sort_key"))

async function readItem({ items, bucket, partition, parameters, header, require }: K2vCall): Promise<PlainAnswer> {
  require(partition)
  const accept = acceptOf(header("accept"))
  const item = await items.read(bucket, partition, sortKeyIn(parameters))
  if (item === undefined) throw fail("noSuchKey", { message: "The item was never written, or was deleted long ago." })
  return itemAnswer(item, accept)
}

async function pollItem(call: K2vCall): Promise<PlainAnswer> {
  const { items, until, bucket, partition, parameters, header, require } = call
  require(partition)
  const accept = acceptOf(header("accept"))
  const sortKey = sortKeyIn(parameters)
  const seen = decodeToken(parameters.needed("causality_token"))
  const seconds = pollSeconds(parameters.whole("timeout"))
  const watcher = items.watchFor(bucket, partition, sortKey)
  const item = await until(watcher, seconds, () => items.read(bucket, partition, sortKey, seen))
  return item === undefined ? NOT_MODIFIED : itemAnswer(item, accept)
}

function seenIn(header: K2vCall["header"]) {
  const token = header(TOKEN_HEADER)
  return token === undefined ? undefined : decodeToken(token)
}

async function insertItem({
  items,
  bucket,
  partition,
  parameters,
  header,
  require,
  body,
}: K2vCall): Promise<PlainAnswer> {
  require(partition)
  const sortKey = sortKeyIn(parameters)
  const seen = seenIn(header) ?? NOTHING_SEEN
  const bytes = await body(ITEM_LIMITS.valueBytesMax)
  await items.write(bucket, [{ partition, sortKey, seen, bytes }])
  return NO_CONTENT
}

async function deleteItem({ items, bucket, partition, parameters, header, require }: K2vCall): Promise<PlainAnswer> {
  require(partition)
  const sortKey = sortKeyIn(parameters)
  const seen = seenIn(header)
  if (seen === undefined) throw fail("invalidArgument", { message: `A deletion needs the header ${TOKEN_HEADER}.` })
  await items.write(bucket, [{ partition, sortKey, seen, bytes: undefined }])
  return NO_CONTENT
}

async function readIndex({ items, bucket, parameters, require }: K2vCall): Promise<PlainAnswer> {
  require()
  const [prefix, start, end] = ["prefix", "start", "end"].map(name => keyIn(parameters, name))
  const [limit, reverse] = [parameters.whole("limit"), reverseIn(parameters)]
  checkStart(prefix, start, "The request")
  const { found, next } = await items.partitions(bucket, { prefix, start, end, reverse }, limit)
  return jsonAnswer({
    prefix: shownKey(prefix),
    start: shownKey(start),
    end: shownKey(end),
    limit: limit ?? null,
    reverse,
    partitionKeys: found.map(({ partition, ...counts }) => ({ pk: textOfObjectKey(partition), ...counts })),
    more: next !== undefined,
    nextStart: shownKey(next),
  })
}

async function insertBatch({ items, bucket, require, body }: K2vCall): Promise<PlainAnswer> {
  const values = parseInserts(await body(DOCUMENT_LIMITS.bytesMax))
  for (const partition of new Set(values.map(value => value.partition))) require(partition)
  await items.write(bucket, values)
  return NO_CONTENT
}

const shownSelection = ({ partition, prefix, start, end, singleItem }: Selection) => ({
  partitionKey: textOfObjectKey(partition),
  prefix: shownKey(prefix),
  start: shownKey(start),
  end: shownKey(end),
  singleItem,
})

async function search({ items, bucket }: K2vCall, asked: Search) {
  const { partition, prefix, start, end, singleItem, limit, reverse, ...filter } = asked
  const bounds = singleItem ? { only: start } : { prefix, start, end, reverse }
  const { found, next } = await items.search(bucket, partition, bounds, filter, limit)
  return {
    ...shownSelection(asked),
    limit: limit ?? null,
    reverse,
    ...filter,
    items: found.map(shownItem),
    more: next !== undefined,
    nextStart: shownKey(next),
  }
}

/** All results of a request are in memory until its answer is sent. */
const resultsTooLarge = () =>
  fail("entityTooLarge", {
    message: `The results of one ReadBatch have at most ${DOCUMENT_LIMITS.resultsBytesMax} bytes: search for less at a time.`,
  })

async function readBatch(call: K2vCall): Promise<PlainAnswer> {
  const searches = parseSearches(await call.body(DOCUMENT_LIMITS.bytesMax))
  for (const partition of new Set(searches.map(each => each.partition))) call.require(partition)
  const results: Awaited<ReturnType<typeof search>>[] = []
  let bytes = 0
  for (const each of searches) {
    const result = await search(call, each)
    bytes = result.items.reduce((sum, item) => sum + bytesOfShown(item), bytes)
    if (bytes > DOCUMENT_LIMITS.resultsBytesMax) throw resultsTooLarge()
    results.push(result)
  }
  return jsonAnswer(results)
}

async function deleteBatch({ items, bucket, require, body }: K2vCall): Promise<PlainAnswer> {
  const selections = parseDeletions(await body(DOCUMENT_LIMITS.bytesMax))
  for (const partition of new Set(selections.map(each => each.partition))) require(partition)
  const results: unknown[] = []
  for (const selection of selections) {
    const { partition, prefix, start, end, singleItem } = selection
    const deletedItems =
      singleItem && start !== undefined
        ? await items.remove(bucket, partition, start)
        : await items.removeAll(bucket, partition, { prefix, start, end })
    results.push({ ...shownSelection(selection), deletedItems })
  }
  return jsonAnswer(results)
}

/** Returns what the client has seen of this range. Throws `invalidArgument`. */
function seenOfRange({ bucket, partition }: K2vCall, bounds: KeyBounds, { seenMarker }: RangePoll) {
  if (seenMarker === undefined) return undefined
  const marker = decodeMarker(seenMarker)
  const [outer, inner] = [marker, bounds].map(each => itemRange(bucket.id, partition, each))
  const isOfPartition = marker.bucketId === bucket.id && marker.partition === partition
  if (isOfPartition && outer && inner && outer.start <= inner.start && inner.end <= outer.end) return marker
  throw fail("invalidArgument", { message: "The seen marker is of another range, or of a part of this one." })
}

async function pollRange(call: K2vCall): Promise<PlainAnswer> {
  const { items, until, bucket, partition, require, body } = call
  require(partition)
  const asked = parseRangePoll(await body(DOCUMENT_LIMITS.bytesMax))
  const { prefix, start, end } = asked
  const bounds = { prefix, start, end }
  const given: SeenChanges | undefined = seenOfRange(call, bounds, asked)
  let seen = given
  const look = async () => {
    const isFirst = seen === undefined
    const changes = await items.changes(bucket, partition, bounds, seen)
    seen = changes.seen
    return isFirst || changes.found.length > 0 ? changes : undefined
  }
  const seconds = pollSeconds(asked.timeout)
  const result = await until(items.watchFor(bucket, partition), seconds, look)
  const isRenewed = given !== undefined && seen !== undefined && seen.time - given.time >= ITEM_LIMITS.markerRenewedMs
  if (result === undefined && !isRenewed) return NOT_MODIFIED
  const marker = {
    bucketId: bucket.id,
    partition,
    ...bounds,
    ...(result?.seen ?? seen ?? { time: 0, from: undefined }),
  }
  return jsonAnswer({ seenMarker: encodeMarker(marker), items: result?.found.map(shownItem) ?? [] })
}

export const OPERATIONS: Readonly<Record<OperationName, (call: K2vCall) => Promise<PlainAnswer>>> = {
  ReadItem: readItem,
  PollItem: pollItem,
  InsertItem: insertItem,
  DeleteItem: deleteItem,
  ReadIndex: readIndex,
  InsertBatch: insertBatch,
  ReadBatch: readBatch,
  DeleteBatch: deleteBatch,
  PollRange: pollRange,
}
