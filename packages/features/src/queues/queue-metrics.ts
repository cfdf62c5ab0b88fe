/** Metrics of what queues hold: those with the most messages, and the rest as one. */
import { sharedMetrics, type Metrics } from "@hayloft/base/seams/telemetry/contract.js"
import type { QueueSize } from "./queue-queries-core.js"
import type { QueueSizes } from "./sizes.js"

/** No account can have this id. */
const OTHER_QUEUES = { account: "_other", queue: "_other" }

export function registerQueues(to: Metrics, sizes: () => QueueSizes): void {
  const metrics = sharedMetrics(to)
  const rows = (valueOf: (of: Pick<QueueSize, "messages" | "bytes">) => number) => () => {
    const { largest, others } = sizes()
    const named = largest.map(of => [{ account: of.account, queue: of.name }, valueOf(of)] as const)
    return others === undefined ? named : [...named, [OTHER_QUEUES, valueOf(others)] as const]
  }
  metrics.gauge(
    "hayloft_queue_messages",
    "Messages of a queue, also those that are delayed or on the way to a consumer",
    rows(({ messages }) => messages),
  )
  metrics.gauge(
    "hayloft_queue_bytes",
    "Bytes of the messages of a queue",
    rows(({ bytes }) => bytes),
  )
}
