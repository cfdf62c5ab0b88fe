/**
 * Audit after a run: listings must agree with reads, counters with listings, and needles with the rows that
 * reference them.
 */
import { must } from "@hayloft/base/assert.js"
import type { Family } from "@hayloft/base/rows/families.js"
import { rowKeyOf, type DeviceId, type RowKey } from "@hayloft/base/ids.js"
import { shardCount } from "@hayloft/base/policy.js"
import { layoutOf } from "@hayloft/engine/cluster/index.js"
import type { DeviceRows } from "@hayloft/engine/device/contract.js"
import { VERSION_FAMILIES, versionOfRow } from "@hayloft/engine/format/objects/deleted-version.js"
import { blockCount, exceptionOf, type Extent } from "@hayloft/engine/format/needles/extent.js"
import { EXPIRING_FAMILY, needleKeyIn } from "@hayloft/engine/format/needles/expiring-key.js"
import { needleIdOfKey, needleKeyOf } from "@hayloft/engine/format/needles/needle.js"
import { partitionOf } from "@hayloft/engine/format/needles/partition.js"
import { decodePart, decodeSegment } from "@hayloft/engine/format/records.js"
import { parseObjectRowKey } from "@hayloft/engine/format/row-key.js"
import type { Job } from "@hayloft/base/life/index.js"
import type { Engine } from "@hayloft/node/engine.js"
import { slotsOf, type Layout } from "@hayloft/engine/placement/index.js"
import type { BucketName } from "@hayloft/base/ids.js"
import { SYSTEM_BUCKET_ID, type Bucket, type ListedObject, type VersionEntry } from "@hayloft/objects/index.js"
import { find, noSignal } from "./bodies.js"
import { check } from "./checks.js"
import type { SimMachine } from "./machine.js"
import { ABORTED_WAITS } from "./settings.js"

const JOB_STEPS_MAX = 10_000
const SETTLE_PASSES_MAX = 20
/** Work that waits for a checkpoint or a device is retried after this time. */
const THROTTLED_MS = 500
/** A job that only checks, and never finishes. */
const isVerifying = (job: string): boolean => job.startsWith("scrub")
const ALL = { start: rowKeyOf("\x00"), end: rowKeyOf("\xff".repeat(64)) }

/** `settled` resolves once all jobs that free bytes have finished; without it the audit runs them. */
export async function audit(
  world: SimMachine,
  engine: Engine,
  name: BucketName,
  settled: () => Promise<void> = () => settle(world, engine),
): Promise<void> {
  await auditListings(world, engine, name)
  await settled()
  auditSpace(engine)
}

/** Waits for a value while virtual time advances. */
type Runner = Pick<SimMachine, "run">

/** Listings agree with reads, and counters with listings. */
export async function auditListings(world: Runner, engine: Engine, name: BucketName): Promise<void> {
  const bucket = await world.run(engine.services.buckets.open(name))
  const objects = await world.run(listAll(engine, bucket))
  await auditReads(world, engine, bucket, objects)
  await auditCounters(world, engine, bucket, objects)
}

/** In small pages, to test the page boundaries too. */
async function listAll(engine: Engine, bucket: Bucket): Promise<readonly ListedObject[]> {
  const objects: ListedObject[] = []
  for (let after: string | undefined = ""; after !== undefined;) {
    const page = await engine.services.objects.list({ bucket, prefix: "", delimiter: "", after, max: 7 })
    for (const entry of page.entries) if (entry.kind === "object") objects.push(entry.object)
    after = page.next
  }
  return objects
}

export async function listAllVersions(engine: Engine, bucket: Bucket): Promise<readonly VersionEntry[]> {
  const entries: VersionEntry[] = []
  const whole = { bucket, prefix: "", delimiter: "", max: 7 }
  let marker: Awaited<ReturnType<typeof engine.services.objects.listVersions>>["next"] = {
    keyMarker: "",
    versionIdMarker: undefined,
  }
  while (marker) {
    const page = await engine.services.objects.listVersions({ ...whole, ...marker })
    entries.push(...page.entries)
    marker = page.next
  }
  return entries
}

