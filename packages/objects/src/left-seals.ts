/**
 * Uploads whose part list stays frozen because the metadata failed while a completion was given up: until this process has
 * ended, they would refuse parts, and completions by other processes. Later requests on uploads try again.
 *
 * Limits  `LEFT_SEALS_MAX`: what is beyond it stays frozen until this process has ended.
 */
import type { MultipartId } from "@hayloft/base/ids.js"
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import { unsealUpload, type Completion, type UploadAddress } from "./commands/multipart-commands-core.js"

/** Some hundred bytes each. */
const LEFT_SEALS_MAX = 10_000

interface Seal {
  readonly address: UploadAddress
  readonly completion: Completion
}

export class LeftSeals {
  /** The last attempt of an upload has its seal. */
  private readonly left = new Map<MultipartId, Seal>()
  private isRetrying = false

  constructor(
    private readonly metadata: Pick<Metadata, "run">,
    /** Runs while no completion of the upload does: it may have the same seal. */
    private readonly alone: (multipartId: MultipartId, run: () => Promise<boolean>) => Promise<boolean>,
  ) {}

  /** Removes the seal of a completion that has failed, now or later. Call this while no other completion is running. */
  async unseal(address: UploadAddress, completion: Completion): Promise<void> {
    if (await this.attempt({ address, completion })) return
    if (this.left.size < LEFT_SEALS_MAX) this.left.set(address.multipartId, { address, completion })
  }

  /** Tries again in the background; the first failure ends it, until it is called again. */
  retry(): void {
    if (this.left.size === 0 || this.isRetrying) return
    this.isRetrying = true
    void this.retryAll().finally(() => {
      this.isRetrying = false
    })
  }

  private async retryAll(): Promise<void> {
    for (const id of [...this.left.keys()]) {
      const isDone = await this.alone(id, async () => {
        const seal = this.left.get(id)
        return seal === undefined || this.attempt(seal)
      })
      if (!isDone) return
    }
  }

  private async attempt({ address, completion }: Seal): Promise<boolean> {
    try {
      await this.metadata.run(unsealUpload(address, completion))
    } catch {
      return false
    }
    this.left.delete(address.multipartId)
    return true
  }
}
