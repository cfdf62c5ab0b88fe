/** Coordination by the admin API for principals: their policies decide, by account and namespace, before anything is read. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { accountNumberOf } from "@hayloft/engine/format/accounts/account-number.js"
import { parseCoordPath } from "@hayloft/base/ids.js"
import { ROOT_KEY } from "../access/world.js"
import { Browser, ConsoleWorld } from "./world.js"

const OWNER = ROOT_KEY.accountId
const BASE = "/v1/coordination"

/** A user of the root account with a policy, signed in; and a session of a client that holds a lock. */
async function coordWorld(actions: readonly string[], resource = "*") {
  const world = await ConsoleWorld.open()
  const { accounts, identities } = world.access.access
  const ref = await world.access.create("user", "ann")
  const statement = { Effect: "Allow", Action: actions, Resource: resource }
  await identities.putInline(ref, "own", JSON.stringify({ Version: "2012-10-17", Statement: [statement] }))
  const { key, secret } = await accounts.createKey({ accountId: OWNER, userName: "ann" })
  const browser = new Browser(world.node())
  await browser.signIn({ accessKeyId: key.id, secretAccessKey: secret })
  const { coordination } = world.store
  const { id: session } = await coordination.begin(OWNER, { name: "worker", principal: "arn" })
  const lock = { account: OWNER, path: parseCoordPath("jobs/nightly"), session, mode: "exclusive", value: "" } as const
  assert.equal((await coordination.acquire({ ...lock, waits: false })).kind, "acquired")
  const status = async (path: string, method = "GET") => (await browser.send(method, `${BASE}/${path}`)).status
  const isThere = async () => (await coordination.session({ account: OWNER, id: session })) !== undefined
  return { browser, session, status, isThere }
}

test("each action of coordination allows its operation, and no other", async () => {
  const paths = new Map([
    ["coord:ListSessions", `sessions?account=${OWNER}`],
    ["coord:ListNamespaces", `namespaces?account=${OWNER}`],
    ["coord:ListLocks", "locks/-/jobs"],
    ["coord:ListFiles", "files/-/jobs"],
    ["hayloft:ListCoordSessions", "sessions"],
    ["hayloft:ListCoordNamespaces", "namespaces"],
  ])
  for (const action of paths.keys()) {
    const { status, session, isThere } = await coordWorld(["coord:GetLock", action])
    for (const [each, path] of paths)
      assert.equal(await status(path), each === action ? 200 : 403, `${action}: ${path}`)
    assert.equal(await status(`sessions/-/${session}`, "DELETE"), 403, action)
    assert.equal(await isThere(), true, action)
  }
  const { status, session, isThere } = await coordWorld(["coord:EndSession"])
  for (const path of paths.values()) assert.equal(await status(path), 403, path)
  assert.equal(await status(`sessions/-/${session}`, "DELETE"), 204)
  assert.equal(await isThere(), false)
})

test("a policy may name a namespace; those of other services allow nothing here", async () => {
  const number = accountNumberOf(OWNER)
  const narrow = await coordWorld(["coord:*"], `arn:aws:coord:us-east-1:${number}:jobs/*`)
  assert.deepEqual([await narrow.status("locks/-/jobs"), await narrow.status("files/-/jobs")], [200, 200])
  assert.deepEqual([await narrow.status("locks/-/jobs2"), await narrow.status("files/-/other")], [403, 403])
  assert.equal(await narrow.status(`sessions?account=${OWNER}`), 403)
  const { browser, status, session, isThere } = await coordWorld(["s3:*", "sqs:*", "iam:*"])
  assert.equal(await status("locks/-/jobs"), 403)
  assert.equal(await status(`sessions/-/${session}`, "DELETE"), 403)
  assert.equal(await isThere(), true)
  const { operations } = await browser.session()
  assert.ok(Array.isArray(operations) && operations.includes("listQueues") && !operations.includes("listCoordLocks"))
})

test("who may do nothing here does not learn whether an account or a session exists", async () => {
  const { browser, session } = await coordWorld(["s3:*"])
  const answers = []
  for (const target of [`-/${session}`, `-/${"0".repeat(32)}`, `nobody/${session}`, "-/nothing"]) {
    const { status, code } = await browser.send("DELETE", `${BASE}/sessions/${target}`)
    answers.push([status, code])
  }
  assert.deepEqual(answers, Array(4).fill([403, "accessDenied"]))
})
