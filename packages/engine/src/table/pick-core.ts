/**
 * Merge picks, decided: which rows are merged next. Leveled merging by key ranges (O'Neil et al., "The log-structured
 * merge-tree", 1996; RocksDB's "dynamic level size").
 *
 * Files that cannot be read are left as they are. If they prevent level 0 from being merged down, files that overlap
 * none of them move down one by one, and runs between them become one run, so that the number of runs stays bounded.
 *
 * Level 0 contains runs as checkpoints wrote them. All other levels contain each key at most once. The last level is
 * the largest; each level above it may contain a tenth of the one below. Levels that would contain less than
 * `firstLevelBytesMax` do not exist: level 0 is merged past them. A step merges one range of keys, from its low end on;
 * if it ends within a file, the rows of that file below the end no longer count (`from`).
 */
import type { Manifest, TableEntry } from "../format/tables/table-manifest.js"
import type { MergeUrgency } from "@hayloft/base/seams/store/contract.js"
import type { TableLimits } from "./limits.js"

export interface MergePlan {
  readonly kind: "merge"
  /** From the newest to the oldest. */
  readonly runs: readonly (readonly TableEntry[])[]
  /** Rows of `runs` from this key on stay. Undefined: all rows are merged. */
  readonly upTo: Buffer | undefined
  /** Files of the target level, merged whole. */
  readonly lower: readonly TableEntry[]
  readonly level: number
  /** For level 0: the run that the rows become part of, the newest of the merged runs. */
  readonly run?: number
}

/** A file that overlaps nothing on its way moves to the next level as it is. */
export interface MovePlan {
  readonly kind: "move"
  readonly table: TableEntry
  readonly level: number
}

/** Share of deleted or replacing rows in level 0, or in a file, that is worth a merge when quiet. */
const DEAD_SHARE_QUIET = 0.05
const DEAD_SHARE_FILE = 0.25
/** A smaller file is merged with a neighbour instead of moved, so that files do not become many. */
const MOVED_SHARE_MIN = 0.25

export const firstKeyOf = ({ from, firstKey }: TableEntry): Buffer =>
  from !== undefined && from.compare(firstKey) > 0 ? from : firstKey

export const inKeyOrder = (a: TableEntry, b: TableEntry): number => firstKeyOf(a).compare(firstKeyOf(b))

const sizeOf = (tables: readonly TableEntry[]): number => tables.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
const deadRowsOf = (tables: readonly TableEntry[]): number =>
  tables.reduce((sum, { tombstones, replacing }) => sum + tombstones + replacing, 0)
const rowsOf = (tables: readonly TableEntry[]): number => tables.reduce((sum, { rows }) => sum + rows, 0)

const levelOf = (tables: readonly TableEntry[], level: number): readonly TableEntry[] =>
  tables.filter(table => table.level === level).sort(inKeyOrder)

/** Maximum size of each level; 0 for levels that are to be empty. */
export function levelTargets(tables: readonly TableEntry[], limits: TableLimits): readonly number[] {
  const targets = Array.from({ length: limits.levels + 1 }, () => 0)
  let bytes = sizeOf(levelOf(tables, limits.levels))
  let level = limits.levels
  targets[level] = Infinity
  while (bytes > limits.firstLevelBytesMax && level > 1) {
    level -= 1
    bytes /= limits.levelRatio
    targets[level] = bytes
  }
  return targets
}

/** The level to which rows of a level move next: no level with rows is skipped. */
function levelBelow(tables: readonly TableEntry[], level: number, targets: readonly number[]): number {
  const next = targets.findIndex((target, below) => below > level && target > 0)
  const held = tables.reduce((min, table) => (table.level > level ? Math.min(min, table.level) : min), Infinity)
  return Math.min(next, held)
}

/** The runs of level 0 from the newest to the oldest. */
export function topRuns(tables: readonly TableEntry[]): readonly (readonly TableEntry[])[] {
  const top = levelOf(tables, 0)
  const numbers = [...new Set(top.map(({ run }) => run))].sort((a, b) => b - a)
  return numbers.map(number => top.filter(({ run }) => run === number))
}

/** The next step; undefined if there is nothing to do. `unread`: numbers of files that could not be read lately. */
export function pickMerge(
  { tables, damaged }: Manifest,
  urgency: MergeUrgency,
  limits: TableLimits,
  unread: readonly number[] = [],
): MergePlan | MovePlan | undefined {
  const targets = levelTargets(tables, limits)
  const bad = new Set([...damaged.map(({ file }) => file), ...unread])
  if (isTopDue(tables, urgency, limits)) {
    const level = levelBelow(tables, 0, targets)
    const plan = mergeTop(tables, level, bad, limits)
    if (plan !== undefined && !touches(plan, bad)) return plan
    const around = mergeAround(tables, level, bad, limits) ?? mergeWithinTop(tables, urgency, bad, limits)
    if (around !== undefined) return around
  }
  for (let level = 1; level < limits.levels; level += 1) {
    const files = levelOf(tables, level)
    for (const source of sourcesOf(files, targets[level] ?? 0, urgency, rowsOf(tables))) {
      const plan = mergeDown(tables, source, levelBelow(tables, level, targets), bad, limits)
      if (!touches(plan, bad)) return plan
    }
  }
  return undefined
}

