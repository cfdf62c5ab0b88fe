/**
 * Switches for clients that expect buckets as Amazon created them before April 2023, or encrypted ones as it creates them
 * since: the settings of a new bucket with each switch, which stay after the switch is turned off.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { dataFolders, withFolder } from "./harness/folders.js"
import { ServerProcess } from "./harness/server.js"
import { allow, policyOf, to } from "./s3/people.js"

const publicPolicy = (bucket: string): string => policyOf(to("*", allow("s3:GetObject", `arn:aws:s3:::${bucket}/*`)))

async function onServer(folder: string, args: readonly string[], look: (server: ServerProcess) => Promise<void>) {
  const server = await ServerProcess.start({ folders: dataFolders(folder, 1), args })
  try {
    await look(server)
    assert.equal(await server.stop(), 0)
  } finally {
    await server.kill()
  }
}

async function sent(server: ServerProcess, method: string, bucket: string, query = "", body = "") {
  const { status, text } = await server.client().call(method, { bucket, query, body })
  return { status, text }
}

const statusOf = async (...args: Parameters<typeof sent>): Promise<number> => (await sent(...args)).status

test("buckets made with --allow-public-buckets can be opened directly, also after the switch is off; others cannot", () =>
  withFolder(async folder => {
    await onServer(folder, [], async server => {
      assert.equal(await statusOf(server, "PUT", "before"), 200)
      assert.doesNotMatch((await server.hayloft(["status"])).stdout, /allowPublicBuckets/)
    })
    await onServer(folder, ["--allow-public-buckets"], async server => {
      assert.match((await server.hayloft(["status"])).stdout, /beyond the defaults: allowPublicBuckets/)
      assert.equal(await statusOf(server, "PUT", "open"), 200)
      assert.equal((await server.hayloft(["bucket", "create", "admins"])).code, 0)
      for (const bucket of ["open", "admins"]) {
        const { status, text } = await sent(server, "GET", bucket, "publicAccessBlock")
        assert.equal(status, 404)
        assert.match(text, /NoSuchPublicAccessBlockConfiguration/)
        assert.match((await sent(server, "GET", bucket, "ownershipControls")).text, /BucketOwnerEnforced/)
      }
      assert.equal(await statusOf(server, "PUT", "before", "policy", publicPolicy("before")), 403)
    })
    await onServer(folder, [], async server => {
      assert.equal(await statusOf(server, "PUT", "open", "policy", publicPolicy("open")), 204)
      await server.client().call("PUT", { bucket: "open", key: "a", body: Buffer.from("a") })
      assert.equal((await server.client().call("GET", { bucket: "open", key: "a", anonymous: true })).status, 200)
      assert.equal(await statusOf(server, "PUT", "later"), 200)
      assert.equal(await statusOf(server, "PUT", "later", "policy", publicPolicy("later")), 403)
    })
  }))

test("buckets made with --allow-acls have no ownership controls, also after the switch is off; others keep theirs", () =>
  withFolder(async folder => {
    await onServer(folder, ["--allow-acls"], async server => {
      assert.match((await server.hayloft(["status"])).stdout, /beyond the defaults: allowAcls/)
      assert.equal(await statusOf(server, "PUT", "lists"), 200)
      const chosen = { bucket: "enforced", headers: [["x-amz-object-ownership", "BucketOwnerEnforced"]] as const }
      assert.equal((await server.client().call("PUT", chosen)).status, 200)
      assert.match((await sent(server, "GET", "enforced", "ownershipControls")).text, /BucketOwnerEnforced/)
      const acl = {
        bucket: "lists",
        query: "acl",
        headers: [["x-amz-acl", "authenticated-read"]] as const,
      }
      assert.equal(
        (await server.client().call("PUT", acl)).status,
        403,
        "the other switch controls the public access block",
      )
    })
    await onServer(folder, [], async server => {
      const { status, text } = await sent(server, "GET", "lists", "ownershipControls")
      assert.equal(status, 404)
      assert.match(text, /OwnershipControlsNotFoundError/)
      assert.equal(await statusOf(server, "PUT", "later"), 200)
      assert.match((await sent(server, "GET", "later", "ownershipControls")).text, /BucketOwnerEnforced/)
    })
  }))

test("with both switches, a bucket accepts a public list at its creation", () =>
  withFolder(folder =>
    onServer(folder, ["--allow-acls", "--allow-public-buckets"], async server => {
      const headers = [["x-amz-acl", "public-read"]] as const
      assert.equal((await server.client().call("PUT", { bucket: "public", headers })).status, 200)
      assert.match((await sent(server, "GET", "public", "acl")).text, /AllUsers/)
    }),
  ))

test("buckets made with --encrypt-new-buckets encrypt what is put, also after the switch is off; others do not", () =>
  withFolder(async folder => {
    const header = "x-amz-server-side-encryption"
    const put = async (server: ServerProcess, bucket: string): Promise<string | undefined> =>
      (await server.client().call("PUT", { bucket, key: "k", body: "body" })).header(header)
    await onServer(folder, ["--encrypt-new-buckets"], async server => {
      assert.equal(await statusOf(server, "PUT", "encrypted"), 200)
      assert.equal((await server.hayloft(["bucket", "create", "admins"])).code, 0)
      for (const bucket of ["encrypted", "admins"]) assert.equal(await put(server, bucket), "AES256")
      assert.equal(await statusOf(server, "DELETE", "encrypted", "encryption"), 204)
      assert.match((await sent(server, "GET", "encrypted", "encryption")).text, /AES256/)
    })
    await onServer(folder, [], async server => {
      assert.equal(await put(server, "encrypted"), "AES256")
      assert.equal(await statusOf(server, "PUT", "later"), 200)
      assert.equal(await statusOf(server, "GET", "later", "encryption"), 404)
      assert.equal(await put(server, "later"), undefined)
      assert.equal(await statusOf(server, "DELETE", "encrypted", "encryption"), 204)
      assert.equal(await statusOf(server, "GET", "encrypted", "encryption"), 404)
    })
  }))
