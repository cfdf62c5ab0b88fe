/**
 * Store in memory: a sorted tree per family, shared by all who open the same path.
 *
 * Promises  The last commit that returned is all there is, at every moment: a crash of the simulated
 *           machine loses nothing else and keeps nothing more.
 * Limits    Everything is held in memory: for simulation and tests.
 */
import SortedBTree from "sorted-btree"
import { assert } from "../../assert.js"
import type { Family } from "../../rows/families.js"
import type { RowKey } from "../../ids.js"
import type { RowVisitor } from "../../rows/row-scan.js"
import type { KeyRange, Merging, StoreReader, Stores, StoreWrite, StoreWriter } from "./contract.js"
import { assertWrite } from "./contract.js"
import { RowSums, verifySums } from "./testing-row-sums.js"

type Tree = SortedBTree.default<RowKey, Uint8Array>
type Trees = ReadonlyMap<Family, Tree>

interface Dropped {
  readonly family: Family
  readonly key: RowKey
  readonly value: Uint8Array
}

interface Base {
  /** Replaced whole by each commit; what is reachable from here never changes. */
  trees: Trees
  generation: number
  /** Values that were replaced or deleted, to be told with the next merge. */
  dropped: Dropped[]
  sums: RowSums
}

interface MemoryStoreFaults {
  /** Called before each commit takes effect; what it throws is thrown by the commit, and nothing has changed. */
  beforeCommit?(path: string): Promise<void> | void
}

/** All stores of one simulated world, by path. They outlive their readers and writers. */
export class MemoryStores implements Stores {
  private readonly bases = new Map<string, Base>()
  constructor(private readonly faults: MemoryStoreFaults = {}) {}

  /** Stores that hold what these hold now. */
  copy(): MemoryStores {
    const copy = new MemoryStores(this.faults)
    for (const [path, base] of this.bases) copy.bases.set(path, { ...base, dropped: [...base.dropped] })
    return copy
  }

  /**
   * Changes rows as a rotten disk does: nobody wrote it, and no sum tells of it. With `isRecorded` sums agree, as if a
   * program had made a mistake. Readers see it after their next `adopt`, those that open the store later at once.
   */
  damage(path: string, writes: readonly StoreWrite[], { isRecorded = false } = {}): void {
    const base = this.baseOf(path)
    const sums = base.sums.copy()
    base.trees = changedTrees(base.trees, writes, ({ family, key, value }, before) =>
      sums.replace(family, key, before, value),
    )
    if (isRecorded) base.sums = sums
  }

  /** Moves everything below one folder to another. */
  move(from: string, to: string): void {
    for (const [path, base] of [...this.bases]) {
      if (!path.startsWith(`${from}/`)) continue
      this.bases.delete(path)
      this.bases.set(to + path.slice(from.length), base)
    }
  }

  async openReader(path: string): Promise<StoreReader> {
    return new MemoryReader(path, this.baseOf(path))
  }

  async openWriter(path: string): Promise<StoreWriter> {
    return new MemoryWriter(path, this.baseOf(path), async () => this.faults.beforeCommit?.(path))
  }

  holdsPlain(): Promise<boolean> {
    return Promise.resolve(false)
  }

  async discard(path: string): Promise<void> {
    this.bases.delete(path)
  }

  private baseOf(path: string): Base {
    const base = this.bases.get(path) ?? { trees: new Map(), sums: new RowSums(), generation: 0, dropped: [] }
    this.bases.set(path, base)
    return base
  }
}

class MemoryReader implements StoreReader {
  private seen: Trees
  private closed = false
  generation: number

  constructor(
    private readonly path: string,
    protected readonly base: Base,
  ) {
    this.seen = base.trees
    this.generation = base.generation
  }

  get(family: Family, key: RowKey): Uint8Array | undefined {
    this.assertOpen()
    return this.seen.get(family)?.get(key)?.slice()
  }

