/** MinIO's admin API as its clients call it: signed, with bodies that the secret of the key seals; with front threads where they can be. */
import { after, before, test } from "node:test"
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { once } from "node:events"
import { IncomingMessage, request as httpRequest } from "node:http"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { argon2id } from "hash-wasm"
import { z } from "zod"
import { openSealed, sealed, type Argon2id } from "@hayloft/server/minio/admin/sealed.js"
import { noNode24 } from "../harness/new-node.js"
import { ServerProcess } from "../harness/server.js"

const ROOT = { MINIO_ROOT_USER: "minioadmin", MINIO_ROOT_PASSWORD: "minioadmin" }
const ADMIN = { accessKey: ROOT.MINIO_ROOT_USER, secretKey: ROOT.MINIO_ROOT_PASSWORD }
const ALICE = { accessKey: "alice", secretKey: "secret-of-alice" }
const BOB = { accessKey: "bob", secretKey: "secret-of-bob" }
const BUILT_IN = "arn:aws:iam::aws:policy/readwrite"
/** PBKDF2, which is faster than the usual algorithms. */
const FAST = 2

const REFUSAL = z.object({ Code: z.string(), Message: z.string(), Resource: z.string(), RequestId: z.string() })

type Credentials = typeof ADMIN

let folder = ""
let server: ServerProcess

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "hayloft-minio-"))
  const threads = noNode24 === false ? { threads: 2 } : {}
  server = await ServerProcess.start({ folders: [join(folder, "data")], env: ROOT, isMinio: true, ...threads })
})
after(async () => {
  await server.kill()
  await rm(folder, { recursive: true, force: true })
})

const derive: Argon2id = (password, salt) =>
  argon2id({ password, salt, parallelism: 4, iterations: 1, memorySize: 65_536, hashLength: 32, outputType: "binary" })

const seal = (value: unknown, { secretKey }: Credentials): Promise<Uint8Array> =>
  sealed(Buffer.from(JSON.stringify(value)), secretKey, { salt: randomBytes(32), nonce: randomBytes(8) }, derive, FAST)

const ask = (method: string, target: string, body?: Uint8Array, credentials: Credentials = ADMIN) => {
  const [name = "", query = ""] = target.split("?")
  const path = `/minio/admin/v3/${name}`
  return server.client(credentials).call(method, { path, query, ...(body !== undefined && { body }) })
}

async function askJson(method: string, target: string, body?: Uint8Array, credentials?: Credentials): Promise<unknown> {
  const answer = await ask(method, target, body, credentials)
  assert.equal(answer.status, 200, answer.text)
  return answer.text === "" ? undefined : JSON.parse(answer.text)
}

async function refusalOf(method: string, target: string, body?: Uint8Array, credentials?: Credentials) {
  const answer = await ask(method, target, body, credentials)
  const { Code, Message, Resource, RequestId } = REFUSAL.parse(JSON.parse(answer.text))
  assert.equal(Resource, `/minio/admin/v3/${target.split("?")[0]}`)
  assert.equal(RequestId, answer.header("x-amz-request-id"))
  return { status: answer.status, Code, Message }
}

const addUser = async ({ accessKey, secretKey }: Credentials, by: Credentials = ADMIN) =>
  ask("PUT", `add-user?accessKey=${accessKey}`, await seal({ secretKey, status: "enabled" }, by), by)

