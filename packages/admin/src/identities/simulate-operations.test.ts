/** The simulator and the validation of policies by the admin API; tests/s3/simulator.test.ts has decisions of S3. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { decide, NO_RESOURCE_POLICIES, type KnownActions } from "@hayloft/access/index.js"
import { accountNumberOf } from "@hayloft/engine/format/accounts/account-number.js"
import { AUDIT_PAGE } from "../store/audit-schemas.js"
import { SIMULATED, VALIDATED } from "./simulate-schemas.js"
import { accessInMemory } from "../testing-access.js"
import { world } from "../testing-api.js"
import { ROOT } from "../testing-store.js"
import { CREATED_ADMIN_TOKEN } from "./token-schemas.js"

const ACTIONS: KnownActions = new Map([
  ["s3:GetObject", "object"],
  ["s3:ListBucket", "bucket"],
  ["iam:GetUser", undefined],
  ["sts:AssumeRole", undefined],
  ["kms:Decrypt", undefined],
  ["hayloft:DrainDevice", undefined],
])
const documentOf = (...Statement: unknown[]) => ({ Version: "2012-10-17", Statement })
const READ = { Sid: "Read", Effect: "Allow", Action: "s3:GetObject", Resource: "*" }

async function simulatorWorld() {
  const { accounts, identities } = accessInMemory(ROOT)
  await accounts.ensureRoot()
  const owner = { accountId: ROOT, accountNumber: accountNumberOf(ROOT) }
  const it = world(true, {
    accounts,
    identities,
    policyFacts: {
      knownActions: ACTIONS,
      decideS3: async ({ caller: { principal, policies }, action, resource, values: context }) => {
        const request = { principal, action, resource, owner, nowMs: 7, context }
        return { decision: decide(request, policies, NO_RESOURCE_POLICIES), exclusion: undefined }
      },
      nowMs: () => 7,
    },
  })
  const json = async (status: number, method: string, path: string, body: unknown, token?: string) => {
    const reply = await it.json(method, path, { body, ...(token !== undefined && { token }) })
    assert.equal(reply.status, status, JSON.stringify(reply.value))
    return reply.value
  }
  await json(201, "POST", "/v1/accounts/root/users", { name: "ann" })
  await json(204, "PUT", "/v1/accounts/root/users/ann/policies/own", documentOf(READ))
  const simulate = async (caller: unknown, more: Readonly<Record<string, unknown>> = {}) => {
    const body = { caller, action: "s3:GetObject", resource: "photos/cat", ...more }
    return SIMULATED.parse(await json(200, "POST", "/v1/policy/simulate", body))
  }
  return { json, simulate }
}
const ANN = { kind: "user", name: "ann" }

test("the answer says which statement of which policy decides, and what would be needed", async () => {
  const { simulate } = await simulatorWorld()
  const allowed = await simulate(ANN, { action: "S3:getobject" })
  assert.deepEqual(
    [allowed.isAllowed, allowed.action, allowed.resource],
    [true, "s3:GetObject", "arn:aws:s3:::photos/cat"],
  )
  assert.match(allowed.sentence, /^allowed by statement 1 \(Read\) of user ann: inline own$/)
  assert.deepEqual(allowed.decidedBy, { side: "identity", policy: "user ann: inline own", statement: 1, sid: "Read" })
  const denied = await simulate(ANN, { action: "s3:ListBucket", resource: "photos" })
  assert.deepEqual([denied.isAllowed, denied.decidedBy], [false, undefined])
  assert.deepEqual(denied.grants, [
    { side: "identity", statement: '{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::photos"}' },
  ])
  assert.match((await simulate({ kind: "root" })).sentence, /root user/)
  assert.equal((await simulate({ kind: "anonymous" })).isAllowed, false)
})

test("session policies, boundaries and a given policy count", async () => {
  const { simulate } = await simulatorWorld()
  const none = documentOf({ Effect: "Deny", Action: "s3:*", Resource: "*" })
  const denied = await simulate(ANN, { sessionPolicy: none })
  assert.deepEqual([denied.isAllowed, denied.decidedBy?.side], [false, "session"])
  const bounded = await simulate(ANN, { boundary: documentOf({ ...READ, Action: "s3:PutObject" }) })
  assert.deepEqual([bounded.isAllowed, bounded.grants[0]?.side], [false, "boundary"])
  assert.equal((await simulate({ kind: "policy", document: documentOf(READ) })).isAllowed, true)
})

test("conditions are given; those that policies ask for and that are not are named", async () => {
  const { simulate } = await simulatorWorld()
  const Condition = { IpAddress: { "aws:SourceIp": "192.0.2.0/24" }, Bool: { "aws:SecureTransport": "true" } }
  const caller = { kind: "policy", document: documentOf({ ...READ, Condition }) }
  const without = await simulate(caller)
  assert.deepEqual([without.isAllowed, without.unknownConditions], [false, ["aws:sourceip"]])
  const conditions = { "aws:SourceIp": "192.0.2.7", "AWS:securetransport": "true" }
  const given = await simulate(caller, { conditions })
  assert.deepEqual([given.isAllowed, given.unknownConditions], [true, []])
})

test("other actions are decided by identity policies, and of a role by its trust policy", async () => {
  const { json, simulate } = await simulatorWorld()
  const number = accountNumberOf(ROOT)
  const ann = `arn:aws:iam::${number}:user/ann`
  assert.equal((await simulate(ANN, { action: "iam:GetUser", resource: ann })).isAllowed, false)
  const trust = documentOf({ Effect: "Allow", Principal: { AWS: ann }, Action: "sts:AssumeRole" })
  await json(201, "POST", "/v1/accounts/root/roles", { name: "job", trust })
  const assume = { action: "sts:AssumeRole", resource: `arn:aws:iam::${number}:role/job` }
  const assumed = await simulate(ANN, assume)
  assert.deepEqual([assumed.isAllowed, assumed.decidedBy?.policy], [true, "role job: trust policy"])
  assert.equal((await simulate({ kind: "role", name: "job" }, assume)).isAllowed, false)
  for (const [status, body] of [
    [400, { caller: ANN, action: "s3:GetObjekt", resource: "photos/cat" }],
    [404, { caller: { kind: "user", name: "nobody" }, action: "s3:GetObject", resource: "photos/cat" }],
    [501, { caller: ANN, action: "kms:Decrypt", resource: "*" }],
    [400, { caller: ANN, action: "iam:GetUser", resource: ann, bucketPolicy: trust }],
  ] as const)
    await json(status, "POST", "/v1/policy/simulate", body)
})

test("actions on the whole store are allowed by policies of the root account alone", async () => {
  const { json, simulate } = await simulatorWorld()
  const other = "b".repeat(64)
  await json(201, "POST", "/v1/accounts", { id: other, displayName: "Other" })
  for (const account of ["root", other]) {
    await json(201, "POST", `/v1/accounts/${account}/users`, { name: "oli" })
    const everything = documentOf({ Effect: "Allow", Action: "*", Resource: "*" })
    await json(204, "PUT", `/v1/accounts/${account}/users/oli/policies/own`, everything)
  }
  const asked = { action: "hayloft:drainDevice", resource: "*" }
  const { isAllowed, action } = await simulate({ kind: "user", name: "oli" }, asked)
  assert.deepEqual([isAllowed, action], [true, "hayloft:DrainDevice"])
  assert.equal((await simulate({ kind: "user", name: "oli", accountId: other }, asked)).isAllowed, false)
  assert.equal((await simulate(ANN, asked)).isAllowed, false)
})

test("a policy is validated with places and lines; a bucket policy is public or not", async () => {
  const { json } = await simulatorWorld()
  const validate = async (body: unknown) => VALIDATED.parse(await json(200, "POST", "/v1/policy/validate", body))
  const text =
    '{\n"Version": "2012-10-17",\n"Statement": { "Effect": "Allow", "Action": "s3:GetObjekt", "Resource": "*" }\n}'
  const warned = await validate({ text })
  assert.deepEqual(
    [warned.isValid, warned.problems.map(({ severity, line }) => [severity, line])],
    [true, [["warning", 3]]],
  )
  const open = documentOf({ ...READ, Principal: "*", Resource: "arn:aws:s3:::photos/*" })
  assert.deepEqual(await validate({ document: open, kind: "resource", bucket: "photos" }), {
    isValid: true,
    problems: [],
    isPublic: true,
  })
  const other = await validate({ document: open, kind: "resource", bucket: "videos" })
  assert.deepEqual([other.isValid, other.problems[0]?.where], [false, "$.Statement[0]"])
  await json(400, "POST", "/v1/policy/validate", {})
})

test("a token that may only read simulates and validates, and neither is in the audit log", async () => {
  const { json } = await simulatorWorld()
  const made = await json(201, "POST", "/v1/tokens", { name: "reader", scopes: ["read"] })
  const { token } = CREATED_ADMIN_TOKEN.parse(made)
  await json(200, "POST", "/v1/policy/validate", { text: "{}" }, token)
  await json(200, "POST", "/v1/policy/simulate", { caller: ANN, action: "s3:GetObject", resource: "a/b" }, token)
  const { entries } = AUDIT_PAGE.parse(await json(200, "GET", "/v1/audit", undefined))
  assert.deepEqual(
    entries.filter(({ operation }) => /Policy$/.test(operation) && !/^put/.test(operation)),
    [],
  )
})