  range(family: Family, range: KeyRange): Iterable<readonly [RowKey, Uint8Array]> {
    this.assertOpen()
    const tree = this.seen.get(family)
    if (tree === undefined || range.start >= range.end) return []
    return range.reverse ? backward(tree, range) : forward(tree, range)
  }

  scan(family: Family, { start, end }: KeyRange, visitor: RowVisitor): void {
    for (const [key, value] of this.range(family, { start, end })) {
      // In memory of its own, as rows of a real store: the visitor may use `visitRow` for others meanwhile.
      const row = Buffer.concat([Buffer.from(key, "latin1"), value])
      if (!visitor.row(row, 0, key.length, row.length)) return
    }
  }

  async warm(): Promise<void> {
    this.assertOpen()
  }

  async verify(signal: AbortSignal): Promise<void> {
    this.assertOpen()
    const { trees, sums } = this.base
    await verifySums(
      this.path,
      family => trees.get(family)?.entries() ?? [],
      sums,
      () => Promise.resolve(),
      signal,
    )
  }

  async prepare(): Promise<void> {
    this.assertOpen()
  }

  adopt(): void {
    this.assertOpen()
    this.seen = this.base.trees
    this.generation = this.base.generation
  }

  async close(): Promise<void> {
    this.closed = true
  }

  protected assertOpen(): void {
    assert(!this.closed, "the store is open")
  }
}

function* forward(tree: Tree, { start, end }: KeyRange): Generator<readonly [RowKey, Uint8Array]> {
  for (const [key, value] of tree.entries(start)) {
    if (key >= end) return
    yield [key, value.slice()]
  }
}

function* backward(tree: Tree, { start, end }: KeyRange): Generator<readonly [RowKey, Uint8Array]> {
  for (const [key, value] of tree.entriesReversed(end, undefined, true)) {
    if (key < start) return
    yield [key, value.slice()]
  }
}

class MemoryWriter extends MemoryReader implements StoreWriter {
  constructor(
    path: string,
    base: Base,
    private readonly beforeCommit: () => Promise<void>,
  ) {
    super(path, base)
  }

  async commit(writes: Iterable<StoreWrite>): Promise<void> {
    this.assertOpen()
    const all = Array.from(writes, write => {
      assertWrite(write)
      return write
    })
    await this.beforeCommit()
    // From here on at once: another's commit must not come in between.
    const sums = this.base.sums.copy()
    const dropped: Dropped[] = []
    this.base.trees = changedTrees(this.base.trees, all, ({ family, key, value, isOlderCounted }, before) => {
      sums.replace(family, key, before, value)
      // Marks are never merged.
      const isCounted = family === "marks" || isOlderCounted === true
      if (before !== undefined && !isCounted) dropped.push({ family, key, value: before })
    })
    this.base.sums = sums
    this.base.dropped.push(...dropped)
    this.base.generation += 1
    this.adopt()
  }

  readonly isCertain = true
  readonly isCrowded = false

  async merge(merging: Merging): Promise<number | undefined> {
    const rows = [...this.base.dropped]
    if (rows.length === 0) return undefined
    for (const { family, key, value } of rows) merging.dropped(family, key, value)
    await this.commit(merging.marks())
    this.base.dropped.splice(0, rows.length)
    return rows.length
  }

  async removeUnused(): Promise<void> {
    this.assertOpen()
  }
}

type RowChange = (write: StoreWrite, before: Uint8Array | undefined) => void

function changedTrees(trees: Trees, writes: readonly StoreWrite[], onChange: RowChange): Trees {
  const changed = new Map<Family, Tree>()
  for (const write of writes) {
    const { family, key, value } = write
    const tree = changed.get(family) ?? copyOf(trees.get(family))
    changed.set(family, tree)
    onChange(write, tree.get(key))
    if (value === undefined) tree.delete(key)
    else tree.set(key, value.slice())
  }
  return new Map([...trees, ...changed])
}

/** A copy that shares its nodes with the original until one of them is changed. */
const copyOf = (tree: Tree | undefined): Tree => tree?.clone() ?? new SortedBTree.default<RowKey, Uint8Array>()
