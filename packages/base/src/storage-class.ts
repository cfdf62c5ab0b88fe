/** Storage classes: Amazon's names. The operator says which redundancy policy a class has; see decision 58. */

/** A class's number is its place, and is on disk (byte 3 of a version's head): append only. */
export const STORAGE_CLASSES = [
  "STANDARD",
  "REDUCED_REDUNDANCY",
  "STANDARD_IA",
  "ONEZONE_IA",
  "INTELLIGENT_TIERING",
  "GLACIER",
  "DEEP_ARCHIVE",
  "GLACIER_IR",
] as const

export type StorageClass = (typeof STORAGE_CLASSES)[number]

/** From the top down: of equally safe policies, bytes that versions share have that of the class that is further up. */
export const CLASSES_DOWNWARDS: readonly StorageClass[] = [
  "STANDARD",
  "REDUCED_REDUNDANCY",
  "STANDARD_IA",
  "INTELLIGENT_TIERING",
  "ONEZONE_IA",
  "GLACIER_IR",
  "GLACIER",
  "DEEP_ARCHIVE",
]

export const numberOfClass = (storageClass: StorageClass): number => STORAGE_CLASSES.indexOf(storageClass)

/** Must be restored before they are read; refused where the operator has not mapped them. */
export const isArchive = (storageClass: StorageClass): boolean =>
  storageClass === "GLACIER" || storageClass === "DEEP_ARCHIVE"
