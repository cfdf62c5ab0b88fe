/**
 * The permissions of those who have signed in: tokens by their scopes, principals by their policies, as for S3 and IAM.
 *
 * Promises  A principal may do nothing that no policy allows. What an operation without a `permission` of its own does may
 *           concern all accounts: only the root account can allow it, to its identities. The root user of the root account,
 *           with a key that has no limits, may do everything. A bucket's policy grants here to nobody outside of its owner's
 *           account.
 */
import {
  decide,
  DeniedAccess,
  mayActIn,
  NO_RESOURCE_POLICIES,
  type ConsoleHolder,
  type Denied,
  type KnownAccessKey,
  type NamedPolicy,
  type RequestContext,
} from "@hayloft/access/index.js"
import type { Accounts } from "@hayloft/access/contract.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { parseBucketName, type AccountId } from "@hayloft/base/ids.js"
import type { Soon } from "@hayloft/base/soon.js"
import type { Bucket, Buckets } from "@hayloft/objects/contract.js"
import { actionOf, type RequiredAction } from "@hayloft/features/operator/index.js"
import type { AdminOperation } from "./operation.js"
import { mayUse, scopesFor } from "./scopes-core.js"

interface PermitSources {
  readonly accounts: Pick<Accounts, "getAccount">
  readonly buckets: Pick<Buckets, "open">
  readonly rootAccount: AccountId
  /** Returns undefined if the bucket has none. */
  readonly policyOfBucket: (bucket: Bucket) => Soon<NamedPolicy | undefined>
  readonly nowMs: () => number
}

/** An action of another protocol that a call means as well. What a policy denies of it is denied. */
export interface OtherAction {
  readonly name: string
  /** Its permission suffices where that of ours is missing, unless a policy denies ours. */
  readonly isEnough: boolean
}

/** An operation as far as permits go. */
export type Permitted = Pick<AdminOperation, "id" | "method" | "path" | "permission" | "own" | "isRead">

const SERVICES: ReadonlyMap<string, string> = new Map([
  ["buckets", "s3"],
  ["queues", "sqs"],
  ["coordination", "coord"],
])

/** Whose actions the operations below a path need. */
const serviceOf = (path: string): string => SERVICES.get(path.split("/")[2] ?? "") ?? "iam"

const EVERYTHING = "*"
const ofOther = ({ name }: OtherAction) => ({ action: name, resource: EVERYTHING })
const BUCKET = /^arn:aws:s3:::([^/]+)/

export class Permits {
  constructor(private readonly sources: PermitSources) {}

  /** Returns true if the holder may use the operation for anything at all; pages show this. */
  async mayUse(
    holder: ConsoleHolder,
    operation: Permitted,
    context: RequestContext,
    other?: OtherAction,
  ): Promise<boolean> {
    if (holder.kind === "operator") return true
    if (holder.kind === "token") return mayUse(holder.token.scopes, operation)
    const { key } = holder
    if (this.isOperator(key)) return true
    const { permission, own, path, id } = operation
    if (own !== undefined && mayActIn("s3", key.principal, key.policies)) return true
    if (permission === undefined) return (await this.denial(key, this.ofStore(id), context, other)) === undefined
    return mayActIn(serviceOf(path), key.principal, key.policies) || this.isGranted(key, other, context)
  }

  /**
   * Returns true if each request is decided by what it acts on: `mayUse` then says only that policies name actions of
   * its kind.
   */
  depends(holder: ConsoleHolder, { permission, own }: Permitted): boolean {
    const isDecidedLater = permission !== undefined || own !== undefined
    return holder.kind === "principal" && isDecidedLater && !this.isOperator(holder.key)
  }

  /** Before the request is parsed. Throws `outOfScope`, `accessDenied`. */
  async checkOperation(
    holder: ConsoleHolder,
    operation: Permitted,
    context: RequestContext,
    other?: OtherAction,
  ): Promise<void> {
    if (await this.mayUse(holder, operation, context, other)) return
    if (holder.kind === "token") {
      const [scope = "all"] = scopesFor(operation)
      throw fail("outOfScope", { message: `the token "${holder.token.name}" lacks the scope ${scope}` })
    }
    if (holder.kind === "principal") throw refusal(holder.key, this.ofStore(operation.id))
  }

  /** Once it is parsed; `required` is that of the operation's `permission`. Throws `accessDenied`. */
  async checkRequired(
    holder: ConsoleHolder,
    { id }: Permitted,
    required: readonly RequiredAction[] = [],
    context: RequestContext,
    other?: OtherAction,
  ): Promise<void> {
    const all = required.length === 0 ? [this.ofStore(id)] : required
    const denied = await this.firstDenial(holder, all, context, other)
    if (denied !== undefined) throw denied
  }

  /** Returns true if the holder may do all of it. */
  async isAllowed(
    holder: ConsoleHolder,
    required: readonly RequiredAction[],
    context: RequestContext,
  ): Promise<boolean> {
    return (await this.firstDenial(holder, required, context)) === undefined
  }

