/** What an operator is told of a decision, and the statements that would have helped. */
import { test } from "node:test"
import assert from "node:assert/strict"
import type { PrincipalPolicies, ResourcePolicies } from "./contract.js"
import { decide, NO_POLICIES, NO_RESOURCE_POLICIES } from "./decide.js"
import { lackingGrants, sentenceOfDecision } from "./explain.js"
import { ALLOW, identityOf, OTHER, OWNER, policyOf, requestOf, rootOf, userOf } from "./testing-requests.js"

const carol = userOf(OTHER, "carol")

function told(
  given: Parameters<typeof requestOf>[0],
  own: PrincipalPolicies = NO_POLICIES,
  resource: ResourcePolicies = NO_RESOURCE_POLICIES,
): readonly unknown[] {
  const request = requestOf(given)
  const decision = decide(request, own, resource)
  const grants = lackingGrants(request, decision).map(({ side, statement }): unknown => [side, JSON.parse(statement)])
  return [sentenceOfDecision(decision), ...grants]
}

test("the statement that decided is told, counted from one, with its sid", () => {
  const deny = { Sid: "NoCats", Effect: "Deny", Action: "*", Resource: "*" }
  assert.deepEqual(told({}, identityOf(ALLOW)), ["allowed by statement 1 of the identity policy"])
  assert.deepEqual(told({}, identityOf(ALLOW, deny)), ["denied by statement 2 (NoCats) of the identity policy"])
  assert.deepEqual(told({ principal: rootOf(OWNER) }), ["allowed to the account's root user"])
  assert.deepEqual(told({ principal: { kind: "anonymous" } }, NO_POLICIES, { policy: undefined, acl: "caller" }), [
    "allowed by an access control list",
  ])
})

const GET = { Effect: "Allow", Action: "s3:GetObject", Resource: "arn:aws:s3:::photos/2026/a.jpg" }

test("what is lacking is told for each side that needs it, as small as it can be", () => {
  assert.deepEqual(told({}), ["denied: no policy of the caller allows it", ["identity", GET]])
  assert.deepEqual(told({ principal: carol }), [
    "denied: no policy of the caller allows it, and no policy of the resource allows it",
    ["identity", GET],
    ["resource", { ...GET, Principal: { AWS: carol.arn } }],
  ])
  assert.deepEqual(told({ principal: { kind: "anonymous" } }), [
    "denied: no policy of the resource allows it",
    ["resource", { ...GET, Principal: "*" }],
  ])
  const limited = {
    ...identityOf(ALLOW),
    boundary: policyOf("identity", { ...ALLOW, Action: "s3:List*" }),
    session: [],
  }
  assert.deepEqual(told({}, limited), [
    "denied: no permissions boundary allows it, and no session policy allows it",
    ["boundary", GET],
    ["session", GET],
  ])
})

test("of a trust policy the grant names no resource", () => {
  const trust = policyOf("trust", { Effect: "Allow", Action: "sts:AssumeRole", Principal: { AWS: OTHER } })
  const asked = { action: "sts:AssumeRole", resource: `arn:aws:iam::${OWNER}:role/writer` }
  assert.deepEqual(told(asked, NO_POLICIES, { policy: trust, acl: undefined }), [
    "denied: no policy of the resource allows it",
    ["resource", { Effect: "Allow", Principal: { AWS: userOf(OWNER, "bob").arn }, Action: "sts:AssumeRole" }],
  ])
})

test("characters of a key that mean more in a policy are written as themselves", () => {
  const [, grant] = told({ resource: `arn:aws:s3:::photos/a*b?\${x}$1` })
  const Resource = `arn:aws:s3:::photos/a\${*}b\${?}\${$}{x}$1`
  assert.deepEqual(grant, ["identity", { ...GET, Resource }])
})
