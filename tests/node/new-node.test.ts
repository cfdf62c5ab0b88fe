/** A server runs under Node 24, too. */
import assert from "node:assert/strict"
import { join } from "node:path"
import { test } from "node:test"
import { CreateBucketCommand, GetObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3"
import { MIB } from "@hayloft/base/limits.js"
import { withFolder } from "../harness/folders.js"
import { NODE_24, noNode24 } from "../harness/new-node.js"
import { withClient } from "../harness/sdk-client.js"
import { withServer } from "../harness/server.js"

test("a server under Node 24 stores objects and returns them", { skip: noNode24 }, async () => {
  await withFolder(folder =>
    withServer({ folders: [join(folder, "data")], node: NODE_24 }, server =>
      withClient(server, async client => {
        await client.send(new CreateBucketCommand({ Bucket: "new" }))
        for (const [Key, bytes] of [
          ["small", 100],
          ["large", 3 * MIB],
        ] as const) {
          const Body = Buffer.alloc(bytes, Key)
          await client.send(new PutObjectCommand({ Bucket: "new", Key, Body }))
          const { Body: found } = await client.send(new GetObjectCommand({ Bucket: "new", Key }))
          assert.ok(Body.equals((await found?.transformToByteArray()) ?? Buffer.of()), Key)
        }
        assert.match(await server.metrics(), /node_version="(2[4-9]|[3-9]\d)\./)
      }),
    ),
  )
})
