/**
 * Power cuts against a table store, by enumeration: a run of commits, merges, removals and discards is recorded,
 * and each state of the disk that a cut could have left must open as the store before or after the interrupted
 * operation.
 */
import assert from "node:assert/strict"
import { isFailure } from "@hayloft/base/failures.js"
import { rowKeyOf } from "@hayloft/base/ids.js"
import {
  CallList,
  crashStates,
  failing,
  SimDisk,
  type CrashState,
  type DiskRecord,
  type Medium,
} from "@hayloft/base/seams/disk/index.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { tableNumberOf } from "@hayloft/engine/table/manifest-files.js"
import { findLostRows, giveUpLostRows } from "@hayloft/engine/table/salvage.js"
import { discardStore, type TableStoreWriter } from "@hayloft/engine/table/store-writer.js"
import { closedStore, loseParity, replace } from "./rot.js"
import {
  bytesOf,
  FOLDER,
  hostOf,
  mergingOf,
  Model,
  openReader,
  openWriter,
  rowsOf,
  same,
  SMALL_LIMITS,
  URGENCIES,
  type Rows,
} from "./world.js"

/** One operation, and its events in the record. */
interface Step {
  readonly what: string
  readonly at: number
  readonly doneAt: number
  /** The rows of the store after the operation. */
  readonly rows: Rows
}

interface Run {
  readonly record: DiskRecord
  readonly steps: readonly Step[]
}

class Script {
  readonly steps: Step[] = []
  private readonly host
  private readonly record: DiskRecord
  private readonly random: Random
  private readonly model: Model
  private writer: TableStoreWriter | undefined

  constructor(
    private readonly sim: SimDisk,
    seed: number,
  ) {
    this.random = new SimRandom(seed)
    this.model = new Model(this.random.fork("model"), seed % 2 === 0)
    this.host = hostOf(sim)
    this.record = sim.record()
  }

  private get store(): TableStoreWriter {
    assert.ok(this.writer, "the store is open")
    return this.writer
  }

  private async step(what: string, run: () => Promise<unknown>): Promise<void> {
    const at = this.record.events.length
    await run()
    this.steps.push({ what, at, doneAt: this.record.events.length, rows: new Map(this.model.rows) })
  }

  private open(): Promise<void> {
    return this.step("open", async () => (this.writer = await openWriter(this.host)))
  }

  private commit(rowsMax = 40): Promise<void> {
    return this.step("commit", () => this.store.commit(this.model.batch(rowsMax)))
  }

  /** The disk has no space for the manifest: the files are removed. */
  private failedCommit(): Promise<void> {
    const full = failing({ kind: "create", pathPart: ".manifest", nth: 1, code: "ENOSPC" })
    return this.step("failed commit", async () => {
      this.sim.intercept(full)
      const write = { family: "current", key: rowKeyOf("none"), value: bytesOf("none") } as const
      await assert.rejects(this.store.commit([write]), error => isFailure(error, "deviceFull"))
      this.sim.intercept(() => undefined)
    })
  }

  private merge(): Promise<void> {
    const mark = this.model.mark()
    this.model.take(mark)
    const urgency = URGENCIES[this.random.below(3)] ?? "due"
    return this.step("merge", async () => {
      // If there is nothing to merge, marks change with the next operation.
      if ((await this.store.merge(mergingOf(urgency, undefined, [mark]))) === undefined) await this.store.commit([mark])
    })
  }

  private removeUnused(): Promise<void> {
    return this.step("remove unused", () => this.store.removeUnused())
  }

  private async discard(): Promise<void> {
    await this.store.close()
    this.model.rows.clear()
    await this.step("discard", () => discardStore(this.host, FOLDER))
  }

  async play(): Promise<Run> {
    await this.open()
    for (let round = 0; round < 3; round += 1) {
      await this.commit()
      await this.failedCommit()
      await this.commit()
      await this.merge()
      await this.merge()
      await this.removeUnused()
    }
    await this.discard()
    await this.open()
    await this.commit()
    return { record: this.record, steps: this.steps }
  }
}

