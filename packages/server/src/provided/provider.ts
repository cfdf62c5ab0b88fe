/**
 * Provider: makes the buckets and users that the operator has named in the settings, at each start, before clients can send
 * requests.
 *
 * Promises  What is there already stays as it is, apart from what an entry says: the access of everybody to a bucket, the
 *           secret of a user, and policies that it lacks. Policies that an earlier start has attached and that the entry no
 *           longer names are detached, and those that somebody else has attached are not. A second start with the same
 *           settings changes nothing. An entry that cannot be made is logged by its name and does not keep the others, or the
 *           store, from starting.
 */
import type { Account, Accounts, Identities, IdentityRef, Keyring } from "@hayloft/access/index.js"
import { arnOfPolicy } from "@hayloft/admin/index.js"
import { asFailure, fail, isFailure, unlessMissing } from "@hayloft/base/failures.js"
import type { AccountId } from "@hayloft/base/ids.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Telemetry } from "@hayloft/base/seams/telemetry/contract.js"
import type { ProvidedBucket, ProvidedUser, PublicAccess, ServeConfig } from "@hayloft/node/config/index.js"
import type { Bucket, Buckets, SettingDocuments } from "@hayloft/objects/contract.js"
import type { S3BucketDocuments } from "@hayloft/protocols/s3/index.js"
import {
  type AttachedUser,
  GIVEN_TAG,
  givenPolicies,
  policyOfGrants,
  publicPolicy,
  tagOfGiven,
} from "./policies-core.js"

interface ProviderParts {
  readonly clock: Clock
  readonly log: Telemetry["log"]
  readonly rootAccount: AccountId
  readonly rootKey: string
  readonly accounts: Pick<Accounts, "getAccount" | "getKey" | "importKey" | "removeKey"> & Pick<Keyring, "secretOf">
  readonly identities: Pick<
    Identities,
    "create" | "get" | "attach" | "detach" | "setTags" | "putInline" | "removeInline" | "findPolicyNamed"
  >
  readonly buckets: Pick<Buckets, "create" | "open">
  readonly newBucketSettings: SettingDocuments
  readonly documents: Pick<S3BucketDocuments, "get" | "put" | "remove">
}

/** The policy of a user for single buckets, which only the provider changes. */
const GRANTS_POLICY = "provided-buckets"
const BLOCK = "public-access-block"
const POLICY = "policy"

/** Another node may make the same at the same time: the user, and its key, which it may replace. A later try finds them. */
const TRIES_MAX = 4

/** Key order does not matter. */
const sameJson = (a: unknown, b: unknown): boolean => canonical(a) === canonical(b)

function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, member: unknown) =>
    typeof member === "object" && member !== null && !Array.isArray(member)
      ? Object.fromEntries(Object.entries(member).sort(([a], [b]) => (a < b ? -1 : 1)))
      : member,
  )
}

export class Provider {
  constructor(private readonly parts: ProviderParts) {}

  /** Never rejects. */
  async provide({ buckets, users }: Pick<ServeConfig, "buckets" | "users">): Promise<void> {
    for (const bucket of buckets) await this.attempt("bucket", bucket.name, () => this.provideBucket(bucket))
    for (const user of users) await this.attempt("user", user.name, () => this.provideUser(user))
  }

  private async attempt(kind: "bucket" | "user", name: string, make: () => Promise<boolean>): Promise<void> {
    const { log } = this.parts
    for (let triesLeft = TRIES_MAX - 1; ; triesLeft -= 1) {
      try {
        if (await make()) log.info("provided", { kind, name })
        return
      } catch (error) {
        if (triesLeft > 0) continue
        log.error("provide_failed", { kind, name, reason: asFailure(error).message })
        return
      }
    }
  }

  /** Returns whether anything has changed. */
  private async provideBucket({ name, access }: ProvidedBucket): Promise<boolean> {
    const { buckets, rootAccount: owner, newBucketSettings: settings } = this.parts
    const found = await this.find(name)
    if (found !== undefined && found.owner !== owner) throw fail("bucketExists")
    const bucket = found ?? (await buckets.create({ name, owner, location: "", settings }))
    const isOpened = access !== undefined && (await this.setAccess(bucket, access))
    return found === undefined || isOpened
  }

