/** Decisions, by the tables and examples of AWS's documentation. */
import { test } from "node:test"
import assert from "node:assert/strict"
import type { AccessRequest, FederatedCaller, PrincipalPolicies, PrincipalMatch, ResourcePolicies } from "./contract.js"
import { decide, NO_POLICIES, NO_RESOURCE_POLICIES } from "./decide.js"
import {
  ALLOW,
  identityOf,
  OTHER,
  OWNER,
  ownerOf,
  policyOf,
  requestOf,
  rootOf,
  sessionOf,
  userOf,
} from "./testing-requests.js"

const ANONYMOUS = { kind: "anonymous" } as const
const GET = { Effect: "Allow", Action: "s3:GetObject", Resource: "arn:aws:s3:::photos/*" }
const LIST_ONLY = { Effect: "Allow", Action: "s3:ListBucket", Resource: "*" }
const ACCOUNT = `arn:aws:iam::${OWNER}:root`
const bob = userOf(OWNER, "bob")
const session = sessionOf(OWNER, "writer", "one")

const bucketPolicy = (...statements: readonly object[]): ResourcePolicies => ({
  policy: policyOf("resource", ...statements),
  acl: undefined,
})
const granting = (principal: unknown): ResourcePolicies => bucketPolicy({ ...GET, Principal: principal })

const outcomeOf = (
  principal: AccessRequest["principal"],
  own: PrincipalPolicies,
  resource: ResourcePolicies = NO_RESOURCE_POLICIES,
): string => decide(requestOf({ principal }), own, resource).outcome

test("only the account's root is allowed what no policy allows", () => {
  assert.equal(outcomeOf(bob, NO_POLICIES), "implicitDeny")
  assert.equal(outcomeOf(ANONYMOUS, NO_POLICIES), "implicitDeny")
  assert.deepEqual(decide(requestOf({ principal: rootOf(OWNER) }), NO_POLICIES, NO_RESOURCE_POLICIES), {
    outcome: "allow",
    by: "root",
  })
  assert.equal(outcomeOf(rootOf(OTHER), NO_POLICIES), "implicitDeny")
})

test("a decision names its side, policy and statement", () => {
  const deny = { Sid: "NoCats", Effect: "Deny", Action: "s3:Get*", Resource: "*", Principal: "*" }
  assert.deepEqual(decide(requestOf({}), identityOf(LIST_ONLY, ALLOW), NO_RESOURCE_POLICIES), {
    outcome: "allow",
    by: { side: "identity", policy: "the identity policy", sid: undefined, index: 1 },
  })
  assert.deepEqual(decide(requestOf({}), identityOf(ALLOW), bucketPolicy(deny)), {
    outcome: "explicitDeny",
    by: { side: "resource", policy: "the resource policy", sid: "NoCats", index: 0 },
  })
})

test("an explicit deny is final on any side, for root too", () => {
  const deny = { Effect: "Deny", Action: "s3:GetObject", Resource: "*" }
  const allowing = { identity: [policyOf("identity", ALLOW)], boundary: undefined, session: undefined }
  const everybody = granting("*")
  const sides: readonly PrincipalPolicies[] = [
    identityOf(ALLOW, deny),
    { ...allowing, boundary: policyOf("identity", ALLOW, deny) },
    { ...allowing, session: [policyOf("identity", ALLOW), policyOf("identity", deny)] },
  ]
  for (const own of sides) assert.equal(outcomeOf(bob, own, everybody), "explicitDeny")
  const denying = bucketPolicy({ ...deny, Principal: { AWS: OWNER } })
  assert.equal(outcomeOf(rootOf(OWNER), NO_POLICIES, denying), "explicitDeny")
  assert.equal(outcomeOf(bob, identityOf(ALLOW), denying), "explicitDeny")
  assert.equal(outcomeOf(rootOf(OTHER), NO_POLICIES, denying), "implicitDeny")
})

