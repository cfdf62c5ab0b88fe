/**
 * Twins: sends the same commands to the engine, on a simulated machine that is stopped repeatedly, and to the model. Both
 * must return the same responses: results, failures, listings, bytes, counters. Pairs of ids for the same thing get names.
 */
import assert from "node:assert/strict"
import { must } from "@hayloft/base/assert.js"
import { isFailure } from "@hayloft/base/failures.js"
import type { MultipartId, ObjectKey, VersionId } from "@hayloft/base/ids.js"
import {
  objectKeyOfText,
  parseAccountId,
  parseBucketName,
  parseMultipartId,
  parseVersionId,
} from "@hayloft/base/ids.js"
import { MIB } from "@hayloft/base/limits.js"
import type { ObjectAcl } from "@hayloft/engine/format/objects/acl.js"
import type { Engine } from "@hayloft/node/engine.js"
import type { Bucket, RangeRequest, VersionLock } from "@hayloft/objects/index.js"
import { CHECKSUM_ALGORITHMS, type ChecksumAlgorithm } from "@hayloft/base/http/checksum-algorithms.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { ModelLifecycle, modelOf, type ModelServices, ModelState } from "../model/index.js"
import { noSignal, pieceOwner, sourceOf } from "./bodies.js"
import { drawAcl } from "./twin-acls.js"
import { appendStep, joinStep, type Ask } from "./twin-appends.js"
import { clientKeyIn, TwinEtags, TwinKeys } from "./twin-encryption.js"
import { allVersions, drawNextDayMs, drawRules, endPass, LIFECYCLE_SIZES } from "./twin-lifecycle.js"
import { drawLock, drawLockStep } from "./twin-locks.js"
import { DELIMITERS, KEYS, Names, noBucket, PREFIXES, WrittenTimes } from "./twin-names.js"
import { stallStep } from "./twin-stalls.js"
import type { TwinsOptions } from "./twin-options.js"
import { notePart, type Upload } from "./twin-uploads.js"
import { World } from "./world.js"
import type { Tags } from "@hayloft/base/tags.js"

const NAME = parseBucketName("twins")
const OWNER = parseAccountId("root")
const SIZES = [0, 1, 100, 1_000, 4_095, 4_096, 4_097, 10_000, 131_071, 131_072, 131_073, 300_005]
const STEPS_SHOWN = 12

type Both<T> = (side: 0 | 1, services: ModelServices, bucket: Bucket) => Promise<T>

/** A version by its id, or the latest. */
const named = (versionId: VersionId | undefined): { readonly versionId?: VersionId } => (versionId ? { versionId } : {})

export class Twins {
  readonly world: World
  private readonly model: ModelServices
  private readonly modelLifecycle: ModelLifecycle
  private readonly random: Random
  private engine: Engine | undefined
  private readonly versions = new Names<VersionId>("v")
  private readonly uploadIds = new Names<MultipartId>("u")
  private readonly writtenTimes = new WrittenTimes()
  private readonly uploads: Upload[] = []
  private readonly etags = new TwinEtags()
  private readonly keys: TwinKeys
  private readonly steps: string[] = []
  private bigParts = 2

  constructor(private readonly options: TwinsOptions) {
    this.world = new World(options)
    this.random = this.world.random.fork("twins")
    this.keys = new TwinKeys(this.random, options.hasEncryption ?? false)
    const state = new ModelState(this.world.clock, this.world.random.fork("model"))
    this.model = modelOf(state)
    this.modelLifecycle = new ModelLifecycle(state)
  }

  async run(): Promise<void> {
    this.engine = await this.world.start()
    const { hasLock = false, hasAppends = false } = this.options
    await this.both("create", (_, { buckets }) => buckets.create({ name: NAME, owner: OWNER, location: "", hasLock }))
    if (hasAppends) await this.both("appends", (_, { buckets }, bucket) => buckets.setSetting(bucket, "append", "{}"))
    for (let step = 0; step < this.options.steps; step += 1) {
      await this.world.pass(this.random.below(1_500))
      await this.step()
      if (step % 20 === 19) await this.compareAll()
    }
    await this.compareAll()
    await this.world.stop(must(this.engine, "the engine was started"))
  }

