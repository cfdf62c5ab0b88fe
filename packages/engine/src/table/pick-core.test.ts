/**
 * Merge picks: the policy by example, and as a property of random stores whose merges are played on plain lists of
 * rows.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { seedsOf } from "@hayloft/base/testing-seed.js"
import { RowSum } from "../format/tables/row-sum.js"
import { EMPTY_MANIFEST, type Manifest, type TableEntry } from "../format/tables/table-manifest.js"
import type { MergeUrgency } from "@hayloft/base/seams/store/contract.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { TABLE_LIMITS, type TableLimits } from "./limits.js"
import { firstKeyOf, levelTargets, pickMerge, topRuns, type MergePlan, type MovePlan } from "./pick-core.js"

const LIMITS: TableLimits = {
  ...TABLE_LIMITS,
  tableBytes: 100,
  firstLevelBytesMax: 1000,
  topRunsMax: 3,
  stepBytesMax: 600,
  stepFilesMax: 4,
}
const URGENCIES = ["due", "quiet", "full"] as const

const keyOf = (key: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(key)
  return bytes
}

type Details = Partial<Omit<TableEntry, "from">> & { readonly from?: number }

/** A file of rows from one key to another, of 100 bytes by default. */
function file(number: number, level: number, first: number, last: number, details: Details = {}): TableEntry {
  const { from, ...others } = details
  return {
    number,
    level,
    run: number,
    sizeBytes: 100,
    rows: 10,
    tombstones: 0,
    replacing: 0,
    footerHash: "",
    firstKey: keyOf(first),
    lastKey: keyOf(last),
    merged: { rows: 0, sum: new RowSum() },
    ...others,
    from: from === undefined ? undefined : keyOf(from),
  }
}

const pick = (tables: readonly TableEntry[], urgency: MergeUrgency = "due", more: Partial<Manifest> = {}) =>
  pickMerge({ ...EMPTY_MANIFEST, ...more, tables }, urgency, LIMITS)

function merged(plan: MergePlan | MovePlan | undefined) {
  assert.equal(plan?.kind, "merge")
  return {
    runs: plan.runs.map(run => run.map(({ number }) => number)),
    lower: plan.lower.map(({ number }) => number),
    upTo: plan.upTo?.readUInt32BE(0),
    level: plan.level,
  }
}

test("runs wait at the top until there are enough of them", () => {
  const [oldest, middle, newest] = [1, 2, 3].map(number => file(number, 0, 0, 9, { sizeBytes: 20 }))
  const runs = [middle, newest, oldest].flatMap(each => each ?? [])
  assert.equal(pick(runs.slice(1)), undefined)
  assert.deepEqual(merged(pick(runs)), { runs: [[3], [2], [1]], lower: [], upTo: undefined, level: 6 })
})

test("level 0 is merged past levels that would contain little, and never past one with rows", () => {
  const big = Array.from({ length: 20 }, (_, i) => file(i + 1, 6, 100 * i, 100 * i + 99))
  assert.deepEqual(levelTargets(big, LIMITS), [0, 0, 0, 0, 0, 200, Infinity])
  const top = [31, 32, 33].map(number => file(number, 0, 0, 1999))
  assert.equal(pick([...big, ...top])?.level, 5)
  const small = big.slice(0, 5)
  assert.equal(pick([...small, ...top])?.level, 6)
  assert.equal(pick([...small, file(30, 4, 50, 60), ...top])?.level, 4)
})

test("several levels hold a tenth of the next each", () => {
  const huge = [file(1, 6, 0, 9, { sizeBytes: 150_000 })]
  assert.deepEqual(levelTargets(huge, LIMITS), [0, 0, 0, 150, 1500, 15_000, Infinity])
})

test("the oldest file of a level above its limit moves to the next", () => {
  const last = file(1, 6, 0, 999, { sizeBytes: 2000 })
  const above = [file(4, 5, 0, 99), file(2, 5, 500, 599), file(3, 5, 200, 299)]
  assert.deepEqual(merged(pick([last, ...above])), { runs: [[2]], lower: [1], upTo: undefined, level: 6 })
  assert.equal(pick([last, ...above.slice(0, 2)]), undefined)
  // A level that is to be empty moves all of its files.
  assert.deepEqual(merged(pick([file(9, 6, 0, 999), file(8, 5, 0, 99)])).runs, [[8]])
})

