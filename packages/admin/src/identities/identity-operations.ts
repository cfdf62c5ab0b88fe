/**
 * The operations of `/v1/accounts/{account}` on users, groups and roles: what IAM does, with the account in the path and
 * JSON instead of XML.
 */
import type { z } from "zod"
import { identityArn, type Account, type IdentityRef } from "@hayloft/access/index.js"
import { fail } from "@hayloft/base/failures.js"
import type { IdentityKind, IdentityRecord, RoleTerms } from "@hayloft/engine/format/accounts/identity-records.js"
import {
  type Answering,
  type CommandOf,
  firstOf,
  type OperationInput,
  PAGE_PARAMETERS,
  pageSize,
  parseBody,
  type RequiredAction,
} from "@hayloft/features/operator/index.js"
import {
  GROUP_COMMANDS,
  memberCommand,
  MEMBERS_COMMAND,
  ROLE_COMMANDS,
  USER_COMMANDS,
  type KindCommands,
} from "./identity-commands.js"
import { boundaryOf, policyOperations } from "./identity-policy-operations.js"
import * as schema from "./identity-schemas.js"
import {
  accountIn,
  arnOfPolicy,
  documentOf,
  KIND_WORDS,
  onAll,
  onIdentity,
  onNew,
  refIn,
  tagConditions,
  tagsOf,
  type IdentityKindWords,
} from "./identity-targets.js"
import { action, type AdminOperation, operation, type AdminServices } from "../operation.js"
import type { Tags } from "@hayloft/base/tags.js"

const SESSION_SECONDS_DEFAULT = 3_600

/** The schemas of one kind. */
interface Shapes<One, Page> {
  readonly one: z.ZodType<One>
  readonly list: z.ZodType<Page>
  readonly fresh: z.ZodType
  readonly change: z.ZodType
}

/** In the shape of the schemas `USER`, `GROUP` and `ROLE`. */
function identityJson({ number }: Account, record: IdentityRecord) {
  const { kind, name, id, path, createdMs, attached, inline, boundary, tags, role, groups, keys } = record
  const arn = identityArn(number, record)
  const shared = { name, id, arn, path, createdMs, attached, inline: inline.map(policy => policy.name) }
  if (kind === "group") return shared
  const bounded = { ...shared, tags: Object.fromEntries(tags), ...(boundary !== undefined && { boundary }) }
  if (role === undefined) return { ...bounded, groups, keys }
  return { ...bounded, ...role, trust: documentOf(role.trust) }
}

const shownIdentity = async (services: AdminServices, account: Account, ref: IdentityRef) =>
  identityJson(account, await services.identities.get(ref))

/** The terms of a role that a request has. */
const termsIn = ({ description, trust, sessionSecondsMax }: Partial<Record<keyof RoleTerms, unknown>>) => ({
  ...(typeof description === "string" && { description }),
  ...(trust !== undefined && { trust: JSON.stringify(trust) }),
  ...(typeof sessionSecondsMax === "number" && { sessionSecondsMax }),
})

interface NewIdentityBody {
  readonly name: string
  readonly path: string
  readonly tags: Tags
  readonly boundary: string | undefined
  readonly role: RoleTerms | undefined
}

function newIdentity(kind: IdentityKind, body: unknown): NewIdentityBody {
  switch (kind) {
    case "group":
      return { ...parseBody(schema.NEW_GROUP, body), tags: [], boundary: undefined, role: undefined }
    case "user": {
      const { name, path, tags, boundary } = parseBody(schema.NEW_USER, body)
      return { name, path, boundary, tags: tagsOf(tags), role: undefined }
    }
    case "role": {
      const { name, path, tags, boundary, ...terms } = parseBody(schema.NEW_ROLE, body)
      const { description = "", sessionSecondsMax = SESSION_SECONDS_DEFAULT } = terms
      const role = { description, sessionSecondsMax, trust: JSON.stringify(terms.trust) }
      return { name, path, boundary, tags: tagsOf(tags), role }
    }
  }
}

async function create(services: AdminServices, kind: IdentityKind, { segment, body }: OperationInput) {
  const account = await accountIn(services, segment)
  const { boundary, ...terms } = newIdentity(kind, body)
  const arn = boundary === undefined ? undefined : await arnOfPolicy(services, account, boundary)
  return identityJson(
    account,
    await services.identities.create({ accountId: account.id, kind, ...terms, boundary: arn }),
  )
}

