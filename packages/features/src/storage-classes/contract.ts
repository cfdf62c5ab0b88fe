/** Storage classes for protocols: which ones have a place, and archived objects, which are restored before they are read. */
import type { StorageClass } from "@hayloft/base/storage-class.js"
import type { RestoreTier, VersionRestore } from "@hayloft/engine/format/objects/restore.js"
import type { ObjectTarget } from "@hayloft/objects/contract.js"

/** Storage classes as the operator has them. */
export interface AcceptedClasses {
  /** The class to which a rule moves objects by itself. Throws `notImplemented` for an archive class that the operator has not mapped. */
  require(storageClass: StorageClass): void
  /** Before anything with the class is stored, or a rule that names it: earlier releases know none. Undefined: it may be now. */
  use(storageClass: StorageClass): Promise<void> | undefined
}

export interface RestoreRequest {
  /** From now to a midnight. */
  readonly days: number
  readonly tier: RestoreTier
}

/** The object of a restore. */
export interface ArchivedObject {
  readonly storageClass: StorageClass
  readonly restore?: VersionRestore | undefined
}

export interface Archives {
  /**
   * Makes an archived version readable for some days. Returns whether it was already, as it always is in a class that is only a
   * name: then only the end of its restore has changed.
   * Throws `invalidObjectState`, `invalidArgument`, and as `Objects.get`.
   */
  restore(target: ObjectTarget, request: RestoreRequest): Promise<boolean>
  /**
   * Until when a version can be read that is in an archive, or in a class of that name; undefined: it is not restored, or that
   * is over, or it is in none.
   */
  restoredUntilMs(object: ArchivedObject): number | undefined
}
