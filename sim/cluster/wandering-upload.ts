/**
 * A multipart upload that wanders: each request goes through any node. Parts are written more than once, some are not
 * used, and while one node completes the upload, others may replace a part of it or abort it.
 *
 * Promises  The result is one write of the history: exactly the listed parts, or nothing.
 */
import { isFailure } from "@hayloft/base/failures.js"
import { objectKeyOfText, type MultipartId } from "@hayloft/base/ids.js"
import { PART_BYTES_MIN } from "@hayloft/base/limits.js"
import type { Bucket } from "@hayloft/objects/index.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { hex, md5 } from "../model/digests.js"
import { bodyBytes, noSignal, sourceOf, type Server } from "../world/bodies.js"
import { check } from "../world/checks.js"
import type { Observer } from "../world/observer.js"

export interface WanderingHost {
  readonly observer: Pick<Observer, "begin" | "end">
  /** Sends a request through any node or front; undefined while none serves. It never settles if the process or the front ends. */
  through<T>(send: (server: Server, bucket: Bucket) => Promise<T>): Promise<T> | undefined
  /** A failure after which the outcome is unknown. */
  mayFail(error: unknown): boolean
  /** By the contract, a request that failed so had no effect. */
  isRefusal(error: unknown): boolean
  nextName(): string
  onError(error: unknown): void
}

interface ListedPart {
  readonly partNumber: number
  readonly etag: string
  readonly checksum: undefined
}

interface Begun {
  readonly multipartId: MultipartId
  readonly name: string
  readonly etag: string
  readonly parts: readonly ListedPart[]
}

const BYTES_MIN = 40
const BYTES_MAX = 70_000
const PIECE_BYTES = 50_000
const PART_UNUSED = 5
/** One of so many uploads has two listed parts, the first of the least size that is allowed. */
const LARGE_EVERY = 40

export class WanderingUpload {
  constructor(
    private readonly host: WanderingHost,
    private readonly random: Random,
    private readonly key: string,
  ) {}

  private target(bucket: Bucket) {
    return { bucket, key: objectKeyOfText(this.key) }
  }

  async run(): Promise<void> {
    try {
      const upload = await this.begin()
      if (upload !== undefined) await this.complete(upload)
    } catch (error) {
      // Nothing was completed.
      if (!this.host.mayFail(error) && !this.host.isRefusal(error)) throw error
    }
  }

  private async begin(): Promise<Begun | undefined> {
    const { host, random } = this
    const described = { attributes: { headers: {}, userMetadata: [] }, tags: [], checksum: undefined }
    const created = await host.through((engine, bucket) =>
      engine.services.multipart.create({ ...this.target(bucket), ...described }),
    )
    if (created === undefined) return undefined
    const { multipartId } = created
    const name = host.nextName()
    const firstBytes = random.below(LARGE_EVERY) === 0 ? PART_BYTES_MIN : 0
    const body = bodyBytes(name, firstBytes + BYTES_MIN + random.below(BYTES_MAX))
    const pieces = firstBytes === 0 ? [body] : [body.subarray(0, firstBytes), body.subarray(firstBytes)]
    // A part that is not used, and one that is replaced.
    if (random.below(2) === 0) await this.putPart(multipartId, PART_UNUSED, this.otherBody())
    if (random.below(2) === 0) await this.putPart(multipartId, 1, this.otherBody())
    const parts: ListedPart[] = []
    for (const [at, piece] of pieces.entries()) {
      const put = await this.putPart(multipartId, at + 1, piece)
      if (put === undefined) return undefined
      parts.push({ partNumber: at + 1, etag: put.etag, checksum: undefined })
    }
    const etag = `${hex(md5(Buffer.concat(pieces.map(piece => md5(piece)))))}-${pieces.length}`
    return { multipartId, name, etag, parts }
  }

  private otherBody(): Buffer {
    return bodyBytes(this.host.nextName(), BYTES_MIN + this.random.below(BYTES_MAX))
  }

  private putPart(multipartId: MultipartId, partNumber: number, bytes: Uint8Array) {
    return this.host.through((engine, bucket) => {
      const upload = { ...this.target(bucket), multipartId, signal: noSignal }
      return engine.services.multipart.putPart({ ...upload, partNumber, body: sourceOf(bytes, PIECE_BYTES) })
    })
  }

  private async complete({ multipartId, name, etag, parts }: Begun): Promise<void> {
    const { host, random } = this
    const write = host.observer.begin(this.key, name, etag)
    const completing = host.through((engine, bucket) =>
      engine.services.multipart.complete({
        ...this.target(bucket),
        multipartId,
        signal: noSignal,
        parts,
        conditions: {},
        sizeBytes: undefined,
        checksum: undefined,
        checksumType: undefined,
      }),
    )
    if (completing === undefined) return host.observer.end(write, "failed")
    const what = random.below(6)
    if (what < 3) void this.compete(async () => this.putPart(multipartId, 1, this.otherBody()))
    const isAborted =
      what === 5 &&
      this.compete(async () =>
        host.through((engine, bucket) => engine.services.multipart.abort({ ...this.target(bucket), multipartId })),
      )
    try {
      const { versionId } = await completing
      host.observer.end(write, "done", versionId)
      check("oneWinner", !(await isAborted), () => `${name} was completed and aborted`)
    } catch (error) {
      if (isFailure(error, "indeterminate")) return
      const hasLost = isFailure(error, "noSuchUpload", "invalidPart")
      if (hasLost || host.isRefusal(error)) host.observer.end(write, "failed")
      else if (!host.mayFail(error)) throw error
    }
  }

  /** Returns true if a request that competes with the completion has succeeded. */
  private async compete(request: () => Promise<unknown>): Promise<boolean> {
    try {
      await request()
      return true
    } catch (error) {
      if (!isFailure(error)) this.host.onError(error)
      return false
    }
  }
}
