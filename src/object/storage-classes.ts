/**
 * Storage classes: the operator maps them to redundancy policies, and what follows for requests and for re-encoding.
 *
 * Promises  Before a version, an upload or a transition rule with another class than STANDARD is stored, the devices
 *           refuse earlier releases, which would drop the class or could not read the rules.
 * Refuses   Archive classes that are not mapped, with `notImplemented`, where a client asks for one. What a rescue
 *           brings keeps its class.
 */
import { fail } from "../base/failures.js"
import type { RowKey } from "../base/ids.js"
import type { Policy } from "../base/policy.js"
import { isArchive, STORAGE_CLASSES, type StorageClass } from "../base/storage-class.js"
import { decodeUpload } from "../format/records.js"
import { decodeVersionHead } from "../format/version-record.js"
import { query, type Metadata } from "../metadata/index.js"
import type { AcceptedClasses } from "./contract.js"
import { ALL_OBJECT_ROWS } from "./queries/extent-rows.js"

/** The operator's map, in the control record. */
export interface ClassMap {
  /** Undefined: not mapped. */
  policyOf(storageClass: StorageClass): Policy | undefined
  /** Whether some class is mapped. */
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

const FAMILIES = ["uploads", "current", "versions"] as const
const ROWS_PER_STEP = 1_000

/** Whether one of the next rows has the class; `next` is set if there are more. */
export const classInRows = query(
  "ClassInRows",
  (view, storageClass: StorageClass, family: (typeof FAMILIES)[number], start: RowKey) => {
    let rows = 0
    for (const [rowKey, { value }] of view.range(family, { ...ALL_OBJECT_ROWS, start, expectedRows: ROWS_PER_STEP })) {
      if (rows === ROWS_PER_STEP) return { isFound: false, next: rowKey }
      rows += 1
      const its = family === "uploads" ? decodeUpload(value).storageClass : decodeVersionHead(value).storageClass
      if (its === storageClass) return { isFound: true, next: undefined }
    }
    return { isFound: false, next: undefined }
  },
)

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

  /** Whether a version or an upload in progress has the class. Reads all rows if none has. */
  async isUsed(storageClass: StorageClass): Promise<boolean> {
    for (const family of FAMILIES) {
      for (let from: RowKey | undefined = ALL_OBJECT_ROWS.start; from !== undefined;) {
        const step: { isFound: boolean; next: RowKey | undefined } = await this.metadata.ask(
          classInRows(storageClass, family, from),
        )
        if (step.isFound) return true
        from = step.next
      }
    }
    return false
  }
}
