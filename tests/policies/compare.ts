/**
 * One random set of policies: the engine and the oracle must agree on every request, and general properties of
 * policies must hold. Throws with the whole input otherwise.
 */
import { assert } from "@hayloft/base/assert.js"
import { parseAccessPolicy } from "@hayloft/access/policy/parse-access-policy.js"
import { decide } from "@hayloft/access/policy/decide.js"
import { lackingGrants, type LackingGrant } from "@hayloft/access/policy/explain.js"
import type {
  AccessPolicy,
  AccessRequest,
  Decision,
  NamedPolicy,
  PolicySide,
  PrincipalPolicies,
  ResourcePolicies,
} from "@hayloft/access/policy/contract.js"
import { ownerOf } from "@hayloft/access/policy/testing-requests.js"
import type { SessionPrincipal } from "@hayloft/access/principals/principal.js"
import { Dice, randomRequest, randomStatement, randomWorld, NOW_MS, type DocumentKind } from "./cases.js"
import { allowedRequests, type PlainPolicy, type PlainRequest, type PlainStatement, type PlainWorld } from "./oracle.js"

export const CASES_OF_A_WORLD = 4

const parsed = new WeakMap<PlainPolicy, AccessPolicy>()

function named(name: string, plain: PlainPolicy, kind: DocumentKind): NamedPolicy {
  const policy = parsed.get(plain) ?? parseAccessPolicy(JSON.stringify(plain), kind)
  parsed.set(plain, policy)
  return { name, policy }
}

interface EngineWorld {
  readonly own: PrincipalPolicies
  readonly resource: ResourcePolicies
}

function engineWorld({ identity, boundary, session, resource, isTrust, acl }: PlainWorld): EngineWorld {
  const all = (side: string, plain: readonly PlainPolicy[]): NamedPolicy[] =>
    plain.map((policy, index) => named(`${side} ${index}`, policy, "identity"))
  return {
    own: {
      identity: all("identity", identity),
      boundary: boundary && named("boundary", boundary, "identity"),
      session: session && all("session", session),
    },
    resource: { policy: resource && named("resource", resource, isTrust ? "trust" : "resource"), acl },
  }
}

function principalOf(plain: PlainRequest): AccessRequest["principal"] {
  const { keys, arn, userId } = plain
  const claims = Object.entries(keys)
    .filter(([key]) => key.startsWith("id.example.com:"))
    .map(([key, [value = ""]]) => [key, value] as const)
  if (plain.kind === "anonymous") return { kind: "anonymous" }
  if (plain.kind === "federated") return { kind: "federated", providerArn: plain.provider, claims }
  const [team] = keys["aws:principaltag/Team"] ?? []
  const [issued] = keys["aws:tokenissuetime"] ?? []
  const signed: Omit<SessionPrincipal, "kind" | "sessionArn" | "claims"> = {
    ...ownerOf(plain.account),
    arn,
    userId,
    tags: team === undefined ? [] : [["Team", team]],
    issuedMs: issued === undefined ? undefined : Date.parse(issued),
  }
  if (plain.kind === "root") return { ...signed, kind: "root" }
  if (plain.kind === "user") return { ...signed, kind: "user", userName: keys["aws:username"]?.[0] ?? "" }
  return { ...signed, kind: "session", sessionArn: plain.sessionArn, claims }
}

function engineRequest(plain: PlainRequest): AccessRequest {
  return {
    principal: principalOf(plain),
    action: plain.action,
    resource: plain.resource,
    owner: ownerOf(plain.ownerAccount),
    nowMs: NOW_MS,
    context: {
      valuesOf: ({ name, suffix }) => {
        const values = plain.keys[suffix === undefined ? name : `${name}/${suffix}`]
        return values?.length === 1 ? values[0] : values
      },
    },
  }
}

const withStatement = (policy: PlainPolicy, statement: PlainStatement): PlainPolicy => ({
  ...policy,
  Statement: [...policy.Statement, statement],
})

/** Returns the world with one more statement on one side; undefined if that side has no policy. */
function extended(world: PlainWorld, side: PolicySide, statement: PlainStatement): PlainWorld {
  const fresh: PlainPolicy = { Version: "2012-10-17", Statement: [statement] }
  switch (side) {
    case "identity":
      return { ...world, identity: [...world.identity, fresh] }
    case "boundary":
      return world.boundary === undefined ? world : { ...world, boundary: withStatement(world.boundary, statement) }
    case "session":
      return world.session === undefined ? world : { ...world, session: [...world.session, fresh] }
    case "resource":
      return { ...world, resource: world.resource === undefined ? fresh : withStatement(world.resource, statement) }
  }
}

