/** The checksums that S3 clients may declare for what they send: those of Amazon's model. */

/** Their numbers are on disk: append only. */
export const CHECKSUM_ALGORITHMS = [
  "CRC32",
  "CRC32C",
  "CRC64NVME",
  "SHA1",
  "SHA256",
  "SHA512",
  "MD5",
  "XXHASH64",
  "XXHASH3",
  "XXHASH128",
] as const
export type ChecksumAlgorithm = (typeof CHECKSUM_ALGORITHMS)[number]
