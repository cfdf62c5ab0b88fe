/** The operations of `/v1/accounts/{account}/policies`: managed policies, their versions, and who has them. */
import {
  BUILT_IN_POLICIES,
  identityArn,
  IDENTITY_LIMITS,
  policyArn,
  type Account,
  type PolicyUse,
} from "../access/index.js"
import { fail } from "../base/failures.js"
import type { ManagedPolicyRecord } from "../format/identity-records.js"
import { documentOf, tagsOf } from "./identity-operations.js"
import * as schema from "./identity-schemas.js"
import { accountIn, arnOfPolicy, onAll, onNew, onPolicy } from "./identity-targets.js"
import { firstOf, PAGE_PARAMETERS, pageSize } from "./listing.js"
import { parseBody, type Operation, type OperationInput, type Services } from "./operation.js"

const LIST = "/v1/accounts/{account}/policies"
const ONE = `${LIST}/{policy}`
/** Shown of the holders of a policy. */
const HOLDERS_MAX = 1_000

function managedJson(arn: string, record: ManagedPolicyRecord, { attachments, boundaries }: PolicyUse) {
  const { name, id, path, createdMs, description, updatedMs } = record
  const isBuiltIn = BUILT_IN_POLICIES.has(arn)
  return { name, id, arn, path, createdMs, description, isBuiltIn, updatedMs, attachments, boundaries }
}

function withDocuments(arn: string, record: ManagedPolicyRecord, use: PolicyUse) {
  const versions = record.versions.map(({ number: version, createdMs, text }) => {
    return { version, createdMs, document: documentOf(text) }
  })
  const { defaultVersion, tags } = record
  const document = versions.find(({ version }) => version === defaultVersion)?.document
  return { ...managedJson(arn, record, use), tags: Object.fromEntries(tags), document, defaultVersion, versions }
}

async function shown({ identities }: Services, { id }: Account, arn: string) {
  return withDocuments(arn, await identities.getPolicy(id, arn), await identities.policyUse(id, arn))
}

/** The account, and the ARN of the policy in the path. Throws `noSuchAccount`, `noSuchEntity`. */
async function policyIn(services: Services, segment: OperationInput["segment"]) {
  const account = await accountIn(services, segment)
  return { account, arn: await arnOfPolicy(services, account, segment("policy")) }
}

/** The same for a change. Throws `invalidRequest` for a built-in policy. */
async function ownPolicyIn(services: Services, segment: OperationInput["segment"]) {
  const found = await policyIn(services, segment)
  if (!BUILT_IN_POLICIES.has(found.arn)) return found
  const message = `${found.arn} is built in and cannot be changed; create a policy of the account instead`
  throw fail("invalidRequest", { message })
}

/** The built-in policies come first, on the first page only, which `max` does not count. */
async function list(services: Services, { segment, query }: OperationInput) {
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
async function replace({ identities }: Services, { id }: Account, arn: string, text: string): Promise<void> {
  const { versions, defaultVersion } = await identities.getPolicy(id, arn)
  const [oldest] = versions.map(({ number }) => number).filter(number => number !== defaultVersion)
  if (versions.length >= IDENTITY_LIMITS.policyVersionsMax && oldest !== undefined) {
    await identities.removePolicyVersion(id, arn, oldest)
  }
  await identities.addPolicyVersion(id, arn, text, true)
}

/** With all its versions, unless something has it. Throws `deleteConflict`. */
async function remove({ identities }: Services, { id }: Account, arn: string): Promise<void> {
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
  async (services: Services, { segment }: OperationInput) => {
    const { account, arn } = await policyIn(services, segment)
    return onPolicy(services, account, arn, actions)
  }

export const POLICY_OPERATIONS: readonly Operation[] = [
  {
    ...{ id: "listPolicies", method: "GET", path: LIST, parameters: PAGE_PARAMETERS, request: undefined },
    summary: "Lists the managed policies of an account: the built-in ones, then its own by name.",
    response: { status: 200, schema: schema.MANAGED_POLICIES },
    permission: async (services, { segment }) =>
      onAll(await accountIn(services, segment), "policy", "iam:ListPolicies"),
    run: list,
  },
  {
    ...{ id: "createPolicy", method: "POST", path: LIST, parameters: [], request: schema.NEW_MANAGED_POLICY },
    summary: "Creates a managed policy, which nothing has yet.",
    response: { status: 201, schema: schema.MANAGED_POLICY },
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
  },
  {
    ...{ id: "getPolicy", method: "GET", path: ONE, parameters: [], request: undefined },
    summary: "Returns a managed policy, by ARN or name, with its versions.",
    response: { status: 200, schema: schema.MANAGED_POLICY },
    permission: on("iam:GetPolicy", "iam:GetPolicyVersion"),
    async run(services, { segment }) {
      const { account, arn } = await policyIn(services, segment)
      return shown(services, account, arn)
    },
  },
  {
    ...{ id: "putPolicy", method: "PUT", path: ONE, parameters: [], request: schema.POLICY_DOCUMENT },
    summary: "Replaces what a managed policy says, by a new version; of five, the oldest other one is dropped.",
    response: { status: 200, schema: schema.MANAGED_POLICY },
    permission: on("iam:CreatePolicyVersion", "iam:SetDefaultPolicyVersion", "iam:DeletePolicyVersion"),
    async run(services, { segment, body }) {
      const { account, arn } = await ownPolicyIn(services, segment)
      await replace(services, account, arn, JSON.stringify(parseBody(schema.POLICY_DOCUMENT, body)))
      return shown(services, account, arn)
    },
  },
  {
    ...{ id: "deletePolicy", method: "DELETE", path: ONE, parameters: [], request: undefined },
    summary: "Deletes a managed policy that nothing has, with its versions.",
    response: { status: 204, schema: undefined },
    permission: on("iam:DeletePolicy", "iam:DeletePolicyVersion"),
    async run(services, { segment }) {
      const { account, arn } = await ownPolicyIn(services, segment)
      await remove(services, account, arn)
    },
  },
  {
    ...{ id: "listPolicyHolders", method: "GET", path: `${ONE}/holders`, parameters: [], request: undefined },
    summary: "Lists the users, groups and roles that have a managed policy, attached or as their boundary.",
    response: { status: 200, schema: schema.POLICY_HOLDERS },
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
  },
  {
    ...{ id: "usePolicyVersion", method: "POST", path: `${ONE}/versions/{version}/use`, parameters: [] },
    ...{ request: undefined, summary: "Makes a version of a managed policy the one that applies." },
    response: { status: 200, schema: schema.MANAGED_POLICY },
    permission: on("iam:SetDefaultPolicyVersion"),
    async run(services, { segment }) {
      const { account, arn } = await ownPolicyIn(services, segment)
      await services.identities.setDefaultPolicyVersion(account.id, arn, versionIn(segment))
      return shown(services, account, arn)
    },
  },
  {
    ...{ id: "deletePolicyVersion", method: "DELETE", path: `${ONE}/versions/{version}`, parameters: [] },
    ...{ request: undefined, summary: "Deletes a version of a managed policy that does not apply." },
    response: { status: 204, schema: undefined },
    permission: on("iam:DeletePolicyVersion"),
    async run(services, { segment }) {
      const { account, arn } = await ownPolicyIn(services, segment)
      await services.identities.removePolicyVersion(account.id, arn, versionIn(segment))
    },
  },
]
