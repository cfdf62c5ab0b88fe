/**
 * The targets of actions, as policies name them. An existing target has the ARN of its record, regardless of how the
 * request spelled its name: a different letter case does not evade a policy.
 */
import { identityArn, parseIdentityArn, policyArn, providerArn, rootArn } from "@hayloft/access/index.js"
import { fail, unlessMissing } from "@hayloft/base/failures.js"
import type { IdentityKind, IdentityRecord } from "@hayloft/engine/format/accounts/identity-records.js"
import type { IamCall, IamKindWords, IamTarget } from "./action.js"
import { invalidIamParameter } from "./parameters.js"

/** A user, group or role by name; a missing one gets the ARN that it would have. */
export async function identityTarget(call: IamCall, kind: IdentityKind, name: string): Promise<IamTarget> {
  const { accountId, number } = call
  const found = await unlessMissing(call.identities.get({ accountId, kind, name }))
  if (found === undefined) return { arn: identityArn(number, { kind, path: "/", name }) }
  return { arn: identityArn(number, found), tags: found.tags, boundary: found.boundary }
}

export const onIdentity =
  ({ kind, name }: IamKindWords) =>
  (call: IamCall): Promise<IamTarget> =>
    identityTarget(call, kind, call.parameters.text(name))

/** Creating with tags also requires permission to tag. */
const tagged = ({ parameters }: IamCall, action: string, target: IamTarget): readonly IamTarget[] =>
  parameters.tags().length === 0 ? [target] : [target, { ...target, action }]

/** An identity that is to be created. */
export const onNewIdentity =
  ({ kind, Kind, name }: IamKindWords) =>
  async (call: IamCall): Promise<readonly IamTarget[]> => {
    const { number, parameters } = call
    const path = parameters.optional("Path") ?? "/"
    return tagged(call, `iam:Tag${Kind}`, { arn: identityArn(number, { kind, path, name: parameters.text(name) }) })
  }

/** An identity whose name or path changes: the policies must allow both the old and the new ARN. */
export const onRenamedIdentity =
  ({ kind, Kind, name }: IamKindWords) =>
  async (call: IamCall): Promise<readonly IamTarget[]> => {
    const { accountId, number, identities, parameters } = call
    const now = { accountId, kind, name: parameters.text(name) }
    const found = (await unlessMissing(identities.get(now))) ?? { ...now, path: "/" }
    const path = parameters.optional("NewPath") ?? found.path
    const newName = parameters.optional(`New${Kind}Name`) ?? found.name
    const target = await identityTarget(call, kind, now.name)
    return [target, { ...target, arn: identityArn(number, { kind, path, name: newName }) }]
  }

/** All of a kind, as AWS names them: `arn:…:user/` and the requested path prefix. Throws `invalidArgument`. */
export const onAll =
  (kind: IdentityKind | "policy" | "oidc-provider") =>
  async ({ number, parameters }: IamCall): Promise<IamTarget> => {
    const path = parameters.optional("PathPrefix") ?? "/"
    if (!path.startsWith("/")) throw invalidIamParameter("PathPrefix must begin with /.")
    return { arn: `arn:aws:iam::${number}:${kind}${path}` }
  }

/** The account as a whole. */
export const onAccount = async (): Promise<IamTarget> => ({ arn: "*" })

/** The user that the request names, or else the caller; undefined for the account's root. Throws `invalidArgument`. */
export function userNameOf({ parameters, caller: { principal } }: IamCall): string | undefined {
  const name = parameters.optional("UserName")
  if (name !== undefined && name !== "") return name
  if (principal.kind === "user") return principal.userName
  if (principal.kind === "root") return undefined
  throw invalidIamParameter("Must specify userName when calling with non-User credentials")
}

export async function onUserOrCaller(call: IamCall): Promise<IamTarget> {
  const name = userNameOf(call)
  return name === undefined ? { arn: rootArn(call.number) } : identityTarget(call, "user", name)
}

/** The ARN of a managed policy of the account or of a built-in one. Throws `invalidArgument`, `noSuchEntity`. */
export function policyArnOf({ number }: Pick<IamCall, "number">, text: string): string {
  const parsed = parseIdentityArn("policy", text)
  if (parsed === undefined) throw invalidIamParameter(`ARN ${text.slice(0, 200)} is not valid.`)
  if (parsed.account === number || parsed.account === "aws") return text
  throw fail("noSuchEntity", { message: `Policy ${text} does not exist or is not attachable.` })
}

export async function onPolicy(call: IamCall): Promise<IamTarget> {
  const arn = policyArnOf(call, call.parameters.text("PolicyArn"))
  const found = await unlessMissing(call.identities.getPolicy(call.accountId, arn))
  return { arn, tags: found?.tags ?? [] }
}

export async function onNewPolicy(call: IamCall): Promise<readonly IamTarget[]> {
  const { number, parameters } = call
  const arn = policyArn(number, { path: parameters.optional("Path") ?? "/", name: parameters.text("PolicyName") })
  return tagged(call, "iam:TagPolicy", { arn })
}

const PROVIDER_ARN = /^arn:aws:iam::(\d{12}):oidc-provider\/([^\s\x00]{1,255})$/

/** Host and path of the provider that the request names. Throws `invalidArgument`. */
export function providerOf({ number, parameters }: IamCall): string {
  const [, account, hostAndPath] = PROVIDER_ARN.exec(parameters.text("OpenIDConnectProviderArn")) ?? []
  if (account !== number || hostAndPath === undefined) throw invalidIamParameter("Invalid OpenIDConnectProviderArn")
  return hostAndPath
}

export async function onProvider(call: IamCall): Promise<IamTarget> {
  const url = providerOf(call)
  const found = await unlessMissing(call.identities.getProvider(call.accountId, url))
  return { arn: providerArn(call.number, url), tags: found?.tags ?? [] }
}

export const onNewProvider = async (call: IamCall): Promise<readonly IamTarget[]> =>
  tagged(call, "iam:TagOpenIDConnectProvider", { arn: providerArn(call.number, call.parameters.text("Url")) })

/** The record of the identity that the request names. Throws `noSuchEntity`. */
export const identityOf = (call: IamCall, { kind, name }: IamKindWords): Promise<IdentityRecord> =>
  call.identities.get({ accountId: call.accountId, kind, name: call.parameters.text(name) })

export const refOf = ({ accountId, parameters }: IamCall, { kind, name }: IamKindWords) => ({
  accountId,
  kind,
  name: parameters.text(name),
})
