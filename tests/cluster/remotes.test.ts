/** Remote buckets in a store of two nodes: what one node writes or caches, the other one reads; pending writes survive their sender. */
import assert from "node:assert/strict"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { setTimeout as later } from "node:timers/promises"
import { quietParent, withFolder } from "../harness/folders.js"
import { TestNodes, type TestNode } from "../harness/nodes.js"
import { noPostgres } from "../harness/postgres.js"
import { CREDENTIALS, REGION, ServerProcess } from "../harness/server.js"
import { md5Of, Proxy, remoteDocument } from "../remote/worlds.js"

const ROUNDS = 12

async function eventually(what: string, check: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 1_200; tries += 1) {
    if (await check()) return
    await later(50)
  }
  throw new Error(`within a minute, ${what} did not happen`)
}

async function read(node: TestNode, bucket: string, key: string) {
  const answer = await node.rawClient.call("GET", { bucket, key })
  return { status: answer.status, text: answer.text, from: answer.header("x-hayloft-remote") }
}

async function put(node: TestNode, bucket: string, key: string, body: string): Promise<void> {
  const answer = await node.rawClient.call("PUT", { bucket, key, body })
  assert.equal(answer.status, 200, answer.text)
}

async function makeRemote(node: TestNode, bucket: string, writes: string): Promise<void> {
  await node.client.createBucket(bucket)
  const body = remoteDocument({ writes, prefix: `${bucket}/` })
  const answer = await node.rawClient.call("PUT", { bucket, query: "remote", body, headers: md5Of(body) })
  assert.equal(answer.status, 200, answer.text)
}

test("two nodes before one remote read what either has written", { skip: noPostgres }, () =>
  withFolder(async folder => {
    const far = await ServerProcess.start({ folders: [join(folder, "far")] })
    const proxy = await Proxy.start(far.endpoint)
    const file = join(folder, "remotes.json")
    const key = { accessKeyId: CREDENTIALS.accessKey, secretAccessKey: CREDENTIALS.secretKey }
    writeFileSync(file, JSON.stringify({ far: { endpoint: proxy.endpoint, region: REGION, ...key } }))
    const args = ["--redundancy", "replica:2", "--remotes", file]
    const nodes = await TestNodes.start(folder, { nodes: 2, foldersEach: 1, args })
    const ofFar = far.client()
    const textAtFar = async (name: string): Promise<string> =>
      (await ofFar.call("GET", { bucket: "data", key: name })).text
    try {
      await ofFar.call("PUT", { bucket: "data" })
      const [one, two] = [nodes.at(1), nodes.at(2)]
      await makeRemote(one, "through", "Through")
      await put(one, "through", "a", "first")
      assert.deepEqual(await read(two, "through", "a"), { status: 200, text: "first", from: "hit" })
      await put(two, "through", "a", "second")
      assert.equal((await read(one, "through", "a")).text, "second")
      // Both write at once: whatever the remote has in the end, both read.
      for (let round = 0; round < ROUNDS; round += 1) {
        const reads = [read(one, "through", "a"), read(two, "through", "a")]
        const writes = [put(one, "through", "a", `one ${round}`), put(two, "through", "a", `two ${round}`)]
        await Promise.all([...writes, ...reads])
        const text = await textAtFar("through/a")
        const seen = [(await read(one, "through", "a")).text, (await read(two, "through", "a")).text]
        assert.deepEqual(seen, [text, text], `round ${round}`)
      }
      await makeRemote(two, "back", "Back")
      const port = await proxy.pause()
      await put(one, "back", "x", "by one")
      await put(two, "back", "x", "by two")
      await put(two, "back", "y", "by two")
      assert.deepEqual(await read(one, "back", "x"), { status: 200, text: "by two", from: "pending" })
      await one.kill()
      await proxy.resume(port)
      await eventually("the remote has what was pending", async () => (await textAtFar("back/y")) === "by two")
      await eventually("the remote has what was written last", async () => (await textAtFar("back/x")) === "by two")
      assert.equal((await read(two, "back", "x")).text, "by two")
    } finally {
      await nodes.stop()
      await proxy.close()
      await far.kill()
    }
  }, quietParent()),
)
