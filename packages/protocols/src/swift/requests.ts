/** A request of Swift, and what its handlers work with. */
import type { Account, Accounts, Keyring } from "@hayloft/access/contract.js"
import type { AuditLog, SwiftAccounts } from "@hayloft/access/index.js"
import { fail, isFailure, unlessRefused } from "@hayloft/base/failures.js"
import { parseAccountId, parseAccountNumber, parseBucketName, type AccountId } from "@hayloft/base/ids.js"
import { after, recover, type Soon } from "@hayloft/base/soon.js"
import type { Timestamp } from "@hayloft/base/text/timestamp.js"
import {
  decodeSwiftContainer,
  EMPTY_SWIFT_CONTAINER,
  type SwiftContainer,
} from "@hayloft/engine/format/swift/swift-container.js"
import type { Times } from "./middleware/expiry-core.js"
import type { SwiftAccount } from "@hayloft/engine/format/swift/swift-account.js"
import type { SwiftSetter } from "@hayloft/engine/format/swift/swift-setter.js"
import { decodeSwiftSync, NO_SYNC, type SwiftSync } from "@hayloft/engine/format/swift/swift-sync.js"
import type { Exchange } from "../http/index.js"
import type { Bucket, Buckets, ObjectInfo, ObjectServices } from "@hayloft/objects/contract.js"
import type { Quotas } from "@hayloft/features/quotas/index.js"
import {
  operationAs,
  parseVersion,
  type S3Answer,
  type ObjectCall,
  type S3Caller,
  type CallerScope,
  type RequestQuery,
  type S3Request,
  type S3SettingReader,
  type TextSetting,
  type TranslatedCalls,
} from "../s3/index.js"
import { urlKeysIn, type UrlKey } from "./middleware/url-signatures-core.js"
import type { TempUrl } from "./middleware/temp-url-core.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Decompress } from "@hayloft/base/seams/compute/decompress.js"
import { emptyAnswer } from "./answers.js"
import type { ListedCaller } from "./access-lists-core.js"
import type { ResellerRole } from "./middleware/reseller-core.js"
import { serviceAccountId } from "./middleware/services-core.js"
import type { SyncRealms } from "./middleware/sync-core.js"
import { ACCOUNT_PREFIX, SERVICE_PREFIX, type SwiftTarget } from "./target-core.js"

export type AccountFinder = Pick<Keyring & Accounts, "getAccount" | "accountOfNumber">

/** Shared by all requests. */
export interface SwiftContext {
  readonly calls: TranslatedCalls
  readonly services: ObjectServices
  readonly accounts: AccountFinder & Pick<Accounts, "createAccount">
  /** Accounts that are made, and quotas of accounts that are set, are changes of the store. */
  readonly audit: Pick<AuditLog, "begin">
  readonly swiftAccounts: SwiftAccounts
  readonly quotas: Pick<Quotas, "show" | "set" | "clear">
  readonly containers: S3SettingReader<SwiftContainer>
  readonly syncs: S3SettingReader<SwiftSync>
  /** Clusters with which containers may be synchronized. */
  readonly realms: SyncRealms
  readonly clock: Clock
  readonly storeClock: { nowMs(): number }
  /** The account of the store's operator, and of resellers. */
  readonly rootAccount: AccountId
  /** By the format of an archive. */
  readonly decompress: Readonly<Record<"tar.gz" | "tar.bz2", Decompress>>
  /** Temporary URLs and forms may be signed with SHA-1. */
  readonly allowSha1: boolean
  /** Before the first document of a container: earlier releases know none. */
  readonly prepare: () => Promise<void>
}

/** The sender of a request. */
export interface SwiftCaller {
  /** A reseller: as whom it acts in the account of the path. */
  readonly caller: S3Caller
  /** The names that lists may have for it; undefined: it has none. */
  readonly listed: ListedCaller | undefined
  readonly reseller: ResellerRole | undefined
  /**
   * The setter that is noted beside keys that the caller sets; undefined: it cannot set any, since no later request could
   * act as it.
   */
  readonly setter: SwiftSetter | undefined
}

export interface SwiftRequest extends SwiftCaller {
  readonly exchange: Exchange
  readonly request: S3Request
  readonly target: SwiftTarget
  readonly query: RequestQuery
  /** The request is admitted by a temporary URL, and by nothing else. */
  readonly tempUrl: TempUrl | undefined
  /** The request repeats what was done in another cluster at this time. */
  readonly repeats: Timestamp | undefined
}

/** A request for a container. */
export type ContainerRequest = SwiftRequest & { readonly target: { readonly container: string } }

/** A request for an object. */
export type SwiftObjectRequest = SwiftRequest & {
  readonly target: { readonly container: string; readonly object: string }
}

export const SWIFT_SETTING: TextSetting<SwiftContainer> = {
  name: "swift",
  initial: EMPTY_SWIFT_CONTAINER,
  parse: decodeSwiftContainer,
}

export const SYNC_SETTING: TextSetting<SwiftSync> = { name: "sync", initial: NO_SYNC, parse: decodeSwiftSync }

/** Paths name accounts by their numbers, and those of Keystone's projects by their ids. */
export const isPathOf = (
  { id, number }: Pick<Account, "id" | "number">,
  account: string,
  prefix = ACCOUNT_PREFIX,
): boolean => account === `${prefix}${number}` || account === `${prefix}${id}`