test("users, groups and policies are those of the store, and their secrets sign requests", async () => {
  assert.equal((await addUser(ALICE)).status, 200)
  assert.equal((await server.client(ALICE).call("GET", {})).status, 403)
  const policy = { Version: "2012-10-17", Statement: [{ Effect: "Allow", Action: ["s3:*"], Resource: ["*"] }] }
  await askJson("PUT", "add-canned-policy?name=all-of-s3", Buffer.from(JSON.stringify(policy)))
  const attached = await seal({ policies: ["all-of-s3"], user: "alice" }, ADMIN)
  assert.equal((await ask("POST", "idp/builtin/policy/attach", attached)).status, 200)
  assert.equal((await server.client(ALICE).call("GET", {})).status, 200)
  const group = { group: "staff", members: ["alice"], isRemove: false, groupStatus: "" }
  await askJson("PUT", "update-group-members", Buffer.from(JSON.stringify(group)))
  assert.deepEqual(await askJson("GET", "groups"), ["staff"])
  const described = JSON.stringify(await askJson("GET", "user-info?accessKey=alice"))
  assert.match(described, /^\{"policyName":"all-of-s3","status":"enabled","memberOf":\["staff"\]/)
  // A secret is replaced, and the former one is refused.
  const changed = { ...ALICE, secretKey: "another-secret" }
  assert.equal((await addUser(changed)).status, 200)
  assert.deepEqual(
    [(await server.client(changed).call("GET", {})).status, (await server.client(ALICE).call("GET", {})).status],
    [200, 403],
  )
  await askJson("PUT", "set-user-status?accessKey=alice&status=disabled")
  assert.equal((await server.client(changed).call("GET", {})).status, 403)
  await askJson("PUT", "set-user-status?accessKey=alice&status=enabled")
  const answer = await ask("GET", "list-users")
  const listed = Buffer.from(await openSealed(answer.body, ADMIN.secretKey, derive)).toString()
  assert.match(listed, /^\{"alice":\{[^}]*\}\}$/)
  const audit = JSON.stringify(await server.report("/v1/audit"))
  for (const operation of ["createUser", "createKey", "changeKey", "createPolicy", "attachUserPolicy", "disableKey"])
    assert.match(audit, new RegExp(`"operation":"${operation}"`))
  for (const { secretKey } of [ALICE, changed]) {
    assert.doesNotMatch(audit, new RegExp(secretKey))
    assert.doesNotMatch(server.log, new RegExp(secretKey))
  }
})

test("a service account is a key with terms of its own, which change", async () => {
  const credentials = { accessKey: "app", secretKey: "secret-of-app" }
  const made = await ask("PUT", "add-service-account", await seal({ targetUser: "alice", ...credentials }, ADMIN))
  assert.equal(made.status, 200, made.text)
  assert.equal((await server.client(credentials).call("GET", {})).status, 200)
  const open = async (target: string) =>
    Buffer.from(await openSealed((await ask("GET", target)).body, ADMIN.secretKey, derive)).toString()
  // Clients show an expiry of 1970 of one key as a time, and one that is missing in a list ends `mc`.
  assert.doesNotMatch(await open("info-service-account?accessKey=app"), /expiration/)
  assert.match(await open("list-service-accounts?user=alice"), /"expiration":"1970-01-01T00:00:00.000Z"/)
  const untilMs = Math.ceil(Date.now() / 1000 + 3_600) * 1000
  const limited = await seal({ newExpiration: new Date(untilMs).toISOString() }, ADMIN)
  assert.equal((await ask("POST", "update-service-account?accessKey=app", limited)).status, 204)
  assert.match(
    await open("info-service-account?accessKey=app"),
    new RegExp(`"expiration":"${new Date(untilMs).toISOString()}"`),
  )
  const nothing = { Version: "2012-10-17", Statement: [{ Effect: "Deny", Action: ["s3:*"], Resource: ["*"] }] }
  const change = await seal({ newPolicy: nothing, newSecretKey: "newer-secret" }, ADMIN)
  assert.equal((await ask("POST", "update-service-account?accessKey=app", change)).status, 204)
  assert.equal((await server.client({ ...credentials, secretKey: "newer-secret" }).call("GET", {})).status, 403)
  const refused = await refusalOf("DELETE", "delete-service-account?accessKey=alice")
  assert.deepEqual([refused.status, refused.Code], [404, "XMinioInvalidIAMCredentials"])
  assert.equal((await ask("DELETE", "delete-service-account?accessKey=app")).status, 204)
})

