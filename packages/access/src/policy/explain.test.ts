/** Explanations of decisions, and the statements that would have helped. */
import { test } from "node:test"
import assert from "node:assert/strict"
import type { PrincipalPolicies, ResourcePolicies } from "./contract.js"
import { decide, NO_POLICIES, NO_RESOURCE_POLICIES } from "./decide.js"
import { lackingGrants, sentenceOfDecision } from "./explain.js"
import { ALLOW, identityOf, OTHER, OWNER, policyOf, requestOf, rootOf, userOf } from "./testing-requests.js"

const carol = userOf(OTHER, "carol")

function explained(
  fields: Parameters<typeof requestOf>[0],
  own: PrincipalPolicies = NO_POLICIES,
  resource: ResourcePolicies = NO_RESOURCE_POLICIES,
): readonly unknown[] {
  const request = requestOf(fields)
  const decision = decide(request, own, resource)
  const grants = lackingGrants(request, decision).map(({ side, statement }): unknown => [side, JSON.parse(statement)])
  return [sentenceOfDecision(decision), ...grants]
}

test("an explanation names the deciding statement, counted from one, with its sid", () => {
  const deny = { Sid: "NoCats", Effect: "Deny", Action: "*", Resource: "*" }
  assert.deepEqual(explained({}, identityOf(ALLOW)), ["allowed by statement 1 of the identity policy"])
  assert.deepEqual(explained({}, identityOf(ALLOW, deny)), ["denied by statement 2 (NoCats) of the identity policy"])
  assert.deepEqual(explained({ principal: rootOf(OWNER) }), ["allowed to the account's root user"])
  assert.deepEqual(explained({ principal: { kind: "anonymous" } }, NO_POLICIES, { policy: undefined, acl: "caller" }), [
    "allowed by an access control list",
  ])
})

const GET = { Effect: "Allow", Action: "s3:GetObject", Resource: "arn:aws:s3:::photos/2026/a.jpg" }

test("a missing grant is listed for each side that needs it, as small as possible", () => {
  assert.deepEqual(explained({}), ["denied: no policy of the caller allows it", ["identity", GET]])
  assert.deepEqual(explained({ principal: carol }), [
    "denied: no policy of the caller allows it, and no policy of the resource allows it",
    ["identity", GET],
    ["resource", { ...GET, Principal: { AWS: carol.arn } }],
  ])
  assert.deepEqual(explained({ principal: { kind: "anonymous" } }), [
    "denied: no policy of the resource allows it",
    ["resource", { ...GET, Principal: "*" }],
  ])
  const limited = {
    ...identityOf(ALLOW),
    boundary: policyOf("identity", { ...ALLOW, Action: "s3:List*" }),
    session: [],
  }
  assert.deepEqual(explained({}, limited), [
    "denied: no permissions boundary allows it, and no session policy allows it",
    ["boundary", GET],
    ["session", GET],
  ])
})

test("the grant for a trust policy names no resource", () => {
  const trust = policyOf("trust", { Effect: "Allow", Action: "sts:AssumeRole", Principal: { AWS: OTHER } })
  const assuming = { action: "sts:AssumeRole", resource: `arn:aws:iam::${OWNER}:role/writer` }
  assert.deepEqual(explained(assuming, NO_POLICIES, { policy: trust, acl: undefined }), [
    "denied: no policy of the resource allows it",
    ["resource", { Effect: "Allow", Principal: { AWS: userOf(OWNER, "bob").arn }, Action: "sts:AssumeRole" }],
  ])
})

test("characters of a key that are special in a policy are escaped", () => {
  const [, grant] = explained({ resource: `arn:aws:s3:::photos/a*b?\${x}$1` })
  const Resource = `arn:aws:s3:::photos/a\${*}b\${?}\${$}{x}$1`
  assert.deepEqual(grant, ["identity", { ...GET, Resource }])
})
