/**
 * Operations: their rows in the tables, and their inputs.
 *
 *   members  the members of the request that it accepts; a request with any other is refused
 */
import { decide, DeniedAccess, NO_RESOURCE_POLICIES, type Keyring } from "@hayloft/access/index.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type {
  EncryptionContext,
  KeyCaller,
  KeyHolder,
  KeyPolicies,
  KeyService,
  NamedKey,
} from "@hayloft/access/keys/index.js"
import { KmsRefusal } from "./failures.js"
import type { KmsInput } from "./input.js"

export interface KmsServices {
  readonly keys: KeyService
  readonly policies: KeyPolicies
  readonly accounts: Pick<Keyring, "pinPrincipals" | "showPrincipals">
  readonly random: Random
}

/** The result's members; undefined: the response is empty. */
export type KmsResult = Readonly<Record<string, unknown>> | undefined

export interface KmsOperation {
  readonly members: readonly string[]
  readonly act: (call: KmsCall) => Promise<KmsResult | void>
}

/** By name; undefined: known but not supported. */
export type Operations = Readonly<Record<string, KmsOperation | undefined>>

/** For tables: the names of members in one text, separated by blanks. */
export const operation = (members: string, act: KmsOperation["act"]): KmsOperation => ({
  members: members.split(" ").filter(name => name !== ""),
  act,
})

export class KmsCall {
  constructor(
    readonly services: KmsServices,
    /** `CreateKey`. */
    readonly name: string,
    readonly input: KmsInput,
    readonly caller: KeyCaller,
  ) {}

  get holder(): KeyHolder {
    const { accountId, accountNumber } = this.caller.principal
    return { accountId, accountNumber }
  }

  /** The key that a member names by id, ARN or alias, if the caller may do this with it. */
  async key(context?: EncryptionContext, member = "KeyId", action = this.name): Promise<NamedKey> {
    const text = this.input.text(member)
    const key = await this.services.keys.find(text, this.holder)
    this.check(key, action, context, text)
    return key
  }

  /** The same for operations on keys of the own account, which name them by id or ARN. */
  async ownKey(member = "KeyId"): Promise<NamedKey> {
    const text = this.input.text(member)
    if (/(^|:)alias\//.test(text)) throw new KmsRefusal("ValidationException", `Invalid keyId ${text}`)
    const key = await this.services.keys.find(text, this.holder)
    if (key.holder.accountId !== this.holder.accountId) this.refuse(key)
    this.check(key, this.name)
    return key
  }

  /** Throws `accessDenied`. */
  check(key: NamedKey, action: string, encryptionContext: EncryptionContext = [], text = ""): void {
    const alias = /(?:^|:)(alias\/.+)$/.exec(text)?.[1]
    this.services.policies.check(this.caller, key, { action: `kms:${action}`, encryptionContext, alias })
  }

  /** For operations on no key of which a policy decides. Throws `accessDenied`. */
  checkIdentity(resource = "*", action = this.name): void {
    const { principal, policies, context, nowMs } = this.caller
    const request = { principal, action: `kms:${action}`, resource, owner: this.holder, nowMs, context }
    const decision = decide(request, policies, NO_RESOURCE_POLICIES)
    if (decision.outcome !== "allow")
      throw new DeniedAccess(request, decision, { message: this.denial(resource, action) })
  }

  /** After the checks of an operation that tries only. */
  checkDryRun(): void {
    if (!this.input.flag("DryRun")) return
    throw new KmsRefusal("DryRunOperationException", "The request would have succeeded, but the DryRun option is set.")
  }

  /** Grants and enclaves do not exist here. */
  refuseTokens(): void {
    if (this.input.texts("GrantTokens").length > 0 || this.input.has("Recipient")) {
      throw new KmsRefusal("UnsupportedOperationException", "GrantTokens and Recipient are not supported.")
    }
  }

  private refuse({ arn }: NamedKey): never {
    const decision = { outcome: "implicitDeny", lacking: ["resource"] } as const
    const { principal } = this.caller
    throw new DeniedAccess({ principal, action: `kms:${this.name}`, resource: arn }, decision, {
      message: this.denial(arn, this.name),
    })
  }

  private denial(resource: string, action: string): string {
    const { principal } = this.caller
    const who = principal.kind === "session" ? principal.sessionArn : principal.arn
    return `User: ${who} is not authorized to perform: kms:${action} on resource: ${resource}`
  }
}
