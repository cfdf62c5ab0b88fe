/** Health and metrics at MinIO's paths, of a server with front threads and without. */
import { test } from "node:test"
import assert from "node:assert/strict"
import { createHmac } from "node:crypto"
import { findProgram, run } from "../harness/commands.js"
import { withFolder } from "../harness/folders.js"
import { noNode24 } from "../harness/new-node.js"
import { ServerProcess } from "../harness/server.js"

const ROOT = { MINIO_ROOT_USER: "minioadmin", MINIO_ROOT_PASSWORD: "minioadmin" }
const ADMIN = { accessKey: ROOT.MINIO_ROOT_USER, secretKey: ROOT.MINIO_ROOT_PASSWORD }
const FAR_SECONDS = 4_000_000_000

function tokenOf(secret: string): string {
  const parts = [
    { alg: "HS512", typ: "JWT" },
    { iss: "prometheus", sub: ADMIN.accessKey, exp: FAR_SECONDS },
  ]
  const [head, claims] = parts.map(part => Buffer.from(JSON.stringify(part)).toString("base64url"))
  return `${head}.${claims}.${createHmac("sha512", secret).update(`${head}.${claims}`).digest("base64url")}`
}

async function withMinio(
  env: Readonly<Record<string, string>>,
  threads: number,
  use: (server: ServerProcess, folder: string) => Promise<void>,
): Promise<void> {
  await withFolder(async folder => {
    const ofThreads = threads === 0 ? {} : { threads }
    const server = await ServerProcess.start({
      folders: [`${folder}/data`],
      env: { ...ROOT, ...env },
      isMinio: true,
      ...ofThreads,
    })
    try {
      await use(server, folder)
    } finally {
      await server.kill()
    }
  })
}

for (const [threads, skip] of [
  [0, false],
  [2, noNode24],
] as const) {
  test(`${threads} threads: health, metrics by token, and a bucket called minio`, { skip }, () =>
    withMinio({}, threads, async server => {
      const client = server.client(ADMIN)
      const ask = (path: string, token?: string, method = "GET") =>
        client.send(
          method,
          `/minio/${path}`,
          token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } },
        )
      for (const path of ["live", "ready", "cluster", "cluster/read"]) {
        for (const method of ["GET", "HEAD"])
          assert.equal((await ask(`health/${path}`, undefined, method)).status, 200, path)
      }
      const refused = await ask("v2/metrics/cluster")
      assert.deepEqual([refused.status, /bearer token that mc admin prometheus/.test(refused.text)], [403, true])
      assert.equal((await ask("v2/metrics/cluster", tokenOf("another-secret"))).status, 400)
      const kms = await ask("kms/v1/status")
      assert.deepEqual([kms.status, /hayloft kms/.test(kms.text)], [501, true])
      // The bucket is a bucket like any other.
      const key = { bucket: "minio", key: "v2/metrics/cluster" }
      assert.equal((await client.call("PUT", { bucket: "minio" })).status, 200)
      assert.equal((await client.call("PUT", { ...key, body: "an object" })).status, 200)
      assert.equal((await client.call("GET", key)).text, "an object")
      const metrics = await ask("v2/metrics/cluster", tokenOf(ADMIN.secretKey))
      assert.equal(metrics.status, 200)
      assert.match(metrics.text, /^minio_cluster_drive_online_total\{server="127\.0\.0\.1:\d+"\} 1$/m)
      assert.match(metrics.text, /^minio_s3_requests_total\{api="putobject",server="[^"]+"\} 1$/m)
      const node = await ask("v2/metrics/node", tokenOf(ADMIN.secretKey))
      assert.match(node.text, /^minio_node_drive_total_bytes\{drive="[^"]+data",server="[^"]+"\} [1-9]/m)
      const head = await ask("v2/metrics/bucket", tokenOf(ADMIN.secretKey), "HEAD")
      assert.deepEqual([head.status, head.text], [200, ""])
    }),
  )
}

test("public metrics need no token", () =>
  withMinio({ MINIO_PROMETHEUS_AUTH_TYPE: "public" }, 0, async server => {
    const client = server.client(ADMIN)
    assert.equal((await client.send("GET", "/minio/v2/metrics/bucket")).status, 200)
    assert.equal(
      (await client.send("GET", "/minio/v2/metrics/bucket", { headers: { authorization: "Bearer x" } })).status,
      200,
    )
  }))

test("mc finds the server ready, and makes a token that opens the metrics", async context => {
  const mc = findProgram("mc")
  const version = mc === undefined ? undefined : await run(mc, ["--version"])
  if (mc === undefined || !/MinIO/.test(version?.stdout ?? "")) return context.skip("MinIO's mc is not installed")
  await withMinio({}, 0, async (server, folder) => {
    const ask = (...args: string[]) => run(mc, ["--config-dir", `${folder}/config`, "--no-color", ...args])
    await ask("alias", "set", "h", server.endpoint, ADMIN.accessKey, ADMIN.secretKey)
    assert.match((await ask("ready", "h")).stdout, /ready/)
    const [, token = ""] = /bearer_token: (\S+)/.exec((await ask("admin", "prometheus", "generate", "h")).stdout) ?? []
    const headers = { authorization: `Bearer ${token}` }
    const metrics = await server.client(ADMIN).send("GET", "/minio/v2/metrics/cluster", { headers })
    assert.deepEqual([metrics.status, /^minio_cluster_health_status/m.test(metrics.text)], [200, true])
  })
})
