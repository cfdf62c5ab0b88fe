/** Queues: messages that are delivered until they are acknowledged. */
export type * from "./contract.js"
export { QueueExpiry } from "./expiry.js"
export { QUEUE_LIMITS } from "./limits.js"
export { parseQueueName } from "./queue-name.js"
export { countRestorable, isOfQueues, QueueRestoring, type RestoredQueues } from "./queue-restoring.js"
export { NO_QUEUES, readQueueSizes, type QueueSizes } from "./sizes.js"
export { contentBytesOf, DEFAULT_SETTINGS, Queues } from "./queues.js"
