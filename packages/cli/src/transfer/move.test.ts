/** When `mv` removes a source: a store that answers as told, and the requests that it got. */
import { test } from "node:test"
import assert from "node:assert/strict"
import { createServer } from "node:http"
import { appendFileSync } from "node:fs"
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { MIB } from "@hayloft/base/limits.js"
import { runHere } from "../testing-here.js"
import { runHayloft, type Outcome } from "../testing-process.js"

interface Told {
  /** Status of the copy or upload. */
  readonly put?: number
  /** The size that the target has afterwards. */
  readonly sizeAfter?: number
  readonly server?: string
  /** Instead of the ETag of the copy. */
  readonly etagAfter?: string
  /** The file grows when a request of this method for the target arrives. */
  readonly growsAt?: string
  /** The size of the file; default: 5. */
  readonly localBytes?: number
}

const SOURCE = { "content-length": "5", etag: '"5d41402abc4b2a76b9719d911017c592"' }

/** Runs `mv` against a store with the object `b/from`, of 5 bytes. `runCommand`: as a process of its own, or in this one. */
async function moved(
  told: Told,
  args: (folder: string) => readonly string[],
  runCommand: typeof runHayloft = runHere,
): Promise<Outcome & { sent: string[]; left: string[] }> {
  const folder = await mkdtemp(join(tmpdir(), "hayloft-mv-"))
  const sent: string[] = []
  const server = createServer((request, response) => {
    request.resume().on("end", () => {
      const { pathname, search } = new URL(request.url ?? "", "http://store")
      const what = `${request.method ?? ""} ${pathname}${search}`
      sent.push(what)
      const isTarget = pathname.endsWith("/to")
      if (isTarget && request.method === told.growsAt) appendFileSync(join(folder, "local"), "!")
      if (told.server !== undefined) response.setHeader("server", told.server)
      if (request.method === "PUT") {
        response.writeHead(told.put ?? 200, { etag: SOURCE.etag })
        return response.end(
          told.put === undefined ? `<R><ETag>${SOURCE.etag}</ETag></R>` : "<Error><Code>X</Code></Error>",
        )
      }
      if (request.method === "POST") return response.end("<R><UploadId>u</UploadId></R>")
      if (isTarget)
        response.writeHead(200, { "content-length": told.sizeAfter ?? 5, etag: told.etagAfter ?? SOURCE.etag })
      else response.writeHead(request.method === "DELETE" ? 204 : 200, pathname.endsWith("/from") ? SOURCE : {})
      return response.end(request.method === "GET" ? "hello" : undefined)
    })
  })
  await new Promise<void>(resolve => server.listen(0, "127.0.0.1", resolve))
  const address = server.address()
  const endpoint = `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`
  try {
    await writeFile(join(folder, "local"), Buffer.alloc(told.localBytes ?? 5, "hello"))
    const environment = { AWS_ENDPOINT_URL: endpoint, AWS_ACCESS_KEY_ID: "a", AWS_SECRET_ACCESS_KEY: "s" }
    const outcome = await runCommand(["mv", ...args(folder)], { environment, workingFolder: folder })
    return { ...outcome, sent, left: await readdir(folder) }
  } finally {
    server.closeAllConnections()
    await new Promise(resolve => server.close(resolve))
    await rm(folder, { recursive: true, force: true })
  }
}

const across = () => ["s3://b/from", "s3://other/to"]
const up = () => ["local", "s3://b/to"]

test("between buckets: copied, looked at, then deleted, in this order", async () => {
  const { code, sent, error } = await moved({}, across, runHayloft)
  assert.equal(code, 0, error)
  assert.deepEqual(sent.slice(-3), ["PUT /other/to", "HEAD /other/to", "DELETE /b/from"])
})

test("a copy that fails, is short or is another object: the source stays", async () => {
  for (const told of [{ put: 400 }, { sizeAfter: 4 }, { etagAfter: '"other"' }]) {
    const { code, sent } = await moved(told, across)
    assert.equal(code, 1, JSON.stringify(told))
    assert.ok(!sent.some(what => what.startsWith("DELETE")), sent.join())
  }
})

test("a file is removed once its object is there, and stays otherwise", async () => {
  const good = await moved({}, up)
  assert.deepEqual([good.code, good.left], [0, []], good.error)
  for (const told of [{ put: 400 }, { sizeAfter: 4 }, { etagAfter: '"other"' }]) {
    const { code, left } = await moved(told, up)
    assert.deepEqual([code, left], [1, ["local"]], JSON.stringify(told))
  }
})

test("a file that grows while it is read is not stored; one that grows before it is removed stays", async () => {
  const reading = await moved({ growsAt: "POST", localBytes: 40 * MIB }, up)
  assert.equal(reading.code, 1)
  assert.match(reading.error, /local: not copied, it changed while it was read/)
  assert.ok(!reading.sent.some(what => what.startsWith("POST") && what.includes("uploadId")), "never completed")
  assert.ok(reading.sent.includes("DELETE /b/to?uploadId=u"), "its parts are removed")
  const removing = await moved({ growsAt: "HEAD" }, up)
  assert.match(removing.error, /local: copied, but not removed, since it changed meanwhile/)
  assert.deepEqual([reading.left, removing.left], [["local"], ["local"]])
})

test("an object stays if the file cannot be written", async () => {
  const { code, sent } = await moved({}, () => ["s3://b/from", "local/below"])
  assert.notEqual(code, 0)
  assert.ok(!sent.some(what => what.startsWith("DELETE")), sent.join())
  const good = await moved({}, () => ["s3://b/from", "file"])
  assert.deepEqual(
    [good.code, good.left.sort(), good.sent.at(-1)],
    [0, ["file", "local"], "DELETE /b/from"],
    good.error,
  )
})

test("within a bucket: a rename only for a store that has it; others could take it for an empty object", async () => {
  const within = () => ["s3://b/from", "s3://b/to"]
  const ours = await moved({ server: "Hayloft/1" }, within)
  assert.deepEqual([ours.code, ours.sent], [0, ["HEAD /b/from", "PUT /b/to?renameObject="]], ours.error)
  const other = await moved({ server: "OtherStore" }, within)
  assert.equal(other.code, 0, other.error)
  assert.ok(!other.sent.some(what => what.includes("renameObject")), other.sent.join())
  assert.equal(other.sent.at(-1), "DELETE /b/from")
})

test("a move onto itself, or of a folder into itself, is refused before anything is sent", async () => {
  for (const args of [
    ["s3://b/from", "s3://b/from"],
    ["-r", "s3://b/a/", "s3://b/a/b/"],
    ["-r", "s3://b", "s3://b/below"],
    ["-r", "s3://b/2024", "s3://b/2024-old"],
    ["-", "s3://b/from"],
    ["a", "b"],
  ]) {
    const { code, sent, error } = await moved({}, () => args)
    assert.deepEqual([code, sent], [2, []], error)
  }
})
