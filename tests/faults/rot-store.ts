/**
 * A store on real files (volumes, payloads, logs, metadata) that is damaged and read. `rot.ts` runs it as a
 * separate process, so that a crash of it is detected. Each step prints a line of JSON to standard output.
 *
 *   node rot-store.js FOLDER DEVICES PLANS   writes objects in two generations, and leaves that store as a crash would;
 *                                            then for each plan repeatedly: copies, damages, opens and reads, or opens,
 *                                            damages the open store, reads and undoes the damage
 */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { closeSync, openSync, writeSync } from "node:fs"
import { join } from "node:path"
import { isFailure } from "@hayloft/base/failures.js"
import { objectKeyOfText, parseAccountId, parseBucketName, parseDeviceId, parseIncarnation } from "@hayloft/base/ids.js"
import { KIB, MIB } from "@hayloft/base/limits.js"
import { readControlRecord } from "@hayloft/engine/device/index.js"
import { makeCodec } from "@hayloft/engine/erasure/index.js"
import { CheckpointExecutor } from "@hayloft/node/metadata/checkpoint-job.js"
import { openEngine, type Engine } from "@hayloft/node/engine.js"
import { firstRecordOf, settingsOf } from "@hayloft/node/testing-engine.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { InlineCompute } from "@hayloft/base/seams/compute/index.js"
import { RealDisk, ROT_KINDS, rotOnce, type Disk } from "@hayloft/base/seams/disk/index.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { TABLE_LIMITS, TableStores } from "@hayloft/engine/table/index.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import type { Bucket } from "@hayloft/objects/index.js"
import { bodyBytes, find, putRequest, sourceOf } from "../../sim/world/bodies.js"
import {
  BASE_ROT_KINDS,
  OPEN_ROT_KINDS,
  rotMetadataStore,
  type MetadataStoreFiles,
  type MetadataStoreRotKind,
} from "./rot-base.js"
import { parseRotPlans, type RotCase, type RotPlan, type RotTarget } from "./rot-plan.js"

const BUCKET = parseBucketName("rot")
const OWNER = parseAccountId("root")
const BLOCK_BYTES = 128 * KIB
const SIZES = [100, 3_000, 4_096, 20_000, 140_000, 300_000]
const KEYS = 18
/** Additional small objects, so that the metadata store has many blocks in several files. */
const SMALL_KEYS = 384
/** All of one size, so that blocks have equal lengths. */
const SMALL_BYTES = 60
const PUTS_AT_ONCE = 32
/** Existing and missing small objects are put again under the condition that they do not exist. */
const CONDITIONAL_PUTS = 12
/** A page of a listing. */
const PAGE_KEYS = 100
/** Tables so small that these rows fill several of them, with several partitions each. */
const LIMITS = { ...TABLE_LIMITS, blockBytes: 2 * KIB, partitionBytes: 12 * KIB, tableBytes: 48 * KIB }
/** A store that was damaged and restored this often is reopened. */
const CASES_AN_OPENING = 40

/** The expected value of a key: the name and length of its last write; undefined if it was deleted. */
type Expected = Readonly<Record<string, readonly [string, number] | null>>

/** Maps paths like `/d1` to a folder. */
function rooted(root: string): Disk {
  const disk = new RealDisk()
  const at = (path: string): string => join(root, path)
  return {
    open: (path, mode, options) => disk.open(at(path), mode, options),
    list: folder => disk.list(at(folder)),
    exists: path => disk.exists(at(path)),
    makeFolder: path => disk.makeFolder(at(path)),
    remove: path => disk.remove(at(path)),
    rename: (from, to) => disk.rename(at(from), at(to)),
    syncFolder: path => disk.syncFolder(at(path)),
    space: path => disk.space(at(path)),
  }
}

let lives = 0

async function openStore(root: string, devices: number): Promise<Engine> {
  lives += 1
  // Nothing stays in memory, so that each read uses the disk.
  const [disk, stores] = [rooted(root), new TableStores({ limits: LIMITS, cacheBytesMax: 0 })]
  const known = await readControlRecord(disk, "/d1")
  const record = known === undefined || known instanceof Error ? firstRecordOf(devices, BLOCK_BYTES) : known
  const clock = new RealClock()
  return openEngine(
    {
      clock,
      random: new SimRandom(lives),
      diskOf: () => disk,
      stores,
      compute: new InlineCompute(makeCodec, { slabBytes: 4 * BLOCK_BYTES, poolBytes: 8 * MIB }),
      telemetry: new SimTelemetry(),
      checkpoints: new CheckpointExecutor(() => disk, stores, new SimRandom(1)),
    },
    settingsOf(record, parseIncarnation(lives)),
  )
}

