/** Counts of references and what they keep: compared, repaired, and freed; also in a bucket that only allows appends. */
import { DEDUP_SERVICES } from "./services.js"
import assert from "node:assert/strict"
import { test } from "node:test"
import { objectKeyOfText } from "@hayloft/base/ids.js"
import { decodeSegment } from "@hayloft/engine/format/records.js"
import { decodeReferences, encodeReferences } from "@hayloft/engine/format/objects/references-record.js"
import type { DedupJob } from "./rows-core.js"
import {
  BLOCK,
  copy,
  copying,
  damage,
  openScene,
  put,
  rowsOf,
  runJob,
  settle,
  wait,
  type Scene,
} from "./testing-upkeep.js"

const MIB = 1 << 20
const never = new AbortController().signal

/** An object with two copies, which reference it. */
async function withCopies(): Promise<Scene> {
  const scene = await openScene("append")
  await scene.world.put("a", scene.world.random.bytes(MIB + 4_000))
  await copy(scene, "a", "b")
  await copy(scene, "a", "c")
  return scene
}

const countIn = (scene: Scene): number => {
  const [row] = rowsOf(scene, "references")
  return row === undefined ? 0 : decodeReferences(row[1].value).count
}

test("what agrees has no findings", async () => {
  const scene = await withCopies()
  const { rows, ...ran } = await runJob(scene, "verify")
  assert.deepEqual(ran, { findings: [], changing: [], repaired: 0 })
  // One row of references, and two segments that reference.
  assert.equal(rows, 3)
})

for (const wrong of [0, 1, 3, 100])
  test(`a count of ${wrong} where there are 2 references is found, and repaired`, async () => {
    const scene = await withCopies()
    await damage(scene, "references", value => encodeReferences({ ...decodeReferences(value), count: wrong }))
    const { findings } = await runJob(scene, "verify")
    const counted = `a: 2 segments reference it, and ${wrong} ${wrong === 1 ? "is" : "are"} counted`
    const uncounted = ["b", "c"].map(
      key => `${key}: references are not counted to segments of a: their row is missing, or says that there are none`,
    )
    assert.deepEqual(findings, wrong === 0 ? [counted, ...uncounted] : [counted])
    assert.ok((await runJob(scene, "rebuild")).repaired > 0)
    assert.equal(countIn(scene), 2)
    assert.deepEqual((await runJob(scene, "verify")).findings, [])
  })

test("a row of references that is missing is found, and made again; the object stays when its owner goes", async () => {
  const scene = await withCopies()
  const bytes = await scene.world.get("b")
  await damage(scene, "references", () => undefined)
  assert.equal((await runJob(scene, "verify")).findings.length, 2)
  assert.equal((await runJob(scene, "rebuild")).repaired, 1)
  assert.deepEqual([countIn(scene), (await runJob(scene, "verify")).findings], [2, []])
  await scene.world.remove("a")
  await settle(scene)
  assert.ok((await scene.world.get("b")).equals(bytes))
})

for (const what of ["missing", "too low"] as const)
  test(`a row of references that is ${what} delays no other deletion, and its own until it is repaired`, async () => {
    const scene = await withCopies()
    const { world } = scene
    const collector = world.job("collector")
    await damage(scene, "references", value =>
      what === "missing" ? undefined : encodeReferences({ ...decodeReferences(value), count: 0 }),
    )
    await world.put("x", world.random.bytes(MIB))
    const before = world.needles
    for (const key of ["b", "x"]) await world.remove(key)
    await settle(scene)
    assert.ok(world.needles < before, "x is deleted")
    assert.match(collector.progress(), /, 1 wait for damaged rows/)
    await runJob(scene, "rebuild")
    await settle(scene)
    assert.doesNotMatch(collector.progress(), /damaged/)
    assert.equal(countIn(scene), 1)
    for (const key of ["a", "c"]) await world.remove(key)
    await settle(scene)
    assert.deepEqual(
      [rowsOf(scene, "segments").length, rowsOf(scene, "pendingDeletions").length, world.needles],
      [0, 0, 0],
    )
  })