/** Writes a file once more, in its place. */
export const rewriteOf = (entry: TableEntry): MergePlan => ({
  kind: "merge",
  runs: [[entry]],
  upTo: undefined,
  lower: [],
  level: entry.level,
  ...(entry.level === 0 && { run: entry.run }),
})

/** Files that are left as they are until they are repaired, or can be read. */
type BadFiles = ReadonlySet<number>

function touches(plan: MergePlan | MovePlan, files: BadFiles): boolean {
  const tables = plan.kind === "move" ? [plan.table] : [...plan.runs.flat(), ...plan.lower]
  return tables.some(({ number }) => files.has(number))
}

function isTopDue(tables: readonly TableEntry[], urgency: MergeUrgency, limits: TableLimits): boolean {
  const top = levelOf(tables, 0)
  if (top.length === 0) return false
  if (topRuns(tables).length >= limits.topRunsMax || top.some(({ from }) => from !== undefined)) return true
  const dead = deadRowsOf(top)
  if (urgency === "due" || dead === 0) return false
  return urgency === "full" || dead >= DEAD_SHARE_QUIET * rowsOf(tables)
}

/** Files of a level that are to move down, the one that was written first before the others. */
function sourcesOf(
  files: readonly TableEntry[],
  targetBytes: number,
  urgency: MergeUrgency,
  rows: number,
): readonly TableEntry[] {
  const byAge = [...files].sort((a, b) => a.number - b.number)
  if (sizeOf(files) > targetBytes) return byAge
  if (urgency === "due" || deadRowsOf(files) < (urgency === "full" ? 1 : DEAD_SHARE_QUIET * rows)) return []
  return byAge.filter(file => {
    const dead = deadRowsOf([file])
    return urgency === "full" ? dead > 0 : dead >= DEAD_SHARE_FILE * file.rows
  })
}

/**
 * Merges the oldest runs of level 0 into a level. Runs that were written after a merge had begun wait for its end: they
 * still have rows below the place where it continues.
 */
function mergeTop(
  tables: readonly TableEntry[],
  level: number,
  bad: BadFiles,
  limits: TableLimits,
): MergePlan | MovePlan | undefined {
  const all = topRuns(tables)
  const begun = all.flat().flatMap(({ from }) => from ?? [])
  const from = begun.sort((a, b) => a.compare(b))[0]
  const oldest = [...all].reverse()
  const count = oldest.findIndex(run => run.some(table => from !== undefined && firstKeyOf(table).compare(from) < 0))
  const runs = (count < 0 ? oldest : oldest.slice(0, count)).reverse()
  if (runs.length === 0) return undefined
  const below = levelOf(tables, level)
  for (const [i, run] of runs.entries()) {
    const older = [...runs.slice(i + 1).flat(), ...below]
    const table = run.find(each => isMovable(each, older, limits))
    if (table !== undefined) return { kind: "move", table, level }
  }
  return rangePlan(runs, below, undefined, level, bad, limits)
}

/** Returns true if nothing older overlaps the file, and it is large enough to stay as it is. */
const isMovable = (table: TableEntry, older: readonly TableEntry[], limits: TableLimits): boolean =>
  table.from === undefined &&
  table.sizeBytes >= MOVED_SHARE_MIN * limits.tableBytes &&
  !older.some(other => overlap(other, table))

const overlap = (a: TableEntry, b: TableEntry): boolean =>
  a.lastKey.compare(firstKeyOf(b)) >= 0 && firstKeyOf(a).compare(b.lastKey) <= 0

/** Merges one file of level 0 down, the oldest that overlaps neither an older one nor one that cannot be read. */
function mergeAround(
  tables: readonly TableEntry[],
  level: number,
  bad: BadFiles,
  limits: TableLimits,
): MergePlan | MovePlan | undefined {
  const older: TableEntry[] = []
  for (const run of [...topRuns(tables)].reverse()) {
    for (const source of run) {
      if (bad.has(source.number) || older.some(other => overlap(other, source))) continue
      const plan = mergeDown(tables, source, level, bad, limits)
      if (!touches(plan, bad)) return plan
    }
    older.push(...run)
  }
  return undefined
}

/** Merges level 0 runs between runs with unreadable files into the newest of them. */
function mergeWithinTop(
  tables: readonly TableEntry[],
  urgency: MergeUrgency,
  bad: BadFiles,
  limits: TableLimits,
): MergePlan | undefined {
  const stretches: (readonly TableEntry[])[][] = [[]]
  for (const run of topRuns(tables)) {
    if (run.some(({ number }) => bad.has(number))) stretches.push([])
    else stretches.at(-1)?.push(run)
  }
  const runsMin = urgency === "full" ? 2 : limits.topRunsMax
  for (const runs of stretches) {
    const run = runs[0]?.[0]?.run
    if (run === undefined || runs.length < runsMin) continue
    const start = startOfOthers(runs.flat(), run)
    if (start !== undefined) return { ...rangePlan(runs, [], start, 0, bad, limits), run }
  }
  return undefined
}