interface Changes {
  readonly name?: string | undefined
  readonly path?: string | undefined
  readonly terms?: Partial<RoleTerms>
  readonly tags?: Readonly<Record<string, string>> | undefined
  readonly removedTags?: readonly string[] | undefined
}

function changesIn(kind: IdentityKind, body: unknown): Changes {
  switch (kind) {
    case "user":
      return parseBody(schema.CHANGE_USER, body)
    case "group":
      return parseBody(schema.CHANGE_GROUP, body)
    case "role": {
      const { tags, removedTags, ...terms } = parseBody(schema.CHANGE_ROLE, body)
      return { tags, removedTags, terms: termsIn(terms) }
    }
  }
}

async function change(services: AdminServices, kind: IdentityKind, { segment, body }: OperationInput) {
  const account = await accountIn(services, segment)
  const ref = { accountId: account.id, kind, name: segment(kind) }
  const { identities } = services
  const { name, path, terms = {}, tags, removedTags } = changesIn(kind, body)
  if (tags !== undefined || removedTags !== undefined)
    await identities.setTags(ref, tagsOf(tags ?? {}), removedTags ?? [])
  if (Object.keys(terms).length > 0) await identities.updateRole(ref, terms)
  if (name !== undefined || path !== undefined) await identities.update(ref, { name, path })
  return shownIdentity(services, account, { ...ref, name: name ?? ref.name })
}

async function changePermission(
  services: AdminServices,
  { kind, Kind }: IdentityKindWords,
  { segment, body }: OperationInput,
) {
  const account = await accountIn(services, segment)
  const ref = { kind, name: segment(kind) }
  const { name, path, terms = {}, tags = {}, removedTags = [] } = changesIn(kind, body)
  const { trust, ...others } = terms
  const isMoved = name !== undefined || path !== undefined
  const actions = [
    ...(isMoved || Object.keys(others).length > 0 ? [`iam:Update${Kind}`] : []),
    ...(trust === undefined ? [] : ["iam:UpdateAssumeRolePolicy"]),
    ...(Object.keys(tags).length === 0 ? [] : [`iam:Tag${Kind}`]),
    ...(removedTags.length === 0 ? [] : [`iam:Untag${Kind}`]),
  ]
  const conditions = [
    ...tagConditions(["aws:requesttag"], tagsOf(tags)),
    ["aws:tagkeys", [...Object.keys(tags), ...removedTags]] as const,
  ]
  const required = await onIdentity(
    services,
    account,
    ref,
    actions.length === 0 ? [`iam:Get${Kind}`] : actions,
    conditions,
  )
  const [first] = required
  if (!isMoved || first === undefined) return required
  // The policies must allow the old and the new ARN.
  const found = await services.identities.get({ accountId: account.id, ...ref })
  const moved = { kind, name: name ?? found.name, path: path ?? found.path }
  return [...required, { ...first, resource: identityArn(account.number, moved) }]
}

const isCascade = (query: ReadonlyMap<string, string>): boolean => {
  const text = query.get("cascade") ?? "false"
  if (text !== "true" && text !== "false") throw fail("invalidArgument", { message: "cascade is true or false" })
  return text === "true"
}

/** Removes what keeps an identity from being deleted; keys first, so that nothing is signed with them meanwhile. */
async function empty({ identities, accounts }: AdminServices, ref: IdentityRef): Promise<void> {
  const { keys, inline, attached, groups } = await identities.get(ref)
  const { accountId, name } = ref
  for (const key of keys) await accounts.removeKey(key, { accountId, userName: name })
  for (const policy of inline) await identities.removeInline(ref, policy.name)
  for (const arn of attached) await identities.detach(ref, arn)
  for (const group of groups) await identities.leaveGroup(ref, group)
  if (ref.kind !== "group") return
  const members: IdentityRecord[] = []
  for await (const member of identities.members(ref, "")) members.push(member)
  for (const member of members) await identities.leaveGroup({ accountId, kind: "user", name: member.name }, name)
}

