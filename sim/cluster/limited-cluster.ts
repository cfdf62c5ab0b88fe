/**
 * A cluster with quotas: clients of all nodes put, replace, remove and upload in a bucket whose limits, and those of its
 * account, are near, while limits change, counts begin again, and a node ends in the middle.
 *
 * Promises  After each round what is counted is what a walk finds. At no commit has anything grown beyond a hard limit. What
 *           was refused would not have fitted; a request that comes alone is refused exactly if it does not fit.
 */
import { must } from "@hayloft/base/assert.js"
import { asFailure, isFailure } from "@hayloft/base/failures.js"
import { objectKeyOfText, parseAccountId, parseBucketName, type MultipartId, type RowKey } from "@hayloft/base/ids.js"
import { createAccount } from "@hayloft/access/accounts/account-commands-core.js"
import { usageRowKey, type QuotaLimits, type Usage } from "@hayloft/engine/format/objects/usage.js"
import { mapBounded } from "@hayloft/base/life/index.js"
import type { Engine } from "@hayloft/node/engine.js"
import type { Bucket } from "@hayloft/objects/index.js"
import type { QuotaTarget } from "@hayloft/features/quotas/index.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { listAllVersions } from "../world/audit.js"
import { bodyBytes, noSignal, putRequest, sourceOf } from "../world/bodies.js"
import { check } from "../world/checks.js"
import { Cluster } from "./cluster.js"
import type { ClusterNode, ServingNode } from "./cluster-node.js"

const NAME = parseBucketName("limited")
const OWNER = parseAccountId("owner")
const TARGETS: readonly QuotaTarget[] = [
  { kind: "bucket", name: NAME },
  { kind: "account", id: OWNER },
]
const ROUNDS = 8
const CLIENTS_PER_NODE = 3
const OPERATIONS = 5
/** The puts that come alone, after each round. */
const ALONE = 4
const KEYS = 8
const BYTES_MAX = 7_000
const HARD_OBJECTS = 5
const HARD_BYTES = 20_000
const SAMPLE_MS = 1
const RETRY_MS = 500
const RETRIES_MAX = 600
/** The time for what a killed node had on its way to the database. */
const UNDER_WAY_MS = 3_000

interface Count {
  readonly key: RowKey
  readonly limits: QuotaLimits
}

/** A request that is under way. */
interface Attempt {
  readonly bytes: number
  /** The most that was used meanwhile, of each count. */
  readonly peaks: Map<RowKey, Usage>
  /** The additions that others may have made meanwhile without being seen. */
  otherBytes: number
  others: number
  /** Limits have changed meanwhile. */
  isUnclear: boolean
}

const bytesOf = ({ bytes, partBytes }: Usage): number => bytes + partBytes

export class LimitedCluster {
  readonly cluster: Cluster
  private readonly random: Random
  private counts: readonly Count[] = []
  private lastUsed: ReadonlyMap<RowKey, Usage> = new Map()
  private readonly underWay = new Set<Attempt>()
  private uploads: readonly { readonly key: string; readonly multipartId: MultipartId }[] = []
  private puts = 0
  /** The errors of what runs beside the rounds. */
  private readonly errors: unknown[] = []
  private isBusy = false
  private isChanging = false
  private readonly seen = { done: 0, refused: 0, aloneRefused: 0 }

  constructor(
    seed: number,
    private readonly rounds = ROUNDS,
  ) {
    this.cluster = new Cluster(seed)
    this.random = this.cluster.random.fork("limits")
    for (const zone of ["a", "b", "c"]) this.cluster.addNode({ name: `n${zone}`, zone, devices: 1, latencyMsMax: 2 })
  }

  get summary(): string {
    const { done, refused, aloneRefused } = this.seen
    return `${done} requests done, ${refused} refused, and ${aloneRefused} that came alone`
  }

  run(): Promise<void> {
    return this.cluster.clock.runUntil(this.story())
  }

