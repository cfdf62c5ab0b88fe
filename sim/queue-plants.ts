/** Planted bugs of queues, which tests must catch. */
import type { Edit, TestedPlant } from "./plants.js"

const plantCaughtBy =
  (caughtBy: string) =>
  (bug: string, file: string, find: string, put: string): TestedPlant => ({
    bug: `queues: ${bug}`,
    edits: [{ file: `packages/features/src/queues/${file}.ts`, find, put } satisfies Edit],
    caughtBy,
  })

const plant = plantCaughtBy("packages/features/src/queues/queues")
const waiting = plantCaughtBy("packages/features/src/queues/queue-watch")
const ahead = plantCaughtBy("packages/features/src/queues/over-messages")
const MESSAGES = "message-commands-core"

export const QUEUE_PLANTS: readonly TestedPlant[] = [
  plant(
    "a message with retry 0 is due again after its queue's time",
    MESSAGES,
    "return retrySeconds === 0 ? expiresMs : Math.min(dueNowMs + seconds * SECOND_MS, expiresMs)",
    "return Math.min(dueNowMs + seconds * SECOND_MS, expiresMs + (retrySeconds ?? 0) * 0)",
  ),
  plant(
    "a consumer puts back what is delivered at most once",
    MESSAGES,
    'if (isOnce && isDelivered) return "same"\n      return { ...message, stage: "waiting", dueMs: dueNowMs, nacks',
    'return { ...message, stage: "waiting", dueMs: dueNowMs, nacks',
  ),
  ahead(
    "a wall clock that is ahead tells what is due",
    "message-rows-core",
    "storeMs > 0 && wallMs - storeMs > QUEUE_LIMITS.aheadMsMax ? storeMs : wallMs",
    "Math.max(wallMs, storeMs)",
  ),
  plant("messages whose time is over are delivered", MESSAGES, "if (message.expiresMs <= nowMs) {", "if (nowMs < 0) {"),
  plant(
    "an earlier receipt changes a later delivery",
    MESSAGES,
    "message.dueMs > dueNowMs && message.deliveries === change.delivery",
    "message.dueMs > dueNowMs && message.deliveries >= change.delivery",
  ),
  plant(
    "messages move to the dead queue one delivery late",
    MESSAGES,
    "message.deliveries >= redrive.maxDeliveries",
    "message.deliveries > redrive.maxDeliveries",
  ),
  plant(
    "a dead queue does not keep messages longer",
    MESSAGES,
    "const expiresMs = Math.max(message.expiresMs, nowMs",
    "const expiresMs = Math.min(message.expiresMs, nowMs",
  ),
  plant(
    "a paused queue delivers",
    MESSAGES,
    "if (queue === undefined || queue.isPausedOut) return true",
    "if (queue === undefined) return true",
  ),
  plant(
    "messages of an emptied queue are acknowledged",
    "message-rows-core",
    "return queue?.id === message.queueId ? { id, message, queue } : undefined",
    "return queue === undefined ? undefined : { id, message, queue }",
  ),
  plant(
    "the content of a removed message stays",
    "message-rows-core",
    'if (message.content === undefined) this.removeRow("queueContents", key)',
    'if (message.content?.length === 0) this.removeRow("queueContents", key)',
  ),
  plant(
    "a queue does not count what moves to it",
    "message-rows-core",
    "this.count(after.queueId, 1, after.contentBytes)",
    "this.count(after.queueId, 0, 0)",
  ),
  plant(
    "a copy brings back what is delivered at most once",
    "restore-commands-core",
    "message.retrySeconds === 0 || ",
    "",
  ),
  plant(
    "a message comes back before its content",
    "restore-commands-core",
    "message.content === undefined ? message.expiresMs : isDelayed",
    "isDelayed",
  ),
  waiting(
    "a look that fails does not pass its turn on",
    "queue-watch",
    "      this.passOn()\n      throw error",
    "      throw error",
  ),
  waiting(
    "who goes as it is woken keeps its turn",
    "queue-watch",
    "if (this.hasTurn) this.passOn()",
    "if (this.hasTurn) return",
  ),
  waiting(
    "the alarm of the first message is the last one",
    "queue-watch",
    "      watched.alarmMs = Infinity\n      watched.cancelAlarm",
    "      watched.cancelAlarm",
  ),
  waiting("a message that lapses wakes nothing", MESSAGES, "return [...claimed, ...others]", "return others"),
  waiting("each message wakes all that wait", "queue-watch", "      if (left === 0) return\n", ""),
]
