/** Target of a rescue: a new store, or none (a dry run still reads and verifies everything). */
import { parseAccountId } from "@hayloft/base/ids.js"
import type { KmsKeyRecord } from "@hayloft/engine/format/accounts/kms-records.js"
import type { AccessKeyId, AccountId, BucketName, KmsKeyId, ObjectKey } from "@hayloft/base/ids.js"
import type { Policy } from "@hayloft/base/policy.js"
import type { StorageClass } from "@hayloft/base/storage-class.js"
import type { BackedUpRows, RescuedFeature, RescuedOfAccounts, RowsToRescue } from "@hayloft/features/index.js"
import type { AccountRecord, BucketRecord, Versioning } from "@hayloft/engine/format/records.js"
import type { BucketLock, SealedSource, SettingDocuments, VersionLock } from "@hayloft/objects/index.js"
import type { VersionDetails } from "@hayloft/engine/format/objects/version-record.js"
import { rangesIn, type PlannedVersion } from "./plan.js"
import { RescuedBody } from "./source-body.js"
import type { SourceShards } from "./source-shards.js"

export interface BucketPlan {
  readonly name: BucketName
  readonly owner: AccountId
  readonly location: string
  readonly versioning: Versioning
  readonly settings: SettingDocuments
  /** It is undefined if there is no object lock. */
  readonly lock: BucketLock | undefined
}

export interface ReadyVersion extends PlannedVersion {
  readonly details: VersionDetails
  /** The lock that the new version is to have; its bucket then has object lock. */
  readonly lock: VersionLock | undefined
  readonly storageClass: StorageClass
  /** Its bytes are encrypted as they are. */
  readonly sealed: SealedSource | undefined
  /** The reason why it cannot be written. */
  readonly problem: string | undefined
}

export interface RescuedAccount {
  readonly id: AccountId
  readonly displayName: string
  readonly email: string
}

export interface RescuedAccessKey {
  readonly accountId: AccountId
  readonly id: AccessKeyId
  readonly secret: string
}

export interface RescuedKey {
  /** With its new account. */
  readonly record: KmsKeyRecord
  /** The number of its account in the former store, which its policy names. */
  readonly formerNumber: string | undefined
}

/** The rows of a feature that a rescue has found. */
type FoundRows = Omit<RowsToRescue, "into">

export interface RescueTarget {
  /** Owner of everything whose owner is unknown. */
  readonly rootAccount: AccountId
  addAccount(account: RescuedAccount): Promise<void>
  addAccessKey(key: RescuedAccessKey): Promise<void>
  /** `key`: undefined if its row is lost. `materials`: of a built-in one, in the order of their versions. */
  addNamedKey(id: KmsKeyId, key: RescuedKey | undefined, materials: readonly Uint8Array[]): Promise<void>
  /** Returns why the new store cannot have the redundancy; undefined if it has. */
  addClass(storageClass: StorageClass, policy: Policy): Promise<string | undefined>
  /** Once everything is written: nothing of that was overwritten by a client. `had`: the bucket in the former store. */
  setFeature(name: BucketName, feature: RescuedFeature, had: BucketRecord): Promise<void>
  /** Sets a feature of an account, once everything is written. `had`: the account in the former store. */
  setFeatureOfAccount(id: AccountId, feature: RescuedOfAccounts, had: AccountRecord): Promise<void>
  /** Again with object lock, once it is known that the bucket had it. */
  addBucket(bucket: BucketPlan): Promise<void>
  /** Before anything is written to the bucket, which would make another. Returns why it cannot; undefined if it has. */
  addBucketSecret(name: BucketName, secret: Uint8Array): Promise<string | undefined>
  /** Returns true if these versions must be written while nothing else is being written. */
  isAlone(bucket: BucketPlan, versions: readonly ReadyVersion[]): boolean
  /**
   * Writes the versions of a key, oldest first, in place of those of an earlier run. Returns for each version why its
   * source failed; undefined if it was written. Throws errors of the target.
   */
  write(bucket: BucketPlan, key: ObjectKey, versions: readonly ReadyVersion[]): Promise<readonly (string | undefined)[]>
  /** Adds rows of a feature to those that are there; returns how many of each kind. */
  addRows(feature: BackedUpRows, found: FoundRows): Promise<Readonly<Record<string, number>>>
  /** Call after all keys are written. */
  finish(): Promise<void>
  close(): Promise<void>
}

/** Reads everything and keeps nothing. */
export class DryTarget implements RescueTarget {
  constructor(
    private readonly shards: SourceShards,
    private readonly onBytes: (count: number) => void,
    private readonly signal: AbortSignal,
  ) {}

  readonly rootAccount = parseAccountId("root")
  readonly isAlone = () => false
  readonly addAccount = () => Promise.resolve()
  readonly addAccessKey = () => Promise.resolve()
  readonly addNamedKey = () => Promise.resolve()
  readonly addClass = () => Promise.resolve(undefined)
  readonly setFeature = () => Promise.resolve()
  readonly setFeatureOfAccount = () => Promise.resolve()
  readonly addBucket = () => Promise.resolve()
  readonly addBucketSecret = () => Promise.resolve(undefined)
  readonly addRows: RescueTarget["addRows"] = (feature, found) => feature.rescue({ ...found, into: undefined })
  readonly finish = () => Promise.resolve()
  readonly close = () => Promise.resolve()

  async write(
    _bucket: BucketPlan,
    _key: ObjectKey,
    versions: readonly ReadyVersion[],
  ): Promise<readonly (string | undefined)[]> {
    const problems: (string | undefined)[] = []
    for (const { content } of versions) problems.push(await this.verify(content))
    return problems
  }

  private async verify(content: PlannedVersion["content"]): Promise<string | undefined> {
    for (const range of rangesIn(content)) {
      const nothing = { md5: undefined, checksum: undefined }
      const source = new RescuedBody(this.shards, [range], nothing, this.onBytes, this.signal)
      try {
        for await (const _piece of source.open());
      } catch (error) {
        return source.reasonOf(error)
      }
    }
    return undefined
  }
}
