/** Queries of queues and their messages. Pure. */
import { firstOf } from "@hayloft/base/first-of.js"
import {
  parseMessageId,
  rowKeyOf,
  type AccountId,
  type MessageId,
  type RowKey,
  rowKeyAfter,
} from "@hayloft/base/ids.js"
import {
  decodeContent,
  decodeDue,
  decodeMessage,
  decodeQueue,
  dueRange,
  messageRowKey,
  parseDueRowKey,
  queueUsageRowKey,
  type DueRecord,
  type MessageContent,
  type MessageRecord,
  type QueueRecord,
} from "@hayloft/engine/format/queue-rows.js"
import { accountRange, accountRowKey, parseAccountRowKey } from "@hayloft/engine/format/row-key.js"
import { decodeUsage, NO_USAGE } from "@hayloft/engine/format/objects/usage.js"
import { query, type QueryView, type RowView } from "@hayloft/engine/metadata/index.js"
import { QUEUE_LIMITS } from "./limits.js"
import {
  messageIn,
  messageRowIn,
  presentIn,
  queueIn,
  type EndedPlaces,
  type PlaceOfMessage,
  type QueueTimes,
} from "./message-rows-core.js"
import type { QueueName } from "./queue-commands-core.js"

export interface NamedQueue {
  readonly name: string
  readonly queue: QueueRecord
  /** Messages of any state, and the bytes of their contents. */
  readonly messages: number
  readonly bytes: number
}

function heldIn(view: RowView, { id }: QueueRecord): Pick<NamedQueue, "messages" | "bytes"> {
  const row = view.get("usage", queueUsageRowKey(id))
  const { objects, bytes } = row === undefined ? NO_USAGE : decodeUsage(row.value)
  return { messages: objects, bytes }
}

const named = (view: RowView, name: string, queue: QueueRecord): NamedQueue => ({
  name,
  queue,
  ...heldIn(view, queue),
})

/** Returns undefined if there is no such queue. */
export const readQueue = query("ReadQueue", (view, { account, name }: QueueName): NamedQueue | undefined => {
  const queue = queueIn(presentIn(view), account, name)
  return queue && named(view, name, queue)
})

export interface Page<T> {
  readonly found: readonly T[]
  /** The name or id after which the next page begins; undefined on the last page. */
  readonly after: string | undefined
}

/** Queues of an account in the order of their names. */
export const listQueues = query(
  "ListQueues",
  (view, account: AccountId, prefix: string, after: string | undefined, max: number): Page<NamedQueue> => {
    const all = accountRange(account)
    const from = accountRowKey(account, prefix)
    const start = after === undefined || after < prefix ? from : rowKeyAfter(accountRowKey(account, after))
    const found: NamedQueue[] = []
    for (const [key, row] of view.range("queues", { start, end: all.end, expectedRows: max + 1 })) {
      const name = key.slice(account.length + 1)
      if (!name.startsWith(prefix)) break
      if (found.length === max) return { found, after: found.at(-1)?.name }
      found.push(named(view, name, decodeQueue(row.value)))
    }
    return { found, after: undefined }
  },
)

/** How much a queue holds. */
export interface QueueSize {
  readonly account: AccountId
  readonly name: string
  readonly messages: number
  readonly bytes: number
}

/** A page of the queues of all accounts. */
export const sizesOfQueues = query("SizesOfQueues", (view, start: RowKey) => {
  const found: QueueSize[] = []
  const { rowsPerPage } = QUEUE_LIMITS
  for (const [key, row] of view.range("queues", { start, end: rowKeyOf("\xff"), expectedRows: rowsPerPage })) {
    if (found.length === rowsPerPage) return { found, next: key }
    const { account, rest: name } = parseAccountRowKey(key)
    found.push({ account, name, ...heldIn(view, decodeQueue(row.value)) })
  }
  return { found, next: undefined }
})

/** How many messages are due, and how many of the others are on the way to a consumer, or wait for their delay. */
export interface QueueLengths {
  readonly due: number
  readonly inFlight: number
  readonly delayed: number
}

