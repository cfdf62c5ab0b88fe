/** Copies of a bucket: changes through several nodes in the order of their commits, and another sender after a crash. */
import assert from "node:assert/strict"
import type { Client } from "../../../conformance/client.js"
import { COPIES as COPIES_ANSWER } from "@hayloft/features/copies/schemas.js"
import type { TestNode } from "../../harness/nodes.js"
import { asked, eventually, type Feature } from "./scene.js"

const ROUNDS = 4
const KEYS = ["a", "b", "c"]
const [BUCKET, TARGET] = ["photos", "copied"]

async function etagsOf(client: Client, bucket: string): Promise<readonly string[]> {
  const { text } = await client.call("GET", { bucket, query: "list-type=2" })
  return Array.from(
    text.matchAll(/<Key>([^<]*)<\/Key>.*?<ETag>([^<]*)<\/ETag>/g),
    ([, key = "", etag = ""]) => `${key} ${etag}`,
  )
}

/** Waits until the target has everything, according to any of the nodes. */
const copied = (node: TestNode): Promise<void> =>
  eventually("everything is copied", async () => {
    const answer = await asked(node, admin => admin.get(`/v1/buckets/${BUCKET}/copies`))
    const { phase, lag } = COPIES_ANSWER.parse(answer)
    return phase === "following" && lag.objects === 0
  })

async function change(clients: readonly Client[], round: number): Promise<void> {
  const one = async (client: Client, at: number, name: string, i: number): Promise<void> => {
    const isDelete = (round + i + at) % 4 === 0
    const call = { bucket: BUCKET, key: name, ...(!isDelete && { body: `${round} of ${at}` }) }
    const { status, text } = await client.call(isDelete ? "DELETE" : "PUT", call)
    assert.ok(status < 300, text)
  }
  await Promise.all(clients.flatMap((client, at) => KEYS.map((name, i) => one(client, at, name, i))))
}

export const COPIES: Feature = {
  name: "changes through several nodes reach the target in the end, also if the sender dies",
  run: async ({ nodes, far, oneDead }) => {
    const [one, two] = [nodes.at(1), nodes.at(2)]
    assert.equal((await far.call("PUT", { bucket: TARGET })).status, 200)
    await one.client.createBucket(BUCKET)
    const value = { store: "direct", bucket: TARGET }
    await asked(two, admin => admin.put(`/v1/buckets/${BUCKET}/settings/copies`, { value }))
    for (let round = 0; round < ROUNDS; round += 1) await change([one.rawClient, two.rawClient], round)
    await copied(one)
    assert.deepEqual(await etagsOf(far, TARGET), await etagsOf(one.rawClient, BUCKET))
    // Any of them sends: another one goes on.
    await oneDead()
    await change([two.rawClient], ROUNDS)
    await copied(two)
    assert.deepEqual(await etagsOf(far, TARGET), await etagsOf(two.rawClient, BUCKET))
  },
}