/** The first key of the files that are not of the run yet, or of the file of the run that it overlaps. */
function startOfOthers(files: readonly TableEntry[], run: number): Buffer | undefined {
  let [start, end]: (Buffer | undefined)[] = []
  for (const file of [...files].sort(inKeyOrder)) {
    if (end === undefined || firstKeyOf(file).compare(end) > 0) start = firstKeyOf(file)
    if (file.run !== run) return start
    end = file.lastKey
  }
  return undefined
}

function mergeDown(
  tables: readonly TableEntry[],
  source: TableEntry,
  level: number,
  bad: BadFiles,
  limits: TableLimits,
): MergePlan | MovePlan {
  const below = levelOf(tables, level)
  if (isMovable(source, below, limits)) return { kind: "move", table: source, level }
  return rangePlan([[source]], below, undefined, level, bad, limits)
}

/** Merges rows of the runs with those of a level, from the lowest key on, as many as one step may. */
function rangePlan(
  runs: readonly (readonly TableEntry[])[],
  below: readonly TableEntry[],
  begun: Buffer | undefined,
  level: number,
  bad: BadFiles,
  limits: TableLimits,
): MergePlan {
  const sources = runs.flat().sort(inKeyOrder)
  const start = begun ?? sources[0]?.from ?? sources[0]?.firstKey
  const highest = sources.reduce<Buffer | undefined>(
    (high, { lastKey }) => (high === undefined || lastKey.compare(high) > 0 ? lastKey : high),
    undefined,
  )
  if (start === undefined || highest === undefined) return { kind: "merge", runs, upTo: undefined, lower: [], level }
  const candidates = below.filter(table => table.lastKey.compare(start) >= 0 && firstKeyOf(table).compare(highest) <= 0)
  const upTo = endOfStep(sources, candidates, start, limits)
  const isIn = (table: TableEntry): boolean =>
    table.lastKey.compare(start) >= 0 && (upTo === undefined || firstKeyOf(table).compare(upTo) < 0)
  const neighbour = smallNeighbour(below, start, bad, limits)
  const lower = [...(neighbour === undefined ? [] : [neighbour]), ...candidates.filter(isIn)]
  const taken = runs.map(run => run.filter(isIn)).filter(run => run.length > 0)
  return { kind: "merge", runs: taken, upTo, lower, level }
}

/** The file right below the start, if it is small enough to be joined with the files written now. */
function smallNeighbour(
  below: readonly TableEntry[],
  start: Buffer,
  bad: BadFiles,
  limits: TableLimits,
): TableEntry | undefined {
  const before = below.filter(({ lastKey }) => lastKey.compare(start) < 0).at(-1)
  if (before === undefined || bad.has(before.number)) return undefined
  return before.sizeBytes < limits.tableBytes / 2 ? before : undefined
}

/**
 * Returns where the step ends: at the first key of a file, so that files of the lower level are merged whole. Undefined:
 * everything fits. The smallest step is made even if it does not fit.
 */
function endOfStep(
  sources: readonly TableEntry[],
  below: readonly TableEntry[],
  start: Buffer,
  limits: TableLimits,
): Buffer | undefined {
  const starts = [...sources, ...below].map(firstKeyOf).filter(key => key.compare(start) > 0)
  let best: Buffer | undefined
  let isSmallest = true
  for (const end of [...starts.sort((a, b) => a.compare(b)), undefined]) {
    if (end !== undefined && isSplitting(below, end)) continue
    if (!isSmallest && !fits(sources, below, end, limits)) return best
    best = end
    isSmallest = false
  }
  return best
}

/** Returns true if one step may merge the files that begin below the end. Files that continue behind it count half. */
function fits(
  sources: readonly TableEntry[],
  below: readonly TableEntry[],
  end: Buffer | undefined,
  limits: TableLimits,
): boolean {
  const isIn = (table: TableEntry): boolean => end === undefined || firstKeyOf(table).compare(end) < 0
  const [upper, lower] = [sources.filter(isIn), below.filter(isIn)]
  const ending = upper.filter(({ lastKey }) => end === undefined || lastKey.compare(end) < 0)
  const bytes = sizeOf(lower) + (sizeOf(upper) + sizeOf(ending)) / 2
  return bytes <= limits.stepBytesMax && lower.length < limits.stepFilesMax
}

/** Returns true if the key is within a file of the lower level. */
const isSplitting = (below: readonly TableEntry[], key: Buffer): boolean =>
  below.some(table => firstKeyOf(table).compare(key) < 0 && table.lastKey.compare(key) >= 0)
