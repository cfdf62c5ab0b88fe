/** SIGTERM, as clients, load balancers and operators see it. */
import assert from "node:assert/strict"
import { request, type ClientRequest } from "node:http"
import { join } from "node:path"
import { test } from "node:test"
import { CreateBucketCommand, HeadObjectCommand, PutObjectCommand, type S3Client } from "@aws-sdk/client-s3"
import { getSignedUrl } from "@aws-sdk/s3-request-presigner"
import { MIB } from "@hayloft/base/limits.js"
import { withFolder } from "../harness/folders.js"
import { withClient } from "../harness/sdk-client.js"
import { ServerProcess } from "../harness/server.js"
import { until } from "@hayloft/base/seams/clock/testing-until.js"

/** Signals within a second of the first one are copies of it. */
const SIGNAL_EVERY_MS = 100
const [BUCKET, KEY] = ["stopping", "upload"]

/** Runs the work with a server that has a bucket, and ends it. */
async function withStore(
  args: readonly string[],
  work: (server: ServerProcess, client: S3Client) => Promise<void>,
): Promise<void> {
  await withFolder(async folder => {
    const server = await ServerProcess.start({ folders: [join(folder, "data")], args })
    try {
      await withClient(server, async client => {
        await client.send(new CreateBucketCommand({ Bucket: BUCKET }))
        await work(server, client)
      })
    } finally {
      await server.kill()
    }
  })
}

interface Upload {
  readonly sending: ClientRequest
  /** The status; undefined once the connection has been cut. */
  readonly answer: Promise<number | undefined>
}

/** An upload of which the second half is not sent yet; the server has begun to serve it. */
async function halfAnUpload(server: ServerProcess, client: S3Client): Promise<Upload> {
  const url = await getSignedUrl(client, new PutObjectCommand({ Bucket: BUCKET, Key: KEY }))
  const sending = request(url, { method: "PUT", headers: { "content-length": 2 * MIB } })
  const answer = new Promise<number | undefined>(resolve => {
    sending.on("response", response => {
      response.resume()
      resolve(response.statusCode)
    })
    sending.on("error", () => resolve(undefined))
  })
  sending.write(Buffer.alloc(MIB))
  await until("the upload is served", async () =>
    /hayloft_http_in_flight\{server="s3"\} 1/.test(await server.metrics()),
  )
  return { sending, answer }
}

const readiness = async (server: ServerProcess): Promise<number | undefined> =>
  (await server.admin("GET", "/health/ready").catch(() => undefined))?.status

const isServed = (client: S3Client): Promise<boolean> =>
  client.send(new HeadObjectCommand({ Bucket: BUCKET, Key: KEY })).then(
    () => true,
    (error: unknown) => error instanceof Error && error.name === "NotFound",
  )

test("during the drain ready is 503 and requests are served; a second SIGTERM ends it, in order", async () => {
  await withStore(["--drain-seconds", "3600"], async (server, client) => {
    process.kill(server.pid, "SIGTERM")
    await until("it is not ready", async () => (await readiness(server)) === 503)
    assert.match((await server.admin("GET", "/health/ready")).text, /the server is stopping/)
    assert.equal((await server.admin("GET", "/health/live")).status, 200)
    assert.ok(await isServed(client), "requests are served")
    const ended = server.exited
    const isClosed = (): boolean => {
      if (/ port_closed /.test(server.log)) return true
      process.kill(server.pid, "SIGTERM")
      return false
    }
    await until("another signal closes the port", isClosed, SIGNAL_EVERY_MS)
    assert.equal(await ended, 0, server.log)
    assert.match(server.log, /hayloft: stopped\n$/)
  })
})

test("no new connections while requests in progress finish; the admin port closes last, and the log has counts", async () => {
  await withStore(["--stop-timeout", "1h"], async (server, client) => {
    const upload = await halfAnUpload(server, client)
    process.kill(server.pid, "SIGTERM")
    await until("the S3 port is closed", async () => !(await isServed(client)))
    assert.equal(await readiness(server), 503)
    assert.match((await server.hayloft(["status"])).stdout, /the server is stopping/)
    upload.sending.end(Buffer.alloc(MIB))
    assert.equal(await upload.answer, 200)
    assert.equal(await server.exited, 0, server.log)
    assert.match(server.log, / stopping drainSeconds=0 stopTimeoutSeconds=3600\n/)
    assert.match(server.log, / info +port_closed server=s3 finished=1 cut=0\n/)
    assert.ok(server.log.indexOf("port_closed server=s3") < server.log.indexOf("port_closed server=admin"), server.log)
    await server.launch()
    assert.ok(await isServed(client))
    assert.equal((await client.send(new HeadObjectCommand({ Bucket: BUCKET, Key: KEY }))).ContentLength, 2 * MIB)
  })
})

test("requests that take longer than the stop timeout are cut, and the log counts them", async () => {
  await withStore(["--stop-timeout", "1s"], async (server, client) => {
    const upload = await halfAnUpload(server, client)
    process.kill(server.pid, "SIGTERM")
    assert.equal(await upload.answer, undefined)
    assert.equal(await server.exited, 0, server.log)
    assert.match(server.log, / warn +requests_cut server=s3 finished=0 cut=1\n/)
  })
})