test("growth in key order is moved, not merged", () => {
  const plan = pick([file(1, 6, 0, 99), file(2, 0, 100, 199), file(3, 0, 200, 299), file(4, 0, 300, 399)])
  assert.deepEqual(plan?.kind === "move" && [plan.table.number, plan.level], [4, 6])
  const down = pick([file(1, 6, 0, 99), file(2, 5, 100, 199)])
  assert.deepEqual(down?.kind === "move" && [down.table.number, down.level], [2, 6])
})

test("a file is not moved past an older one with the same keys, nor if it is small", () => {
  const overlapping = [file(1, 0, 0, 199), file(2, 0, 100, 199), file(3, 0, 150, 250)]
  const plan = pick(overlapping)
  assert.deepEqual(plan?.kind === "move" && plan.table.number, 1)
  const small = overlapping.map(table => ({ ...table, sizeBytes: 20 }))
  assert.deepEqual(merged(pick(small)).runs, [[3], [2], [1]])
})

test("a small file at the end is merged with the files that follow it", () => {
  const small = file(1, 6, 0, 49, { sizeBytes: 10 })
  const runs = [2, 3, 4].map(number => file(number, 0, 100, 199, { sizeBytes: 20 }))
  assert.deepEqual(merged(pick([small, ...runs])).lower, [1])
  const damaged = [{ from: keyOf(0), to: keyOf(49), file: 1, reason: "" }]
  assert.deepEqual(merged(pick([small, ...runs], "due", { damaged })).lower, [], "a damaged one is left out")
})

test("a step merges no more than it may, ends between files, and is continued", () => {
  const below = Array.from({ length: 9 }, (_, i) => file(i + 1, 6, 100 * i, 100 * i + 99))
  const runs = [11, 12, 13].map(number => file(number, 0, 10, 890, { sizeBytes: 50 }))
  const first = merged(pick([...below, ...runs]))
  assert.deepEqual(first, { runs: [[13], [12], [11]], lower: [1, 2, 3], upTo: 300, level: 6 })
  // Two have been merged up to 300; the fourth was added meanwhile, and has rows below that.
  const trimmed = [11, 12, 13].map(number => file(number, 0, 10, 890, { sizeBytes: 50, from: 300 }))
  const late = file(14, 0, 0, 890)
  const second = merged(pick([...below, ...trimmed, late]))
  assert.deepEqual(second, { runs: [[13], [12], [11]], lower: [4, 5, 6], upTo: 600, level: 6 })
})

test("a begun merge continues although too few runs remain to begin one", () => {
  const tables = [file(1, 6, 0, 99), file(2, 0, 0, 200, { from: 50 })]
  assert.deepEqual(merged(pick(tables)).runs, [[2]])
})

test("the smallest step is made even if it is above the limit", () => {
  const below = [file(1, 6, 0, 99, { sizeBytes: 900 }), file(2, 6, 100, 199)]
  const runs = [3, 4, 5].map(number => file(number, 0, 0, 199))
  assert.deepEqual(merged(pick([...below, ...runs])), { runs: [[5], [4], [3]], lower: [1], upTo: 100, level: 6 })
})

test("steps without files below are limited too", () => {
  const runOf = (run: number): TableEntry[] =>
    Array.from({ length: 20 }, (_, i) => file(100 * run + i, 0, 100 * i + run, 100 * i + 99, { run, sizeBytes: 20 }))
  const files = [1, 2, 3].flatMap(runOf)
  const { upTo = Infinity } = merged(pick(files))
  const ending = files.filter(({ lastKey }) => lastKey.readUInt32BE(0) < upTo)
  assert.ok(ending.length > 20 && 20 * ending.length <= LIMITS.stepBytesMax, `${ending.length} files`)
})

test("deleted and replaced rows are a reason to merge when it is quiet, and any when the disk is full", () => {
  const last = file(1, 6, 0, 99, { rows: 1000 })
  const few = file(2, 0, 0, 99, { tombstones: 1 })
  const many = file(2, 0, 0, 99, { tombstones: 30, replacing: 30 })
  const reasons = [few, many].map(run => URGENCIES.map(urgency => pick([last, run], urgency) !== undefined))
  assert.deepEqual(reasons, [
    [false, false, true],
    [false, true, true],
  ])
  const big = file(1, 6, 0, 99, { rows: 1000, sizeBytes: 5000 })
  const lower = [few, many].map(table =>
    URGENCIES.map(urgency => pick([big, { ...table, level: 5, rows: 100 }], urgency) !== undefined),
  )
  assert.deepEqual(lower, reasons)
  assert.equal(pick([last, file(2, 0, 0, 99)], "full"), undefined, "nothing is dead")
})

