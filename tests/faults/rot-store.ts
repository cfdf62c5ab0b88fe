/**
 * A store on real files (volumes, logs, LMDB) that is damaged and read: the process that `rot.ts` starts, since
 * LMDB may take it down with a signal. One line of JSON on its standard output for each thing that it does.
 *
 *   node rot-store.js make FOLDER DEVICES          writes objects in two generations, and ends without stopping
 *   node rot-store.js rest FOLDER PLAN             copies, damages, opens, reads; again and again
 *   node rot-store.js running FOLDER PLAN          opens, damages under the open store, reads, mends; again and again
 *   node rot-store.js again FOLDER PLAN            opens what the last case left, and reads
 */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { closeSync, openSync, writeSync } from "node:fs"
import { join } from "node:path"
import { isFailure } from "../../src/base/failures.js"
import { objectKeyOfText, parseAccountId, parseBucketName, parseIncarnation } from "../../src/base/ids.js"
import { KIB, MIB } from "../../src/base/limits.js"
import { readControlRecord } from "../../src/device/index.js"
import { makeCodec } from "../../src/erasure/index.js"
import { CheckpointExecutor } from "../../src/main/engine/checkpoint-job.js"
import { openEngine, type Engine } from "../../src/main/engine/engine.js"
import { firstRecordOf, settingsOf } from "../../src/main/engine/testing.js"
import { RealClock } from "../../src/seams/clock/real.js"
import { InlineCompute } from "../../src/seams/compute/index.js"
import { RealDisk, ROT_KINDS, rotOnce, type Disk } from "../../src/seams/disk/index.js"
import { SimRandom } from "../../src/seams/random/sim.js"
import type { Stores } from "../../src/seams/store/contract.js"
import { RealStores } from "../../src/seams/store/real.js"
import { SimTelemetry } from "../../src/seams/telemetry/sim.js"
import { bodyBytes, find, putRequest, sourceOf } from "../../sim/world/bodies.js"
import { parseRotPlan, type RotCase, type RotPlan, type RotTarget } from "./rot-plan.js"

const BUCKET = parseBucketName("rot")
const OWNER = parseAccountId("root")
const BLOCK_BYTES = 128 * KIB
const SIZES = [100, 3_000, 4_096, 20_000, 140_000, 300_000]
const KEYS = 18
/** A store that was damaged and mended often is opened afresh now and then. */
const CASES_AN_OPENING = 40

/** What a key must show: the name and length of its last write; undefined: removed. */
type Expected = Readonly<Record<string, readonly [string, number] | null>>

function parseExpected(text: string): Expected {
  return JSON.parse(text) as Expected
}

/** Paths like `/d1` lie below a folder. */
function rooted(root: string): { readonly disk: Disk; readonly stores: Stores } {
  const [disk, stores] = [new RealDisk(), new RealStores()]
  const at = (path: string): string => join(root, path)
  return {
    disk: {
      open: (path, mode, options) => disk.open(at(path), mode, options),
      list: folder => disk.list(at(folder)),
      exists: path => disk.exists(at(path)),
      makeFolder: path => disk.makeFolder(at(path)),
      remove: path => disk.remove(at(path)),
      rename: (from, to) => disk.rename(at(from), at(to)),
      syncFolder: path => disk.syncFolder(at(path)),
      space: path => disk.space(at(path)),
    },
    stores: {
      openReader: path => stores.openReader(at(path)),
      openWriter: path => stores.openWriter(at(path)),
      discard: path => stores.discard(at(path)),
    },
  }
}

let lives = 0

async function openStore(root: string, devices: number): Promise<Engine> {
  lives += 1
  const { disk, stores } = rooted(root)
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
      checkpoints: new CheckpointExecutor(() => disk, stores),
    },
    settingsOf(record, parseIncarnation(lives)),
  )
}

const say = (fact: unknown): void => void process.stdout.write(`${JSON.stringify(fact)}\n`)