/** In the same account: the grant of a bucket policy, with implicit denies on the other sides. */
const MATCHES: readonly (readonly [
  names: string,
  AccessRequest["principal"],
  principal: unknown,
  PrincipalMatch | "no match",
])[] = [
  ["a user by its ARN", bob, { AWS: bob.arn }, "caller"],
  ["a user by its unique id", bob, { AWS: bob.userId }, "caller"],
  ["a user as everybody", bob, "*", "caller"],
  ["a user as everybody of AWS", bob, { AWS: "*" }, "caller"],
  ["a user as its account", bob, { AWS: ACCOUNT }, "account"],
  ["a user as its account's number", bob, { AWS: OWNER }, "account"],
  ["a user as its account's canonical id", bob, { CanonicalUser: "owner" }, "account"],
  ["another user", bob, { AWS: userOf(OWNER, "ann").arn }, "no match"],
  ["a session by its ARN", session, { AWS: session.sessionArn }, "caller"],
  ["a session by its role", session, { AWS: session.arn }, "role"],
  ["a session by its role's unique id", session, { AWS: session.userId.split(":")[0] }, "role"],
  ["another session of the role", session, { AWS: sessionOf(OWNER, "writer", "two").sessionArn }, "no match"],
  ["a service", bob, { Service: "logging.s3.amazonaws.com" }, "no match"],
]

for (const [names, principal, named, match] of MATCHES) {
  test(`within one account, a bucket policy that names ${names}: ${match}`, () => {
    const limited = { identity: [], boundary: policyOf("identity", LIST_ONLY), session: undefined }
    const open = { identity: [], boundary: policyOf("identity", ALLOW), session: undefined }
    const policy = granting(named)
    const isGrant = match === "caller" || match === "role"
    assert.equal(outcomeOf(principal, NO_POLICIES, policy), isGrant ? "allow" : "implicitDeny")
    assert.equal(outcomeOf(principal, open, policy), isGrant ? "allow" : "implicitDeny")
    assert.equal(outcomeOf(principal, limited, policy), match === "caller" ? "allow" : "implicitDeny")
    assert.equal(outcomeOf(principal, identityOf(GET), policy), "allow")
  })
}

test("boundary and session policies only restrict", () => {
  const identity = [policyOf("identity", GET)]
  const without = { identity, boundary: undefined, session: undefined }
  assert.equal(outcomeOf(bob, { ...without, boundary: policyOf("identity", LIST_ONLY) }), "implicitDeny")
  assert.equal(outcomeOf(bob, { ...without, boundary: policyOf("identity", ALLOW) }), "allow")
  assert.equal(outcomeOf(session, { ...without, session: [policyOf("identity", LIST_ONLY)] }), "implicitDeny")
  assert.equal(outcomeOf(session, { ...without, session: [] }), "implicitDeny")
  assert.equal(outcomeOf(session, { ...NO_POLICIES, session: [policyOf("identity", ALLOW)] }), "implicitDeny")
  assert.equal(outcomeOf(rootOf(OWNER), { ...NO_POLICIES, session: [policyOf("identity", LIST_ONLY)] }), "implicitDeny")
})

test("a session policy limits a user even if a bucket policy names the user", () => {
  const own = { ...NO_POLICIES, session: [policyOf("identity", LIST_ONLY)] }
  assert.equal(outcomeOf(bob, own, granting({ AWS: bob.arn })), "implicitDeny")
  assert.equal(outcomeOf(bob, own, granting("*")), "allow")
})

test("from another account both sides must allow", () => {
  const carol = userOf(OTHER, "carol")
  for (const named of ["*", { AWS: OTHER }, { AWS: carol.arn }]) {
    assert.equal(outcomeOf(carol, NO_POLICIES, granting(named)), "implicitDeny")
    assert.equal(outcomeOf(carol, identityOf(GET), granting(named)), "allow")
    const limited = { ...identityOf(GET), boundary: policyOf("identity", LIST_ONLY) }
    assert.equal(outcomeOf(carol, limited, granting(named)), "implicitDeny")
  }
  assert.equal(outcomeOf(carol, identityOf(ALLOW)), "implicitDeny")
  assert.equal(outcomeOf(carol, identityOf(ALLOW), granting({ AWS: OWNER })), "implicitDeny")
  assert.equal(outcomeOf(rootOf(OTHER), NO_POLICIES, granting({ AWS: OTHER })), "allow")
})

test("only * admits anonymous callers", () => {
  assert.equal(outcomeOf(ANONYMOUS, NO_POLICIES, granting("*")), "allow")
  assert.equal(outcomeOf(ANONYMOUS, NO_POLICIES, granting({ AWS: [OWNER, OTHER] })), "implicitDeny")
})

