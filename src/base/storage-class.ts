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

export const numberOfClass = (storageClass: StorageClass): number => STORAGE_CLASSES.indexOf(storageClass)

/** Must be restored before they are read; refused where the operator has not mapped them. */
export const isArchive = (storageClass: StorageClass): boolean =>
  storageClass === "GLACIER" || storageClass === "DEEP_ARCHIVE"
