/**
 * Switches for clients that expect buckets as Amazon created them before April 2023, or encrypted ones as it creates them
 * since: the settings of a new bucket with each switch, which stay after the switch is turned off. One store restarts with other
 * switches from test to test.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { dataFolders, forTestsOfFile } from "./harness/folders.js"
import { ServerProcess } from "./harness/server.js"
import { allow, policyOf, to } from "./s3/people.js"

const publicPolicy = (bucket: string): string => policyOf(to("*", allow("s3:GetObject", `arn:aws:s3:::${bucket}/*`)))

let folder = ""
let server: ServerProcess

forTestsOfFile(async own => {
  folder = own
  server = await ServerProcess.start({
    folders: dataFolders(folder, 1),
    args: ["--allow-acls", "--encrypt-new-buckets"],
  })
  return () => server.kill()
})

async function restart(args: readonly string[]): Promise<void> {
  assert.equal(await server.stop(), 0)
  await server.launch(args)
}

async function sent(method: string, bucket: string, query = "", body = "") {
  const { status, text } = await server.client().call(method, { bucket, query, body })
  return { status, text }
}

const statusOf = async (...args: Parameters<typeof sent>): Promise<number> => (await sent(...args)).status
const switches = async (): Promise<string> => (await server.hayloft(["status"])).stdout

const ENCRYPTION = "x-amz-server-side-encryption"
const encryptionOfPut = async (bucket: string): Promise<string | undefined> =>
  (await server.client().call("PUT", { bucket, key: "k", body: "body" })).header(ENCRYPTION)

test("buckets made with --allow-acls have no ownership controls, unless they choose them", async () => {
  assert.match(await switches(), /beyond the defaults: allowAcls/)
  assert.doesNotMatch(await switches(), /allowPublicBuckets/)
  assert.equal(await statusOf("PUT", "lists"), 200)
  const chosen = { bucket: "enforced", headers: [["x-amz-object-ownership", "BucketOwnerEnforced"]] as const }
  assert.equal((await server.client().call("PUT", chosen)).status, 200)
  assert.match((await sent("GET", "enforced", "ownershipControls")).text, /BucketOwnerEnforced/)
  const acl = { bucket: "lists", query: "acl", headers: [["x-amz-acl", "authenticated-read"]] as const }
  const { status } = await server.client().call("PUT", acl)
  assert.equal(status, 403, "the other switch controls the public access block")
})

test("buckets made with --encrypt-new-buckets encrypt what is put", async () => {
  assert.equal(await statusOf("PUT", "encrypted"), 200)
  assert.equal((await server.hayloft(["bucket", "create", "encrypted-admins"])).code, 0)
  for (const bucket of ["encrypted", "encrypted-admins"]) assert.equal(await encryptionOfPut(bucket), "AES256")
  assert.equal(await statusOf("DELETE", "encrypted", "encryption"), 204)
  assert.match((await sent("GET", "encrypted", "encryption")).text, /AES256/)
})

test("buckets made with --allow-public-buckets have no public access block; those of before keep theirs", async () => {
  await restart(["--allow-public-buckets"])
  assert.match(await switches(), /beyond the defaults: allowPublicBuckets/)
  assert.equal(await statusOf("PUT", "open"), 200)
  assert.equal((await server.hayloft(["bucket", "create", "admins"])).code, 0)
  for (const bucket of ["open", "admins"]) {
    const { status, text } = await sent("GET", bucket, "publicAccessBlock")
    assert.equal(status, 404)
    assert.match(text, /NoSuchPublicAccessBlockConfiguration/)
    assert.match((await sent("GET", bucket, "ownershipControls")).text, /BucketOwnerEnforced/)
  }
  assert.equal(await statusOf("PUT", "lists", "policy", publicPolicy("lists")), 403)
})

test("with both switches, a bucket accepts a public list at its creation", async () => {
  await restart(["--allow-acls", "--allow-public-buckets"])
  const headers = [["x-amz-acl", "public-read"]] as const
  assert.equal((await server.client().call("PUT", { bucket: "public", headers })).status, 200)
  assert.match((await sent("GET", "public", "acl")).text, /AllUsers/)
})

test("after the switches are off, buckets stay as they were made, and new ones are as Amazon's", async () => {
  await restart([])
  assert.doesNotMatch(await switches(), /allowPublicBuckets|allowAcls/)
  assert.equal(await statusOf("PUT", "open", "policy", publicPolicy("open")), 204)
  await server.client().call("PUT", { bucket: "open", key: "a", body: Buffer.from("a") })
  assert.equal((await server.client().call("GET", { bucket: "open", key: "a", anonymous: true })).status, 200)
  const { status, text } = await sent("GET", "lists", "ownershipControls")
  assert.equal(status, 404)
  assert.match(text, /OwnershipControlsNotFoundError/)
  assert.equal(await encryptionOfPut("encrypted"), "AES256")
  assert.equal(await statusOf("DELETE", "encrypted", "encryption"), 204)
  assert.equal(await statusOf("GET", "encrypted", "encryption"), 404)

  assert.equal(await statusOf("PUT", "later"), 200)
  assert.equal(await statusOf("PUT", "later", "policy", publicPolicy("later")), 403)
  assert.match((await sent("GET", "later", "ownershipControls")).text, /BucketOwnerEnforced/)
  assert.equal(await statusOf("GET", "later", "encryption"), 404)
  assert.equal(await encryptionOfPut("later"), undefined)
})
