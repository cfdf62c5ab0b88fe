/** The door of the object core: the contract of features, and the parts of a store that they build on. */
export type * from "./backed-up-rows.js"
export type * from "./decision-part.js"
export { installedFeatures, installFeatures, jobsOfFeatures, ServiceOf } from "./feature.js"
export type { Core, Feature, FormerVersion, RescuedFeature, RescuedOfAccounts } from "./feature.js"
export { bucketContents, checkReadOfFeatures, familiesOfSegments } from "./parts.js"
export { ChangeWatch } from "../change-watch.js"
export type { BodyEnd, NewObject } from "../bodies/body-ends.js"
export { bucketNamed, bucketNames, bucketsWithSetting } from "../buckets/bucket-service.js"
export { useClass, type ClassMap } from "../class-policies.js"
export type { Bucket, ByteRange } from "../contract.js"
export type { Days, StoreDays } from "../days.js"
export { endFrozen } from "../ended-upload.js"
export { dueTimeMs, shownDueTimeMs } from "../due-time.js"
export { isOpenEnd, type Ingest, type Ingested } from "../bodies/ingest.js"
export { detachSome, type DetachSeams } from "../detach-sources.js"
export type { RateBound } from "../rate-bound-core.js"
export type { ReadPin, ReadPins } from "../bodies/read-pins.js"
export type { Referring, ReferringObject } from "../referring.js"
export type {
  BodySharing,
  FrozenUpload,
  NewBody,
  SharedBody,
  SharedPart,
  SharedSegments,
} from "../bodies/shared-bodies.js"
