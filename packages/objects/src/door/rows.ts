/** The rows of the core on which features decide: its commands, what they share, and its queries. */
export { base64Of, DEFAULT_CHECKSUM } from "../bodies/body-check-core.js"
export { offsetOfRow, placesOf, uniqueBlocks } from "../commands/block-digests-core.js"
export { bucketWrite, findBucket, setSetting } from "../commands/bucket-commands-core.js"
export {
  ALL_BUCKETS,
  allBuckets,
  bucketOfRow,
  countersIn,
  readCounters,
  requireBucket,
} from "../commands/bucket-rows-core.js"
export { evaluateCopySource } from "../commands/conditions-core.js"
export { combineCrcs, isCrc } from "../commands/crc-combine-core.js"
export { decideEach } from "../commands/decide-each-core.js"
export type { Edited } from "../commands/edited-core.js"
export { expiryClock, isExpired, leavesNothing, requireUnexpired } from "../commands/expiry-core.js"
export {
  findLatest,
  findVersion,
  orderAfter,
  pendingDeletionOf,
  readDetails,
  type VersionMatch,
} from "../commands/found-versions-core.js"
export { clocksOf, lockOfNew, requireRemovable } from "../commands/lock-core.js"
export {
  addressKeyOf,
  checkFrozen,
  completeUploadIn,
  endUpload,
  findUpload,
  isBeingCompleted,
  needsFreeze,
  requireUpload,
  sealedBy,
  segmentWrites,
  type CompleteUpload,
  type Completion,
  type FrozenParts,
  type UploadAddress,
} from "../commands/multipart-commands-core.js"
export { dropRows, type RowAsRead } from "../commands/pending-deletion-commands-core.js"
export { noteOf } from "../commands/reencode-notes-core.js"
export {
  closedReferences,
  closeReferences,
  deletionOfSegments,
  withReferences,
} from "../commands/reference-commands-core.js"
export { versionOfSegments } from "../queries/versions-of-bytes-core.js"
export { renameIn, sourceBucketOf, type RenameObject } from "../commands/rename-core.js"
export { NO_CHECKSUM, RowEditor, type NewVersion } from "../commands/row-editor-core.js"
export {
  lastSegment,
  type MovedBytes,
  openIf,
  putSegment,
  type SegmentBytes,
  segmentPart,
  segmentsOf,
} from "../commands/segments-core.js"
export {
  checkOwnUpload,
  checkWrite,
  hintRowKey,
  HINTS_PER_COMMAND,
  insertVersion,
  isGuard,
  MARKER,
  recordHints,
  removeLatestIn,
  removeVersionIn,
  requirePresent,
  type CheckedWrite,
  type MissingShardHint,
  type PutVersion,
  type RemoveLatest,
  type RemoveVersion,
  type Stored,
} from "../commands/version-commands-core.js"
export { bodyOfSource, segmentOfOffset, segmentsOfRange, versionAndPart } from "../bodies/object-reader.js"
export { ALL_OBJECT_ROWS, rowsOfBucket } from "../queries/extent-rows.js"
export { commonPrefixOf, later, listed, startAfter, withExtras, type Extras } from "../queries/listing-core.js"
export {
  bytesOfLine,
  bytesOfParts,
  endOfSegment,
  endOfSegmentAt,
  extentsOfSegment,
  hasOwnBytes,
  partLinesOf,
  manifestOf,
  manifestOfSource,
  piecesOf,
  referencesRowKey,
  referencesTo,
  sourcesOf,
  type ManifestAddress,
  type SegmentsName,
} from "../queries/manifest-core.js"
export { mergedVersions } from "../queries/merged-versions.js"
export { headersOf, infoOf, packDetails, putResultOf, segmentsMd5Of } from "../queries/object-info-core.js"
export { resolveRange } from "../queries/range-core.js"
export { recount, RECOUNT_LIMITS, type Recounted, type WalkSeams } from "../queries/recount.js"
export { usageChanges } from "../commands/usage-core.js"