  private async step(): Promise<void> {
    const { hasLock = false, hasLifecycle = false, hasAppends = false } = this.options
    const steps: readonly (readonly [weight: number, () => Promise<void>])[] = [
      [30, () => this.put()],
      [8, () => this.remove()],
      [hasLock ? 30 : 8, () => this.removeVersion()],
      [10, () => this.read()],
      [8, () => this.copy()],
      [5, () => this.tag()],
      [4, () => this.setAcl()],
      [4, () => this.setAttributes()],
      [hasAppends ? 0 : 3, () => this.setVersioning()],
      [hasAppends ? 40 : 0, () => appendStep(this.random, () => this.key(), this.ask)],
      [hasAppends ? 15 : 0, () => joinStep(this.random, () => this.key(), this.ask)],
      [8, () => this.list()],
      [8, () => this.listVersions()],
      [4, () => this.listUploads()],
      [5, () => this.createUpload()],
      [10, () => this.putPart()],
      [3, () => this.copyPart()],
      [7, () => this.complete()],
      [2, () => this.abort()],
      [3, () => this.listParts()],
      [5, () => this.restart()],
      [1, async () => void this.steps.push(await stallStep(this.world, this.random))],
      [hasLock ? 30 : 0, () => this.changeLock()],
      [hasLifecycle ? 10 : 0, () => this.setRules()],
      [hasLifecycle ? 30 : 0, () => this.nextDay()],
    ]
    let remaining = this.random.below(steps.reduce((sum, [weight]) => sum + weight, 0))
    for (const [weight, run] of steps) {
      remaining -= weight
      if (remaining < 0) return run()
    }
  }

  /** Runs the command on both sides and compares the responses. */
  private async both<T>(what: string, ask: Both<T>, named = true): Promise<readonly [T, T] | undefined> {
    this.steps.push(what)
    const engine = must(this.engine, "the engine was started").services
    const bucketOf = async (services: ModelServices): Promise<Bucket> =>
      what === "create" ? noBucket(NAME, OWNER) : services.buckets.open(NAME)
    const answers: T[] = []
    const shown: unknown[] = []
    for (const side of [0, 1] as const) {
      const services = side === 0 ? engine : this.model
      try {
        const answer = await ask(side, services, await bucketOf(services))
        answers.push(answer)
        shown.push(answer)
      } catch (error) {
        if (!isFailure(error)) throw error
        const { deleteMarker, versionId, sizeBytes } = error.details
        shown.push({
          failure: error.kind,
          ...(error.kind === "noSuchKey" ? { deleteMarker, versionId } : {}),
          sizeBytes,
        })
      }
    }
    const [mine, theirs] = answers
    const pair =
      answers.length === 2 && mine !== undefined && theirs !== undefined ? ([mine, theirs] as const) : undefined
    if (pair && named) this.learn(pair)
    const [first, second] = [this.normal(0, shown[0]), this.normal(1, shown[1])]
    assert.deepEqual(first, second, `seed ${this.options.seed}: ${this.steps.slice(-STEPS_SHOWN).join("\n  ")}`)
    return pair
  }

  /** The response to a creating command contains the new ids. */
  private learn([engine, model]: readonly [unknown, unknown]): void {
    this.etags.learn([engine, model])
    const ids = (answer: unknown, name: "versionId" | "multipartId"): string | undefined => {
      if (typeof answer !== "object" || answer === null || !(name in answer)) return undefined
      const value: unknown = Reflect.get(answer, name)
      return typeof value === "string" ? value : undefined
    }
    const [mine, theirs] = [ids(engine, "versionId"), ids(model, "versionId")]
    if (mine !== undefined && theirs !== undefined) this.versions.add(parseVersionId(mine), parseVersionId(theirs))
    const [here, there] = [ids(engine, "multipartId"), ids(model, "multipartId")]
    if (here !== undefined && there !== undefined) this.uploadIds.add(parseMultipartId(here), parseMultipartId(there))
  }