test("damaged files are left where they are, and others are merged", () => {
  const damaged = [{ from: keyOf(0), to: keyOf(9), file: 1, reason: "" }]
  const runs = [3, 4, 5].map(number => file(number, 0, 0, 199))
  assert.equal(pick([file(1, 6, 0, 99), ...runs.slice(2)], "full", { damaged }), undefined)
  const above = [file(6, 5, 0, 99), file(7, 5, 200, 299)]
  const tables = [file(1, 6, 0, 99), file(2, 6, 200, 299), ...above, ...runs]
  assert.deepEqual(merged(pick([file(1, 6, 0, 99), file(2, 6, 200, 299), ...above], "due", { damaged })).runs, [[7]])
  assert.deepEqual(merged(pick(tables, "due", { damaged: [{ ...must(damaged[0], "one"), file: 3 }] })).runs, [[6]])
  assert.deepEqual(merged(pickMerge({ ...EMPTY_MANIFEST, tables }, "due", LIMITS, [3])).runs, [[6]], "or unread")
})

test("around damage, level 0 files that overlap none of it move down, and runs between it become one", () => {
  const runs = [3, 4, 5].map(number => file(number, 0, 0, 199))
  const stays = { from: keyOf(0), to: keyOf(9), reason: "" }
  // The file below is damaged: files beside it move down, those above it become one run.
  const below = [file(1, 6, 0, 99), file(2, 6, 200, 299)]
  const beside = file(9, 0, 210, 290, { run: 5 })
  const damagedBelow = { damaged: [{ ...stays, file: 1 }] }
  const down = { runs: [[9]], lower: [2], upTo: undefined, level: 6 }
  assert.deepEqual(merged(pick([...below, ...runs, beside], "due", damagedBelow)), down)
  const one = pick([...below, ...runs], "due", damagedBelow)
  assert.deepEqual(merged(one), { runs: [[5], [4], [3]], lower: [], upTo: undefined, level: 0 })
  assert.deepEqual(one?.kind === "merge" && one.run, 5, "older than the runs to come")
  // A run is damaged: older ones move down, newer ones do not pass it.
  const damagedRun = { damaged: [{ ...stays, file: 4 }] }
  assert.deepEqual(merged(pick([...below, ...runs], "due", damagedRun)).runs, [[3]])
  assert.equal(pick([...below, ...runs.slice(1)], "full", damagedRun), undefined)
  const newer = [6, 7].map(number => file(number, 0, 50, 99))
  assert.deepEqual(merged(pick([...runs.slice(1), ...newer], "due", damagedRun)).runs, [[7], [6], [5]])
})

test("a file whose rows count from behind a gap is not merged with rows before the gap", () => {
  // Another file has moved into the gap: a file with rows of both sides would overlap it.
  const continued = file(2, 5, 297, 396, { from: 394 })
  const below = [file(1, 5, 292, 328), continued, file(3, 5, 356, 375)]
  const runs = [4, 5, 6].map(number => file(number, 0, 298, 326))
  assert.deepEqual(merged(pick([...below, ...runs])).lower, [1])
})

test("a merge of older runs begins with their rows, wherever a newer run continues", () => {
  const older = file(2, 0, 276, 344, { from: 343, sizeBytes: 2 * LIMITS.stepBytesMax })
  const newer = [file(3, 0, 264, 378, { from: 328 }), file(4, 0, 127, 136, { run: 3 })]
  assert.deepEqual(merged(pick([file(1, 5, 317, 342), older, ...newer])).runs, [[2]])
})

// --- random stores ---------------------------------------------------------------------------------------------

/** A file, and its content: the version of each key. */
interface PlayedFile {
  readonly entry: TableEntry
  readonly rows: ReadonlyMap<number, number>
}

const ROW_BYTES = 10
const KEYS = 300

class PlayedStore {
  files: PlayedFile[] = []
  private number = 0
  private version = 0

  /** Numbers of files that cannot be read. */
  readonly bad = new Set<number>()

  get manifest(): Manifest {
    const damaged = [...this.bad].map(number => ({ from: keyOf(0), to: keyOf(0), file: number, reason: "" }))
    return { ...EMPTY_MANIFEST, tables: this.files.map(({ entry }) => entry), damaged }
  }

  spoil(random: SimRandom): void {
    const file = this.files[random.below(this.files.length)]
    if (file !== undefined) this.bad.add(file.entry.number)
  }

  repair(): void {
    this.bad.clear()
  }

