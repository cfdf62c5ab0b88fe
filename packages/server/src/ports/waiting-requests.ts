/** Metrics of requests that wait for a change, in each thread that serves them. */
import type { Metrics } from "@hayloft/base/seams/telemetry/contract.js"
import type { StoreServices } from "@hayloft/features/index.js"
import type { QueuePort } from "./queue-port.js"

export function registerWaiting(
  metrics: Metrics,
  { items, objectWatch }: Pick<StoreServices, "items" | "objectWatch">,
  { queues }: Pick<QueuePort, "queues">,
): void {
  const polls = "Polls of K2V that wait for a change"
  metrics.gauge("hayloft_k2v_polls_waiting", polls, () => [[{}, items.watching]])
  const follows = "Requests that follow an object and wait for more of it"
  metrics.gauge("hayloft_s3_follows_waiting", follows, () => [[{}, objectWatch.watching]])
  const receivers = "Requests that wait for messages of queues"
  metrics.gauge("hayloft_queue_receives_waiting", receivers, () => [[{}, queues.waiting]])
}
