/**
 * Clients of a simulated store. Each sends one request after the other, on few keys, so that clients conflict: puts
 * (also conditional), removals, multipart uploads, reads. An observer records their requests and responses.
 */
import { isFailure } from "@hayloft/base/failures.js"
import type { FailureKind } from "@hayloft/base/failures.js"
import { objectKeyOfText } from "@hayloft/base/ids.js"
import type { Bucket, Conditions } from "@hayloft/objects/index.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { hex, md5 } from "../model/digests.js"
import { bodyBytes, noSignal, putRequest, sourceOf, type Server } from "./bodies.js"
import type { CheckName } from "./checks.js"
import type { Observer, Write } from "./observer.js"

/** Sizes around the inline limit and the block limit, small ones most often. */
const SIZES = [40, 100, 1_000, 1_000, 4_096, 4_097, 20_000, 131_072, 131_073, 300_000]

export interface ClientHost {
  readonly observer: Pick<Observer, "begin" | "end" | "wasThere">
  /** Failures that a writer may receive; by the contract, the write had no effect. */
  readonly refusals: readonly FailureKind[]
  /** Returns true if a writer may receive this failure, after which the outcome is unknown. */
  isDoubt(error: unknown): boolean
  /** Sizes of bodies; the ones that occur more often are wanted more often. */
  readonly sizes?: readonly number[]
  /** The longest pause between two requests. */
  readonly pauseMsMax: number
  pause(durationMs: number): Promise<void>
  isLive(server: Server): boolean
  nextName(): string
  /** Reads a key, compares the result with the clients' responses, and returns its ETag. */
  read(server: Server, bucket: Bucket, key: string, fresh: CheckName): Promise<string | undefined>
}

/** One client: operations in sequence, until its process ends. */
export class Client {
  constructor(
    private readonly host: ClientHost,
    private readonly server: Server,
    private readonly bucket: Bucket,
    private readonly random: Random,
    /** The keys that this client competes for. */
    private readonly round: string,
  ) {}

  async work(): Promise<void> {
    while (this.host.isLive(this.server)) {
      await this.act()
      await this.host.pause(this.random.below(this.host.pauseMsMax + 1))
    }
  }

  private async act(): Promise<void> {
    const what = this.random.below(10)
    const free = `free-${this.random.below(3)}`
    if (what < 3) await this.put(free, {}, undefined)
    else if (what < 4) await this.remove(free)
    else if (what < 5) await this.readEtag(free)
    else if (what < 8) await this.put(`race-${this.round}-${this.random.below(40)}`, { ifNoneMatch: ["*"] }, "none")
    else if (this.random.below(3) > 0) await this.replace(`swap-${this.random.below(2)}`)
    else await this.putInParts(`parts-${this.random.below(3)}`)
  }

  /** An upload of one part; it stays unfinished if its process ends before the completion. */
  private async putInParts(key: string): Promise<void> {
    const { multipart } = this.server.services
    const target = { bucket: this.bucket, key: objectKeyOfText(key) }
    const name = this.host.nextName()
    const bytes = bodyBytes(name, this.size())
    const described = { attributes: { headers: {}, userMetadata: [] }, tags: [], checksum: undefined }
    const completing = async () => {
      const { multipartId } = await multipart.create({ ...target, ...described })
      const upload = { ...target, multipartId, signal: noSignal }
      const { etag } = await multipart.putPart({ ...upload, partNumber: 1, body: sourceOf(bytes, 50_000) })
      const parts = [{ partNumber: 1, etag, checksum: undefined }]
      const plain = { conditions: {}, sizeBytes: undefined, checksum: undefined, checksumType: undefined }
      return multipart.complete({ ...upload, ...plain, parts })
    }
    const write = this.host.observer.begin(key, name, `${hex(md5(md5(bytes)))}-1`)
    await this.record(write, completing())
  }

  private size(): number {
    const { sizes = SIZES } = this.host
    return sizes[this.random.below(sizes.length)] ?? 100
  }

  /** Reads, then replaces exactly the version it read. */
  private async replace(key: string): Promise<void> {
    const etag = await this.readEtag(key)
    if (etag === undefined) await this.put(key, { ifNoneMatch: ["*"] }, "none")
    else await this.put(key, { ifMatch: [etag] }, etag)
  }

  private async readEtag(key: string): Promise<string | undefined> {
    try {
      return await this.host.read(this.server, this.bucket, key, "readsAreFresh")
    } catch (error) {
      if (!isFailure(error, "deviceFailed", "stopping") && !this.host.isDoubt(error)) throw error
      return undefined
    }
  }

  private async put(key: string, conditions: Conditions, replaces: string | undefined): Promise<void> {
    const name = this.host.nextName()
    const bytes = bodyBytes(name, this.size())
    const source = sourceOf(bytes, 50_000)
    const request = { ...putRequest(this.bucket, objectKeyOfText(key), source), conditions }
    const write = this.host.observer.begin(key, name, hex(md5(bytes)), replaces)
    await this.record(write, this.server.services.objects.put(request))
  }

  private async remove(key: string): Promise<void> {
    const request = { bucket: this.bucket, key: objectKeyOfText(key), conditions: {} }
    const write = this.host.observer.begin(key, undefined)
    await this.record(write, this.server.services.objects.remove(request))
  }

  private async record(write: Write, call: Promise<{ readonly versionId: string | undefined }>): Promise<void> {
    try {
      const { versionId } = await call
      this.host.observer.end(write, "done", versionId)
    } catch (error) {
      if (isFailure(error, "indeterminate")) return
      if (!isFailure(error, ...this.host.refusals)) {
        if (this.host.isDoubt(error)) return
        throw error
      }
      const isRefused = isFailure(error, "preconditionFailed")
      this.host.observer.end(write, isRefused ? "refused" : isFailure(error, "noSuchKey") ? "absent" : "failed")
      if (isRefused && write.replaces === "none") this.host.observer.wasThere(write.key)
    }
  }
}
