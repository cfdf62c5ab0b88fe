/**
 * Guards: the rule that makes decisions safe if several processes decide on the same rows at the same time. An engine
 * validates that the rows which a decision read are unchanged when it commits. Rows that were absent, and ranges, have
 * nothing to validate. So a decision may rely on them only together with a row that every competing decision writes:
 * their guard.
 *
 * The object's row (families `current` and `heads`, which are one row to an engine) guards versions, details, shares
 * and what was appended; the row of a version that undelete keeps guards its segments too. The upload's row guards its
 * parts and segments. Parts only read it, so that parallel parts do not compete; what freezes them writes it. Rows of buckets and identities are guarded by the store's generation: each change of
 * such a row increases it, and an engine rejects decisions made under another one.
 *
 * Promises  `check` throws for a decision that writes a row without having read it (unless the row is new: an engine
 *           refuses to replace one), that changes a guarded row without its guard, or that relies on absence without one.
 */
import { assert } from "@hayloft/base/assert.js"
import type { Family } from "@hayloft/base/rows/families.js"
import type { RowKey } from "@hayloft/base/ids.js"
import type { KeyRange } from "@hayloft/base/rows/key-range.js"
import type { EntryWrite } from "../format/device/entry.js"
import { objectRowKeyOf, uploadOfPartRowKey, nameOfRow } from "../format/row-key.js"
import type { CommandView, DecisionView, MetadataRow } from "./views.js"

/** How rows of a family are protected against changes that a decision did not see. */
type Protection =
  /** They change with the store's generation. */
  | "generation"
  /** Made only together with a row of the generation, which was read: absent ones stay absent while it does not change. */
  | "underGeneration"
  /**
   * Each stands alone: it is read before it is written. Once it is absent its key is never used again, unless what made
   * it absent also changed another row that the next decision about it reads.
   */
  | "own"
  /** Current version and head of an object: one row to an engine. */
  | "object"
  /** Changed only together with the object's row. */
  | "underObject"
  /** New ones need the upload's row, unchanged. */
  | "underUpload"
  /** New ones need the row of the upload, or of the object, which they also write. */
  | "underWrittenOwner"
  /** Sums of the changes of all decisions: no decision writes them, and nothing validates them. */
  | "counted"

const PROTECTIONS: Readonly<Record<Family, Protection>> = {
  marks: "own",
  needles: "own",
  expiringNeedles: "own",
  tablets: "own",
  current: "object",
  heads: "object",
  versions: "underObject",
  details: "underObject",
  shares: "underObject",
  uploads: "own",
  intents: "own",
  deleted: "own",
  cluster: "own",
  clock: "own",
  audit: "own",
  auditQueue: "own",
  jobs: "own",
  usageHistory: "own",
  events: "own",
  swiftAccounts: "own",
  changes: "own",
  k2vItems: "own",
  k2vValues: "own",
  k2vPartitions: "own",
  k2vChanges: "own",
  queues: "own",
  queueMessages: "own",
  queueContents: "own",
  queueOrder: "own",
  coordSessions: "own",
  coordHoldings: "own",
  coordNamespaces: "own",
  coordFiles: "own",
  coordLocks: "own",
  coordChanges: "own",
  transactions: "own",
  history: "own",
  copyLog: "own",
  copyState: "own",
  featureRows: "own",
  directoryEntries: "own",
  lifecycle: "own",
  packing: "own",
  parts: "underUpload",
  segments: "underWrittenOwner",
  appends: "underWrittenOwner",
  openEnds: "underWrittenOwner",
  references: "own",
  blockDigests: "underWrittenOwner",
  blockIndex: "own",
  names: "generation",
  buckets: "generation",
  settings: "generation",
  bucketKeys: "generation",
  counters: "counted",
  usage: "counted",
  pendingDeletions: "own",
  missingShardHints: "own",
  abortedUploads: "own",
  accounts: "generation",
  accountNumbers: "generation",
  accountBuckets: "generation",
  accessKeys: "generation",
  adminTokens: "generation",
  signOuts: "generation",
  identities: "generation",
  identityLinks: "generation",
  managedPolicies: "generation",
  identityProviders: "generation",
  kmsKeys: "generation",
  kmsAliases: "generation",
  keyUses: "underGeneration",
}

const GUARDED_BY_GENERATION: ReadonlySet<Protection> = new Set<Protection>(["generation", "underGeneration"])

/** Returns true if the store's generation protects the rows of the family: each change of one increases it. */
export const isOfGeneration = (family: Family): boolean => PROTECTIONS[family] === "generation"

interface Read {
  readonly family: Family
  readonly key: RowKey
  readonly row: MetadataRow | undefined
}

interface RangeRead {
  readonly family: Family
  readonly start: RowKey
}

/** Up to this many rows a search is faster than an index. */
const SEARCHED_MAX = 16
/** Shows rows to one decision and remembers which it read. Rows that were read are not looked up again. */
export class GuardedView implements CommandView {
  private readonly reads: Read[] = []
  /** The first `indexed` of the reads, by name, once there are too many to search. */
  private readonly index = new Map<string, Read>()
  private indexed = 0
  private ranges: RangeRead[] | undefined

  constructor(private readonly rows: DecisionView) {}

  get(family: Family, key: RowKey): MetadataRow | undefined {
    const known = this.find(family, key)
    if (known !== undefined) return known.row
    const row = this.rows.get(family, key)
    this.reads.push({ family, key, row })
    return row
  }

