/**
 * Commands that bring queues back from a copy of the metadata. Pure.
 *
 * Promises  A message that comes back is due now, unless its delay is not over, and has its counters. One that is delivered
 *           at most once does not come back: its consumer may have had it after the copy was made. What is there stays, and
 *           a command that is repeated changes nothing.
 */
import type { AccountId, MessageId } from "@hayloft/base/ids.js"
import type { EntryWrite } from "@hayloft/engine/format/device/entry.js"
import {
  decodeContent,
  messageRowKey,
  orderOfDecision,
  queueRowKey,
  type MessageRecord,
} from "@hayloft/engine/format/queue-rows.js"
import type { QueueRecord } from "@hayloft/engine/format/queue-rows.js"
import { command, type CommandView } from "@hayloft/engine/metadata/index.js"
import { messageRowIn, MessageWrites, queueIn } from "./message-rows-core.js"
import { changeQueue, createQueue, type QueueName } from "./queue-commands-core.js"

const SECOND_MS = 1_000

/** Makes the queue, and sets it as it was. The first command tells whether it is new; the second one follows then. */
export const restoreQueue = (name: QueueName, { settings, isPausedIn, isPausedOut }: QueueRecord) => ({
  create: createQueue(name, settings),
  pause: isPausedIn || isPausedOut ? changeQueue(name, { isPausedIn, isPausedOut }) : undefined,
})

export interface RestoredMessage {
  readonly id: MessageId
  readonly message: MessageRecord
}

/** The queue to which it belongs now; undefined: it does not come back. */
function queueOf(view: CommandView, account: AccountId, { id, message }: RestoredMessage, nowMs: number) {
  if (message.retrySeconds === 0 || message.expiresMs <= nowMs) return undefined
  if (messageRowIn(view, account, id) !== undefined) return undefined
  return queueIn(view, account, message.queueName)
}

/** Returns how many have come back. A message whose content has a row of its own is not due before that is back. */
export const restoreMessages = command<[account: AccountId, messages: readonly RestoredMessage[]], number>({
  name: "RestoreMessages",
  touches: (account, messages) => [
    ...messages.map(({ id }) => ["queueMessages", messageRowKey(account, id)] as const),
    ...[...new Set(messages.map(({ message }) => message.queueName))].map(
      name => ["queues", queueRowKey(account, name)] as const,
    ),
  ],
  decide(view, { nowMs, id: decision }, account, messages) {
    const change = new MessageWrites(view, account)
    let restored = 0
    for (const [number, each] of messages.entries()) {
      const queue = queueOf(view, account, each, nowMs)
      if (queue === undefined) continue
      const { id, message } = each
      restored += 1
      const isDelayed = message.stage === "waiting" && message.dueMs > nowMs
      const dueMs = message.content === undefined ? message.expiresMs : isDelayed ? message.dueMs : nowMs
      const order = orderOfDecision(decision, number)
      change.add(id, { ...message, queueId: queue.id, stage: "waiting", dueMs, order }, undefined)
    }
    return { writes: change.writes, usage: change.usage(), result: restored }
  },
})

interface RestoredContent {
  readonly id: MessageId
  /** Packed. */
  readonly content: Uint8Array
}

/** Brings the content back, and makes the message due, if that lacks it. */
export const restoreContent = command<[account: AccountId, content: RestoredContent], boolean>({
  name: "RestoreContent",
  touches: (account, { id }) => [["queueMessages", messageRowKey(account, id)]],
  decide(view, { nowMs, id: decision }, account, { id, content }) {
    decodeContent(content)
    const message = messageRowIn(view, account, id)
    const key = messageRowKey(account, id)
    const isComplete =
      message === undefined || message.content !== undefined || view.ifPresent("queueContents", key) !== undefined
    if (isComplete) return { writes: [], result: false }
    const change = new MessageWrites(view, account)
    // A message that was never delivered or rescheduled keeps its delay, as one with its content in the row does.
    const isUntouched = message.deliveries + message.nacks + message.enqueues === 0
    const delayedMs = isUntouched ? message.createdMs + message.delaySeconds * SECOND_MS : 0
    const dueMs = Math.max(nowMs, delayedMs)
    change.change(id, message, { ...message, dueMs, order: orderOfDecision(decision, 0) })
    const write: EntryWrite = { family: "queueContents", key, value: content }
    return { writes: [...change.writes, write], usage: change.usage(), result: true }
  },
})
