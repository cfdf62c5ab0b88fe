/**
 * Upkeep of deduplication, for operators: figures of a bucket, and the work of jobs that compare its rows and complete its
 * index (`verify`), repair them and give digests to objects that have none (`rebuild`), and free bytes that are kept for
 * little (`compact`).
 */
import type { Bucket, DetachSeams } from "@hayloft/objects/door/index.js"
import { RECOUNT_LIMITS } from "@hayloft/objects/door/rows.js"
import { CountedRows } from "./counted-rows.js"
import { DedupWork } from "./dedup-work.js"
import { DigestsOfObjects, type DigestSeams } from "./digests-of-objects.js"
import { Released } from "./released.js"
import type { DedupJob } from "./rows-core.js"
import { dedupStat, type DedupStat } from "./stat.js"

/** "suspended": the bucket has opted in, but what is written now cannot be deduplicated. */
type DedupState = "on" | "off" | "suspended"

interface DedupReport extends DedupStat {
  readonly state: DedupState
}

interface OpenWork {
  readonly kind: DedupJob
  readonly reads: boolean
  /** A text that differs for each run of a job. */
  readonly run: string
}

export class DedupUpkeep {
  private readonly digests: DigestsOfObjects
  private readonly released: Released
  private readonly counted: CountedRows
  readonly limits: { segmentsPerQuery: number } = { segmentsPerQuery: RECOUNT_LIMITS.segmentsPerQuery }

  constructor(
    private readonly seams: DigestSeams & DetachSeams,
    private readonly encryptsAtRest: boolean,
  ) {
    this.digests = new DigestsOfObjects(seams)
    const walking = { ...seams, limits: this.limits }
    this.released = new Released(walking)
    this.counted = new CountedRows(walking)
  }

  /** Tells from settings alone if what is written now is deduplicated. */
  state({ settings }: Pick<Bucket, "settings">): DedupState {
    if (!settings.includes("dedup")) return "off"
    return this.encryptsAtRest ? "suspended" : "on"
  }

  /** Reads each row of the bucket. */
  async stat(bucket: Bucket): Promise<DedupReport> {
    return { state: this.state(bucket), ...(await dedupStat({ ...this.seams, limits: this.limits }, bucket.id)) }
  }

  open(bucket: Pick<Bucket, "id" | "settings">, { kind, reads, run }: OpenWork): DedupWork {
    const { limits, digests, released, counted } = this
    const request = { kind, bucketId: bucket.id, reads, isOn: this.state(bucket) === "on" }
    return new DedupWork({ ...this.seams, limits, digests, released, counted }, request, run)
  }
}