async function make(folder: string, devices: number): Promise<void> {
  const root = join(folder, "golden")
  for (let device = 1; device <= devices; device += 1) mkdirSync(join(root, `d${device}`), { recursive: true })
  const engine = await openStore(root, devices)
  const bucket = await engine.services.buckets.create({ name: BUCKET, owner: OWNER, location: "" })
  const expected: Record<string, readonly [string, number] | null> = {}
  let count = 0
  const put = async (at: number): Promise<void> => {
    count += 1
    const [key, name, size] = [`key-${at}`, `w${count}`, SIZES[at % SIZES.length] ?? 100]
    await engine.services.objects.put(putRequest(bucket, objectKeyOfText(key), sourceOf(bodyBytes(name, size))))
    expected[key] = [name, size]
  }
  const checkpoint = async (): Promise<void> => {
    for (const { checkpointer } of engine.devices) await checkpointer.checkpoint()
  }
  for (let at = 0; at < KEYS; at += 1) await put(at)
  await checkpoint()
  cpSync(root, join(folder, "older"), { recursive: true })
  for (let at = 0; at < KEYS; at += 2) await put(at)
  for (let at = 1; at < KEYS; at += 6) {
    await engine.services.objects.remove({ bucket, key: objectKeyOfText(`key-${at}`), conditions: {} })
    expected[`key-${at}`] = null
  }
  await checkpoint()
  // What follows is in the log alone.
  for (let at = 3; at < KEYS; at += 5) await put(at)
  for (const { log } of engine.devices) await log.confirm()
  writeFileSync(join(folder, "expected.json"), JSON.stringify(expected))
  say({ made: Object.keys(expected).length })
  // Not stopped: a last checkpoint would empty the log.
  process.exit(0)
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

/** Damages one place of a file of the target, in place; undefined where what was drawn changes nothing. */
function damage(folder: string, work: string, plan: RotPlan, number: number): Damage | undefined {
  const random = new SimRandom(plan.seed).fork(`case ${number}`)
  const bay = `d${1 + (plan.devices === 1 ? 0 : random.below(2))}/${FOLDERS[plan.target]}`
  const names = readdirSync(join(work, bay)).filter(name => name !== "lock.mdb" && !/\.tmp/.test(name))
  const files = names.filter(name => statSync(join(work, bay, name)).size > 0)
  const name = files[random.below(Math.max(1, files.length))]
  const kind = ROT_KINDS[random.below(ROT_KINDS.length)] ?? "flip"
  if (name === undefined) return undefined
  const path = join(work, bay, name)
  const [whole, olderPath] = [readFileSync(path), join(folder, "older", bay, name)]
  const older = existsSync(olderPath) ? readFileSync(olderPath) : undefined
  // A log is full of zeros behind its end.
  let used = whole.length
  while (used > 0 && whole[used - 1] === 0) used -= 1
  const damaged = Buffer.from(whole)
  const what = rotOnce(damaged, kind, random, older, 0, used)
  if (what === undefined) return undefined
  overwrite(path, whole, damaged)
  return { what: `${bay}/${name}: ${what}`, mend: () => overwrite(path, damaged, whole) }
}

/** Writes only what differs: a map of the file sees it, and nothing else. */
function overwrite(path: string, before: Buffer, after: Buffer): void {
  const file = openSync(path, "r+")
  for (let at = 0; at < after.length; at += 512) {
    const [was, is] = [before.subarray(at, at + 512), after.subarray(at, at + 512)]
    if (Buffer.compare(was, is) !== 0) writeSync(file, is, 0, is.length, at)
  }
  closeSync(file)
}

type Found = Omit<RotCase, "number" | "what">

/** Reads every key and the listing, and holds them against what was written. */
async function judge(engine: Engine, expected: Expected): Promise<Found> {
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
        if (!write && got) wrong.push(`${key} is there again`)
        else if (write && !got) absent.push(key)
        else if (write && got && Buffer.compare(got.bytes, bodyBytes(...write)) !== 0) {
          wrong.push(`${key} reads other bytes`)
        } else exact += 1
      })
    }
    await attempt("the listing", async () => {
      const page = await engine.services.objects.list({ bucket, prefix: "", delimiter: "", after: "", max: 1_000 })
      const listed = new Set(page.entries.map(entry => (entry.kind === "object" ? String(entry.object.key) : "")))
      for (const [key, write] of Object.entries(expected)) {
        if (write && !listed.delete(key)) absent.push(`${key} in the listing`)
      }
      for (const key of listed) wrong.push(`the listing shows ${key}`)
    })
  })
  return { exact, refused, absent, wrong }
}

/** A store that cannot be opened serves nothing: its failure has to be one of ours. */
async function openToRead(work: string, devices: number): Promise<Engine | Found> {
  const nothing = { exact: 0, refused: [], absent: [], wrong: [] }
  try {
    return await openStore(work, devices)
  } catch (error) {
    return isFailure(error)
      ? { ...nothing, refused: [`opening: ${error.kind}`] }
      : { ...nothing, wrong: [String(error)] }
  }
}

const isEngine = (opened: Engine | Found): opened is Engine => "services" in opened

function copyGolden(folder: string): string {
  const work = join(folder, "work")
  rmSync(work, { recursive: true, force: true })
  cpSync(join(folder, "golden"), work, { recursive: true })
  return work
}

async function atRest(folder: string, plan: RotPlan, expected: Expected): Promise<void> {
  for (let number = plan.from; number < plan.from + plan.count; number += 1) {
    const work = copyGolden(folder)
    const done = damage(folder, work, plan, number)
    if (done === undefined) continue
    say({ begins: number, what: done.what })
    const opened = await openToRead(work, plan.devices)
    if (!isEngine(opened)) {
      say({ number, what: done.what, ...opened })
      continue
    }
    say({ number, what: done.what, ...(await judge(opened, expected)) })
    await opened.stop().catch(() => undefined)
  }
}

async function whileRunning(folder: string, plan: RotPlan, expected: Expected): Promise<void> {
  let engine: Engine | undefined
  let work = ""
  for (let number = plan.from; number < plan.from + plan.count; number += 1) {
    if (engine === undefined || number % CASES_AN_OPENING === 0) {
      await engine?.stop().catch(() => undefined)
      work = copyGolden(folder)
      engine = await openStore(work, plan.devices)
    }
    const done = damage(folder, work, plan, number)
    if (done === undefined) continue
    say({ begins: number, what: done.what })
    say({ number, what: done.what, ...(await judge(engine, expected)) })
    done.mend()
  }
  await engine?.stop().catch(() => undefined)
}

async function again(folder: string, plan: RotPlan, expected: Expected): Promise<void> {
  say({ begins: plan.from, what: "the next start" })
  const opened = await openToRead(join(folder, "work"), plan.devices)
  const found = isEngine(opened) ? await judge(opened, expected) : opened
  say({ number: plan.from, what: "the next start", ...found })
}

const [mode, folder = "", argument = ""] = process.argv.slice(2)
// Undone reads of a store that is given up must not keep the process.
if (mode === "make") await make(folder, Number(argument))
else {
  const plan = parseRotPlan(argument)
  const expected = parseExpected(readFileSync(join(folder, "expected.json"), "utf8"))
  // Lives before this one have written to the folder that is copied, or to the one that is left.
  lives = mode === "again" ? 2 : 1
  if (mode === "rest") await atRest(folder, plan, expected)
  else if (mode === "running") await whileRunning(folder, plan, expected)
  else await again(folder, plan, expected)
  process.exit(0)
}
