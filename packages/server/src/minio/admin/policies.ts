/** Policies, as MinIO has them: managed policies of the root account, and the built-in ones, by their names. */
import { z } from "zod"
import {
  GROUP,
  MANAGED_POLICIES,
  MANAGED_POLICY,
  POLICY_HOLDERS,
  USER,
} from "@hayloft/admin/identities/identity-schemas.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { mapBounded } from "@hayloft/base/life/index.js"
import type { MinioContext } from "./call-context.js"
import { inAccount, nameOfArn } from "./users.js"

const AT_A_TIME = 8

const find = (call: MinioContext, policy: string) => call.find("getPolicy", MANAGED_POLICY, inAccount(call, { policy }))

/** Replaces one of this name. A policy of the account comes before a built-in one. */
export async function addPolicy(call: MinioContext): Promise<void> {
  const name = call.needed("name")
  const document = call.anyJson()
  const found = await find(call, name)
  if (found === undefined || found.isBuiltIn)
    await call.call("createPolicy", {
      ...inAccount(call),
      body: { name, document, path: "/", description: "", tags: {} },
    })
  else await call.call("putPolicy", { ...inAccount(call, { policy: name }), body: document })
}

export async function getPolicy(call: MinioContext) {
  const { name, document, createdMs, updatedMs } = await call.get(
    "getPolicy",
    MANAGED_POLICY,
    inAccount(call, { policy: call.needed("name") }),
  )
  if (call.query("v") !== "2") return document
  const [CreateDate, UpdateDate] = [createdMs, updatedMs].map(ms => new Date(ms).toISOString())
  return { PolicyName: name, Policy: document, CreateDate, UpdateDate }
}

/** Their names, each once. */
async function namesOf(call: MinioContext): Promise<readonly string[]> {
  const policies = await call.pages("listPolicies", MANAGED_POLICIES, page => page.policies, inAccount(call))
  return [...new Set(policies.map(({ name }) => name))]
}

export async function listPolicies(call: MinioContext) {
  const named = await mapBounded(await namesOf(call), AT_A_TIME, async name => [name, await find(call, name)] as const)
  return Object.fromEntries(named.flatMap(([name, found]) => (found === undefined ? [] : [[name, found.document]])))
}

/** One that does not exist is removed already. */
export async function removePolicy(call: MinioContext): Promise<void> {
  try {
    await call.call("deletePolicy", inAccount(call, { policy: call.needed("name") }))
  } catch (error) {
    if (isFailure(error, "deleteConflict"))
      throw fail("deleteConflict", { message: "The policy cannot be removed, as it is in use" })
    if (!isFailure(error, "noSuchEntity")) throw error
  }
}

const ASSOCIATION = z.object({
  policies: z.array(z.string()).nonempty(),
  user: z.string().default(""),
  group: z.string().default(""),
})

interface Holder {
  readonly Kind: "User" | "Group"
  readonly segments: Readonly<Record<string, string>>
  /** ARNs. */
  readonly attached: readonly string[]
}

/** Throws `noSuchEntity`, `invalidArgument`. */
async function holderOf(call: MinioContext, user: string, group: string): Promise<Holder> {
  if ((user === "") === (group === ""))
    throw fail("invalidArgument", { message: "name one user or one group that has the policies" })
  const segments: Readonly<Record<string, string>> = user === "" ? { group } : { user }
  const Kind = user === "" ? "Group" : "User"
  const parts = inAccount(call, segments)
  const { attached } = user === "" ? await call.get("getGroup", GROUP, parts) : await call.get("getUser", USER, parts)
  return { Kind, segments, attached }
}

/** Attaches the wanted ones first, so that nobody is without rights meanwhile. Nothing is wrong if it was so before: scripts run again. */
async function change(call: MinioContext, holder: Holder, wanted: readonly string[], surplus: readonly string[]) {
  const { Kind, segments, attached } = holder
  const set = (verb: "attach" | "detach", policy: string) =>
    call.call(`${verb}${Kind}Policy`, { ...inAccount(call, segments), body: { policy } })
  for (const policy of wanted) if (!attached.includes(policy)) await set("attach", policy)
  for (const policy of surplus) await set("detach", policy)
}