  /** Each stretch of runs between damaged ones may be as long as the top may be, except one. */
  get runsMax(): number {
    const damaged = topRuns(this.manifest.tables).filter(run => run.some(({ number }) => this.bad.has(number))).length
    return (damaged + 1) * (LIMITS.topRunsMax - 1) + damaged
  }

  /** Files of at most `tableBytes`, as a run or as a part of a level. */
  private write(level: number, rows: ReadonlyMap<number, number>, run = this.number + 1): void {
    const sorted = [...rows].sort(([a], [b]) => a - b)
    const perFile = LIMITS.tableBytes / ROW_BYTES
    for (let at = 0; at < sorted.length; at += perFile) {
      const part = sorted.slice(at, at + perFile)
      this.number += 1
      const [first, last] = [must(part[0], "rows"), must(part.at(-1), "rows")]
      const replacing = part.filter(([key]) => this.files.some(below => isBelow(below, level) && below.rows.has(key)))
      const details = { run, rows: part.length, sizeBytes: ROW_BYTES * part.length, replacing: replacing.length }
      this.files.push({ entry: file(this.number, level, first[0], last[0], details), rows: new Map(part) })
    }
  }

  commit(keys: readonly number[]): void {
    this.version += 1
    this.write(0, new Map(keys.map(key => [key, this.version])))
  }

  apply(plan: MergePlan | MovePlan): void {
    const numberOf = ({ number }: TableEntry): number => number
    const touched = plan.kind === "move" ? [plan.table] : [...plan.runs.flat(), ...plan.lower]
    assert.ok(!touched.some(({ number }) => this.bad.has(number)), "a file is merged that cannot be read")
    if (plan.kind === "move") {
      const moved = (it: PlayedFile): PlayedFile =>
        it.entry === plan.table ? { ...it, entry: { ...it.entry, level: plan.level } } : it
      this.files = this.files.map(moved)
      return
    }
    const upTo = plan.upTo?.readUInt32BE(0) ?? Infinity
    const [sources, lower] = [new Set(plan.runs.flat().map(numberOf)), new Set(plan.lower.map(numberOf))]
    const rows = new Map<number, number>()
    // From the oldest to the newest: the last one counts.
    for (const number of [...plan.lower, ...[...plan.runs].reverse().flat()].map(numberOf)) {
      const found = must(
        this.files.find(({ entry }) => entry.number === number),
        "the plan names files of the store",
      )
      const end = lower.has(number) ? Infinity : upTo
      for (const [key, version] of shownRows(found)) if (key < end) rows.set(key, version)
    }
    this.files = this.files.flatMap(it => {
      if (lower.has(it.entry.number)) return []
      if (!sources.has(it.entry.number)) return [it]
      const isOver = [...it.rows.keys()].every(key => key < upTo)
      return isOver ? [] : [{ ...it, entry: { ...it.entry, from: plan.upTo } }]
    })
    this.write(plan.level, rows, plan.run)
  }

  /** The result of reads: for each key the version in the newest file that has it. */
  shown(): Map<number, number> {
    const shown = new Map<number, number>()
    for (const files of this.inAge()) {
      for (const each of files)
        for (const [key, version] of shownRows(each)) if (!shown.has(key)) shown.set(key, version)
    }
    return shown
  }

  /** Files that do not overlap, from the newest to the oldest. */
  inAge(): PlayedFile[][] {
    const { tables } = this.manifest
    const levels = [1, 2, 3, 4, 5, 6].map(level => tables.filter(table => table.level === level))
    return [...topRuns(tables), ...levels].map(group => this.files.filter(({ entry }) => group.includes(entry)))
  }

  check(where: string): void {
    const seen = new Map<number, number>()
    for (const group of this.inAge()) {
      const inOrder = [...group].sort((a, b) => firstKeyOf(a.entry).compare(firstKeyOf(b.entry)))
      for (const [i, { entry }] of inOrder.entries()) {
        const before = inOrder[i - 1]?.entry
        assert.ok(before === undefined || before.lastKey.compare(firstKeyOf(entry)) < 0, `${where}: files overlap`)
      }
      for (const each of group) {
        for (const [key, version] of shownRows(each)) {
          assert.ok(version < (seen.get(key) ?? Infinity), `${where}: ${key} has an older version above a newer one`)
          seen.set(key, version)
        }
      }
    }
  }
}

const isBelow = ({ entry }: PlayedFile, level: number): boolean => entry.level > level || level === 0

const shownRows = ({ entry, rows }: PlayedFile): (readonly [number, number])[] => {
  const from = entry.from?.readUInt32BE(0) ?? 0
  return [...rows].filter(([key]) => key >= from)
}