interface CountedPage extends QueueLengths {
  /** The place where the count goes on. */
  readonly next: { readonly fromMs: number } | undefined
}

/** Counts messages of a queue that are not due, from a moment on, up to a page of them. */
export const countLater = query("CountLaterMessages", (view, queueId: string, fromMs: number): CountedPage => {
  let [rows, inFlight, delayed, lastMs] = [0, 0, 0, fromMs]
  const { rowsPerPage } = QUEUE_LIMITS
  for (const [key, row] of view.range("queueOrder", { ...dueRange(queueId, fromMs), expectedRows: rowsPerPage })) {
    const { dueMs } = parseDueRowKey(key)
    // All messages that are due at one moment belong to one page.
    if (rows >= rowsPerPage && dueMs !== lastMs) return { due: 0, inFlight, delayed, next: { fromMs: dueMs } }
    rows += 1
    lastMs = dueMs
    if (decodeDue(row.value).stage === "delivered") inFlight += 1
    else delayed += 1
  }
  return { due: 0, inFlight, delayed, next: undefined }
})

export interface ShownMessage {
  readonly id: MessageId
  readonly message: MessageRecord
}

/**
 * Messages of a queue that are due, the oldest or the newest first, up to about as many bytes as one answer delivers. It
 * looks at one page of rows, of which some may have expired.
 */
export const peekMessages = query(
  "PeekMessages",
  (view, account: AccountId, queueId: string, { nowMs, dueNowMs }: QueueTimes, max: number, isNewest: boolean) => {
    const found: ShownMessage[] = []
    const range = { ...dueRange(queueId, 0, dueNowMs + 1), reverse: isNewest, expectedRows: max }
    let [rows, bytes] = [0, 0]
    for (const [, row] of view.range("queueOrder", range)) {
      if (found.length === max || bytes >= QUEUE_LIMITS.receivedBytesMax || rows === QUEUE_LIMITS.rowsPerPage) break
      rows += 1
      const { messageId: id, expiresMs } = decodeDue(row.value)
      const message = expiresMs > nowMs ? messageRowIn(presentIn(view), account, id) : undefined
      if (message === undefined) continue
      bytes += message.contentBytes
      found.push({ id, message })
    }
    return found
  },
)

/** Reads the messages; leaves out those that do not exist. */
export const readMessages = query(
  "ReadMessages",
  (view, account: AccountId, ids: readonly MessageId[], nowMs: number): readonly ShownMessage[] =>
    ids.flatMap(id => {
      const found = messageIn(presentIn(view), account, id, nowMs)
      return found === undefined ? [] : [{ id, message: found.message }]
    }),
)

/** Messages of an account in the order of their ids. */
export const listMessages = query(
  "ListMessages",
  (view, account: AccountId, nowMs: number, after: MessageId | undefined, rowsMax: number): Page<ShownMessage> => {
    const all = accountRange(account)
    const start = after === undefined ? all.start : rowKeyAfter(messageRowKey(account, after))
    const found: ShownMessage[] = []
    let [rows, last] = [0, ""]
    for (const [key, row] of view.range("queueMessages", { start, end: all.end, expectedRows: rowsMax + 1 })) {
      if (rows === rowsMax) return { found, after: last }
      rows += 1
      const id = parseMessageId(key.slice(account.length + 1))
      last = id
      const message = decodeMessage(row.value)
      const isThere = message.expiresMs > nowMs
      if (isThere && queueIn(presentIn(view), account, message.queueName)?.id === message.queueId)
        found.push({ id, message })
    }
    return { found, after: undefined }
  },
)

/** The contents of messages; undefined for those that are gone. */
export const readContents = query(
  "ReadMessageContents",
  (view, account: AccountId, shown: readonly ShownMessage[]): readonly (MessageContent | undefined)[] =>
    shown.map(({ id, message }) => {
      if (message.content !== undefined) return decodeContent(message.content)
      const row = view.get("queueContents", messageRowKey(account, id))
      return row && decodeContent(row.value)
    }),
)

