/**
 * Commands on queues: making, setting, pausing, emptying and removing them. Pure.
 *
 * Promises  A queue that is emptied or removed has none of its messages from that decision on: it gets another id, or no
 *           row. What is left of them is removed later (`Expiry`).
 */
import { fail } from "@hayloft/base/failures.js"
import { hexOf } from "@hayloft/base/bytes.js"
import { bytesOfByteString, type AccountId } from "@hayloft/base/ids.js"
import {
  encodeQueue,
  queueRowKey,
  queueUsageRowKey,
  type QueueRecord,
  type QueueSettings,
} from "@hayloft/engine/format/queue-rows.js"
import { NO_USAGE } from "@hayloft/engine/format/objects/usage.js"
import {
  command,
  type CommandView,
  type DecisionTime,
  type Touches,
  type UsageChange,
} from "@hayloft/engine/metadata/index.js"
import { queueIn } from "./message-rows-core.js"

export interface QueueName {
  readonly account: AccountId
  readonly name: string
}

const noSuchQueue = (name: string) => fail("noSuchQueue", { message: `The queue ${name} does not exist.`, queue: name })

/** Throws `noSuchQueue`. */
export function requireQueue(view: Pick<CommandView, "ifPresent">, { account, name }: QueueName): QueueRecord {
  const queue = queueIn(view, account, name)
  if (queue === undefined) throw noSuchQueue(name)
  return queue
}

const touchesOf = ({ account, name }: QueueName): Touches => [["queues", queueRowKey(account, name)]]

const writeOf = ({ account, name }: QueueName, queue: QueueRecord) =>
  ({ family: "queues", key: queueRowKey(account, name), value: encodeQueue(queue) }) as const

const newId = ({ id }: DecisionTime): string => hexOf(bytesOfByteString(id))
const newCount = (id: string): UsageChange => ({ key: queueUsageRowKey(id), change: NO_USAGE, isNew: true })
const droppedCount = (id: string): UsageChange => ({ key: queueUsageRowKey(id), change: "drop" })

/** Makes the queue unless it is there; returns what there is then, and whether it is new. */
export const createQueue = command<[name: QueueName, settings: QueueSettings], { queue: QueueRecord; isNew: boolean }>({
  name: "CreateQueue",
  touches: touchesOf,
  decide(view, time, name, settings) {
    const row = view.get("queues", queueRowKey(name.account, name.name))
    if (row !== undefined) return { writes: [], result: { queue: requireQueue(view, name), isNew: false } }
    const { nowMs } = time
    const dates = { createdMs: nowMs, changedMs: nowMs }
    const queue = { id: newId(time), ...dates, isPausedIn: false, isPausedOut: false, settings }
    return { writes: [writeOf(name, queue)], usage: [newCount(queue.id)], result: { queue, isNew: true } }
  },
})

/** The settings to change; absent members stay as they are. */
export interface QueueChange {
  readonly settings?: Partial<QueueSettings>
  readonly isPausedIn?: boolean
  readonly isPausedOut?: boolean
}

/** Throws `noSuchQueue`. */
export const changeQueue = command<[name: QueueName, change: QueueChange], QueueRecord>({
  name: "ChangeQueue",
  // On a full store a queue can be paused, one that was paused can be emptied by its consumers, and messages can end sooner.
  grows: (_name, { settings }) => settings?.tags !== undefined,
  touches: touchesOf,
  decide(view, { nowMs }, name, { settings, ...paused }) {
    const before = requireQueue(view, name)
    const queue = { ...before, ...paused, changedMs: nowMs, settings: { ...before.settings, ...settings } }
    return { writes: [writeOf(name, queue)], result: queue }
  },
})

/** Removes all messages, unless that was done in the last `restMs`; returns whether it did. Throws `noSuchQueue`. */
export const emptyQueue = command<[name: QueueName, restMs: number], boolean>({
  name: "EmptyQueue",
  grows: false,
  touches: touchesOf,
  decide(view, time, name, restMs) {
    const before = requireQueue(view, name)
    const { nowMs } = time
    if (before.emptiedMs !== undefined && Math.abs(nowMs - before.emptiedMs) < restMs)
      return { writes: [], result: false }
    const queue = { ...before, id: newId(time), changedMs: nowMs, emptiedMs: nowMs }
    return {
      writes: [writeOf(name, queue)],
      usage: [droppedCount(before.id), newCount(queue.id)],
      result: true,
    }
  },
})

/** Throws `noSuchQueue`. */
export const removeQueue = command<[name: QueueName], void>({
  name: "RemoveQueue",
  grows: false,
  touches: touchesOf,
  decide(view, _time, name) {
    const { id } = requireQueue(view, name)
    const key = queueRowKey(name.account, name.name)
    return { writes: [{ family: "queues", key, value: undefined }], usage: [droppedCount(id)], result: undefined }
  },
})
