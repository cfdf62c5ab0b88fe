/**
 * A story: some forty requests of clients, one after another, on a simulated machine. The same seed plays the same
 * story, call for call, so that it can be repeated with a fault in any single call to a disk.
 *
 * The bytes of each write repeat its unique name; an observer records requests and answers.
 */
import { isFailure, type FailureKind } from "@hayloft/base/failures.js"
import { objectKeyOfText, parseAccountId, parseBucketName } from "@hayloft/base/ids.js"
import type { Engine } from "@hayloft/node/engine.js"
import type { Bucket } from "@hayloft/objects/index.js"
import { hex, md5 } from "../../sim/model/digests.js"
import { bodyBytes, find, nameOfBody, noSignal, putRequest, sourceOf } from "../../sim/world/bodies.js"
import { Observer, type Write } from "../../sim/world/observer.js"
import type { World } from "../../sim/world/world.js"

export const BUCKET = parseBucketName("story")
const OWNER = parseAccountId("root")
const KEYS = 9
const SMALL_BYTES = 1_000
const LARGE_BYTES = 200 * 1024

/** Errors that a client may get while a device fails; none of these requests had an effect. */
const REFUSALS: readonly FailureKind[] = ["deviceFailed", "deviceFull", "tooManyInFlight", "uploadAborted", "noSuchKey"]
/** Errors that a reader may get while the only device fails. */
const UNREADABLE: readonly FailureKind[] = ["deviceFailed", "notEnoughShards", "corruptNeedle", "corruptRow"]

export class Story {
  readonly observer = new Observer()
  /** Descriptions of answers that no client may get. */
  readonly wrong: string[] = []
  private drawn = 0

  constructor(readonly world: World) {}

  /** Creates the bucket and a first object that every later state must contain. */
  async begin(engine: Engine): Promise<void> {
    const bucket = await this.world.run(engine.services.buckets.create({ name: BUCKET, owner: OWNER, location: "" }))
    await this.world.run(this.put(engine, bucket, "first", LARGE_BYTES))
  }

  async tell(engine: Engine): Promise<void> {
    const bucket = await this.world.run(engine.services.buckets.open(BUCKET))
    for (let step = 0; step < 40; step += 1) {
      await this.world.run(this.step(engine, bucket, step))
      await this.world.pass(step % 10 === 9 ? 2_600 : 30)
    }
  }

  private async step(engine: Engine, bucket: Bucket, step: number): Promise<unknown> {
    const key = `key-${(step * 4) % KEYS}`
    switch (step % 8) {
      case 0:
      case 3:
        return this.put(engine, bucket, key, SMALL_BYTES)
      case 1:
      case 4:
        return this.put(engine, bucket, key, LARGE_BYTES)
      case 2:
        return this.putInParts(engine, bucket, key)
      case 5:
        return this.remove(engine, bucket, `key-${((step - 3) * 4) % KEYS}`)
      case 6:
        // Two concurrent requests share batches.
        return Promise.all([
          this.put(engine, bucket, key, SMALL_BYTES),
          this.put(engine, bucket, `more-${step % 3}`, LARGE_BYTES),
        ])
      default:
        return this.collect(engine)
    }
  }

  /** Probes with a separate put whether the store accepts writes; true if it was acknowledged. */
  async tries(engine: Engine): Promise<boolean> {
    const bucket = await this.world.run(engine.services.buckets.open(BUCKET))
    const name = await this.world.run(this.put(engine, bucket, "later", LARGE_BYTES))
    return this.observer.writesOf("later").find(write => write.name === name)?.outcome === "done"
  }

  private async put(engine: Engine, bucket: Bucket, key: string, lengthBytes: number): Promise<string> {
    const name = this.nextName()
    const bytes = bodyBytes(name, lengthBytes)
    const write = this.observer.begin(key, name, hex(md5(bytes)))
    const request = putRequest(bucket, objectKeyOfText(key), sourceOf(bytes, 50_000))
    await this.answered(write, engine.services.objects.put(request))
    return name
  }

  private async putInParts(engine: Engine, bucket: Bucket, key: string): Promise<void> {
    const { multipart } = engine.services
    const target = { bucket, key: objectKeyOfText(key) }
    const name = this.nextName()
    const bytes = bodyBytes(name, LARGE_BYTES)
    const completing = async () => {
      const described = { attributes: { headers: {}, userMetadata: [] }, tags: [], checksum: undefined }
      const { multipartId } = await multipart.create({ ...target, ...described })
      const upload = { ...target, multipartId, signal: noSignal }
      const { etag } = await multipart.putPart({ ...upload, partNumber: 1, body: sourceOf(bytes, 50_000) })
      const plain = { conditions: {}, sizeBytes: undefined, checksum: undefined, checksumType: undefined }
      return multipart.complete({ ...upload, ...plain, parts: [{ partNumber: 1, etag, checksum: undefined }] })
    }
    const write = this.observer.begin(key, name, `${hex(md5(md5(bytes)))}-1`)
    await this.answered(write, completing())
  }

  private async remove(engine: Engine, bucket: Bucket, key: string): Promise<void> {
    const write = this.observer.begin(key, undefined)
    const request = { bucket, key: objectKeyOfText(key), conditions: {} }
    await this.answered(write, engine.services.objects.remove(request))
  }

  private async answered(write: Write, call: Promise<unknown>): Promise<void> {
    try {
      await call
      this.observer.end(write, "done")
    } catch (error) {
      if (isFailure(error, "indeterminate")) return
      if (!isFailure(error, ...REFUSALS)) this.wrong.push(`a write of ${write.key} ended with ${shown(error)}`)
      this.observer.end(write, "failed")
    }
  }

  /** Runs a few steps of the jobs that free bytes. */
  private async collect(engine: Engine): Promise<void> {
    for (const job of engine.jobs) {
      for (let steps = 0; steps < 20; steps += 1) {
        const state = await job.step(noSignal).catch((error: unknown) => {
          if (!isFailure(error)) this.wrong.push(`${job.name} ended with ${shown(error)}`)
          return "failed" as const
        })
        if (state !== "busy") break
      }
    }
  }

  /**
   * Reads every key and compares the results with the acknowledged writes. Reads must succeed, unless the only
   * device is faulty: then they fail with a known failure.
   */
  async readAll(engine: Engine, mayFail = false): Promise<void> {
    const bucket = await this.world.run(engine.services.buckets.open(BUCKET))
    for (const key of this.observer.keys()) {
      const startTick = this.observer.now()
      const got = await this.world.run(find(engine, bucket, objectKeyOfText(key))).catch((error: unknown) => {
        if (mayFail && isFailure(error, ...UNREADABLE)) return "failed" as const
        throw new Error(`${key} cannot be read: ${shown(error)}`, { cause: error })
      })
      if (got === "failed") continue
      const seen = got && { name: nameOfBody(got.bytes), etag: got.info.etag, versionId: undefined }
      this.observer.read(key, seen, startTick, this.observer.now(), "acknowledgedStays")
    }
  }

  private nextName(): string {
    this.drawn += 1
    return `w${this.drawn}`
  }
}

export const shown = (error: unknown): string =>
  isFailure(error)
    ? `${error.kind}: ${error.message}`
    : error instanceof Error
      ? (error.stack ?? error.message)
      : String(error)
