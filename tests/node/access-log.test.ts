/** Access logs of real servers: what clients did is in the file, also after a rename of the file and a normal stop. */
import assert from "node:assert/strict"
import { readdir, readFile, rename } from "node:fs/promises"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { until } from "@hayloft/base/seams/clock/testing-until.js"
import { s3OperationOf } from "@hayloft/admin/observe/access-log-core.js"
import { OPERATIONS } from "@hayloft/protocols/s3/operations.js"
import { dataFolders, withFolder } from "../harness/folders.js"
import { CREDENTIALS, ServerProcess } from "../harness/server.js"

const TIMEOUT_MS = 180_000

const linesOf = async (file: string): Promise<readonly string[]> =>
  (await readFile(file, "utf8").catch(() => "")).split("\n").filter(line => line !== "")

/** Waits for a line. */
async function lineWith(file: string, part: RegExp): Promise<string> {
  const find = async () => (await linesOf(file)).find(line => part.test(line))
  await until(`a line of the log matches ${String(part)}`, async () => (await find()) !== undefined)
  return must(await find(), "the line is there")
}

test("json: requests of all ports; a renamed file goes on as a new one", { timeout: TIMEOUT_MS }, () =>
  withFolder(async folder => {
    const file = `${folder}/access.jsonl`
    const server = await ServerProcess.start({ folders: dataFolders(folder, 1), args: ["--access-log", file] })
    try {
      const client = server.client()
      await client.call("PUT", { bucket: "pictures" })
      await client.call("PUT", { bucket: "pictures", key: "é 1", body: "abc" })
      const line = JSON.parse(await lineWith(file, /"operation":"PutObject"/)) as Record<string, unknown>
      const { bucket, key, status, receivedBytes, accessKeyId, httpVersion, host } = line
      assert.deepEqual(
        { bucket, key, status, receivedBytes, accessKeyId, httpVersion, host },
        {
          bucket: "pictures",
          key: "é 1",
          status: 200,
          receivedBytes: 3,
          accessKeyId: CREDENTIALS.accessKey,
          httpVersion: "1.1",
          host: `127.0.0.1:${server.port}`,
        },
      )
      await lineWith(file, /"server":"admin".*"path":"\/health\/ready"/)
      await rename(file, `${folder}/old`)
      await client.call("GET", { bucket: "pictures", key: "missing" })
      await lineWith(file, /"key":"missing","status":404|"key":"missing".*"code":"NoSuchKey"/)
      await client.call("GET", { bucket: "pictures", key: "last" })
      await server.stop()
      assert.ok(
        (await linesOf(file)).some(text => text.includes('"key":"last"')),
        "a stop writes the last lines",
      )
      const names = (await readdir(folder)).filter(name => name.startsWith("access"))
      assert.deepEqual(names, ["access.jsonl"])
    } finally {
      await server.kill()
    }
  }),
)

/** Quoted and bracketed fields are one. */
const fieldsOf = (line = ""): readonly string[] => line.match(/\[[^\]]*\]|"[^"]*"|\S+/g) ?? []

test("s3: the fields of a write, of a read of a range, and of a denied read", { timeout: TIMEOUT_MS }, () =>
  withFolder(async folder => {
    const file = `${folder}/access.log`
    const args = ["--access-log", file, "--access-log-format", "s3"]
    const server = await ServerProcess.start({ folders: dataFolders(folder, 1), args })
    try {
      const client = server.client()
      const [bucket, key] = ["pictures", "a b"]
      await client.call("PUT", { bucket })
      await client.call("PUT", { bucket, key, body: "0123456789" })
      await client.call("GET", { bucket, key, headers: { range: "bytes=0-3" } })
      await client.call("GET", { bucket, key, anonymous: true })
      await client.call("GET", {})
      await server.stop()
      const lines = (await linesOf(file)).map(fieldsOf)
      const columns = (...numbers: readonly number[]) =>
        lines.map(line => numbers.map(number => line[number]).join(" "))
      assert.deepEqual(columns(1, 3, 6, 7, 8, 9, 10), [
        'pictures 127.0.0.1 REST.PUT.BUCKET - "PUT /pictures HTTP/1.1" 200 -',
        'pictures 127.0.0.1 REST.PUT.OBJECT a%20b "PUT /pictures/a%20b HTTP/1.1" 200 -',
        'pictures 127.0.0.1 REST.GET.OBJECT a%20b "GET /pictures/a%20b HTTP/1.1" 206 -',
        'pictures 127.0.0.1 REST.GET.OBJECT a%20b "GET /pictures/a%20b HTTP/1.1" 403 AccessDenied',
      ])
      const [put, read, denied] = [lines[1], lines[2], lines[3]]
      assert.deepEqual([put?.[11], put?.[12], read?.[11], read?.[12], denied?.[12]], ["-", "10", "4", "10", "-"])
      assert.deepEqual([put?.[0], read?.[0], denied?.[0], denied?.[4]], [put?.[4], put?.[4], "-", "-"])
      assert.notEqual(put?.[4], "-")
      assert.match(put?.[2] ?? "", /^\[\d\d\/[A-Z][a-z][a-z]\/\d{4}:\d\d:\d\d:\d\d \+0000\]$/)
      assert.match(put?.[18] ?? "", /^[\w+/]{32}$/)
      const address = `127.0.0.1:${server.port}`
      assert.equal(put?.slice(19).join(" "), `SigV4 - AuthHeader ${address} - - -`)
      assert.equal(denied?.slice(19).join(" "), `- - - ${address} - - -`)
    } finally {
      await server.kill()
    }
  }),
)

test("every operation of S3 has a name in Amazon's manner", () => {
  for (const { name, method } of OPERATIONS) {
    assert.match(s3OperationOf("s3", method, name), /^REST\.[A-Z]+\.[A-Z][A-Z_]+$/, name)
  }
})
