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
import { must } from "../base/assert.js"
import { bytesOfHex, hexOf } from "../base/bytes.js"
import { bytesOfByteString, parseAccountId, parseMessageId, rowKeyOf } from "../base/ids.js"
import type { AccountId, MessageId, RowKey } from "../base/ids.js"
import type { KeyRange } from "../base/key-range.js"
import { packRecord, pick, RecordReader } from "./pack.js"
import { accountRowKey, suffixRange, u16Text, u64TextOf } from "./row-key.js"

/** Where messages go that are delivered too often. */
export interface Redrive {
  /** After so many deliveries without an acknowledgement a message moves instead of being delivered once more. */
  readonly maxDeliveries: number
  /** The name of the queue to which it moves. */
  readonly deadQueue: string
}

/** How a queue treats messages that do not say it themselves. */
export interface QueueSettings {
  /** Before a new message is due. */
  readonly delaySeconds: number
  /** Between a delivery without an acknowledgement and the next one. */
  readonly visibilitySeconds: number
  /** A message is removed so long after it was added. */
  readonly retentionSeconds: number
  /** Bytes of the content of one message. */
  readonly messageBytesMax: number
  /** How long a request waits for messages by default. */
  readonly waitSeconds: number
  /** Bytes of the contents of all messages together. */
  readonly bytesMax: number
  readonly redrive: Redrive | undefined
  readonly tags: readonly (readonly [name: string, value: string])[]
}

export interface QueueRecord {
  /** Hex: no other queue has it, and a queue that is emptied gets another one. */
  readonly id: string
  readonly createdMs: number
  readonly changedMs: number
  /** No message is added. */
  readonly isPausedIn: boolean
  /** No message is delivered. */
  readonly isPausedOut: boolean
  readonly settings: QueueSettings
  /** When it was emptied last. */
  readonly emptiedMs?: number
}

const idBytes = (hex: string): Uint8Array => must(bytesOfHex(hex), "ids are hex")

const packRedrive = (redrive: Redrive | undefined): unknown =>
  redrive === undefined ? null : [redrive.maxDeliveries, redrive.deadQueue]

const readRedrive = (row: RecordReader): Redrive | undefined =>
  row.optional(() => {
    const members = row.row()
    return { maxDeliveries: members.number(), deadQueue: members.text() }
  })

/** A queue that was emptied has format 2. */
export function encodeQueue(queue: QueueRecord): Uint8Array {
  const { id, createdMs, changedMs, isPausedIn, isPausedOut, settings, emptiedMs } = queue
  const { delaySeconds, visibilitySeconds, retentionSeconds, messageBytesMax, waitSeconds, bytesMax } = settings
  return packRecord(emptiedMs === undefined ? 1 : 2, [
    ...[idBytes(id), createdMs, changedMs, (isPausedIn ? PAUSED_IN : 0) | (isPausedOut ? PAUSED_OUT : 0)],
    ...[delaySeconds, visibilitySeconds, retentionSeconds, messageBytesMax, waitSeconds, bytesMax],
    ...[packRedrive(settings.redrive), settings.tags],
    ...(emptiedMs === undefined ? [] : [emptiedMs]),
  ])
}

const PAUSED_IN = 1
const PAUSED_OUT = 2

export function decodeQueue(value: Uint8Array): QueueRecord {
  const row = RecordReader.open("queue", value, 2)
  const [id, createdMs, changedMs, paused] = [hexOf(row.bytes()), row.number(), row.number(), row.number()]
  const queue = {
    ...{ id, createdMs, changedMs },
    ...{ isPausedIn: (paused & PAUSED_IN) !== 0, isPausedOut: (paused & PAUSED_OUT) !== 0 },
    settings: {
      ...{ delaySeconds: row.number(), visibilitySeconds: row.number(), retentionSeconds: row.number() },
      ...{ messageBytesMax: row.number(), waitSeconds: row.number(), bytesMax: row.number() },
      redrive: readRedrive(row),
      tags: row.rows(tag => [tag.text(), tag.text()] as const),
    },
  }
  return row.format === 1 ? queue : { ...queue, emptiedMs: row.number() }
}

/** Numbers are on disk: append only. `waiting`: not delivered since it was added or put back. */
const STAGES = ["waiting", "delivered"] as const
type MessageStage = (typeof STAGES)[number]

