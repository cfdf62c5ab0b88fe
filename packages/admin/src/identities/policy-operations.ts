/** The operations of `/v1/accounts/{account}/policies`: managed policies, their versions, and who has them. */
import type { z } from "zod"
import {
  BUILT_IN_POLICIES,
  identityArn,
  IDENTITY_LIMITS,
  policyArn,
  type Account,
  type ManagedPolicyUse,
} from "@hayloft/access/index.js"
import { fail } from "@hayloft/base/failures.js"
import { tableText } from "@hayloft/base/text/report-text.js"
import type { ManagedPolicyRecord } from "@hayloft/engine/format/accounts/identity-records.js"
import {
  type CommandOf,
  firstOf,
  type OperationInput,
  PAGE_PARAMETERS,
  pageSize,
  parseBody,
} from "@hayloft/features/operator/index.js"
import { GET_IDENTITY } from "./identity-operations.js"
import { checkHolder, holderIn, holderInputs, POLICIES_OF } from "./identity-policy-operations.js"
import * as schema from "./identity-schemas.js"
import { ACCOUNT, accountIn, arnOfPolicy, documentOf, onAll, onNew, onPolicy, tagsOf } from "./identity-targets.js"
import { documentText, managedText, nameInArn } from "./identity-text.js"
import { action, type AdminOperation, operation, type AdminServices } from "../operation.js"

const LIST = "/v1/accounts/{account}/policies"
const ONE = `${LIST}/{policy}`
/** Shown of the holders of a policy. */
const HOLDERS_MAX = 1_000

function managedJson(arn: string, record: ManagedPolicyRecord, { attachments, boundaries }: ManagedPolicyUse) {
  const { name, id, path, createdMs, description, updatedMs } = record
  const isBuiltIn = BUILT_IN_POLICIES.has(arn)
  return { name, id, arn, path, createdMs, description, isBuiltIn, updatedMs, attachments, boundaries }
}

function withDocuments(arn: string, record: ManagedPolicyRecord, use: ManagedPolicyUse) {
  const versions = record.versions.map(({ number: version, createdMs, text }) => {
    return { version, createdMs, document: documentOf(text) }
  })
  const { defaultVersion, tags } = record
  const document = versions.find(({ version }) => version === defaultVersion)?.document
  return { ...managedJson(arn, record, use), tags: Object.fromEntries(tags), document, defaultVersion, versions }
}

async function shown({ identities }: AdminServices, { id }: Account, arn: string) {
  return withDocuments(arn, await identities.getPolicy(id, arn), await identities.policyUse(id, arn))
}

/** The account, and the ARN of the policy in the path. Throws `noSuchAccount`, `noSuchEntity`. */
async function policyIn(services: AdminServices, segment: OperationInput["segment"]) {
  const account = await accountIn(services, segment)
  return { account, arn: await arnOfPolicy(services, account, segment("policy")) }
}

/** The same for a change. Throws `invalidRequest` for a built-in policy. */
async function ownPolicyIn(services: AdminServices, segment: OperationInput["segment"]) {
  const found = await policyIn(services, segment)
  if (!BUILT_IN_POLICIES.has(found.arn)) return found
  const message = `${found.arn} is built in and cannot be changed; create a policy of the account instead`
  throw fail("invalidRequest", { message })
}

/** The built-in policies come first, on the first page only, which `max` does not count. */
async function list(services: AdminServices, { segment, query }: OperationInput) {
  const { identities } = services
  const { id, number } = await accountIn(services, segment)
  const after = query.get("after")
  const builtIn = []
  if (after === undefined) {
    for (const [arn, record] of BUILT_IN_POLICIES)
      builtIn.push(managedJson(arn, record, await identities.policyUse(id, arn)))
  }
  const own = identities.listPolicies(id, (after ?? "").toLowerCase())
  const { items, next } = await firstOf(own, pageSize(query), ({ record }) => record.name)
  const policies = [...builtIn, ...items.map(({ record, use }) => managedJson(policyArn(number, record), record, use))]
  return { policies, ...(next !== undefined && { next }) }
}

/** A new default version; if there are as many as may be, the oldest other one is dropped for it. */
async function replace({ identities }: AdminServices, { id }: Account, arn: string, text: string): Promise<void> {
  const { versions, defaultVersion } = await identities.getPolicy(id, arn)
  const [oldest] = versions.map(({ number }) => number).filter(number => number !== defaultVersion)
  if (versions.length >= IDENTITY_LIMITS.policyVersionsMax && oldest !== undefined) {
    await identities.removePolicyVersion(id, arn, oldest)
  }
  await identities.addPolicyVersion(id, arn, text, true)
}

