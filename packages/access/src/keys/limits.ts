/**
 * Limits of keys: how many there are, and what this process keeps of them in memory.
 *
 * Source  "Resource quotas" and "ScheduleKeyDeletion", "EnableKeyRotation", AWS KMS Developer Guide and API Reference.
 */
export const NAMED_KEY_LIMITS = {
  /** Versions of the built-in keys of an account, of which each key has one or more. */
  versionsPerAccountMax: 256,
  /**
   * The limit is for all accounts. The rest of the key ring (`KEY_MATERIALS_MAX`) is for the keys of accounts for S3,
   * whose first version is made beyond these limits.
   */
  versionsMax: 768,
  /** Keys of external key services that a store has registered. */
  externalMax: 256,
  aliasesPerKeyMax: 50,
  tagsMax: 50,
  descriptionCharactersMax: 8192,
  deletionDays: { least: 7, most: 30, usual: 30 },
  rotationDays: { least: 90, most: 2560, usual: 365 },
  onDemandRotationsMax: 25,
} as const

export const DAY_MS = 86_400_000

export const BUCKET_KEY_LIMITS = {
  /** Opened secrets of buckets in memory; with one more, all are forgotten. */
  openedSecretsMax: 10_000,
  /** How long the objects of a bucket share a new bucket key. */
  bucketKeyMs: DAY_MS,
} as const
