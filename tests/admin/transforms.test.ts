/** Modules of transforms by the admin API for principals: only the root account allows them, by an action for each operation. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { parseModuleName } from "@hayloft/base/ids.js"
import { ROOT_KEY } from "../access/world.js"
import { Browser, ConsoleWorld } from "./world.js"

const BASE = "/v1/transforms"
const MODULE = `${BASE}/modules/upper`

/** A user with a policy, signed in, of the root account or of another one; and a store with a module. */
async function transformWorld(actions: readonly string[], { isOfRoot = true } = {}) {
  const world = await ConsoleWorld.open()
  const { accounts, identities } = world.access.access
  const accountId = isOfRoot
    ? ROOT_KEY.accountId
    : (await accounts.createAccount({ displayName: "Team", email: "" })).id
  const ref = await world.access.create("user", "ann", undefined, accountId)
  const statement = { Effect: "Allow", Action: actions, Resource: "*" }
  await identities.putInline(ref, "own", JSON.stringify({ Version: "2012-10-17", Statement: [statement] }))
  const { key, secret } = await accounts.createKey({ accountId, userName: "ann" })
  const browser = new Browser(world.node())
  await browser.signIn({ accessKeyId: key.id, secretAccessKey: secret })
  const { transforms } = world.store
  await transforms.putModule(parseModuleName("upper"), Buffer.from("\0asm"), undefined)
  const names = async () => (await transforms.modules()).map(({ name }) => name)
  return { browser, names }
}

/** The operations that such a policy allows. The body is no module: a caller who may upload one learns that. */
const OPERATIONS = [
  { action: "hayloft:GetTransforms", method: "GET", path: BASE, done: 200 },
  { action: "hayloft:ListTransformModules", method: "GET", path: `${BASE}/modules`, done: 200 },
  { action: "hayloft:GetTransformModule", method: "GET", path: MODULE, done: 200 },
  { action: "hayloft:PutTransformModule", method: "PUT", path: MODULE, done: 400 },
  { action: "hayloft:DeleteTransformModule", method: "DELETE", path: MODULE, done: 204 },
]

test("each action allows its operation, and no other", async () => {
  for (const { action } of OPERATIONS) {
    const { browser } = await transformWorld([action])
    for (const each of OPERATIONS) {
      const { status } = await browser.send(each.method, each.path, { body: "no module" })
      assert.equal(status, each.action === action ? each.done : 403, `${action}: ${each.method} ${each.path}`)
    }
  }
})

test("policies of S3 allow nothing here, nor do those of another account", async () => {
  for (const { browser, names } of [
    await transformWorld(["s3:*", "iam:*", "coord:*"]),
    await transformWorld(["*"], { isOfRoot: false }),
  ]) {
    for (const { method, path } of OPERATIONS)
      assert.equal((await browser.send(method, path, { body: "no module" })).status, 403, `${method} ${path}`)
    assert.deepEqual(await names(), ["upper"])
  }
})

test("a page of another site changes no module", async () => {
  const { browser, names } = await transformWorld(["hayloft:*"])
  for (const headers of [{ origin: "https://evil.example" }, { "x-hayloft-csrf": undefined }])
    for (const method of ["PUT", "DELETE"])
      assert.equal((await browser.send(method, MODULE, { body: "", headers })).status, 403, method)
  assert.deepEqual(await names(), ["upper"])
})