test("who has no rights is refused; a policy may name MinIO's actions or ours", async () => {
  assert.equal((await addUser(BOB)).status, 200)
  const carol = { accessKey: "carol", secretKey: "secret-of-carol" }
  const refused = await refusalOf("GET", "info", undefined, BOB)
  assert.deepEqual([refused.status, refused.Code], [403, "AccessDenied"])
  assert.equal((await addUser(carol, BOB)).status, 403)
  const actions = ["admin:CreateUser", "admin:CreateServiceAccount", "admin:ServerInfo"]
  const statement = { Effect: "Allow", Action: actions, Resource: ["*"] }
  const policy = { Version: "2012-10-17", Statement: [statement] }
  await askJson("PUT", "add-canned-policy?name=helpers", Buffer.from(JSON.stringify(policy)))
  await askJson("PUT", "set-user-or-group-policy?policyName=helpers&userOrGroup=bob&isGroup=false")
  assert.equal((await addUser(carol, BOB)).status, 200)
  assert.equal((await ask("GET", "info", undefined, BOB)).status, 200)
  assert.equal((await ask("DELETE", "remove-user?accessKey=alice", undefined, BOB)).status, 403)
  for (const [targetUser, status] of [
    ["carol", 200],
    ["minioadmin", 403],
  ] as const) {
    const account = await seal({ targetUser }, BOB)
    assert.equal((await ask("PUT", "add-service-account", account, BOB)).status, status, targetUser)
  }
  // A policy that denies our action counts against MinIO's.
  const denied = { Version: "2012-10-17", Statement: [statement, { Effect: "Deny", Action: "iam:*", Resource: "*" }] }
  await askJson("PUT", "add-canned-policy?name=helpers", Buffer.from(JSON.stringify(denied)))
  assert.equal((await addUser(carol, BOB)).status, 403)
  // And one that denies MinIO's against ours.
  const kept = { Version: "2012-10-17", Statement: [{ Effect: "Deny", Action: "admin:DeleteUser", Resource: "*" }] }
  await askJson("PUT", "add-canned-policy?name=helpers", Buffer.from(JSON.stringify(kept)))
  await askJson("PUT", "set-user-or-group-policy?policyName=consoleAdmin,helpers&userOrGroup=bob&isGroup=false")
  const still = await refusalOf("DELETE", "remove-user?accessKey=carol", undefined, BOB)
  assert.deepEqual([still.status, /admin:DeleteUser/.test(still.Message)], [403, true])
  await askJson("PUT", "set-user-or-group-policy?policyName=consoleAdmin&userOrGroup=bob&isGroup=false")
  assert.equal((await ask("DELETE", "remove-user?accessKey=carol", undefined, BOB)).status, 200)
})

test("a policy of the account takes the place of a built-in one of its name, and is detached by it", async () => {
  const dora = { accessKey: "dora", secretKey: "secret-of-dora" }
  assert.equal((await addUser(dora)).status, 200)
  const associate = async (verb: string) =>
    ask("POST", `idp/builtin/policy/${verb}`, await seal({ policies: ["readwrite"], user: "dora" }, ADMIN))
  const lists = async () => (await server.client(dora).call("GET", {})).status
  assert.equal((await associate("attach")).status, 200)
  assert.equal(await lists(), 200)
  const strict = { Version: "2012-10-17", Statement: [{ Effect: "Allow", Action: ["s3:GetObject"], Resource: ["*"] }] }
  await askJson("PUT", "add-canned-policy?name=readwrite", Buffer.from(JSON.stringify(strict)))
  assert.equal(await lists(), 200, "who has the built-in one keeps it until it is attached again")
  assert.equal((await associate("attach")).status, 200)
  assert.equal(await lists(), 403)
  await askJson("PUT", "set-user-or-group-policy?policyName=&userOrGroup=dora&isGroup=false")
  assert.equal((await server.hayloft(["policy", "attach", BUILT_IN, "--user", "dora"])).code, 0)
  assert.equal((await associate("detach")).status, 200)
  assert.equal(await lists(), 403, "nothing of this name is left")
  await askJson("DELETE", "remove-canned-policy?name=readwrite")
})

test("what is wrong is refused in MinIO's form, and what is not there by name", async () => {
  const unsealed = await refusalOf("PUT", "add-user?accessKey=dave", Buffer.from(JSON.stringify({ secretKey: "x" })))
  assert.deepEqual([unsealed.status, unsealed.Code], [400, "XMinioAdminInvalidArgument"])
  const bySomeoneElse = await seal({ secretKey: "secret-of-dave" }, ALICE)
  assert.equal((await ask("PUT", "add-user?accessKey=dave", bySomeoneElse)).status, 400)
  const root = await ask("PUT", "add-user?accessKey=minioadmin", await seal({ secretKey: "secret-of-root" }, ADMIN))
  assert.deepEqual([root.status, /root user/.test(root.text)], [400, true])
  const twin = await refusalOf("PUT", "add-user?accessKey=ALICE", await seal({ secretKey: "secret-of-twin" }, ADMIN))
  assert.deepEqual([twin.status, /there is a user alice/.test(twin.Message)], [409, true])
  const twice = Buffer.from('{"Version":"2012-10-17","Statement":[],"Statement":[]}')
  assert.match((await refusalOf("PUT", "add-canned-policy?name=twice", twice)).Message, /"Statement" twice/)
  const short = await seal({ secretKey: "short" }, ADMIN)
  assert.equal((await ask("PUT", "add-user?accessKey=dave", short)).status, 400)
  const missing = [
    ["user-info?accessKey=dave", "XMinioAdminNoSuchUser"],
    ["group?group=none", "XMinioAdminNoSuchGroup"],
    ["info-canned-policy?name=none", "XMinioAdminNoSuchPolicy"],
    ["get-bucket-quota?bucket=none", "NoSuchBucket"],
  ] as const
  for (const [target, code] of missing) {
    const { status, Code } = await refusalOf("GET", target)
    assert.deepEqual([status, Code], [404, code])
  }
  for (const target of ["get-config-kv?key=api", "top/locks", "idp-config/ldap", "site-replication/info"]) {
    const { status, Code, Message } = await refusalOf("GET", target)
    assert.deepEqual([status, Code], [501, "NotImplemented"])
    assert.notEqual(Message, "")
  }
  const wrong = await refusalOf("GET", "info", undefined, { ...ADMIN, secretKey: "wrong-secret" })
  assert.deepEqual([wrong.status, wrong.Code], [403, "SignatureDoesNotMatch"])
  const large = await refusalOf("PUT", "add-user?accessKey=dave", Buffer.alloc(300_000))
  assert.equal(large.status, 413)
})

