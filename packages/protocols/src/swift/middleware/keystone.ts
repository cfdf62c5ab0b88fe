/**
 * Keystone: tokens of OpenStack's identity service, which validates them itself. A token may ask about itself, so this server
 * needs no credentials of its own.
 *
 * Promises  A token that Keystone has revoked is refused within `CACHE_MS`. What Keystone does not answer is not admitted.
 * Limits    `CACHED_MAX` tokens, `ANSWER_BYTES_MAX`, `TIMEOUT_MS`; one question about a token at a time.
 */
import { createHash } from "node:crypto"
import type { Keyring } from "@hayloft/access/contract.js"
import { fail } from "@hayloft/base/failures.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { WebServices } from "@hayloft/base/seams/web/contract.js"
import { SharedWork, limited } from "@hayloft/base/life/index.js"
import { keepLatest } from "@hayloft/base/keep-latest.js"
import type { KnownCallers, SignedS3Caller } from "../../s3/index.js"
import { isServiceUser, keystoneUserOf, rightsOf, type KeystoneRoles, type KeystoneUser } from "./keystone-core.js"
import type { ResellerRole } from "./reseller-core.js"
import { withoutTrailing } from "@hayloft/base/text/trailing.js"

const CACHE_MS = 60_000
const CACHED_MAX = 10_000
const ANSWER_BYTES_MAX = 1024 * 1024
const TIMEOUT_MS = 10_000
const UNAUTHORIZED: readonly number[] = [401, 403, 404]

export interface KeystoneSettings extends KeystoneRoles {
  /** With its version: `https://keystone.example:5000/v3`. */
  readonly url: string
}

interface KeystoneCaller {
  readonly caller: SignedS3Caller
  readonly user: KeystoneUser
  readonly reseller: ResellerRole | undefined
}

interface Known {
  readonly user: KeystoneUser
  readonly untilMs: number
}

export class Keystone {
  private readonly known = new Map<string, Known>()
  private readonly asking = new SharedWork<string, KeystoneUser>()

  constructor(
    private readonly settings: KeystoneSettings,
    private readonly web: Pick<WebServices, "read">,
    private readonly clock: Clock,
    private readonly accounts: Pick<Keyring, "getAccount">,
    private readonly callers: KnownCallers,
  ) {}

  /** Throws `invalidToken`, `tokenExpired`, `providerUnreachable`; `accessDenied` if the project has no account. */
  async callerOf(token: string): Promise<KeystoneCaller> {
    const user = await this.currentUserOf(token)
    const account = await this.accounts.getAccount(user.accountId)
    const root = account && (await this.callers.rootOf(account.id))
    if (account === undefined || root === undefined) {
      const message = `the project has no account here: the operator makes one (hayloft account create --id ${user.accountId} NAME)`
      throw fail("accessDenied", { message })
    }
    const { isRoot, policies, reseller } = rightsOf(user, this.settings)
    const request = { ...root.request, accessKeyId: user.id }
    if (isRoot) return { caller: { ...root, request }, user, reseller }
    const { number: accountNumber, id: accountId } = account
    const arn = `arn:aws:iam::${accountNumber}:user/keystone/${user.userName}`
    const identity = {
      accountId,
      accountNumber,
      arn,
      userId: user.id,
      userName: user.userName,
      tags: [],
      issuedMs: undefined,
    }
    const principal = { kind: "user", ...identity } as const
    return { caller: { ...root, principal, policies, isWholeRoot: false, request }, user, reseller }
  }

  /**
   * Returns true if it is the token of a service, whose project needs no account. Throws `invalidToken`,
   * `tokenExpired`, `providerUnreachable`.
   */
  async isService(token: string): Promise<boolean> {
    return isServiceUser(await this.currentUserOf(token), this.settings)
  }

  /** Throws `invalidToken`, `tokenExpired`, `providerUnreachable`. */
  private async currentUserOf(token: string): Promise<KeystoneUser> {
    const user = await this.userOf(token)
    if (user.expiresMs <= this.clock.wallMs()) throw fail("tokenExpired", { message: "the token has expired" })
    return user
  }

  private userOf(token: string): Promise<KeystoneUser> {
    const name = createHash("sha256").update(token).digest("base64")
    const known = this.known.get(name)
    if (known !== undefined && known.untilMs > this.clock.monotonicMs()) return Promise.resolve(known.user)
    return this.asking.of(name, async () => {
      const user = await this.ask(token)
      keepLatest(this.known, name, { user, untilMs: this.clock.monotonicMs() + CACHE_MS }, CACHED_MAX)
      return user
    })
  }

  private async ask(token: string): Promise<KeystoneUser> {
    const headers = { accept: "application/json", "x-auth-token": token, "x-subject-token": token }
    const url = `${withoutTrailing(this.settings.url, "/")}/auth/tokens?nocatalog`
    const { status, body } = await limited({ clock: this.clock, durationMs: TIMEOUT_MS }, [], signal =>
      this.web.read({ url, headers }, ANSWER_BYTES_MAX, signal),
    )
    if (UNAUTHORIZED.includes(status)) throw fail("invalidToken", { message: "Keystone does not know the token" })
    if (status !== 200) throw fail("providerUnreachable", { url, reason: `status ${status}` })
    return keystoneUserOf(body)
  }
}
