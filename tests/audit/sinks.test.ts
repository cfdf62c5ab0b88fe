/** Sinks of the audit log of a real server: a record that was made before kill -9 arrives after the next start. */
import assert from "node:assert/strict"
import { createHmac } from "node:crypto"
import { readFile } from "node:fs/promises"
import { createServer, type IncomingMessage } from "node:http"
import { test } from "node:test"
import { AUDIT_PAGE } from "@hayloft/admin/index.js"
import { run } from "../harness/commands.js"
import { dataFolders, withFolder } from "../harness/folders.js"
import { HAYLOFT, ServerProcess } from "../harness/server.js"

const SECRET = "shared-by-both-sides"

async function bodyOf(request: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = []
  for await (const piece of request as AsyncIterable<Buffer>) pieces.push(piece)
  return Buffer.concat(pieces).toString()
}

/** A receiver that refuses everything until it is up. */
async function receiver() {
  const lines: string[] = []
  const state = { isUp: false, refused: 0, onRequest: () => undefined as void }
  const server = createServer((request, response) => {
    void bodyOf(request).then(body => {
      const [, atMs, hmac] = /^t=(\d+),v1=(\w+)$/.exec(String(request.headers["x-hayloft-signature"])) ?? []
      assert.equal(hmac, createHmac("sha256", SECRET).update(`${atMs}.${body}`).digest("hex"))
      if (state.isUp) lines.push(...body.trimEnd().split("\n"))
      else state.refused += 1
      response.writeHead(state.isUp ? 204 : 500).end()
      state.onRequest()
    })
  })
  await new Promise<void>(resolve => void server.listen(0, "127.0.0.1", resolve))
  const address = server.address()
  assert.ok(typeof address === "object" && address !== null)
  const until = (holds: () => boolean) =>
    new Promise<void>(resolve => {
      state.onRequest = () => (holds() ? resolve() : undefined)
      state.onRequest()
    })
  return { lines, state, until, url: `http://127.0.0.1:${address.port}/in`, close: () => server.close() }
}

const TIMEOUT_MS = 180_000

test(
  "a record that was not delivered before kill -9 arrives afterwards, in the file too",
  { timeout: TIMEOUT_MS },
  () =>
    withFolder(async folder => {
      const { lines, state, until, url, close } = await receiver()
      const file = `${folder}/audit.jsonl`
      const folders = dataFolders(folder, 1)
      const server = await ServerProcess.start({
        folders,
        args: ["--audit-file", file, "--audit-webhook", url],
        env: { HAYLOFT_AUDIT_WEBHOOK_SECRET: SECRET },
      })
      try {
        const made = await server.client().call("PUT", { bucket: "pictures" })
        assert.equal(made.status, 200)
        await until(() => state.refused > 0)
        await server.kill()
        state.isUp = true
        await server.launch()
        await until(() => lines.some(line => line.includes('"operation":"s3:CreateBucket","target":"pictures"')))
        const listed = await run(HAYLOFT, ["audit", "--json", "--operation", "s3:*", "--data", folders[0] ?? ""])
        const entries = AUDIT_PAGE.shape.entries.parse(
          listed.stdout
            .trimEnd()
            .split("\n")
            .map(line => JSON.parse(line) as unknown),
        )
        assert.deepEqual(
          entries.map(({ operation, target, ended }) => [operation, target, ended?.outcome]),
          [["s3:CreateBucket", "pictures", "done"]],
        )
        assert.match(await readFile(file, "utf8"), /"operation":"s3:CreateBucket","target":"pictures","outcome":"done"/)
      } finally {
        await server.kill()
        close()
      }
    }),
)
