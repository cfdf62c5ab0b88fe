/**
 * The work of a job of deduplication: compares the rows of a bucket, repairs them, or frees bytes that are kept for little;
 * or undoes packing.
 *
 * Promises  A finding is of one moment, or of a row that did not change while it was compared. A repair changes only what is
 *           as it was compared. Both are safe to repeat, and may run while clients write.
 * Limits    `WORK_LIMITS`, and those of `recount`.
 */
import { isFailure } from "@hayloft/base/failures.js"
import type { BucketId, RowKey } from "@hayloft/base/ids.js"
import { unlessFull } from "@hayloft/base/space/full-disk.js"
import type { StorageClass } from "@hayloft/base/storage-class.js"
import { decodeReferences } from "@hayloft/engine/format/objects/references-record.js"
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import { dropRows, recount, type Recounted, type WalkSeams } from "@hayloft/objects/door/rows.js"
import { indexBlocks } from "./dedup-commands-core.js"
import { checkDigests, checkIndexed, checkSegment, uncountedOf, UNCOUNTED, wrongEntry } from "./checks-core.js"
import type { DigestsOfObjects } from "./digests-of-objects.js"
import type { CountedRows } from "./counted-rows.js"
import type { Released } from "./released.js"
import { setReferences } from "./repair-commands-core.js"
import {
  dedupRows,
  PHASES,
  placeOfText,
  rowsFrom,
  textOfRowPlace,
  type DedupJob,
  type DedupRow,
  type Phase,
} from "./rows-core.js"

const WORK_LIMITS = {
  /** Rows that one query looks at. */
  rowsPerQuery: 1_000,
  /** A count is compared at most so many times while its row changes. */
  looksMax: 4,
} as const

/** The outcome of the work on a row, as in jobs. */
type DedupOutcome = undefined | string | { readonly changing: string } | { readonly isRepaired: true }

interface DedupPage {
  readonly items: readonly DedupRow[]
  readonly bytes: number
  readonly scanned: number
  readonly next: string | undefined
}

interface WorkSeams extends WalkSeams {
  readonly metadata: Pick<Metadata, "run" | "ask">
  readonly counted: CountedRows
  readonly digests: DigestsOfObjects
  readonly blockBytes: number
  readonly released: Released
}

interface WorkRequest {
  readonly kind: DedupJob
  readonly bucketId: BucketId
  /** The job reads bytes, and compares them with their digests. */
  readonly reads: boolean
  /** The bucket deduplicates new writes: they ought to find its blocks. */
  readonly isOn: boolean
}

/** Only where they are used. */
const GIVES_DIGESTS: ReadonlySet<Phase> = new Set<Phase>(["current", "versions"])
const REPAIRED = { isRepaired: true } as const

export class DedupWork {
  /** Items of the last page that are still to be worked on. */
  private lastItems: number | undefined

  constructor(
    private readonly seams: WorkSeams,
    private readonly request: WorkRequest,
    /** A text that differs for each run of a job. */
    private readonly run: string,
  ) {}

  async prepare(): Promise<void> {}

  /** Returns rows of the bucket, phase by phase; see `ItemWork.itemsAfter`. */
  async itemsAfter(cursor: string, until: string | undefined, max: number): Promise<DedupPage> {
    const page = await this.pageAfter(cursor, until, max)
    this.lastItems = page.next === undefined ? page.items.length : undefined
    if (this.lastItems === 0) this.seams.counted.forget(this.run)
    return page
  }

  private async pageAfter(cursor: string, until: string | undefined, max: number): Promise<DedupPage> {
    const { kind, bucketId, isOn, reads } = this.request
    const { blockBytes } = this.seams
    const phases: readonly Phase[] = PHASES[kind]
    const end = until === undefined ? undefined : placeOfText(until, bucketId)
    const items: DedupRow[] = []
    let [place, scanned, looked] = [placeOfText(cursor, bucketId), 0, 0]
    for (;;) {
      const phase = phases[place.phase]
      const isBehind =
        end !== undefined && (place.phase > end.phase || (place.phase === end.phase && place.from >= end.from))
      if (phase === undefined || isBehind) return pageOf(items, scanned, isBehind ? until : undefined)
      const isLeftOut = (!isOn && GIVES_DIGESTS.has(phase)) || (phase === "readDigests" && !reads)
      if (isLeftOut) {
        place = rowsFrom(place.phase + 1, bucketId)
        continue
      }
      const before = end?.phase === place.phase ? end.from : undefined
      const limits = { max: max - items.length, rowsMax: WORK_LIMITS.rowsPerQuery, before, blockBytes }
      const page = await this.seams.metadata.ask(dedupRows(bucketId, phase, place.from, limits))
      items.push(...page.found)
      scanned += page.scanned
      looked += Math.max(1, page.scanned)
      place = page.next === undefined ? rowsFrom(place.phase + 1, bucketId) : { ...place, from: page.next }
      // A page that is repeated is read to its end, whatever has changed.
      const isEnough = items.length >= max || (until === undefined && looked >= WORK_LIMITS.rowsPerQuery)
      if (isEnough && place.phase < phases.length) return pageOf(items, scanned, textOfRowPlace(place))
    }
  }

  async work(row: DedupRow): Promise<DedupOutcome> {
    try {
      return this.request.kind === "verify" ? await this.verify(row) : await this.change(row)
    } catch (error) {
      if (isFailure(error, "corruptRecord")) return `the row cannot be read: ${String(error)}`
      if (isFailure(error, "notEnoughShards")) return `its bytes cannot be read: ${String(error)}`
      throw error
    } finally {
      if (this.lastItems !== undefined && (this.lastItems -= 1) <= 0) this.seams.counted.forget(this.run)
    }
  }