/** With all its versions, unless something has it. Throws `deleteConflict`. */
async function remove({ identities }: AdminServices, { id }: Account, arn: string): Promise<void> {
  const { versions, defaultVersion } = await identities.getPolicy(id, arn)
  const { attachments, boundaries } = await identities.policyUse(id, arn)
  if (attachments + boundaries === 0) {
    for (const { number } of versions)
      if (number !== defaultVersion) await identities.removePolicyVersion(id, arn, number)
  }
  await identities.removePolicy(id, arn)
}

function versionIn(segment: OperationInput["segment"]): number {
  const text = segment("version")
  if (!/^[1-9]\d{0,8}$/.test(text)) throw fail("invalidArgument", { message: "a version is a number: 1" })
  return Number(text)
}

const on =
  (...actions: string[]) =>
  async (services: AdminServices, { segment }: OperationInput) => {
    const { account, arn } = await policyIn(services, segment)
    return onPolicy(services, account, arn, actions)
  }

interface HeldPolicy {
  readonly name: string
  readonly kind: "own" | "managed"
  readonly arn: string | undefined
}

/** Its own policies by name, and those that are attached by their ARNs. */
const heldPolicies = ({ attached, inline }: Pick<z.output<typeof schema.GROUP>, "attached" | "inline">) => [
  ...inline.map((name): HeldPolicy => ({ name, kind: "own", arn: undefined })),
  ...attached.map((arn): HeldPolicy => ({ name: nameInArn(arn), kind: "managed", arn })),
]

const heldText = (policies: readonly HeldPolicy[]): string =>
  tableText(
    ["POLICY", "KIND", "ARN"],
    policies.map(({ name, kind, arn }) => [name, kind, arn ?? "-"]),
  )

/** A policy as an argument, and the options for one that a user, group or role has itself. */
const POLICY_INPUTS = {
  account: ACCOUNT,
  policy: { flags: "<POLICY>", help: "name or ARN" },
  ...holderInputs("its own policy of this"),
}

const PUT_POLICY = operation("putPolicy", `PUT ${ONE}`, {
  request: schema.POLICY_DOCUMENT,
  summary: "Replaces what a managed policy says, by a new version; of five, the oldest other one is dropped.",
  answer: schema.MANAGED_POLICY,
  permission: on("iam:CreatePolicyVersion", "iam:SetDefaultPolicyVersion", "iam:DeletePolicyVersion"),
  async run(services, { segment, body }) {
    const { account, arn } = await ownPolicyIn(services, segment)
    await replace(services, account, arn, JSON.stringify(parseBody(schema.POLICY_DOCUMENT, body)))
    return shown(services, account, arn)
  },
})

const LIST_COMMAND: CommandOf<z.output<typeof schema.MANAGED_POLICIES>> = {
  name: "policy list",
  help: "managed policies, and how many have each; or the policies of one user, group or role",
  inputs: { account: ACCOUNT, ...holderInputs("the policies of this") },
  list: "policies",
  sends: checkHolder,
  async run({ given, call }, own) {
    const holder = holderIn(given)
    if (holder === undefined) {
      const page = await own()
      return { json: page.policies, isEach: true, text: () => managedText(page) }
    }
    const policies = heldPolicies(await call(GET_IDENTITY[holder.kind], { [holder.kind]: holder.name }))
    return { json: policies, isEach: true, text: () => heldText(policies) }
  },
}

const SHOW_COMMAND: CommandOf<z.output<typeof schema.MANAGED_POLICY>> = {
  name: "policy show",
  help: "what a policy says: a managed one, or one that a user, group or role has itself",
  inputs: POLICY_INPUTS,
  sends: checkHolder,
  async run({ given, call }, own) {
    const holder = holderIn(given)
    const shown =
      holder === undefined ? await own() : await call(POLICIES_OF[holder.kind].get, { [holder.kind]: holder.name })
    return { json: shown, text: documentText(shown.document) }
  },
}

/** Creates the policy if the account has none of this name. */
const SET_COMMAND: CommandOf<z.output<typeof schema.MANAGED_POLICY>> = {
  name: "policy set",
  help: "create a policy from a file, or replace what it says; of a managed one the former version is kept",
  inputs: {
    account: ACCOUNT,
    name: { flags: "<NAME>" },
    document: { flags: "<FILE>", reads: "policy" },
    ...holderInputs("its own policy of this"),
  },
  sends: checkHolder,
  async run({ given, values, call, find }, own) {
    const [name, document, holder] = [given("name"), values["document"], holderIn(given)]
    const replaced = { policy: name, body: document }
    if (holder !== undefined) {
      const { kind, name: holderName } = holder
      await call(POLICIES_OF[kind].put, { ...replaced, [kind]: holderName })
      return { json: { name, document }, text: `set policy ${name} of ${kind} ${holderName}\n` }
    }
    const made = (await find(PUT_POLICY, replaced)) ?? (await own())
    return { json: made, text: `set policy ${name}, version ${made.defaultVersion}\n` }
  },
}

