/** A user or role that is recreated under the same name inherits nothing: policies keep the original principal. */
import { test } from "node:test"
import assert from "node:assert/strict"
import { parseAccessKeyId, parseAccountId, parseBucketName } from "@hayloft/base/ids.js"
import { accountNumberOf } from "@hayloft/engine/format/accounts/account-number.js"
import { Machine } from "@hayloft/node/testing-engine.js"
import { ask } from "./ask.js"
import { shown, world } from "./delays-world.js"

const SECRET = "secret"
const ACCOUNT = parseAccountId("root")
const NUMBER = accountNumberOf(ACCOUNT)
const ARN = `arn:aws:iam::${NUMBER}:user/team/bob`
const ROLE_ARN = `arn:aws:iam::${NUMBER}:role/reader`
const SESSION_ARN = `arn:aws:sts::${NUMBER}:assumed-role/reader/work`
const BOB = { accountId: ACCOUNT, kind: "user", name: "bob" } as const
const READER = { accountId: ACCOUNT, kind: "role", name: "reader" } as const
const KEY = parseAccessKeyId("KEYOFBOB00")
const POLICY = `{ "Version": "2012-10-17",
  "Statement": [{ "Sid": "${ARN}", "Effect": "Allow", "Principal": { "AWS": ["${ARN}", "${ROLE_ARN}", "${SESSION_ARN}"] },
    "Action": "s3:GetObject", "Resource": "arn:aws:s3:::kept/*" }, { "Effect": "Deny",
    "NotPrincipal": {"AWS": "${ARN}"}, "Action": "s3:GetBucketCORS", "Resource": "arn:aws:s3:::kept" }] }`

async function scene(machine: Machine) {
  const { slow, sign, engine } = await world(machine)
  const send = async (method: string, rawTarget: string, text = "", key?: string) => {
    const body = Buffer.from(text)
    const rawHeaders = ["host", "h", "content-length", String(body.length)]
    const assumeRequest = sign({ method, rawTarget, rawHeaders, body }, "UNSIGNED-PAYLOAD", key && SECRET, key)
    return shown(await ask(slow, assumeRequest))
  }
  const createBob = async () => {
    await engine.identities.create({ ...BOB, path: "/team/", tags: [], boundary: undefined, role: undefined })
    await engine.accounts.importKey({ id: KEY, secret: SECRET, accountId: ACCOUNT, userName: "bob" })
  }
  const removeBob = async () => {
    await engine.accounts.removeKey(KEY)
    await engine.identities.remove(BOB)
  }
  const createReader = (trust: string) =>
    engine.identities.create({
      ...READER,
      path: "/",
      tags: [],
      boundary: undefined,
      role: { description: "", trust, sessionSecondsMax: 3_600 },
    })
  return { engine, send, createBob, removeBob, createReader }
}

const trusting = (arn: string) =>
  `{"Version":"2012-10-17", "Statement":{"Effect":"Allow","Principal":{"AWS":"${arn}"},"Action":"sts:AssumeRole"}}`

const run = (work: (machine: Machine) => Promise<void>) => {
  const machine = new Machine({ devices: 1 })
  return machine.clock.runUntil(work(machine))
}

test("a bucket policy admits the user that it named, not a later one of the same name", () =>
  run(async machine => {
    const { engine, send, createBob, removeBob, createReader } = await scene(machine)
    await createBob()
    await createReader(trusting(NUMBER))
    assert.equal((await send("PUT", "/kept/k", "body")).status, 200)
    assert.equal((await send("GET", "/kept/k", "", KEY)).status, 403, "no policy admits bob yet")
    assert.equal((await send("PUT", "/kept?policy", POLICY)).status, 204)
    assert.equal((await send("GET", "/kept/k", "", KEY)).status, 200)
    assert.equal((await send("GET", "/kept?policy")).body, POLICY, "returned as it was sent")

    await engine.identities.update(BOB, { name: "rob", path: "/" })
    assert.equal((await send("GET", "/kept/k", "", KEY)).status, 200, "the renamed user still has access")
    const renamed = POLICY.replace(`["${ARN}"`, `["arn:aws:iam::${NUMBER}:user/rob"`).replace(
      `{"AWS": "${ARN}"}`,
      `{"AWS": "arn:aws:iam::${NUMBER}:user/rob"}`,
    )
    assert.equal((await send("GET", "/kept?policy")).body, renamed)
    await engine.identities.update({ ...BOB, name: "rob" }, { name: "bob", path: "/team/" })

    const { id } = await engine.identities.get(BOB)
    const { id: roleId } = await engine.identities.get(READER)
    await removeBob()
    await engine.identities.remove(READER)
    await createBob()
    await createReader(trusting(NUMBER))
    assert.equal((await send("GET", "/kept/k", "", KEY)).status, 403, "another bob")
    const left = (await send("GET", "/kept?policy")).body
    assert.ok(left.includes(`["${id}", "${roleId}", "${roleId}:work"]`), left)
    assert.ok(left.includes(`{"AWS": "${id}"}`) && left.includes(`"Sid": "${ARN}"`), left)
    await engine.stop()
  }))

test("a policy that was stored with ARNs keeps working", () =>
  run(async machine => {
    const { engine, send, createBob } = await scene(machine)
    await createBob()
    assert.equal((await send("PUT", "/kept/k", "body")).status, 200)
    const { buckets } = engine.services
    await buckets.setSetting(await buckets.open(parseBucketName("kept")), "policy", POLICY)
    assert.equal((await send("GET", "/kept/k", "", KEY)).status, 200)
    assert.equal((await send("GET", "/kept?policy")).body, POLICY)
    await engine.stop()
  }))

test("a role trusts the user that it named, not a later one of the same name", () =>
  run(async machine => {
    const { engine, createBob, removeBob, createReader } = await scene(machine)
    const nowMs = machine.clock.wallMs()
    const mayAssume = async () => {
      const caller = await engine.accounts.secretOf(KEY, undefined, nowMs)
      assert.ok(caller)
      const context = { valuesOf: () => undefined }
      const assumeRequest = {
        roleArn: ROLE_ARN,
        sessionName: "work",
        seconds: undefined,
        policy: undefined,
        policyArns: [],
      }
      return engine.sessions.assume(caller, { ...assumeRequest, tags: [], context, nowMs }).then(
        () => true,
        () => false,
      )
    }
    const trustOf = async () => (await engine.identities.get(READER)).role?.trust
    await createBob()
    assert.equal((await createReader(trusting(ARN))).role?.trust, trusting(ARN))
    assert.equal(await trustOf(), trusting(ARN), "returned as it was sent")
    assert.ok(await mayAssume())
    await engine.identities.updateRole(READER, { description: "other" })
    assert.equal(await trustOf(), trusting(ARN))

    const { id } = await engine.identities.get(BOB)
    await removeBob()
    await createBob()
    assert.equal(await mayAssume(), false, "another bob")
    assert.equal(await trustOf(), trusting(id))
    await engine.identities.updateRole(READER, { trust: trusting(ARN) })
    assert.ok(await mayAssume(), "named again")
    await removeBob()
    await createBob()
    assert.equal(await mayAssume(), false, "nor does a third user of the name")
    await engine.stop()
  }))
