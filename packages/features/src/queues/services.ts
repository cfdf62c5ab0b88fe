/** The queues that the operations use, by the core of their store. */
import { ServiceOf } from "@hayloft/objects/door/index.js"
import type { Queues } from "./queues.js"

export const QUEUE_SERVICE = new ServiceOf<
  Pick<Queues, "list" | "find" | "lengths" | "waitingFor" | "create" | "change" | "add" | "peek" | "empty" | "remove">
>()
