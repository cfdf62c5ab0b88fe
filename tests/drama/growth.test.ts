/**
 * Growth and shrinking of a running store while clients write and read: more redundancy with more disks, a fixed
 * redundancy, a changed redundancy, few moved shards, and removed disks.
 */
import assert from "node:assert/strict"
import { rm } from "node:fs/promises"
import { join } from "node:path"
import { test } from "node:test"
import { expectStatus } from "../../conformance/expect.js"
import { TEST_SEED } from "@hayloft/base/testing-seed.js"
import { SYSTEM_BUCKET_ID } from "@hayloft/objects/index.js"
import { dataFolders, quietParent, withFolder } from "../harness/folders.js"
import { HURRIED_JOBS, ServerProcess } from "../harness/server.js"
import { Clients, usedServer, type Pace } from "./clients.js"
import { Operator } from "./operator.js"
import { movedShare, problemsOf, readShards, describePlaces, type Shards } from "./shards.js"

const WHOLE_MS = 300_000
const COLLECTED_MS = 90_000
/** Clients only have to be there while shards move, which takes minutes on a busy machine. */
const PACE: Pace = { clients: 4, restMs: 1_000 }
const FILLED = "filled"
const FILLED_KEYS = Array.from({ length: 60 }, (_, number) => `object ${number}`)
/** Large enough to be stored in a block. */
const bodyOf = (key: string): string => `${key}, `.repeat(600)

/** The bucket `plain` was created first. */
function plainAs(policy: string, { blocks }: Shards): ReadonlyMap<number, string> {
  const buckets = [...blocks.values()].map(({ bucket }) => bucket).filter(id => id !== SYSTEM_BUCKET_ID)
  return new Map([[Math.min(...buckets), policy]])
}

class Growth {
  private constructor(
    readonly root: string,
    readonly folders: string[],
    readonly server: ServerProcess,
    readonly clients: Clients,
    readonly operator: Operator,
  ) {}

  static play(count: number, args: readonly string[], work: (growth: Growth) => Promise<void>): Promise<void> {
    return withFolder(async root => {
      const folders = dataFolders(root, count)
      const server = await ServerProcess.start({ folders, env: HURRIED_JOBS, args: ["--log-level", "warn", ...args] })
      const clients = new Clients(usedServer(server), TEST_SEED, undefined, PACE)
      const growth = new Growth(root, folders, server, clients, new Operator(server, () => undefined))
      try {
        await clients.makeBuckets()
        await growth.fill()
        clients.begin()
        await growth.written(60)
        await work(growth)
        await growth.checkAll()
      } catch (error) {
        await clients.whileServerEnds(() => server.stop())
        throw new Error(`${String(error)}\n${server.log}\n${await describePlaces(folders)}`, { cause: error })
      } finally {
        await clients.whileServerEnds(() => server.kill())
      }
    }, quietParent())
  }

  /** Objects that stay as they are: a sample of blocks. */
  private async fill(): Promise<void> {
    const client = this.server.client()
    expectStatus(await client.call("PUT", { bucket: FILLED }), 200)
    for (const key of FILLED_KEYS)
      expectStatus(await client.call("PUT", { bucket: FILLED, key, body: bodyOf(key) }), 200)
  }

  private async checkFilled(): Promise<void> {
    const client = this.server.client()
    for (const key of FILLED_KEYS)
      assert.equal((await client.call("GET", { bucket: FILLED, key })).text, bodyOf(key), key)
  }

  /** Waits until clients have received this many more answers. */
  async written(more: number): Promise<void> {
    const enough = this.clients.operations + more
    await this.operator.until("written", WHOLE_MS, () =>
      this.clients.operations < enough ? `${this.clients.operations} operations of ${enough}` : undefined,
    )
  }

  async add(name: string): Promise<string> {
    const folder = join(this.root, name)
    await this.operator.run("device", "add", folder, "--yes")
    this.folders.push(folder)
    return folder
  }

  whole(): Promise<unknown> {
    return this.operator.whole(WHOLE_MS)
  }

  /**
   * Stops the server, returns which device stores which shard, and starts the server again. The policy is that of the bucket
   * `plain`, if it has one.
   */
  async shards(policyOfPlain?: string): Promise<Shards> {
    await this.clients.quiet()
    await this.whole()
    const deadlineMs = performance.now() + COLLECTED_MS
    for (;;) {
      // Re-encoded and deleted blocks are collected in the background, which restarts with each process.
      await this.operator.collected(WHOLE_MS)
      // Unreferenced blocks still wait for their retention time.
      const waiting = await this.operator.waitingBlocks()
      assert.equal(await this.server.stop(), 0)
      const shards = await readShards(this.folders)
      const problems = problemsOf(
        shards,
        policyOfPlain === undefined ? undefined : plainAs(policyOfPlain, shards),
        waiting,
      )
      if (performance.now() > deadlineMs) assert.deepEqual(problems, [])
      assert.ok(shards.blocks.size > 0, "the store has no blocks")
      await this.server.launch()
      if (problems.length === 0) return shards
    }
  }

