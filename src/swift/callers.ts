/**
 * Who sends a request: the holder of a token of the store or of Keystone, or an anonymous client.
 *
 * A reseller's request acts in the account that the path names, as that account's root user or as a user who reads, and a user with
 * a service in the account of services; every other caller stays who it is, and lists of containers and accounts (`SwiftGrants`) say
 * what it may do elsewhere.
 * Promises  The decisions rest on what is as new as the request.
 */
import type { Account, KnownKey } from "../access/contract.js"
import { NO_POLICIES, rootPrincipal, sourceContext, type KnownPrincipal } from "../access/index.js"
import type { AccountId } from "../base/ids.js"
import { after, type Soon } from "../base/soon.js"
import type { Exchange } from "../http/index.js"
import type { Buckets } from "../object/contract.js"
import type { Clock } from "../seams/clock/contract.js"
import { anonymousWith, type Caller, type KnownCallers, type SignedCaller } from "../s3/index.js"
import { namesOf, type SwiftGrants } from "./grants.js"
import type { Keystone } from "./keystone.js"
import { accountAt, isPathOf, type AccountFinder, type SwiftCaller } from "./requests.js"
import { grantsOfRole, READER_POLICIES, roleOfKey } from "./reseller-core.js"
import type { SwiftServices } from "./services.js"
import { isOwnToken, type SwiftSignIn } from "./sign-in.js"
import type { SwiftTarget } from "./target-core.js"

interface Parts {
  readonly signIn: SwiftSignIn
  readonly known: KnownCallers
  readonly keystone: Keystone | undefined
  readonly grants: SwiftGrants
  readonly services: SwiftServices
  readonly accounts: AccountFinder
  readonly buckets: Pick<Buckets, "confirm">
  readonly clock: Clock
  readonly rootAccount: AccountId
}

type Known = SwiftCaller & { readonly caller: SignedCaller }

/** The caller of whom nothing is known but that it sends a request. */
export const strangerWith = (grants: NonNullable<Caller["grants"]>): SwiftCaller => ({
  caller: anonymousWith(grants),
  listed: undefined,
  reseller: undefined,
})

export class SwiftCallers {
  constructor(private readonly parts: Parts) {}

  /** Throws `invalidToken`, `tokenExpired`, `providerUnreachable`, `accessDenied`, `noSuchAccount`. */
  of(exchange: Exchange, target: SwiftTarget): Soon<SwiftCaller> {
    const { signIn, keystone, grants, buckets } = this.parts
    const token = exchange.header("x-auth-token") ?? exchange.header("x-storage-token")
    const referrer = exchange.header("referer")
    if (token === undefined) return after(buckets.confirm(), () => strangerWith(grants.ofAnonymous(referrer)))
    const proved =
      keystone !== undefined && !isOwnToken(token)
        ? this.ofKeystone(keystone, token, exchange)
        : after(signIn.keyOfToken(token), key => this.ofKey(key, exchange))
    return after(proved, known => after(buckets.confirm(), () => this.withService(known, exchange, target)))
  }

  /** As whom it acts in the account of the path, which a service may open. */
  private withService(own: Known, exchange: Exchange, target: SwiftTarget): Soon<SwiftCaller> {
    if (own.reseller === "admin") return this.actingAt(own, target)
    return after(this.parts.services.callerAt(own.caller, exchange, target), caller =>
      caller === undefined ? this.actingAt(own, target) : { ...own, caller, reseller: undefined },
    )
  }

  private ofKey(key: KnownKey, exchange: Exchange): Known {
    const { known, grants, clock, rootAccount } = this.parts
    const { id, account, principal } = key
    const listed = namesOf(account, principal.kind === "user" ? [principal.userName, id] : [id])
    const caller = { ...known.ofKey(key), grants: grants.ofCaller(listed, exchange.header("referer")) }
    const context = sourceContext(exchange, caller.request.region)
    return { caller, listed, reseller: roleOfKey(key, rootAccount, { nowMs: clock.wallMs(), context }) }
  }

  private async ofKeystone(keystone: Keystone, token: string, exchange: Exchange) {
    const { caller, user, reseller } = await keystone.callerOf(token)
    const listed = namesOf(caller.account, [user.userName, user.id])
    return {
      caller: { ...caller, grants: this.parts.grants.ofCaller(listed, exchange.header("referer")) },
      listed,
      reseller,
    }
  }

  /** As whom a reseller acts in the account of the path. */
  private actingAt(own: Known, { account: name }: SwiftTarget): Soon<SwiftCaller> {
    const { caller, reseller } = own
    if (reseller === undefined) return own
    const isOwn = isPathOf(caller.account, name)
    if (isOwn && reseller === "reader") return { ...own, caller: withReading(caller) }
    return after(isOwn ? caller.account : accountAt(this.parts.accounts, name), account => {
      if (account === undefined) return own
      return { ...own, caller: reseller === "admin" ? adminOf(account, caller) : readerOf(account, caller) }
    })
  }
}

const adminOf = (account: Account, own: SignedCaller): SignedCaller => ({
  ...{ ...own, account, principal: rootPrincipal(account), policies: NO_POLICIES, isWholeRoot: true },
  grants: grantsOfRole("admin"),
})

const withReading = (own: SignedCaller): SignedCaller => ({
  ...own,
  policies: { ...own.policies, identity: [...own.policies.identity, ...READER_POLICIES.identity] },
})

function readerOf(account: Account, own: SignedCaller): SignedCaller {
  const { id: accountId, number: accountNumber } = account
  const { userId } = own.principal
  const principal: KnownPrincipal = {
    ...{ kind: "user", accountId, accountNumber, userId, userName: userId, tags: [], issuedMs: undefined },
    arn: `arn:aws:iam::${accountNumber}:user/reseller/${userId}`,
  }
  return { ...own, account, principal, policies: READER_POLICIES, isWholeRoot: false, grants: grantsOfRole("reader") }
}
