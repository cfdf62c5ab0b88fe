/**
 * A server whose small objects are packed, which is killed again and again while clients write and delete them: what was
 * acknowledged keeps its bytes, and after everything is deleted nothing is stored. `npm run packing-kills` does it with many
 * kills.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { setTimeout as later } from "node:timers/promises"
import { z } from "zod"
import { must } from "../../src/base/assert.js"
import { TEST_SEED } from "../../src/base/testing-seed.js"
import { SimRandom } from "../../src/seams/random/sim.js"
import { shrinksTo, liveBytes } from "../dedup/world.js"
import { dataFolders, withFolder } from "../harness/folders.js"
import { KilledWriters } from "../harness/killed-writers.js"
import { ServerProcess } from "../harness/server.js"

const KILLS = Number(process.env["PACKING_KILLS"] ?? 1)
const WRITERS = 4
const KEYS = Array.from({ length: 64 }, (_, i) => `k${i}`)
const WRITES_BETWEEN_KILLS = 60
const BUCKET = "small"
const BYTES_MAX = 9_000
/** Bytes of rows and of headers that stay, and what a kill leaves without a row for a day. */
const LEFT_BYTES = (KILLS + 1) * 512 * 1024
const STAT = z.object({ packedObjects: z.number() })

class Story extends KilledWriters {
  /** Each writer has keys of its own. */
  private async writeOn(writer: number): Promise<void> {
    while (!this.isOver) {
      const line = must(this.lines[writer + WRITERS * this.random.below(KEYS.length / WRITERS)], "it has keys")
      await this.write(line, this.random.below(5) === 0 ? undefined : this.body())
    }
  }

  private body(): Uint8Array {
    return this.random.bytes(1 + this.random.below(BYTES_MAX))
  }

  /** Objects are packed from now on, without a pause after the pass before. */
  private async pack(): Promise<void> {
    await this.admin("PUT", `buckets/${BUCKET}/settings/packing`, { value: { afterSeconds: 0 } })
    await this.admin("POST", "jobs/packing/wake")
  }

  private async admin(method: string, path: string, body: unknown = {}): Promise<void> {
    const headers = { authorization: `Bearer ${await this.server.adminToken()}`, "content-type": "application/json" }
    const url = `${this.server.adminEndpoint}/v1/${path}`
    const answer = await fetch(url, { method, headers, body: JSON.stringify(body) })
    assert.ok(answer.ok, `${method} ${path}: ${answer.status} ${await answer.text()}`)
  }

  private async awaitPacked(): Promise<void> {
    const path = `/v1/buckets/${BUCKET}/packing`
    while (STAT.parse(await this.server.report(path)).packedObjects === 0) await later(200)
  }

  async run(): Promise<void> {
    for (const line of this.lines) await this.write(line, this.body())
    await this.pack()
    await this.awaitPacked()
    const working = Promise.all(Array.from({ length: WRITERS }, (_, writer) => this.writeOn(writer)))
    await this.killWhile(working, {
      ...{ kills: KILLS, writesBetween: WRITES_BETWEEN_KILLS },
      before: () => this.pack(),
      after: async () => {
        await this.check()
        await this.pack()
      },
    })
  }

  async end(): Promise<void> {
    await this.pack()
    await this.awaitPacked()
    await this.check()
    await this.removeAll()
  }
}

test(
  `killed ${KILLS} times while it packs: each object has its bytes, and deleted ones leave none`,
  { timeout: 900_000 },
  () =>
    withFolder(async folder => {
      const folders = dataFolders(folder, 1)
      const server = await ServerProcess.start({
        folders,
        args: ["--redundancy", "replica:1", "--block-size", "1048576"],
      })
      try {
        assert.equal((await server.client().call("PUT", { bucket: BUCKET })).status, 200)
        const before = await liveBytes(server)
        const story = new Story(server, new SimRandom(TEST_SEED), BUCKET, KEYS)
        await story.run()
        await story.end()
        await shrinksTo(server, before + LEFT_BYTES)
      } finally {
        await server.stop()
      }
    }),
)