  private async find(name: ProvidedBucket["name"]): Promise<Bucket | undefined> {
    try {
      return await this.parts.buckets.open(name)
    } catch (error) {
      if (isFailure(error, "noSuchBucket")) return undefined
      throw error
    }
  }

  /** A public policy has no effect behind the block that new buckets have, so the block goes first. */
  private async setAccess(bucket: Bucket, access: PublicAccess): Promise<boolean> {
    const { documents } = this.parts
    const wanted = publicPolicy(bucket.name, access)
    const present = await documents.get(bucket, POLICY)
    const isBlocked = wanted !== undefined && (await documents.get(bucket, BLOCK)) !== undefined
    if (isBlocked) await documents.remove(bucket, BLOCK)
    if (sameJson(present, wanted)) return isBlocked
    if (wanted === undefined) await documents.remove(bucket, POLICY)
    else await documents.put(bucket, POLICY, wanted)
    return true
  }

  /** Returns whether anything has changed. Everything that may be refused is looked up first. */
  private async provideUser(user: ProvidedUser): Promise<boolean> {
    const { accounts, identities, rootAccount: accountId, rootKey } = this.parts
    if (user.name === rootKey) throw fail("invalidArgument", { message: "this is the access key of the root account" })
    const account = await accounts.getAccount(accountId)
    if (account === undefined) throw fail("noSuchAccount", { account: accountId })
    const policies = await this.arnsOf(account, user)
    const ref = { accountId, kind: "user", name: user.name } as const
    const found = await unlessMissing(identities.get(ref))
    const record =
      found ?? (await identities.create({ ...ref, path: "/", tags: [], boundary: undefined, role: undefined }))
    const isAttached = await this.attach(ref, record, policies)
    const present = record.inline.find(({ name }) => name === GRANTS_POLICY)?.text
    const isGranted = await this.grant(ref, user, present)
    const isKeySet = await this.setKey(user)
    return found === undefined || isAttached || isGranted || isKeySet
  }

  /** Attached policies are recorded before they are, so that a start that ends early leaves none that nobody takes back. */
  private async attach(ref: IdentityRef, record: AttachedUser, wanted: readonly string[]): Promise<boolean> {
    const { identities } = this.parts
    const given = givenPolicies(record)
    const missing = wanted.filter(arn => !record.attached.includes(arn))
    const surplus = given.filter(arn => !wanted.includes(arn))
    for (const arn of surplus) await identities.detach(ref, arn)
    const tag = tagOfGiven([...given.filter(arn => wanted.includes(arn)), ...missing])
    const [, present] = record.tags.find(([key]) => key === GIVEN_TAG) ?? []
    if (tag?.[1] !== present) await identities.setTags(ref, tag ? [tag] : [], tag ? [] : [GIVEN_TAG], "store")
    for (const arn of missing) await identities.attach(ref, arn)
    return missing.length > 0 || surplus.length > 0
  }

  private async arnsOf(account: Account, { policies }: ProvidedUser): Promise<readonly string[]> {
    const arns: string[] = []
    for (const policy of policies) arns.push(await arnOfPolicy(this.parts, account, policy))
    return arns
  }

  private async grant(ref: IdentityRef, { grants }: ProvidedUser, present: string | undefined): Promise<boolean> {
    const { identities } = this.parts
    const wanted = policyOfGrants(grants)
    if (sameJson(present && JSON.parse(present), wanted)) return false
    if (wanted === undefined) await identities.removeInline(ref, GRANTS_POLICY)
    else await identities.putInline(ref, GRANTS_POLICY, JSON.stringify(wanted))
    return true
  }

  /** A key that an operator has disabled stays disabled. */
  private async setKey({ name: id, secret }: ProvidedUser): Promise<boolean> {
    const { accounts, clock, rootAccount: accountId } = this.parts
    const owner = { accountId, userName: id }
    const key = await accounts.getKey(id)
    if (key !== undefined) {
      if (key.accountId !== accountId || key.userName !== id)
        throw fail("accessKeyExists", { message: "another user has this access key" })
      if (!key.isActive) return false
      const known = await accounts.secretOf(id, undefined, clock.wallMs())
      if (known?.secret === secret) return false
      await accounts.removeKey(id, owner)
    }
    await accounts.importKey({ ...owner, id, secret })
    return true
  }
}