/** Returns the account that a path names by its number or its id; undefined if there is none. */
function accountNamed(accounts: AccountFinder, name: string): Soon<Account | undefined> {
  const number = unlessRefused(() => parseAccountNumber(name))
  if (number !== undefined) return accounts.accountOfNumber(number)
  const accountId = unlessRefused(() => parseAccountId(name))
  return accountId && accounts.getAccount(accountId)
}

/** Returns undefined if there is no such account. */
export function accountAt(accounts: AccountFinder, name: string): Soon<Account | undefined> {
  if (name.startsWith(ACCOUNT_PREFIX)) return accountNamed(accounts, name.slice(ACCOUNT_PREFIX.length))
  return after(userAccountAt(accounts, name), known => known && accounts.getAccount(serviceAccountId(known)))
}

/** The account for which services store something at such a path; undefined: there is none. */
export const userAccountAt = (accounts: AccountFinder, name: string): Soon<Account | undefined> =>
  name.startsWith(SERVICE_PREFIX) ? accountNamed(accounts, name.slice(SERVICE_PREFIX.length)) : undefined

function isAccountAt(accounts: AccountFinder, id: AccountId, name: string): Soon<boolean> {
  if (name.startsWith(SERVICE_PREFIX)) return after(accountAt(accounts, name), found => found?.id === id)
  return after(accounts.getAccount(id), account => account !== undefined && isPathOf(account, name))
}

/** A container as Swift names it. */
const noSuchContainer = (account: string, name: string) =>
  fail("noSuchBucket", { account, bucketName: name.slice(0, 80), message: "the container does not exist" })

/** The time by two clocks, of which one may be wrong: what lasts a while begins at the later one, and is over by the earlier one. */
export function timesOf({ clock, storeClock }: Pick<SwiftContext, "clock" | "storeClock">): Times {
  const [wallMs, storeMs] = [clock.wallMs(), storeClock.nowMs()]
  return { earlierMs: storeMs === 0 ? wallMs : Math.min(wallMs, storeMs), laterMs: Math.max(wallMs, storeMs) }
}

/** Throws `accountDeleted`. */
export function requireUndeleted(ofSwift: SwiftAccount | undefined, account: string): void {
  if (ofSwift?.deletedMs !== undefined) throw fail("accountDeleted", { account })
}

/**
 * The container, which is a bucket of the account that the path names. Buckets have one name in the store, containers one in
 * their account: so a container of the same name in another account does not exist. Throws `noSuchBucket` (details.account),
 * `accountDeleted`.
 */
export function containerAt(
  {
    accounts,
    swiftAccounts,
    services,
  }: Pick<SwiftContext, "accounts" | "swiftAccounts"> & {
    readonly services: { readonly buckets: Pick<Buckets, "openConfirmed"> }
  },
  account: string,
  container: string,
): Soon<Bucket> {
  const opened = recover(
    () => services.buckets.openConfirmed(parseBucketName(container)),
    error => {
      // A name that no bucket can have is that of a missing container.
      throw isFailure(error, "noSuchBucket", "invalidBucketName") ? noSuchContainer(account, container) : error
    },
  )
  return after(opened, bucket =>
    after(isAccountAt(accounts, bucket.owner, account), isThere => {
      if (!isThere) throw noSuchContainer(account, container)
      return after(swiftAccounts.of(bucket.owner), ofSwift => {
        requireUndeleted(ofSwift, account)
        return bucket
      })
    }),
  )
}

/** The keys that sign temporary URLs and forms for a container: its own, and its account's. Throws `noSuchBucket`. */
export function urlKeysOf(context: SwiftContext, { account, container = "" }: SwiftTarget): Soon<readonly UrlKey[]> {
  return after(containerAt(context, account, container), bucket =>
    after(context.containers.of(bucket), ofContainer =>
      after(context.swiftAccounts.of(bucket.owner), ofAccount => [
        ...urlKeysIn("container", ofContainer?.metadata ?? [], ofContainer?.setters),
        ...urlKeysIn("account", ofAccount.metadata, ofAccount.setters),
      ]),
    ),
  )
}

/**
 * All that such a signature allows: these actions in this container, as far as the setter of its key may take them. `account`: who
 * reads a large object there may read its segments in all containers of the account, whose key it is.
 */
export const signedScope =
  (container: string, actions: readonly string[], account?: AccountId): CallerScope =>
  (bucket, action) => {
    if (bucket === undefined || !actions.includes(action)) return false
    return bucket.name === container || (action === "GetObject" && bucket.owner === account)
  }

/** The object at a place, if the caller may see it; undefined: it is missing. Throws `accessDenied`, `noSuchBucket`. */
export async function infoAt(
  { calls }: Pick<SwiftContext, "calls">,
  { request, caller }: SwiftRequest,
  { container, object }: { readonly container: string; readonly object: string },
  version?: string,
): Promise<ObjectInfo | undefined> {
  let found: ObjectInfo | undefined
  const query = version === undefined ? [] : [["versionId", version] as const]
  const named = version === undefined ? {} : { versionId: parseVersion(version) }
  const handle = async ({ services, bucket, key }: ObjectCall): Promise<S3Answer> => {
    const at = { bucket, key, ...named }
    const body = await services.objects.get({ ...at, conditions: {}, headersOnly: true, isForServer: true })
    body.close()
    found = body.info
    return emptyAnswer(204)
  }
  const operation = operationAs("HeadObject", { kind: "object", handle })
  try {
    await calls.run(request, caller, { operation, bucket: container, rawKey: object, headers: [], query })
  } catch (error) {
    if (!isFailure(error, "noSuchKey")) throw error
  }
  return found
}
