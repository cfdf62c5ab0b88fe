/** The jobs that deliver the records of the audit log to the sinks of the configuration. */
import type { AuditLog } from "@hayloft/access/index.js"
import { AuditDelivery, BucketSink, FileSink, WebhookSink } from "@hayloft/features/audit-sinks/index.js"
import type { ServeConfig } from "@hayloft/node/config/config.js"
import type { Job } from "@hayloft/base/life/index.js"
import type { ObjectServices } from "@hayloft/objects/contract.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import type { Telemetry } from "@hayloft/base/seams/telemetry/contract.js"
import type { WebServices } from "@hayloft/base/seams/web/contract.js"

interface SinkSeams {
  readonly clock: Clock
  readonly disk: Disk
  readonly telemetry: Telemetry
  readonly web: WebServices
}

/** One node at a time takes the steps of each: those that have it in their configuration. */
export function auditJobsOf(
  { clock, disk, telemetry, web }: SinkSeams,
  { auditSinks: { file, webhook, bucket } }: Pick<ServeConfig, "auditSinks">,
  audit: AuditLog,
  services: Pick<ObjectServices, "buckets" | "objects">,
): readonly Job[] {
  const sinks = [
    ...(file === undefined ? [] : [new FileSink(disk, file)]),
    ...(webhook === undefined ? [] : [new WebhookSink(web, clock, webhook)]),
    ...(bucket === undefined ? [] : [new BucketSink(services, bucket)]),
  ]
  return sinks.map(sink => new AuditDelivery(audit, sink, clock, telemetry))
}