test("NotPrincipal exempts only principals that it names directly, not members of an account or role", () => {
  const sparing = (...AWS: readonly string[]): ResourcePolicies =>
    bucketPolicy({ Effect: "Deny", NotPrincipal: { AWS }, Action: "*", Resource: "*" })
  const own = identityOf(ALLOW)
  assert.equal(outcomeOf(bob, own, sparing(bob.arn, ACCOUNT)), "allow")
  assert.equal(outcomeOf(bob, own, sparing(ACCOUNT)), "explicitDeny")
  assert.equal(outcomeOf(rootOf(OWNER), own, sparing(ACCOUNT)), "allow")
  assert.equal(outcomeOf(session, own, sparing(session.sessionArn, session.arn, ACCOUNT)), "allow")
  assert.equal(outcomeOf(session, own, sparing(session.arn, ACCOUNT)), "explicitDeny")
  assert.equal(outcomeOf(ANONYMOUS, own, sparing(bob.arn)), "explicitDeny")
})

test("an access control list grants like a policy with the same match", () => {
  const acl = (match: PrincipalMatch): ResourcePolicies => ({ policy: undefined, acl: match })
  assert.equal(outcomeOf(ANONYMOUS, NO_POLICIES, acl("caller")), "allow")
  assert.equal(outcomeOf(bob, NO_POLICIES, acl("account")), "implicitDeny")
  assert.equal(outcomeOf(userOf(OTHER, "carol"), identityOf(GET), acl("account")), "allow")
  assert.deepEqual(decide(requestOf({ principal: ANONYMOUS }), NO_POLICIES, acl("caller")), {
    outcome: "allow",
    by: "acl",
  })
})

const roleArn = `arn:aws:iam::${OWNER}:role/writer`
const ASSUME = { Effect: "Allow", Action: "sts:AssumeRole" }

function assuming(principal: AccessRequest["principal"], own: PrincipalPolicies, named: unknown): string {
  const request = requestOf({ principal, action: "sts:AssumeRole", resource: roleArn, owner: ownerOf(OWNER) })
  const trust = { policy: policyOf("trust", { ...ASSUME, Principal: named }), acl: undefined }
  return decide(request, own, trust).outcome
}

test("a role is assumed by principals that its trust policy names; by an account's users only if they may", () => {
  const may = identityOf({ ...ASSUME, Resource: roleArn })
  assert.equal(assuming(bob, NO_POLICIES, { AWS: bob.arn }), "allow")
  assert.equal(assuming(bob, NO_POLICIES, { AWS: ACCOUNT }), "implicitDeny")
  assert.equal(assuming(bob, may, { AWS: ACCOUNT }), "allow")
  assert.equal(assuming(bob, may, { AWS: OTHER }), "implicitDeny")
  assert.equal(assuming(rootOf(OWNER), NO_POLICIES, { AWS: OTHER }), "implicitDeny")
  const carol = userOf(OTHER, "carol")
  assert.equal(assuming(carol, NO_POLICIES, { AWS: carol.arn }), "implicitDeny")
  assert.equal(assuming(carol, may, { AWS: carol.arn }), "allow")
})

test("a web identity assumes a role whose trust policy names its provider and accepts its claims", () => {
  const providerArn = `arn:aws:iam::${OWNER}:oidc-provider/id.example.com`
  const caller = (sub: string): FederatedCaller => ({
    kind: "federated",
    providerArn,
    claims: [["id.example.com:sub", sub]],
  })
  const decided = (principal: FederatedCaller, Principal: unknown, Condition: object = {}): string => {
    const Action = "sts:AssumeRoleWithWebIdentity"
    const trust = { policy: policyOf("trust", { Effect: "Allow", Action, Principal, Condition }), acl: undefined }
    return decide(requestOf({ principal, action: Action, resource: roleArn }), NO_POLICIES, trust).outcome
  }
  const carolOnly = { StringEquals: { "id.example.com:sub": "carol" } }
  assert.equal(decided(caller("carol"), { Federated: providerArn }), "allow")
  assert.equal(decided(caller("carol"), { Federated: providerArn }, carolOnly), "allow")
  assert.equal(decided(caller("mallory"), { Federated: providerArn }, carolOnly), "implicitDeny")
  assert.equal(decided(caller("carol"), "*"), "implicitDeny")
  assert.equal(decided(caller("carol"), { Federated: "id.example.com" }), "implicitDeny")
})
