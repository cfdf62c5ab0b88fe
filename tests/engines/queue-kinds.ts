/** The commands and queries of queues. */
import { parseAccountId, parseMessageId, rowKeyOf, type MessageId } from "@hayloft/base/ids.js"
import { decodeDue, decodeMessage, decodeQueue, encodeContent, queueRowKey } from "@hayloft/engine/format/queue-rows.js"
import {
  addMessages,
  claimMessages,
  removeEnded,
  removeMessages,
  rescheduleMessages,
  type NewMessage,
} from "@hayloft/features/queues/message-commands-core.js"
import { changeQueue, createQueue, emptyQueue, removeQueue } from "@hayloft/features/queues/queue-commands-core.js"
import {
  countLater,
  countQueues,
  findEnded,
  findOnce,
  sizesOfQueues,
  listMessages,
  listQueues,
  peekMessages,
  readContents,
  readFirstDue,
  readMessages,
  readQueue,
} from "@hayloft/features/queues/queue-queries-core.js"
import { DEFAULT_SETTINGS } from "@hayloft/features/queues/queues.js"
import { restoreContent, restoreMessages } from "@hayloft/features/queues/restore-commands-core.js"
import { commandKind, queryKind, type PlayKind, type Scene } from "./scene.js"

const ACCOUNT = parseAccountId("queues")
const NAMES = ["a", "b", "dead"]
const named = (scene: Scene) => ({ account: ACCOUNT, name: scene.pick(NAMES) })
/** Times that are over already, or not within a history: the clocks of the engines differ by seconds. */
const SECONDS = [undefined, 0, 1_000, 2_000]

/** The store's clock is not known, or the wall clock is far ahead of it. */
const storeMs = (scene: Scene): number => scene.pick([0, 0, scene.nowMs - 10_000_000])

function newMessage(scene: Scene): NewMessage {
  const random = Buffer.from(scene.random.bytes(18)).toString("base64")
  const id = parseMessageId(`D-0000002a-${random}-0001`)
  const body = Buffer.alloc(scene.pick([0, 10, 3_000]), "x")
  const redrive = scene.oneIn(3) ? { maxDeliveries: scene.pick([1, 2]), deadQueue: "dead" } : undefined
  return {
    id,
    content: encodeContent({ body, attributes: [], trace: undefined }),
    contentBytes: body.length,
    sender: "arn",
    copies: 1,
    delaySeconds: scene.pick(SECONDS),
    retrySeconds: scene.pick(SECONDS),
    retentionSeconds: scene.pick([0, 10_000, 10_000]),
    redrive,
  }
}

/** Messages that are there, or were. */
function idsOf(scene: Scene, max: number): readonly MessageId[] {
  const ids = scene.rows("queueOrder").map(([, row]) => decodeDue(row.value).messageId)
  const gone = parseMessageId(`D-0000002a-${"B".repeat(24)}-0001`)
  return ids.length === 0 ? [gone] : [...new Set([...scene.some(ids, max), ...(scene.oneIn(4) ? [gone] : [])])]
}

const deliveriesOf = (scene: Scene): number => {
  const rows = scene.rows("queueMessages")
  return rows.length === 0 ? 1 : decodeMessage(scene.pick(rows)[1].value).deliveries
}

const queueIdOf = (scene: Scene): string => {
  const rows = scene.rows("queues")
  return rows.length === 0 ? "2a" : decodeQueue(scene.pick(rows)[1].value).id
}

