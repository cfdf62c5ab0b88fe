/**
 * Row copy: all rows of a running metadata engine, in slices, to an engine that nothing else writes to. Rows that clients
 * change meanwhile are noted and copied again, as often as they change.
 *
 * Promises  Once `step` returns false, every row that was committed before that step is in the target as it then was. A
 *           step that fails may be repeated: it leaves out nothing.
 * Refuses   To remember more changed rows than `COPY_LIMITS.changedBytesMax`: then clients write faster than the target
 *           takes it, and the copy fails with `tooManyInFlight`. To leave out the bytes of a small object that cannot be
 *           read: it fails, and names the object.
 */
import { OBJECT_FAMILIES } from "@hayloft/base/rows/families.js"
import { fail, isFailure, type Failure } from "@hayloft/base/failures.js"
import { parseBucketId, textOfObjectKey, type BucketId, type RowKey } from "@hayloft/base/ids.js"
import { owned } from "@hayloft/base/memory/lent.js"
import { MIB } from "@hayloft/base/limits.js"
import type { EntryWrite } from "@hayloft/engine/format/device/entry.js"
import { decodeBucket } from "@hayloft/engine/format/records.js"
import { bucketIdOfRowKey, bucketRowKey, parseObjectRowKey } from "@hayloft/engine/format/row-key.js"
import { decodeUsage } from "@hayloft/engine/format/objects/usage.js"
import { mapBounded } from "@hayloft/base/life/index.js"
import { walkPages } from "@hayloft/base/walk-pages.js"
import type { Metadata, MetadataRow } from "@hayloft/engine/metadata/index.js"
import {
  COPIED_FAMILIES,
  CopyCounters,
  CopyRows,
  CopyUsage,
  countersOf,
  FIRST_KEY,
  rowsFrom,
  rowsOf,
  SLICE_LIMITS,
  type CopiedKey,
  type ReadRow,
  type RowSlice,
} from "./rows-core.js"

const COPY_LIMITS = {
  payloadsConcurrent: 64,
  /** A checkpoint may move a payload while it is being read. */
  payloadReadsMax: 3,
  countersConcurrent: 64,
  /** Keys of rows that changed and have not been copied again. */
  changedBytesMax: 64 * MIB,
  /** With so many, changed rows are copied before more of the others. */
  changedFirst: 4_096,
} as const

/** Memory of a noted row beside its key. */
const NOTE_BYTES = 100

type RowSource = Pick<Metadata, "ask" | "payload">
type RowTarget = Pick<Metadata, "run">

interface Place {
  /** Index in `COPIED_FAMILIES`. */
  readonly family: number
  readonly start: RowSlice["next"]
}

const COPIED = new Set(COPIED_FAMILIES)

/**
 * The writes that make rows; rows whose payload has changed meanwhile are left to `onChanged`. Throws a failure that names
 * the object whose payload cannot be read.
 */
export async function writesOf(
  source: RowSource,
  rows: readonly ReadRow[],
  onChanged: (key: CopiedKey) => void,
): Promise<readonly EntryWrite[]> {
  const writes = await mapBounded(rows, COPY_LIMITS.payloadsConcurrent, async ({ family, key, row }) => {
    if (row?.payload === undefined) return { family, key, value: row?.value }
    const payload = await payloadOf(source, { family, key }, row)
    if (payload !== undefined) return { family, key, value: row.value, payload }
    onChanged({ family, key })
    return undefined
  })
  return writes.filter(write => write !== undefined)
}

async function payloadOf(
  source: RowSource,
  { family, key }: CopiedKey,
  row: MetadataRow,
): Promise<Uint8Array | undefined> {
  for (let reads = 1; ; reads += 1) {
    try {
      return await owned(source.payload(family, key, row))
    } catch (error) {
      if (!isFailure(error, "corruptNeedle", "corruptRow")) throw error
      if (reads === COPY_LIMITS.payloadReadsMax) throw await unreadable(source, { family, key }, error)
    }
  }
}

/** It may be readable again: its disk may have a bad moment. So only an operator decides to go on without it. */
async function unreadable(source: RowSource, { family, key }: CopiedKey, reason: Failure): Promise<Failure> {
  const found = OBJECT_FAMILIES.includes(family) ? await objectOf(source, key) : undefined
  const what = found === undefined ? `a row of family ${family}` : `object ${found.key} in bucket ${found.bucket}`
  const message = `the bytes of ${what} cannot be read on any disk; delete or replace it, then begin again`
  return fail(reason.kind, { message, reason: reason.message }, reason)
}

async function objectOf(source: RowSource, key: CopiedKey["key"]) {
  const { bucketId, key: objectKey } = parseObjectRowKey(key)
  const [found] = await source.ask(rowsOf([{ family: "buckets", key: bucketRowKey(parseBucketId(bucketId)) }]))
  const bucket = found?.row === undefined ? `number ${bucketId}` : decodeBucket(found.row.value).name
  return { bucket, key: textOfObjectKey(objectKey) }
}

export class RowCopy {
  private place: Place | undefined = { family: 0, start: FIRST_KEY }
  private readonly changed = new Map<string, CopiedKey>()
  private changedBytes = 0
  /** Whose counters are to be copied. */
  private readonly buckets = new Set<BucketId>()
  /** The rows of counts. */
  private readonly usage = new Set<RowKey>()
  private copied = 0

