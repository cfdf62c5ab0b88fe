/**
 * Rows of queues: the queue with its settings, a message with its state, a content that is too large for the message's
 * row, and the order in which the messages of a queue become due. See decision 83.
 *
 * Row keys: account id, 0x00, and the name of the queue or the id of the message. Order: length of the queue's id (1), the
 * id, the time at which the message is due (8), then what the message was added with: the id of the decision and the
 * number of the message in it (2).
 *
 * Refuses  Anything malformed with `corruptRecord`.
 */
import { must } from "@hayloft/base/assert.js"
import { bytesOfHex, hexOf } from "@hayloft/base/bytes.js"
import { bytesOfByteString, parseMessageId, rowKeyOf } from "@hayloft/base/ids.js"
import type { AccountId, MessageId, RowKey } from "@hayloft/base/ids.js"
import type { KeyRange } from "@hayloft/base/rows/key-range.js"
import {
  BYTES,
  flags,
  flat,
  group,
  NUMBER,
  oneOf,
  optional,
  PAIRS,
  parsed,
  record,
  row,
  rowsOf,
} from "./encoding/fields.js"
import { since, TEXT, type ValueOf } from "./encoding/fields.js"
import { ACCOUNT_ID, HEX } from "./encoding/id-fields.js"
import { accountRowKey, suffixRange, u16Text, u64TextOf } from "./row-key.js"

/** The queue to which messages go that are delivered too often. */
const REDRIVE = row({
  /** After so many deliveries without an acknowledgement a message moves instead of being delivered once more. */
  maxDeliveries: NUMBER,
  /** The name of the queue to which it moves. */
  deadQueue: TEXT,
})
export type Redrive = ValueOf<typeof REDRIVE>

/** How a queue treats messages that do not say it themselves. */
const SETTINGS = group({
  /** Before a new message is due. */
  delaySeconds: NUMBER,
  /** Between a delivery without an acknowledgement and the next one. */
  visibilitySeconds: NUMBER,
  /** A message is removed so long after it was added. */
  retentionSeconds: NUMBER,
  /** Bytes of the content of one message. */
  messageBytesMax: NUMBER,
  /** How long a request waits for messages by default. */
  waitSeconds: NUMBER,
  /** Bytes of the contents of all messages together. */
  bytesMax: NUMBER,
  redrive: optional(REDRIVE),
  tags: PAIRS,
})
export type QueueSettings = ValueOf<typeof SETTINGS>

const QUEUE = record("queue", {
  /** Hex: no other queue has it, and a queue that is emptied gets another one. */
  id: HEX,
  createdMs: NUMBER,
  changedMs: NUMBER,
  /** No message is added, no message is delivered. */
  paused: flat(flags("isPausedIn", "isPausedOut")),
  settings: SETTINGS,
  /** When it was emptied last. */
  emptiedMs: since(2, NUMBER),
})
export type QueueRecord = ValueOf<typeof QUEUE>
export const { encode: encodeQueue, decode: decodeQueue } = QUEUE

/** Numbers are on disk: append only. `waiting`: not delivered since it was added or put back. */
const STAGES = ["waiting", "delivered"] as const

/** The place of a message among those of its queue. */
type DuePlace = Pick<MessageRecord, "dueMs" | "order">

const MESSAGE = record("queue message", {
  /** The queue that has it, which may have another name's record by now. */
  queueId: HEX,
  queueName: TEXT,
  dueMs: NUMBER,
  /** Hex: what orders messages that are due at the same time. */
  order: HEX,
  stage: oneOf(STAGES),
  createdMs: NUMBER,
  /** From then on it is delivered no more. */
  expiresMs: NUMBER,
  delaySeconds: NUMBER,
  /** Between deliveries; 0: it is delivered at most once; undefined: the queue decides. */
  retrySeconds: optional(NUMBER),
  deliveries: NUMBER,
  /** How often consumers have put it back. */
  nacks: NUMBER,
  /** How often operators have put it back. */
  enqueues: NUMBER,
  firstDeliveredMs: optional(NUMBER),
  /** Its own; undefined: that of the queue. */
  redrive: optional(REDRIVE),
  /** The queue from which it moved after too many deliveries. */
  movedFrom: optional(TEXT),
  /** How many copies its producer asked for. */
  copies: NUMBER,
  /** The ARN of the principal that added it. */
  sender: TEXT,
  contentBytes: NUMBER,
  /** The content is undefined if it has a row of its own. */
  content: optional(BYTES),
})
export type MessageRecord = ValueOf<typeof MESSAGE>
export const { encode: encodeMessage, decode: decodeMessage } = MESSAGE

const ATTRIBUTES = rowsOf({
  name: TEXT,
  /** `String`, `Number` or `Binary`, perhaps with a dot and more. */
  type: TEXT,
  /** UTF-8 of texts and numbers. */
  value: BYTES,
})
export type MessageAttribute = ValueOf<typeof ATTRIBUTES>[number]

/** The content of a message as its producer gave it. */
const CONTENT = record("message content", {
  body: BYTES,
  attributes: ATTRIBUTES,
  /** The id of a trace (`AWSTraceHeader`). */
  trace: optional(TEXT),
})
export type MessageContent = ValueOf<typeof CONTENT>
export const { encode: encodeContent, decode: decodeContent } = CONTENT

/** The value of a row of the order: what a walk over it needs. */
const DUE = record("due message", {
  accountId: ACCOUNT_ID,
  messageId: parsed(TEXT, parseMessageId),
  expiresMs: NUMBER,
  stage: oneOf(STAGES),
})
export type DueRecord = ValueOf<typeof DUE>
export const { encode: encodeDue, decode: decodeDue } = DUE

const idBytes = (hex: string): Uint8Array => must(bytesOfHex(hex), "ids are hex")

export const queueRowKey = (account: AccountId, name: string): RowKey => accountRowKey(account, name)
export const messageRowKey = (account: AccountId, id: MessageId): RowKey => accountRowKey(account, id)

const byteText = (hex: string): string => String.fromCharCode(...idBytes(hex))

function queueStem(id: string): RowKey {
  const bytes = byteText(id)
  return rowKeyOf(String.fromCharCode(bytes.length) + bytes)
}

/** The order of the message with this number of a decision among those that are due at the same time. */
export const orderOfDecision = (decisionId: string, number: number): string =>
  hexOf(bytesOfByteString(decisionId + u16Text(number)))

export const dueRowKey = (queueId: string, { dueMs, order }: DuePlace): RowKey =>
  rowKeyOf(queueStem(queueId) + u64TextOf(BigInt(dueMs)) + byteText(order))

/** The messages of a queue that are due from one moment on (inclusive) and before another. */
export function dueRange(queueId: string, fromMs: number, beforeMs = Infinity): KeyRange {
  const stem = queueStem(queueId)
  const all = suffixRange(stem)
  const start = rowKeyOf(stem + u64TextOf(BigInt(fromMs)))
  return { start, end: beforeMs === Infinity ? all.end : rowKeyOf(stem + u64TextOf(BigInt(beforeMs))) }
}

/** The queue's id and the time in a row key of the order. */
export function parseDueRowKey(row: RowKey): { readonly queueId: string; readonly dueMs: number } {
  const bytes = Buffer.from(bytesOfByteString(row))
  const end = 1 + (bytes[0] ?? 0)
  return { queueId: bytes.toString("hex", 1, end), dueMs: Number(bytes.readBigUInt64BE(end)) }
}

/** A row of family `usage` counts the messages and bytes of a queue: `q` and the queue's id. */
export const queueUsageRowKey = (queueId: string): RowKey => rowKeyOf(`q${byteText(queueId)}`)
