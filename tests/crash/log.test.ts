/**
 * The commit log under power cuts, by enumeration: every crash point of recorded runs, every subset of the unsynced
 * writes, torn, stale, zeroed and flipped writes, and all of these during recovery too.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { isFailure } from "@hayloft/base/failures.js"
import { parseLogSequence } from "@hayloft/base/ids.js"
import { seedsOf } from "@hayloft/base/testing-seed.js"
import type { LoggedRecord } from "@hayloft/engine/device/contract.js"
import { openLog, SegmentedLog } from "@hayloft/engine/device/log/log.js"
import { parseSegmentName, readBatch, recordsOfBatch, Window } from "@hayloft/engine/device/log/log-segment.js"
import { LOG_PAGE_BYTES } from "@hayloft/engine/format/device/log-batch.js"
import { crashStates, SimDisk, WrappedDisk } from "@hayloft/base/seams/disk/index.js"
import type { Disk, OpenMode } from "@hayloft/base/seams/disk/contract.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import {
  DEVICE,
  FOLDER,
  findBrokenPromise,
  LOG_OPTIONS,
  numberOf,
  numbersAbove,
  openEncrypted,
  openReal,
  play,
} from "./log-harness.js"
import type { Finding, OpenLog, Recover, Recovered, Run } from "./log-harness.js"

const SEEDS = seedsOf(1)
const STEPS = 20
const ENCRYPTED_STEPS = 6
/** One in this many states is also continued, with a power cut during its recovery. */
const DEEP_EVERY = 20
const FINDINGS_MAX = 20

interface Outcome {
  readonly states: number
  readonly findings: readonly (Finding & { readonly where: string })[]
}

/** Ends with the first finding, or with that of this check. */
async function tryAll(run: Run, seed: number, recover: Recover, check?: Finding["check"]): Promise<Outcome> {
  const random = new SimRandom(seed)
  const findings: (Finding & { where: string })[] = []
  let states = 0
  for (const state of crashStates(run.record, { window: 8, subsetsMax: 16, tearsMax: 5, random })) {
    states += 1
    const deep = states % DEEP_EVERY === 0 ? random : undefined
    const finding = await findBrokenPromise(run, state, recover, deep)
    if (finding === undefined) continue
    findings.push({ ...finding, where: `seed ${seed}, event ${state.eventsBefore}: ${state.what}` })
    if (check === undefined || finding.check === check || findings.length >= FINDINGS_MAX) break
  }
  return { states, findings }
}

const recoverReal: Recover = async disk => openReal(disk)

const WHOLE = { window: 8, subsetsMax: 1024, tearsMax: 0, random: new SimRandom(0) }

test("no power cut loses, invents, revives or reorders a batch", async () => {
  for (const seed of SEEDS) {
    const outcome = await tryAll(await play(seed, STEPS), seed, recoverReal)
    assert.deepEqual(outcome.findings, [])
  }
})

test("no power cut loses, invents, revives or reorders an encrypted batch", async () => {
  for (const seed of SEEDS) {
    const run = await play(seed, ENCRYPTED_STEPS, openEncrypted)
    assert.deepEqual((await tryAll(run, seed, openEncrypted)).findings, [])
    const last = must([...crashStates(run.record, WHOLE)].at(-1), "a run has a last state")
    await assert.rejects(openReal(new SimDisk(last.medium).boot()).then(numbersOfAll), error =>
      isFailure(error, "wrongMasterKey"),
    )
  }
})

async function numbersOfAll(log: Recovered): Promise<void> {
  for await (const { bytes } of log.records(parseLogSequence(0))) assert.ok(bytes)
}

/** Each segment file that a run left, after all writes have reached the disk, with the batches that it contains. */
async function leftBehind(seed: number) {
  const run = await play(seed, STEPS)
  const last = must([...crashStates(run.record, WHOLE)].at(-1), "a run has a last state")
  const sim = new SimDisk(last.medium)
  const log = await openReal(sim.boot())
  const cut = run.cuts.at(-1)?.upTo ?? parseLogSequence(0)
  const batches: BatchPlace[] = []
  const records: (number | undefined)[] = []
  for await (const { sequence, place, bytes } of log.records(cut)) {
    if (batches.at(-1)?.sequence !== sequence) batches.push({ sequence, ...place })
    records.push(numberOf(bytes))
  }
  await log.close()
  return { medium: last.medium, batches, records, cut }
}

interface BatchPlace {
  readonly sequence: number
  readonly segment: number
  readonly offsetBytes: number
}

async function pathOf(disk: Disk, segment: number): Promise<string> {
  for (const name of await disk.list(FOLDER)) {
    if (parseSegmentName(name) === undefined) continue
    const file = await disk.open(`${FOLDER}/${name}`, "read")
    const batch = await readBatch(new Window(file), 0)
    if (batch?.header.segment === segment) return file.path
  }
  throw new Error(`segment ${segment} does not exist`)
}

const LAST_PAGES = "its page and the next zeroed"
const DAMAGES: readonly (readonly [string, (bytes: Uint8Array, header: number, record: number) => void])[] = [
  ["a bit of the header flipped", (bytes, header) => void (bytes[header + 33] = (bytes[header + 33] ?? 0) ^ 4)],
  ["a bit of a record flipped", (bytes, _, record) => void (bytes[record + 1] = (bytes[record + 1] ?? 0) ^ 1)],
  ["the first sector zeroed", (bytes, header) => bytes.fill(0, header, header + 512)],
  ["the first page zeroed", (bytes, header) => bytes.fill(0, header, header + LOG_PAGE_BYTES)],
  [LAST_PAGES, (bytes, header) => bytes.fill(0, header, header + 8192)],
]