  /** The response with names in place of ids, and without undefined fields. */
  private normal(side: 0 | 1, value: unknown, name = ""): unknown {
    if (typeof value === "string") {
      if (/versionId/i.test(name)) return this.versions.nameOf(side, value)
      if (/multipartId|uploadIdMarker/.test(name)) return this.uploadIds.nameOf(side, value)
      if (name === "etag") return this.etags.nameOf(side, value)
      return value
    }
    if (typeof value === "number" && name === "writtenMs") return this.writtenTimes.shown(side, value)
    if (Array.isArray(value)) return value.map(item => this.normal(side, item))
    if (value instanceof Uint8Array) return Buffer.from(value).toString("base64").slice(0, 200) + value.length
    if (typeof value !== "object" || value === null) return value
    // The checksum of a part has no type: it is returned with the type of its object, or as a full-object checksum.
    if ("type" in value && "value" in value && !String(value.value).includes("-"))
      return [value.type !== undefined, value.value]
    const pairs = Object.entries(value).filter(([key, item]) => item !== undefined && !UNLIKE.has(key))
    return Object.fromEntries(pairs.map(([key, item]) => [key, this.normal(side, item, key)]))
  }

  private readonly ask: Ask = (what, ask) => this.both(what, (_, services, bucket) => ask(services, bucket))

  private pick<T extends NonNullable<unknown>>(list: readonly T[]): T {
    return must(list[this.random.below(list.length)], "the list to pick from is not empty")
  }

  private chance = (of: number): boolean => this.random.below(of) === 0

  private key(): ObjectKey {
    // A few keys are picked more often, so that versions accumulate. With locks one is enough: every version is its.
    if (this.options.hasLock === true) return objectKeyOfText(this.pick(KEYS.slice(0, 1)))
    if (this.options.hasLifecycle === true) return objectKeyOfText(this.pick(KEYS.slice(0, 4)))
    return objectKeyOfText(this.chance(2) ? this.pick(KEYS.slice(0, 3)) : this.pick(KEYS))
  }

  private algorithm(): ChecksumAlgorithm | undefined {
    return this.chance(3) ? undefined : this.pick(CHECKSUM_ALGORITHMS)
  }

  private tags(): Tags {
    const values = this.options.hasLifecycle === true ? 2 : 9
    return Array.from({ length: this.random.below(4) }, (_, i) => [`tag${i}`, `${this.random.below(values)}`] as const)
  }

  private acl = (): ObjectAcl | undefined => drawAcl(this.random)

  private lock = (): VersionLock | undefined =>
    this.options.hasLock === true ? drawLock(this.random, this.world.clock.wallMs()) : undefined

  private metadata(): readonly (readonly [string, string])[] {
    const length = this.pick([0, 10, 400, 1_900])
    return length === 0 ? [] : [["note", "n".repeat(length)]]
  }

  private conditions = () => this.etags.conditions(this.random)

  /** A version that exists or existed on both sides; undefined means the latest. */
  private version(): readonly [VersionId | undefined, VersionId | undefined] {
    if (this.chance(2)) return [undefined, undefined]
    if (this.chance(6)) return [parseVersionId("null"), parseVersionId("null")]
    return this.versions.draw(this.random) ?? [undefined, undefined]
  }

  private body(sizes: readonly number[] = this.options.hasLifecycle === true ? LIFECYCLE_SIZES : SIZES): {
    readonly bytes: Uint8Array
    readonly algorithm: ChecksumAlgorithm | undefined
  } {
    return { bytes: this.random.bytes(this.pick(sizes)), algorithm: this.algorithm() }
  }

  private async put(): Promise<void> {
    const [key, tags, userMetadata, conditions] = [this.key(), this.tags(), this.metadata(), this.conditions()]
    const [acl, lock] = [this.chance(3) ? this.acl() : undefined, this.lock()]
    const { bytes, algorithm } = this.body()
    const headers = this.chance(2) ? { contentType: "text/plain", cacheControl: "no-store" } : {}
    const attributes = { headers, userMetadata }
    const encryption = this.keys.protection()
    const largeObject = this.chance(6)
      ? { sizeBytes: this.random.below(10_000_000), md5: this.random.bytes(16), parts: 1 + this.random.below(3) }
      : undefined
    const what = `put ${key} ${bytes.length} ${largeObject !== undefined} ${JSON.stringify(conditions[0])} ${algorithm} ${encryption?.mode ?? "plain"}`
    const answers = await this.both(what, (side, { objects }, bucket) => {
      const body = { ...sourceOf(bytes, 50_000), ...(algorithm ? { checksumAlgorithm: algorithm } : {}) }
      const put = { bucket, key, attributes, tags, acl, lock, encryption, largeObject, body, signal: noSignal }
      return objects.put({ ...put, conditions: conditions[side] })
    })
    if (!answers) return
    this.etags.push([answers[0].etag, answers[1].etag])
    this.keys.note(key, encryption)
  }

