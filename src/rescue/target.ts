/** Where a rescue writes to: a new store, or nowhere (then everything is read and verified all the same). */
import { parseAccountId } from "../base/ids.js"
import type { AccessKeyId, AccountId, BucketName, ObjectKey } from "../base/ids.js"
import type { Versioning } from "../format/records.js"
import type { SettingDocuments } from "../object/index.js"
import type { VersionDetails } from "../format/version-record.js"
import type { PlannedVersion } from "./plan.js"
import { RescuedBody } from "./source-body.js"
import type { SourceShards } from "./source-shards.js"

export interface BucketPlan {
  readonly name: BucketName
  readonly owner: AccountId
  readonly location: string
  readonly versioning: Versioning
  readonly settings: SettingDocuments
}

export interface ReadyVersion extends PlannedVersion {
  readonly details: VersionDetails
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

export interface RescueTarget {
  /** Owns what nobody owns any more. */
  readonly rootAccount: AccountId
  addAccount(account: RescuedAccount): Promise<void>
  addAccessKey(key: RescuedAccessKey): Promise<void>
  addBucket(bucket: BucketPlan): Promise<void>
  /** Whether these versions must be written with nothing else under way. */
  isAlone(bucket: BucketPlan, versions: readonly ReadyVersion[]): boolean
  /**
   * Gives a key its versions, oldest first, in place of what an earlier run left there. For each why it
   * could not be had; undefined: it is there. Throws what is wrong with the target.
   */
  write(bucket: BucketPlan, key: ObjectKey, versions: readonly ReadyVersion[]): Promise<readonly (string | undefined)[]>
  /** All keys are written. */
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
  readonly addBucket = () => Promise.resolve()
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
    const bodies = content.kind === "multipart" ? content.parts.map(({ body }) => body) : []
    if (content.kind === "single") bodies.push(content.body)
    for (const body of bodies) {
      const nothing = { md5: undefined, checksum: undefined }
      const source = new RescuedBody(this.shards, body, nothing, this.onBytes, this.signal)
      try {
        for await (const _piece of source.open());
      } catch (error) {
        return source.reasonOf(error)
      }
    }
    return undefined
  }
}
