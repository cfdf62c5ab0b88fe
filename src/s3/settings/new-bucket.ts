/**
 * What a bucket begins with: as Amazon's do since April 2023, or, where the operator allows it for older clients, as they
 * did before. Pure.
 *
 * What differs is written into the bucket as if its owner had taken it away, so that it stays when the operator decides
 * otherwise for buckets to come.
 */
import type { SettingDocuments, SettingName } from "../../object/contract.js"
import { OWNERSHIP_CONTROLS } from "./ownership-controls.js"
import { PUBLIC_ACCESS_BLOCK } from "./public-access-block.js"
import { takenAway } from "./setting.js"

export interface NewBuckets {
  /** Without a public access block. */
  readonly allowPublicBuckets: boolean
  /** Without ownership controls: objects are their writers', and access control lists count. */
  readonly allowAcls: boolean
}

export function settingsOfNewBucket({ allowPublicBuckets, allowAcls }: NewBuckets): SettingDocuments {
  const settings = new Map<SettingName, string>()
  if (allowPublicBuckets) settings.set(PUBLIC_ACCESS_BLOCK.name, takenAway(PUBLIC_ACCESS_BLOCK) ?? "")
  if (allowAcls) settings.set(OWNERSHIP_CONTROLS.name, takenAway(OWNERSHIP_CONTROLS) ?? "")
  return settings
}
