/**
 * The targets of operations on identities: the account, identity, policy or provider that a path names, and the actions
 * that access policies must allow for it, as IAM has them.
 *
 * An existing identity has the ARN of its record, however the request spelled its name: a different letter case does not
 * evade a policy.
 */
import type { Account, IdentityRef } from "@hayloft/access/index.js"
import {
  BUILT_IN_POLICIES,
  hostAndPath,
  identityArn,
  parseIdentityArn,
  policyArn,
  providerArn,
} from "@hayloft/access/index.js"
import { fail, unlessMissing } from "@hayloft/base/failures.js"
import { parseAccountId } from "@hayloft/base/ids.js"
import type { IdentityKind } from "@hayloft/engine/format/accounts/identity-records.js"
import type { OperationInput, RequiredAction } from "@hayloft/features/operator/index.js"
import type { AdminServices } from "../operation.js"
import type { Tags } from "@hayloft/base/tags.js"

export const KIND_WORDS = {
  user: { kind: "user", Kind: "User" },
  group: { kind: "group", Kind: "Group" },
  role: { kind: "role", Kind: "Role" },
} as const
export type IdentityKindWords = (typeof KIND_WORDS)[IdentityKind]

export const documentOf = (text: string): unknown => JSON.parse(text)
export const tagsOf = (tags: Readonly<Record<string, string>>): Tags => Object.entries(tags)

type Segment = OperationInput["segment"]

/** In the place of an account's id, the root account; no id has this character. */
const ROOT_ACCOUNT = "~"

/** The option of commands on what an account has. */
export const ACCOUNT = {
  flags: "--account <ID>",
  help: "account (default: the root account)",
  otherwise: ROOT_ACCOUNT,
}

/** The account in the path. Throws `noSuchAccount`. */
export async function accountIn({ accounts, rootAccount }: AdminServices, segment: Segment): Promise<Account> {
  const text = segment("account")
  const id = text === ROOT_ACCOUNT ? rootAccount : parseAccountId(text)
  const account = await accounts.getAccount(id)
  if (account === undefined) throw fail("noSuchAccount", { account: id })
  return account
}

/** The identity in the path, which need not exist. Throws `noSuchAccount`. */
export async function refIn(services: AdminServices, segment: Segment, kind: IdentityKind): Promise<IdentityRef> {
  return { accountId: (await accountIn(services, segment)).id, kind, name: segment(kind) }
}

const BUILT_IN_BY_NAME: ReadonlyMap<string, string> = new Map(
  [...BUILT_IN_POLICIES].map(([arn, { name }]) => [name, arn]),
)

/** The ARN of a policy by its ARN, by the name of a policy of the account, or else of a built-in one. Throws `noSuchEntity`. */
export async function arnOfPolicy(
  { identities }: { readonly identities: Pick<AdminServices["identities"], "findPolicyNamed"> },
  { id, number }: Account,
  text: string,
): Promise<string> {
  const parsed = parseIdentityArn("policy", text)
  if (parsed?.account === number || parsed?.account === "aws") return text
  const found = parsed === undefined ? await identities.findPolicyNamed(id, text) : undefined
  if (found !== undefined) return policyArn(number, found)
  const builtIn = BUILT_IN_BY_NAME.get(text)
  if (builtIn !== undefined) return builtIn
  throw fail("noSuchEntity", { message: `Policy ${text.slice(0, 300)} does not exist or is not attachable.` })
}

/** A provider by the host and path in its ARN. */
export const providerIn = (segment: Segment): string => hostAndPath(segment("provider"))

// Required actions.

type Conditions = NonNullable<RequiredAction["conditions"]>

export const tagConditions = (prefixes: readonly string[], tags: Tags): readonly (readonly [string, string])[] =>
  prefixes.flatMap(prefix => tags.map(([key, value]) => [`${prefix}/${key.toLowerCase()}`, value] as const))

const OF_RESOURCE = ["aws:resourcetag", "iam:resourcetag"]

/** Actions on an identity; a missing one gets the ARN that it would have. */
export async function onIdentity(
  { identities }: AdminServices,
  { id: owner, number }: Account,
  { kind, name }: Pick<IdentityRef, "kind" | "name">,
  actions: readonly string[],
  more: readonly (readonly [string, string | readonly string[]])[] = [],
): Promise<readonly RequiredAction[]> {
  const found = await unlessMissing(identities.get({ accountId: owner, kind, name }))
  const resource = identityArn(number, found ?? { kind, path: "/", name })
  const boundary = found?.boundary === undefined ? [] : [["iam:permissionsboundary", found.boundary] as const]
  const conditions: Conditions = new Map([...tagConditions(OF_RESOURCE, found?.tags ?? []), ...boundary, ...more])
  return actions.map(action => ({ action, resource, owner, conditions }))
}

/** Actions on a managed policy. */
export async function onPolicy(
  { identities }: AdminServices,
  { id: owner }: Account,
  arn: string,
  actions: readonly string[],
): Promise<readonly RequiredAction[]> {
  const found = await unlessMissing(identities.getPolicy(owner, arn))
  const conditions: Conditions = new Map(tagConditions(OF_RESOURCE, found?.tags ?? []))
  return actions.map(action => ({ action, resource: arn, owner, conditions }))
}

/** Actions on an identity provider. */
export async function onProvider(
  { identities }: AdminServices,
  { id: owner, number }: Account,
  url: string,
  actions: readonly string[],
): Promise<readonly RequiredAction[]> {
  const found = await unlessMissing(identities.getProvider(owner, url))
  const conditions: Conditions = new Map(tagConditions(OF_RESOURCE, found?.tags ?? []))
  return actions.map(action => ({ action, resource: providerArn(number, url), owner, conditions }))
}

/** Requires the permission to tag, too, for what is to be created with tags. */
export function onNew(
  { id: owner }: Account,
  resource: string,
  actions: { readonly create: string; readonly tag?: string },
  { tags, boundary }: { readonly tags: Tags; readonly boundary?: string | undefined },
): readonly RequiredAction[] {
  const keys = tags.length === 0 ? [] : [["aws:tagkeys", tags.map(([key]) => key)] as const]
  const bounded = boundary === undefined ? [] : [["iam:permissionsboundary", boundary] as const]
  const conditions: Conditions = new Map<string, string | readonly string[]>([
    ...tagConditions(["aws:requesttag"], tags),
    ...keys,
    ...bounded,
  ])
  const named = tags.length === 0 || actions.tag === undefined ? [actions.create] : [actions.create, actions.tag]
  return named.map(action => ({ action, resource, owner, conditions }))
}

/** Listing all of a kind, as AWS names them: `arn:…:user/`. */
export const onAll = ({ id: owner, number }: Account, kind: string, action: string): readonly RequiredAction[] => [
  { action, resource: `arn:aws:iam::${number}:${kind}/`, owner },
]
