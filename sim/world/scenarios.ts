/**
 * Scenarios: short runs on a simulated machine, each for one purpose. The unchanged engine passes all of them; each
 * planted bug makes a named check of one scenario fail.
 */
import { must } from "@hayloft/base/assert.js"
import { objectKeyOfText, parseAccountId, parseBucketName, rowKeyOf } from "@hayloft/base/ids.js"
import { KIB } from "@hayloft/base/limits.js"
import { layoutOf } from "@hayloft/engine/cluster/index.js"
import { needleIdOfKey } from "@hayloft/engine/format/needles/needle.js"
import { NO_DETAILS } from "@hayloft/engine/format/objects/version-record.js"
import type { Engine } from "@hayloft/node/engine.js"
import type { Bucket, CompleteRequest, ListEntry } from "@hayloft/objects/index.js"
import { NO_CHECKSUM } from "@hayloft/objects/commands/row-editor-core.js"
import { putVersion } from "@hayloft/objects/commands/version-commands-core.js"
import {
  audit,
  countOfClientNeedles,
  referencedExtents,
  listAllVersions,
  storedNeedles,
  needlesOf,
  settle,
} from "./audit.js"
import { bodyBytes, find, get, nameOfBody, noSignal, putRequest, sourceOf } from "./bodies.js"
import { check, kindOf } from "./checks.js"
import { DISK_SCENARIOS } from "./disk-scenarios.js"
import { FULL_DISK_SCENARIOS } from "./full-disk-scenarios.js"
import { erasedBuckets } from "./erase-scenarios.js"
import { expiringStore } from "./lifecycle-scenarios.js"
import { lockedStore } from "./lock-scenarios.js"
import { damagedReplica, lostRows } from "./metadata-scenarios.js"
import { stalledDisks } from "./stall-scenarios.js"
import { Storm } from "./storm.js"
import { World } from "./world.js"

const NAME = parseBucketName("scenario")
const OWNER = parseAccountId("root")

interface Stage {
  readonly world: World
  readonly engine: Engine
  readonly bucket: Bucket
}

async function stage(seed: number, devices: number, versioned = false): Promise<Stage> {
  const world = new World({ seed, devices })
  const engine = await world.start()
  const bucket = await engine.services.buckets.create({ name: NAME, owner: OWNER, location: "" })
  if (versioned) await engine.services.buckets.setVersioning(bucket, "enabled")
  return { world, engine, bucket: await engine.services.buckets.open(NAME) }
}

const put = ({ engine, bucket }: Stage, key: string, bytes: Uint8Array) =>
  engine.services.objects.put(putRequest(bucket, objectKeyOfText(key), sourceOf(bytes, 50_000)))

const storm = (devices: number) => (seed: number) =>
  new Storm({ seed, devices, rounds: 4, clients: 8, lifeMsMax: 250 }).run()

/**
 * Two clients race to create a key, and the power is cut within milliseconds: both responses must be
 * true afterwards. A refusal states that the key exists, just as a success does.
 */
async function cutAnswers(seed: number): Promise<void> {
  const world = new World({ seed, devices: 1, latencyMsMax: 3 })
  const random = world.random.fork("cuts")
  let engine = await world.run(world.start())
  await world.run(engine.services.buckets.create({ name: NAME, owner: OWNER, location: "" }))
  // The setup must be durable even if answers are sent too early: the scenario is about later writes.
  await world.pass(1_000)
  for (let round = 0; round < 25; round += 1) {
    const bucket = await world.run(engine.services.buckets.open(NAME))
    const key = objectKeyOfText(`key-${round}`)
    const outcomes: string[] = []
    for (const name of ["first", "second"]) {
      // The odd length makes the body streamed: a whole body would wait for the MD5 of the first put.
      const body = sourceOf(bodyBytes(name, 101))
      const request = { ...putRequest(bucket, key, body), conditions: { ifNoneMatch: ["*"] } }
      void kindOf(engine.services.objects.put(request)).then(kind => outcomes.push(`${name} ${kind ?? "done"}`))
      await world.pass(random.below(2))
    }
    await world.pass(random.below(8))
    world.crash()
    engine = await world.run(world.start())
    const got = await world.run(find(engine, bucket, key))
    const name = got && nameOfBody(got.bytes)
    const winner = outcomes.find(each => each.endsWith(" done"))
    check(
      "acknowledgedStays",
      winner === undefined || winner === `${name} done`,
      () => `${winner}, then the key shows ${name}`,
    )
    const isRefused = outcomes.some(each => each.endsWith(" preconditionFailed"))
    check("refusalWasTrue", !isRefused || got !== undefined, () => `${outcomes.join(", ")}, but the key does not exist`)
  }
}