async function auditReads(world: Runner, engine: Engine, bucket: Bucket, objects: readonly ListedObject[]) {
  const keys = objects.map(object => object.key)
  check("listingsAgree", new Set(keys).size === keys.length, () => "a key is listed twice")
  check("listingsAgree", [...keys].sort().join() === keys.join(), () => "keys are not in byte order")
  for (const { key, etag, sizeBytes } of objects) {
    const got = await world.run(find(engine, bucket, key))
    check("listingsAgree", got?.info.etag === etag, () => `${key} is listed with another ETag than it is read with`)
    check("noPartialWrites", got?.bytes.length === sizeBytes, () => `${key} is listed with ${sizeBytes} bytes`)
  }
}

async function auditCounters(world: Runner, engine: Engine, bucket: Bucket, objects: readonly ListedObject[]) {
  const versions = await world.run(listAllVersions(engine, bucket))
  const bytes = versions.reduce((sum, entry) => sum + (entry.kind === "version" ? entry.object.sizeBytes : 0), 0)
  const usage = await world.run(engine.services.buckets.usage(bucket))
  const page = { bucket, prefix: "", delimiter: "", keyMarker: "", uploadIdMarker: undefined, max: 10_000 }
  const uploads = (await world.run(engine.services.multipart.listUploads(page))).entries.length
  const listed = { objects: objects.length, versions: versions.length, bytes, uploads }
  const counted = { objects: usage.objects, versions: usage.versions, bytes: usage.bytes, uploads: usage.uploads }
  const [shown, counters] = [JSON.stringify(listed), JSON.stringify(counted)]
  check("countersAgree", shown === counters, () => `listed ${shown}, counted ${counters}`)
}

/** Runs the jobs that free bytes until no work remains, like an operator who knows that the store crashed often. */
export async function settle(world: SimMachine, engine: Engine): Promise<void> {
  const { orphans } = engine.services
  for (let round = 0; ; round += 1) {
    await settleNow(world, engine)
    if (orphans.report().waitingBlocks === 0 || hasOfflineDevice(engine)) return
    check("spaceIsFreed", round < SETTLE_PASSES_MAX, () => orphans.progress())
    if (orphans.report().isStopped) orphans.resume()
    await world.pass(ABORTED_WAITS.removalWaitMs)
  }
}

/** Waits for its metadata replica. */
const hasOfflineDevice = ({ recordManager }: Engine): boolean =>
  recordManager.record.devices.some(({ state }) => state === "offline")

/** The same without an operator: the store removes everything that is due by itself. */
export async function settleUnseen(world: SimMachine, engine: Engine): Promise<void> {
  await settleNow(world, engine)
  await world.pass(ABORTED_WAITS.removalWaitMs)
  await settleNow(world, engine)
}

async function settleNow(world: SimMachine, engine: Engine): Promise<void> {
  // One job's result may be another's input: re-encoded blocks become pending deletions, then are collected.
  for (let pass = 0, isBusy = true; isBusy; pass += 1) {
    check("spaceIsFreed", pass < SETTLE_PASSES_MAX, () => "the jobs keep creating work for one another")
    isBusy = false
    for (const job of engine.jobs.filter(({ name }) => !isVerifying(name))) {
      const steps = await settleJob(world, job)
      isBusy ||= steps > 1
    }
  }
}

/** Returns the number of steps until no work remained. */
async function settleJob(world: SimMachine, job: Job): Promise<number> {
  let steps = 0
  for (let state = "busy"; state === "busy" || state === "throttled"; steps += 1) {
    const progress = () => `${job.name} does not finish: ${job.progress()}`
    check("spaceIsFreed", steps < JOB_STEPS_MAX, progress)
    state = await world.run(job.step(noSignal))
    if (state === "throttled") await world.pass(THROTTLED_MS)
  }
  return steps
}

/** Every extent that a row references. */
export function referencedExtents(engine: Engine): Generator<Extent> {
  const { committed } = must(engine.tablet, "the devices keep the metadata")
  return extentsIn(function* (family) {
    for (const [, { value }] of committed.range(family, ALL)) yield value
  })
}

