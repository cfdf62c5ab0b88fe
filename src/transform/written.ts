/**
 * Objects that were just written and that a rule "on PUT" fits: their results are made in the background, so that the first
 * reader need not wait. A result that is not made here, for whatever reason, is made when it is read.
 *
 * Limits  TRANSFORM_LIMITS.writtenMax objects wait; one is worked at.
 */
import { isFailure } from "../base/failures.js"
import type { ObjectKey } from "../base/ids.js"
import { asPromise } from "../base/soon.js"
import type { BackgroundService } from "../life/index.js"
import type { Bucket, Objects } from "../object/index.js"
import type { Log } from "../seams/telemetry/contract.js"
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
  private wake: () => void = () => undefined

  constructor(
    private readonly objects: Pick<Objects, "get">,
    private readonly transforms: Preparing,
    private readonly log: Log,
  ) {}

  note(written: Written): void {
    if (this.waiting.size >= TRANSFORM_LIMITS.writtenMax) return
    this.waiting.set(`${written.bucket.id}/${written.key}`, written)
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
      try {
        await this.prepare(written)
      } catch (error) {
        if (!isFailure(error)) throw error
        this.log.debug("transform_not_prepared", { reason: error.message })
      }
    }
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
        ...{ info, of: { ...place, versionId: info.versionId } },
        open: () => asPromise(() => this.objects.get({ ...place, conditions: { ifMatch: [info.etag] } })),
      },
    })
  }
}
