/** Objects: buckets, objects, versions, multipart uploads, listings; their commands and services. */
export type * from "./contract.js"
export { endOfSegment, extentsOfSegment, piecesOf, referencesRowKey, sourcesOf } from "./queries/manifest-core.js"
export { wrongChecksum, wrongMd5 } from "./bodies/body-check-core.js"
export { BucketErasing } from "./buckets/bucket-erasing.js"
export type { BucketErasure } from "./commands/erase-commands-core.js"
export { isBucketUnchanged, largestOf, sizesOfBuckets, type LockedBucket } from "./buckets/bucket-service.js"
export { hintOfKey } from "./commands/missing-shard-hints-core.js"
export { useClass, type ClassMap } from "./class-policies.js"
export { createCore, type CoreSeams, type CoreServices, type CoreSettings } from "./services.js"
export type { StoreTime } from "./store-clock.js"
export { dueTimeMs, shownDueTimeMs } from "./due-time.js"
export { SYSTEM_BUCKET, SYSTEM_BUCKET_ID } from "./buckets/system-bucket.js"
export { evaluateRead } from "./commands/conditions-core.js"
export { resolveRange } from "./queries/range-core.js"
export { lockOfRestored, strictestOf } from "./commands/lock-core.js"
export * from "./copied-changes.js"
export { headersOf, packFoundDetails, segmentsMd5Of, timestampOfInfo } from "./queries/object-info-core.js"
export { REAL_DAYS, type Days, type StoreDays } from "./days.js"
export {
  LARGE_OBJECT_LIMITS,
  openListed,
  openSegments,
  segmentsIn,
  type SegmentsOfObject,
} from "./bodies/large-object.js"
export { namingSource } from "./missing-source.js"
export { bodyOfSource } from "./bodies/object-reader.js"
export { versionPages } from "./version-pages.js"
export { gathered, StoredObjects, type NewStored } from "./bodies/stored.js"
export { EncryptionKeyUses } from "./bodies/key-uses.js"
export type { SealedSource } from "./bodies/sealed-import.js"
export { RETENTION_LIMITS, type DuePositions, type ByteRetention } from "./bodies/retention.js"