  ifPresent(family: Family, key: RowKey): MetadataRow | undefined {
    const known = this.find(family, key)
    if (known !== undefined) return known.row
    const row = this.rows.get(family, key)
    if (row !== undefined) this.reads.push({ family, key, row })
    return row
  }

  *range(family: Family, range: KeyRange): Iterable<readonly [RowKey, MetadataRow]> {
    if (range.presentOnly !== true) {
      this.ranges ??= []
      this.ranges.push({ family, start: range.start })
    }
    for (const pair of this.rows.range(family, range)) {
      this.reads.push({ family, key: pair[0], row: pair[1] })
      yield pair
    }
  }

  payload(family: Family, key: RowKey, row: MetadataRow): Uint8Array | undefined {
    return this.rows.payload(family, key, row)
  }

  private find(family: Family, key: RowKey): Read | undefined {
    if (this.reads.length > SEARCHED_MAX) return this.findInIndex(family, key)
    for (const read of this.reads) if (read.key === key && read.family === family) return read
    return undefined
  }

  private findInIndex(family: Family, key: RowKey): Read | undefined {
    for (; this.indexed < this.reads.length; this.indexed += 1) {
      const read = this.reads[this.indexed]
      if (read && !this.index.has(nameOfRow(read.family, read.key)))
        this.index.set(nameOfRow(read.family, read.key), read)
    }
    return this.index.get(nameOfRow(family, key))
  }

  /** Throws if the decision must not write these rows after what it read. */
  check(writes: readonly EntryWrite[]): void {
    for (const write of writes) this.checkWrite(write, writes)
    const names =
      writes.length > SEARCHED_MAX ? new Set(writes.map(({ family, key }) => nameOfRow(family, key))) : undefined
    const isWritten = ({ family, key }: Read): boolean =>
      names?.has(nameOfRow(family, key)) ?? writes.some(write => write.key === key && write.family === family)
    for (const read of this.reads) if (read.row === undefined && !isWritten(read)) this.checkAbsent(read, writes)
    for (const { family, start } of this.ranges ?? []) this.checkRange(family, start, writes)
  }

  private checkWrite({ family, key, value }: EntryWrite, writes: readonly EntryWrite[]): void {
    assert(PROTECTIONS[family] !== "counted", () => `${family}: only changes are written`)
    const isRead = this.find(family, key) !== undefined
    assert(isRead || value !== undefined, () => `${family}: a row that was not read is deleted`)
    const protection = PROTECTIONS[family]
    if (protection === "underObject") {
      assert(writesObject(writes, objectRowKeyOf(key)), () => `${family}: changed without the object's row`)
    } else if (value !== undefined && (protection === "underUpload" || protection === "underWrittenOwner")) {
      const upload = uploadOfPartRowKey(key)
      const guard = this.find("uploads", upload)
      const isWritten =
        protection === "underUpload" || writes.some(each => each.family === "uploads" && each.key === upload)
      const isOfObject =
        protection === "underWrittenOwner" &&
        (writesObject(writes, objectRowKeyOf(key)) || this.writesKept(writes, objectRowKeyOf(key)))
      // A row that was read may be rewritten: it is validated itself.
      const isGuarded = isRead || isOfObject || (guard?.row !== undefined && isWritten)
      assert(isGuarded, () => `${family}: changed without the row of its upload or object`)
    }
  }

  /**
   * Returns true if a version of the object that undelete keeps was read and is written, as by everything that ends it.
   */
  private writesKept(writes: readonly EntryWrite[], object: RowKey): boolean {
    return writes.some(
      ({ family, key }) =>
        family === "deleted" && objectRowKeyOf(key) === object && this.find(family, key)?.row !== undefined,
    )
  }

  private checkAbsent({ family, key }: Read, writes: readonly EntryWrite[]): void {
    const protection = PROTECTIONS[family]
    if (GUARDED_BY_GENERATION.has(protection) || protection === "counted" || family === "uploads") return
    const isOfObject = protection === "object" || protection === "underObject" || protection === "underWrittenOwner"
    const isGuarded = isOfObject && this.hasObject(objectRowKeyOf(key), writes)
    assert(isGuarded, () => `${family}: the absence of a row is not guarded`)
  }

  private checkRange(family: Family, start: RowKey, writes: readonly EntryWrite[]): void {
    const protection = PROTECTIONS[family]
    if (GUARDED_BY_GENERATION.has(protection) || protection === "counted") return
    const isGuarded =
      protection === "underWrittenOwner"
        ? this.find("uploads", uploadOfPartRowKey(start))?.row !== undefined
        : (protection === "object" || protection === "underObject") && this.hasObject(objectRowKeyOf(start), writes)
    assert(isGuarded, () => `${family}: a range is not guarded`)
  }

  /** Returns true if the object's row was read and is present, or if it is written. */
  private hasObject(object: RowKey, writes: readonly EntryWrite[]): boolean {
    const isPresent = this.find("current", object)?.row !== undefined || this.find("heads", object)?.row !== undefined
    return isPresent || writesObject(writes, object)
  }
}

const writesObject = (writes: readonly EntryWrite[], object: RowKey): boolean =>
  writes.some(({ family, key }) => key === object && (family === "current" || family === "heads"))
