/**
 * Volumes under power cuts, by enumeration: every crash point of recorded runs of several processes, every subset
 * of the unsynced writes, torn, stale, zeroed and flipped writes, and all of these during recovery too.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { seedsOf } from "@hayloft/base/testing-seed.js"
import { subBlockChecksums } from "@hayloft/base/simd/sub-block.js"
import { needleSeed } from "@hayloft/engine/format/needles/needle.js"
import { decodeVolumePosition, encodeVolumePosition } from "@hayloft/engine/format/needles/volume.js"
import { crashStates, WrappedDisk } from "@hayloft/base/seams/disk/index.js"
import type { Disk, Medium } from "@hayloft/base/seams/disk/index.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { positionOfMark } from "@hayloft/engine/volume/checkpoint-source.js"
import { volumeDirectory, MapRows, needleIdFor } from "@hayloft/engine/volume/testing-volumes.js"
import { listVolumes, volumePath } from "@hayloft/engine/volume/files.js"
import type { IndexWrite } from "@hayloft/engine/volume/index-writes.js"
import { indexWrite } from "@hayloft/engine/volume/index-writes.js"
import { scanVolumes } from "@hayloft/engine/volume/scan.js"
import { findBrokenPromise, checkSpace, play, recoverReal } from "./volume-harness.js"
import type { Finding, Planted, Recover, Run } from "./volume-harness.js"

const SEEDS = seedsOf(1)
const STEPS = 16
/** One in this many states is also continued, with a power cut during its recovery. */
const DEEP_EVERY = 25
const COMPACTING_STEPS = 40
/** One in this many states is compacted to the end. */
const SPACE_EVERY = 60

interface Outcome {
  readonly states: number
  readonly finding: (Finding & { readonly where: string }) | undefined
}

async function tryAll(run: Run, seed: number, recover: Recover): Promise<Outcome> {
  const random = new SimRandom(seed)
  let states = 0
  for (const state of crashStates(run.record, { window: 6, subsetsMax: 16, tearsMax: 5, random })) {
    states += 1
    const deep = states % DEEP_EVERY === 0 ? random : undefined
    const finding = await findBrokenPromise(run, state, recover, deep)
    if (finding)
      return { states, finding: { ...finding, where: `seed ${seed}, event ${state.eventsBefore}: ${state.what}` } }
  }
  return { states, finding: undefined }
}

test("no power cut loses, invents, revives or damages a needle, and the index matches the volumes", async () => {
  for (const seed of SEEDS)
    assert.deepEqual((await tryAll(await play(seed, STEPS), seed, recoverReal)).finding, undefined)
})

test("compaction keeps the same promises under cuts at every call and kills at any; in the end the space is free", async () => {
  const random = new SimRandom(3)
  let [states, spaces] = [0, 0]
  for (const seed of SEEDS) {
    const run = await play(seed, COMPACTING_STEPS, { compacts: true })
    for (const state of crashStates(run.record, { window: 3, subsetsMax: 2, tearsMax: 1, random })) {
      const where = `seed ${seed}, event ${state.eventsBefore}: ${state.what}`
      states += 1
      assert.deepEqual(await findBrokenPromise(run, state, recoverReal), undefined, where)
      if (states % SPACE_EVERY !== 0) continue
      spaces += 1
      assert.deepEqual(await checkSpace(run, state), undefined, where)
    }
  }
  assert.ok(states > 100 * SEEDS.length, `only ${states} states`)
  assert.ok(spaces > 0, "none was compacted to the end")
})

/** A disk that opens files or syncs folders in another way than requested. */
function bent(change: Partial<Pick<Disk, "open" | "syncFolder">>, disk: Disk): Disk {
  return Object.assign(new WrappedDisk(disk), change)
}

const SKIP_SYNC: Planted = {
  disk: disk => bent({ open: (path, mode) => disk.open(path, mode, { durable: false }) }, disk),
}
const FORGET_THE_FOLDER: Planted = { disk: disk => bent({ syncFolder: () => Promise.resolve() }, disk) }

/** Volumes are removed before the metadata store contains the rows that no longer refer to them. */
const REMOVE_AT_ONCE: Planted = {
  compacts: true,
  upkeep: upkeep =>
    void Object.defineProperty(upkeep, "containedUpTo", { get: () => upkeep.durable, set: () => undefined }),
}

