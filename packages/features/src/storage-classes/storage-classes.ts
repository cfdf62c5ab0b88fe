/**
 * Storage classes: which of them have a place of their own, and which buckets use some.
 *
 * Promises  Before a transition rule with another class than STANDARD is stored, the devices refuse earlier releases, which
 *           could not read the rules.
 * Refuses   Archive classes that are not mapped, with `notImplemented`, where a rule is to move objects there. What a client
 *           puts has the class that it names: without a redundancy of its own a class is a name.
 */
import { fail } from "@hayloft/base/failures.js"
import type { BucketId, RowKey } from "@hayloft/base/ids.js"
import { isArchive, STORAGE_CLASSES, type StorageClass } from "@hayloft/base/storage-class.js"
import { walkPages } from "@hayloft/base/walk-pages.js"
import { type VERSION_FAMILIES, versionOfRow } from "@hayloft/engine/format/objects/deleted-version.js"
import { prefixRange } from "@hayloft/engine/format/row-key.js"
import { query, type Metadata } from "@hayloft/engine/metadata/index.js"
import { type ClassMap, useClass } from "@hayloft/objects/door/index.js"
import type { AcceptedClasses } from "./contract.js"

/** A lock is one of a version. */
const FAMILIES_OF_VERSIONS = ["current", "versions"] as const
const STORAGE_CLASSES_LIMITS = {
  rowsPerStep: 1_000,
  /** Rows in which one plan looks for versions of some classes; buckets beyond that count as if they had some. */
  rowsPerLookMax: 100_000,
} as const

type Family = (typeof VERSION_FAMILIES)[number]
/** The place to look for a class at, and the class. */
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
    if (classes.includes(versionOfRow(family, value).head.storageClass)) return { isFound: true, next: undefined, rows }
  }
  return { isFound: false, next: undefined, rows }
})

/** The archive classes to which the operator has mapped a policy. */
export const mappedArchives = (classes: Pick<ClassMap, "policyOf">): readonly StorageClass[] =>
  STORAGE_CLASSES.filter(each => isArchive(each) && classes.policyOf(each) !== undefined)

export class StorageClasses implements AcceptedClasses {
  constructor(
    private readonly map: Pick<ClassMap, "policyOf" | "use">,
    private readonly metadata: Pick<Metadata, "ask">,
  ) {}

  require(storageClass: StorageClass): void {
    if (!isArchive(storageClass) || this.map.policyOf(storageClass) !== undefined) return
    throw fail("notImplemented", {
      message: `The storage class ${storageClass} is not implemented: the operator has given it no redundancy.`,
    })
  }

  use(storageClass: StorageClass): Promise<void> | undefined {
    return useClass(this.map, storageClass)
  }

  /** With a policy of its own an archive class is an archive, also for what is stored in it already. */
  warningsOfPolicy(storageClass: StorageClass): readonly string[] {
    if (!isArchive(storageClass) || this.map.policyOf(storageClass) !== undefined) return []
    return [
      `objects of ${storageClass} must then be restored before they are read, also those that are read at once now`,
    ]
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
    for await (const step of walkPages(from.start, start => this.metadata.ask(classInRows({ ...from, start })))) {
      rows += step.rows
      if (step.isFound || rows >= rowsMax) return { isFound: step.isFound, rows }
    }
    return { isFound: false, rows }
  }
}