  constructor(
    private readonly source: RowSource,
    private readonly target: RowTarget,
  ) {}

  /** Rows that are known to differ. */
  get rowsChanged(): number {
    return this.changed.size + this.buckets.size + this.usage.size
  }

  /** All rows were read once. */
  get isThrough(): boolean {
    return this.place === undefined
  }

  get progress(): string {
    const { place } = this
    const at = place === undefined ? "changed rows" : `family ${place.family + 1} of ${COPIED_FAMILIES.length}`
    return `${this.copied} rows copied, ${at}`
  }

  /** Call it with all writes from the beginning of the copy on, in the turn in which queries see them. */
  note(writes: readonly EntryWrite[]): void {
    for (const { family, key } of writes) {
      if (family === "counters") this.buckets.add(bucketIdOfRowKey(key))
      else if (family === "usage") this.usage.add(key)
      else if (COPIED.has(family)) this.noteRow({ family, key })
    }
  }

  private noteRow(changed: CopiedKey): void {
    const name = `${changed.family} ${changed.key}`
    if (this.changed.has(name)) return
    this.changed.set(name, changed)
    this.changedBytes += NOTE_BYTES + 2 * name.length
  }

  /** Copies some rows. False: there is nothing to copy now. Throws the failure of either engine. */
  async step(): Promise<boolean> {
    if (this.changedBytes > COPY_LIMITS.changedBytesMax)
      throw fail("tooManyInFlight", { message: "clients change rows faster than the database stores them" })
    if (this.place !== undefined && this.changed.size < COPY_LIMITS.changedFirst) await this.copySlice(this.place)
    else if (this.changed.size > 0) await this.copyChanged()
    else if (this.buckets.size > 0) await this.copyCounters()
    else if (this.usage.size > 0) await this.copyUsage()
    else return false
    return true
  }

  private async copySlice({ family, start = FIRST_KEY }: Place): Promise<void> {
    const name = COPIED_FAMILIES[family]
    if (name === undefined) {
      for (const { key } of await allUsage(this.source)) this.usage.add(key)
      this.place = undefined
      return
    }
    const { rows, next } = await this.source.ask(rowsFrom(name, start))
    if (name === "buckets") for (const { key } of rows) this.buckets.add(bucketIdOfRowKey(key))
    await this.write(rows)
    this.place = next === undefined ? { family: family + 1, start: FIRST_KEY } : { family, start: next }
  }

  private async copyChanged(): Promise<void> {
    const keys: CopiedKey[] = []
    for (const [name, key] of this.changed) {
      if (keys.length === SLICE_LIMITS.rowsMax) break
      keys.push(key)
      // Before the rows are read: a later change notes it again.
      this.changed.delete(name)
      this.changedBytes -= NOTE_BYTES + 2 * name.length
    }
    try {
      await this.write(await this.source.ask(rowsOf(keys)))
    } catch (error) {
      for (const key of keys) this.noteRow(key)
      throw error
    }
  }

  private async copyCounters(): Promise<void> {
    const buckets = [...this.buckets].slice(0, SLICE_LIMITS.rowsMax)
    for (const bucketId of buckets) this.buckets.delete(bucketId)
    try {
      const found = await this.source.ask(countersOf(buckets))
      await mapBounded(found, COPY_LIMITS.countersConcurrent, each => this.target.run(new CopyCounters(each)))
    } catch (error) {
      for (const bucketId of buckets) this.buckets.add(bucketId)
      throw error
    }
  }

  private async copyUsage(): Promise<void> {
    const keys = [...this.usage].slice(0, SLICE_LIMITS.rowsMax)
    for (const key of keys) this.usage.delete(key)
    try {
      const found = await this.source.ask(rowsOf(keys.map(key => ({ family: "usage", key }))))
      await mapBounded(found, COPY_LIMITS.countersConcurrent, ({ key, row }) =>
        this.target.run(new CopyUsage(key, row && decodeUsage(row.value))),
      )
    } catch (error) {
      for (const key of keys) this.usage.add(key)
      throw error
    }
  }

  private async write(rows: readonly ReadRow[]): Promise<void> {
    const writes = await writesOf(this.source, rows, key => this.noteRow(key))
    if (writes.length > 0) await this.target.run(new CopyRows(writes))
    this.copied += writes.length
  }
}

async function allUsage(source: Pick<Metadata, "ask">): Promise<readonly CopiedKey[]> {
  const found: CopiedKey[] = []
  for await (const slice of walkPages(FIRST_KEY, start => source.ask(rowsFrom("usage", start)))) {
    found.push(...slice.rows)
  }
  return found
}

/** Deletes what an earlier copy has left in the target. */
export async function removeCopies(target: Pick<Metadata, "ask" | "run">): Promise<void> {
  for (const { key } of await allUsage(target)) await target.run(new CopyUsage(key, undefined))
  for (const family of COPIED_FAMILIES) {
    for (;;) {
      const { rows, next } = await target.ask(rowsFrom(family, FIRST_KEY))
      if (family === "buckets") {
        for (const { key } of rows)
          await target.run(new CopyCounters({ bucketId: bucketIdOfRowKey(key), counters: undefined }))
      }
      if (rows.length > 0) await target.run(new CopyRows(rows.map(row => ({ ...row, value: undefined }))))
      if (next === undefined) break
    }
  }
}
