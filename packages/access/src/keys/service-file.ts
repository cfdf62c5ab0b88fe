/**
 * A file for calls to a key service that something else renews: a token that an agent keeps valid, keys that are
 * rotated, certificates.
 *
 * Promises  A change is used `KMS_LIMITS.fileFreshMs` later at most, and at once by a call that reads it again. If the file
 *           cannot be read (it is being replaced), the text before stays in use.
 */
import { fail, isFailure } from "@hayloft/base/failures.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import { KMS_LIMITS } from "./service-limits.js"

export class ServiceFile {
  private known: { readonly text: string; readonly readMs: number } | undefined

  constructor(
    private readonly disk: Disk,
    private readonly clock: Clock,
    readonly path: string,
  ) {}

  /** Throws `invalidConfig` if it has never been readable. */
  async text(isReadAgain = false): Promise<string> {
    const { known } = this
    const nowMs = this.clock.monotonicMs()
    if (known !== undefined && !isReadAgain && nowMs - known.readMs < KMS_LIMITS.fileFreshMs) return known.text
    try {
      const text = await this.read()
      this.known = { text, readMs: nowMs }
      return text
    } catch (error) {
      if (!isFailure(error)) throw error
      if (known !== undefined) return known.text
      throw fail("invalidConfig", { message: `the file ${this.path} cannot be read: ${error.message}` }, error)
    }
  }

  private async read(): Promise<string> {
    const file = await this.disk.open(this.path, "read")
    try {
      const sizeBytes = await file.sizeBytes()
      if (sizeBytes > KMS_LIMITS.fileBytesMax)
        throw fail("invalidConfig", { message: `it is larger than ${KMS_LIMITS.fileBytesMax} bytes` })
      const bytes = new Uint8Array(sizeBytes)
      return Buffer.from(bytes.subarray(0, await file.read(bytes, 0))).toString("utf8")
    } finally {
      await file.close()
    }
  }
}