/** By its name a holder has a policy once: one of the account takes the place of a built-in one that was attached before. */
export async function associate(call: MinioContext, verb: "attach" | "detach") {
  const { policies, user, group } = call.json(ASSOCIATION)
  const named = await arnsOf(call, policies)
  const holder = await holderOf(call, user, group)
  const names = policies.map(nameOfArn)
  const present = holder.attached.filter(arn => named.includes(arn) || names.includes(nameOfArn(arn)))
  const replaced = present.filter(arn => !named.includes(arn))
  await (verb === "detach" ? change(call, holder, [], present) : change(call, holder, named, replaced))
  const updatedAt = new Date(call.nowMs).toISOString()
  return { [verb === "attach" ? "policiesAttached" : "policiesDetached"]: policies, updatedAt }
}

/** Throws `noSuchEntity`. */
async function arnsOf(call: MinioContext, policies: readonly string[]): Promise<readonly string[]> {
  const arns = await mapBounded(policies, AT_A_TIME, async policy => {
    const { arn } = await call.get("getPolicy", MANAGED_POLICY, inAccount(call, { policy }))
    return arn
  })
  return [...new Set(arns)]
}

/** The call of older clients: these policies and no others. */
export async function setPolicies(call: MinioContext): Promise<void> {
  const name = call.needed("userOrGroup")
  const isGroup = call.query("isGroup") === "true"
  const holder = await holderOf(call, isGroup ? "" : name, isGroup ? name : "")
  const names = call.query("policyName").split(",")
  const named = names.filter(each => each !== "")
  const wanted = await arnsOf(call, named)
  const surplus = holder.attached.filter(arn => !wanted.includes(arn))
  await change(call, holder, wanted, surplus)
}

const groupEntities = async (call: MinioContext, group: string) => {
  const { name, attached } = await call.get("getGroup", GROUP, inAccount(call, { group }))
  return { group: name, policies: attached.map(nameOfArn) }
}

async function userEntities(call: MinioContext, user: string) {
  const { name, attached, groups } = await call.get("getUser", USER, inAccount(call, { user }))
  const memberOfMappings = await mapBounded(groups, AT_A_TIME, group => groupEntities(call, group))
  return { user: name, policies: attached.map(nameOfArn), ...(groups.length > 0 && { memberOfMappings }) }
}

async function policyEntities(call: MinioContext, policy: string) {
  const { holders } = await call.get("listPolicyHolders", POLICY_HOLDERS, inAccount(call, { policy }))
  const named = (kind: string) => holders.filter(each => each.kind === kind && !each.isBoundary).map(({ name }) => name)
  return { policy, users: named("user"), groups: named("group") }
}

/** Returns who has which policies: of the users, groups and policies that are named, or of all policies. */
export async function entities(call: MinioContext) {
  const [users, groups, policies] = [call.all("user"), call.all("group"), call.all("policy")]
  const isAll = users.length + groups.length + policies.length === 0
  const mapped = await mapBounded(isAll ? await namesOf(call) : policies, AT_A_TIME, each => policyEntities(call, each))
  const shown = isAll ? mapped.filter(each => each.users.length + each.groups.length > 0) : mapped
  const userMappings = await mapBounded(users, AT_A_TIME, user => userEntities(call, user))
  const groupMappings = await mapBounded(groups, AT_A_TIME, group => groupEntities(call, group))
  return {
    timestamp: new Date(call.nowMs).toISOString(),
    ...(users.length > 0 && { userMappings }),
    ...(groups.length > 0 && { groupMappings }),
    ...(shown.length > 0 && { policyMappings: shown }),
  }
}