test("merges end, lose nothing, and keep newer versions above older ones", () => {
  let [merges, moves, splits] = [0, 0, 0]
  const seeds = seedsOf(60)
  for (const seed of seeds) {
    const random = new SimRandom(seed)
    const store = new PlayedStore()
    for (let commit = 0; commit < 30; commit += 1) {
      const [from, width] = [random.below(KEYS), 1 + random.below(seed % 3 === 0 ? 40 : KEYS)]
      const growing = KEYS + 40 * commit
      const keyAt = (): number => (seed % 4 === 0 ? growing + random.below(40) : from + random.below(width))
      store.commit(Array.from({ length: 1 + random.below(60) }, keyAt))
      const expected = store.shown()
      const urgency = URGENCIES[random.below(3)] ?? "due"
      // Sometimes a commit precedes the end of the merge.
      const stepsMax = random.below(3) === 0 ? 1 : 500
      for (let step = 1; ; step += 1) {
        const where = `seed ${seed}, commit ${commit}, step ${step}`
        const plan = pickMerge(store.manifest, urgency, LIMITS)
        if (plan === undefined || step > stepsMax) {
          assert.ok(plan === undefined || stepsMax === 1, `${where}: merges do not end`)
          break
        }
        if (plan.kind === "merge") {
          merges += 1
          if (plan.upTo !== undefined) splits += 1
          const files = plan.lower.length
          assert.ok(files <= LIMITS.stepFilesMax, `${where}: ${files} files`)
          assert.ok(plan.runs.length > 0, `${where}: a merge of nothing`)
        } else moves += 1
        store.apply(plan)
        store.check(where)
        assert.deepEqual(store.shown(), expected, where)
      }
      if (urgency === "due" && stepsMax > 1) assert.ok(topRuns(store.manifest.tables).length < LIMITS.topRunsMax)
    }
  }
  const { length } = seeds
  assert.ok(
    merges > 20 * length && moves > 20 * length && splits > 4 * length,
    `${merges} merges, ${moves} moves, ${splits} split`,
  )
})

test("around damage merges end, lose nothing, and bound the number of runs; after repair, all rows are as before", () => {
  let [within, down] = [0, 0]
  const seeds = seedsOf(25)
  for (const seed of seeds) {
    const random = new SimRandom(seed)
    const store = new PlayedStore()
    for (let commit = 0; commit < 40; commit += 1) {
      const [from, width] = [random.below(KEYS), 1 + random.below(seed % 3 === 0 ? 40 : KEYS)]
      store.commit(Array.from({ length: 1 + random.below(60) }, () => from + random.below(width)))
      if (store.bad.size < 3 && random.below(8) === 0) store.spoil(random)
      if (commit === 30) store.repair()
      const expected = store.shown()
      const urgency = URGENCIES[random.below(3)] ?? "due"
      const stepsMax = random.below(3) === 0 ? 1 : 500
      for (let step = 1; ; step += 1) {
        const where = `seed ${seed}, commit ${commit}, step ${step}`
        const plan = pickMerge(store.manifest, urgency, LIMITS)
        if (plan === undefined || step > stepsMax) {
          assert.ok(plan === undefined || stepsMax === 1, `${where}: merges do not end`)
          break
        }
        if (plan.kind === "merge" && plan.level === 0) within += 1
        else if (store.bad.size > 0) down += 1
        store.apply(plan)
        store.check(where)
        assert.deepEqual(store.shown(), expected, where)
      }
      if (stepsMax === 1) continue
      const runs = topRuns(store.manifest.tables).length
      assert.ok(runs <= store.runsMax, `seed ${seed}, commit ${commit}: ${runs} runs, ${store.bad.size} bad files`)
    }
  }
  const { length } = seeds
  assert.ok(
    within > 2 * length && down > 20 * length,
    `${within} merges of runs with each other, ${down} others around damage`,
  )
})

test("a full disk leaves one version of each row", () => {
  for (const seed of seedsOf(20)) {
    const random = new SimRandom(seed)
    const store = new PlayedStore()
    for (let commit = 0; commit < 12; commit += 1) store.commit(Array.from({ length: 40 }, () => random.below(KEYS)))
    const expected = store.shown()
    for (let plan = pickMerge(store.manifest, "full", LIMITS); plan; plan = pickMerge(store.manifest, "full", LIMITS)) {
      store.apply(plan)
    }
    const versions = store.files.reduce((sum, each) => sum + shownRows(each).length, 0)
    assert.equal(versions, expected.size, `seed ${seed}`)
    assert.deepEqual(store.shown(), expected)
  }
})