/** The shards of a block are on different devices. */
async function slots(seed: number): Promise<void> {
  const on = await stage(seed, 7)
  await put(on, "a", bodyBytes("a", 500_000))
  const held = storedNeedles(on.engine)
  for (const extent of referencedExtents(on.engine)) {
    const devices = new Map<string, Set<number>>()
    for (const { key } of needlesOf(extent, layoutOf(on.engine.recordManager.record.layout))) {
      const { block } = needleIdOfKey(rowKeyOf(key))
      const of = devices.get(String(block)) ?? new Set()
      const device = must(held.get(key), "every shard was acknowledged")
      check("oneShardPerDevice", !of.has(device), () => `device ${device} stores two shards of block ${block}`)
      devices.set(String(block), of.add(device))
    }
  }
  await on.world.stop(on.engine)
}

/** Stored needles rot: reads are correct, or refused. */
async function rot(seed: number): Promise<void> {
  const on = await stage(seed, 4)
  const bytes = bodyBytes("rotting", 500_000)
  await put(on, "a", bytes)
  const random = on.world.random.fork("rot")
  for (let round = 0; round < 8; round += 1) {
    const bay = `/d${1 + random.below(2)}`
    const { disk } = on.world.bays.driveOf(bay)
    const folder = `${bay}/volumes`
    for (const name of disk.medium.namesIn(folder)) {
      const path = `${folder}/${name}`
      const size = must(disk.medium.fileAt(path), "the file was listed").current.length
      for (let flips = 0; flips < 20; flips += 1) disk.flipBit(path, 8 * 8192 + random.below(8 * (size - 8192)))
    }
    const body = await get(on.engine, { bucket: on.bucket, key: objectKeyOfText("a"), conditions: {} })
    check(
      "rotIsFound",
      Buffer.compare(body.bytes, bytes) === 0,
      () => "the read returned other bytes than were written",
    )
  }
}

/** A reader of an earlier process's bytes gets them all, despite a removal, the collector and the orphan walk. */
async function slowReader(seed: number): Promise<void> {
  const before = await stage(seed, 1)
  const key = objectKeyOfText("slow")
  const bytes = bodyBytes("slow", 900_000)
  await put(before, "slow", bytes)
  await before.world.stop(before.engine)
  const on = { ...before, engine: await before.world.start() }
  const body = await on.engine.services.objects.get({ bucket: on.bucket, key, conditions: {} })
  const pieces: Uint8Array[] = []
  const failure = await kindOf(
    (async () => {
      for await (const piece of body.read(noSignal)) {
        if (pieces.length === 0) {
          await on.engine.services.objects.remove({ bucket: on.bucket, key, conditions: {} })
          for (let i = 0; i < 300; i += 1) for (const job of on.engine.jobs) await job.step(noSignal)
        }
        pieces.push(piece.slice())
      }
    })(),
  )
  check("readersFinish", failure === undefined, () => `the read ended with ${failure}`)
  check("readersFinish", Buffer.compare(Buffer.concat(pieces), bytes) === 0, () => "the reader got other bytes")
  await settle(on.world, on.engine)
  check("spaceIsFreed", countOfClientNeedles(on.engine) === 0, () => "the deleted object still uses space")
}

