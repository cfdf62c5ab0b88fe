/**
 * Last changes: for each group of rows the position at which one of them changed last, in memory that all threads of a
 * process share. The engine thread notes a change in the turn in which queries see it, so before anything that depends on it
 * leaves that thread.
 *
 * Promises  `haveChanged` never misses a change, and may report one that did not happen, since rows share groups. A thread that
 *           has read a position finds all changes up to it.
 * Limits    GROUPS: rows whose keys fall into one group seem to change together.
 */
import { fnv1a } from "@hayloft/base/fnv.js"
import { parsePosition, type Position, type RowKey } from "@hayloft/base/ids.js"
import type { EntryWrite } from "../format/device/entry.js"
import type { Metadata } from "../metadata/index.js"

/** Half a MiB. A group is changed by one in so many writes. */
const GROUPS = 65_536
/** Cells before those of the groups: the position of the metadata, and its generation. */
const [POSITION, GENERATION, FIRST_GROUP] = [0, 1, 2]
const CELL_BYTES = BigInt64Array.BYTES_PER_ELEMENT

/** The group of a row, whatever its family. */
export const groupOfRow = (key: RowKey): number => fnv1a(key) % GROUPS

/** Metadata of which this process makes all changes, each of which it tells. */
interface WatchedRows extends Pick<Metadata, "position" | "generation"> {
  /** Calls the watcher with all writes from now on, in the turn in which queries see them: once for each new position. */
  watch(watcher: (writes: readonly EntryWrite[]) => void): void
}

export class LastChanges {
  private readonly cells: BigInt64Array

  /** `memory`: as another thread of the process has it. */
  constructor(readonly memory = new SharedArrayBuffer((FIRST_GROUP + GROUPS) * CELL_BYTES)) {
    this.cells = new BigInt64Array(memory)
  }

  /** The changes that this thread makes. */
  static of(rows: WatchedRows): LastChanges {
    const changes = new LastChanges()
    changes.note(rows, [])
    rows.watch(writes => changes.note(rows, writes))
    return changes
  }

  /** The position of a change that queries see. */
  get position(): Position {
    return parsePosition(this.read(POSITION))
  }

  /** The generation of rows of buckets and identities that queries see. */
  get generation(): number {
    return this.read(GENERATION)
  }

  /** True if a row of one of the groups may have changed after the position. */
  haveChanged(groups: readonly number[], since: Position): boolean {
    return groups.some(group => this.read(FIRST_GROUP + group) > since)
  }

  private note({ position, generation }: WatchedRows, writes: readonly EntryWrite[]): void {
    for (const { key } of writes) this.write(FIRST_GROUP + groupOfRow(key), position)
    this.write(GENERATION, generation)
    // The last, so that a thread that reads it finds the groups changed.
    this.write(POSITION, position)
  }

  private read(cell: number): number {
    return Number(Atomics.load(this.cells, cell))
  }

  private write(cell: number, value: number): void {
    Atomics.store(this.cells, cell, BigInt(value))
  }
}
