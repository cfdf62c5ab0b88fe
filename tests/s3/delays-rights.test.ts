/**
 * Requests with keys of users, keys with a policy and temporary keys get the same answers on the synchronous and the
 * asynchronous path.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { runsOf, TEST_SEED } from "@hayloft/base/testing-seed.js"
import { parseAccessKeyId, parseAccountId, parseBucketName } from "@hayloft/base/ids.js"
import { accountNumberOf } from "@hayloft/engine/format/accounts/account-number.js"
import type { Engine } from "@hayloft/node/engine.js"
import { Machine } from "@hayloft/node/testing-engine.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { ask, type HandlerRequest } from "./ask.js"
import { alike, shown, world } from "./delays-world.js"

const SECRET = "a-secret-of-forty-characters-or-so-000000"
const ROUNDS = runsOf(300)
const SESSION_SECONDS = 3_600
const ACCOUNT = parseAccountId("root")

const random = new SimRandom(TEST_SEED)
const oneOf = <T>(...choices: readonly [T, ...T[]]): T => choices[random.below(choices.length)] ?? choices[0]

const ALL = { Effect: "Allow", Action: "s3:*", Resource: "*" }
const statements = (...of: readonly object[]): string => JSON.stringify({ Version: "2012-10-17", Statement: of })

const ifAgent = (name: string) => ({ Condition: { StringEquals: { "aws:UserAgent": name } } })
const EVERYBODY = { Principal: "*", Resource: "arn:aws:s3:::kept/*" }
const POLICY_OF_KEPT = statements(
  { ...EVERYBODY, Effect: "Deny", Action: "s3:PutObject", ...ifAgent("bad") },
  { ...EVERYBODY, Effect: "Deny", Action: "s3:DeleteObject", Condition: { Bool: { "aws:SecureTransport": "false" } } },
  {
    Effect: "Allow",
    Action: ["s3:GetObject", "s3:PutObject"],
    Resource: "arn:aws:s3:::kept/*",
    Principal: { AWS: `arn:aws:iam::${accountNumberOf(ACCOUNT)}:user/nobody` },
  },
)

/** Each user's permissions. */
const USERS: Readonly<Record<string, { readonly policy: string; readonly boundary?: string }>> = {
  everything: { policy: statements(ALL) },
  bucket: { policy: statements({ ...ALL, Resource: "arn:aws:s3:::bench/*" }) },
  reader: { policy: statements({ ...ALL, Action: ["s3:GetObject", "s3:ListBucket"] }) },
  blind: { policy: statements({ ...ALL, Action: "s3:GetObject" }) },
  writer: { policy: statements({ ...ALL, Action: "s3:PutObject" }) },
  home: { policy: statements({ ...ALL, Resource: `arn:aws:s3:::bench/\${aws:username}*` }) },
  denied: {
    policy: statements(ALL, { Effect: "Deny", Action: "s3:*", Resource: "arn:aws:s3:::*/typed" }),
  },
  /** The principals to whom a bucket's policy grants access. */
  nobody: { policy: statements({ ...ALL, Action: "sqs:*" }) },
  agent: { policy: statements({ ...ALL, ...ifAgent("good") }) },
  unlessAgent: { policy: statements(ALL, { ...ALL, Effect: "Deny", ...ifAgent("bad") }) },
  tagged: {
    policy: statements({ ...ALL, Condition: { StringEquals: { "s3:ExistingObjectTag/a": "1" } } }),
  },
  unlessTagged: {
    policy: statements(ALL, {
      ...ALL,
      Effect: "Deny",
      Condition: { StringEquals: { "s3:ExistingObjectTag/a": "1" } },
    }),
  },
  past: {
    policy: statements({ ...ALL, Condition: { DateLessThan: { "aws:CurrentTime": "2020-01-01T00:00:00Z" } } }),
  },
  bounded: { policy: statements(ALL), boundary: "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess" },
}

interface Signer {
  readonly name: string
  readonly id: string
  readonly secret: string
  readonly token?: string
}

async function people({ accounts, identities, sessions }: Engine, nowMs: number): Promise<readonly Signer[]> {
  const signers: Signer[] = []
  for (const [name, { policy, boundary }] of Object.entries(USERS)) {
    const ref = { accountId: ACCOUNT, kind: "user", name } as const
    await identities.create({ ...ref, path: "/", tags: [], boundary, role: undefined })
    await identities.putInline(ref, "own", policy)
    const id = parseAccessKeyId(`KEYOF${name.toUpperCase()}`)
    await accounts.importKey({ id, secret: SECRET, accountId: ACCOUNT, userName: name })
    signers.push({ name, id, secret: SECRET })
  }
  const id = parseAccessKeyId("KEYOFAPPLICATION")
  const policy = statements({ ...ALL, Action: "s3:PutObject" })
  const service = { description: "", policy, expiresMs: undefined }
  await accounts.importKey({ id, secret: SECRET, accountId: ACCOUNT, userName: undefined, service })
  const [writer] = signers.filter(({ name }) => name === "writer")
  const long = await accounts.secretOf(parseAccessKeyId(writer?.id ?? ""), undefined, nowMs)
  assert.ok(long)
  const { accessKeyId, secret, token } = sessions.ofKey(long, { seconds: SESSION_SECONDS, nowMs })
  return [
    { name: "root", id: "ROOTKEY", secret: "secret" },
    ...signers,
    { name: "application", id, secret: SECRET },
    { name: "temporary", id: accessKeyId, secret, token },
  ]
}

