/**
 * Storage policies: the storage classes of S3, which the operator maps to redundancy. A container has the policy that it was
 * made with, and what Swift stores in it has that class. Pure.
 *
 * Refuses  Classes whose objects must be restored before they are read: Swift has no request for that.
 */
import { fail } from "@hayloft/base/failures.js"
import { isArchive, STORAGE_CLASSES, type StorageClass } from "@hayloft/base/storage-class.js"
import type { SwiftContainer } from "@hayloft/engine/format/swift/swift-container.js"
import type { Headers } from "@hayloft/base/http/request-headers.js"

export const DEFAULT_POLICY: StorageClass = "STANDARD"

export const POLICIES: readonly StorageClass[] = STORAGE_CLASSES.filter(name => !isArchive(name))

/** Returns undefined if the request names none. Throws `invalidRequest`. */
export function policyIn(headers: Headers): StorageClass | undefined {
  const text = headers.get("x-storage-policy")
  if (text === undefined || text === "") return undefined
  const policy = POLICIES.find(name => name.toLowerCase() === text.toLowerCase())
  if (policy === undefined)
    throw fail("invalidRequest", {
      message: `Invalid X-Storage-Policy '${text.slice(0, 80)}': one of ${POLICIES.join(", ")}`,
    })
  return policy
}

/** Throws `conflict`: the policy of a container is for ever. */
export function requireSamePolicy(policy: StorageClass | undefined, wanted: StorageClass | undefined): void {
  const present = policy ?? DEFAULT_POLICY
  if (wanted === undefined || wanted === present) return
  throw fail("conflict", { message: `the storage policy of the container is ${present}, and cannot be changed` })
}

/** The header by which S3 stores an object under the policy of its container. */
export const policyHeaders = ({ policy }: Pick<SwiftContainer, "policy">): readonly string[] =>
  policy === undefined ? [] : ["x-amz-storage-class", policy]