  private async firstDenial(
    holder: ConsoleHolder,
    required: readonly RequiredAction[],
    context: RequestContext,
    other?: OtherAction,
  ): Promise<DeniedAccess | undefined> {
    if (holder.kind !== "principal" || this.isOperator(holder.key)) return undefined
    for (const one of required) {
      const denied = await this.denial(holder.key, one, context, other)
      if (denied !== undefined) return denied
    }
    return undefined
  }

  private ofStore(id: string): RequiredAction {
    return { action: actionOf(id), resource: EVERYTHING, owner: this.sources.rootAccount }
  }

  /** The root user of the root account, with a key that has no limits of its own. */
  isOperator({ account, isWholeRoot }: KnownAccessKey): boolean {
    return isWholeRoot && account.id === this.sources.rootAccount
  }

  private async denial(
    key: KnownAccessKey,
    required: RequiredAction,
    context: RequestContext,
    other?: OtherAction,
  ): Promise<DeniedAccess | undefined> {
    const { principal, policies } = key
    const { action, resource, conditions } = required
    const owner = await this.sources.accounts.getAccount(required.owner)
    // Temporary credentials of a user may not use actions of IAM, the same rule as at IAM itself.
    const isBarred = action.startsWith("iam:") && key.session === "key"
    if (isBarred || owner === undefined) return refusal(key, required)
    const policy = owner.id === principal.accountId ? await this.policyOn(resource, principal, action) : undefined
    const request = {
      principal,
      action,
      resource,
      owner: { accountId: owner.id, accountNumber: owner.number },
      nowMs: this.sources.nowMs(),
      context: withConditions(context, conditions),
    }
    const decision = decide(request, policies, { ...NO_RESOURCE_POLICIES, policy })
    const isAllowed = decision.outcome === "allow"
    if (other === undefined || decision.outcome === "explicitDeny")
      return isAllowed ? undefined : denied(key, required, decision)
    const meant = await this.decisionOn(key, other, context)
    if (meant?.outcome === "explicitDeny") return denied(key, { ...required, ...ofOther(other) }, meant)
    return isAllowed || (other.isEnough && meant?.outcome === "allow") ? undefined : denied(key, required, decision)
  }

  /** Returns true if the policies allow the action, and that is enough. */
  private async isGranted(key: KnownAccessKey, other: OtherAction | undefined, context: RequestContext) {
    return other?.isEnough === true && (await this.decisionOn(key, other, context))?.outcome === "allow"
  }

  /** Decides an action of another protocol: only the root account's policies can allow it, on the whole store. */
  private async decisionOn(
    key: KnownAccessKey,
    other: OtherAction,
    context: RequestContext,
  ): Promise<ReturnType<typeof decide> | undefined> {
    const owner = await this.sources.accounts.getAccount(this.sources.rootAccount)
    if (owner === undefined) return undefined
    const { principal, policies } = key
    const { id: accountId, number: accountNumber } = owner
    const ownerOfStore = { accountId, accountNumber }
    const nowMs = this.sources.nowMs()
    const request = { principal, ...ofOther(other), owner: ownerOfStore, nowMs, context }
    return decide(request, policies, NO_RESOURCE_POLICIES)
  }

  private async policyOn(
    resource: string,
    principal: KnownAccessKey["principal"],
    action: string,
  ): Promise<NamedPolicy | undefined> {
    const [, name] = BUCKET.exec(resource) ?? []
    if (name === undefined || mayUndo(principal, action)) return undefined
    const bucket = await this.bucketOf(name)
    return bucket && this.sources.policyOfBucket(bucket)
  }

  private async bucketOf(name: string): Promise<Bucket | undefined> {
    try {
      return await this.sources.buckets.open(parseBucketName(name))
    } catch (error) {
      if (isFailure(error, "noSuchBucket", "invalidBucketName")) return undefined
      throw error
    }
  }
}

/** Returns true if the root user undoes the policy of a bucket, which it always can, the same as in S3. */
const mayUndo = ({ kind }: KnownAccessKey["principal"], action: string): boolean =>
  kind === "root" && /^s3:(?:Get|Put|Delete)BucketPolicy$/.test(action)

const refusal = (key: KnownAccessKey, required: RequiredAction): DeniedAccess =>
  denied(key, required, { outcome: "implicitDeny", lacking: ["identity"] })

function denied({ principal }: KnownAccessKey, { action, resource }: RequiredAction, decision: Denied): DeniedAccess {
  const message = messageOf(principal, action, resource)
  return new DeniedAccess({ principal, action, resource }, decision, { message })
}

const withConditions = (context: RequestContext, conditions: RequiredAction["conditions"]): RequestContext =>
  conditions === undefined
    ? context
    : {
        valuesOf: key =>
          conditions.get(key.suffix === undefined ? key.name : `${key.name}/${key.suffix.toLowerCase()}`) ??
          context.valuesOf(key),
      }

const messageOf = (principal: KnownAccessKey["principal"], action: string, resource: string): string =>
  `${nameOfPrincipal(principal)} is not authorized to perform: ${action} on resource: ${resource.slice(0, 2_048)}`

/** Returns the ARN by which policies and logs name a principal. */
const nameOfPrincipal = (principal: KnownAccessKey["principal"]): string =>
  principal.kind === "session" ? principal.sessionArn : principal.arn