export const QUEUE_COMMANDS: readonly PlayKind[] = [
  commandKind("CreateQueue", 3, scene => {
    const redrive = scene.oneIn(2) ? { maxDeliveries: 2, deadQueue: "dead" } : undefined
    return createQueue(named(scene), { ...DEFAULT_SETTINGS, visibilitySeconds: scene.pick([0, 1_000, 2_000]), redrive })
  }),
  commandKind("ChangeQueue", 1, scene =>
    changeQueue(named(scene), {
      isPausedIn: scene.oneIn(4),
      isPausedOut: scene.oneIn(4),
      settings: { bytesMax: scene.pick([3_100, 1_000_000]) },
    }),
  ),
  commandKind("EmptyQueue", 1, scene =>
    scene.oneIn(3) ? emptyQueue(named(scene), scene.pick([0, 60_000])) : undefined,
  ),
  commandKind("RemoveQueue", 1, scene => (scene.oneIn(3) ? removeQueue(named(scene)) : undefined)),
  commandKind("AddMessages", 6, scene => {
    const messages = Array.from({ length: scene.pick([1, 1, 3]) }, () => newMessage(scene))
    const messagesMax = scene.pick([undefined, undefined, 2])
    return addMessages({ ...named(scene), messages, messagesMax, storeMs: storeMs(scene) })
  }),
  commandKind("ClaimMessages", 6, scene => {
    const limits = { count: scene.pick([1, 3, 100]), bytesMax: scene.pick([1, 1_000_000]) }
    const queues = scene.some(NAMES)
    const fromMs = queues.map(() => scene.pick([0, 0, scene.nowMs - 1_000]))
    const overMs = scene.pick([scene.nowMs, scene.nowMs, 0])
    const times = { fromMs, overMs, storeMs: storeMs(scene) }
    const claim = { account: ACCOUNT, queues, ...times, ...limits, refusedQueues: queues.slice(2) }
    return claimMessages({ ...claim, visibilitySeconds: scene.pick(SECONDS) })
  }),
  commandKind("RemoveMessages", 3, scene => removeMessages({ account: ACCOUNT, ids: idsOf(scene, 3) })),
  commandKind("RemoveEndedMessages", 2, scene => {
    const places = scene.rows("queueOrder").map(([place, row]) => ({ place, id: decodeDue(row.value).messageId }))
    return removeEnded({ account: ACCOUNT, places: scene.some(places, 4) }, scene.pick([scene.nowMs, 0]))
  }),
  commandKind("RestoreMessages", 1, scene => restoreMessages(ACCOUNT, copiedMessages(scene))),
  commandKind("RestoreContent", 1, scene => {
    const [id] = idsOf(scene, 1)
    const content = encodeContent({ body: Buffer.alloc(3_000, "y"), attributes: [], trace: undefined })
    return id === undefined ? undefined : restoreContent(ACCOUNT, { id, content })
  }),
  commandKind("RescheduleMessages", 3, scene =>
    rescheduleMessages(
      ACCOUNT,
      idsOf(scene, 3).map(id => ({
        id,
        change: scene.pick([
          { kind: "working" },
          { kind: "nack" },
          { kind: "enqueue" },
          { kind: "dequeue" },
          { kind: "visibility", seconds: scene.pick([0, 1_000, 2_000]), delivery: deliveriesOf(scene) },
        ] as const),
      })),
      storeMs(scene),
    ),
  ),
]

/** Messages of a copy of the rows, some of which are there. */
function copiedMessages(scene: Scene) {
  const there = scene.rows("queueMessages").map(([key, row]) => ({
    id: parseMessageId(key.slice(ACCOUNT.length + 1)),
    message: decodeMessage(row.value),
  }))
  return scene.some(there).map(({ id, message }) => {
    const random = Buffer.from(scene.random.bytes(18)).toString("base64")
    return { message, id: scene.oneIn(2) ? id : parseMessageId(`D-0000002b-${random}-0001`) }
  })
}

export const QUEUE_QUERIES: readonly PlayKind[] = [
  queryKind("ReadQueue", scene => readQueue(named(scene))),
  queryKind("ListQueues", scene =>
    listQueues(ACCOUNT, scene.pick(["", "a", "d"]), scene.pick([undefined, "a"]), scene.pick([1, 100])),
  ),
  queryKind("CountLaterMessages", scene => countLater(queueIdOf(scene), scene.pick([0, scene.nowMs]))),
  queryKind("PeekMessages", scene =>
    peekMessages(
      ACCOUNT,
      queueIdOf(scene),
      { nowMs: scene.nowMs, dueNowMs: scene.nowMs },
      scene.pick([1, 100]),
      scene.oneIn(2),
    ),
  ),
  queryKind("ReadMessages", scene => readMessages(ACCOUNT, idsOf(scene, 3), scene.nowMs)),
  queryKind("ListMessages", scene => {
    const after = scene.oneIn(2) ? idsOf(scene, 1)[0] : undefined
    return listMessages(ACCOUNT, scene.nowMs, after, scene.pick([1, 100]))
  }),
  queryKind("ReadMessageContents", scene => {
    const rows = scene.rows("queueMessages")
    const shown = scene.some(rows, 3).map(([key, row]) => ({
      id: parseMessageId(key.slice(ACCOUNT.length + 1)),
      message: decodeMessage(row.value),
    }))
    return readContents(ACCOUNT, shown)
  }),
  queryKind("ReadFirstDue", () => readFirstDue(NAMES.map(name => queueRowKey(ACCOUNT, name)))),
  queryKind("FindOnceMessages", () => findOnce(rowKeyOf(""))),
  queryKind("SizesOfQueues", () => sizesOfQueues(rowKeyOf(""))),
  queryKind("FindEndedMessages", scene => findEnded(rowKeyOf(""), scene.pick([scene.nowMs, 0]))),
  queryKind("CountQueues", () => countQueues(ACCOUNT)),
]
