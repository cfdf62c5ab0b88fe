/**
 * The bytes of objects, for the jobs that keep them whole (`packages/upkeep`): which rows name them, the decisions that
 * replace and release them, and the uploads that still write some.
 */
export type { ObjectBackend } from "../backend.js"
export { policyOfVersion } from "../class-policies.js"
export { dropDigests } from "../commands/block-digests-core.js"
export { policyOfBucket } from "../commands/bucket-commands-core.js"
export { sealPayload, swapSealed, type SharedBytes } from "../commands/encrypt-commands-core.js"
export {
  ALL_HINTS,
  hintsOfPartition,
  noteDamages,
  readHints,
  type HintRow,
} from "../commands/missing-shard-hints-core.js"
export { partKey, partsAfter } from "../commands/multipart-commands-core.js"
export { pendingDeletionsFrom, readNamings, type PendingDeletion } from "../commands/pending-deletion-commands-core.js"
export {
  beginReencoding,
  giveUpReencoding,
  intendedExtent,
  isKept,
  leftIntents,
  swapExtent,
} from "../commands/reencode-commands-core.js"
export { forgetNotes, noteLateWrites, reencodeNotes, type ReencodeNotes } from "../commands/reencode-notes-core.js"
export { dropSource, isReferable, keepReferenced, referencesOf } from "../commands/reference-commands-core.js"
export { putVersion, removeLatest } from "../commands/version-commands-core.js"
export { bucketParts } from "./parts.js"
export { factsOf, hasRandomEtag } from "../bodies/encryption-core.js"
export type { IngestWatch } from "../bodies/ingest.js"
export { AT_REST, keyOfBytes } from "../bodies/key-of-bytes.js"
export {
  EXTENT_FAMILIES,
  extentRows,
  extentsOf,
  isOpenEnd,
  readExtentRows,
  type ExtentFamily,
} from "../queries/extent-rows.js"
export { namingsOf, recoveryHeaderOf, type UploadName } from "../queries/named-extents-core.js"
export type { RowPlace } from "../queries/versions-of-bytes-core.js"
export { ThreadPins } from "../bodies/read-pins.js"
export type { SealedBodies } from "../bodies/sealed-body.js"
export type { StoreClock } from "../store-clock.js"
export { bodyOfBytes } from "../bodies/stored.js"
export { ensureSystemBucket } from "../buckets/system-bucket.js"
export type { Uploads } from "../bodies/uploads.js"
export type { WatchedMetadata } from "../watched-metadata.js"