const say = (fact: unknown): void => void process.stdout.write(`${JSON.stringify(fact)}\n`)

async function make(folder: string, devices: number): Promise<Expected> {
  const root = join(folder, "golden")
  for (let device = 1; device <= devices; device += 1) mkdirSync(join(root, `d${device}`), { recursive: true })
  const engine = await openStore(root, devices)
  const bucket = await engine.services.buckets.create({ name: BUCKET, owner: OWNER, location: "" })
  const expected: Record<string, readonly [string, number] | null> = {}
  let count = 0
  const put = async (at: number): Promise<void> => {
    count += 1
    const isSmall = at >= KEYS
    const [key, name] = [isSmall ? `small-${String(at).padStart(3, "0")}` : `key-${at}`, `w${count}`]
    const size = isSmall ? SMALL_BYTES : (SIZES[at % SIZES.length] ?? 100)
    await engine.services.objects.put(putRequest(bucket, objectKeyOfText(key), sourceOf(bodyBytes(name, size))))
    expected[key] = [name, size]
  }
  const checkpoint = async (): Promise<void> => {
    for (const { checkpointer } of engine.devices) await checkpointer.checkpoint()
  }
  const putSmall = async (from: number): Promise<void> => {
    const all = Array.from({ length: SMALL_KEYS / PUTS_AT_ONCE }, (_, i) => KEYS + from + i * PUTS_AT_ONCE)
    for (const first of all) await Promise.all(Array.from({ length: PUTS_AT_ONCE / 2 }, (_, i) => put(first + 2 * i)))
  }
  for (let at = 0; at < KEYS; at += 1) await put(at)
  await putSmall(0)
  await checkpoint()
  await putSmall(1)
  await checkpoint()
  cpSync(root, join(folder, "older"), { recursive: true })
  for (let at = 0; at < KEYS; at += 2) await put(at)
  for (let at = 1; at < KEYS; at += 6) {
    await engine.services.objects.remove({ bucket, key: objectKeyOfText(`key-${at}`), conditions: {} })
    expected[`key-${at}`] = null
  }
  await checkpoint()
  await putSmall(0)
  for (let at = 1; at < KEYS; at += 4) await put(at)
  // Until payloads have moved to their final place, so that most rows exist once.
  for (let left = 4; left > 0; left -= 1) {
    await checkpoint()
    await mergeAll(engine)
  }
  // Not inline, so that no payload moves.
  for (let at = 3; at < KEYS; at += 6) await put(at)
  await checkpoint()
  // The following writes are only in the log.
  for (let at = 3; at < KEYS; at += 5) await put(at)
  for (const { log } of engine.devices) await log.confirm()
  // The store is not stopped: a last checkpoint would empty the log.
  return expected
}

async function mergeAll(engine: Engine): Promise<void> {
  for (const { checkpointer } of engine.devices) {
    for (let left = 8; left > 0; left -= 1) await checkpointer.merge()
  }
}

const FOLDERS: Readonly<Record<RotTarget, string>> = {
  volumes: "volumes",
  payloads: "payloads",
  log: "log",
  base: "base",
}

interface Damage {
  readonly what: string
  mend(): void
}

/** Damages that are drawn for a case until one of them changes something. */
const DRAWN_MAX = 20

/** Damages one place of a file of the target; returns undefined if no damage that was drawn changes anything. */
function damage(folder: string, work: string, plan: RotPlan, number: number, isOpen: boolean): Damage | undefined {
  const random = new SimRandom(plan.seed).fork(`case ${number}`)
  for (let drawn = 0; drawn < DRAWN_MAX; drawn += 1) {
    const done = damageOnce(folder, work, plan, random, isOpen)
    if (done !== undefined) return done
  }
  return undefined
}

function damageOnce(folder: string, work: string, plan: RotPlan, random: Random, isOpen: boolean): Damage | undefined {
  const device = 1 + (plan.devices === 1 ? 0 : random.below(2))
  if (plan.target === "base") return damageBase(folder, work, device, plan.devices, random, isOpen)
  const bay = `d${device}/${FOLDERS[plan.target]}`
  const names = readdirSync(join(work, bay)).filter(name => !/\.tmp/.test(name))
  const files = names.filter(name => statSync(join(work, bay, name)).size > 0)
  const name = files[random.below(Math.max(1, files.length))]
  const kind = ROT_KINDS[random.below(ROT_KINDS.length)] ?? "flip"
  if (name === undefined) return undefined
  const path = join(work, bay, name)
  const [whole, olderPath] = [readFileSync(path), join(folder, "older", bay, name)]
  const older = existsSync(olderPath) ? readFileSync(olderPath) : undefined
  // After its end a log contains only zeros.
  let used = whole.length
  while (used > 0 && whole[used - 1] === 0) used -= 1
  const damaged = Buffer.from(whole)
  const what = rotOnce(damaged, kind, random, older, 0, used)
  if (what === undefined) return undefined
  overwrite(path, whole, damaged)
  return { what: `${bay}/${name}: ${what}`, mend: () => overwrite(path, damaged, whole) }
}

