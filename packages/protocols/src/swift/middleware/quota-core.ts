/**
 * Quotas of containers, which their owner sets as metadata. Pure.
 *
 * As in Swift they hold for uploads and copies through Swift, and are compared with what the container has when the request
 * arrives: requests at the same moment may pass together. Quotas that nothing exceeds are those of the store
 * (`hayloft quota`).
 * Source  The middleware `container_quotas` of OpenStack Swift.
 */
import { fail } from "@hayloft/base/failures.js"
import type { BucketUsage } from "@hayloft/objects/contract.js"
import type { SwiftMetadata } from "../metadata-core.js"

const BYTES = "quota-bytes"
const COUNT = "quota-count"

interface ContainerQuota {
  readonly bytes: number | undefined
  readonly objects: number | undefined
}

function limitIn(metadata: SwiftMetadata, name: string): number | undefined {
  const text = metadata.find(([known]) => known === name)?.[1]
  return text === undefined ? undefined : Number(text)
}

/** Returns undefined if none is set. */
export function quotaOf(metadata: SwiftMetadata): ContainerQuota | undefined {
  const quota = { bytes: limitIn(metadata, BYTES), objects: limitIn(metadata, COUNT) }
  return quota.bytes === undefined && quota.objects === undefined ? undefined : quota
}

/** Throws `invalidRequest` for a quota that is no number. */
export function checkQuotas(metadata: SwiftMetadata): void {
  for (const [name, value] of metadata) {
    if ((name === BYTES || name === COUNT) && !/^\d{1,15}$/.test(value))
      throw fail("invalidRequest", { message: `Invalid ${name === BYTES ? "bytes" : "count"} quota.` })
  }
}

/** `bytes`: of the new object; undefined: not known before the upload. Throws `quotaExceeded`. */
export function requireRoom(quota: ContainerQuota, used: BucketUsage, bytes: number | undefined): void {
  const isOver = used.bytes + (bytes ?? 0) > (quota.bytes ?? Infinity) || used.objects + 1 > (quota.objects ?? Infinity)
  if (isOver) throw fail("quotaExceeded", { holder: "container", message: "Upload exceeds quota." })
}
