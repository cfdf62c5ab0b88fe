/** Repair of a store of several nodes: a machine never returns, and all others rebuild what it had. */
import assert from "node:assert/strict"
import { createHash, randomBytes } from "node:crypto"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { noPostgres } from "../harness/postgres.js"
import type { TestNode } from "../harness/nodes.js"
import { BUCKET, isWhole, statusOf, statusSays, withNodes } from "./stores.js"

const OBJECTS = 24
const OBJECT_BYTES = 3_000_000

const sumOf = (body: Uint8Array): string => createHash("sha256").update(body).digest("hex")

/** Shards as the jobs of the nodes count them: by the node that coordinates, and by name those written for it. */
function workOf({ jobs }: Awaited<ReturnType<typeof statusOf>>, { name: own }: TestNode) {
  const coordinators: number[] = []
  const forOthers = new Map<string, number>()
  for (const { name, progress } of jobs) {
    const [, on = own] = /^repair(?: on (.*))?$/.exec(name) ?? [undefined, ""]
    if (on === "") continue
    const [, all] = /, (\d+) shards written/.exec(progress) ?? []
    const [, others] = /; (\d+) shards written for other nodes$/.exec(progress) ?? []
    if (all !== undefined) coordinators.push(Number(all))
    if (others !== undefined) forOthers.set(on, Number(others))
  }
  return { coordinators, forOthers }
}

/**
 * The nodes that have refused a visit, failed to make it, or could not be reached. The coordinator orders none from them for some
 * seconds, in which the others may do all the work.
 */
async function refusing(nodes: readonly TestNode[]): Promise<ReadonlySet<string>> {
  const names = new Set<string>()
  for (const { adminEndpoint } of nodes) {
    const text = await (await fetch(`${adminEndpoint}/metrics`)).text()
    for (const [, node = "", outcome] of text.matchAll(
      /^hayloft_repair_visits_total\{node="(.*?)",outcome="(.*?)"\}/gm,
    ))
      if (outcome !== "ok") names.add(node)
  }
  return names
}

test(
  "a machine never returns: all others rebuild its shards, without it and without the node that repaired",
  { skip: noPostgres },
  async () => {
    const options = { nodes: 4, foldersEach: 2, isHurried: true, args: ["--redundancy", "ec:2+2"] }
    await withNodes(options, async nodes => {
      const sums = new Map<string, string>()
      for (let i = 0; i < OBJECTS; i += 1) {
        const body = randomBytes(OBJECT_BYTES)
        await nodes.at(1 + (i % 4)).client.put({ bucket: BUCKET, key: `key-${i}`, body })
        sums.set(`key-${i}`, sumOf(body))
      }
      const { nodes: seen } = await statusSays(nodes.at(1), status =>
        must(status.nodes, "a store of nodes").nodes.some(({ jobs }) => jobs.includes("repair")),
      )
      // The node that does repair is lost: another one takes over.
      const lostName = must(
        seen?.nodes.find(({ jobs }) => jobs.includes("repair")),
        "a node repairs",
      ).name
      const lost = must(
        nodes.all.find(({ name }) => name === lostName),
        "it is one of them",
      )
      const left = nodes.all.filter(node => node !== lost)
      const at = must(left[0], "three nodes are left")
      const before = workOf(await statusOf(at), at)
      await lost.kill()
      await statusSays(at, status => status.nodes?.nodes.find(({ name }) => name === lostName)?.state === "silent")
      const admin = await at.admin()
      await admin.post(`/v1/nodes/${lostName}/forget`, {})
      admin.close()
      await isWhole(at)
      assert.equal((await statusOf(at)).devices.length, 6)
      // One node coordinates and counts the shards of all; each of the others has written some for it, unless it has refused
      // a visit. What a node has reported last may be of a moment before: the visits may still be under way.
      const byOthersIn = ({ forOthers }: ReturnType<typeof workOf>) =>
        left.map(({ name }) => (forOthers.get(name) ?? 0) - (before.forOthers.get(name) ?? 0))
      const sumOfOthers = (work: ReturnType<typeof workOf>) => byOthersIn(work).reduce((sum, shards) => sum + shards, 0)
      const status = await statusSays(at, async status => {
        const refused = await refusing(left)
        const work = workOf(status, at)
        const [counted = 0, ...more] = work.coordinators
        const byOthers = byOthersIn(work)
        const taking = left.filter(({ name }, i) => (byOthers[i] ?? 0) > 0 || refused.has(name)).length
        return more.length === 0 && taking >= 2 && sumOfOthers(work) > 0 && counted > sumOfOthers(work)
      })
      const after = workOf(status, at)
      const all = must(after.coordinators[0], "one node coordinates")
      assert.ok(all > sumOfOthers(after), `${all}, others ${byOthersIn(after).join()}: some by itself`)
      for (const node of left)
        for (const [key, sum] of sums) {
          const hash = createHash("sha256")
          for await (const piece of (await node.client.get(BUCKET, key)).body) hash.update(piece)
          assert.equal(hash.digest("hex"), sum, `${key} from ${node.name}`)
        }
    })
  },
)
