/** Keys and access lists are shown only to callers who may set them, over the model. */
import assert from "node:assert/strict"
import { after, before, test } from "node:test"
import type { RawResponse } from "../../conformance/raw-client.js"
import { must } from "@hayloft/base/assert.js"
import { parseAccessKeyId } from "@hayloft/base/ids.js"
import { ownerAccount, OWNER, rootKeyOf, STRANGER, userKeyOf, type Key } from "../s3/over-model.js"
import { serveSwift, type SwiftUser, type SwiftWorld } from "./world.js"

const NEW = { id: "AKIANEWUSER", secret: "new-secret" }
const LISTER = { id: "AKIALISTER", secret: "lister-secret" }
const DENIED = { id: "AKIADENIED", secret: "denied-secret" }
const SETTER = { id: "AKIASETTER", secret: "setter-secret" }
const ROOT_READER = { id: "AKIAROOTREADER", secret: "root-reader-secret" }

const statement = (effect: "Allow" | "Deny", ...actions: readonly string[]) => ({
  Effect: effect,
  Action: actions,
  Resource: "*",
})
const policyOf = (...statements: readonly object[]) => JSON.stringify({ Version: "2012-10-17", Statement: statements })
const READING = policyOf(statement("Allow", "s3:Get*", "s3:List*"))

/** A service key of the root user that may only read. */
function rootReader() {
  const { policies } = userKeyOf(ROOT_READER, "unused", [READING])
  const root = rootKeyOf(parseAccessKeyId(ROOT_READER.id), ROOT_READER.secret, ownerAccount)
  return { ...root, policies: { ...policies, session: policies.identity, identity: [] }, isWholeRoot: false }
}

let world: SwiftWorld
let owner: SwiftUser
before(async () => {
  world = await serveSwift({
    keys: [
      userKeyOf(NEW, "newcomer", []),
      userKeyOf(LISTER, "lister", [READING]),
      userKeyOf(DENIED, "denied", [policyOf(statement("Allow", "s3:*"), statement("Deny", "s3:PutBucketAcl"))]),
      userKeyOf(SETTER, "setter", [policyOf(statement("Allow", "s3:ListBucket", "s3:PutBucketAcl"))]),
      rootReader(),
    ],
  })
  owner = await world.signIn(OWNER)
})
after(() => world.stop())

const SECRETS = [
  "x-container-read",
  "x-container-write",
  "x-container-meta-temp-url-key",
  "x-container-meta-temp-url-key-2",
  "x-account-meta-temp-url-key",
  "x-account-access-control",
]
const secretsIn = (answer: RawResponse): readonly string[] => SECRETS.filter(name => answer.header(name) !== undefined)

test("a user whom only a container's list admits sees neither its keys nor its lists, as others who may not set them", async () => {
  const path = "/protected"
  const read = `${owner.account.slice("/v1/AUTH_".length)}:newcomer,.r:*,.rlistings`
  const headers = {
    "X-Container-Read": read,
    "X-Container-Write": read.split(",")[0] ?? "",
    "X-Container-Meta-Shown": "yes",
    "X-Container-Meta-Temp-URL-Key": "first",
    "X-Container-Meta-Temp-URL-Key-2": "second",
  }
  assert.equal((await owner.call("PUT", path, { headers })).status, 201)
  const seenBy = async (user: SwiftUser) => {
    const answers = [
      await user.call("HEAD", `${owner.account}${path}`),
      await user.call("GET", `${owner.account}${path}`),
    ]
    for (const answer of answers) assert.equal(answer.header("x-container-meta-shown"), "yes", answer.text)
    const [head, get] = answers.map(secretsIn)
    assert.deepEqual(head, get)
    return must(head, "two answers").length
  }
  const user = (key: Key) => world.signIn(key)
  assert.deepEqual(
    {
      owner: await seenBy(owner),
      setter: await seenBy(await user(SETTER)),
      newcomer: await seenBy(await user(NEW)),
      lister: await seenBy(await user(LISTER)),
      denied: await seenBy(await user(DENIED)),
      "reading key of the root user": await seenBy(await user(ROOT_READER)),
      stranger: await seenBy(await user(STRANGER)),
      anonymous: await seenBy(world.anonymous),
    },
    {
      owner: 4,
      setter: 2,
      newcomer: 0,
      lister: 0,
      denied: 0,
      "reading key of the root user": 0,
      stranger: 0,
      anonymous: 0,
    },
  )
})

test("a key of an account's root user that may only read sees neither the account's keys nor its list", async () => {
  const access = JSON.stringify({ "read-only": [(await world.signIn(STRANGER)).account.slice("/v1/AUTH_".length)] })
  const headers = { "X-Account-Meta-Temp-URL-Key": "of-account", "X-Account-Access-Control": access }
  assert.equal((await owner.call("POST", "", { headers })).status, 204)
  const reader = await world.signIn(ROOT_READER)
  for (const method of ["HEAD", "GET"]) {
    assert.equal(secretsIn(await owner.call(method, "")).length, 2, method)
    const answer = await reader.call(method, "")
    assert.ok(answer.status < 300, answer.text)
    assert.deepEqual(secretsIn(answer), [], method)
  }
})
