/** A process that may have few open files: connections leave the store those that it needs. */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { once } from "node:events"
import { writeFile } from "node:fs/promises"
import { connect, type Socket } from "node:net"
import { join } from "node:path"
import { test } from "node:test"
import { CreateBucketCommand, GetObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3"
import { until } from "@hayloft/base/seams/clock/testing-until.js"
import { withFolder } from "../harness/folders.js"
import { withClient } from "../harness/sdk-client.js"
import { ServerProcess } from "../harness/server.js"

const OPEN_FILES = 160
const BYTES = 300_000

/** A Node that may have so few open files. */
async function limitedNode(folder: string): Promise<string> {
  const path = join(folder, "limited-node")
  await writeFile(path, `#!/bin/sh\nulimit -n ${OPEN_FILES}\nexec '${process.execPath}' "$@"\n`, { mode: 0o755 })
  return path
}

/** Opens connections that send nothing. Those that the server does not take are closed at once. */
async function flood({ port }: URL): Promise<readonly Socket[]> {
  const sockets = Array.from({ length: 2 * OPEN_FILES }, () => connect(Number(port), "127.0.0.1"))
  for (const socket of sockets) socket.on("error", () => socket.destroy())
  await Promise.all(sockets.map(socket => Promise.race([once(socket, "connect"), once(socket, "close")])))
  return sockets
}

test("connections that send nothing take no file of the store, and those that exist go on", async () => {
  await withFolder(async folder => {
    const folders = [1, 2, 3].map(disk => join(folder, `d${disk}`))
    const server = await ServerProcess.start({ folders, node: await limitedNode(folder) })
    try {
      assert.match(server.log, /few_open_files .*connectionsMax=35/)
      await withClient(server, async client => {
        await client.send(new CreateBucketCommand({ Bucket: "bucket" }))
        const sockets = await flood(new URL(server.endpoint))
        const untilMs = performance.now() + 3_000
        for (let i = 0; i < 10 || performance.now() < untilMs; i += 1) {
          const object = { Bucket: "bucket", Key: `k${i}` }
          const body = randomBytes(BYTES)
          await client.send(new PutObjectCommand({ ...object, Body: body }))
          const { Body } = await client.send(new GetObjectCommand(object))
          assert.ok(body.equals((await Body?.transformToByteArray()) ?? new Uint8Array(0)))
        }
        for (const socket of sockets) socket.destroy()
      })
      const isServed = (): Promise<boolean> =>
        server
          .client()
          .call("GET", {})
          .then(
            ({ status }) => status === 200,
            () => false,
          )
      await until("new connections are taken again", isServed)
      assert.doesNotMatch(server.log, /EMFILE|ownership_lost/)
    } finally {
      await server.kill()
    }
  })
})
