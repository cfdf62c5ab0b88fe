/**
 * The operations of `/v1/policy`: may a caller do an action on a resource, and why; and what is wrong with a policy.
 *
 * Promises  The evaluation and the explanation are those of requests. Nothing is changed or recorded.
 */
import {
  decide,
  explainDenial,
  identityArn,
  isPublic,
  NO_POLICIES,
  NO_RESOURCE_POLICIES,
  parseAccessPolicy,
  parseBucketPolicy,
  parseIdentityArn,
  POLICY_LIMITS,
  problemsOf,
  rootPrincipal,
  sentenceOfDecision,
  userPrincipal,
  type Account,
  type DecidedBy,
  type Decision,
  type Denied,
  type PrincipalPolicies,
  type RequestContext,
  type SimulatedCaller,
} from "@hayloft/access/index.js"
import type { z } from "zod"
import { fail } from "@hayloft/base/failures.js"
import { parseAccountId, parseAccountNumber, parseBucketName, type AccountId } from "@hayloft/base/ids.js"
import { onIdentity } from "./identity-targets.js"
import { ACTIONS_COMMAND, SIMULATE_COMMAND, VALIDATE_COMMAND } from "./simulate-commands.js"
import { parseBody, type RequiredAction } from "@hayloft/features/operator/index.js"
import { type AdminOperation, operation, type AdminServices } from "../operation.js"
import * as schema from "./simulate-schemas.js"

type Simulation = z.output<typeof schema.SIMULATION>
type Caller = Simulation["caller"]

const SIMULATED = "simulated"

async function accountOf({ accounts, rootAccount }: AdminServices, id: string | undefined): Promise<Account> {
  const accountId: AccountId = id === undefined ? rootAccount : parseAccountId(id)
  const account = await accounts.getAccount(accountId)
  if (account === undefined) throw fail("noSuchAccount", { account: accountId })
  return account
}

const identityPolicy = (name: string, document: unknown) => ({
  name,
  policy: parseAccessPolicy(JSON.stringify(document), "identity"),
})

/** Throws `noSuchAccount`, `noSuchEntity`, `malformedPolicy`. */
async function callerOf(
  services: AdminServices,
  { caller, sessionPolicy, boundary }: Simulation,
): Promise<SimulatedCaller> {
  const { principal, policies, isWholeRoot } = await plainCaller(services, caller)
  const limited: PrincipalPolicies = {
    ...policies,
    ...(boundary && { boundary: identityPolicy("the given boundary", boundary) }),
    ...(sessionPolicy && { session: [identityPolicy("the given session policy", sessionPolicy)] }),
  }
  return { principal, policies: limited, isWholeRoot: isWholeRoot && sessionPolicy === undefined }
}

async function plainCaller(services: AdminServices, caller: Caller): Promise<SimulatedCaller> {
  if (caller.kind === "anonymous") {
    return { principal: { kind: "anonymous" }, policies: NO_POLICIES, isWholeRoot: false }
  }
  const account = await accountOf(services, caller.accountId)
  switch (caller.kind) {
    case "root":
      return { principal: rootPrincipal(account), policies: NO_POLICIES, isWholeRoot: true }
    case "policy": {
      const user = { kind: "user", name: SIMULATED, path: "/", id: "AIDASIMULATED", tags: [] } as const
      const policies = { ...NO_POLICIES, identity: [identityPolicy("the given policy", caller.document)] }
      return { principal: userPrincipal(account, user), policies, isWholeRoot: false }
    }
    case "user":
    case "role":
      return services.identities.asCaller({ accountId: account.id, kind: caller.kind, name: caller.name }, SIMULATED)
  }
}

/** The values that were given; names the others that policies ask for. */
function valuesIn(given: Simulation["conditions"], asked: Set<string>): RequestContext {
  const values = new Map(Object.entries(given).map(([name, value]) => [name.toLowerCase(), value]))
  return {
    valuesOf({ name, suffix }) {
      const full = suffix === undefined ? name : `${name}/${suffix}`
      const value = values.get(full.toLowerCase())
      // Read from the object, if it exists.
      if (value === undefined && name !== "s3:existingobjecttag") asked.add(full)
      return value
    },
  }
}

interface Decided {
  readonly decision: Decision
  readonly exclusion: string | undefined
}

const shortForm = (action: string, resource: string): string =>
  /^s3:/i.test(action) && resource !== "*" && !resource.startsWith("arn:") ? `arn:aws:s3:::${resource}` : resource