  private async remove(): Promise<void> {
    const [key, conditions] = [this.key(), this.chance(3) ? this.conditions() : ([{}, {}] as const)]
    await this.both(`remove ${key} ${JSON.stringify(conditions[0])}`, (side, { objects }, bucket) =>
      objects.remove({ bucket, key, conditions: conditions[side] }),
    )
  }

  private async removeVersion(): Promise<void> {
    const [key, ids] = [this.key(), this.version()]
    const bypassGovernance = this.options.hasLock === true && this.chance(3)
    const what = `remove ${key} version ${String(ids[0])}${bypassGovernance ? ", bypass" : ""}`
    await this.both(what, (side, { objects }, bucket) =>
      objects.remove({ bucket, key, ...named(ids[side]), conditions: {}, bypassGovernance }),
    )
  }

  private range(): RangeRequest | undefined {
    const draw = this.random.below(6)
    if (draw === 0) return { kind: "suffix", lengthBytes: this.pick([0, 1, 5_000, 1_000_000]) }
    if (draw === 1) return { kind: "part", partNumber: 1 + this.random.below(3) }
    if (draw > 3) return undefined
    const first = this.random.below(140_000)
    return { kind: "fromTo", first, last: this.chance(3) ? undefined : first + this.random.below(140_000) }
  }

  private async read(): Promise<void> {
    const [key, ids, range] = [this.key(), this.version(), this.range()]
    const [conditions, clientKey] = [this.conditions(), this.keys.clientKey(key)]
    const what = `get ${key} ${String(ids[0])} ${JSON.stringify(range)} ${JSON.stringify(conditions[0])} ${clientKey?.[0]}`
    await this.both(what, async (side, { objects }, bucket) => {
      const given = { bucket, key, conditions: conditions[side], clientKey }
      const requested = { ...given, ...named(ids[side]), ...(range ? { range } : {}) }
      const body = await objects.get(requested)
      const pieces: Uint8Array[] = []
      const owner = pieceOwner(must(this.engine, "the engine was started"))
      for await (const piece of body.read(noSignal, owner)) pieces.push(Uint8Array.from(piece))
      body.close()
      return { info: body.info, range: body.range, partChecksum: body.partChecksum, bytes: Buffer.concat(pieces) }
    })
  }

  private async copy(): Promise<void> {
    const [from, ids, conditions, tags] = [this.key(), this.version(), this.conditions(), this.tags()]
    const userMetadata = this.metadata()
    const to = this.chance(2) ? from : this.key()
    const replaces = { metadata: this.chance(2), tags: this.chance(2) }
    const algorithm = this.chance(2) ? this.algorithm() : undefined
    const [acl, lock] = [this.acl(), this.lock()]
    const [clientKey, encryption] = [this.keys.clientKey(from), this.keys.protection()]
    const mode = encryption?.mode ?? "plain"
    const how = { ...replaces, algorithm, conditions: conditions[0], mode, key: clientKey?.[0] }
    const what = `copy ${from} ${String(ids[0])} to ${to} ${JSON.stringify(how)}`
    const answers = await this.both(what, async (side, { objects }, bucket) => {
      const copied = await objects.copy({
        source: { bucket, key: from, ...named(ids[side]), clientKey, conditions: {} },
        bucket,
        key: to,
        encryption,
        conditions: conditions[side],
        replaceAttributes: replaces.metadata ? { headers: { contentType: "a/b" }, userMetadata } : undefined,
        replaceTags: replaces.tags ? tags : undefined,
        acl,
        lock,
        checksumAlgorithm: algorithm,
        signal: noSignal,
      })
      const given = { bucket, key: to, conditions: {}, clientKey: clientKeyIn(encryption) }
      const made = await objects.get({ ...given, headersOnly: true })
      made.close()
      return { ...copied, info: made.info }
    })
    if (!answers) return
    this.etags.push([answers[0].etag, answers[1].etag])
    this.keys.note(to, encryption)
  }

