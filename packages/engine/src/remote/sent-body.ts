/**
 * A shard on its way to another node, in memory of the caller.
 *
 * Promises  `released` resolves once the connection does not read the memory any more, whatever becomes of the call.
 */
import type { LentBytes } from "@hayloft/base/memory/pieces.js"
import type { RpcBodySource } from "../rpc/contract.js"

export class SentBody implements RpcBodySource {
  readonly lengthBytes: number
  readonly released: Promise<void>
  private release: () => void = () => undefined
  private isDrawn = false
  private isLent = false

  constructor(private readonly bytes: Uint8Array) {
    this.lengthBytes = bytes.length
    this.released = new Promise(resolve => (this.release = resolve))
  }

  get pieces(): Iterable<LentBytes> {
    return this.draw()
  }

  close(): void {
    this.isDrawn = true
    if (!this.isLent) this.release()
  }

  private *draw(): Generator<LentBytes> {
    this.isLent = true
    yield {
      bytes: this.bytes,
      giveBack: () => {
        this.isLent = false
        if (this.isDrawn) this.release()
      },
    }
  }
}
