/** Queues: messages that are delivered until they are acknowledged. */
export type * from "./contract.js"
export { QueueExpiry } from "./expiry.js"
export { QUEUE_LIMITS } from "./limits.js"
export { parseQueueName } from "./queue-name.js"
export { QUEUES } from "./feature.js"
export { QUEUE_SERVICE } from "./services.js"
export { contentBytesOf, DEFAULT_SETTINGS, Queues } from "./queues.js"
