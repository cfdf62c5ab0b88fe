/**
 * Clients of a storm that append to logs, make snapshots of them, and join objects whose sources they remove at once. Every
 * request goes through any node. A request without an answer is repeated with its id, or not.
 *
 * Promises  A record is in its log once, whole, and where its answer said; one that was refused is not there. A snapshot is a
 *           part of its log from the beginning. Joined objects have their bytes although their sources are gone.
 */
import { isFailure } from "@hayloft/base/failures.js"
import { objectKeyOfText, parseBucketName, type ObjectKey } from "@hayloft/base/ids.js"
import type { Server } from "../world/bodies.js"
import type { Bucket } from "@hayloft/objects/index.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { bodyBytes, noSignal, sourceOf } from "../world/bodies.js"
import { check } from "../world/checks.js"
import type { WanderingHost } from "./wandering-upload.js"
import { withoutTrailing } from "@hayloft/base/text/trailing.js"

type AppendHost = Pick<WanderingHost, "through" | "mayFail" | "isRefusal" | "nextName" | "onError">

/** The bucket of these clients alone: nothing else may change its objects. */
export const LOG_BUCKET = parseBucketName("logs")
const LOGS = ["a", "b"]
const RECORD_BYTES_MAX = 20_000
const SOURCE_BYTES_MAX = 60_000
const ATTEMPTS_MAX = 4
const ATTRIBUTES = { headers: {}, userMetadata: [] }

/** A client's knowledge of a record; "unknown": it got no answer. */
type Outcome = { readonly offsetBytes: number } | "unknown" | "refused"

/** A record is its name, and the same byte up to its size. */
const recordOf = (name: string, size: number): Buffer => Buffer.from(`${name.padEnd(size, ".")}\n`)

export class AppendClients {
  /** The outcomes of the records of each log. */
  private logs = new Map(LOGS.map(log => [log, new Map<string, Outcome>()]))
  private readonly snapshots = new Map<string, string>()
  private readonly joined = new Map<string, Uint8Array>()
  count = 0

  constructor(
    private readonly host: AppendHost,
    private readonly random: Random,
  ) {}

  send(): void {
    const chosen = this.random.below(10)
    const sent = chosen < 7 ? this.append() : chosen < 9 ? this.joinAndRemove() : this.snapshot()
    this.count += 1
    void sent.catch((error: unknown) => this.host.onError(error))
  }

  /** The database has lost commits: what is there now counts as what was there always. */
  async forget(engine: Server): Promise<void> {
    this.logs = new Map(LOGS.map(log => [log, new Map<string, Outcome>()]))
    this.snapshots.clear()
    this.joined.clear()
    for (const [log, records] of this.logs) {
      let offsetBytes = 0
      for (const line of linesOf(await bodyOf(engine, log))) {
        records.set(nameOf(line), { offsetBytes })
        offsetBytes += line.length + 1
      }
    }
  }

  async check(engine: Server): Promise<void> {
    for (const [log, records] of this.logs) {
      const body = await bodyOf(engine, log)
      this.checkLog(log, records, body)
      for (const [snapshot, of] of this.snapshots) {
        if (of !== log) continue
        const part = await bodyOf(engine, snapshot)
        const isPart = body.subarray(0, part.length).equals(part)
        check("acknowledgedStays", part.length > 0 && isPart, () => `${snapshot} is no part of ${log}`)
      }
    }
    for (const [key, bytes] of this.joined)
      check("acknowledgedStays", (await bodyOf(engine, key)).equals(bytes), () => `${key} has other bytes`)
  }

  private checkLog(log: string, records: ReadonlyMap<string, Outcome>, body: Buffer): void {
    const names = linesOf(body).map(nameOf)
    const twice = names.find((name, i) => names.indexOf(name) !== i)
    check("acknowledgedStays", twice === undefined, () => `${log}: the record ${twice} is there twice`)
    for (const name of names) {
      const outcome = records.get(name)
      const isKnown = outcome !== undefined && outcome !== "refused"
      check(
        "acknowledgedStays",
        isKnown,
        () => `${log}: the record ${name} was ${outcome === undefined ? "never sent" : "refused"}`,
      )
    }
    for (const [name, outcome] of records) {
      if (typeof outcome === "string") continue
      const found = body.subarray(outcome.offsetBytes, outcome.offsetBytes + name.length).toString()
      check("acknowledgedStays", found === name, () => `${log}: ${name} is not at ${outcome.offsetBytes}`)
    }
  }

