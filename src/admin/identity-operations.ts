/**
 * The operations of `/v1/accounts/{account}` on users, groups and roles, their own policies and the policies attached
 * to them: what IAM does, with the account in the path and JSON instead of XML.
 */
import { identityArn, type Account, type IdentityRef } from "../access/index.js"
import { fail } from "../base/failures.js"
import type { IdentityKind, IdentityRecord, RoleTerms, Tags } from "../format/identity-records.js"
import * as schema from "./identity-schemas.js"
import {
  accountIn,
  arnOfPolicy,
  KIND_WORDS,
  onAll,
  onIdentity,
  onNew,
  refIn,
  tagConditions,
  type KindWords,
} from "./identity-targets.js"
import { firstOf, PAGE_PARAMETERS, pageSize } from "./listing.js"
import { parseBody, type Operation, type OperationInput, type RequiredAction, type Services } from "./operation.js"

const SESSION_SECONDS_DEFAULT = 3_600

/** Schemas of each kind. */
const SCHEMAS = {
  user: { one: schema.USER, list: schema.USERS, fresh: schema.NEW_USER, change: schema.CHANGE_USER },
  group: { one: schema.GROUP, list: schema.GROUPS, fresh: schema.NEW_GROUP, change: schema.CHANGE_GROUP },
  role: { one: schema.ROLE, list: schema.ROLES, fresh: schema.NEW_ROLE, change: schema.CHANGE_ROLE },
} as const

export const documentOf = (text: string): unknown => JSON.parse(text)
export const tagsOf = (tags: Readonly<Record<string, string>>): Tags => Object.entries(tags)

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

const shownIdentity = async (services: Services, account: Account, ref: IdentityRef) =>
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

