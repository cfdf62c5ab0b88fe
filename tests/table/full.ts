/**
 * Disks that are full or fail at any call of a commit or merge: the store is unchanged, or reports that its state
 * is uncertain; no leftover file blocks it, and with space everything works again.
 */
import assert from "node:assert/strict"
import { isFailure } from "@hayloft/base/failures.js"
import { failing, SimDisk, type CallKind, type Medium } from "@hayloft/base/seams/disk/index.js"
import type { StoreWrite } from "@hayloft/base/seams/store/contract.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { tableNumberOf } from "@hayloft/engine/table/manifest-files.js"
import type { TableStoreWriter } from "@hayloft/engine/table/store-writer.js"
import { FOLDER, hostOf, mergeAll, mergingOf, Model, openWriter, rowsOf, same, type Rows } from "./world.js"

/** A store with pending work: the disk, its rows, and the next writes. */
export interface Prepared {
  readonly medium: Medium
  readonly before: Rows
  readonly after: Rows
  readonly run: (writer: TableStoreWriter) => Promise<unknown>
}

/** A store with several levels, and enough runs at the top for a merge. */
async function filled(seed: number): Promise<{ readonly sim: SimDisk; readonly model: Model }> {
  const sim = new SimDisk()
  const model = new Model(new SimRandom(seed), false)
  const writer = await openWriter(hostOf(sim))
  for (let round = 0; round < 4; round += 1) {
    for (let i = 0; i < 3; i += 1) await writer.commit(model.batch(60))
    if (round < 3) await mergeAll(writer, "due")
  }
  await writer.removeUnused()
  await writer.close()
  return { sim, model }
}

export async function preparedCommit(seed: number): Promise<Prepared> {
  const { sim, model } = await filled(seed)
  const before = new Map(model.rows)
  const batch: readonly StoreWrite[] = model.batch(200)
  return { medium: sim.medium, before, after: new Map(model.rows), run: writer => writer.commit(batch) }
}

export async function preparedMerge(seed: number): Promise<Prepared> {
  const { sim, model } = await filled(seed)
  const before = new Map(model.rows)
  const mark = model.mark()
  model.take(mark)
  const run = async (writer: TableStoreWriter): Promise<void> => {
    const rows = await writer.merge(mergingOf("full", undefined, [mark]))
    assert.notEqual(rows, undefined, "there is something to merge")
  }
  return { medium: sim.medium, before, after: new Map(model.rows), run }
}

/** Retries with stepwise more space until it succeeds. Returns the number of failures. */
export async function checkFull({ medium, before, after, run }: Prepared, stepBytes: number): Promise<number> {
  for (let failed = 0; ; failed += 1) {
    const sim = new SimDisk(medium.copy())
    const host = hostOf(sim)
    const writer = await openWriter(host)
    const names = await host.disk.list(FOLDER)
    sim.capacityBytes = sim.medium.usedBytes + failed * stepBytes
    const where = `with ${failed * stepBytes} bytes of space`
    const failure = await run(writer).then(
      () => undefined,
      (error: unknown) => ({ error }),
    )
    if (failure === undefined) {
      same(rowsOf(writer), after, where)
      return failed
    }
    assert.ok(isFailure(failure.error, "deviceFull"), `${where}: ${String(failure.error)}`)
    assert.ok(writer.isCertain, where)
    same(rowsOf(writer), before, where)
    const left = await host.disk.list(FOLDER)
    assert.deepEqual(left.filter(isTable), names.filter(isTable), `${where}: leftover tables`)
    assert.equal(left.length, names.length, `${where}: leftover manifests`)
    same(await reopened(sim), before, `${where}, opened again`)
    sim.capacityBytes = Infinity
    await run(writer)
    same(rowsOf(writer), after, `${where}, and then enough`)
    same(await reopened(sim), after, `${where}, and then enough, opened again`)
  }
}

const isTable = (name: string): boolean => tableNumberOf(name) !== undefined

/** The rows that another process reads. */
async function reopened(sim: SimDisk): Promise<Rows> {
  const writer = await openWriter(hostOf(new SimDisk(sim.medium.copy())))
  await writer.verify(new AbortController().signal)
  return rowsOf(writer)
}

const CALLS: readonly CallKind[] = ["write", "sync", "create", "remove", "syncFolder", "open", "read"]

/** Lets each call fail, alone or with all later ones. Returns the number of calls. */
export async function checkFailures(prepared: Prepared, forEver: boolean): Promise<number> {
  for (let nth = 1; ; nth += 1) {
    const sim = new SimDisk(prepared.medium.copy())
    const writer = await openWriter(hostOf(sim))
    let isHit = false
    const fault = failing({ kind: CALLS, nth, forEver, code: "EIO" })
    sim.intercept(call => {
      try {
        return fault(call)
      } catch (error) {
        isHit = true
        throw error
      }
    })
    const isDone = await prepared.run(writer).then(
      () => true,
      error => {
        assert.ok(isFailure(error, "deviceFailed"), String(error))
        return false
      },
    )
    sim.intercept(() => undefined)
    if (!isHit) return nth - 1
    await checkAfterFailure(sim, writer, prepared, isDone, `call ${nth}${forEver ? " and all others" : ""}`)
  }
}

async function checkAfterFailure(
  sim: SimDisk,
  writer: TableStoreWriter,
  { before, after, run }: Prepared,
  isDone: boolean,
  where: string,
): Promise<void> {
  same(rowsOf(writer), isDone ? after : before, where)
  await writer.removeUnused()
  for (const seed of [1, 2, 3]) {
    const cut = new SimDisk(sim.medium.copy())
    cut.crash(new SimRandom(seed))
    const found = await reopened(cut)
    if (isDone) same(found, after, `${where}, then a cut`)
    else if (writer.isCertain || found.size !== after.size) same(found, before, `${where}, then a cut`)
    else if (!isSame(found, before)) same(found, after, `${where}, then a cut`)
  }
  if (!isDone) await run(writer)
  same(rowsOf(writer), after, `${where}, and again`)
  await writer.removeUnused()
  same(await reopened(sim), after, `${where}, and again, opened again`)
}

const isSame = (a: Rows, b: Rows): boolean =>
  a.size === b.size && [...a].every(([name, value]) => b.get(name) === value)