  private async tag(): Promise<void> {
    const [key, ids, tags, reads] = [this.key(), this.version(), this.tags(), this.chance(2)]
    const what = `${reads ? "get" : "set"} tags ${key} ${String(ids[0])}`
    await this.both<unknown>(what, (side, { objects }, bucket) => {
      const target = { bucket, key, ...named(ids[side]) }
      return reads ? objects.getTags(target) : objects.setTags(target, tags)
    })
  }

  private async setAttributes(): Promise<void> {
    const [key, ids, conditions, userMetadata] = [this.key(), this.version(), this.conditions(), this.metadata()]
    const headers = this.pick([{}, { contentType: "c/d" }, { cacheControl: "no-store" }])
    const what = `set attributes ${key} ${String(ids[0])} ${JSON.stringify({ headers, conditions: conditions[0] })}`
    await this.both(what, async (side, { objects }, bucket) => {
      const target = { bucket, key, ...named(ids[side]), conditions: conditions[side] }
      const set = await objects.setAttributes({ ...target, attributes: { headers, userMetadata } })
      return { ...set, etag: "" }
    })
  }

  private async setAcl(): Promise<void> {
    const [key, ids, acl] = [this.key(), this.version(), this.acl()]
    await this.both(`set acl ${key} ${String(ids[0])} ${JSON.stringify(acl)}`, (side, { objects }, bucket) => {
      return objects.setAcl({ bucket, key, ...named(ids[side]) }, acl)
    })
  }

  private async changeLock(): Promise<void> {
    const [key, ids] = [this.key(), this.version()]
    const { what, run } = drawLockStep(this.random, this.world.clock.wallMs())
    await this.both(`${what} ${key} ${String(ids[0])}`, (side, services, bucket) =>
      run(services, { bucket, key, ...named(ids[side]) }),
    )
  }

  private async setVersioning(): Promise<void> {
    const state = this.pick(["enabled", "enabled", "suspended"] as const)
    await this.both(`versioning ${state}`, (_, { buckets }, bucket) => buckets.setVersioning(bucket, state))
  }

  private scope(): { readonly prefix: string; readonly delimiter: string; readonly max: number } {
    const max = this.pick([1, 2, 3, 5, 1_000])
    return { prefix: this.pick(PREFIXES), delimiter: this.pick(DELIMITERS), max }
  }

  /** Reads all pages of a listing, from a marker on. */
  private async list(): Promise<void> {
    const [scope, start] = [this.scope(), this.chance(2) ? "" : this.pick([...KEYS, "a/", "b", "zz"])]
    await this.both(`list ${JSON.stringify({ ...scope, start })}`, async (_, { objects }, bucket) => {
      const entries: unknown[] = []
      const first = start === "" ? "" : String(objectKeyOfText(start))
      for (let after: string | undefined = first; after !== undefined;) {
        const page = await objects.list({ bucket, ...scope, after, withTypes: true })
        entries.push(...page.entries, { next: page.next })
        after = page.next
      }
      return entries
    })
  }

  private async listVersions(): Promise<void> {
    const scope = this.scope()
    const start = this.chance(2) ? "" : String(this.key())
    const ids = start === "" ? [undefined, undefined] : this.version()
    const what = `list versions ${JSON.stringify({ ...scope, start, marker: ids[0] })}`
    await this.both(what, async (side, { objects }, bucket) => {
      const entries: unknown[] = []
      type Next = Awaited<ReturnType<typeof objects.listVersions>>["next"]
      for (let next: Next = { keyMarker: start, versionIdMarker: ids[side] }; next;) {
        const page = await objects.listVersions({ bucket, ...scope, ...next, withTypes: true })
        entries.push(...page.entries, { next: page.next })
        next = page.next
      }
      return entries
    })
  }

  private async listUploads(): Promise<void> {
    const scope = this.scope()
    await this.both(`list uploads ${JSON.stringify(scope)}`, async (_, { multipart }, bucket) => {
      const entries: unknown[] = []
      type Next = Awaited<ReturnType<typeof multipart.listUploads>>["next"]
      for (let next: Next = { keyMarker: "", uploadIdMarker: undefined }; next;) {
        const page = await multipart.listUploads({ bucket, ...scope, ...next })
        entries.push(...page.entries, { next: page.next })
        next = page.next
      }
      return entries
    })
  }

