/** Disks and nodes come, go and move under load: no client sees it, and the store is whole after each. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { setTimeout as wait } from "node:timers/promises"
import { z } from "zod"
import { BrokenAnswer, RemoteFailure, S3Client, Unreachable } from "@hayloft/client/index.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { hayloftHere } from "../harness/command-here.js"
import type { TestNode } from "../harness/nodes.js"
import { noPostgres } from "../harness/postgres.js"
import { Load } from "./load.js"
import { BUCKET, isSettled, layoutOf, post, statusSays, withNodes } from "./stores.js"

const FOLDERS = 2
const SMALL_WEIGHT = 0.4
const PAUSE_MS = 50
const CLIENTS = 1
const REQUESTS = 10
const BODY_BYTES = 20_000
const LISTED = z.object({ id: z.string(), path: z.string(), state: z.string() })

/** Writes to the node until it takes no connections any more. */
async function refusalsUntilEnd({ access }: TestNode): Promise<readonly string[]> {
  const client = new S3Client(access, new RealClock(), new AbortController().signal, { attemptsMax: 1 })
  const refusals: string[] = []
  try {
    for (;;) {
      await client
        .put({ bucket: BUCKET, key: "while it leaves", body: Buffer.alloc(BODY_BYTES) })
        .catch((error: unknown) => {
          if (!(error instanceof RemoteFailure)) throw error
          refusals.push(error.code)
        })
      await wait(PAUSE_MS)
    }
  } catch (error) {
    assert.ok(error instanceof Unreachable || error instanceof BrokenAnswer, String(error))
    return refusals
  } finally {
    client.close()
  }
}

/** Neither a folder that is missing nor those of other nodes can be given up on a stopped node. */
async function changesNothing({ folders }: TestNode, missing: string): Promise<void> {
  const here = folders.flatMap(folder => ["--data", folder])
  const { stdout } = await hayloftHere(["device", "list", ...here, "--json"])
  const devices = stdout
    .trim()
    .split("\n")
    .map(line => LISTED.parse(JSON.parse(line)))
  const missed = devices.filter(({ state }) => state === "missing").map(({ path }) => path)
  assert.deepEqual(missed, [missing], "those of other nodes cannot be seen, and are not missing")
  for (const { id } of devices.filter(({ path }) => !folders.includes(path))) {
    const { code, stderr } = await hayloftHere(["device", "forget", id, ...here, "--yes", "--accept-loss"])
    assert.notEqual(code, 0)
    assert.match(stderr, /nothing was changed: .* in its database, and only a running node changes them/)
  }
}

test(
  "a node with a small disk joins, a node is retired, and a disk moves, all under load",
  { skip: noPostgres },
  async () => {
    await withNodes(
      { nodes: 3, foldersEach: FOLDERS, isHurried: true, args: ["--redundancy", "ec:2+2"] },
      async nodes => {
        const load = await Load.begin(nodes.all, { bucket: BUCKET, clients: CLIENTS })
        const [first, second, third] = [nodes.at(1), nodes.at(2), nodes.at(3)]

        // A gateway joins on the machine of the third node, and gets a disk that is smaller than the others there.
        const fourth = await nodes.add(0, { zone: third.zone })
        const sameMachine = ["--machine", third.name]
        await fourth.start(sameMachine)
        load.add(fourth)
        const path = await nodes.newFolder("small disk")
        await post(fourth, "/v1/devices", { path, weight: SMALL_WEIGHT }, first)
        fourth.folders = [path]
        await statusSays(second, ({ devices: known }) => known.some(device => device.path === path))
        await isSettled(second)
        await load.goesOn(REQUESTS)
        const { devices } = await layoutOf(second)
        const there = devices.filter(({ zone }) => zone === third.zone)
        const shares = there.sort((a, b) => a.share - b.share)
        assert.equal(shares[0]?.path, path, JSON.stringify(shares.map(({ path: folder, share }) => [folder, share])))
        assert.ok(shares[0].share > 0)

        // A node is retired: it answers requests until it ends by itself, and its folders belong to no store any more.
        await post(third, `/v1/nodes/${second.name}/remove`)
        const refusals = refusalsUntilEnd(second)
        const ended = second.process?.exited
        await statusSays(first, ({ nodes: seen }) => seen?.nodes.every(({ name }) => name !== second.name) === true)
        await ended
        assert.match(second.output, /node_removed/)
        assert.deepEqual(await refusals, [])
        await second.stop()
        await isSettled(first)
        await load.goesOn(REQUESTS)
        await load.end()
        await load.check([first, third, fourth])

        // A disk of the first node moves to the fourth.
        const later = await Load.begin([first, third, fourth], { bucket: BUCKET, clients: CLIENTS })
        const [moved = "", ...kept] = first.folders
        const isActive =
          (folder: string) =>
          ({ devices: all }: { readonly devices: readonly { readonly path: string; readonly state: string }[] }) =>
            all.some(device => device.path === folder && device.state === "active")
        await first.stop()
        first.folders = kept
        await changesNothing(first, moved)
        await first.start()
        await statusSays(third, isActive(kept[0] ?? ""))
        await fourth.stop()
        fourth.folders = [...fourth.folders, moved]
        await fourth.start(sameMachine)
        await statusSays(third, isActive(moved))
        const { devices: all } = await isSettled(third)
        const homes = all.filter(device => device.path === moved).map(({ node }) => node)
        assert.deepEqual(homes, [fourth.name])
        await later.goesOn(REQUESTS)
        await later.end()
        await later.check([first, third, fourth])
      },
    )
  },
)
