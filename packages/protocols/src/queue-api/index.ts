/** Queues over HTTP: a REST API with Disque's commands, and Amazon's SQS. */
export { queueActions } from "./actions.js"
export type { StoreOfQueues } from "./call.js"
export { createQueueHandler } from "./handler.js"