/** Tombstones are not copied out of the removed volume. */
const DROP_TOMBSTONES: Planted = {
  compacts: true,
  upkeep: upkeep => {
    const copy = upkeep.copy.bind(upkeep)
    upkeep.copy = copies => copy(copies.filter(({ decoded }) => decoded.kind !== "tombstone"))
  },
}

/** A copy is written although its needle was removed during compaction. */
const COPY_REMOVED: Planted = {
  compacts: true,
  upkeep: upkeep => {
    const copy = upkeep.copy.bind(upkeep)
    upkeep.copy = copies => copy(copies.map(each => ({ ...each, isWanted: () => true })))
  },
}

/** Checksums of another needle, as if two needles were swapped. */
const WRONG_SEED: Planted = {
  needle: needle => ({ ...needle, checksums: subBlockChecksums(needle.body, needleSeed(needleIdFor(424_242))) }),
}

/** A metadata store that reports more than it contains. */
const MARK_TOO_FAR: Planted = {
  mark: mark => {
    if (mark.length === 0) return mark
    const position = decodeVolumePosition(mark)
    return encodeVolumePosition({ ...position, offsetBytes: position.offsetBytes + 4096, groups: position.groups + 1 })
  },
}

/** Accepts every group whose headers match, as if the whole last volume were known to be durable. */
const ACCEPT_BAD_BODIES: Recover = async (disk, base, incarnation) => {
  const recovered = await recoverReal(disk, base, incarnation)
  const { folder, deviceId } = volumeDirectory(incarnation)
  const ids = await listVolumes(disk, folder)
  for (const volumeId of ids) {
    const file = await disk.open(volumePath(folder, volumeId), "read")
    const upTo = { volumeId, offsetBytes: await file.sizeBytes(), groups: 0, checksum: 0n }
    for await (const event of scanVolumes(disk, { folder, deviceId, from: positionOfMark(base.mark), upTo })) {
      if (event.kind !== "needle") continue
      const write = indexWrite(event.needle.header, event.needle.place)
      if (!recovered.rows.get("needles", write.key)) recovered.rows.apply([write])
    }
  }
  return recovered
}

/** Treats the last group as torn, whatever its checksums. */
const DROP_LAST_GROUP: Recover = async (disk, base, incarnation) => {
  const before = await lastGroup(disk, incarnation)
  const recovered = await recoverReal(disk, base, incarnation)
  recovered.rows.apply(before)
  return recovered
}

async function lastGroup(disk: Disk, incarnation: number): Promise<IndexWrite[]> {
  const { folder, deviceId } = volumeDirectory(incarnation)
  let group: IndexWrite[] = []
  let gathering: IndexWrite[] = []
  await disk.makeFolder(folder)
  for await (const event of scanVolumes(disk, { folder, deviceId, from: undefined, upTo: undefined })) {
    if (event.kind === "needle") gathering.push(indexWrite(event.needle.header, event.needle.place))
    if (event.kind === "position" && gathering.length > 0) [group, gathering] = [gathering, []]
  }
  return group.map(write => ({ ...write, value: undefined }))
}

/** Plants a bug and runs scripts until one of them shows it. */
async function find(planted: Planted): Promise<Finding> {
  for (let seed = 1; seed <= (planted.compacts === true ? 30 : 6); seed += 1) {
    const steps = planted.compacts === true ? COMPACTING_STEPS : STEPS
    const run = await play(seed, steps, planted).catch((error: unknown) => String(error))
    if (typeof run === "string") return { check: "failed", details: run }
    const finding =
      planted.compacts === true ? await trySome(run) : (await tryAll(run, seed, planted.recover ?? recoverReal)).finding
    if (finding) return finding
  }
  return assert.fail("nobody noticed")
}

/** Bugs of compaction appear without a torn write. */
async function trySome(run: Run): Promise<Finding | undefined> {
  for (const state of crashStates(run.record, { window: 1, subsetsMax: 1, tearsMax: 0, random: new SimRandom(1) })) {
    if (state.eventsBefore % 5 !== 0) continue
    const finding = await findBrokenPromise(run, state, recoverReal)
    if (finding) return finding
  }
  return undefined
}