function filesIn(path: string): MetadataStoreFiles {
  return new Map(readdirSync(path).map(name => [name, readFileSync(join(path, name))]))
}

function damageBase(
  folder: string,
  work: string,
  device: number,
  devices: number,
  random: Random,
  isOpen: boolean,
): Damage | undefined {
  const bayOf = (number: number): string => `d${number}/base`
  const idOf = (number: number) => parseDeviceId(number.toString(16).padStart(16, "0"))
  const bay = bayOf(device)
  const kinds: readonly MetadataStoreRotKind[] = isOpen ? OPEN_ROT_KINDS : BASE_ROT_KINDS
  const files = filesIn(join(work, bay))
  const other = devices === 1 ? undefined : { deviceId: idOf(3), files: filesIn(join(work, bayOf(3))) }
  const older = filesIn(join(folder, "older", bay))
  const kind = kinds[random.below(kinds.length)] ?? "flip"
  const done = rotMetadataStore({ deviceId: idOf(device), files, older, other }, kind, random)
  if (done === undefined) return undefined
  const write = (name: string, before: Buffer | undefined, after: Buffer | undefined): void => {
    const path = join(work, bay, name)
    if (after === undefined) rmSync(path, { force: true })
    else if (before?.length === after.length) overwrite(path, before, after)
    else writeFileSync(path, after)
  }
  for (const [name, after] of done.changed) write(name, files.get(name), after)
  const mend = (): void => {
    for (const [name, after] of done.changed) write(name, after, files.get(name))
  }
  return { what: `${bay}: ${done.what}`, mend }
}

/** Writes only the differing bytes, so that a memory map of the file sees this change and no other. */
function overwrite(path: string, before: Buffer, after: Buffer): void {
  const file = openSync(path, "r+")
  for (let at = 0; at < after.length; at += 512) {
    const [was, is] = [before.subarray(at, at + 512), after.subarray(at, at + 512)]
    if (Buffer.compare(was, is) !== 0) writeSync(file, is, 0, is.length, at)
  }
  closeSync(file)
}

type Found = Omit<RotCase, "plan" | "number" | "what">

/** Reads every key and the listing, and compares them with the writes. */
async function compareAll(engine: Engine, expected: Expected, seed: number): Promise<Found> {
  let exact = 0
  const refused: string[] = []
  const absent: string[] = []
  const wrong: string[] = []
  const attempt = async (what: string, work: () => Promise<void>): Promise<void> => {
    try {
      await work()
    } catch (error) {
      if (isFailure(error, "noSuchBucket")) absent.push("the bucket")
      else if (isFailure(error)) refused.push(error.kind)
      else wrong.push(`${what}: ${String(error)}`)
    }
  }
  await attempt("the bucket", async () => {
    const bucket = await engine.services.buckets.open(BUCKET)
    for (const [key, write] of Object.entries(expected)) {
      await attempt(key, async () => {
        const got = await find(engine, bucket, objectKeyOfText(key))
        if (!write && got) wrong.push(`${key} has reappeared`)
        else if (write && !got) absent.push(key)
        else if (write && got && Buffer.compare(got.bytes, bodyBytes(...write)) !== 0) {
          wrong.push(`${key} reads other bytes`)
        } else exact += 1
      })
    }
    const there = Object.entries(expected).filter(([, write]) => write !== null)
    for (let i = 0; i < CONDITIONAL_PUTS; i += 1) {
      const [key] = there[(seed + i * 37) % there.length] ?? [""]
      await attempt(`a conditional put of ${key}`, async () => {
        const request = putRequest(bucket, objectKeyOfText(key), sourceOf(Buffer.from("another")))
        const isWritten = await engine.services.objects.put({ ...request, conditions: { ifNoneMatch: ["*"] } }).then(
          () => true,
          (error: unknown) => {
            if (isFailure(error, "preconditionFailed")) return false
            throw error
          },
        )
        if (isWritten) wrong.push(`${key} was written although it exists`)
      })
    }
    await attempt("the listing", async () => {
      const listed = await listAll(engine, bucket)
      for (const [key, write] of Object.entries(expected)) {
        if (write && !listed.delete(key)) absent.push(`${key} in the listing`)
      }
      for (const key of listed) wrong.push(`the listing shows ${key}`)
    })
  })
  return { exact, refused, absent, wrong }
}