  private async story(): Promise<void> {
    const { cluster } = this
    await mapBounded(cluster.nodes, cluster.nodes.length, node => cluster.start(node))
    const { tablet, buckets } = must(cluster.serving[0], "all nodes serve").engine.services
    await tablet.run(createAccount({ id: OWNER, displayName: "Owner", email: "" }))
    await buckets.create({ name: NAME, owner: OWNER, location: "" })
    for (let round = 0; round < this.rounds; round += 1) await this.round()
    for (const node of cluster.nodes) {
      const left = await node.stop()
      check("nothingLeaks", left === undefined, () => `${node.name}: ${left}`)
    }
  }

  private async round(): Promise<void> {
    const { cluster, random } = this
    const victim = random.below(2) === 0 ? undefined : cluster.nodes[random.below(cluster.nodes.length)]
    this.isBusy = true
    const sampling = this.keepSampling().catch((error: unknown) => void this.errors.push(error))
    const clients = cluster.serving.flatMap(serving =>
      Array.from({ length: CLIENTS_PER_NODE }, () => this.work(serving, serving.node !== victim)),
    )
    const setting = this.changeLimits(victim)
    if (victim !== undefined) await this.endProcess(victim)
    await Promise.all([...clients, setting])
    this.isBusy = false
    await sampling
    if (this.errors.length > 0) throw this.errors[0]
    await cluster.sleep(UNDER_WAY_MS)
    if (victim?.serving === undefined && victim !== undefined) await cluster.start(victim)
    this.underWay.clear()
    await this.checkCounts()
    for (let alone = 0; alone < ALONE; alone += 1) await this.putAlone()
    const [mistake] = cluster.mistakes
    check("noAssertionFails", mistake === undefined, () => String(mistake))
  }

  private async endProcess(node: ClusterNode): Promise<void> {
    await this.cluster.sleep(this.random.below(150))
    if (this.random.below(2) === 0) node.kill()
    else node.crash()
  }

  /** Limits are set, lowered below what is used, and ended; counts begin again. All while others write. */
  private async changeLimits(except: ClusterNode | undefined): Promise<void> {
    const { random } = this
    await this.cluster.sleep(random.below(60))
    const target = must(TARGETS[random.below(TARGETS.length)], "a target")
    const draw = random.below(6)
    const limits: QuotaLimits = {
      ...(draw !== 0 && { hardBytes: random.below(HARD_BYTES) }),
      ...(draw !== 1 && { hardObjects: 1 + random.below(HARD_OBJECTS) }),
    }
    this.isChanging = true
    this.clearSamples()
    const isEnd = draw === 5
    const state = await this.through(async ({ services: { quotas } }) => {
      if (isEnd) await quotas.clear(target)
      else if (draw === 4 && (await quotas.show(target)) !== undefined) return quotas.restart(target)
      else return quotas.set(target, limits)
      return undefined
    }, except)
    await this.readCounts(except)
    this.clearSamples()
    this.isChanging = false
    check("countersAgree", isEnd || state?.quota.isExact === true, () => `the count of the ${target.kind} is not exact`)
  }

  private async readCounts(except: ClusterNode | undefined): Promise<void> {
    const states = await this.through(({ services: { quotas } }) => quotas.list(), except)
    this.counts = states.map(({ owner, quota: { run, limits } }) => ({ key: usageRowKey(owner, run), limits }))
  }

  /** From here on requests see other limits, which no sample before can judge. */
  private clearSamples(): void {
    this.lastUsed = new Map()
    for (const attempt of this.underWay) attempt.isUnclear = true
  }

  private async through<T>(send: (engine: Engine, bucket: Bucket) => Promise<T>, except?: ClusterNode): Promise<T> {
    for (let tries = 0; ; tries += 1) {
      const serving = this.cluster.serving.filter(({ node }) => node !== except)
      const { engine } = must(serving[this.random.below(serving.length)], "two nodes serve")
      try {
        return await send(engine, await engine.services.buckets.open(NAME))
      } catch (error) {
        const mayPass = isFailure(error, "conflict") || (isFailure(error) && error.remedy === "backOff")
        if (!mayPass || tries >= RETRIES_MAX) throw error
        await this.cluster.sleep(RETRY_MS)
      }
    }
  }

  private async keepSampling(): Promise<void> {
    while (this.isBusy) {
      this.sample()
      await this.cluster.sleep(SAMPLE_MS)
    }
  }

