/** The audit log of the admin API: every change is in it, with who asked, before and after, and without secrets. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { AUDIT_PAGE } from "./audit-schemas.js"
import { OPERATIONS } from "../operations.js"
import { world } from "../testing-api.js"
import { TOKEN } from "../testing-store.js"
import { CREATED_ADMIN_TOKEN } from "../identities/token-schemas.js"

type World = ReturnType<typeof world>

async function entriesOf({ json }: World) {
  const { status, value } = await json("GET", "/v1/audit")
  assert.equal(status, 200)
  return AUDIT_PAGE.parse(value).entries
}

test("a change says who, what, before and after; what only reads or plans is not in the log", async () => {
  const it = world()
  const { json } = it
  await json("POST", "/v1/buckets", { body: { name: "photos" } })
  const { value } = await json("POST", "/v1/tokens", { body: { name: "portal", scopes: ["buckets"] } })
  const { token, id } = CREATED_ADMIN_TOKEN.parse(value)
  await json("POST", "/v1/buckets/photos/quota", { token, body: { hardBytes: 1_000 } })
  await json("DELETE", "/v1/buckets/nothing", { token })
  await json("GET", "/v1/status")
  await json("POST", "/v1/redundancy/class", {
    body: { storageClass: "STANDARD_IA", policy: "replica:2", dryRun: true },
  })
  await json("DELETE", "/v1/accounts/x", { token })
  const [failed, quota, made, bucket, ...others] = await entriesOf(it)
  assert.deepEqual(others, [])
  assert.deepEqual(
    [bucket?.operation, bucket?.caller.kind, bucket?.request],
    ["createBucket", "operator", '{"name":"photos"}'],
  )
  assert.match(bucket?.after ?? "", /"name":"photos"/)
  assert.equal(made?.operation, "createToken")
  assert.deepEqual(
    [quota?.operation, quota?.target, quota?.request],
    ["setBucketQuota", "photos", '{"hardBytes":1000}'],
  )
  assert.deepEqual([quota?.caller.id, quota?.caller.name], [id, "portal"])
  for (const state of [quota?.before, quota?.after]) assert.match(state ?? "", /"hardBytes":1000/)
  assert.deepEqual([failed?.operation, failed?.ended?.outcome], ["deleteBucket", "noSuchBucket"])
})

test("a request that says it only plans, of an operation that does not plan, is refused or in the log", async () => {
  for (const operation of OPERATIONS) {
    if (operation.method === "GET" || operation.mayPlan === true || operation.request === undefined) continue
    const parsed = operation.request.safeParse({ dryRun: true })
    const isUnknown = parsed.error?.issues.some(
      issue => issue.code === "unrecognized_keys" && issue.keys.includes("dryRun"),
    )
    assert.ok(isUnknown, `${operation.id} takes dryRun without a plan`)
  }
  const it = world()
  await it.json("POST", "/v1/reconciliation", { body: { dryRun: true } })
  await it.json("POST", "/v1/buckets", { body: { name: "photos", dryRun: true } })
  const made = (await entriesOf(it)).map(({ operation, ended }) => [operation, ended?.outcome])
  assert.deepEqual(made, [
    ["createBucket", "invalidArgument"],
    ["reconcile", "invalidArgument"],
  ])
})

test("no secret that the API was given or has made is in the log", async () => {
  const it = world()
  const { json } = it
  const secrets = [TOKEN, "an-imported-secret-of-forty-characters-x", "database-password"]
  const made = await json("POST", "/v1/keys", { body: {} })
  const [, secret = ""] = /"secretAccessKey":"([^"]+)"/.exec(JSON.stringify(made.value)) ?? []
  assert.notEqual(secret, "")
  secrets.push(secret)
  await json("POST", "/v1/keys", { body: { accessKeyId: "IMPORTED1", secretAccessKey: secrets[1] } })
  const { value } = await json("POST", "/v1/tokens", { body: { name: "ci", scopes: ["all"] } })
  secrets.push(CREATED_ADMIN_TOKEN.parse(value).token)
  await json("POST", "/v1/cluster/init", { body: { databaseUrl: `postgres://u:${secrets[2]}@db/hayloft` } })
  const entries = await entriesOf(it)
  assert.ok(entries.length >= 4, `${entries.length} entries`)
  for (const one of secrets) assert.ok(!JSON.stringify(entries).includes(one), one)
})