  describe({ key }: DedupRow): { readonly key: string; readonly versionId: string } {
    return { key, versionId: "" }
  }

  private async verify({ phase, rowKey }: DedupRow): Promise<DedupOutcome> {
    const { bucketId, reads } = this.request
    const { metadata, digests } = this.seams
    switch (phase) {
      case "references": {
        const found = await this.countedOf(rowKey)
        return found && countFinding(found)
      }
      case "segments":
        return metadata.ask(checkSegment(bucketId, rowKey))
      case "blockIndex":
        return metadata.ask(checkIndexed(bucketId, rowKey))
      default:
        return (reads ? (await digests.wrong(bucketId, rowKey))?.reason : undefined) ?? this.addIfPossible(rowKey)
    }
  }

  /** A verification goes on when the disks are full. */
  private addIfPossible(rowKey: RowKey): Promise<DedupOutcome> {
    return unlessFull(
      () => this.addToIndex(rowKey),
      () => undefined,
    )
  }

  /** Repairs the row, or frees its bytes; a defect that cannot be repaired is a failure. */
  private async change({ phase, rowKey }: DedupRow): Promise<DedupOutcome> {
    const { bucketId } = this.request
    const { metadata, digests, released } = this.seams
    switch (phase) {
      case "references":
        return this.setCount(rowKey, await this.countedOf(rowKey))
      case "segments":
        return this.countMissing(rowKey)
      case "blockIndex": {
        const value = await metadata.ask(wrongEntry(bucketId, rowKey))
        if (value === undefined) return undefined
        await metadata.run(dropRows([["blockIndex", rowKey, value]]))
        return REPAIRED
      }
      case "readDigests":
        return this.dropWrong(rowKey)
      case "blockDigests":
        return this.addToIndex(rowKey)
      case "current":
      case "versions":
        return digests.add(bucketId, phase, rowKey)
      case "released":
        return released.free(bucketId, rowKey, await this.seams.counted.of(this.run, bucketId, rowKey, true))
      case "packs":
        return released.free(bucketId, rowKey, await this.seams.counted.of(this.run, bucketId, rowKey, true), Infinity)
    }
  }

  private countedOf(rowKey: RowKey): Promise<Recounted | undefined> {
    return this.seams.counted.of(this.run, this.request.bucketId, rowKey)
  }

  /** `storageClass`: the class for a row that is missing. */
  private async setCount(
    rowKey: RowKey,
    counted: Recounted | undefined,
    storageClass: StorageClass = "STANDARD",
  ): Promise<DedupOutcome> {
    const { bucketId } = this.request
    let found = counted
    for (let looks = 1; found !== undefined; looks += 1) {
      const finding = countFinding(found)
      if (typeof finding !== "string") return finding
      const { value, count } = found
      if (await this.seams.metadata.run(setReferences(bucketId, { rowKey, value, count, storageClass })))
        return REPAIRED
      if (looks === WORK_LIMITS.looksMax) return { changing: CHANGING }
      found = (await recount(this.seams, bucketId, [rowKey])).get(rowKey)
    }
    return undefined
  }

  /** Counts references whose row is missing. */
  private async countMissing(rowKey: RowKey): Promise<DedupOutcome> {
    const { bucketId } = this.request
    const { metadata } = this.seams
    const finding = await metadata.ask(checkSegment(bucketId, rowKey))
    if (finding?.startsWith(UNCOUNTED) !== true) return finding
    const { rowKeys, storageClass } = await metadata.ask(uncountedOf(bucketId, rowKey))
    const counted = await recount(this.seams, bucketId, rowKeys)
    let outcome: DedupOutcome
    for (const [key, found] of counted) outcome = (await this.setCount(key, found, storageClass)) ?? outcome
    return (await metadata.ask(checkSegment(bucketId, rowKey))) ?? outcome
  }

  /** Drops digests that are not those of the bytes: the object gets others in a later phase. */
  private async dropWrong(rowKey: RowKey): Promise<DedupOutcome> {
    const { bucketId } = this.request
    const { metadata, digests } = this.seams
    const wrong = await digests.wrong(bucketId, rowKey)
    if (wrong === undefined || wrong.value === undefined) return wrong?.reason
    await metadata.run(dropRows([["blockDigests", rowKey, wrong.value]]))
    return REPAIRED
  }

  /** The index is only a hint, so that a verification too may add what it lacks. */
  private async addToIndex(rowKey: RowKey): Promise<DedupOutcome> {
    const { bucketId, isOn } = this.request
    const { metadata } = this.seams
    const found = await metadata.ask(checkDigests(bucketId, rowKey, isOn))
    if (found === undefined) return undefined
    if (found.kind === "missing") return found.reason
    await metadata.run(indexBlocks(bucketId, [rowKey]))
    return REPAIRED
  }
}

const CHANGING = "the number of references changed during each count"

/** The finding about a count; undefined if the count is right. */
function countFinding({ value, isChanging, count }: Recounted): DedupOutcome {
  if (isChanging) return { changing: CHANGING }
  const stated = value === undefined ? 0 : decodeReferences(value).count
  if (stated === count) return undefined
  return `${count} ${count === 1 ? "segment references" : "segments reference"} it, and ${stated} ${stated === 1 ? "is" : "are"} counted`
}

const pageOf = (items: readonly DedupRow[], scanned: number, next: string | undefined): DedupPage => ({
  items,
  scanned,
  next,
  bytes: items.reduce((sum, { bytes }) => sum + bytes, 0),
})
