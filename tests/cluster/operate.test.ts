/** Operating a store of three nodes from any of them: real processes over a real PostgreSQL. */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { mkdir } from "node:fs/promises"
import { join } from "node:path"
import { test } from "node:test"
import { until } from "@hayloft/base/seams/clock/testing-until.js"
import type { z } from "zod"
import { DISPERSION, LOCATED_OBJECT } from "@hayloft/admin/store/placement-schemas.js"
import * as STORE_SCHEMAS from "@hayloft/admin/store/store-schemas.js"
import { must } from "@hayloft/base/assert.js"
import { checked } from "@hayloft/cli/checked.js"
import { quietParent, withFolder } from "../harness/folders.js"
import { TestNodes } from "../harness/nodes.js"
import { noPostgres } from "../harness/postgres.js"
import { haveJoined } from "./stores.js"

const POLL_MS = 500

type Status = z.output<typeof STORE_SCHEMAS.STATUS>

test(
  "every node shows and changes the whole store: status, nodes, devices of others",
  { skip: noPostgres },
  async () => {
    await withFolder(async folder => {
      const nodes = await TestNodes.start(folder, { nodes: 3, foldersEach: 3, args: ["--redundancy", "ec:2+1"] })
      const client = (number: number) => nodes.at(number).admin()
      const statusOf = async (number: number): Promise<Status> =>
        checked(STORE_SCHEMAS.STATUS, await (await client(number)).get("/v1/status"))
      const statusUntil = async (number: number, isSo: (status: Status) => boolean): Promise<Status> => {
        let status = await statusOf(number)
        const isSeen = async (): Promise<boolean> => isSo((status = await statusOf(number)))
        await until(() => `the status is as awaited: ${JSON.stringify(status)}`, isSeen, POLL_MS)
        return status
      }
      /** Asks a node for what another has to do. One that is busy may seem to be away for a moment: then nothing was sent. */
      const asked = async (number: number, path: string, body: object): Promise<unknown> => {
        let answer: unknown
        await until(
          `the node that has to do ${path} can be reached`,
          async () => {
            try {
              answer = await (await client(number)).post(path, body)
              return true
            } catch (error) {
              if (/has to do this and cannot be reached/.test(String(error))) return false
              throw error
            }
          },
          POLL_MS,
        )
        return answer
      }
      try {
        await nodes.at(1).client.createBucket("bucket")
        await nodes.at(1).client.put({ bucket: "bucket", key: "key", body: randomBytes(3_000_000) })
        // Each node sees all three, with the devices of each under it.
        for (const number of [1, 2, 3]) {
          const { nodes: shown, devices } = await statusUntil(number, status => {
            const { nodes: seen, layout } = status
            const isWhole = seen?.nodes.every(({ state, devices: own }) => state === "serving" && own.length === 3)
            return seen?.nodes.length === 3 && isWhole === true && layout.transition === undefined
          })
          assert.deepEqual(
            shown?.nodes.map(({ name, zone }) => `${name} ${zone}`),
            ["node-1 a", "node-2 b", "node-3 c"],
          )
          assert.equal(shown?.own, `node-${number}`)
          assert.deepEqual(new Set(devices.map(({ node }) => node)).size, 3)
        }
        const { safety } = await statusUntil(1, ({ safety: { sentence } }) => /any zone: yes(;|$)/.test(sentence))
        assert.match(safety.sentence, /any machine: yes(;|$)/)
        // Any node finds the shards of an object on the devices of all. A block that was written before the writer had
        // seen all three nodes has fewer shards until it is encoded again.
        const placesOf = async () => {
          const at = await client(2)
          const { blocks } = checked(LOCATED_OBJECT, await at.get("/v1/buckets/bucket/shards", { key: "key" }))
          return blocks[0]
        }
        let block = await placesOf()
        const isWhole = async (): Promise<boolean> => (block = await placesOf())?.shards.length === 3
        await until("the block has three shards", isWhole, POLL_MS)
        assert.ok(block)
        assert.deepEqual([block.found, block.shards.map(({ state }) => state)], [3, ["inPlace", "inPlace", "inPlace"]])
        assert.match(block.shards[0]?.rule ?? "", /^zone [abc] has 1 of 3 shards, each zone has 1;/)
        const dispersionOf = async () => checked(DISPERSION, await (await client(3)).get("/v1/layout/dispersion"))
        let dispersion = await dispersionOf()
        const areInPlace = async (): Promise<boolean> => (dispersion = await dispersionOf()).inPlace >= 1
        await until(() => `shards are in place: ${JSON.stringify(dispersion)}`, areInPlace, POLL_MS)
        assert.deepEqual([dispersion.complete, dispersion.inPlace, dispersion.silent], [true, 1, []])
        // A device is checked, and a folder added, by the node that has it.
        const third = must(
          (await statusOf(1)).devices.find(({ node }) => node === "node-3"),
          "node 3 has devices",
        )
        const check = await asked(1, `/v1/devices/${third.id}/check`, {})
        assert.match(checked(STORE_SCHEMAS.DEVICE_CHECK, check).finding, /reads and writes/)
        await assert.rejects(
          asked(2, "/v1/devices", { path: join(folder, "missing", "disk"), node: "node-3", dryRun: true }),
          /the folder .*missing does not exist/,
        )
        const added = join(folder, "node-3-disk4")
        await mkdir(added)
        const add = { path: added, node: "node-3", weight: 1 }
        const { plan } = checked(STORE_SCHEMAS.CHANGE, await asked(1, "/v1/devices", { ...add, dryRun: true }))
        await asked(1, "/v1/devices", { ...add, ...(plan.confirmBy ? { confirm: plan.confirmBy } : {}) })
        await haveJoined(nodes.at(2), 10)
        await statusUntil(1, ({ safety: { sentence } }) => /any zone: yes(;|$)/.test(sentence))
        // Node 3 is drained through node 1, and node 2 sees that it is empty.
        const drain = "/v1/nodes/node-3/drain"
        const drained = checked(STORE_SCHEMAS.CHANGE, await (await client(1)).post(drain, { dryRun: true }))
        const { movedBytes, survivesZones } = drained.plan
        assert.ok(movedBytes > 0)
        assert.equal(survivesZones?.after, 0)
        const confirm = drained.plan.confirmBy === undefined ? {} : { confirm: drained.plan.confirmBy }
        await (await client(1)).post(drain, confirm)
        await statusUntil(2, ({ nodes: seen }) => seen?.nodes.find(({ name }) => name === "node-3")?.use === "drained")
        const layout = checked(STORE_SCHEMAS.LAYOUT_DETAILS, await (await client(2)).get("/v1/layout"))
        assert.deepEqual(
          layout.devices.filter(({ node }) => node === "node-3").map(({ share, state }) => [share, state]),
          Array.from({ length: 4 }, () => [0, "draining"]),
        )
        // A node that runs is not lost.
        await assert.rejects((await client(1)).post("/v1/nodes/node-3/forget", {}), /node-3 is running/)
        // Once it is removed, its empty devices leave the store, and then the node itself.
        await (await client(2)).post("/v1/nodes/node-3/remove", {})
        const { devices: left } = await statusUntil(1, ({ nodes: seen }) => seen?.nodes.length === 2)
        assert.deepEqual(new Set(left.map(({ node }) => node)), new Set(["node-1", "node-2"]))
        // A node that was killed is forgotten with its devices, which have shards that only it has.
        await nodes.at(2).kill()
        const lost = "/v1/nodes/node-2/forget"
        await statusUntil(1, ({ nodes: seen }) => seen?.nodes.find(({ name }) => name === "node-2")?.state === "silent")
        await (await client(1)).post(lost, { acceptLoss: true })
        await statusUntil(1, ({ nodes: seen }) => seen?.nodes.length === 1)
      } finally {
        if (process.env["SHOW"]) for (const node of nodes.all) console.error(node.name, node.output)
        await nodes.end()
      }
    }, quietParent())
  },
)
