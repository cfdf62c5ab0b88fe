/** Remote buckets: what one node writes or caches, the other one reads; pending writes survive their sender. */
import assert from "node:assert/strict"
import type { TestNode } from "../../harness/nodes.js"
import { md5Of, remoteDocument } from "../../remote/worlds.js"
import { eventually, type Feature } from "./scene.js"

const ROUNDS = 4
const REMOTE = "data"

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
  const body = remoteDocument({ bucket: REMOTE, writes, prefix: `${bucket}/` })
  const answer = await node.rawClient.call("PUT", { bucket, query: "remote", body, headers: md5Of(body) })
  assert.equal(answer.status, 200, answer.text)
}

export const REMOTES: Feature = {
  name: "nodes before one remote read what any has written",
  run: async ({ nodes, far, proxy, beforeTheKill, oneDead }) => {
    const [one, two] = [nodes.at(1), nodes.at(2)]
    const textAtFar = async (key: string): Promise<string> => (await far.call("GET", { bucket: REMOTE, key })).text
    assert.equal((await far.call("PUT", { bucket: REMOTE })).status, 200)
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
    await beforeTheKill()
    const port = await proxy.pause()
    await put(one, "back", "x", "by one")
    await put(two, "back", "x", "by two")
    await put(two, "back", "y", "by two")
    assert.deepEqual(await read(one, "back", "x"), { status: 200, text: "by two", from: "pending" })
    await oneDead()
    await proxy.resume(port)
    await eventually("the remote has what was pending", async () => (await textAtFar("back/y")) === "by two")
    await eventually("the remote has what was written last", async () => (await textAtFar("back/x")) === "by two")
    assert.equal((await read(two, "back", "x")).text, "by two")
  },
}
