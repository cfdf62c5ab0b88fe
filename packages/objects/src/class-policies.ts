/**
 * The redundancy of storage classes. The class of a version is an attribute of it; the operator may map a class to a policy,
 * which its blocks have in place of that of the bucket or the store.
 *
 * Promises  Before a version or an upload with another class than STANDARD is stored, the devices refuse earlier releases,
 *           which would drop the class.
 */
import type { Policy } from "@hayloft/base/policy.js"
import type { StorageClass } from "@hayloft/base/storage-class.js"

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

/**
 * Makes the devices refuse releases that know no storage classes: await it before the first write with the class. Returns
 * undefined if there is nothing to wait for.
 */
export const useClass = (classes: Pick<ClassMap, "use">, storageClass: StorageClass): Promise<void> | undefined =>
  storageClass === "STANDARD" ? undefined : classes.use()