const decideIn = (world: PlainWorld, request: AccessRequest): Decision => {
  const { own, resource } = engineWorld(world)
  return decide(request, own, resource)
}

/** The deciding statement must exist and have the decided effect. */
function checkReason({ own, resource }: EngineWorld, decision: Decision): void {
  if (decision.outcome === "implicitDeny" || decision.by === "root" || decision.by === "acl") return
  const { side, policy: name, index } = decision.by
  const policies = { ...own, resource: resource.policy }[side] ?? []
  const list = "policy" in policies ? [policies] : policies
  const statement = list.find(one => one.name === name)?.policy.statements[index]
  assert(
    statement?.effect === (decision.outcome === "allow" ? "Allow" : "Deny"),
    `${side} ${name} ${index} did not decide`,
  )
}

/** The reported missing grants suffice, and each of them is needed. */
function checkLacking(world: PlainWorld, request: AccessRequest, decision: Decision): void {
  const grants = lackingGrants(request, decision)
  // The grants are written for version 2012-10-17: an older policy would treat their escapes as text.
  const isOld = [world.boundary, world.resource].some(policy => policy?.Version === "2008-10-17")
  if (isOld && grants.some(({ statement }) => statement.includes("${"))) return
  const withGrants = (some: readonly LackingGrant[]): Decision =>
    decideIn(
      some.reduce((now, { side, statement }) => extended(now, side, JSON.parse(statement) as PlainStatement), world),
      request,
    )
  assert(withGrants(grants).outcome === "allow", `the missing grants do not suffice: ${JSON.stringify(grants)}`)
  for (const spared of grants) {
    const fewer = withGrants(grants.filter(grant => grant !== spared))
    assert(fewer.outcome !== "allow", `not all of the missing grants are needed: ${JSON.stringify(grants)}`)
  }
}

/** An added statement never has the opposite effect, and the reported missing grants suffice. */
function checkMore(dice: Dice, world: PlainWorld, request: AccessRequest, decision: Decision): void {
  const side = dice.pick(["identity", "boundary", "session", "resource"])
  const kind = side !== "resource" ? "identity" : world.isTrust ? "trust" : "resource"
  const more = (effect: "Allow" | "Deny"): Decision =>
    decideIn(extended(world, side, randomStatement(dice, kind, effect)), request)
  if (decision.outcome === "allow") assert(more("Allow").outcome === "allow", `an added Allow (${side}) denied`)
  else assert(more("Deny").outcome !== "allow", `an added Deny (${side}) granted`)
  if (decision.outcome === "explicitDeny") {
    assert(more("Allow").outcome === "explicitDeny", `an added Allow (${side}) lifted an explicit Deny`)
  }
  if (decision.outcome !== "implicitDeny") return
  checkLacking(world, request, decision)
}

export interface Tally {
  allowed: number
  explicitlyDenied: number
  implicitlyDenied: number
}

export const NO_TALLY: Readonly<Tally> = { allowed: 0, explicitlyDenied: 0, implicitlyDenied: 0 }

/** The same seed gives the same world. */
export function compareWorld(seed: number, tally: Tally): void {
  const dice = new Dice(seed)
  const world = randomWorld(dice)
  const engine = engineWorld(world)
  const isAllowed = allowedRequests(world)
  for (let index = 0; index < CASES_OF_A_WORLD; index += 1) {
    const plain = randomRequest(dice, world)
    try {
      const request = engineRequest(plain)
      const decision = decide(request, engine.own, engine.resource)
      assert(
        (decision.outcome === "allow") === isAllowed(plain),
        `the engine decides ${decision.outcome}, the oracle does not`,
      )
      checkReason(engine, decision)
      checkMore(dice, world, request, decision)
      if (decision.outcome === "allow") tally.allowed += 1
      else if (decision.outcome === "explicitDeny") tally.explicitlyDenied += 1
      else tally.implicitlyDenied += 1
    } catch (error) {
      const seen = JSON.stringify({ world, request: plain }, undefined, 1)
      throw new Error(`${String(error)}\n${seen}`, { cause: error })
    }
  }
}