/** Returns the action in the spelling of the table of known actions, whatever the letter case of the request. */
function spelled({ policyFacts: { knownActions } }: AdminServices, action: string): string {
  const found = [...knownActions.keys()].find(known => known.toLowerCase() === action.toLowerCase())
  if (found !== undefined) return found
  throw fail("invalidArgument", { message: `this store has no action ${action}` })
}

async function decided(services: AdminServices, simulation: Simulation, asked: Set<string>) {
  const action = spelled(services, simulation.action)
  const resource = shortForm(action, simulation.resource)
  const caller = await callerOf(services, simulation)
  const values = valuesIn(simulation.conditions, asked)
  const bucketPolicy = simulation.bucketPolicy && JSON.stringify(simulation.bucketPolicy)
  if (bucketPolicy !== undefined && !action.startsWith("s3:")) {
    throw fail("invalidArgument", { message: `a bucket policy decides no ${action}` })
  }
  const request = { caller, action, resource, values, bucketPolicy }
  const { decision, exclusion } = action.startsWith("s3:")
    ? await services.policyFacts.decideS3(request)
    : await decideOther(services, request)
  return { caller, action, resource, decision, exclusion }
}

/** Actions of other services: identity policies alone decide, and for the assumption of a role its trust policy. */
async function decideOther(
  services: AdminServices,
  {
    caller: { principal, policies },
    action,
    resource,
    values,
  }: Parameters<AdminServices["policyFacts"]["decideS3"]>[0],
): Promise<Decided> {
  if (action.startsWith("kms:")) {
    throw fail("notImplemented", { message: "actions on named keys are not simulated: key policies decide them, too" })
  }
  if (/^(?:hayloft|admin):/.test(action)) return decideOfStore(services, { principal, policies, action, values })
  const parsed = parseIdentityArn("role", resource)
  const isTrust = action.startsWith("sts:AssumeRole")
  const [, , , , number = ""] = resource.split(":")
  const owner = /^\d{12}$/.test(number)
    ? await services.accounts.accountOfNumber(parseAccountNumber(number))
    : await accountOf(services, "accountId" in principal ? principal.accountId : undefined)
  if (owner === undefined) throw fail("noSuchAccount", { account: number })
  const nowMs = services.policyFacts.nowMs()
  const ofOwner = { accountId: owner.id, accountNumber: owner.number }
  const request = { principal, action, resource, owner: ofOwner, nowMs, context: values }
  if (!isTrust) return { decision: decide(request, policies, NO_RESOURCE_POLICIES), exclusion: undefined }
  if (parsed === undefined) throw fail("invalidArgument", { message: `${action} acts on the ARN of a role` })
  const role = await services.identities.get({ accountId: owner.id, kind: "role", name: parsed.name })
  const trust = { name: `role ${role.name}: trust policy`, policy: parseAccessPolicy(role.role?.trust ?? "", "trust") }
  const onRole = { ...request, resource: identityArn(owner.number, role) }
  return { decision: decide(onRole, policies, { policy: trust, acl: undefined }), exclusion: undefined }
}

/** Actions on the whole store: only policies of the root account can allow them. */
async function decideOfStore(
  services: AdminServices,
  {
    principal,
    policies,
    action,
    values,
  }: Pick<SimulatedCaller, "principal" | "policies"> & { readonly action: string; readonly values: RequestContext },
): Promise<Decided> {
  const { id: accountId, number: accountNumber } = await accountOf(services, undefined)
  const owner = { accountId, accountNumber }
  const request = { principal, action, resource: "*", owner, nowMs: services.policyFacts.nowMs(), context: values }
  return { decision: decide(request, policies, NO_RESOURCE_POLICIES), exclusion: undefined }
}

async function simulate(services: AdminServices, body: unknown) {
  const simulation = parseBody(schema.SIMULATION, body)
  const asked = new Set<string>()
  const { caller, action, resource, decision, exclusion } = await decided(services, simulation, asked)
  const { principal } = caller
  const shown =
    principal.kind === "anonymous" ? "anonymous" : principal.kind === "session" ? principal.sessionArn : principal.arn
  const common = { caller: shown, action, resource, unknownConditions: [...asked].sort() }
  if (decision.outcome === "allow") {
    const by = typeof decision.by === "string" ? undefined : decision.by
    const sentence = sentenceOfDecision(decision)
    return { ...common, isAllowed: true, sentence, ...placeOf(by), grants: [], hints: [] }
  }
  const { sentence, decidedBy, grants, hints } = explained(services, decision, exclusion, {
    principal,
    action,
    resource,
  })
  return { ...common, isAllowed: false, sentence, ...placeOf(decidedBy), grants, hints }
}

