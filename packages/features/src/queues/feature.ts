/** Queues, as a feature of the store: how much they hold, for metrics, and the messages that backups bring back. */
import { plural } from "@hayloft/base/text/quantity-text.js"
import type { BackedUpRows } from "@hayloft/objects/door/index.js"
import type { ProductFeature } from "../operator/index.js"
import { QUEUE_OPERATOR } from "./operations.js"
import { registerQueues } from "./queue-metrics.js"
import { countRestorable, isOfQueues, QueueRestoring } from "./queue-restoring.js"
import { NO_QUEUES, readQueueSizes } from "./sizes.js"

const BACKED_UP: BackedUpRows = {
  what: "messages of queues",
  has: isOfQueues,
  /** Messages that are delivered at most once are removed. */
  reconcile: async ({ metadata, backups }) => ({
    entries: [],
    async putBack(check, signal) {
      await check()
      await QueueRestoring.dropOnce(metadata)
      const restoring = new QueueRestoring(metadata, check)
      for (const backup of backups) for await (const row of backup(signal)) await restoring.take(row)
      return { count: (await restoring.finish()).messages }
    },
  }),
  async rescue({ rows, into, accountOf, tell }) {
    const { queues, messages } =
      into === undefined
        ? await countRestorable(rows)
        : await new QueueRestoring(into.metadata, into.prepare, accountOf).takeAll(rows)
    const notes = [`${plural(queues, "queue")}, ${plural(messages, "message")}`]
    if (queues + messages > 0) await tell({ kind: "queues", notes })
    return { queues, messages }
  },
}

export const QUEUES = {
  name: "queues" as const,
  operator: QUEUE_OPERATOR,
  start(core) {
    let sizes = NO_QUEUES
    registerQueues(core.metrics, () => sizes)
    return {
      async refresh() {
        sizes = await readQueueSizes(core.metadata)
      },
    }
  },
  backedUp: BACKED_UP,
} satisfies ProductFeature
