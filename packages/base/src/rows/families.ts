/**
 * Families: the kinds of record that a row can have, each stored separately in the metadata store.
 *
 * The numbers are on disk and on the wire: append only, never reuse.
 */
export const FAMILIES = {
  /** The device's own marks: log sequence and volume positions that the metadata store contains. Not replicated. */
  marks: 0,
  /** Needle id → place in a volume. Not replicated. */
  needles: 1,
  /** Object key → the record that a listing shows (the latest version, unless it is a delete marker). */
  current: 2,
  /** Object key + order → older versions, and delete markers. */
  versions: 3,
  /** Object key → last order, last modified, order of the null version, version count. */
  heads: 4,
  /** Object key + order → user metadata, tags and headers too large for the record itself. */
  details: 5,
  /** Object key + start order + multipart id → a multipart upload in progress. */
  uploads: 6,
  /** Object key + multipart id + part number → a part. */
  parts: 7,
  /** Object key + multipart id + segment number → 256 parts of a completed upload. */
  segments: 8,
  /** Bucket name → bucket id. */
  names: 9,
  /** Bucket id → bucket head. */
  buckets: 10,
  /** Bucket id → objects, versions, bytes in this tablet. */
  counters: 11,
  /** Order of the deletion → an upload whose bytes no row references any more. */
  pendingDeletions: 12,
  /** Partition + device → a hint that this device misses shards of this partition. */
  missingShardHints: 13,
  /** Object key + upload id → this upload was aborted; a commit that references it is refused. */
  abortedUploads: 14,
  /** Account id → account. */
  accounts: 15,
  /** Access key id → account, sealed secret. */
  accessKeys: 16,
  /** Account id + bucket name → nothing: the buckets of an account. */
  accountBuckets: 17,
  /** Tablet id → this replica's configuration marks. Not replicated. */
  tablets: 18,
  /** Object key + upload or multipart id → how many versions of the row reference these bytes (from two on). */
  shares: 19,
  /** Bucket id + name of a setting → its document. */
  settings: 20,
  /** Account id + kind + name → a user, group or role. */
  identities: 21,
  /** Account id + name → a managed policy with its versions. */
  managedPolicies: 22,
  /** Account id + URL → an OpenID Connect provider. */
  identityProviders: 23,
  /** Account id + group or policy + identity → nothing: the members of a group, the holders of a policy. */
  identityLinks: 24,
  /** Access key id → when and for which service it was last used. */
  keyUses: 25,
  /** Account number → account id. */
  accountNumbers: 26,
  /** Object key + upload id → the re-encoding of these bytes: under way, or the last one that was given up. */
  intents: 27,
  /** The state that the nodes of a store share: its control record, layouts, nodes, leases and epochs. */
  cluster: 28,
  /** The store's clock, by which locks are judged and which never goes backwards; the end of the commit timestamps in use; the openings of the store. */
  clock: 29,
  /** Bucket id → how far today's pass of its lifecycle rules is; under 0 that over all multipart uploads. */
  lifecycle: 30,
  /** Bucket or account + run → what a quota has counted. */
  usage: 31,
  /** Key id → a named key; "removed " + key id → a deleted one whose materials are still to be removed. */
  kmsKeys: 32,
  /** Account id + name → the named key that the alias stands for. */
  kmsAliases: 33,
  /** Bucket id + number → the secret that keys of the bucket's objects derive from, or a bucket key of SSE-KMS. */
  bucketKeys: 34,
  /** Object key + order + decision id → a version that a bucket with undelete keeps for some days. 35 is not used. */
  deleted: 36,
  /** Token id → a token of the admin API, by the hash of its secret. */
  adminTokens: 37,
  /** Time, the latest first, + random → a change: who, what, before and after. */
  audit: 38,
  /** `latest`; number → the record of the audit log that has it; sink → the number up to which it has the records. */
  auditQueue: 39,
  /** Holder → sessions of browsers with the admin port that were signed out. */
  signOuts: 40,
  /** Job id → a job that a caller has started: what, how far it is, how it ended. */
  jobs: 41,
  /** Bucket id → how much the bucket has held: hourly for a week, daily for a year. */
  usageHistory: 42,
  /** Time, the latest first, + random → a notable event of a node. */
  events: 43,
  /** Partition key + sort key → an item of K2V: its vector, and its values that are small. */
  k2vItems: 44,
  /** Partition key + sort key + node + time → a value of an item. */
  k2vValues: 45,
  /** Partition key → how many items and bytes the partition has, and when it changed. */
  k2vPartitions: 46,
  /** Partition key + time → the item whose latest change was then. */
  k2vChanges: 47,
  /** Account id → what Swift's clients have set on the account. */
  swiftAccounts: 48,
  /** Object key → that the object has changed, in a bucket with the setting `sync`; when, if it was removed. */
  changes: 49,
  /** Object key + multipart id + hash → an append that its client may repeat. */
  appends: 50,
  /** Object key + multipart id → segments of the open end of an object can be sealed or merged. */
  openEnds: 51,
  /** Object key + multipart id → how many segments of other objects reference those with this id. */
  references: 52,
  /** Account id + name → a queue: its id and its settings. */
  queues: 53,
  /** Account id + message id → a message of a queue: its state, and its content if that is small. */
  queueMessages: 54,
  /** Account id + message id → the content of a message. */
  queueContents: 55,
  /** Queue id + time + order → the message that is due then. */
  queueOrder: 56,
  /** Account id + session id → a session of a client that coordinates with others. */
  coordSessions: 57,
  /** Account id + session id + kind + path → nothing: a lock or a file that ends with the session. */
  coordHoldings: 58,
  /** Account id + namespace → its last number, and how much it has. */
  coordNamespaces: 59,
  /** Account id + path → a small file. */
  coordFiles: 60,
  /** Account id + path → a lock: its holders, and the sessions that wait for it. */
  coordLocks: 61,
  /** Account id + namespace + number → a change of a file or a lock. */
  coordChanges: 62,
  /** Object key + multipart id + offset → the digests of blocks of these segments. */
  blockDigests: 63,
  /** Bucket id + digest → where a block with this digest is. */
  blockIndex: 64,
  /** Account id + token → what a transaction has done; or decision id → keys whose absence it has guarded. */
  transactions: 65,
  /** Bucket id + shard → since when the history of its part of the keys is complete. 63 to 65 are taken. */
  history: 66,
  /** Bucket id → how far the packing of its cold small objects is. */
  packing: 67,
  /** Bucket id + commit timestamp + object key → a change of the object, in a bucket whose changes are copied to another store. */
  copyLog: 68,
  /** Bucket id + target → how far the copies are; + object key → an object that the target or this store has refused. */
  copyState: 69,
  /** Class of an end (1) + needle id → place in a volume of needles that end. Not replicated. */
  expiringNeedles: 70,
  /** Bucket id + name of a feature + more → a row of this feature, whose folder has its format. */
  featureRows: 71,
  /** Account id + DN → the policies of a person or a group of an LDAP directory. */
  directoryEntries: 72,
} as const