  private async createUpload(): Promise<void> {
    const [key, tags, userMetadata, algorithm] = [this.key(), this.tags(), this.metadata(), this.algorithm()]
    const isCrc = algorithm?.startsWith("CRC") ?? false
    const full = algorithm === "CRC64NVME" || (isCrc && this.chance(2))
    const attributes = { headers: { contentType: "x/y" }, userMetadata }
    const [acl, lock] = [this.acl(), this.lock()]
    const checksum = algorithm && ({ algorithm, type: full ? "FULL_OBJECT" : "COMPOSITE" } as const)
    const encryption = this.keys.protection()
    const what = `create upload ${key} ${JSON.stringify(checksum)} ${encryption?.mode ?? "plain"}`
    const answers = await this.both(what, (_, { multipart }, bucket) =>
      multipart.create({ bucket, key, attributes, tags, acl, lock, checksum, encryption }),
    )
    if (!answers) return
    const ids = [answers[0].multipartId, answers[1].multipartId] as const
    this.uploads.push({ key, ids, parts: new Map(), checksum, clientKey: clientKeyIn(encryption) })
  }

  private async putPart(): Promise<void> {
    if (this.uploads.length === 0) return this.createUpload()
    const upload = this.pick(this.uploads.slice(-4))
    const partNumber = 1 + this.random.below(4)
    const isBig = this.bigParts > 0 && this.chance(4)
    if (isBig) this.bigParts -= 1
    const { bytes } = this.body(isBig ? [5 * MIB, 5 * MIB + 1] : SIZES)
    const clientKey = this.keys.mostly(upload.clientKey)
    const what = `put part ${partNumber} of ${upload.ids[0]} ${bytes.length} ${clientKey?.[0]}`
    const answers = await this.both(what, (side, { multipart }, bucket) => {
      const target = { bucket, key: upload.key, multipartId: upload.ids[side] }
      return multipart.putPart({ ...target, partNumber, clientKey, body: sourceOf(bytes, 200_000), signal: noSignal })
    })
    notePart(upload, partNumber, answers)
  }

  private async copyPart(): Promise<void> {
    if (this.uploads.length === 0) return
    const [upload, from, ids] = [this.pick(this.uploads.slice(-4)), this.key(), this.version()]
    const partNumber = 1 + this.random.below(4)
    const first = this.random.below(5_000)
    const range = this.chance(2) ? undefined : { first, last: first + this.random.below(5_000) }
    const [clientKey, sourceKey] = [this.keys.mostly(upload.clientKey), this.keys.clientKey(from)]
    const answers = await this.both(
      `copy part ${partNumber} from ${from} ${JSON.stringify(range)}`,
      (side, { multipart }, bucket) => {
        const source = { bucket, key: from, ...named(ids[side]), clientKey: sourceKey, conditions: {} }
        const target = { bucket, key: upload.key, multipartId: upload.ids[side], clientKey }
        return multipart.copyPart({ ...target, partNumber, source, range, signal: noSignal })
      },
    )
    notePart(upload, partNumber, answers)
  }

  private async complete(): Promise<void> {
    if (this.uploads.length === 0) return
    const upload = this.pick(this.uploads.slice(-4))
    const chosen = [...upload.parts].sort(([a], [b]) => a - b).filter(() => !this.chance(3))
    const drawn = chosen.map(([partNumber, { etags, checksum }]) => ({
      partNumber,
      etags: this.chance(20) ? ["0".repeat(32), "0".repeat(32)] : etags,
      checksum: this.chance(2) ? undefined : checksum,
    }))
    if (this.chance(15)) drawn.reverse()
    const partsOf = (side: 0 | 1) => drawn.map(({ etags, ...part }) => ({ ...part, etag: etags[side] ?? "" }))
    const numbers = drawn.map(part => part.partNumber).join()
    const conditions = this.conditions()
    const times = this.chance(3) ? 2 : 1
    for (let i = 0; i < times; i += 1) {
      const what = `complete ${upload.ids[0]} ${numbers} ${JSON.stringify(conditions[0])}`
      const answers = await this.both(what, async (side, { multipart }, bucket) => {
        const result = await multipart.complete({
          bucket,
          key: upload.key,
          multipartId: upload.ids[side],
          parts: partsOf(side),
          conditions: i === 0 ? conditions[side] : {},
          sizeBytes: undefined,
          checksum: undefined,
          checksumType: undefined,
          signal: noSignal,
        })
        // If versioning was enabled after the first completion, the response names the null version.
        const { versionId, ...rest } = result
        return { ...rest, ...(versionId === undefined || versionId === "null" ? {} : { versionId }) }
      })
      if (answers) this.keys.note(upload.key, upload.clientKey && { mode: "client", key: upload.clientKey })
    }
  }

