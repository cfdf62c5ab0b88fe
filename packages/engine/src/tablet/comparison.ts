/**
 * Comparison: one pass over all rows of a tablet that finds where its replicas differ, in small steps.
 *
 * All replicas in one process show the same position within one synchronous step, so a range that is read from each of
 * them in one step must be the same everywhere. The digests of the pass add up the rows as they were when their ranges
 * were compared: they are equal if and only if nothing differed.
 *
 * Limits  `COMPARED_ROWS` of each replica a step; DIFFERENCES_KEPT differences are listed, all are counted. Behind a
 *         row that no replica can read, the rest of its family is left out of the pass.
 */
import { assert } from "@hayloft/base/assert.js"
import { isFailure } from "@hayloft/base/failures.js"
import { REPLICATED_FAMILIES, type Family } from "@hayloft/base/rows/families.js"
import { rowKeyOf, rowKeyAfter } from "@hayloft/base/ids.js"
import type { DeviceId, RowKey } from "@hayloft/base/ids.js"
import { combineDigests, differences, digestOfRow, type ReplicaDifference } from "./comparison-core.js"
import { COMPARED_ROWS, END_OF_KEYS } from "./limits.js"
import type { Replica } from "./replica.js"

const DIFFERENCES_KEPT = 100

/** The rows of a range in one replica. */
interface Part {
  readonly id: DeviceId
  readonly rows: Map<RowKey, bigint>
  /** The last key that was read; undefined if the range ended before the limit did. */
  readonly stoppedAt: RowKey | undefined
  readonly damage: "corrupt" | "unreadable" | undefined
}

export class ReplicaComparison {
  private ids: readonly DeviceId[] = []
  private family = 0
  private start = rowKeyOf("")
  private rows = 0
  private digests = new Map<DeviceId, bigint>()
  private readonly counts = new Map<DeviceId | undefined, number>()
  private readonly kept: ReplicaDifference[] = []

  constructor(private readonly replicas: () => readonly Replica[]) {}

  get progress(): string {
    return `${this.rows} rows compared, family ${Math.min(this.family + 1, REPLICATED_FAMILIES.length)} of ${REPLICATED_FAMILIES.length}`
  }

  get rowsCompared(): number {
    return this.rows
  }

  /** Wrong rows of replicas, by device: its metadata store must be rebuilt. */
  get wrong(): ReadonlyMap<DeviceId, number> {
    return new Map([...this.counts].flatMap(([id, count]) => (id === undefined ? [] : [[id, count] as const])))
  }

  /** Rows in which replicas differ and the right one is unknown. */
  get undecided(): number {
    return this.counts.get(undefined) ?? 0
  }

  /** The first differences found. */
  get differences(): readonly ReplicaDifference[] {
    return this.kept
  }

  /** After the last step: the digest of each replica's rows, 16 hex digits; equal if nothing differed. */
  get digestOf(): ReadonlyMap<DeviceId, string> {
    return new Map([...this.digests].map(([id, digest]) => [id, digest.toString(16).padStart(16, "0")]))
  }

  /** Compares one range. False: the pass is over. The pass begins again if the set of replicas changed. */
  step(): boolean {
    const replicas = this.replicas()
    this.beginAgainIfChanged(replicas.map(({ id }) => id))
    const family = REPLICATED_FAMILIES[this.family]
    if (family === undefined) return false
    const parts = replicas.map(replica => readPart(replica, family, this.start))
    const intact = parts.filter(({ damage }) => damage === undefined)
    for (const { id, damage } of parts) if (damage) this.note({ family, key: this.start, id, what: damage })
    const stops = intact.flatMap(({ stoppedAt }) => stoppedAt ?? [])
    const end = stops.length === 0 ? undefined : stops.reduce((a, b) => (a < b ? a : b))
    for (const { rows } of intact) {
      for (const key of rows.keys()) if (end !== undefined && key > end) rows.delete(key)
    }
    this.compare(family, intact)
    if (end !== undefined) this.start = rowKeyAfter(end)
    else {
      this.family += 1
      this.start = rowKeyOf("")
    }
    return this.family < REPLICATED_FAMILIES.length
  }

  private beginAgainIfChanged(ids: readonly DeviceId[]): void {
    if (ids.length === this.ids.length && ids.every((id, i) => id === this.ids[i])) return
    assert(ids.length > 0, "a tablet has replicas")
    this.ids = ids
    this.family = 0
    this.start = rowKeyOf("")
    this.rows = 0
    this.digests = new Map(ids.map(id => [id, 0n]))
    this.counts.clear()
    this.kept.length = 0
  }

  private compare(family: Family, parts: readonly Part[]): void {
    for (const { id, rows } of parts) {
      let digest = this.digests.get(id) ?? 0n
      for (const row of rows.values()) digest = combineDigests(digest, row)
      this.digests.set(id, digest)
    }
    this.rows += parts.reduce((max, { rows }) => Math.max(max, rows.size), 0)
    for (const difference of differences(family, parts)) this.note(difference)
  }

  private note(difference: ReplicaDifference): void {
    this.counts.set(difference.id, (this.counts.get(difference.id) ?? 0) + 1)
    if (this.kept.length < DIFFERENCES_KEPT) this.kept.push(difference)
  }
}

function readPart(replica: Replica, family: Family, start: RowKey): Part {
  const rows = new Map<RowKey, bigint>()
  const { id } = replica
  try {
    for (const [key, row] of replica.range(family, { start, end: END_OF_KEYS })) {
      rows.set(key, digestOfRow(family, key, row))
      if (rows.size === COMPARED_ROWS) return { id, rows, stoppedAt: key, damage: undefined }
    }
    return { id, rows, stoppedAt: undefined, damage: undefined }
  } catch (error) {
    if (!isFailure(error, "corruptRow", "deviceFailed")) throw error
    return { id, rows, stoppedAt: undefined, damage: isFailure(error, "corruptRow") ? "corrupt" : "unreadable" }
  }
}