test("damage to acknowledged data is reported, wherever it is, and never truncated", async () => {
  let [tried, harmless] = [0, 0]
  for (const seed of [100, 101, ...SEEDS]) {
    const { medium, batches, records, cut } = await leftBehind(seed)
    for (const batch of batches) {
      const path = await pathOf(new SimDisk(medium.copy()).boot(), batch.segment)
      for (const [what, damage] of DAMAGES) {
        // Only the bytes after the last batch show that it was durable.
        if (batch === batches.at(-1) && what === LAST_PAGES) continue
        const hurt = medium.copy()
        const header = batch.offsetBytes - (batch.offsetBytes % LOG_PAGE_BYTES)
        hurt.alter(path, bytes => damage(bytes, header, batch.offsetBytes))
        const where = `seed ${seed}, batch ${batch.sequence}, ${what}`
        const opened = await openReal(new SimDisk(hurt).boot()).catch((error: unknown) => error)
        if (opened instanceof SegmentedLog) {
          // The batch is stored twice, because a start wrote it again: nothing is lost.
          const found: (number | undefined)[] = []
          for await (const { bytes } of opened.records(cut)) found.push(numberOf(bytes))
          assert.deepEqual(found, records, where)
          harmless += 1
          continue
        }
        assert.ok(isFailure(opened, "corruptLog"), where)
        tried += 1
      }
    }
  }
  assert.ok(tried > 50 && tried > 5 * harmless, `${tried} damages, ${harmless} of them harmless`)
})

test("a missing or shortened segment is reported", async () => {
  const { medium, batches } = await leftBehind(7)
  for (const { segment } of batches) {
    const path = await pathOf(new SimDisk(medium.copy()).boot(), segment)
    const gone = new SimDisk(medium.copy()).boot()
    const isNewest = segment === batches.at(-1)?.segment
    await gone.remove(path)
    if (!isNewest) await assert.rejects(openReal(gone), error => isFailure(error, "corruptLog"))
    const known = parseLogSequence(must(batches.at(-1), "a batch").sequence)
    await assert.rejects(
      openLog(gone, FOLDER, DEVICE, { ...LOG_OPTIONS, known }),
      error => isFailure(error, "corruptLog"),
      "a checkpoint position reveals lost batches of the log",
    )
  }
})

/** A disk whose files ignore syncs. */
function withoutDurability(disk: Disk): Disk {
  return Object.assign(new WrappedDisk(disk), { open: (path: string, mode: OpenMode) => disk.open(path, mode) })
}

/** A recovery that returns wrong records. */
const lying =
  (
    records: (log: Recovered, disk: Disk, after: number) => AsyncIterable<{ sequence: number; bytes: Uint8Array }>,
  ): Recover =>
  async disk => {
    const log = await openReal(disk)
    return {
      durable: log.durable,
      append: added => log.append(added),
      async *records(after) {
        for await (const { bytes } of records(log, disk, after)) {
          yield { sequence: log.durable, bytes, place: { segment: 0, offsetBytes: 0 } }
        }
      },
    }
  }

const droppingTheLast = lying(async function* (log, _, after) {
  const records: LoggedRecord[] = []
  for await (const record of log.records(parseLogSequence(after))) records.push(record)
  yield* records.filter(({ sequence }) => sequence !== records.at(-1)?.sequence)
})

/** Continues after the end of the newest segment with any bytes that have a valid checksum. */
const acceptingTheStale = lying(async function* (log, disk, after) {
  let segment = 0
  let end = 0
  for await (const record of log.records(parseLogSequence(after))) {
    yield record
    segment = record.place.segment
    end = record.place.offsetBytes + record.bytes.length
  }
  if (segment === 0) return
  const window = new Window(await disk.open(await pathOf(disk, segment), "read"))
  for (let at = Math.ceil(end / LOG_PAGE_BYTES) * LOG_PAGE_BYTES; at < LOG_OPTIONS.segmentBytes; at += LOG_PAGE_BYTES) {
    const batch = await readBatch(window, at)
    for (const { bytes } of batch ? recordsOfBatch(batch) : []) yield { sequence: 0, bytes }
  }
})

const BUGS: readonly {
  readonly name: string
  readonly open: OpenLog
  readonly recover: Recover
  readonly caughtBy: Finding["check"]
}[] = [
  {
    name: "answer before the log is durable",
    open: disk => openReal(withoutDurability(disk)),
    recover: recoverReal,
    caughtBy: "acknowledged is present",
  },
  {
    name: "recovery drops the last batch",
    open: openReal,
    recover: droppingTheLast,
    caughtBy: "acknowledged is present",
  },
  { name: "accept a stale record", open: openReal, recover: acceptingTheStale, caughtBy: "nothing else is present" },
]

for (const { name, open, recover, caughtBy } of BUGS) {
  test(`planted bug "${name}" is caught by "${caughtBy}"`, async () => {
    const fired = new Set<string>()
    for (let seed = 1; seed <= 10 && !fired.has(caughtBy); seed += 1) {
      const { findings } = await tryAll(await play(seed, STEPS, open), seed, recover, caughtBy)
      for (const { check } of findings) fired.add(check)
    }
    assert.ok(fired.has(caughtBy), `fired: ${[...fired].join()}`)
  })
}

test("the run for planted bugs reports nothing without them", async () => {
  const run = await play(3, STEPS)
  assert.ok(run.killedInFlight > 0, "no process was killed during a write")
  const { states, findings } = await tryAll(run, 3, recoverReal)
  assert.deepEqual(findings, [])
  assert.ok(states > 200, `only ${states} states`)
  const log = await openReal(new SimDisk(run.record.before.copy()).boot())
  assert.ok((await numbersAbove(log, parseLogSequence(log.durable - 1))).every(number => number !== undefined))
})