/** Every extent in these rows. */
export function* extentsIn(valuesOf: (family: Family) => Iterable<Uint8Array>): Generator<Extent> {
  for (const family of VERSION_FAMILIES) {
    for (const value of valuesOf(family)) {
      const { content } = versionOfRow(family, value)
      if (content.kind === "extent") yield content.extent
    }
  }
  for (const value of valuesOf("parts")) yield decodePart(value).extent
  for (const value of valuesOf("segments")) for (const part of decodeSegment(value).parts) yield part.extent
}

export interface ReferencedNeedle {
  readonly key: string
  /** The shard was missing at the acknowledgement. */
  readonly wasMissing: boolean
  /** Its device, and the device that the layout assigns. */
  readonly assigned: readonly DeviceId[]
}

/** The needles of the extent's blocks. */
export function* needlesOf(extent: Extent, layout: Layout): Generator<ReferencedNeedle> {
  const { uploadId, part } = extent
  for (let block = 0; block < blockCount(extent); block += 1) {
    const exception = exceptionOf(extent, block)
    const partition = partitionOf(uploadId, part, block)
    for (let slot = 0; slot < shardCount(exception?.policy ?? extent.policy); slot += 1) {
      const generation = exception?.generation ?? extent.generation
      const key = needleKeyOf({ partition, uploadId, part, block, generation, slot })
      const placed = exception?.placedSlots.find(([placedSlot]) => placedSlot === slot)
      const assigned = [placed?.[1], slotsOf(layout, partition)[slot]].filter(id => id !== undefined)
      yield { key, wasMissing: exception?.missingSlots.includes(slot) ?? false, assigned }
    }
  }
}

/** The needles in the index of a device, those that end included. */
export function* needleKeysIn(rows: DeviceRows): Generator<RowKey> {
  for (const [key] of rows.range("needles", ALL)) yield key
  for (const [key] of rows.range(EXPIRING_FAMILY, ALL)) yield needleKeyIn(key)
}

export function storedNeedles(engine: Engine): ReadonlyMap<string, number> {
  const held = new Map<string, number>()
  for (const [i, device] of engine.devices.entries()) {
    for (const key of needleKeysIn(device.rows)) held.set(key, i)
  }
  return held
}

/** How many needles there are besides those of the store's own objects: a backup of the metadata may be made at any time. */
export function countOfClientNeedles(engine: Engine): number {
  const { committed } = must(engine.tablet, "the devices keep the metadata")
  const needles = new Set(storedNeedles(engine).keys())
  const own = extentsIn(function* (family) {
    for (const [key, { value }] of committed.range(family, ALL)) if (isOwnRow(key)) yield value
  })
  for (const extent of own)
    for (const { key } of needlesOf(extent, layoutOf(engine.recordManager.record.layout))) needles.delete(key)
  return needles.size
}

/** The row is of an object that the store keeps for itself. */
export const isOwnRow = (key: RowKey): boolean => parseObjectRowKey(key).bucketId === SYSTEM_BUCKET_ID

function auditSpace(engine: Engine): void {
  const held = storedNeedles(engine)
  const named = new Set<string>()
  const show = (key: string) => JSON.stringify(needleIdOfKey(rowKeyOf(key)))
  const present = new Set(engine.devices.map(({ place }) => place.id))
  for (const extent of referencedExtents(engine)) {
    for (const { key, wasMissing, assigned } of needlesOf(extent, layoutOf(engine.recordManager.record.layout))) {
      named.add(key)
      // The content of an offline device cannot be read.
      const isAway = assigned.every(id => !present.has(id))
      check(
        "spaceIsFreed",
        wasMissing || isAway || held.has(key),
        () => `a row references a needle that does not exist: ${show(key)}`,
      )
    }
  }
  const isWaiting = (key: string): boolean =>
    hasOfflineDevice(engine) && engine.services.orphans.has(needleIdOfKey(rowKeyOf(key)))
  for (const key of held.keys()) {
    check("spaceIsFreed", named.has(key) || isWaiting(key), () => `no row references ${show(key)}`)
  }
  const releases = [...must(engine.tablet, "the devices keep the metadata").committed.range("pendingDeletions", ALL)]
  check("spaceIsFreed", releases.length === 0, () => `${releases.length} pending deletions remain`)
}
