/**
 * Decides with which rights a caller acts on an account itself: its listing, its metadata, new containers in it.
 *
 * A caller of the account does what its policies allow. The account's access list lets others in, and users of its own whom it
 * names: for others their own account's policies decide too, as between accounts of S3.
 */
import type { Account } from "@hayloft/access/contract.js"
import { parseAccessPolicy } from "@hayloft/access/index.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { after, type Soon } from "@hayloft/base/soon.js"
import type { AccountId } from "@hayloft/base/ids.js"
import type { S3Caller, SignedS3Caller } from "../s3/index.js"
import { matchOfAction, matchOfOwner, parseAccountAccess } from "./account-access-core.js"
import { accountAt, isPathOf, type SwiftContext, type SwiftRequest } from "./requests.js"
import type { KeyReader } from "./middleware/setters-core.js"
import { SERVICE_PREFIX } from "./target-core.js"

export interface SwiftStanding {
  /** The account that the path names. */
  readonly account: Account
  /** The caller for whom the action is decided. */
  readonly caller: SignedS3Caller
  /** The caller may change the account, and see its keys and lists, as far as its policies allow it. */
  readonly isOwner: boolean
}

const LISTED = {
  name: "access list of the account",
  policy: parseAccessPolicy(
    '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}',
    "identity",
  ),
}

/** A user whom the list of its own account names, in the action that the list allows. */
const asListed = (caller: SignedS3Caller): SignedS3Caller => ({
  ...caller,
  policies: { ...caller.policies, identity: [...caller.policies.identity, LISTED] },
})

/** Throws `accessDenied`. `what` with a verb: "accounts are deleted". */
export function requireResellerAdmin({ reseller }: SwiftRequest, what: string): void {
  if (reseller !== "admin") throw fail("accessDenied", { message: `${what} by reseller admins only` })
}

/** The action of S3 by which keys and lists are set, of accounts and containers: who may not do it sees none of them. */
export const SETS_SECRETS = "PutBucketAcl"

/** Returns the reader of keys in an account. */
export const readerOfKeys = (
  { account, isWholeRoot }: S3Caller,
  setter: SwiftRequest["setter"],
  owner: AccountId,
): KeyReader => ({ setter, isRoot: isWholeRoot && account.id === owner })

type Action = "ListAllMyBuckets" | "CreateBucket" | typeof SETS_SECRETS

const NOT_LISTED = "the token is of another account than the path names, and the account's access list does not name it"
const NOT_BY_SERVICE =
  "an account of services needs the token of a user of its account and, in X-Service-Token, that of a service"

/**
 * The failure of a request for a container that does not exist, as its caller may know it: others than users of the account, and
 * callers of its access list, are denied as if there were one. Throws.
 */
export function hideAbsence(context: SwiftContext, request: SwiftRequest, error: unknown): Soon<never> {
  const account = isFailure(error, "noSuchBucket") ? error.details["account"] : undefined
  if (typeof account !== "string") throw error
  const target = { ...request.target, account }
  return after(standingAt(context, { ...request, target }, "ListAllMyBuckets"), () => {
    throw error
  })
}

/** For this action of S3 alone. Throws `accessDenied`; for resellers `noSuchAccount`. */
export function standingAt(context: SwiftContext, request: SwiftRequest, action: Action): Soon<SwiftStanding> {
  const { caller, listed, reseller, target } = request
  if (caller.account === undefined || listed === undefined)
    throw fail("accessDenied", { reason: "the request has no token" })
  const isAtHome = isPathOf(caller.account, target.account)
  const isRoot = caller.principal.kind === "root"
  if (isAtHome && isRoot) return { account: caller.account, caller, isOwner: true }
  return after(isAtHome ? caller.account : accountAt(context.accounts, target.account), account => {
    if (account === undefined && reseller !== undefined) throw fail("noSuchAccount", { account: target.account })
    const denied = target.account.startsWith(SERVICE_PREFIX) ? NOT_BY_SERVICE : NOT_LISTED
    if (account === undefined) throw fail("accessDenied", { reason: denied })
    // The path of an account of services has another name than the account.
    const isOwn = account.id === caller.account.id
    if (isOwn && isRoot) return { account, caller, isOwner: true }
    return after(context.swiftAccounts.of(account.id), ({ access }) => {
      const list = parseAccountAccess(access)
      const match = matchOfAction(list, listed, action)
      const owner = matchOfOwner(list, listed)
      const isOwner = owner === "caller" || (owner === "account" && isRoot)
      if (isOwn) return { account, caller: match === "caller" ? asListed(caller) : caller, isOwner }
      if (match === undefined) throw fail("accessDenied", { reason: denied })
      return { account, caller, isOwner }
    })
  })
}