/** The allowed states after a cut at this event: the last completed one, and the one in progress. */
function allowedAt(steps: readonly Step[], events: number, first: Rows): readonly Rows[] {
  const done = steps.filter(({ doneAt }) => doneAt <= events)
  const underWay = steps.filter(({ at, doneAt }) => at < events && events < doneAt)
  return [done.at(-1)?.rows ?? first, ...underWay.map(({ rows }) => rows)]
}

const isOneOf = (rows: Rows, allowed: readonly Rows[]): boolean =>
  allowed.some(each => each.size === rows.size && [...each].every(([name, value]) => rows.get(name) === value))

const numbersIn = (names: readonly string[]): number[] => names.flatMap(name => tableNumberOf(name) ?? [])

/** The highest number of any file that was begun: its bytes may be on the disk even without a name. */
function highestBegun({ calls, events }: DiskRecord, eventsBefore: number): number {
  const begun = events.slice(0, eventsBefore).flatMap(({ at, call }) => (at === "start" ? (calls[call] ?? []) : []))
  return Math.max(0, ...numbersIn(begun.map(({ path }) => path.slice(FOLDER.length + 1))))
}

/** Many cuts leave the same bytes: those for which the same is allowed are checked once. */
class CheckedStates {
  private readonly known = new Map<string, Rows>()
  private readonly numbers = new Map<Rows, number>()

  /** Returns the rows that the check returns, or that of an equal state has returned. */
  async once(medium: Medium, allowed: readonly Rows[], begun: number, check: () => Promise<Rows>): Promise<Rows> {
    const key = `${medium.contentKey()} ${begun} ${allowed.map(rows => this.numberOf(rows)).join()}`
    const rows = this.known.get(key) ?? (await check())
    this.known.set(key, rows)
    return rows
  }

  private numberOf(rows: Rows): number {
    const number = this.numbers.get(rows) ?? this.numbers.size
    this.numbers.set(rows, number)
    return number
  }
}

/** Opens the disk after the cut and returns its state; throws if that is not an allowed one. */
async function stateAfter(sim: SimDisk, allowed: readonly Rows[], begun: number, where: string): Promise<Rows> {
  const host = hostOf(sim)
  const reader = await openReader(host)
  const rows = rowsOf(reader)
  await reader.close()
  if (!isOneOf(rows, allowed)) for (const each of allowed) same(rows, each, where)
  const taken = Math.max(begun, ...numbersIn(await host.disk.list(FOLDER)))
  const writer = await openWriter(host)
  same(rowsOf(writer), rows, `${where}, for writing`)
  await writer.verify(new AbortController().signal)
  await writer.removeUnused()
  const left = await host.disk.list(FOLDER)
  assert.deepEqual(numbersIn(left).length, writer.manifest.tables.length, `${where}: leftover files`)
  assert.equal(left.length, writer.manifest.tables.length + 2, `${where}: leftover manifests: ${left.join()}`)
  await writer.close()
  // A process that writes nothing uses no numbers.
  const next = await openWriter(hostOf(sim))
  const model = new Model(new SimRandom(1), false)
  const calls = new CallList({ kind: "create", pathPart: ".table" })
  sim.intercept(calls.intercept)
  await next.commit(model.batch(20))
  sim.intercept(() => undefined)
  const numbers = numbersIn(calls.calls.map(({ path }) => path.slice(FOLDER.length + 1)))
  assert.ok(numbers.length > 0 && Math.min(...numbers) > taken, `${where}: a number was reused`)
  await next.close()
  return rows
}

export interface CrashOptions {
  readonly subsetsMax?: number
  readonly tearsMax?: number
  /** One in this many states is continued, and cut again. */
  readonly deepEvery?: number
}

/** Returns the number of states. Throws for the first that breaks a promise. */
export async function checkCrashes(seed: number, options: CrashOptions = {}): Promise<number> {
  const { subsetsMax = 4, tearsMax = 1, deepEvery = 200 } = options
  const { record, steps } = await new Script(new SimDisk(), seed).play()
  const random = new SimRandom(seed)
  const checked = new CheckedStates()
  const nothing: Rows = new Map()
  let states = 0
  for (const state of crashStates(record, { window: 6, subsetsMax, tearsMax, random })) {
    states += 1
    const what = steps.find(({ doneAt }) => doneAt > state.eventsBefore)?.what ?? "the end"
    const where = `seed ${seed}, event ${state.eventsBefore} (${what}): ${state.what}`
    const allowed = allowedAt(steps, state.eventsBefore, nothing)
    const copy = state.medium.copy()
    const begun = highestBegun(record, state.eventsBefore)
    const check = () => stateAfter(new SimDisk(state.medium), allowed, begun, where)
    const rows = await checked.once(state.medium, allowed, begun, check)
    if (states % deepEvery === 0) states += await cutAgain({ ...state, medium: copy }, rows, begun, seed, where)
  }
  return states
}