/** The place of a message among those of its queue. */
interface DuePlace {
  readonly dueMs: number
  /** Hex: what orders messages that are due at the same time. */
  readonly order: string
}

export interface MessageRecord extends DuePlace {
  /** The queue that has it, which may have another name's record by now. */
  readonly queueId: string
  readonly queueName: string
  readonly stage: MessageStage
  readonly createdMs: number
  /** From then on it is delivered no more. */
  readonly expiresMs: number
  readonly delaySeconds: number
  /** Between deliveries; 0: it is delivered at most once; undefined: the queue decides. */
  readonly retrySeconds: number | undefined
  readonly deliveries: number
  /** How often consumers have put it back. */
  readonly nacks: number
  /** How often operators have put it back. */
  readonly enqueues: number
  readonly firstDeliveredMs: number | undefined
  /** Its own; undefined: that of the queue. */
  readonly redrive: Redrive | undefined
  /** The queue from which it moved after too many deliveries. */
  readonly movedFrom: string | undefined
  /** How many copies its producer asked for. */
  readonly copies: number
  /** Who added it: an ARN. */
  readonly sender: string
  readonly contentBytes: number
  /** The content is undefined if it has a row of its own. */
  readonly content: Uint8Array | undefined
}

export const encodeMessage = (message: MessageRecord): Uint8Array =>
  packRecord(1, [
    ...[idBytes(message.queueId), message.queueName, message.dueMs, idBytes(message.order)],
    ...[STAGES.indexOf(message.stage), message.createdMs, message.expiresMs, message.delaySeconds],
    ...[message.retrySeconds ?? null, message.deliveries, message.nacks, message.enqueues],
    ...[message.firstDeliveredMs ?? null, packRedrive(message.redrive), message.movedFrom ?? null],
    ...[message.copies, message.sender, message.contentBytes, message.content ?? null],
  ])

export function decodeMessage(value: Uint8Array): MessageRecord {
  const row = RecordReader.open("queue message", value, 1)
  return {
    ...{ queueId: hexOf(row.bytes()), queueName: row.text(), dueMs: row.number(), order: hexOf(row.bytes()) },
    ...{ stage: pick(STAGES, row.number(), "stage"), createdMs: row.number(), expiresMs: row.number() },
    ...{ delaySeconds: row.number(), retrySeconds: row.optional(() => row.number()), deliveries: row.number() },
    ...{ nacks: row.number(), enqueues: row.number(), firstDeliveredMs: row.optional(() => row.number()) },
    ...{ redrive: readRedrive(row), movedFrom: row.optional(() => row.text()), copies: row.number() },
    ...{ sender: row.text(), contentBytes: row.number(), content: row.optional(() => row.bytes()) },
  }
}

/** The content of a message as its producer gave it. */
export interface MessageContent {
  readonly body: Uint8Array
  readonly attributes: readonly MessageAttribute[]
  /** The id of a trace (`AWSTraceHeader`). */
  readonly trace: string | undefined
}

export interface MessageAttribute {
  readonly name: string
  /** `String`, `Number` or `Binary`, perhaps with a dot and more. */
  readonly type: string
  /** UTF-8 of texts and numbers. */
  readonly value: Uint8Array
}

export const encodeContent = ({ body, attributes, trace }: MessageContent): Uint8Array =>
  packRecord(1, [body, attributes.map(({ name, type, value }) => [name, type, value]), trace ?? null])

export function decodeContent(value: Uint8Array): MessageContent {
  const row = RecordReader.open("message content", value, 1)
  return {
    body: row.bytes(),
    attributes: row.rows(each => ({ name: each.text(), type: each.text(), value: each.bytes() })),
    trace: row.optional(() => row.text()),
  }
}

/** The value of a row of the order: what a walk over it needs. */
export interface DueRecord {
  readonly accountId: AccountId
  readonly messageId: MessageId
  readonly expiresMs: number
  readonly stage: MessageStage
}

export const encodeDue = ({ accountId, messageId, expiresMs, stage }: DueRecord): Uint8Array =>
  packRecord(1, [accountId, messageId, expiresMs, STAGES.indexOf(stage)])

export function decodeDue(value: Uint8Array): DueRecord {
  const row = RecordReader.open("due message", value, 1)
  return {
    ...{ accountId: parseAccountId(row.text()), messageId: parseMessageId(row.text()), expiresMs: row.number() },
    stage: pick(STAGES, row.number(), "stage"),
  }
}

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
