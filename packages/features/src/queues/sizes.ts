/**
 * Sizes of queues for metrics: the queues with the most messages, and the others together. It reads page by page.
 *
 * Limits  QUEUE_LIMITS: queues that are returned by name.
 */
import { rowKeyOf } from "@hayloft/base/ids.js"
import { walkPages } from "@hayloft/base/walk-pages.js"
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import { QUEUE_LIMITS } from "./limits.js"
import { sizesOfQueues, type QueueSize } from "./queue-queries-core.js"

export interface QueueSizes {
  /** The one with the most messages first. */
  readonly largest: readonly QueueSize[]
  /** The others; undefined: there are none. */
  readonly others: Pick<QueueSize, "messages" | "bytes"> | undefined
}

export const NO_QUEUES: QueueSizes = { largest: [], others: undefined }

const byMessages = (a: QueueSize, b: QueueSize): number => b.messages - a.messages || b.bytes - a.bytes

const added = (sum: QueueSizes["others"], { messages, bytes }: QueueSize): QueueSizes["others"] => ({
  messages: messages + (sum?.messages ?? 0),
  bytes: bytes + (sum?.bytes ?? 0),
})

export async function readQueueSizes(
  metadata: Pick<Metadata, "ask">,
  max: number = QUEUE_LIMITS.queuesMeasured,
): Promise<QueueSizes> {
  let sizes = NO_QUEUES
  for await (const page of walkPages(rowKeyOf(""), start => metadata.ask(sizesOfQueues(start)))) {
    const all = [...sizes.largest, ...page.found].sort(byMessages)
    sizes = { largest: all.slice(0, max), others: all.slice(max).reduce(added, sizes.others) }
  }
  return sizes
}