/** A second cut, while the store is opened after the first one, and at its first commit. */
async function cutAgain(
  { medium }: CrashState,
  rows: Rows,
  begunBefore: number,
  seed: number,
  where: string,
): Promise<number> {
  const sim = new SimDisk(medium)
  const record = sim.record()
  const writer = await openWriter(hostOf(sim))
  const at = record.events.length
  await writer.removeUnused()
  const batch = new Model(new SimRandom(seed), false).batch(10)
  await writer.commit(batch)
  const steps = [{ what: "commit", at, doneAt: record.events.length, rows: rowsOf(writer) }]
  const checked = new CheckedStates()
  let states = 0
  const random = new SimRandom(seed)
  for (const state of crashStates(record, { window: 6, subsetsMax: 2, tearsMax: 0, random })) {
    states += 1
    const allowed = allowedAt(steps, state.eventsBefore, rows)
    const begun = Math.max(begunBefore, highestBegun(record, state.eventsBefore))
    const again = `${where}, then event ${state.eventsBefore}: ${state.what}`
    const check = () => stateAfter(new SimDisk(state.medium), allowed, begun, again)
    await checked.once(state.medium, allowed, begun, check)
  }
  return states
}

/** A store that lacks a block, a file and both ends of another file, more than parity can rebuild. */
async function spoiledStore(seed: number): Promise<Medium> {
  const { medium, names } = await closedStore(seed)
  const [first = "", second = "", third = ""] = names.filter(name => tableNumberOf(name) !== undefined)
  loseParity(medium, first)
  medium.flipBit(`${FOLDER}/${first}`, 100)
  replace(medium, second, new Uint8Array(100))
  const disk = new SimDisk(medium).boot()
  await disk.remove(`${FOLDER}/${third}`)
  await disk.syncFolder(FOLDER)
  return medium
}

/** Power cuts while rows are given up: after a repetition all readable rows exist. */
export async function checkSalvageCrashes(seed: number): Promise<number> {
  const medium = await spoiledStore(seed)
  const giveUp = (sim: SimDisk) => giveUpLostRows(hostOf(sim), FOLDER, SMALL_LIMITS)
  const whole = new SimDisk(medium.copy())
  const found = await findLostRows(hostOf(whole), FOLDER)
  assert.equal(found.length, 3)
  const record = whole.record()
  assert.deepEqual(await giveUp(whole), found)
  const reader = await openReader(hostOf(whole))
  const rows = rowsOf(reader)
  await reader.close()
  assert.ok(rows.size > 0)
  const allowed = [rows]
  const checked = new CheckedStates()
  let states = 0
  const random = new SimRandom(seed)
  for (const state of crashStates(record, { window: 6, subsetsMax: 2, tearsMax: 1, random })) {
    states += 1
    const begun = highestBegun(record, state.eventsBefore)
    const where = `salvage, seed ${seed}, event ${state.eventsBefore}: ${state.what}`
    await checked.once(state.medium, allowed, begun, async () => {
      const sim = new SimDisk(state.medium)
      const left = await findLostRows(hostOf(sim), FOLDER)
      assert.ok(left.length === 0 || left.length === found.length, `${where}: ${left.length} files are left`)
      const again = new CallList({ kind: "create", pathPart: ".table" })
      sim.intercept(again.intercept)
      await giveUp(sim)
      sim.intercept(() => undefined)
      const numbers = numbersIn(again.calls.map(({ path }) => path.slice(FOLDER.length + 1)))
      assert.ok(Math.min(Infinity, ...numbers) > begun, `${where}: a number was reused`)
      return stateAfter(sim, allowed, Math.max(begun, ...numbers), where)
    })
  }
  return states
}