async function removePermission(
  services: AdminServices,
  { kind, Kind }: IdentityKindWords,
  { segment, query }: OperationInput,
) {
  const account = await accountIn(services, segment)
  const ref = { accountId: account.id, kind, name: segment(kind) }
  const own = await onIdentity(services, account, ref, [`iam:Delete${Kind}`])
  if (!isCascade(query)) return own
  const { keys, inline, attached, groups } = await services.identities.get(ref)
  const more: RequiredAction[] = []
  const also = async (name: string, actions: readonly string[], policyArn?: string, of: IdentityKind = kind) => {
    const conditions = policyArn === undefined ? [] : [["iam:policyarn", policyArn] as const]
    more.push(...(await onIdentity(services, account, { kind: of, name }, actions, conditions)))
  }
  if (keys.length > 0) await also(ref.name, ["iam:DeleteAccessKey"])
  if (inline.length > 0) await also(ref.name, [`iam:Delete${Kind}Policy`])
  for (const arn of attached) await also(ref.name, [`iam:Detach${Kind}Policy`], arn)
  for (const group of groups) await also(group, ["iam:RemoveUserFromGroup"], undefined, "group")
  if (kind === "group") await also(ref.name, ["iam:RemoveUserFromGroup"])
  return [...own, ...more]
}

const onOne =
  (kind: IdentityKind, action: string) =>
  async (services: AdminServices, { segment }: OperationInput) =>
    onIdentity(services, await accountIn(services, segment), { kind, name: segment(kind) }, [action])

const listPath = (kind: IdentityKind): string => `/v1/accounts/{account}/${kind}s`
const onePath = (kind: IdentityKind): string => `${listPath(kind)}/{${kind}}`

function listOf<One, Page>(
  { kind, Kind }: IdentityKindWords,
  shapes: Shapes<One, Page>,
  command: CommandOf<Page>,
): AdminOperation {
  return operation(`list${Kind}s`, `GET ${listPath(kind)}`, {
    summary: `Lists the ${kind}s of an account, by name.`,
    parameters: PAGE_PARAMETERS,
    answer: shapes.list,
    permission: async (services, { segment }) => onAll(await accountIn(services, segment), kind, `iam:List${Kind}s`),
    async run(services, { segment, query }) {
      const account = await accountIn(services, segment)
      const records = services.identities.list(account.id, kind, (query.get("after") ?? "").toLowerCase())
      const { items, next } = await firstOf(records, pageSize(query), ({ name }) => name)
      return { [`${kind}s`]: items.map(record => identityJson(account, record)), ...(next !== undefined && { next }) }
    },
    commands: [command],
  })
}

function getOf<One, Page>(
  { kind, Kind }: IdentityKindWords,
  shapes: Shapes<One, Page>,
  commands: KindCommands<One, Page>,
) {
  return operation(`get${Kind}`, `GET ${onePath(kind)}`, {
    summary: `Returns one ${kind}.`,
    answer: shapes.one,
    permission: onOne(kind, `iam:Get${Kind}`),
    async run(services, { segment }) {
      const account = await accountIn(services, segment)
      return shownIdentity(services, account, { accountId: account.id, kind, name: segment(kind) })
    },
    commands: commands.show === undefined ? [] : [commands.show],
  })
}

/** Create, read, change and delete one kind. */
function lifeOf<One, Page>(words: IdentityKindWords, shapes: Shapes<One, Page>, commands: KindCommands<One, Page>) {
  const { kind, Kind } = words
  const get = getOf(words, shapes, commands)
  const operations: readonly AdminOperation[] = [
    listOf(words, shapes, commands.list),
    operation(`create${Kind}`, `POST ${listPath(kind)}`, {
      request: shapes.fresh,
      summary: `Creates a ${kind}, which may do nothing yet.`,
      status: 201,
      answer: shapes.one,
      async permission(services, { segment, body }) {
        const account = await accountIn(services, segment)
        const { boundary, ...terms } = newIdentity(kind, body)
        const arn = boundary === undefined ? undefined : await arnOfPolicy(services, account, boundary)
        const actions = { create: `iam:Create${Kind}`, ...(kind !== "group" && { tag: `iam:Tag${Kind}` }) }
        return onNew(account, identityArn(account.number, { kind, ...terms }), actions, { ...terms, boundary: arn })
      },
      run: (services, input) => create(services, kind, input),
      commands: [commands.create(get)],
    }),
    get,
    operation(`change${Kind}`, `POST ${onePath(kind)}`, {
      request: shapes.change,
      summary: kind === "user" ? "Changes a user: its name, path, tags." : `Changes the terms of a ${kind}.`,
      answer: shapes.one,
      permission: (services, input) => changePermission(services, words, input),
      run: (services, input) => change(services, kind, input),
      commands: commands.change === undefined ? [] : [commands.change],
    }),
    action(`delete${Kind}`, `DELETE ${onePath(kind)}`, {
      summary: `Deletes a ${kind}.`,
      parameters: [
        { name: "cascade", description: `true: with ${kind === "user" ? "its keys, " : ""}policies and memberships` },
      ],
      permission: (services, input) => removePermission(services, words, input),
      async run(services, { segment, query }) {
        const ref = await refIn(services, segment, kind)
        if (isCascade(query)) await empty(services, ref)
        await services.identities.remove(ref)
      },
      commands: [commands.remove],
    }),
  ]
  return { get, operations }
}