  private async append(): Promise<void> {
    const { host, random } = this
    const log = LOGS[random.below(LOGS.length)] ?? ""
    const records = this.logs.get(log)
    const name = host.nextName()
    const bytes = recordOf(name, name.length + random.below(random.below(4) === 0 ? RECORD_BYTES_MAX : 200))
    records?.set(name, "unknown")
    for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt += 1) {
      const outcome = await this.attempt(log, name, bytes)
      // An earlier attempt may have been done after all.
      const isOver = typeof outcome === "object" || (outcome === "refused" && attempt === 1)
      if (isOver) return void records?.set(name, outcome)
      if (random.below(3) === 0) return
    }
  }

  private async attempt(log: string, appendId: string, bytes: Uint8Array): Promise<Outcome> {
    const { host } = this
    try {
      const { offsetBytes } = (await host.through(async ({ services: { appends, buckets } }) => {
        const bucket = await buckets.open(LOG_BUCKET)
        const request = { bucket, key: objectKeyOfText(log), appendId, atOffset: undefined, attributes: ATTRIBUTES }
        return appends.append({ ...request, tags: [], conditions: {}, body: sourceOf(bytes), signal: noSignal })
      })) ?? { offsetBytes: undefined }
      return offsetBytes === undefined ? "refused" : { offsetBytes }
    } catch (error) {
      if (isFailure(error, "indeterminate")) return "unknown"
      if (host.isRefusal(error) || isFailure(error, "conflict")) return "refused"
      if (!host.mayFail(error)) throw error
      return "unknown"
    }
  }

  private async snapshot(): Promise<void> {
    const log = LOGS[this.random.below(LOGS.length)] ?? ""
    const key = `snapshot-${this.host.nextName()}`
    const { logs } = this
    if ((await this.join(key, [log])) && logs === this.logs) this.snapshots.set(key, log)
  }

  private async joinAndRemove(): Promise<void> {
    const { host, random, logs } = this
    const name = host.nextName()
    const bytes = bodyBytes(name, 1 + random.below(SOURCE_BYTES_MAX))
    const key = objectKeyOfText(`source-${name}`)
    const put = await this.tolerant(async ({ services: { objects } }, bucket) => {
      const body = sourceOf(bytes)
      return objects.put({ bucket, key, attributes: ATTRIBUTES, tags: [], conditions: {}, body, signal: noSignal })
    })
    if (put === undefined) return
    const times = 1 + random.below(3)
    const made = `joined-${name}`
    if (!(await this.join(made, Array<string>(times).fill(`source-${name}`)))) return
    if (logs === this.logs) this.joined.set(made, Buffer.concat(Array<Uint8Array>(times).fill(bytes)))
    await this.tolerant(({ services: { objects } }, bucket) => objects.remove({ bucket, key, conditions: {} }))
  }

  /** Returns true if the object was made for certain. */
  private async join(name: string, from: readonly string[]): Promise<boolean> {
    const key: ObjectKey = objectKeyOfText(name)
    const described = { attributes: ATTRIBUTES, tags: [], checksum: undefined }
    const created = await this.tolerant(({ services: { multipart } }, bucket) =>
      multipart.create({ bucket, key, ...described }),
    )
    if (created === undefined) return false
    const sources = from.map(each => ({ key: objectKeyOfText(each), conditions: {} }))
    const done = await this.tolerant(({ services: { multipart } }, bucket) =>
      multipart.complete({
        bucket,
        key,
        multipartId: created.multipartId,
        parts: [],
        sources,
        conditions: {},
        sizeBytes: undefined,
        checksum: undefined,
        checksumType: undefined,
        signal: noSignal,
      }),
    )
    return done !== undefined
  }

  /** Through any node; undefined: it failed, or its outcome is unknown. */
  private async tolerant<T>(send: (engine: Server, bucket: Bucket) => Promise<T>): Promise<T | undefined> {
    const { host } = this
    try {
      return await host.through(async engine => send(engine, await engine.services.buckets.open(LOG_BUCKET)))
    } catch (error) {
      const isExpected = isFailure(error, "indeterminate", "conflict", "noSuchKey", "noSuchUpload")
      if (!isExpected && !host.mayFail(error) && !host.isRefusal(error)) throw error
      return undefined
    }
  }
}

const linesOf = (body: Buffer): readonly string[] => body.toString().split("\n").slice(0, -1)
const nameOf = (line: string): string => withoutTrailing(line, ".")

async function bodyOf({ services: { objects, buckets } }: Server, name: string): Promise<Buffer> {
  const bucket = await buckets.open(LOG_BUCKET)
  try {
    const body = await objects.get({ bucket, key: objectKeyOfText(name), conditions: {} })
    const pieces: Uint8Array[] = []
    for await (const piece of body.read(noSignal)) pieces.push(Uint8Array.from(piece))
    body.close()
    return Buffer.concat(pieces)
  } catch (error) {
    if (isFailure(error, "noSuchKey")) return Buffer.alloc(0)
    throw error
  }
}
