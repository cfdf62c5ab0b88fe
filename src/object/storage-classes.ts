/**
 * Storage classes: the operator maps them to redundancy policies, and what follows for requests and for re-encoding.
 *
 * Promises  Before a version, an upload or a transition rule with another class than STANDARD is stored, the devices
 *           refuse earlier releases, which would drop the class or could not read the rules.
 * Refuses   Archive classes that are not mapped, with `notImplemented`, where a client asks for one. What a rescue
 *           brings keeps its class.
 */
import { fail } from "../base/failures.js"
import type { BucketId, RowKey } from "../base/ids.js"
import type { Policy } from "../base/policy.js"
import { isArchive, STORAGE_CLASSES, type StorageClass } from "../base/storage-class.js"
import { VERSION_FAMILIES, versionOfRow } from "../format/deleted-version.js"
import { decodeUpload } from "../format/records.js"
import { prefixRange } from "../format/row-key.js"
import { query, type Metadata } from "../metadata/index.js"
import type { AcceptedClasses } from "./contract.js"
import { ALL_OBJECT_ROWS } from "./queries/extent-rows.js"

/** The operator's map, in the control record. */
export interface ClassMap {
  /** Returns undefined if the class is not mapped. */
  policyOf(storageClass: StorageClass): Policy | undefined
  /** Some class is mapped. */
  readonly isAnyMapped: boolean
  /** Resolves once the devices of this process refuse releases that know no classes; undefined: they do. */
  use(): Promise<void> | undefined
}

export const NO_CLASSES: ClassMap = { policyOf: () => undefined, isAnyMapped: false, use: () => undefined }

/** The policy of a version's blocks, new ones and old ones. `otherwise`: that of its bucket or the store. */
export const policyOfVersion = (
  classes: Pick<ClassMap, "policyOf">,
  storageClass: StorageClass,
  otherwise: Policy,
): Policy => classes.policyOf(storageClass) ?? otherwise

const FAMILIES = ["uploads", ...VERSION_FAMILIES] as const
/** A lock is one of a version. */
const FAMILIES_OF_VERSIONS = ["current", "versions"] as const
const STORAGE_CLASSES_LIMITS = {
  rowsPerStep: 1_000,
  /** Rows in which one plan looks for versions of some classes; buckets beyond that count as if they had some. */
  rowsPerLookMax: 100_000,
} as const

type Family = (typeof FAMILIES)[number]
/** Where to look for a class, and for which. */
interface ClassSearch {
  readonly family: Family
  readonly start: RowKey
  readonly end: RowKey
  readonly classes: readonly StorageClass[]
}

/** Checks if one of the next rows has one of the classes; `next` is set if there are more. */
export const classInRows = query("ClassInRows", (view, { family, start, end, classes }: ClassSearch) => {
  const { rowsPerStep } = STORAGE_CLASSES_LIMITS
  let rows = 0
  for (const [rowKey, { value }] of view.range(family, { start, end, expectedRows: rowsPerStep })) {
    if (rows === rowsPerStep) return { isFound: false, next: rowKey, rows }
    rows += 1
    const its = family === "uploads" ? decodeUpload(value).storageClass : versionOfRow(family, value).head.storageClass
    if (its !== undefined && classes.includes(its)) return { isFound: true, next: undefined, rows }
  }
  return { isFound: false, next: undefined, rows }
})

export class StorageClasses implements AcceptedClasses {
  constructor(
    private readonly map: ClassMap,
    private readonly metadata: Pick<Metadata, "ask">,
  ) {}

  policyOf(storageClass: StorageClass): Policy | undefined {
    return this.map.policyOf(storageClass)
  }

  get isAnyMapped(): boolean {
    return this.map.isAnyMapped
  }

  /** Those archives that are mapped. */
  get archives(): readonly StorageClass[] {
    return STORAGE_CLASSES.filter(each => isArchive(each) && this.map.policyOf(each) !== undefined)
  }

  require(storageClass: StorageClass): void {
    if (!isArchive(storageClass) || this.map.policyOf(storageClass) !== undefined) return
    throw fail("notImplemented", {
      message: `The storage class ${storageClass} is not implemented: the operator has given it no redundancy.`,
    })
  }

  use(storageClass: StorageClass): Promise<void> | undefined {
    return storageClass === "STANDARD" ? undefined : this.map.use()
  }

  /** Returns true if a version or an upload in progress has the class. Reads all rows if none has. */
  async isUsed(storageClass: StorageClass): Promise<boolean> {
    for (const family of FAMILIES) {
      const { isFound } = await this.search({ ...ALL_OBJECT_ROWS, family, classes: [storageClass] }, Infinity)
      if (isFound) return true
    }
    return false
  }

  /** Returns those of the buckets that have versions of one of the classes, or too many rows to look at all of them. */
  async bucketsWith<Of extends { readonly id: BucketId }>(
    searches: readonly { readonly bucket: Of; readonly classes: readonly StorageClass[] }[],
  ): Promise<readonly Of[]> {
    const found: Of[] = []
    let left: number = STORAGE_CLASSES_LIMITS.rowsPerLookMax
    for (const { bucket, classes } of searches) {
      let isOne = false
      for (const family of FAMILIES_OF_VERSIONS) {
        if (isOne) break
        const { isFound, rows } = await this.search({ ...prefixRange(bucket.id, ""), family, classes }, left)
        left -= rows
        isOne = isFound || left <= 0
      }
      if (isOne) found.push(bucket)
    }
    return found
  }

  private async search(
    from: ClassSearch,
    rowsMax: number,
  ): Promise<{ readonly isFound: boolean; readonly rows: number }> {
    let rows = 0
    for (let start: RowKey | undefined = from.start; start !== undefined && rows < rowsMax;) {
      const step: { isFound: boolean; next: RowKey | undefined; rows: number } = await this.metadata.ask(
        classInRows({ ...from, start }),
      )
      rows += step.rows
      if (step.isFound) return { isFound: true, rows }
      start = step.next
    }
    return { isFound: false, rows }
  }
}
