/**
 * Services, such as Glance: a service's token (`X-Service-Token`) beside that of a user opens the account of services that belongs to the
 * user's account. There the user is who it is in its own account. See decision 80.
 *
 * Promises  Either token alone opens nothing: then lists of the account and of its containers decide, as for everybody.
 */
import type { Account } from "@hayloft/access/contract.js"
import { rootPrincipal, sourceContext } from "@hayloft/access/index.js"
import { fail } from "@hayloft/base/failures.js"
import type { AccountId } from "@hayloft/base/ids.js"
import { after, type Soon } from "@hayloft/base/soon.js"
import type { Exchange } from "../../http/index.js"
import type { Buckets } from "@hayloft/objects/contract.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { SignedS3Caller } from "../../s3/index.js"
import { makeAccount } from "../account-changes.js"
import type { Keystone } from "./keystone.js"
import { accountAt, isPathOf, type SwiftContext } from "../requests.js"
import { isServiceKey } from "./reseller-core.js"
import { isFirstOfAccount, serviceAccountId } from "./services-core.js"
import { isOwnToken, type SwiftSignIn } from "../sign-in.js"
import { SERVICE_PREFIX, type SwiftTarget } from "../target-core.js"

interface Parts extends Pick<SwiftContext, "accounts" | "audit"> {
  readonly signIn: SwiftSignIn
  readonly keystone: Keystone | undefined
  readonly buckets: Pick<Buckets, "confirm">
  readonly clock: Clock
  readonly rootAccount: AccountId
}

export class SwiftServices {
  constructor(private readonly parts: Parts) {}

  /**
   * Returns the caller as it acts at the path; undefined if no service opens it. `confirm` must have been called.
   * Throws `invalidToken`, `tokenExpired`, `providerUnreachable`, and `noSuchAccount` before the first container is made.
   */
  callerAt(own: SignedS3Caller, exchange: Exchange, target: SwiftTarget): Soon<SignedS3Caller | undefined> {
    const token = exchange.header("x-service-token")
    if (token === undefined || !isPathOf(own.account, target.account, SERVICE_PREFIX)) return undefined
    return after(this.isService(token, exchange, own), isService => {
      if (!isService) return undefined
      const account = after(
        accountAt(this.parts.accounts, target.account),
        known => known ?? this.made(own, exchange, target),
      )
      return after(account, found => actingIn(found, own))
    })
  }

  /**
   * Returns the user as it acts in the account of services of the path; undefined if there is no such account, or it
   * belongs to another account.
   */
  servedAt(own: SignedS3Caller, { account: name }: SwiftTarget): Soon<SignedS3Caller | undefined> {
    if (!isPathOf(own.account, name, SERVICE_PREFIX)) return undefined
    return after(accountAt(this.parts.accounts, name), account => account && actingIn(account, own))
  }

  private isService(token: string, exchange: Exchange, { request }: SignedS3Caller): Soon<boolean> {
    const { keystone, signIn, clock, rootAccount } = this.parts
    if (keystone !== undefined && !isOwnToken(token)) return keystone.isService(token)
    const use = { nowMs: clock.wallMs(), context: sourceContext(exchange, request.region) }
    return after(signIn.keyOfToken(token), key => isServiceKey(key, rootAccount, use))
  }

  /** The account of services, from its first request on. */
  private async made(caller: SignedS3Caller, exchange: Exchange, target: SwiftTarget): Promise<Account> {
    const { accounts, buckets } = this.parts
    const missing = fail("noSuchAccount", { account: target.account })
    if (!isFirstOfAccount(exchange.method, target)) throw missing
    const id = serviceAccountId(caller.account)
    await makeAccount(this.parts, { caller, exchange }, id)
    await buckets.confirm()
    const made = await accounts.getAccount(id)
    if (made === undefined) throw missing
    return made
  }
}

/** The user as it is in its own account, whose containers it also reads and writes: copies between both. */
function actingIn(account: Account, own: SignedS3Caller): SignedS3Caller {
  const { id: accountId, number: accountNumber } = account
  const principal =
    own.principal.kind === "root" ? rootPrincipal(account) : { ...own.principal, accountId, accountNumber }
  return {
    ...own,
    account,
    principal,
    grants: {
      match: (bucket, action) => (bucket.owner === own.account.id ? "account" : own.grants?.match(bucket, action)),
    },
  }
}
