/** MinIO's admin API over operations that only note that they are called. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { NO_POLICIES, rootPrincipal, type KnownAccessKey } from "@hayloft/access/index.js"
import { fail } from "@hayloft/base/failures.js"
import { parseAccessKeyId, parseAccountId, parseAccountNumber } from "@hayloft/base/ids.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { EngineMinioAdmin } from "./minio-admin.js"
import { sealed } from "./sealed.js"

const ROOT_KEY = "HLROOT"
const SECRET = "secret-of-the-caller"
const account = {
  id: parseAccountId("root"),
  number: parseAccountNumber("111111111111"),
  displayName: "root",
  email: "",
  createdMs: 1,
}
const rootUser = rootPrincipal(account)
const PERSON = "arn:aws:iam::111111111111:entry/uid=ann,dc=example"
const person = {
  ...rootUser,
  kind: "session",
  arn: PERSON,
  sessionArn: PERSON,
  userId: "LDAP:uid=ann",
  claims: [],
} as const

const argon2id = async () => new Uint8Array(32)

async function ask(
  principal: KnownAccessKey["principal"],
  method: string,
  path: string,
  request: unknown,
  isAllowed = true,
) {
  const calls: string[] = []
  let derived = 0
  const id = parseAccessKeyId("CALLER")
  const key: KnownAccessKey = {
    id,
    secret: SECRET,
    account,
    principal,
    policies: NO_POLICIES,
    isWholeRoot: false,
    session: undefined,
    roots: [],
    expiresMs: undefined,
  }
  const admin = new EngineMinioAdmin({
    api: {
      async call(operation) {
        calls.push(operation)
        return { keys: [] }
      },
      async checkCaller() {
        if (!isAllowed) throw fail("accessDenied")
      },
    },
    accounts: { secretOf: () => key },
    rootAccount: account.id,
    rootKey: ROOT_KEY,
    storeId: () => "store",
    clock: new SimClock(),
    random: new SimRandom(7),
    argon2id: () => {
      derived += 1
      return argon2id()
    },
  })
  const start = { salt: new Uint8Array(32), nonce: new Uint8Array(8) }
  const call = {
    method,
    path,
    rawQuery: "",
    body: await sealed(Buffer.from(JSON.stringify(request)), SECRET, start, argon2id),
    accessKeyId: id,
    sessionToken: undefined,
    from: { requestId: "R", address: "127.0.0.1" },
    isEncrypted: false,
    userAgent: undefined,
    referer: undefined,
    host: "localhost",
  }
  const { status, body } = await admin.handle(call, new AbortController().signal)
  return { status, text: Buffer.from(body).toString(), calls, derived }
}

test("a role and a person of a directory have no keys of their own: those of the root user are not theirs", async () => {
  for (const [method, path] of [
    ["PUT", "add-service-account"],
    ["GET", "list-service-accounts"],
    ["GET", "list-access-keys-bulk"],
  ] as const) {
    const { status, text, calls } = await ask(person, method, path, {})
    assert.deepEqual([status, calls], [400, []], path)
    assert.match(text, /entry\/uid=ann,dc=example has no access keys of its own: name the user/)
  }
  const listed = await ask(rootUser, "GET", "list-service-accounts", {})
  assert.deepEqual([listed.status, listed.calls], [200, ["listKeys"]])
})

test("a sealed request of a caller without rights is refused before it is opened", async () => {
  const sealedCalls = [
    ["PUT", "add-user"],
    ["PUT", "add-service-account"],
    ["POST", "update-service-account"],
    ["POST", "idp/builtin/policy/attach"],
    ["POST", "idp/builtin/policy/detach"],
  ] as const
  for (const [method, path] of sealedCalls) {
    const { status, calls, derived } = await ask(person, method, path, {}, false)
    assert.deepEqual([status, calls, derived], [403, [], 0], path)
  }
})