async function listAll(engine: Engine, bucket: Bucket): Promise<Set<string>> {
  const listed = new Set<string>()
  for (let after = "", isMore = true; isMore;) {
    const page = await engine.services.objects.list({ bucket, prefix: "", delimiter: "", after, max: PAGE_KEYS })
    for (const entry of page.entries) if (entry.kind === "object") listed.add(String(entry.object.key))
    isMore = page.next !== undefined
    after = page.next ?? ""
  }
  return listed
}

const NOTHING: Found = { exact: 0, refused: [], absent: [], wrong: [] }

/** A store that cannot be opened serves nothing, but must fail with a known failure. */
async function openToRead(work: string, devices: number): Promise<Engine | Found> {
  try {
    return await openStore(work, devices)
  } catch (error) {
    return isFailure(error)
      ? { ...NOTHING, refused: [`opening: ${error.kind}`] }
      : { ...NOTHING, wrong: [String(error)] }
  }
}

const isEngine = (opened: Engine | Found): opened is Engine => "services" in opened

function copyGolden(folder: string): string {
  const work = join(folder, "work")
  rmSync(work, { recursive: true, force: true })
  cpSync(join(folder, "golden"), work, { recursive: true })
  return work
}

async function atRest(folder: string, plan: RotPlan, at: number, expected: Expected): Promise<void> {
  for (let number = 0; number < plan.count; number += 1) {
    const work = copyGolden(folder)
    const done = damage(folder, work, plan, number, false)
    if (done === undefined) continue
    say({ begins: number, what: done.what })
    const found = await live(work, plan, expected, number)
    // Reads the state after checkpoints and merges.
    const later = plan.target === "base" ? await live(work, plan, expected, number) : NOTHING
    say({ plan: at, number, what: done.what, ...both(found, later) })
  }
}

const both = (a: Found, b: Found): Found => ({
  exact: a.exact + b.exact,
  refused: [...a.refused, ...b.refused],
  absent: [...a.absent, ...b.absent],
  wrong: [...a.wrong, ...b.wrong],
})

/** One process on a damaged store: reads it, brings it up to date, reads it again, and stops it. */
async function live(work: string, plan: RotPlan, expected: Expected, seed: number): Promise<Found> {
  const opened = await openToRead(work, plan.devices)
  if (!isEngine(opened)) return opened
  const found = await compareAll(opened, expected, seed)
  if (plan.target !== "base") {
    await opened.stop().catch(() => undefined)
    return found
  }
  const wrong: string[] = []
  await keepUp(opened).catch((error: unknown) => {
    if (!isFailure(error)) wrong.push(`upkeep: ${String(error)}`)
  })
  const later = await compareAll(opened, expected, seed + 1)
  await opened.stop().catch((error: unknown) => {
    if (!isFailure(error)) wrong.push(`the stop: ${String(error)}`)
  })
  return both(both(found, { ...NOTHING, wrong }), later)
}

/** Runs background work: all devices are brought up to date and merged, even if one fails. */
async function keepUp(engine: Engine): Promise<void> {
  for (const { checkpointer } of engine.devices) await checkpointer.checkpoint().catch(failuresOnly)
  for (const { checkpointer } of engine.devices) {
    for (let left = 4; left > 0; left -= 1) await checkpointer.merge().catch(failuresOnly)
  }
}

function failuresOnly(error: unknown): void {
  if (!isFailure(error)) throw error
}

async function whileRunning(folder: string, plan: RotPlan, at: number, expected: Expected): Promise<void> {
  let engine: Engine | undefined
  let work = ""
  for (let number = 0; number < plan.count; number += 1) {
    if (engine === undefined || number % CASES_AN_OPENING === 0) {
      await engine?.stop().catch(() => undefined)
      work = copyGolden(folder)
      engine = await openStore(work, plan.devices)
    }
    const done = damage(folder, work, plan, number, true)
    if (done === undefined) continue
    say({ begins: number, what: done.what })
    say({ plan: at, number, what: done.what, ...(await compareAll(engine, expected, number)) })
    done.mend()
  }
  await engine?.stop().catch(() => undefined)
}

const [folder = "", devices = "", plans = ""] = process.argv.slice(2)
const expected = await make(folder, Number(devices))
for (const [at, plan] of parseRotPlans(plans).entries())
  await (plan.mode === "rest" ? atRest : whileRunning)(folder, plan, at, expected)
// Pending reads of an abandoned store must not keep the process running.
process.exit(0)
