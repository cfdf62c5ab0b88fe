/** A place outside the audit log that has its records too: a file, a webhook or a bucket. */
import type { AuditLog, QueuedAudit } from "@hayloft/access/index.js"

type AuditEntry = NonNullable<QueuedAudit["entry"]>
export type AuditSource = Pick<AuditLog, "undelivered" | "delivered">

/** The records of one delivery: the numbers of the first and the last one, and the time of the first. */
export interface AuditBatch {
  readonly first: number
  readonly last: number
  readonly atMs: number
}

export interface AuditSink {
  readonly name: "file" | "webhook" | "bucket"
  /** How long records wait for others. */
  readonly gatherMs: number
  /** Resolves once the sink has the records, one JSON object a line. It may get the same batch again. */
  deliver(lines: string, batch: AuditBatch, signal: AbortSignal): Promise<void>
}

/** A line of a sink: the record as the admin API shows it, its JSON texts as objects, and its number. */
export function lineOf(number: number, { request, before, after, atMs, ended, ...entry }: AuditEntry): string {
  return `${JSON.stringify({
    number,
    time: new Date(atMs).toISOString(),
    ...entry,
    outcome: ended?.outcome ?? "unknown",
    request: parsed(request),
    before: parsed(before),
    after: parsed(after),
  })}\n`
}

function parsed(text: string | undefined): unknown {
  if (text === undefined) return undefined
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
