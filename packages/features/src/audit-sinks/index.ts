/** Sinks of the audit log: a file, a webhook and a bucket that have its records too. */
export { AuditDelivery } from "./delivery.js"
export { BucketSink } from "./bucket-sink.js"
export { FileSink } from "./file-sink.js"
export { WebhookSink } from "./webhook-sink.js"