const DELETE_COMMAND: CommandOf<undefined> = {
  name: "policy delete",
  help: "delete a managed policy that nothing has, or one that a user, group or role has itself",
  inputs: POLICY_INPUTS,
  sends: checkHolder,
  async run({ given, call }, own) {
    const [name, holder] = [given("policy"), holderIn(given)]
    await (holder === undefined ? own() : call(POLICIES_OF[holder.kind].remove, { [holder.kind]: holder.name }))
    const of = holder === undefined ? "" : ` of ${holder.kind} ${holder.name}`
    return { json: { name, deleted: 1 }, text: `deleted policy ${name}${of}\n` }
  },
}

export const POLICY_OPERATIONS: readonly AdminOperation[] = [
  operation("listPolicies", `GET ${LIST}`, {
    parameters: PAGE_PARAMETERS,
    summary: "Lists the managed policies of an account: the built-in ones, then its own by name.",
    answer: schema.MANAGED_POLICIES,
    permission: async (services, { segment }) =>
      onAll(await accountIn(services, segment), "policy", "iam:ListPolicies"),
    run: list,
    commands: [LIST_COMMAND],
  }),
  operation("createPolicy", `POST ${LIST}`, {
    request: schema.NEW_MANAGED_POLICY,
    summary: "Creates a managed policy, which nothing has yet.",
    status: 201,
    answer: schema.MANAGED_POLICY,
    async permission(services, { segment, body }) {
      const account = await accountIn(services, segment)
      const { tags, ...named } = parseBody(schema.NEW_MANAGED_POLICY, body)
      const actions = { create: "iam:CreatePolicy", tag: "iam:TagPolicy" }
      return onNew(account, policyArn(account.number, named), actions, { tags: tagsOf(tags) })
    },
    async run(services, { segment, body }) {
      const account = await accountIn(services, segment)
      const { tags, document, ...terms } = parseBody(schema.NEW_MANAGED_POLICY, body)
      const policy = { ...terms, tags: tagsOf(tags), text: JSON.stringify(document) }
      const record = await services.identities.createPolicy(account.id, policy)
      return withDocuments(policyArn(account.number, record), record, { attachments: 0, boundaries: 0 })
    },
    commands: [SET_COMMAND],
  }),
  operation("getPolicy", `GET ${ONE}`, {
    summary: "Returns a managed policy, by ARN or name, with its versions.",
    answer: schema.MANAGED_POLICY,
    permission: on("iam:GetPolicy", "iam:GetPolicyVersion"),
    async run(services, { segment }) {
      const { account, arn } = await policyIn(services, segment)
      return shown(services, account, arn)
    },
    commands: [SHOW_COMMAND],
  }),
  PUT_POLICY,
  action("deletePolicy", `DELETE ${ONE}`, {
    summary: "Deletes a managed policy that nothing has, with its versions.",
    permission: on("iam:DeletePolicy", "iam:DeletePolicyVersion"),
    async run(services, { segment }) {
      const { account, arn } = await ownPolicyIn(services, segment)
      await remove(services, account, arn)
    },
    commands: [DELETE_COMMAND],
  }),
  operation("listPolicyHolders", `GET ${ONE}/holders`, {
    summary: "Lists the users, groups and roles that have a managed policy, attached or as their boundary.",
    answer: schema.POLICY_HOLDERS,
    permission: on("iam:ListEntitiesForPolicy"),
    async run(services, { segment }) {
      const { account, arn } = await policyIn(services, segment)
      const holders = services.identities.policyHolders(account.id, arn)
      const { items, next } = await firstOf(holders, HOLDERS_MAX, ({ identity }) => identity.name)
      const holderJson = ({ identity, isBoundary }: (typeof items)[number]) => {
        const { kind, name } = identity
        return { kind, name, arn: identityArn(account.number, identity), isBoundary }
      }
      return { holders: items.map(holderJson), hasMore: next !== undefined }
    },
  }),
  operation("usePolicyVersion", `POST ${ONE}/versions/{version}/use`, {
    summary: "Makes a version of a managed policy the one that applies.",
    answer: schema.MANAGED_POLICY,
    permission: on("iam:SetDefaultPolicyVersion"),
    async run(services, { segment }) {
      const { account, arn } = await ownPolicyIn(services, segment)
      await services.identities.setDefaultPolicyVersion(account.id, arn, versionIn(segment))
      return shown(services, account, arn)
    },
  }),
  action("deletePolicyVersion", `DELETE ${ONE}/versions/{version}`, {
    summary: "Deletes a version of a managed policy that does not apply.",
    permission: on("iam:DeletePolicyVersion"),
    async run(services, { segment }) {
      const { account, arn } = await ownPolicyIn(services, segment)
      await services.identities.removePolicyVersion(account.id, arn, versionIn(segment))
    },
  }),
]
