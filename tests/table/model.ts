/** Compares a table store under random commits and merges with a sorted map; readers follow at random moments. */
import assert from "node:assert/strict"
import { withRows } from "@hayloft/base/rows/rows-needed.js"
import { rowKeyOf } from "@hayloft/base/ids.js"
import { CallList, SimDisk } from "@hayloft/base/seams/disk/index.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { tableNumberOf } from "@hayloft/engine/table/manifest-files.js"
import type { TableReader } from "@hayloft/engine/table/store-reader.js"
import type { TableStoreWriter } from "@hayloft/engine/table/store-writer.js"
import {
  compare,
  FAMILIES_USED,
  hostOf,
  levelsOf,
  mergeAll,
  mergingOf,
  Model,
  openReader,
  openWriter,
} from "./world.js"
import { FOLDER, rowsOf, same, URGENCIES, type OpenOptions, type Rows } from "./world.js"

const STEPS = 50
const ROWS_MAX = 50
const PLENTY = 1 << 20

const READERS: readonly OpenOptions[] = [
  { syncBytesMax: Infinity, cacheBytes: 4000 },
  { syncBytesMax: 0, cacheBytes: 4000 },
  { syncBytesMax: 0, cacheBytes: PLENTY },
]

/** A reader, and the rows of its generation. */
interface Follower {
  readonly reader: TableReader
  readonly options: OpenOptions
  rows: Rows
}

export interface ModelOutcome {
  readonly levels: number
  readonly reported: number
  readonly merges: number
}

/** Throws if the store differs from the model. */
export async function checkModel(seed: number, steps = STEPS): Promise<ModelOutcome> {
  const run = new ModelRun(seed)
  await run.begin()
  for (let step = 0; step < steps; step += 1) await run.step(`seed ${seed}, step ${step}`)
  return run.end()
}

class ModelRun {
  private readonly random: Random
  private readonly sim = new SimDisk()
  private readonly host = hostOf(this.sim)
  private readonly model: Model
  private readonly followers: Follower[] = []
  private writer: TableStoreWriter | undefined
  private levels = 0
  private merges = 0

  constructor(private readonly seed: number) {
    this.random = new SimRandom(seed)
    this.model = new Model(this.random.fork("model"), seed % 2 === 0)
  }

  async begin(): Promise<void> {
    this.writer = await openWriter(this.host)
    for (const options of READERS) {
      this.followers.push({ reader: await openReader(this.host, options), options, rows: new Map() })
    }
  }

  private get store(): TableStoreWriter {
    assert.ok(this.writer, "the run has begun")
    return this.writer
  }

  async step(where: string): Promise<void> {
    const { random, model } = this
    await this.store.commit(model.batch(ROWS_MAX))
    for (let merges = random.below(4); merges > 0; merges -= 1) await this.merge()
    this.levels = Math.max(this.levels, levelsOf(this.store).size)
    compare(this.store, model.rows, random, model, `${where}, writer`)
    for (const follower of this.followers) {
      await this.checkFiles(follower, where)
      if (random.below(2) === 0) await this.follow(follower)
      await this.compareWith(follower, where)
    }
    if (random.below(3) === 0) await this.removeUnused(where)
    if (random.below(15) === 0) await this.reopen()
  }

  /** Files of a reader's generation stay on the disk: the reader may reopen them. */
  private async checkFiles({ reader }: Follower, where: string): Promise<void> {
    const names = await this.host.disk.list(FOLDER)
    for (const { number } of reader.manifest.tables) {
      assert.ok(
        names.some(name => tableNumberOf(name) === number),
        `${where}: a file in use was removed`,
      )
    }
  }

  private async merge(): Promise<void> {
    const { random, model } = this
    const marks = random.below(3) === 0 ? [model.mark()] : []
    const rows = await this.store.merge(mergingOf(URGENCIES[random.below(3)] ?? "due", model.dropped, marks))
    if (rows === undefined) return
    this.merges += 1
    for (const mark of marks) model.take(mark)
  }

  private async follow(follower: Follower): Promise<void> {
    await follower.reader.prepare()
    same(rowsOf(follower.reader), follower.rows, "prepared rows are not visible")
    follower.reader.adopt()
    assert.equal(follower.reader.generation, this.store.generation)
    follower.rows = new Map(this.model.rows)
  }

  private async compareWith({ reader, options, rows }: Follower, where: string): Promise<void> {
    const { random, model } = this
    const { syncBytesMax, cacheBytes } = options
    const name = `${where}, reader ${syncBytesMax} ${cacheBytes}`
    // A decision reads again from the beginning, so it must not use random values.
    await withRows(() =>
      compare(reader, rows, new SimRandom(this.seed), new Model(new SimRandom(this.seed), false), name),
    )
    if (syncBytesMax !== 0 || cacheBytes !== PLENTY) return
    const keys = Array.from({ length: 20 }, () => rowKeyOf(model.key()))
    const calls = new CallList({ kind: "readSync" })
    this.sim.intercept(calls.intercept)
    const family = FAMILIES_USED[random.below(FAMILIES_USED.length)] ?? "current"
    await reader.warm(family, keys)
    for (const key of keys) reader.get(family, key)
    assert.deepEqual(calls.calls, [], `${name}: cached rows are read without disk calls`)
    assert.equal(reader.warm(family, keys), undefined)
    this.sim.intercept(() => undefined)
  }

  private async removeUnused(where: string): Promise<void> {
    for (const follower of this.followers) await this.follow(follower)
    await this.store.removeUnused()
    const tables = (await this.host.disk.list(FOLDER)).filter(name => name.endsWith(".table"))
    assert.equal(tables.length, this.store.manifest.tables.length, `${where}: leftover files`)
    for (const follower of this.followers) await this.compareWith(follower, `${where}, files removed`)
  }

  private async reopen(): Promise<void> {
    await this.store.close()
    this.writer = await openWriter(this.host)
  }

  async end(): Promise<ModelOutcome> {
    const { model, random, merges, levels } = this
    await mergeAll(this.store, "full", model.dropped)
    assert.deepEqual([...model.unreported], [], `seed ${this.seed}: replaced or deleted values were never reported`)
    compare(this.store, model.rows, random, model, `seed ${this.seed}, in the end`)
    await this.removeUnused(`seed ${this.seed}, in the end`)
    for (const { reader } of this.followers) await reader.verify(new AbortController().signal)
    await this.store.verify(new AbortController().signal)
    for (const store of [this.store, ...this.followers.map(({ reader }) => reader)]) await store.close()
    return { reported: model.reported, merges, levels }
  }
}