export type Family = keyof typeof FAMILIES

const BY_NUMBER = new Map(Object.entries(FAMILIES).map(([name, number]) => [number, name as Family]))

export const FAMILY_NAMES = Object.keys(FAMILIES) as Family[]
export const familyOfNumber = (number: number): Family | undefined => BY_NUMBER.get(number as never)
/** Families private to a device, which no other replica of a tablet has. */
const OWN: ReadonlySet<Family> = new Set<Family>(["marks", "needles", "expiringNeedles", "tablets"])
/** Families whose row keys begin with an object's key. */
export const OBJECT_FAMILIES: readonly Family[] = [
  "current",
  "versions",
  "heads",
  "details",
  "uploads",
  "parts",
  "segments",
  "abortedUploads",
  "shares",
  "intents",
  "deleted",
  "changes",
  "appends",
  "openEnds",
  "references",
  "blockDigests",
]
/** Families of K2V, whose row keys begin with a bucket's id and a partition key in the same form. */
export const ITEM_FAMILIES = ["k2vItems", "k2vValues", "k2vPartitions", "k2vChanges"] as const satisfies Family[]
/** Families that are equal on every replica of a tablet. */
export const REPLICATED_FAMILIES: readonly Family[] = FAMILY_NAMES.filter(family => !OWN.has(family))
