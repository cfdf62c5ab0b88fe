/**
 * A server whose small objects are packed, which is killed again and again while clients write and delete them: what was
 * acknowledged keeps its bytes, and after everything is deleted nothing is stored. `npm run packing-kills` does it with many
 * kills.
 */
import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { test } from "node:test"
import { setTimeout as later } from "node:timers/promises"
import { z } from "zod"
import { must } from "../../src/base/assert.js"
import { TEST_SEED } from "../../src/base/testing-seed.js"
import { SimRandom } from "../../src/seams/random/sim.js"
import { shrinksTo, liveBytes } from "../dedup/world.js"
import { dataFolders, withFolder } from "../harness/folders.js"
import { ServerProcess } from "../harness/server.js"

const KILLS = Number(process.env["PACKING_KILLS"] ?? 1)
const WRITERS = 4
const KEYS = 64
const WRITES_BETWEEN_KILLS = 60
const RETRY_MS = 20
const BUCKET = "small"
const BYTES_MAX = 9_000
/** Bytes of rows and of headers that stay, and what a kill leaves without a row for a day. */
const LEFT_BYTES = (KILLS + 1) * 512 * 1024
const STAT = z.object({
  packedObjects: z.number(),
  packs: z.number(),
  pass: z.object({ packs: z.number() }).optional(),
})

interface Line {
  readonly key: string
  /** Contents that a read may return: the last acknowledged write, and the unacknowledged ones after it. */
  may: readonly (string | undefined)[]
}

const digestOf = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex")

class Story {
  readonly lines: readonly Line[] = Array.from({ length: KEYS }, (_, i) => ({ key: `k${i}`, may: [undefined] }))
  writes = 0
  packs = 0
  private isOver = false

  constructor(
    private readonly server: ServerProcess,
    private readonly random: SimRandom,
  ) {}

  /** Each writer has keys of its own. */
  private async write(writer: number): Promise<void> {
    while (!this.isOver) {
      const line = must(this.lines[writer + WRITERS * this.random.below(KEYS / WRITERS)], "it has keys")
      const body = this.random.below(5) === 0 ? undefined : this.random.bytes(1 + this.random.below(BYTES_MAX))
      await this.attempt(line, body)
    }
  }

  private async attempt(line: Line, body: Uint8Array | undefined): Promise<void> {
    const { key } = line
    const digest = body && digestOf(body)
    line.may = [...line.may, digest]
    try {
      const client = this.server.client()
      const { status } = await client.call(body ? "PUT" : "DELETE", { bucket: BUCKET, key, ...(body && { body }) })
      if (status !== 200 && status !== 204) return
      line.may = [digest]
      this.writes += 1
    } catch {
      await later(RETRY_MS)
    }
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

  private async stat(): Promise<z.output<typeof STAT>> {
    return STAT.parse(await this.server.report(`/v1/buckets/${BUCKET}/packing`))
  }

  async run(): Promise<void> {
    for (const line of this.lines) await this.attempt(line, this.random.bytes(1 + this.random.below(BYTES_MAX)))
    const working = Promise.all(Array.from({ length: WRITERS }, (_, writer) => this.write(writer)))
    try {
      for (let kills = 0; kills < KILLS; kills += 1) {
        await this.pack()
        const until = this.writes + WRITES_BETWEEN_KILLS + this.random.below(WRITES_BETWEEN_KILLS)
        while (this.writes < until) await Promise.race([later(5), working])
        this.packs += (await this.stat()).pass?.packs ?? 0
        await this.pack()
        await this.server.kill()
        await this.server.launch()
        for (const line of this.lines) await this.check(line)
      }
    } finally {
      this.isOver = true
    }
    await working
  }

  /** Whether the object was read. */
  private async check({ key, may }: Line): Promise<boolean> {
    const { status, body } = await this.server.client().call("GET", { bucket: BUCKET, key })
    if (status !== 404 && status !== 200) return false
    const found = status === 404 ? undefined : digestOf(body)
    // A write may have been acknowledged since the list was read.
    const now = this.lines.find(line => line.key === key)?.may ?? []
    assert.ok(may.includes(found) || now.includes(found), `${key} has other bytes than were written`)
    return true
  }

  async end(): Promise<void> {
    await this.pack()
    while ((await this.stat()).packedObjects === 0) await later(200)
    for (const line of this.lines) assert.ok(await this.check(line), `${line.key} can be read`)
    for (const { key } of this.lines) await this.server.client().call("DELETE", { bucket: BUCKET, key })
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
        const story = new Story(server, new SimRandom(TEST_SEED))
        await story.run()
        await story.end()
        assert.ok(story.packs > 0, "objects were packed between kills")
        await shrinksTo(server, before + LEFT_BYTES)
      } finally {
        await server.stop()
      }
    }),
)
