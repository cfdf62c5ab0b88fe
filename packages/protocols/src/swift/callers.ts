/**
 * Says who sends a request: the holder of a token of the store or of Keystone, or an anonymous client.
 *
 * A reseller's request acts in the account that the path names, as that account's root user or as a user who reads, and a user with
 * a service in the account of services; every other caller stays who it is, and lists of containers and accounts (`SwiftGrants`) say
 * what it may do elsewhere.
 * Promises  The decisions rest on what is as new as the request.
 */
import type { Account, Keyring, KnownAccessKey } from "@hayloft/access/contract.js"
import {
  denialsOf,
  rootPrincipal,
  sourceContext,
  type KnownPrincipal,
  type NamedPolicy,
  type PrincipalPolicies,
} from "@hayloft/access/index.js"
import type { AccountId } from "@hayloft/base/ids.js"
import { after, type Soon } from "@hayloft/base/soon.js"
import type { SwiftSetter } from "@hayloft/engine/format/swift/swift-setter.js"
import type { Exchange } from "../http/index.js"
import type { Buckets } from "@hayloft/objects/contract.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { fail } from "@hayloft/base/failures.js"
import { anonymousWith, type S3Caller, type KnownCallers, type CallerScope, type SignedS3Caller } from "../s3/index.js"
import type { ListedCaller } from "./access-lists-core.js"
import { grantedNames, type SwiftGrants } from "./grants.js"
import type { Keystone } from "./middleware/keystone.js"
import { accountAt, isPathOf, type AccountFinder, type SwiftCaller } from "./requests.js"
import { grantsOfRole, READER_POLICIES, roleOfKey } from "./middleware/reseller-core.js"
import type { SwiftServices } from "./middleware/services.js"
import { isOwnToken, type SwiftSignIn } from "./sign-in.js"
import type { SwiftTarget } from "./target-core.js"

interface Parts {
  readonly signIn: SwiftSignIn
  readonly known: KnownCallers
  readonly keystone: Keystone | undefined
  readonly grants: SwiftGrants
  readonly services: SwiftServices
  readonly accounts: AccountFinder & Pick<Keyring, "secretOf">
  readonly buckets: Pick<Buckets, "confirm">
  readonly clock: Clock
  readonly rootAccount: AccountId
}

type Known = SwiftCaller & { readonly caller: SignedS3Caller }