  private async abort(): Promise<void> {
    if (this.uploads.length === 0) return
    const upload = this.pick(this.uploads)
    await this.both(`abort ${upload.ids[0]}`, (side, { multipart }, bucket) =>
      multipart.abort({ bucket, key: upload.key, multipartId: upload.ids[side] }),
    )
  }

  private async listParts(): Promise<void> {
    const [key, ids, afterPart, max] = [this.key(), this.version(), this.random.below(3), this.pick([1, 2, 10])]
    if (this.chance(2) || this.uploads.length === 0) {
      const clientKey = this.keys.clientKey(key)
      await this.both(`object parts ${key} ${clientKey?.[0]}`, (side, { objects }, bucket) =>
        objects.parts({ bucket, key, ...named(ids[side]), clientKey }, { afterPart, max }),
      )
      return
    }
    const upload = this.pick(this.uploads)
    await this.both(`list parts ${upload.ids[0]}`, (side, { multipart }, bucket) =>
      multipart.listParts({ bucket, key: upload.key, multipartId: upload.ids[side], afterPart, max }),
    )
  }

  private async restart(): Promise<void> {
    const engine = must(this.engine, "the engine was started")
    const how = this.random.below(4)
    this.steps.push(`restart ${how}`)
    if (how === 0) await this.world.stop(engine)
    else if (how === 1) this.world.kill()
    else if (how === 2) this.world.crash()
    else for (const job of engine.jobs) await job.step(noSignal)
    if (how !== 3) this.engine = await this.world.start()
    if (this.options.hasLifecycle === true) await this.pass()
  }

  private async setRules(): Promise<void> {
    const rules = drawRules(this.random, this.world.clock.wallMs())
    await this.both(`rules ${rules}`, (_, { buckets }, bucket) => buckets.setSetting(bucket, "lifecycle", rules))
  }

  /** The store is stopped for days: its clock follows the wall clock, as in a night of an office. */
  private async nextDay(): Promise<void> {
    await this.world.stop(must(this.engine, "the engine was started"))
    this.world.clock.jumpWall(drawNextDayMs(this.random, this.world.clock.wallMs()))
    this.engine = await this.world.start()
    this.steps.push(`at ${new Date(this.world.clock.wallMs()).toISOString()}`)
    await this.pass()
    if (this.chance(2)) await this.put()
  }

  /** The pass on both sides, if it is due. The markers that it puts get names. */
  private async pass(): Promise<void> {
    await endPass(this.world, must(this.engine, "the engine was started").services)
    await this.modelLifecycle.pass()
    const engine = await allVersions(must(this.engine, "the engine was started").services, NAME)
    const model = await allVersions(this.model, NAME)
    for (const [i, entry] of engine.entries()) this.learn([entry, model[i]])
    await this.compareAll()
  }

  /** All kinds of commands. */
  private async compareAll(): Promise<void> {
    const whole = { prefix: "", delimiter: "", max: 1_000 }
    await this.both("usage", (_, { buckets }, bucket) => buckets.usage(bucket))
    await this.both("list all", (_, { objects }, bucket) => objects.list({ bucket, ...whole, after: "" }))
    await this.both("list all versions", (_, { objects }, bucket) =>
      objects.listVersions({ bucket, ...whole, keyMarker: "", versionIdMarker: undefined }),
    )
    await this.both("list all uploads", (_, { multipart }, bucket) =>
      multipart.listUploads({ bucket, ...whole, keyMarker: "", uploadIdMarker: undefined }),
    )
  }
}

/** The model does not know these. */
const UNLIKE: ReadonlySet<string> = new Set(["id", "stream"])