test("a quota of a bucket keeps its other limits", async () => {
  await server.client(ADMIN).call("PUT", { bucket: "limited" })
  assert.equal((await server.hayloft(["quota", "set", "limited", "--objects", "100"])).code, 0)
  await askJson(
    "PUT",
    "set-bucket-quota?bucket=limited",
    Buffer.from(JSON.stringify({ size: 1_000_000, quotatype: "hard" })),
  )
  const none = { rate: 0, requests: 0 }
  const shown = { quota: 1_000_000, size: 1_000_000, ...none, quotatype: "hard" }
  assert.deepEqual(await askJson("GET", "get-bucket-quota?bucket=limited"), shown)
  await askJson("PUT", "set-bucket-quota?bucket=limited", Buffer.from(JSON.stringify({ size: 0 })))
  assert.deepEqual(await askJson("GET", "get-bucket-quota?bucket=limited"), { quota: 0, size: 0, ...none })
  assert.match(JSON.stringify(await server.report("/v1/buckets/limited/quota")), /"limits":\{"hardObjects":100\}/)
  const rate = await refusalOf("PUT", "set-bucket-quota?bucket=limited", Buffer.from(JSON.stringify({ rate: 5 })))
  assert.equal(rate.status, 501)
})

/** Opens a stream, and resolves once it has shown this; `ended` resolves at its end. */
async function follow(target: string, pattern: RegExp, act: () => Promise<unknown> = async () => undefined) {
  const [name = "", query = ""] = target.split("?")
  const { request } = server.client(ADMIN).prepare("GET", { path: `/minio/admin/v3/${name}`, query })
  const headers = Object.fromEntries(request.headers.map(([key, value]) => [key, value]))
  const sent = httpRequest(server.endpoint + request.target, { headers }).end()
  const [answer] = z.tuple([z.instanceof(IncomingMessage)]).parse(await once(sent, "response"))
  assert.equal(answer.statusCode, 200)
  let shown = ""
  const ended = new Promise<void>(resolve => answer.once("close", resolve))
  const matching = new Promise<void>(resolve => {
    answer.on("data", (piece: Buffer) => {
      shown += piece.toString()
      if (pattern.test(shown)) resolve()
    })
  })
  // The answer has begun, so that what is done now is shown.
  await act()
  await matching
  return { shown, ended, leave: () => answer.destroy() }
}

test("a trace shows requests, the log what was noted, and both end with the client or the server", async () => {
  const list = () => server.client(ADMIN).call("GET", {})
  const trace = await follow("trace?s3=true", /"funcname":"s3.ListBuckets"/, list)
  const [line = "{}"] = trace.shown.split("\n").filter(text => text.includes("s3.ListBuckets"))
  const request = z.looseObject({ type: z.literal(4), http: z.looseObject({ request: z.looseObject({}) }) })
  assert.equal(request.safeParse(JSON.parse(line)).success, true, line)
  trace.leave()
  await trace.ended
  const log = await follow("log?limit=10", /"level":"INFO".*"ConsoleMsg":"[^"]* INFO started/)
  const other = await follow("trace?s3=true", /s3.ListBuckets/, list)
  assert.equal(await server.stop(), 0)
  await Promise.all([log.ended, other.ended])
})