interface Canary {
  readonly bug: string
  readonly planted: Planted
  readonly caughtBy: readonly Finding["check"][]
}

const CANARIES: readonly Canary[] = [
  { bug: "skip a sync", planted: SKIP_SYNC, caughtBy: ["acknowledged", "unreadable", "damage"] },
  {
    bug: "forget to sync the folder of a new volume",
    planted: FORGET_THE_FOLDER,
    caughtBy: ["acknowledged", "unreadable"],
  },
  { bug: "checksum with another needle's seed", planted: WRONG_SEED, caughtBy: ["acknowledged", "unreadable"] },
  {
    bug: "set the mark beyond the content of the metadata store",
    planted: MARK_TOO_FAR,
    caughtBy: ["acknowledged", "damage", "rebuild"],
  },
  { bug: "accept bad bodies", planted: { recover: ACCEPT_BAD_BODIES }, caughtBy: ["unreadable", "rebuild"] },
  {
    bug: "remove a volume before a checkpoint",
    planted: REMOVE_AT_ONCE,
    // The rows of the metadata store that refer to the volume are dangling: such a needle is missing.
    caughtBy: ["unknown", "acknowledged", "removed", "rebuild"],
  },
  { bug: "leave tombstones behind", planted: DROP_TOMBSTONES, caughtBy: ["removed", "rebuild"] },
  { bug: "copy removed needles", planted: COPY_REMOVED, caughtBy: ["removed", "failed"] },
  { bug: "drop the last group", planted: { recover: DROP_LAST_GROUP }, caughtBy: ["acknowledged"] },
]

for (const { bug, planted, caughtBy } of CANARIES) {
  test(`planted bug "${bug}" is caught`, async () => {
    const finding = await find(planted)
    assert.ok(caughtBy.includes(finding.check), `${finding.check}: ${finding.details}`)
  })
}

test("an interrupted recovery, repeated, has the same result as an undisturbed one", async () => {
  const run = await play(77, STEPS)
  assert.ok(run.killedInFlight > 0, "no process was killed during a write")
  const random = new SimRandom(77)
  let deep = 0
  for (const state of crashStates(run.record, { window: 2, subsetsMax: 2, tearsMax: 1, random })) {
    if (state.eventsBefore % 6 !== 0) continue
    deep += 1
    assert.deepEqual(
      await findBrokenPromise(run, state, recoverReal, random),
      undefined,
      `event ${state.eventsBefore}: ${state.what}`,
    )
  }
  assert.ok(deep > 10, `only ${deep} states`)
})

const sizeOf = (medium: Medium, name: string): number =>
  must(medium.fileAt(`/device/volumes/${name}`), "listed").current.length

test("a rotten bit is reported or read as damaged, never as good bytes and never silently", async () => {
  const run = await play(5, STEPS)
  const random = new SimRandom(6)
  const states = crashStates(run.record, { window: 6, subsetsMax: 64, tearsMax: 0, random })
  const whole = must([...states].at(-1), "a run has a last state")
  const first = { ...run, checkpoints: [{ at: 0, mark: undefined, rows: new MapRows() }] }
  const seen = new Set<string>()
  for (let round = 0; round < 150; round += 1) {
    const medium = whole.medium.copy()
    const names = medium.namesIn("/device/volumes").filter(name => sizeOf(medium, name) > 0)
    const name = must(names[random.below(names.length)], "a volume")
    medium.flipBit(`/device/volumes/${name}`, random.below(8 * sizeOf(medium, name)))
    let damages = 0
    const finding = await findBrokenPromise(first, { ...whole, medium }, async (disk, base, incarnation) => {
      const recovered = await recoverReal(disk, base, incarnation)
      damages = recovered.volumes.damages.length
      return recovered
    })
    seen.add(finding?.check ?? "nothing")
    if (finding === undefined || finding.check === "unreadable" || finding.check === "damage") continue
    // A rotten last group looks like a torn one unless a checkpoint or a later group proves that it was durable.
    const isLast = names.slice(-2).includes(name)
    assert.ok(["acknowledged", "removed"].includes(finding.check), `${finding.check}: ${finding.details}`)
    assert.ok(damages > 0 || isLast, finding.details)
  }
  assert.ok(seen.has("unreadable") && seen.has("acknowledged"), [...seen].join(" "))
})
