/** Storage classes in headers of requests and answers. */
import { fail } from "@hayloft/base/failures.js"
import { STORAGE_CLASSES, type StorageClass } from "@hayloft/base/storage-class.js"
import type { RequestHeaders } from "@hayloft/base/http/request-headers.js"
import type { HeaderField } from "@hayloft/base/http/request-headers.js"

export const CLASS_HEADER = "x-amz-storage-class"

/** The class of the new object or upload. Throws `invalidStorageClass`. */
export function storageClassOfNew(headers: RequestHeaders): StorageClass {
  const text = headers.get(CLASS_HEADER)?.toUpperCase()
  if (text === undefined) return "STANDARD"
  const storageClass = STORAGE_CLASSES.find(name => name === text)
  if (storageClass === undefined) throw fail("invalidStorageClass", { value: text })
  return storageClass
}

/**
 * Source  "HeadObject", Amazon S3 API Reference: "Amazon S3 returns this header for all objects except for S3 Standard
 *         storage class objects."
 */
export const classFields = (storageClass: StorageClass): HeaderField[] =>
  storageClass === "STANDARD" ? [] : [[CLASS_HEADER, storageClass]]
