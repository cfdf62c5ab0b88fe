/**
 * The initial settings of a bucket: those of Amazon since April 2023, or, if the operator allows it for older clients,
 * the earlier ones. Pure.
 *
 * Differences are stored in the bucket as if its owner had deleted the settings, so that they remain if the operator
 * changes the choice for later buckets.
 */
import type { SettingDocuments, BucketSettingName } from "@hayloft/objects/contract.js"
import { BUCKET_ENCRYPTION, SSE_S3_BY_DEFAULT } from "./encryption.js"
import { OWNERSHIP_CONTROLS } from "./ownership-controls.js"
import { PUBLIC_ACCESS_BLOCK } from "./public-access-block.js"
import { deletedDocument, documentOf } from "./setting.js"

export interface NewBuckets {
  /** New buckets have no public access block. */
  readonly allowPublicBuckets: boolean
  /** New buckets have no ownership controls: writers own their objects, and access control lists apply. */
  readonly allowAcls: boolean
  /** New buckets have SSE-S3 as their default encryption, as on Amazon since January 2023. */
  readonly encryptNewBuckets: boolean
}

export function settingsOfNewBucket({
  allowPublicBuckets,
  allowAcls,
  encryptNewBuckets,
}: NewBuckets): SettingDocuments {
  const settings = new Map<BucketSettingName, string>()
  if (allowPublicBuckets) settings.set(PUBLIC_ACCESS_BLOCK.name, deletedDocument(PUBLIC_ACCESS_BLOCK) ?? "")
  if (allowAcls) settings.set(OWNERSHIP_CONTROLS.name, deletedDocument(OWNERSHIP_CONTROLS) ?? "")
  if (encryptNewBuckets) settings.set(BUCKET_ENCRYPTION.name, documentOf(BUCKET_ENCRYPTION, SSE_S3_BY_DEFAULT))
  return settings
}
