/**
 * The records of the audit log as objects of a bucket: JSON lines at `YEAR/MONTH/DAY/FIRST-LAST.jsonl`, by the numbers of
 * the records and the day (UTC) of the first. Writing objects is not recorded, so that no record is about another one.
 *
 * Promises  The object of a batch that is sent again replaces the same one, unless more records have joined it. Quotas,
 *           versioning and the default retention of the bucket apply.
 * Limits    `BUCKET_LIMITS.gatherMs`: records wait so long for others, for fewer objects.
 */
import { fail } from "@hayloft/base/failures.js"
import { objectKeyOfText, type BucketName } from "@hayloft/base/ids.js"
import { GATHERED_BYTES_MAX } from "@hayloft/base/limits.js"
import type { Buckets, ObjectAttributes, Objects } from "@hayloft/objects/contract.js"
import type { AuditBatch, AuditSink } from "./sink.js"

export const BUCKET_LIMITS = { gatherMs: 60_000 } as const

const DIGITS = 12
const ATTRIBUTES: ObjectAttributes = { headers: { contentType: "application/x-ndjson" }, userMetadata: [] }

export class BucketSink implements AuditSink {
  readonly name = "bucket"
  readonly gatherMs = BUCKET_LIMITS.gatherMs

  constructor(
    private readonly services: { readonly buckets: Pick<Buckets, "open">; readonly objects: Pick<Objects, "put"> },
    private readonly bucket: BucketName,
  ) {}

  async deliver(lines: string, { first, last, atMs }: AuditBatch, signal: AbortSignal): Promise<void> {
    const bytes = Buffer.from(lines)
    const day = new Date(atMs).toISOString().slice(0, 10).replaceAll("-", "/")
    const [from, to] = [first, last].map(number => String(number).padStart(DIGITS, "0"))
    const bucket = await this.services.buckets.open(this.bucket)
    // A remote bucket stores only pending writes and their leftovers: its remote would not have the records.
    if (bucket.settings.includes("remote"))
      throw fail("invalidRequest", {
        message: `The audit log cannot be delivered to ${bucket.name}: it is a remote bucket.`,
      })
    await this.services.objects.put({
      bucket,
      key: objectKeyOfText(`${day}/${from}-${to}.jsonl`),
      attributes: ATTRIBUTES,
      tags: [],
      conditions: {},
      body: {
        lengthBytes: bytes.length,
        declaredChecksum: () => undefined,
        gather: () => (bytes.length <= GATHERED_BYTES_MAX ? bytes : undefined),
        async *open() {
          yield bytes
        },
      },
      signal,
    })
  }
}