function anyAsked(name: string): HandlerRequest {
  const bucket = oneOf("bench", "bench", "kept", "ruled", "shared")
  const key = oneOf("typed", "plain", "a%20b", "absent", name)
  const more = oneOf<readonly string[]>([], [], ["user-agent", "good"], ["user-agent", "bad"])
  const rawHeaders = ["host", "h", ...more]
  // The second delete does not find the object.
  if (random.below(8) === 0) return { method: "DELETE", rawTarget: `/${bucket}/gone`, rawHeaders }
  const read = oneOf(key, key, "labelled", "missing")
  if (random.below(2) === 0) {
    rawHeaders.push(...oneOf<readonly string[]>([], [], ["if-none-match", "*"], ["if-match", '"x"']))
    return { method: oneOf("GET", "HEAD"), rawTarget: `/${bucket}/${read}`, rawHeaders }
  }
  const body = Buffer.from(`${name} ${random.below(1_000)}`)
  const acl = oneOf<readonly string[]>([], [], ["x-amz-acl", "bucket-owner-full-control"])
  rawHeaders.push("content-length", String(body.length), ...acl)
  // Refused both times: the refusal is requested twice.
  const [target, condition] = oneOf([key, ""], [key, ""], ["labelled", "if-none-match"], ["missing", "if-match"])
  if (condition !== "") rawHeaders.push(condition, "*")
  return { method: "PUT", rawTarget: `/${bucket}/${target}`, rawHeaders, body }
}

test("the decisions of policies do not depend on the path", () => {
  const machine = new Machine({ devices: 1 })
  return machine.clock.runUntil(compare(machine))
})

async function compare(machine: Machine): Promise<void> {
  const { slow, quick, sign, engine, clock } = await world(machine)
  const signers = await people(engine, clock.wallMs())
  const { buckets } = engine.services
  await buckets.setSetting(await buckets.open(parseBucketName("kept")), "policy", POLICY_OF_KEPT)
  const both = async ({ id, secret, token }: Signer, request: HandlerRequest) => {
    const rawHeaders = token === undefined ? request.rawHeaders : [...request.rawHeaders, "x-amz-security-token", token]
    const signed = sign({ ...request, rawHeaders }, "UNSIGNED-PAYLOAD", secret, id)
    const result = await ask(quick, signed)
    const later = shown(await ask(slow, signed))
    assert.deepEqual(withoutTimes(alike(shown(result))), withoutTimes(alike(later)), JSON.stringify(signed))
    return { status: later.status, waited: result.waited }
  }
  for (const bucket of ["bench", "kept", "ruled", "shared"]) {
    for (const key of ["typed", "plain", "a%20b", "labelled"]) {
      const tags = key === "labelled" ? ["x-amz-tagging", "a=1"] : []
      const rawHeaders = ["host", "h", "content-length", "4", ...tags]
      const put = { method: "PUT", rawTarget: `/${bucket}/${key}`, rawHeaders, body: Buffer.from("body") }
      assert.equal(shown(await ask(slow, sign(put))).status, 200)
    }
  }
  for (const signer of signers) {
    const { name } = signer
    let withinTurn = 0
    // Some seeds draw few of them.
    const isEnough = (): boolean => withinTurn > ROUNDS / 30
    for (let i = 0; i < ROUNDS || (!isEnough() && i < 10 * ROUNDS); i += 1) {
      const { waited } = await both(signer, anyAsked(name))
      if (!waited) withinTurn += 1
    }
    assert.ok(isEnough(), `${withinTurn} requests of ${name} were answered synchronously`)
  }
  const read = { method: "GET", rawTarget: "/bench/typed", rawHeaders: ["host", "h"] }
  const [everything, temporary] = [signers[1], signers.at(-1)]
  assert.ok(everything && temporary)
  assert.equal((await both(everything, read)).status, 200)
  await engine.identities.removeInline({ accountId: ACCOUNT, kind: "user", name: everything.name }, "own")
  assert.equal((await both(everything, read)).status, 403, "a change applies to the next request")
  await clock.sleep(SESSION_SECONDS * 1_000, new AbortController().signal)
  assert.equal((await both(temporary, read)).status, 400, "its token has expired")
  await engine.stop()
}

/** Both handlers put the same object, one after the other. */
const withoutTimes = (result: ReturnType<typeof alike>) => ({
  ...result,
  pairs: result.pairs.filter(pair => !pair.startsWith("Last-Modified")),
})
