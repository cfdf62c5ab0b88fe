/**
 * Objects that were just written and that a rule "on PUT" fits: their results are made in the background, so that the first
 * reader need not wait. A result that is not computed here is computed when it is first read.
 *
 * Limits  TRANSFORM_LIMITS.writtenMax objects wait, writtenOfBucketMax of one bucket; one is worked at.
 */
import { isFailure } from "@hayloft/base/failures.js"
import type { BucketId, ObjectKey } from "@hayloft/base/ids.js"
import { asPromise } from "@hayloft/base/soon.js"
import type { BackgroundService } from "@hayloft/base/life/index.js"
import type { Bucket, Objects } from "@hayloft/objects/index.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"
import type { Original } from "./bodies.js"
import type { Pipeline } from "./contract.js"
import { TRANSFORM_LIMITS } from "./limits.js"

interface Preparing {
  prepare(request: { readonly original: Original; readonly pipeline: Pipeline }): Promise<void>
}

interface Written {
  readonly bucket: Bucket
  readonly key: ObjectKey
  readonly pipeline: Pipeline
}

export class WrittenObjects implements BackgroundService {
  readonly name = "transform-written"
  private readonly waiting = new Map<string, Written>()
  private readonly ofBuckets = new Map<BucketId, number>()
  private wake: () => void = () => undefined

  constructor(
    private readonly objects: Pick<Objects, "get">,
    private readonly transforms: Preparing,
    private readonly log: Log,
  ) {}

  note(written: Written): void {
    const { writtenMax, writtenOfBucketMax } = TRANSFORM_LIMITS
    const { id } = written.bucket
    const ofBucket = this.ofBuckets.get(id) ?? 0
    const name = `${id}/${written.key}`
    if (this.waiting.size >= writtenMax || ofBucket >= writtenOfBucketMax || this.waiting.has(name)) return
    this.waiting.set(name, written)
    this.ofBuckets.set(id, ofBucket + 1)
    this.wake()
  }

  async run(signal: AbortSignal): Promise<void> {
    signal.addEventListener("abort", () => this.wake(), { once: true })
    while (!signal.aborted) {
      const [first] = this.waiting
      if (first === undefined) {
        await new Promise<void>(resolve => (this.wake = resolve))
        continue
      }
      const [name, written] = first
      this.waiting.delete(name)
      this.leave(written.bucket.id)
      try {
        await this.prepare(written)
      } catch (error) {
        if (!isFailure(error)) throw error
        this.log.debug("transform_not_prepared", { reason: error.message })
      }
    }
  }

  private leave(id: BucketId): void {
    const left = (this.ofBuckets.get(id) ?? 1) - 1
    if (left > 0) this.ofBuckets.set(id, left)
    else this.ofBuckets.delete(id)
  }

  private async prepare({ bucket, key, pipeline }: Written): Promise<void> {
    const place = { bucket, key }
    const head = await asPromise(() =>
      this.objects.get({ ...place, conditions: {}, headersOnly: true, isForServer: true }),
    )
    head.close()
    const { info } = head
    // The list of segments of a large object is not what its readers get.
    if (info.segmentListBytes !== undefined || info.encryption?.mode === "client") return
    await this.transforms.prepare({
      pipeline,
      original: {
        info,
        of: { ...place, versionId: info.versionId },
        open: () => asPromise(() => this.objects.get({ ...place, conditions: { ifMatch: [info.etag] } })),
      },
    })
  }
}
