/** A server that is called as MinIO's: root user and password, their change, and what the start says. */
import { after, before, test } from "node:test"
import assert from "node:assert/strict"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { runBoto3 } from "../clients/boto3.js"
import { ServerProcess } from "../harness/server.js"

const ROOT = { MINIO_ROOT_USER: "minioadmin", MINIO_ROOT_PASSWORD: "minioadmin" }
let folder = ""
let server: ServerProcess | undefined

const running = (): ServerProcess => {
  assert.ok(server !== undefined)
  return server
}

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "hayloft-minio-"))
  const folders = [join(folder, "disk1"), join(folder, "disk2")]
  const env = { ...ROOT, MINIO_REGION: "us-east-1", MINIO_BROWSER: "off", MINIO_STORAGE_CLASS_RRS: "EC:1" }
  server = await ServerProcess.start({ folders, env, isMinio: true })
})
after(async () => {
  await server?.kill()
  await rm(folder, { recursive: true, force: true })
})

const statusOf = async (secretKey: string): Promise<number> => {
  const client = running().client({ accessKey: ROOT.MINIO_ROOT_USER, secretKey })
  return (await client.call("GET", {})).status
}

test("the root user and password sign requests, and the console is off", async () => {
  assert.deepEqual([await statusOf("minioadmin"), await statusOf("wrong-password")], [200, 403])
  const console = await running().admin("GET", "/console/")
  assert.deepEqual([console.status, /switched off/.test(console.text)], [404, true])
})

test("web pages of every origin may use buckets without CORS rules, and those that a bucket names where it has some", async () => {
  const client = running().client({ accessKey: ROOT.MINIO_ROOT_USER, secretKey: ROOT.MINIO_ROOT_PASSWORD })
  const origin = "https://app.example.org"
  const preflight = (bucket: string) => {
    const headers = {
      Origin: origin,
      "Access-Control-Request-Method": "PUT",
      "Access-Control-Request-Headers": "content-type",
    }
    return client.send("OPTIONS", `/${bucket}/key`, { headers })
  }
  for (const bucket of ["uploads", "ruled"]) await client.call("PUT", { bucket })
  const allowed = await preflight("uploads")
  assert.deepEqual([allowed.status, allowed.header("access-control-allow-origin")], [200, "*"])
  assert.equal(allowed.header("access-control-allow-headers"), "content-type")
  const put = await client.call("PUT", { bucket: "uploads", key: "k", body: "b", headers: { Origin: origin } })
  assert.deepEqual([put.status, put.header("access-control-expose-headers")?.includes("ETag")], [200, true])
  const rule =
    "<CORSRule><AllowedOrigin>https://other.example.org</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule>"
  const body = `<CORSConfiguration>${rule}</CORSConfiguration>`
  assert.equal((await client.call("PUT", { bucket: "ruled", query: "cors", body })).status, 200)
  assert.equal((await preflight("ruled")).status, 403)
})

test("boto3: temporary keys for any text as RoleArn, within the policy, but not for a role that this store lacks", context => {
  const { endpoint } = running()
  const keys = { AWS_ACCESS_KEY_ID: ROOT.MINIO_ROOT_USER, AWS_SECRET_ACCESS_KEY: ROOT.MINIO_ROOT_PASSWORD }
  return runBoto3(context, ["any_role"], { ...keys, AWS_ENDPOINT_URL: endpoint, AWS_DEFAULT_REGION: "us-east-1" })
})

test("another password in the environment is the password after a restart, and the log says so, and what has no effect", async () => {
  assert.doesNotMatch(running().log, /root_key_replaced/)
  assert.equal(await running().stop(), 0)
  assert.match(running().log, /Warning +these variables of MinIO have no effect here: MINIO_STORAGE_CLASS_RRS \(/)
  assert.doesNotMatch(running().log, /secret minioadmin/)
  await running().launch([], { MINIO_ROOT_PASSWORD: "changed-password" })
  assert.deepEqual([await statusOf("changed-password"), await statusOf("minioadmin")], [200, 403])
  assert.match(running().log, /root_key_replaced .*minioadmin/)
  assert.doesNotMatch(running().log, /changed-password/)
})
