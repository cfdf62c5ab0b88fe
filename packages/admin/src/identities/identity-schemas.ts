/** Schemas of users, groups, roles, managed policies and identity providers in the admin API's JSON. */
import { z } from "zod"

const timestamp = z.number().int().describe("milliseconds since 1970")
const name = z.string().min(1).max(128)
const path = z.string().describe("/, or /division/team/")
const arns = z.array(z.string())
const count = z.number().int().nonnegative()
const policy = z
  .string()
  .min(1)
  .max(2048)
  .describe("ARN or name of a managed policy of the account, or of a built-in one: readonly, readwrite, writeonly …")

export const POLICY_DOCUMENT = z
  .strictObject({
    Version: z.string().optional(),
    Id: z.string().optional(),
    Statement: z.unknown().describe("one, or a list: {Effect, Action, Resource, …}"),
  })
  .describe("an access policy")
  .meta({ id: "PolicyDocument" })

export const TAGS = z.record(z.string(), z.string()).meta({ id: "Tags" })

const NAMED = {
  name: z.string(),
  id: z.string().describe("never used again"),
  arn: z.string(),
  path,
  createdMs: timestamp,
}
const WITH_POLICIES = {
  ...NAMED,
  attached: arns.describe("ARNs of attached managed policies"),
  inline: z.array(z.string()).describe("names of its own policies"),
}
const boundary = z.string().optional().describe("ARN of the permissions boundary; absent: none")

export const USER = z
  .object({
    ...WITH_POLICIES,
    boundary,
    tags: TAGS,
    groups: z.array(z.string()),
    keys: z.array(z.string()).describe("its access keys"),
  })
  .meta({ id: "User" })
export const GROUP = z.object(WITH_POLICIES).meta({ id: "Group" })
export const ROLE = z
  .object({
    ...WITH_POLICIES,
    boundary,
    tags: TAGS,
    description: z.string(),
    trust: POLICY_DOCUMENT.describe("who may assume it"),
    sessionSecondsMax: count,
  })
  .meta({ id: "Role" })

const next = z.string().optional().describe("`after` of the next page")
export const USERS = z.object({ users: z.array(USER), next }).meta({ id: "Users" })
export const GROUPS = z.object({ groups: z.array(GROUP), next }).meta({ id: "Groups" })
export const ROLES = z.object({ roles: z.array(ROLE), next }).meta({ id: "Roles" })

const NEW = { name, path: path.default("/") }
const NEW_TAGGED = { ...NEW, tags: TAGS.default({}), boundary: policy.optional() }
export const NEW_USER = z.strictObject(NEW_TAGGED).meta({ id: "NewUser" })
export const NEW_GROUP = z.strictObject(NEW).meta({ id: "NewGroup" })

const TERMS = {
  description: z.string().max(1000).optional(),
  trust: POLICY_DOCUMENT.optional().describe("who may assume it"),
  sessionSecondsMax: count.optional().describe("of one session: 3600 to 43200"),
}
export const NEW_ROLE = z
  .strictObject({
    ...NEW_TAGGED,
    ...TERMS,
    trust: POLICY_DOCUMENT.describe("who may assume it"),
  })
  .meta({ id: "NewRole" })

const CHANGED_TAGS = {
  tags: TAGS.optional().describe("replaces tags of the same keys"),
  removedTags: z.array(z.string()).optional().describe("keys of tags"),
}
export const CHANGE_USER = z
  .strictObject({ name: name.optional(), path: path.optional(), ...CHANGED_TAGS })
  .meta({ id: "ChangeUser" })
export const CHANGE_GROUP = z.strictObject({ path }).meta({ id: "ChangeGroup" })
export const CHANGE_ROLE = z.strictObject({ ...TERMS, ...CHANGED_TAGS }).meta({ id: "ChangeRole" })

export const ATTACHED_POLICY = z.strictObject({ policy }).meta({ id: "AttachedPolicy" })

export const INLINE_POLICY = z.object({ name: z.string(), document: POLICY_DOCUMENT }).meta({ id: "InlinePolicy" })

const MANAGED = {
  ...NAMED,
  description: z.string(),
  isBuiltIn: z.boolean().describe("every account has it, and nothing changes it"),
  updatedMs: timestamp,
  attachments: count.describe("users, groups and roles that have it"),
  boundaries: count.describe("users and roles whose permissions boundary it is"),
}
export const MANAGED_POLICIES = z.object({ policies: z.array(z.object(MANAGED)), next }).meta({ id: "ManagedPolicies" })
export const MANAGED_POLICY = z
  .object({
    ...MANAGED,
    tags: TAGS,
    document: POLICY_DOCUMENT.describe("that of the default version, which applies"),
    defaultVersion: count,
    versions: z.array(z.object({ version: count, createdMs: timestamp, document: POLICY_DOCUMENT })),
  })
  .meta({ id: "ManagedPolicy" })
export const NEW_MANAGED_POLICY = z
  .strictObject({
    ...NEW,
    description: z.string().max(1000).default(""),
    tags: TAGS.default({}),
    document: POLICY_DOCUMENT,
  })
  .meta({ id: "NewManagedPolicy" })
export const POLICY_HOLDERS = z
  .object({
    holders: z.array(
      z.object({
        kind: z.enum(["user", "group", "role", "entry"]),
        name: z.string(),
        arn: z.string(),
        isBoundary: z.boolean(),
      }),
    ),
    hasMore: z.boolean().describe("there are more than are shown"),
  })
  .meta({ id: "PolicyHolders" })

const PROVIDER_TERMS = {
  clientIds: z.array(z.string()).describe("audiences whose tokens are accepted"),
  thumbprints: z.array(z.string()).describe("stored for tools that send them; certificates are verified without them"),
}
export const OIDC_PROVIDER = z
  .object({
    provider: z.string().describe("the issuer without its scheme: it names the provider in paths and ARNs"),
    issuer: z.string(),
    arn: z.string(),
    createdMs: timestamp,
    ...PROVIDER_TERMS,
    tags: TAGS,
  })
  .meta({ id: "OidcProvider" })
export const OIDC_PROVIDERS = z.object({ providers: z.array(OIDC_PROVIDER) }).meta({ id: "OidcProviders" })
export const NEW_OIDC_PROVIDER = z
  .strictObject({
    issuer: z.string().min(1).max(255).describe("https://…"),
    clientIds: PROVIDER_TERMS.clientIds.default([]),
    thumbprints: PROVIDER_TERMS.thumbprints.default([]),
    tags: TAGS.default({}),
  })
  .meta({ id: "NewOidcProvider" })
export const CHANGE_OIDC_PROVIDER = z
  .strictObject({
    addClientId: z.string().optional(),
    removeClientId: z.string().optional(),
    thumbprints: PROVIDER_TERMS.thumbprints.optional(),
    ...CHANGED_TAGS,
  })
  .meta({ id: "ChangeOidcProvider" })