test("a count that is too high keeps bytes for nothing; the repair deletes them", async () => {
  const scene = await withCopies()
  await damage(scene, "references", value => encodeReferences({ ...decodeReferences(value), count: 3 }))
  for (const key of ["a", "b", "c"]) await scene.world.remove(key)
  await settle(scene)
  assert.ok(scene.world.needles > 0)
  const { findings } = await runJob(scene, "verify")
  assert.deepEqual(findings, ["a: 0 segments reference it, and 1 is counted"])
  assert.equal((await runJob(scene, "rebuild")).repaired, 1)
  await settle(scene)
  assert.equal(scene.world.needles, 0)
  assert.equal(rowsOf(scene, "references").length, 0)
})

test("referenced bytes that are missing are named, and cannot be repaired", async () => {
  const scene = await withCopies()
  const own = rowsOf(scene, "segments").findIndex(([, { value }]) => decodeSegment(value).parts.length > 0)
  await damage(scene, "segments", () => undefined, own)
  const missing = ["b", "c"].map(key => `${key}: bytes 0 to ${MIB + 3_999} of a are referenced and missing`)
  assert.deepEqual((await runJob(scene, "verify")).findings, missing)
  assert.deepEqual((await runJob(scene, "rebuild")).findings, missing)
})

test("a row that cannot be read is a finding, not the end of the job", async () => {
  const scene = await withCopies()
  await damage(scene, "references", () => Uint8Array.of(1, 2, 3))
  const { findings } = await runJob(scene, "verify")
  assert.equal(findings.length, 3)
  for (const finding of findings) assert.match(finding, /the row cannot be read/)
})

test("figures: bytes that are referenced, and that are kept for objects that are gone", async () => {
  const scene = await withCopies()
  const { world, bucket } = scene
  await world.put("small", world.random.bytes(500))
  const stat = () => world.clock.runUntil(DEDUP_SERVICES.of(world.services.core).dedupUpkeep.stat(bucket))
  const size = MIB + 4_000
  assert.deepEqual(await stat(), {
    state: "off",
    versions: 4,
    logicalBytes: 3 * size + 500,
    ownBytes: size + 500,
    versionsWithReferences: 2,
    references: 2,
    referencedBytes: 2 * size,
    referencedSegments: 1,
    releasedSegments: 0,
    releasedBytes: 0,
    releasedReferencedBytes: 0,
    digestRows: 0,
    indexedBlocks: 0,
  })
  await world.remove("a")
  await settle(scene)
  assert.deepEqual(await stat(), {
    state: "off",
    versions: 3,
    logicalBytes: 2 * size + 500,
    ownBytes: 500,
    versionsWithReferences: 2,
    references: 2,
    referencedBytes: 2 * size,
    referencedSegments: 1,
    releasedSegments: 1,
    releasedBytes: size,
    releasedReferencedBytes: size,
    digestRows: 0,
    indexedBlocks: 0,
  })
})

test("a row that changes during each count is named, and is no finding", async () => {
  const scene = await withCopies()
  const { world } = scene
  let copies = 0
  // Between the pages of the walk, as often as there are walks.
  const { later } = world.tablet
  world.tablet.later = () => {
    const now = rowsOf(scene, "references")[0]
    if (now !== undefined && copies < 1_000) {
      copies += 1
      const record = decodeReferences(now[1].value)
      const value = encodeReferences({ ...record, changes: (record.changes ?? 0) + 1 })
      void damage(scene, "references", () => value)
    }
    return later()
  }
  const { findings, changing } = await runJob(scene, "verify")
  assert.deepEqual([findings, changing], [[], ["a: the number of references changed during each count"]])
})

