/**
 * The policy that the blocks of a row should have, for walks over all rows.
 *
 * Promises  Bytes that versions of several classes share have the policy that survives the most lost disks; if
 *           several survive equally many, that of the highest class. So none of the versions has less than its class promises.
 * Limits    POLICIES_OF_ROWS_LIMITS. The versions of a key are read once for all rows of the key that follow each other,
 *           and again, at most once in a step, for bytes that had no version by then.
 */
import type { RowKey } from "@hayloft/base/ids.js"
import { tolerance, type Policy } from "@hayloft/base/policy.js"
import { CLASSES_DOWNWARDS, type StorageClass } from "@hayloft/base/storage-class.js"
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import {
  classesOfVersions,
  type ClassOfRow,
  type KeyReading,
  type ReadClasses,
  type BytesOfVersions,
  type SharedName,
} from "./row-classes.js"
import { policyOfVersion } from "@hayloft/objects/door/bytes.js"
import { type ClassMap } from "@hayloft/objects/door/index.js"
import { walkPages } from "@hayloft/base/walk-pages.js"

const POLICIES_OF_ROWS_LIMITS = {
  /** The limit is for one query. */
  versionsPerRead: 1_000,
  /** Names of bytes that are kept; a key with more is read again when one is missing. */
  namesMax: 20_000,
} as const

export class PoliciesOfRows {
  /** The key whose versions were read last. */
  private objectRow: RowKey | undefined
  private known = new Map<SharedName, Set<StorageClass>>()
  private wasReadInStep = false

  constructor(
    private readonly metadata: Pick<Metadata, "ask">,
    private readonly classes: Pick<ClassMap, "policyOf">,
  ) {}

  /** Call it before the rows of each step. */
  nextStep(): void {
    this.wasReadInStep = false
  }

  /** `otherwise`: of the bucket or the store. Undefined: nothing has the bytes, which only wait for their removal. */
  of(ofClass: ClassOfRow, otherwise: Policy): Policy | Promise<Policy | undefined> {
    if (typeof ofClass === "string") return policyOfVersion(this.classes, ofClass, otherwise)
    return this.sharedBy(ofClass).then(found => {
      const [safest] = CLASSES_DOWNWARDS.filter(each => found.has(each) || each === ofClass.referencedIn)
        .map(each => policyOfVersion(this.classes, each, otherwise))
        .sort((a, b) => tolerance(b) - tolerance(a))
      return safest
    })
  }

  private async sharedBy(bytes: BytesOfVersions): Promise<ReadonlySet<StorageClass>> {
    const isOther = bytes.objectRow !== this.objectRow
    if (isOther || (!this.known.has(bytes.name) && !this.wasReadInStep)) await this.read(bytes)
    return this.known.get(bytes.name) ?? new Set()
  }

  private async read({ objectRow, name: wanted }: BytesOfVersions): Promise<void> {
    const { versionsPerRead, namesMax } = POLICIES_OF_ROWS_LIMITS
    const known = new Map<SharedName, Set<StorageClass>>()
    let isWhole = true
    const pages = walkPages<KeyReading | undefined, ReadClasses>(undefined, from =>
      this.metadata.ask(classesOfVersions(objectRow, from, versionsPerRead)),
    )
    for await (const { found } of pages) {
      for (const [name, storageClass] of found) {
        const classes = known.get(name)
        if (classes !== undefined) classes.add(storageClass)
        else if (known.size < namesMax || name === wanted) known.set(name, new Set([storageClass]))
        else isWhole = false
      }
    }
    this.objectRow = objectRow
    this.known = known
    // For a key with too many names, each missing name is looked for.
    this.wasReadInStep = isWhole
  }
}
