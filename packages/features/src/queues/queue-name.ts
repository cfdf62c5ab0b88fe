/** Names of queues, as Amazon's SQS has them. */
import { fail } from "@hayloft/base/failures.js"
import { QUEUE_LIMITS } from "./limits.js"

const NAME = /^[A-Za-z0-9_-]+$/

/** Throws `invalidArgument`, `notImplemented`. */
export function parseQueueName(name: string): string {
  if (name.endsWith(".fifo"))
    throw fail("notImplemented", { message: "FIFO queues are not supported: messages may be delivered out of order." })
  if (NAME.test(name) && name.length <= QUEUE_LIMITS.nameCharactersMax) return name
  throw fail("invalidArgument", {
    message: `The name of a queue has 1 to ${QUEUE_LIMITS.nameCharactersMax} letters, digits, hyphens and underscores.`,
  })
}