  /** Samples every count as the database has committed it. */
  private sample(): void {
    if (this.isChanging) return
    const used = new Map(this.cluster.database.copy().usage.map(({ key, usage }) => [key, usage]))
    for (const { key, limits } of this.counts) {
      const [is, was] = [used.get(key), this.lastUsed.get(key)]
      if (is === undefined) continue
      for (const { peaks } of this.underWay) {
        const peak = peaks.get(key)
        peaks.set(key, peak === undefined ? is : mostOf(peak, is))
      }
      if (was === undefined) continue
      const { hardBytes = Infinity, hardObjects = Infinity } = limits
      const [before, now] = [bytesOf(was), bytesOf(is)]
      check("limitsHold", now <= before || now <= hardBytes, () => `${before} bytes became ${now}, of ${hardBytes}`)
      const objects = () => `${was.objects} objects became ${is.objects}, of ${hardObjects}`
      check("limitsHold", is.objects <= was.objects || is.objects <= hardObjects, objects)
    }
    this.lastUsed = used
  }

  /** The client of a node; one of a node that ends gets no answer. */
  private async work(serving: ServingNode, isAwaited: boolean): Promise<void> {
    const work = this.send(serving).catch((error: unknown) => void this.errors.push(error))
    if (isAwaited) await work
    else void work
  }

  private async send({ engine, node }: ServingNode): Promise<void> {
    const bucket = await engine.services.buckets.open(NAME)
    const { random } = this
    for (let operation = 0; operation < OPERATIONS; operation += 1) {
      const draw = random.below(10)
      const key = `k${random.below(KEYS)}`
      const bytes = 1 + random.below(BYTES_MAX)
      if (draw < 5) await this.attempt(bytes, () => this.put(engine, bucket, key, bytes))
      else if (draw < 8) await this.attempt(0, () => this.remove(engine, bucket, key))
      // All parts at once need twice as much at most.
      else await this.attempt(2 * bytes, () => this.upload(engine, bucket, key, bytes))
      if (node.serving?.engine !== engine) return
    }
  }

  /** A refusal is judged by what was used meanwhile, and by what others may have added and removed between two samples. */
  private async attempt(bytes: number, send: () => Promise<unknown>): Promise<void> {
    const attempt: Attempt = { bytes, peaks: new Map(), otherBytes: 0, others: 0, isUnclear: this.isChanging }
    for (const other of this.underWay) {
      other.otherBytes += bytes
      other.others += 1
      attempt.otherBytes += other.bytes
      attempt.others += 1
    }
    this.underWay.add(attempt)
    this.sample()
    try {
      await send()
      this.seen.done += 1
    } catch (error) {
      const { kind, remedy } = asFailure(error)
      this.sample()
      if (kind === "quotaExceeded") this.judge(attempt)
      else if (remedy !== "backOff" && kind !== "noSuchUpload" && kind !== "conflict") throw error
    }
    this.underWay.delete(attempt)
  }

  private judge({ bytes, peaks, otherBytes, others, isUnclear }: Attempt): void {
    this.seen.refused += 1
    check("refusalWasTrue", bytes > 0, () => "a removal exceeds a quota")
    if (isUnclear) return
    const exceeds = this.counts.some(({ key, limits: { hardBytes = Infinity, hardObjects = Infinity } }) => {
      const peak = peaks.get(key)
      if (peak === undefined) return true
      return bytesOf(peak) + otherBytes + bytes > hardBytes || peak.objects + others + 1 > hardObjects
    })
    check("refusalWasTrue", exceeds, () => `${bytes} bytes would have fitted`)
  }

  private put(engine: Engine, bucket: Bucket, key: string, bytes: number) {
    this.puts += 1
    const body = sourceOf(bodyBytes(`w${this.puts}`, bytes))
    return engine.services.objects.put(putRequest(bucket, objectKeyOfText(key), body))
  }

  private remove(engine: Engine, bucket: Bucket, key: string) {
    return engine.services.objects.remove({ bucket, key: objectKeyOfText(key), conditions: {} })
  }