/** Walks over the segments of the bucket while jobs take turns, page by page, as they do in a store. */
async function walksOf(scene: Scene, jobs: readonly { readonly kind: DedupJob; readonly run: string }[]) {
  const { world, bucket } = scene
  const { tablet, services } = world
  const ask = tablet.ask.bind(tablet)
  let walks = 0
  tablet.ask = request => {
    if (request.name === "SourcesFrom") walks += 1
    return ask(request)
  }
  const turns = async () => {
    const cursors = new Map(jobs.map(job => [job, ""]))
    while (cursors.size > 0)
      for (const [job, cursor] of cursors) {
        // Each page is worked on as after a restart.
        const work = DEDUP_SERVICES.of(services.core).dedupUpkeep.open(bucket, { ...job, reads: false })
        const page = await work.itemsAfter(cursor, undefined, 2)
        for (const item of page.items) await work.work(item)
        if (page.next === undefined) cursors.delete(job)
        else cursors.set(job, page.next)
      }
  }
  try {
    await world.clock.runUntil(turns())
    return walks
  } finally {
    tablet.ask = ask
  }
}

test("jobs that run at the same time count the references of their bucket once each", async () => {
  const scene = await openScene("append")
  for (let i = 0; i < 6; i += 1) {
    await scene.world.put(`a${i}`, scene.world.random.bytes(MIB + i))
    await copy(scene, `a${i}`, `b${i}`)
  }
  assert.equal(await walksOf(scene, [{ kind: "verify", run: "1" }]), 1)
  const three = ["1", "2", "3"].map(run => ({ kind: "verify", run }) as const)
  assert.equal(await walksOf(scene, three), 3, "what a run has counted is forgotten when it ends")
})

test("a compaction counts references once, however many objects it frees", async () => {
  const scene = await openScene("dedup")
  const { world } = scene
  for (let i = 0; i < 6; i += 1) {
    const bytes = Buffer.from(world.random.bytes(8 * BLOCK))
    await put(scene, `big${i}`, bytes)
    await put(scene, `small${i}`, Buffer.concat([bytes.subarray(0, BLOCK), world.random.bytes(BLOCK)]))
    await world.remove(`big${i}`)
  }
  await settle(scene)
  assert.equal(await walksOf(scene, [{ kind: "compact", run: "1" }]), 1)
  await settle(scene)
  const { releasedSegments } = await world.clock.runUntil(
    DEDUP_SERVICES.of(world.services.core).dedupUpkeep.stat(scene.bucket),
  )
  assert.equal(releasedSegments, 0)
})

test("references that are made and dropped while they are counted are no finding", async () => {
  const scene = await withCopies()
  const { world } = scene
  DEDUP_SERVICES.of(world.services.core).dedupUpkeep.limits.segmentsPerQuery = 1
  // Behind the walk a reference is dropped, and another one is made before it.
  let isMoved = false
  const { later } = world.tablet
  world.tablet.later = () => {
    const segments = rowsOf(scene, "segments").length
    if (isMoved || walked < 2 || segments < 3) return later()
    isMoved = true
    return moving(scene)
  }
  let walked = 0
  const original = world.tablet.ask.bind(world.tablet)
  world.tablet.ask = asked => {
    if (asked.name === "SourcesFrom") walked += 1
    return original(asked)
  }
  const { findings } = await runJob(scene, "verify")
  assert.ok(isMoved)
  assert.deepEqual(findings, [])
  assert.equal(countIn(scene), 2)
})

/** The copy "c" goes, and the copy "0" is made: as many references as before. */
async function moving(scene: Scene): Promise<void> {
  const { world } = scene
  await world.services.objects.remove({ bucket: scene.bucket, key: objectKeyOfText("c"), conditions: {} })
  const collector = world.job("collector")
  for (let step = 0; step < 5; step += 1) await collector.step(never)
  await copying(scene, "a", "0")
}

test("a count is not set if a reference was made since it was counted", async () => {
  const scene = await withCopies()
  const { world } = scene
  await damage(scene, "references", value => encodeReferences({ ...decodeReferences(value), count: 7 }))
  let isMade = false
  world.tablet.before = async name => {
    if (name !== "SetReferences" || isMade) return
    isMade = true
    await copying(scene, "a", "d")
  }
  assert.equal((await runJob(scene, "rebuild")).repaired, 1)
  assert.ok(isMade)
  assert.equal(countIn(scene), 3)
})

test("time alone changes nothing", async () => {
  const scene = await withCopies()
  await wait(scene, 86_400_000)
  assert.deepEqual((await runJob(scene, "verify")).findings, [])
})