/** Changes whenever another message of the queue is the next one that is due, for each of the queues. */
export const readFirstDue = query("ReadFirstDue", (view, rows: readonly RowKey[]): readonly number[] =>
  rows.map(row => firstDueIn(view, row)),
)

/** Added to a due time, which is a whole number, so that a pause changes it. */
const PAUSED = 0.5

function firstDueIn(view: QueryView, key: RowKey): number {
  const row = view.get("queues", key)
  if (row === undefined) return 0
  const { id, isPausedOut } = decodeQueue(row.value)
  const first = firstOf(view.range("queueOrder", { ...dueRange(id, 0), expectedRows: 1 }))
  return (first === undefined ? 0 : parseDueRowKey(first[0]).dueMs) + (isPausedOut ? PAUSED : 0)
}

/** Messages of all accounts that are delivered at most once, among a page of all messages. */
export const findOnce = query("FindOnceMessages", (view, start: RowKey) => {
  const found: { readonly account: AccountId; readonly id: MessageId }[] = []
  const { rowsPerPage } = QUEUE_LIMITS
  let rows = 0
  const range = { start, end: rowKeyOf("\xff"), expectedRows: rowsPerPage }
  for (const [key, row] of view.range("queueMessages", range)) {
    if (rows === rowsPerPage || found.length === QUEUE_LIMITS.passedPerCommand) return { found, next: key }
    rows += 1
    const { account, rest } = parseAccountRowKey(key)
    if (decodeMessage(row.value).retrySeconds === 0) found.push({ account, id: parseMessageId(rest) })
  }
  return { found, next: undefined }
})

interface EndedPage {
  /** By account, together at most as many as one command removes. */
  readonly ended: readonly EndedPlaces[]
  readonly next: RowKey | undefined
  /** The earliest time at which another one of the page is over. */
  readonly nextMs: number
}

/** Messages whose time is over, or whose queue is not there any more, among a page of all of them. */
export const findEnded = query("FindEndedMessages", (view, start: RowKey, nowMs: number): EndedPage => {
  const ended = new Map<AccountId, PlaceOfMessage[]>()
  let [rows, removed, nextMs] = [0, 0, Infinity]
  const isThere = new Map<string, boolean>()
  const { rowsPerPage, passedPerCommand } = QUEUE_LIMITS
  const range = { start, end: rowKeyOf("\xff"), expectedRows: rowsPerPage }
  for (const [key, row] of view.range("queueOrder", range)) {
    if (rows === rowsPerPage || removed === passedPerCommand) return { ended: pages(ended), next: key, nextMs }
    rows += 1
    const due = decodeDue(row.value)
    const { queueId } = parseDueRowKey(key)
    if (!isThere.has(queueId)) isThere.set(queueId, isQueueThere(view, queueId, due))
    if (due.expiresMs > nowMs && isThere.get(queueId) === true) {
      nextMs = Math.min(nextMs, due.expiresMs)
      continue
    }
    removed += 1
    const places = ended.get(due.accountId) ?? []
    ended.set(due.accountId, places)
    places.push({ place: key, id: due.messageId })
  }
  return { ended: pages(ended), next: undefined, nextMs }
})

const pages = (ended: ReadonlyMap<AccountId, readonly PlaceOfMessage[]>): readonly EndedPlaces[] =>
  [...ended].map(([account, places]) => ({ account, places }))

function isQueueThere(view: RowView, queueId: string, { accountId, messageId }: DueRecord): boolean {
  const message = messageRowIn(presentIn(view), accountId, messageId)
  return message !== undefined && queueIn(presentIn(view), accountId, message.queueName)?.id === queueId
}

/** How many queues an account has, up to one more than it may have. */
export const countQueues = query("CountQueues", (view, account: AccountId): number => {
  let count = 0
  for (const _ of view.range("queues", { ...accountRange(account), expectedRows: QUEUE_LIMITS.queuesMax + 1 })) {
    count += 1
    if (count > QUEUE_LIMITS.queuesMax) break
  }
  return count
})
