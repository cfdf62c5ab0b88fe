/** A request of Swift, and what its handlers work with. */
import type { Account, Keyring } from "../access/contract.js"
import type { SwiftAccounts } from "../access/index.js"
import { fail, isFailure } from "../base/failures.js"
import { parseBucketName, type BucketName } from "../base/ids.js"
import { after, type Soon } from "../base/soon.js"
import { decodeSwiftContainer, EMPTY_SWIFT_CONTAINER, type SwiftContainer } from "../format/swift-container.js"
import type { Exchange } from "../http/index.js"
import type { Bucket, Buckets, ObjectInfo, ObjectServices } from "../object/contract.js"
import {
  operationAs,
  type Answer,
  type ObjectCall,
  type Caller,
  type Grants,
  type Query,
  type S3Request,
  type SettingReader,
  type SignedCaller,
  type TextSetting,
  type TranslatedCalls,
} from "../s3/index.js"
import { urlKeysIn, type UrlKey } from "./url-signatures-core.js"
import type { TempUrl } from "./temp-url-core.js"
import type { Clock } from "../seams/clock/contract.js"
import { emptyAnswer } from "./answers.js"
import { ACCOUNT_PREFIX, type SwiftTarget } from "./target-core.js"

/** Shared by all requests. */
export interface SwiftContext {
  readonly calls: TranslatedCalls
  readonly services: ObjectServices
  readonly accounts: Pick<Keyring, "getAccount">
  readonly swiftAccounts: SwiftAccounts
  readonly containers: SettingReader<SwiftContainer>
  readonly clock: Clock
  /** Uncompresses archives. */
  readonly gunzip: (pieces: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array>
  /** Whether temporary URLs and forms may be signed with SHA-1. */
  readonly allowSha1: boolean
  /** Before the first document of a container: earlier releases know none. */
  readonly prepare: () => Promise<void>
}

export interface SwiftRequest {
  readonly exchange: Exchange
  readonly request: S3Request
  readonly caller: Caller
  readonly target: SwiftTarget
  readonly query: Query
  /** The request is admitted by a temporary URL, and by nothing else. */
  readonly tempUrl: TempUrl | undefined
}

/** A request for a container. */
export type ContainerRequest = SwiftRequest & { readonly target: { readonly container: string } }

/** A request for an object. */
export type ObjectRequest = SwiftRequest & { readonly target: { readonly container: string; readonly object: string } }

export const SWIFT_SETTING: TextSetting<SwiftContainer> = {
  name: "swift",
  initial: EMPTY_SWIFT_CONTAINER,
  parse: decodeSwiftContainer,
}

/** Paths name accounts by their numbers, and those of Keystone's projects by their ids. */
const isPathOf = ({ id, number }: Pick<Account, "id" | "number">, account: string): boolean =>
  account === `${ACCOUNT_PREFIX}${number}` || account === `${ACCOUNT_PREFIX}${id}`

/** A container as Swift names it. */
const noSuchContainer = (name: string) =>
  fail("noSuchBucket", { bucketName: name.slice(0, 80), message: "the container does not exist" })

/** Throws `noSuchBucket`: a name that no bucket can have is that of a missing container. */
function nameOfContainer(container: string): BucketName {
  try {
    return parseBucketName(container)
  } catch (error) {
    if (isFailure(error, "invalidBucketName")) throw noSuchContainer(container)
    throw error
  }
}

/**
 * The container, which is a bucket of the account that the path names. Buckets have one name in the store, containers one in
 * their account: so a container of the same name in another account does not exist. Throws `noSuchBucket`.
 */
export function containerAt(
  {
    accounts,
    services,
  }: {
    readonly accounts: SwiftContext["accounts"]
    readonly services: { readonly buckets: Pick<Buckets, "openConfirmed"> }
  },
  account: string,
  container: string,
): Soon<Bucket> {
  return after(services.buckets.openConfirmed(nameOfContainer(container)), bucket =>
    after(accounts.getAccount(bucket.owner), owner => {
      if (owner === undefined || !isPathOf(owner, account)) throw noSuchContainer(container)
      return bucket
    }),
  )
}

/** Throws `accessDenied` unless the caller is of the account that the path names. */
export function requireOwnAccount<Its extends SwiftRequest>(
  request: Its,
): asserts request is Its & { readonly caller: SignedCaller } {
  const { caller, target } = request
  if (caller.account === undefined) throw fail("accessDenied", { reason: "the request has no token" })
  if (isPathOf(caller.account, target.account)) return
  throw fail("accessDenied", { reason: "the token is of another account than the path names" })
}

/** The keys that sign temporary URLs and forms for a container: its own, and its account's. Throws `noSuchBucket`. */
export function urlKeysOf(context: SwiftContext, { account, container = "" }: SwiftTarget): Soon<readonly UrlKey[]> {
  return after(containerAt(context, account, container), bucket =>
    after(context.containers.of(bucket), ofContainer =>
      after(context.swiftAccounts.of(bucket.owner), ofAccount => [
        ...urlKeysIn("container", ofContainer?.metadata ?? []),
        ...urlKeysIn("account", ofAccount.metadata),
      ]),
    ),
  )
}

/** Whom such a signature lets in, as if nobody had signed in: for these actions in this container. */
export const signedGrants = (container: string, actions: readonly string[]): Grants => ({
  match: (bucket, action) => (bucket.name === container && actions.includes(action) ? "caller" : undefined),
})

/** The object at a place, if the caller may see it; undefined: it is missing. Throws `accessDenied`, `noSuchBucket`. */
export async function infoAt(
  { calls }: Pick<SwiftContext, "calls">,
  { request, caller }: SwiftRequest,
  { container, object }: { readonly container: string; readonly object: string },
): Promise<ObjectInfo | undefined> {
  let found: ObjectInfo | undefined
  const handle = async ({ services, bucket, key }: ObjectCall): Promise<Answer> => {
    const body = await services.objects.get({ bucket, key, conditions: {}, headersOnly: true, isForServer: true })
    body.close()
    found = body.info
    return emptyAnswer(204)
  }
  const operation = operationAs("HeadObject", { kind: "object", handle })
  try {
    await calls.run(request, caller, { operation, bucket: container, rawKey: object, headers: [] })
  } catch (error) {
    if (!isFailure(error, "noSuchKey")) throw error
  }
  return found
}