/** A process is killed between its shards and its commit: the next process frees their space, and nothing else. */
async function orphans(seed: number): Promise<void> {
  const on = await stage(seed, 4)
  await put(on, "kept", bodyBytes("kept", 500_000))
  const kept = countOfClientNeedles(on.engine)
  let reached: () => void = () => undefined
  const paused = new Promise<void>(resolve => (reached = resolve))
  let pieces = 0
  const gap = async (): Promise<void> => {
    pieces += 1
    if (pieces < 10) return
    reached()
    await new Promise(() => undefined)
  }
  const source = sourceOf(bodyBytes("lost", 500_000), 50_000, gap)
  void on.engine.services.objects.put(putRequest(on.bucket, objectKeyOfText("lost"), source))
  await paused
  await on.world.pass(10)
  check("spaceIsFreed", countOfClientNeedles(on.engine) > kept, () => "the upload has no needles yet")
  on.world.kill()
  const engine = await on.world.start()
  check(
    "spaceIsFreed",
    countOfClientNeedles(engine) > kept,
    () => "the needles of the lost upload vanished without a collection",
  )
  await settle(on.world, engine)
  const left = countOfClientNeedles(engine)
  check("spaceIsFreed", left === kept, () => `${left} needles remain, but ${kept} have an owner`)
  const bucket = await engine.services.buckets.open(NAME)
  const body = must(await find(engine, bucket, objectKeyOfText("kept")), "the write was acknowledged")
  check("noPartialWrites", nameOfBody(body.bytes) === "kept", () => "the object has other bytes")
}

/** The commit of an upload that an ended process has written is refused: its bytes may be removed at any time. */
async function lateCommit(seed: number): Promise<void> {
  const on = await stage(seed, 1)
  await put(on, "kept", bodyBytes("kept", 300_000))
  on.world.kill()
  const engine = await on.world.start()
  const [extent] = [...referencedExtents(engine)]
  check("foreignStaysOut", extent !== undefined, () => "the object has no extent")
  const key = objectKeyOfText("late")
  const version = {
    content: { kind: "extent", extent } as const,
    payload: undefined,
    sizeBytes: extent.lengthBytes,
    parts: 0,
    md5: new Uint8Array(16),
    random: new Uint8Array(8),
    checksum: NO_CHECKSUM,
    details: NO_DETAILS,
    storageClass: "STANDARD" as const,
    isShared: false,
  }
  const late = { bucketId: on.bucket.id, key, uploadId: extent.uploadId, conditions: {}, version, hints: [] }
  const failure = await kindOf(engine.metadata.run(putVersion(late)))
  check("foreignStaysOut", failure === "uploadAborted", () => `the commit of a foreign upload ended with ${failure}`)
  const found = await find(engine, on.bucket, key)
  check("foreignStaysOut", found === undefined, () => "the foreign upload became visible")
}

/**
 * A listing with a delimiter shows the keys after each common prefix, over few of whose keys it steps, and seeks the end of
 * many.
 */
async function listing(seed: number): Promise<void> {
  const on = await stage(seed, 1)
  const long = Array.from({ length: 12 }, (_, i) => `c/${i}`)
  const keys = ["a/1", "a/2", "b", ...long, "d/1", "e", "f"]
  for (const key of keys) await put(on, key, bodyBytes(key, 40))
  for (const max of [1, 2, 3, 100]) {
    const entries: ListEntry[] = []
    for (let after: string | undefined = ""; after !== undefined;) {
      const page = await on.engine.services.objects.list({ bucket: on.bucket, prefix: "", delimiter: "/", after, max })
      entries.push(...page.entries)
      after = page.next
    }
    const shown = entries.map(entry => (entry.kind === "prefix" ? entry.prefix : entry.object.key)).join()
    check("listingsAgree", shown === "a/,b,c/,d/,e,f", () => `pages of ${max} show ${shown}`)
  }
}

/** The wall clock is set back between two writes. */
async function clock(seed: number): Promise<void> {
  const on = await stage(seed, 1, true)
  const key = objectKeyOfText("k")
  for (const name of ["one", "two", "three"]) {
    await put(on, "k", bodyBytes(name, 100))
    on.world.clock.jumpWall(-3_600_000)
  }
  const latest = await get(on.engine, { bucket: on.bucket, key, conditions: {} })
  check("newestIsLatest", nameOfBody(latest.bytes) === "three", () => `${nameOfBody(latest.bytes)} is the latest`)
  const names: string[] = []
  for (const { kind, ...entry } of await listAllVersions(on.engine, on.bucket)) {
    if (kind !== "version" || !("versionId" in entry)) continue
    const { versionId } = entry
    names.push(nameOfBody((await get(on.engine, { bucket: on.bucket, key, versionId, conditions: {} })).bytes))
  }
  check("newestIsLatest", names.join() === "three,two,one", () => `versions are listed as ${names.join()}`)
}