async function create(services: Services, kind: IdentityKind, { segment, body }: OperationInput) {
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

async function change(services: Services, kind: IdentityKind, { segment, body }: OperationInput) {
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

async function changePermission(services: Services, { kind, Kind }: KindWords, { segment, body }: OperationInput) {
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
async function empty({ identities, accounts }: Services, ref: IdentityRef): Promise<void> {
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

async function removePermission(services: Services, { kind, Kind }: KindWords, { segment, query }: OperationInput) {
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

/** Create, read, change and delete one kind. */
function lifeOf(words: KindWords): readonly Operation[] {
  const { kind, Kind } = words
  const [list, one] = [`/v1/accounts/{account}/${kind}s`, `/v1/accounts/{account}/${kind}s/{${kind}}`]
  const { one: shape, list: page, fresh, change: changed } = SCHEMAS[kind]
  const on =
    (action: string) =>
    async (services: Services, { segment }: OperationInput) =>
      onIdentity(services, await accountIn(services, segment), { kind, name: segment(kind) }, [action])
  return [
    {
      ...{ id: `list${Kind}s`, method: "GET", path: list, request: undefined },
      summary: `Lists the ${kind}s of an account, by name.`,
      parameters: PAGE_PARAMETERS,
      response: { status: 200, schema: page },
      permission: async (services, { segment }) => onAll(await accountIn(services, segment), kind, `iam:List${Kind}s`),
      async run(services, { segment, query }) {
        const account = await accountIn(services, segment)
        const records = services.identities.list(account.id, kind, (query.get("after") ?? "").toLowerCase())
        const { items, next } = await firstOf(records, pageSize(query), ({ name }) => name)
        return { [`${kind}s`]: items.map(record => identityJson(account, record)), ...(next !== undefined && { next }) }
      },
    },
    {
      ...{ id: `create${Kind}`, method: "POST", path: list, parameters: [], request: fresh },
      summary: `Creates a ${kind}, which may do nothing yet.`,
      response: { status: 201, schema: shape },
      async permission(services, { segment, body }) {
        const account = await accountIn(services, segment)
        const { boundary, ...terms } = newIdentity(kind, body)
        const arn = boundary === undefined ? undefined : await arnOfPolicy(services, account, boundary)
        const actions = { create: `iam:Create${Kind}`, ...(kind !== "group" && { tag: `iam:Tag${Kind}` }) }
        return onNew(account, identityArn(account.number, { kind, ...terms }), actions, { ...terms, boundary: arn })
      },
      run: (services, input) => create(services, kind, input),
    },
    {
      ...{ id: `get${Kind}`, method: "GET", path: one, parameters: [], request: undefined },
      summary: `Returns one ${kind}.`,
      response: { status: 200, schema: shape },
      permission: on(`iam:Get${Kind}`),
      async run(services, { segment }) {
        const account = await accountIn(services, segment)
        return shownIdentity(services, account, { accountId: account.id, kind, name: segment(kind) })
      },
    },
    {
      ...{ id: `change${Kind}`, method: "POST", path: one, parameters: [], request: changed },
      summary: kind === "user" ? "Changes a user: its name, path, tags." : `Changes the terms of a ${kind}.`,
      response: { status: 200, schema: shape },
      permission: (services, input) => changePermission(services, words, input),
      run: (services, input) => change(services, kind, input),
    },
    {
      ...{ id: `delete${Kind}`, method: "DELETE", path: one, request: undefined },
      summary: `Deletes a ${kind}.`,
      parameters: [
        { name: "cascade", description: `true: with ${kind === "user" ? "its keys, " : ""}policies and memberships` },
      ],
      response: { status: 204, schema: undefined },
      permission: (services, input) => removePermission(services, words, input),
      async run(services, { segment, query }) {
        const ref = await refIn(services, segment, kind)
        if (isCascade(query)) await empty(services, ref)
        await services.identities.remove(ref)
      },
    },
  ]
}

/** The policies of one kind: its own by name, and managed ones. */
function policiesOf({ kind, Kind }: KindWords): readonly Operation[] {
  const one = `/v1/accounts/{account}/${kind}s/{${kind}}`
  const own = `${one}/policies/{policy}`
  const on =
    (action: string) =>
    async (services: Services, { segment }: OperationInput) =>
      onIdentity(services, await accountIn(services, segment), { kind, name: segment(kind) }, [action])
  const attaching = (verb: "attach" | "detach", summary: string): Operation => ({
    ...{ id: `${verb}${Kind}Policy`, method: "POST", path: `${one}/${verb}`, parameters: [], summary },
    request: schema.ATTACHED_POLICY,
    response: { status: 204, schema: undefined },
    async permission(services, { segment, body }) {
      const account = await accountIn(services, segment)
      const arn = await arnOfPolicy(services, account, parseBody(schema.ATTACHED_POLICY, body).policy)
      const action = `iam:${verb === "attach" ? "Attach" : "Detach"}${Kind}Policy`
      return onIdentity(services, account, { kind, name: segment(kind) }, [action], [["iam:policyarn", arn]])
    },
    async run(services, { segment, body }) {
      const account = await accountIn(services, segment)
      const arn = await arnOfPolicy(services, account, parseBody(schema.ATTACHED_POLICY, body).policy)
      await services.identities[verb]({ accountId: account.id, kind, name: segment(kind) }, arn)
    },
  })
  return [
    attaching("attach", `Attaches a managed policy to a ${kind}.`),
    attaching("detach", `Detaches a managed policy from a ${kind}.`),
    {
      ...{ id: `get${Kind}Policy`, method: "GET", path: own, parameters: [], request: undefined },
      summary: `Returns a policy of a ${kind} itself.`,
      response: { status: 200, schema: schema.INLINE_POLICY },
      permission: on(`iam:Get${Kind}Policy`),
      async run(services, { segment }) {
        const { inline } = await services.identities.get(await refIn(services, segment, kind))
        const found = inline.find(policy => policy.name === segment("policy"))
        if (found === undefined) {
          throw fail("noSuchEntity", { message: `The ${kind} policy with name ${segment("policy")} cannot be found.` })
        }
        return { name: found.name, document: documentOf(found.text) }
      },
    },
    {
      ...{ id: `put${Kind}Policy`, method: "PUT", path: own, parameters: [], request: schema.POLICY_DOCUMENT },
      summary: `Gives a ${kind} a policy of its own, in place of one of the same name.`,
      response: { status: 204, schema: undefined },
      permission: on(`iam:Put${Kind}Policy`),
      async run(services, { segment, body }) {
        const text = JSON.stringify(parseBody(schema.POLICY_DOCUMENT, body))
        await services.identities.putInline(await refIn(services, segment, kind), segment("policy"), text)
      },
    },
    {
      ...{ id: `delete${Kind}Policy`, method: "DELETE", path: own, parameters: [], request: undefined },
      summary: `Deletes a policy of a ${kind} itself.`,
      response: { status: 204, schema: undefined },
      permission: on(`iam:Delete${Kind}Policy`),
      run: async (services, { segment }) =>
        services.identities.removeInline(await refIn(services, segment, kind), segment("policy")),
    },
  ]
}

function boundaryOf({ kind, Kind }: KindWords): readonly Operation[] {
  const path = `/v1/accounts/{account}/${kind}s/{${kind}}/boundary`
  return [
    {
      ...{ id: `set${Kind}Boundary`, method: "PUT", path, parameters: [], request: schema.ATTACHED_POLICY },
      summary: `Limits a ${kind} to what a managed policy allows: its permissions boundary.`,
      response: { status: 204, schema: undefined },
      async permission(services, { segment, body }) {
        const account = await accountIn(services, segment)
        const arn = await arnOfPolicy(services, account, parseBody(schema.ATTACHED_POLICY, body).policy)
        const actions = [`iam:Put${Kind}PermissionsBoundary`]
        return onIdentity(services, account, { kind, name: segment(kind) }, actions, [["iam:permissionsboundary", arn]])
      },
      async run(services, { segment, body }) {
        const account = await accountIn(services, segment)
        const arn = await arnOfPolicy(services, account, parseBody(schema.ATTACHED_POLICY, body).policy)
        await services.identities.setBoundary({ accountId: account.id, kind, name: segment(kind) }, arn)
      },
    },
    {
      ...{ id: `remove${Kind}Boundary`, method: "DELETE", path, parameters: [], request: undefined },
      summary: `Removes the permissions boundary of a ${kind}.`,
      response: { status: 204, schema: undefined },
      permission: async (services, { segment }) =>
        onIdentity(services, await accountIn(services, segment), { kind, name: segment(kind) }, [
          `iam:Delete${Kind}PermissionsBoundary`,
        ]),
      run: async (services, { segment }) =>
        services.identities.setBoundary(await refIn(services, segment, kind), undefined),
    },
  ]
}

const MEMBERS = "/v1/accounts/{account}/groups/{group}/members"

const onGroup =
  (action: string) =>
  async (services: Services, { segment }: OperationInput) =>
    onIdentity(services, await accountIn(services, segment), { kind: "group", name: segment("group") }, [action])

const MEMBER_OPERATIONS: readonly Operation[] = [
  {
    ...{ id: "listMembers", method: "GET", path: MEMBERS, request: undefined },
    summary: "Lists the users in a group, by name.",
    parameters: PAGE_PARAMETERS,
    response: { status: 200, schema: schema.USERS },
    permission: onGroup("iam:GetGroup"),
    async run(services, { segment, query }) {
      const account = await accountIn(services, segment)
      const ref = { accountId: account.id, kind: "group", name: segment("group") } as const
      await services.identities.get(ref)
      const members = services.identities.members(ref, (query.get("after") ?? "").toLowerCase())
      const { items, next } = await firstOf(members, pageSize(query), ({ name }) => name)
      return { users: items.map(record => identityJson(account, record)), ...(next !== undefined && { next }) }
    },
  },
  {
    ...{ id: "addMember", method: "PUT", path: `${MEMBERS}/{user}`, parameters: [], request: undefined },
    summary: "Adds a user to a group.",
    response: { status: 204, schema: undefined },
    permission: onGroup("iam:AddUserToGroup"),
    run: async (services, { segment }) =>
      services.identities.joinGroup(await refIn(services, segment, "user"), segment("group")),
  },
  {
    ...{ id: "removeMember", method: "DELETE", path: `${MEMBERS}/{user}`, parameters: [], request: undefined },
    summary: "Removes a user from a group.",
    response: { status: 204, schema: undefined },
    permission: onGroup("iam:RemoveUserFromGroup"),
    run: async (services, { segment }) =>
      services.identities.leaveGroup(await refIn(services, segment, "user"), segment("group")),
  },
]

export const IDENTITY_OPERATIONS: readonly Operation[] = [
  ...KIND_WORDS.flatMap(words => [
    ...lifeOf(words),
    ...policiesOf(words),
    ...(words.kind === "group" ? [] : boundaryOf(words)),
  ]),
  ...MEMBER_OPERATIONS,
]