/** The caller of whom nothing is known but that it sends a request. */
const strangerWith = (grants: NonNullable<S3Caller["grants"]>): SwiftCaller => ({
  caller: anonymousWith(grants),
  listed: undefined,
  reseller: undefined,
  setter: undefined,
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

  /**
   * Returns the caller of a request that is signed with a key of a container or an account: the setter of the key, with
   * its present rights, within the scope of the signature. Throws `signatureMismatch` if the setter is gone, or was not
   * noted.
   */
  ofSetter(
    setter: SwiftSetter | undefined,
    scope: CallerScope,
    exchange: Exchange,
    target: SwiftTarget,
  ): Soon<SwiftCaller> {
    if (setter === undefined) throw setterUnknown("the key was set before this store noted who sets keys: set it again")
    return after(this.knownSetter(setter, exchange, target), known => {
      if (known?.caller.account === undefined)
        throw setterUnknown(
          "who set the key, or the access key with which it was set, is not there any more: set it again",
        )
      const { caller, listed } = known
      return { caller: { ...caller, scope }, listed, reseller: undefined, setter: undefined }
    })
  }

  private knownSetter(
    { kind, id }: SwiftSetter,
    exchange: Exchange,
    target: SwiftTarget,
  ): Soon<SwiftCaller | undefined> {
    const { accounts, buckets, clock, known, services } = this.parts
    return after(buckets.confirm(), () => {
      if (kind === "root")
        return after(
          known.rootOf(id),
          root => root && this.listedAs(root, grantedNames(root.account, []), exchange, id),
        )
      return after(accounts.secretOf(id, undefined, clock.wallMs()), key => {
        if (key === undefined) return undefined
        const own = this.ofKey(key, exchange)
        if (kind === "key") return this.actingAt(own, target)
        return after(services.servedAt(own.caller, target), caller => caller && { ...own, caller, reseller: undefined })
      })
    })
  }

  /** Returns the caller as it acts in the account of the path, which a service may open. */
  private withService(own: Known, exchange: Exchange, target: SwiftTarget): Soon<SwiftCaller> {
    if (own.reseller === "admin") return this.actingAt(own, target)
    return after(this.parts.services.callerAt(own.caller, exchange, target), caller =>
      caller === undefined
        ? this.actingAt(own, target)
        : { ...own, caller, reseller: undefined, setter: servedSetter(own.setter, caller) },
    )
  }

  private ofKey(key: KnownAccessKey, exchange: Exchange): Known {
    const { known, grants, clock, rootAccount } = this.parts
    const { id, account, principal } = key
    const listed = grantedNames(account, principal.kind === "user" ? [principal.userName, id] : [id])
    const isLimited = key.policies.session !== undefined
    const caller = { ...known.ofKey(key), grants: grants.ofCaller(listed, isLimited, exchange.header("referer")) }
    const context = sourceContext(exchange, caller.request.region)
    const reseller = roleOfKey(key, rootAccount, { nowMs: clock.wallMs(), context })
    return { caller, listed, reseller, setter: { kind: "key", id } }
  }

  private async ofKeystone(keystone: Keystone, token: string, exchange: Exchange) {
    const { caller, user, reseller } = await keystone.callerOf(token)
    const listed = grantedNames(caller.account, [user.userName, user.userId, user.id])
    const root = caller.isWholeRoot ? caller.account.id : undefined
    return { ...this.listedAs(caller, listed, exchange, root), reseller }
  }

  /** `root`: the account as whose root user the caller acts, if it does. */
  private listedAs(
    caller: SignedS3Caller,
    listed: ListedCaller,
    exchange: Exchange,
    root: AccountId | undefined,
  ): Known {
    const isLimited = caller.policies.session !== undefined
    const grants = this.parts.grants.ofCaller(listed, isLimited, exchange.header("referer"))
    const setter = root === undefined ? undefined : ({ kind: "root", id: root } as const)
    return { caller: { ...caller, grants }, listed, reseller: undefined, setter }
  }

  /** Returns the caller with the rights of its reseller role, if it has one, in the account of the path. */
  private actingAt(own: Known, { account: name }: SwiftTarget): Soon<SwiftCaller> {
    const { caller, reseller } = own
    if (reseller === undefined) return own
    const isOwn = isPathOf(caller.account, name)
    if (isOwn && reseller === "reader") return { ...own, caller: withReading(caller) }
    return after(isOwn ? caller.account : accountAt(this.parts.accounts, name), account => {
      if (account === undefined) return own
      if (reseller === "reader") return { ...own, caller: readerOf(account, caller) }
      // Only what a Keystone user may set is known later: the root user of this account acts for him.
      const setter = own.setter?.kind === "key" ? own.setter : ({ kind: "root", id: account.id } as const)
      return { ...own, caller: adminOf(account, caller), setter }
    })
  }
}

const setterUnknown = (message: string) => fail("signatureMismatch", { message })

/** Returns the setter of keys that a user sets in the account of services that a service has opened. */
function servedSetter(own: SwiftSetter | undefined, { account }: SignedS3Caller): SwiftSetter | undefined {
  if (own === undefined) return undefined
  return own.kind === "root" ? { kind: "root", id: account.id } : { kind: "served", id: own.id }
}

const withReading = (own: SignedS3Caller): SignedS3Caller => ({
  ...own,
  policies: { ...own.policies, identity: [...own.policies.identity, ...READER_POLICIES.identity] },
})

/** A role gives rights in place of the caller's own policies, but for those that deny and those that limit it. */
const policiesOfRole = ({ policies }: SignedS3Caller, given: readonly NamedPolicy[]): PrincipalPolicies => ({
  ...policies,
  identity: [...policies.identity.map(each => ({ ...each, policy: denialsOf(each.policy) })), ...given],
})

/** An admin acts as the root user of the account: as all of it only if nothing limits the admin itself. */
function adminOf(account: Account, own: SignedS3Caller): SignedS3Caller {
  const policies = policiesOfRole(own, [])
  const { identity, boundary, session } = policies
  const denies = identity.some(({ policy }) => policy.statements.length > 0)
  const isWholeRoot = !denies && boundary === undefined && session === undefined
  return { ...own, account, principal: rootPrincipal(account), policies, isWholeRoot, grants: grantsOfRole("admin") }
}

function readerOf(account: Account, own: SignedS3Caller): SignedS3Caller {
  const { id: accountId, number: accountNumber } = account
  const { userId } = own.principal
  const principal: KnownPrincipal = {
    kind: "user",
    accountId,
    accountNumber,
    userId,
    userName: userId,
    tags: [],
    issuedMs: undefined,
    arn: `arn:aws:iam::${accountNumber}:user/reseller/${userId}`,
  }
  const policies = policiesOfRole(own, READER_POLICIES.identity)
  return { ...own, account, principal, policies, isWholeRoot: false, grants: grantsOfRole("reader") }
}