/** A completion is repeated because its response was lost. */
async function completeTwice(seed: number): Promise<void> {
  const on = await stage(seed, 1, true)
  const { multipart } = on.engine.services
  const target = { bucket: on.bucket, key: objectKeyOfText("parts") }
  const created = await multipart.create({
    ...target,
    attributes: { headers: {}, userMetadata: [] },
    tags: [],
    checksum: undefined,
  })
  const upload = { ...target, multipartId: created.multipartId }
  const body = sourceOf(bodyBytes("part", 200 * KIB), 50_000)
  const { etag } = await multipart.putPart({ ...upload, partNumber: 1, body, signal: noSignal })
  const request: CompleteRequest = {
    ...upload,
    parts: [{ partNumber: 1, etag, checksum: undefined }],
    conditions: {},
    sizeBytes: undefined,
    checksum: undefined,
    checksumType: undefined,
    signal: noSignal,
  }
  const first = await multipart.complete(request)
  const second = await multipart.complete(request)
  check("completesOnce", first.versionId === second.versionId, () => "two completions gave two versions")
  const versions = await listAllVersions(on.engine, on.bucket)
  check("completesOnce", versions.length === 1, () => `one upload made ${versions.length} versions`)
  await audit(on.world, on.engine, NAME)
}

/** A version and a copy of it in the same row share bytes, which are freed with the last of the two. */
async function sharing(seed: number): Promise<void> {
  const on = await stage(seed, 1, true)
  const key = objectKeyOfText("shared")
  const first = await put(on, "shared", bodyBytes("shared", 200_000))
  const versionId = must(first.versionId, "the bucket is versioned")
  const source = { bucket: on.bucket, key, versionId, conditions: {} }
  await on.engine.services.objects.copy({
    source,
    bucket: on.bucket,
    key,
    conditions: {},
    replaceAttributes: { headers: {}, userMetadata: [["a", "b"]] },
    replaceTags: undefined,
    checksumAlgorithm: undefined,
    signal: noSignal,
  })
  await on.engine.services.objects.remove(source)
  await settle(on.world, on.engine)
  const failure = await kindOf(find(on.engine, on.bucket, key))
  check("noPartialWrites", failure === undefined, () => `the copy of a removed version reads ${failure}`)
  await on.engine.services.objects.remove({ bucket: on.bucket, key, conditions: {} })
  for (const entry of await listAllVersions(on.engine, on.bucket)) {
    if (entry.kind === "prefix") continue
    await on.engine.services.objects.remove({ bucket: on.bucket, key, versionId: entry.versionId, conditions: {} })
  }
  await audit(on.world, on.engine, NAME)
  check("spaceIsFreed", countOfClientNeedles(on.engine) === 0, () => "bytes remain after the last copy was deleted")
}

export const SCENARIOS = {
  "storm on 1 device": storm(1),
  "storm on 2 devices": storm(2),
  "storm on 4 devices": storm(4),
  "storm on 7 devices": storm(7),
  "cut answers": cutAnswers,
  slots,
  rot,
  "slow reader": slowReader,
  orphans,
  "late commit": lateCommit,
  listing,
  clock,
  "locks and clocks": lockedStore,
  "lifecycle and clocks": expiringStore,
  "erased buckets": erasedBuckets,
  "complete twice": completeTwice,
  sharing,
  "damaged replica": damagedReplica,
  "lost rows": lostRows,
  ...DISK_SCENARIOS,
  ...FULL_DISK_SCENARIOS,
  "stalled disks": stalledDisks,
} as const satisfies Record<string, (seed: number) => Promise<void>>

export type ScenarioName = keyof typeof SCENARIOS
