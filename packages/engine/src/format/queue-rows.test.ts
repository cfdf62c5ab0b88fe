/** Rows of queues are unchanged, byte for byte, sort as they are to, and malformed ones are refused. */
import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { bytesOfHex, hexOf } from "@hayloft/base/bytes.js"
import { isFailure } from "@hayloft/base/failures.js"
import { bytesOfByteString, parseAccountId, parseMessageId } from "@hayloft/base/ids.js"
import {
  decodeContent,
  decodeDue,
  decodeMessage,
  decodeQueue,
  dueRange,
  dueRowKey,
  encodeContent,
  encodeDue,
  encodeMessage,
  encodeQueue,
  messageRowKey,
  orderOfDecision,
  parseDueRowKey,
  queueRowKey,
  queueUsageRowKey,
  type DueRecord,
  type MessageContent,
  type MessageRecord,
  type QueueRecord,
} from "./queue-rows.js"

const NOW_MS = Date.UTC(2026, 0, 2, 3, 4, 5)
const account = parseAccountId("main")
const id = parseMessageId("D-0123abcd-AAAABBBBCCCCDDDD+/EEffGG-05a1")
const settings = {
  delaySeconds: 0,
  visibilitySeconds: 30,
  retentionSeconds: 345_600,
  messageBytesMax: 1_048_576,
  waitSeconds: 0,
  bytesMax: 2 ** 30,
  redrive: undefined,
  tags: [],
}
const plain: QueueRecord = {
  id: "0000000000000007",
  createdMs: NOW_MS,
  changedMs: NOW_MS,
  isPausedIn: false,
  isPausedOut: false,
  settings,
}
const full: QueueRecord = {
  ...plain,
  isPausedIn: true,
  isPausedOut: true,
  settings: { ...settings, redrive: { maxDeliveries: 3, deadQueue: "dead" }, tags: [["team", "é"]] },
}
const order = orderOfDecision("\x00\x00\x00\x00\x00\x00\x00\x09", 2)
const message: MessageRecord = {
  queueId: plain.id,
  queueName: "mail",
  dueMs: NOW_MS,
  order,
  stage: "waiting",
  createdMs: NOW_MS,
  expiresMs: NOW_MS + 60_000,
  delaySeconds: 0,
  retrySeconds: undefined,
  deliveries: 0,
  nacks: 0,
  enqueues: 0,
  firstDeliveredMs: undefined,
  redrive: undefined,
  movedFrom: undefined,
  copies: 1,
  sender: "arn",
  contentBytes: 5,
  content: undefined,
}
const delivered: MessageRecord = {
  ...message,
  stage: "delivered",
  retrySeconds: 0,
  deliveries: 4,
  nacks: 5,
  enqueues: 6,
  firstDeliveredMs: NOW_MS + 1,
  redrive: { maxDeliveries: 7, deadQueue: "dead" },
  movedFrom: "other",
  content: Uint8Array.of(1, 2),
}
const content: MessageContent = {
  body: Buffer.from("hello"),
  attributes: [{ name: "n", type: "Number.int", value: Buffer.from("1") }],
  trace: "Root=1",
}
const bare: MessageContent = { body: new Uint8Array(0), attributes: [], trace: undefined }
const due: DueRecord = { accountId: account, messageId: id, expiresMs: NOW_MS, stage: "delivered" }

const GOLDEN = readFileSync(
  new URL("../../../../../packages/engine/src/format/golden/queue-rows-v1.txt", import.meta.url),
  "utf8",
)
const EMPTIED_GOLDEN = readFileSync(
  new URL("../../../../../packages/engine/src/format/golden/queue-rows-v2.txt", import.meta.url),
  "utf8",
)
const bytesFrom = (hex: string): Uint8Array => must(bytesOfHex(hex), "these are hex digits")
/** With bytes as texts: of whichever class they are. */
const plainly = (value: unknown): unknown =>
  JSON.parse(
    JSON.stringify(structuredClone(value), (_, each: unknown) => (each instanceof Uint8Array ? hexOf(each) : each)),
  )

test("rows of queues v1 are unchanged, byte for byte, and are read back", () => {
  const records = [
    ...[plain, full].map(record => [encodeQueue(record), record, decodeQueue] as const),
    ...[message, delivered].map(record => [encodeMessage(record), record, decodeMessage] as const),
    ...[content, bare].map(record => [encodeContent(record), record, decodeContent] as const),
    [encodeDue(due), due, decodeDue] as const,
  ]
  const keys = [queueRowKey(account, "mail"), messageRowKey(account, id), dueRowKey(plain.id, message)]
  const lines = [
    ...records.map(([bytes]) => hexOf(bytes)),
    ...[...keys, queueUsageRowKey(plain.id)].map(key => hexOf(bytesOfByteString(key))),
  ]
  assert.deepEqual(lines, GOLDEN.trim().split("\n"))
  for (const [index, [, record, decode]] of records.entries())
    assert.deepEqual(plainly(decode(bytesFrom(lines[index] ?? ""))), plainly(record))
})

test("the row of a queue that was emptied has format 2, unchanged byte for byte, and is read back", () => {
  const emptied: QueueRecord = { ...full, emptiedMs: NOW_MS + 5 }
  const bytes = encodeQueue(emptied)
  assert.equal(hexOf(bytes), EMPTIED_GOLDEN.trim())
  assert.deepEqual(decodeQueue(bytes), emptied)
  assert.throws(() => decodeQueue(encodeQueue({ ...emptied, emptiedMs: Number.NaN })), isFailure)
})

test("messages of a queue sort by the time when they are due, then by their decision; queues do not mix", () => {
  const at = (dueMs: number, decision: string, number: number) =>
    dueRowKey("07", { dueMs, order: orderOfDecision(decision, number) })
  const keys = [at(5, "b", 0), at(255, "a", 0), at(256, "a", 0), at(256, "a", 1), at(256, "b", 0)]
  assert.deepEqual([...keys].sort(), keys)
  // The id of one queue may begin as that of another does.
  const other = dueRowKey("0700", { dueMs: 0, order: "01" })
  const { start, end } = dueRange("07", 0)
  assert.ok(keys.every(key => key >= start && key < end))
  assert.ok(other < start || other >= end)
  assert.deepEqual(
    keys.filter(key => key < dueRange("07", 0, 256).end),
    keys.slice(0, 2),
  )
  assert.deepEqual(parseDueRowKey(must(keys[1], "a key")), { queueId: "07", dueMs: 255 })
})

test("malformed rows of queues are refused", () => {
  const isCorrupt = (error: unknown): boolean => isFailure(error, "corruptRecord")
  for (const decode of [decodeQueue, decodeMessage, decodeContent, decodeDue])
    for (const hex of ["", "c0", "9101", "9201a161", "91ff"]) assert.throws(() => decode(bytesFrom(hex)), isCorrupt)
})