  /** Begins an upload, or ends one that any client has begun. */
  private async upload(engine: Engine, bucket: Bucket, key: string, bytes: number): Promise<void> {
    const { multipart } = engine.services
    const { random } = this
    const [open, ...others] = this.uploads
    if (open !== undefined && random.below(2) === 0) {
      this.uploads = others
      const target = { bucket, key: objectKeyOfText(open.key), multipartId: open.multipartId }
      await multipart.abort(target)
      return
    }
    const at = { bucket, key: objectKeyOfText(key) }
    const described = { attributes: { headers: {}, userMetadata: [] }, tags: [], checksum: undefined }
    const { multipartId } = await multipart.create({ ...at, ...described })
    const upload = { ...at, multipartId, signal: noSignal }
    const putPart = (partNumber: number, lengthBytes: number) =>
      multipart.putPart({ ...upload, partNumber, body: sourceOf(bodyBytes(key, lengthBytes)) })
    // One that is replaced, and one that is not used.
    if (random.below(2) === 0) await putPart(1, 1 + random.below(bytes))
    const { etag } = await putPart(1, bytes)
    if (random.below(2) === 0) await putPart(2, 1 + random.below(bytes))
    if (random.below(2) === 0) {
      this.uploads = [...this.uploads, { key, multipartId }]
      return
    }
    await multipart.complete({
      ...upload,
      parts: [{ partNumber: 1, etag, checksum: undefined }],
      conditions: {},
      sizeBytes: undefined,
      checksum: undefined,
      checksumType: undefined,
    })
  }

  /** Once nothing is under way. */
  private async checkCounts(): Promise<void> {
    for (const target of TARGETS) {
      const checked = await this.through(async ({ services: { quotas } }) =>
        (await quotas.show(target)) === undefined ? undefined : quotas.check(target),
      )
      if (checked === undefined) continue
      const isRight = checked.agrees && checked.isStill
      check("countersAgree", isRight, () => `the count of the ${target.kind}: ${JSON.stringify(checked)}`)
      const listed = await this.through(listAllVersions)
      const bytes = listed.reduce((sum, entry) => sum + (entry.kind === "version" ? entry.object.sizeBytes : 0), 0)
      const isListed = checked.used?.bytes === bytes && checked.used.objects === listed.length
      check(
        "countersAgree",
        isListed,
        () => `${listed.length} objects of ${bytes} bytes are listed as ${JSON.stringify(checked.used)}`,
      )
    }
  }

  /** It is refused exactly if it does not fit. */
  private async putAlone(): Promise<void> {
    const { random } = this
    const key = `k${random.below(KEYS)}`
    const bytes = 1 + random.below(BYTES_MAX)
    const states = await this.through(({ services: { quotas } }) => quotas.list())
    const listed = await this.through(listAllVersions)
    const before = listed.find(entry => entry.kind === "version" && entry.object.key === objectKeyOfText(key))
    const beforeBytes = before?.kind === "version" ? before.object.sizeBytes : 0
    const [addedBytes, added] = [bytes - beforeBytes, before === undefined ? 1 : 0]
    const exceeds = states.some(({ used, quota: { limits } }) => {
      const { hardBytes = Infinity, hardObjects = Infinity } = limits
      if (used === undefined) return false
      const hasNoBytes = addedBytes > 0 && bytesOf(used) + addedBytes > hardBytes
      return hasNoBytes || (added > 0 && used.objects + added > hardObjects)
    })
    const outcome = await this.through((engine, bucket) =>
      this.put(engine, bucket, key, bytes).then(
        () => undefined,
        (error: unknown) => {
          if (isFailure(error, "quotaExceeded")) return error.message
          throw error
        },
      ),
    )
    const what = () => `${addedBytes} bytes more: ${outcome ?? "accepted"}; ${JSON.stringify(states)}`
    check("refusalWasTrue", exceeds === (outcome !== undefined), what)
    if (outcome !== undefined) this.seen.aloneRefused += 1
  }
}

const mostOf = (a: Usage, b: Usage): Usage => ({
  bytes: Math.max(a.bytes, b.bytes),
  partBytes: Math.max(a.partBytes, b.partBytes),
  objects: Math.max(a.objects, b.objects),
})

export const limitedCluster = (seed: number): Promise<void> => new LimitedCluster(seed).run()
