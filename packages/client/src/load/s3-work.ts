/**
 * S3 work: put, get, head, list and delete requests for one set of objects of one size, in an order that is the same
 * in every run.
 *
 * Puts overwrite the set's keys in a scattered order; gets and heads read them. If the mix has deletes, puts also
 * create
 * further keys and deletes remove those, so that no get finds its key removed; a delete without a further key becomes a
 * get.
 */
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { RemoteFailure } from "../remote.js"
import { runLoad, type LoadRequest } from "./raw-load.js"
import type { RequestForge } from "./request-forge.js"
import { noiseOf, scatter, spreadKey, turnsOf, type Mix, type LoadOperation } from "./work-mix.js"

const PAGE_KEYS = 1000
/** Start positions of listings in a bucket, and of ranges in an object. */
const PLACES = 64

interface WorkSet {
  readonly bucket: string
  /** The prefix of its keys; no other key in the bucket has it. */
  readonly prefix: string
  readonly sizeBytes: number
  readonly keys: number
  /** Gets read this many bytes at varying offsets, not the whole object. */
  readonly rangeBytes?: number | undefined
}

export class S3Work {
  private readonly body: Buffer
  private turn = 0
  private made = 0
  /** Existing further keys. */
  private readonly further: string[] = []

  constructor(
    private readonly forge: RequestForge,
    private readonly set: WorkSet,
  ) {
    this.body = noiseOf(set.sizeBytes)
  }

  /** Puts every key of the set once; throws if one is refused. */
  async fill(connections: number, clock: Clock, signal: AbortSignal): Promise<void> {
    let next = 0
    const { keys } = this.set
    await this.puts(connections, clock, signal, () => (next < keys ? this.putKey(next++) : undefined))
  }

  /** Puts further keys for deletes. */
  async fillFurther(count: number, connections: number, clock: Clock, signal: AbortSignal): Promise<void> {
    await this.puts(connections, clock, signal, () => (this.made < count ? this.putFurther() : undefined))
  }

  /** Requests in the order of the mix, without end; deletes alone end with the further keys. */
  requests(mix: Mix): () => LoadRequest | undefined {
    const turns = turnsOf(mix)
    const putsFurther = mix.delete !== undefined
    const onlyDeletes = turns.every(turn => turn === "delete")
    return () => {
      const operation = turns[this.turn % turns.length]
      this.turn += 1
      if (operation === undefined) return undefined
      if (operation === "delete") {
        const key = this.further.pop()
        if (key !== undefined) return this.remove(key)
        return onlyDeletes ? undefined : this.one("get")
      }
      return operation === "put" && putsFurther ? this.putFurther() : this.one(operation)
    }
  }

  private one(operation: Exclude<LoadOperation, "delete">): LoadRequest {
    const n = scatter(this.turn, this.set.keys)
    switch (operation) {
      case "put":
        return this.putKey(n)
      case "get":
        return this.get(n)
      case "head":
        return this.head(n)
      case "list":
        return this.list()
    }
  }

  private putKey(n: number): LoadRequest {
    const { bucket, prefix, sizeBytes } = this.set
    const { body } = this
    const make = () => ({ method: "PUT", bucket, key: spreadKey(prefix, n), body })
    return { request: this.forge.keep(`put ${prefix}${n}`, make), bytes: sizeBytes }
  }

  private putFurther(): LoadRequest {
    const { bucket, prefix, sizeBytes } = this.set
    const key = spreadKey(`${prefix}further/`, this.made)
    this.made += 1
    const done = (isSuccess: boolean) => void (isSuccess && this.further.push(key))
    return { request: this.forge.forge({ method: "PUT", bucket, key, body: this.body }), bytes: sizeBytes, done }
  }

  private get(n: number): LoadRequest {
    const { bucket, prefix, sizeBytes, rangeBytes } = this.set
    const key = spreadKey(prefix, n)
    if (rangeBytes === undefined || rangeBytes >= sizeBytes) {
      const request = this.forge.keep(`get ${key}`, () => ({ method: "GET", bucket, key }))
      return { request, bytes: sizeBytes, expectBytes: sizeBytes }
    }
    const first = Math.floor(((this.turn % PLACES) * (sizeBytes - rangeBytes)) / (PLACES - 1))
    const headers = [["range", `bytes=${first}-${first + rangeBytes - 1}`]] as const
    const request = this.forge.forge({ method: "GET", bucket, key, headers })
    return { request, bytes: rangeBytes, expectBytes: rangeBytes }
  }

  private head(n: number): LoadRequest {
    const { bucket, prefix } = this.set
    const key = spreadKey(prefix, n)
    const request = this.forge.keep(`head ${key}`, () => ({ method: "HEAD", bucket, key }))
    return { request, bytes: 0, expectBytes: 0 }
  }

  private list(): LoadRequest {
    const { bucket, prefix } = this.set
    const place = Math.floor(((this.turn % PLACES) * 2 ** 32) / PLACES / 2)
    const query = [
      ["list-type", "2"],
      ["max-keys", String(PAGE_KEYS)],
      ["prefix", prefix],
      ["start-after", `${prefix}${place.toString(16).padStart(8, "0")}`],
    ] as const
    return { request: this.forge.keep(`list ${prefix}${place}`, () => ({ method: "GET", bucket, query })), bytes: 0 }
  }

  private remove(key: string): LoadRequest {
    const { bucket } = this.set
    return { request: this.forge.forge({ method: "DELETE", bucket, key }), bytes: 0 }
  }

  private async puts(
    connections: number,
    clock: Clock,
    signal: AbortSignal,
    next: () => LoadRequest | undefined,
  ): Promise<void> {
    const { endpoint, access } = this.forge
    const { firstError } = await runLoad(
      { endpoint, trust: access.trust, connections, next, errorsInARowMax: 1 },
      clock,
      signal,
    )
    if (firstError === undefined) return
    throw new RemoteFailure(0, "LoadRefused", `an object of the load was refused: ${firstError}`, undefined)
  }
}