  /** Gives up permanently lost folders while the store is stopped, and starts it with the others. */
  async lose(lost: readonly string[]): Promise<void> {
    await this.clients.quiet()
    const ids = await Promise.all(lost.map(path => this.operator.deviceAt(path)))
    assert.equal(await this.server.stop(), 0)
    for (const path of lost) {
      await rm(path, { recursive: true })
      this.folders.splice(this.folders.indexOf(path), 1)
    }
    await this.operator.run("device", "forget", ...ids.map(({ id }) => id), "--yes")
    await this.server.launch()
  }

  private async checkAll(): Promise<void> {
    const { clients } = this
    await clients.quiet()
    await clients.finishUploads()
    await clients.readAll()
    await clients.checkQuiet()
    await this.checkFilled()
    clients.checkHistories()
    assert.deepEqual(clients.record.violations, [])
  }
}

test("from one disk to four each object gets the redundancy of the disks; a bucket may have its own", async () => {
  await Growth.play(1, [], async growth => {
    const { clients, operator } = growth
    const [first = ""] = growth.folders
    for (const [at, policy] of ["replica:2", "ec:2+1", "ec:2+2"].entries()) {
      await growth.add(`added${at}`)
      await growth.written(20)
      await growth.whole()
      const status = await operator.status()
      assert.deepEqual([status.policy, status.isPolicyAutomatic], [policy, true])
    }
    const set = (policy: string, ...more: string[]) =>
      operator.run("redundancy", "set", policy, "--bucket", "plain", ...more)
    assert.match(await set("replica:3", "--dry-run"), /bucket plain are stored as replica:3[^]*re-encoded/)
    await set("replica:3", "--yes")
    await growth.written(20)
    await growth.whole()
    assert.match(await operator.run("redundancy", "show"), /ec:2\+2, automatic[^]*plain replica:3/)
    const { blocks } = await growth.shards("replica:3")
    assert.deepEqual([...new Set([...blocks.values()].map(({ policy }) => policy))].sort(), ["ec:2+2", "replica:3"])
    clients.begin()
    await set("automatic", "--yes")
    await growth.whole()
    await growth.shards()
    // Any two disks may be lost.
    await growth.lose([first, growth.folders[2] ?? ""])
  })
})

test("a chosen redundancy stays until a command changes it; a fifth disk receives its share, and a drained one is deleted", async () => {
  await Growth.play(2, ["--redundancy", "replica:2"], async growth => {
    const { clients, operator, folders } = growth
    for (const name of ["third", "fourth"]) {
      await growth.add(name)
      await growth.whole()
    }
    assert.equal((await operator.status()).policy, "replica:2")
    const meaning = "replica:2, chosen; for 4 devices the automatic redundancy would be ec:2+2, and survive any 2 lost"
    assert.match(await operator.run("redundancy", "show"), new RegExp(meaning.replaceAll("+", "\\+")))
    const preview = await operator.run("redundancy", "set", "ec:2+2", "--dry-run")
    assert.match(preview, /replica:2 becomes ec:2\+2[^]* [1-9][^ ]* [KM]iB re-encoded[^]*survives/)
    assert.equal((await operator.status()).policy, "replica:2", "a preview changes nothing")
    await operator.run("redundancy", "set", "ec:2+2", "--yes")
    await growth.written(20)
    await growth.whole()
    const before = await growth.shards()
    assert.deepEqual([...new Set([...before.blocks.values()].map(({ policy }) => policy))], ["ec:2+2"])
    clients.begin()
    await growth.add("fifth")
    await growth.written(20)
    await growth.whole()
    const after = await growth.shards()
    const moved = movedShare(before, after)
    assert.ok(
      moved > 0.05 && moved <= 1.2 / 5 + samplingErrorOf(before),
      `${moved} of ${before.blocks.size} blocks' shards moved`,
    )
    clients.begin()
    const [leaver = ""] = folders
    await operator.run("device", "remove", leaver, "--yes")
    await growth.written(20)
    await operator.until("gone", WHOLE_MS, ({ devices }) =>
      devices.some(({ path }) => path === leaver) ? "the device is still listed" : undefined,
    )
    await rm(leaver, { recursive: true })
    folders.splice(folders.indexOf(leaver), 1)
    await growth.whole()
    await growth.shards()
  })
})

/** Three standard deviations of the moved share, for a sample of blocks. */
const samplingErrorOf = ({ blocks }: Shards): number => 3 * Math.sqrt((0.2 * 0.8) / (4 * blocks.size))
