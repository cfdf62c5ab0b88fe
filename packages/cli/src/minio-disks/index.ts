/** Reads the disks of a stopped MinIO: its buckets, objects and settings. Nothing on them changes. */
export { parseBucketMetadata, type BucketMetadata } from "./bucket-metadata.js"
export { openDrives, SYSTEM_FOLDER } from "./drives.js"
export { DiskFailure } from "./failure.js"
export {
  IDENTITIES_FOLDER,
  parseIdentityFile,
  type IdentityFile,
  type MinioGroup,
  type MinioServiceKey,
} from "./identities.js"
export { Listing, type DiskObject } from "./listing.js"
export type { MergedVersion } from "./merged.js"
export { contentOf, factsOf, refusalOf } from "./minio-object.js"