const placeOf = (by: DecidedBy | undefined) =>
  by && { decidedBy: { side: by.side, policy: by.policy, sid: by.sid, statement: by.index + 1 } }

/** Explains the decision in the same way as the denial of a request. */
function explained(
  services: AdminServices,
  decision: Denied,
  exclusion: string | undefined,
  request: Pick<Parameters<typeof explainDenial>[0], "principal" | "action" | "resource">,
) {
  const service = request.action?.split(":")[0] ?? ""
  const denial = {
    requestId: "",
    deniedMs: services.policyFacts.nowMs(),
    service,
    operation: "",
    status: 403,
    code: "AccessDenied",
    remoteAddress: "",
    accessKeyId: undefined,
    ...request,
    decision,
    details: { reason: exclusion },
    kind: "accessDenied",
  } as const
  return explainDenial(denial, undefined)
}

function validate({ policyFacts: { knownActions } }: AdminServices, body: unknown) {
  const { text: written, document, kind, bucket } = parseBody(schema.VALIDATION, body)
  if ((written === undefined) === (document === undefined)) {
    throw fail("invalidArgument", { message: "send either text or document" })
  }
  const text = written ?? JSON.stringify(document, undefined, 2)
  const bucketActions = new Map(
    [...knownActions].flatMap(([name, scope]) => (scope === "bucket" || scope === "object" ? [[name, scope]] : [])),
  )
  const rules = bucket === undefined ? undefined : { bucket: parseBucketName(bucket), actions: bucketActions }
  const parse = (policy: string) =>
    kind === "resource" && rules !== undefined ? parseBucketPolicy(policy, rules) : parseAccessPolicy(policy, kind)
  if (text.length > POLICY_LIMITS.textCharactersMax)
    throw fail("malformedPolicy", { message: "the policy is too long" })
  const problems = problemsOf(text, kind, knownActions, parse)
  const isValid = problems.every(({ severity }) => severity !== "error")
  return { isValid, problems, ...(isValid && kind === "resource" && { isPublic: isPublic(parse(text)) }) }
}

/** Returns the actions that it takes to learn what the policies of a caller and of a bucket say. */
async function simulationPermission(services: AdminServices, body: unknown): Promise<readonly RequiredAction[]> {
  const { caller, action, resource } = parseBody(schema.SIMULATION, body)
  const account = await accountOf(services, caller.kind === "anonymous" ? undefined : caller.accountId)
  const custom = { action: "iam:SimulateCustomPolicy", resource: "*", owner: account.id }
  const ofCaller =
    caller.kind === "user" || caller.kind === "role"
      ? await onIdentity(services, account, caller, ["iam:SimulatePrincipalPolicy"])
      : [custom]
  const [, bucket] = /^arn:aws:s3:::([^/]+)/.exec(shortForm(action, resource)) ?? []
  if (bucket === undefined || !/^s3:/i.test(action)) return ofCaller
  const { owner, name } = await services.buckets.open(parseBucketName(bucket))
  return [...ofCaller, { action: "s3:GetBucketPolicy", resource: `arn:aws:s3:::${name}`, owner }]
}

/** They show nothing of the store. */
const OPEN_TO_ALL: Pick<AdminOperation, "permission" | "own"> = {
  permission: async () => [],
  own: { permission: "none", is: async () => true },
}

export const SIMULATE_OPERATIONS: readonly AdminOperation[] = [
  operation("simulatePolicy", "POST /v1/policy/simulate", {
    summary: "May a caller do an action on a resource? Returns the decision that a request would get, and why.",
    request: schema.SIMULATION,
    isRead: true,
    answer: schema.SIMULATED,
    permission: (services, { body }) => simulationPermission(services, body),
    run: (services, { body }) => simulate(services, body),
    commands: [SIMULATE_COMMAND],
  }),
  operation("validatePolicy", "POST /v1/policy/validate", {
    summary: "Names every problem of a policy with its place: what would be refused, and what has no effect.",
    request: schema.VALIDATION,
    isRead: true,
    answer: schema.VALIDATED,
    ...OPEN_TO_ALL,
    run: async (services, { body }) => validate(services, body),
    commands: [VALIDATE_COMMAND],
  }),
  operation("listPolicyActions", "GET /v1/policy/actions", {
    summary: "Lists the actions that policies can name.",
    answer: schema.POLICY_ACTIONS,
    ...OPEN_TO_ALL,
    run: async ({ policyFacts: { knownActions } }) => ({
      actions: [...knownActions].map(([name, on]) => ({ name, ...(on && { on }) })),
    }),
    commands: [ACTIONS_COMMAND],
  }),
]