const USERS = lifeOf(
  KIND_WORDS.user,
  { one: schema.USER, list: schema.USERS, fresh: schema.NEW_USER, change: schema.CHANGE_USER },
  USER_COMMANDS,
)
const GROUPS = lifeOf(
  KIND_WORDS.group,
  { one: schema.GROUP, list: schema.GROUPS, fresh: schema.NEW_GROUP, change: schema.CHANGE_GROUP },
  GROUP_COMMANDS,
)
const ROLES = lifeOf(
  KIND_WORDS.role,
  { one: schema.ROLE, list: schema.ROLES, fresh: schema.NEW_ROLE, change: schema.CHANGE_ROLE },
  ROLE_COMMANDS,
)

/** The operations that return one user, group or role, with the names of its policies. */
export const GET_IDENTITY: Readonly<Record<IdentityKind, Answering<z.output<typeof schema.GROUP>>>> = {
  user: USERS.get,
  group: GROUPS.get,
  role: ROLES.get,
}

const MEMBERS = "/v1/accounts/{account}/groups/{group}/members"

const onGroup =
  (action: string) =>
  async (services: AdminServices, { segment }: OperationInput) =>
    onIdentity(services, await accountIn(services, segment), { kind: "group", name: segment("group") }, [action])

const MEMBER_OPERATIONS: readonly AdminOperation[] = [
  operation("listMembers", `GET ${MEMBERS}`, {
    summary: "Lists the users in a group, by name.",
    parameters: PAGE_PARAMETERS,
    answer: schema.USERS,
    permission: onGroup("iam:GetGroup"),
    async run(services, { segment, query }) {
      const account = await accountIn(services, segment)
      const ref = { accountId: account.id, kind: "group", name: segment("group") } as const
      await services.identities.get(ref)
      const members = services.identities.members(ref, (query.get("after") ?? "").toLowerCase())
      const { items, next } = await firstOf(members, pageSize(query), ({ name }) => name)
      return { users: items.map(record => identityJson(account, record)), ...(next !== undefined && { next }) }
    },
    commands: [MEMBERS_COMMAND],
  }),
  action("addMember", `PUT ${MEMBERS}/{user}`, {
    summary: "Adds a user to a group.",
    permission: onGroup("iam:AddUserToGroup"),
    run: async (services, { segment }) =>
      services.identities.joinGroup(await refIn(services, segment, "user"), segment("group")),
    commands: [memberCommand("add", "add a user to a group", "added")],
  }),
  action("removeMember", `DELETE ${MEMBERS}/{user}`, {
    summary: "Removes a user from a group.",
    permission: onGroup("iam:RemoveUserFromGroup"),
    run: async (services, { segment }) =>
      services.identities.leaveGroup(await refIn(services, segment, "user"), segment("group")),
    commands: [memberCommand("remove", "remove a user from a group", "removed")],
  }),
]

export const IDENTITY_OPERATIONS: readonly AdminOperation[] = [
  ...USERS.operations,
  ...policyOperations("user"),
  ...boundaryOf(KIND_WORDS.user),
  ...GROUPS.operations,
  ...policyOperations("group"),
  ...ROLES.operations,
  ...policyOperations("role"),
  ...boundaryOf(KIND_WORDS.role),
  ...MEMBER_OPERATIONS,
]
