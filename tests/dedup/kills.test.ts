/**
 * A server with a deduplicated bucket that is killed again and again while clients write and delete objects that share blocks, whole and in
 * parts: what was acknowledged keeps its bytes, and after everything is deleted nothing is stored. `npm run dedup-kills` does it
 * with many kills.
 */
import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { test } from "node:test"
import { setTimeout as later } from "node:timers/promises"
import { must } from "../../src/base/assert.js"
import { TEST_SEED } from "../../src/base/testing-seed.js"
import { SimRandom } from "../../src/seams/random/sim.js"
import { withFolder } from "../harness/folders.js"
import type { ServerProcess } from "../harness/server.js"
import { BUCKET, liveBytes, shrinksTo, startDedup } from "./world.js"

const KILLS = Number(process.env["DEDUP_KILLS"] ?? 3)
const KEYS = 6
const WRITES_BETWEEN_KILLS = 12
const RETRY_MS = 20
const MIB = 1024 * 1024
const BLOCK_BYTES = MIB
/** The part size of uploads in parts. */
const PART_BYTES = 5 * MIB
/** Bytes of rows and of headers that stay. */
const LEFT_BYTES = 64 * 1024

/** Each key has one writer. */
interface Line {
  readonly key: string
  /** Contents that a read may return: the last acknowledged write, and the unacknowledged ones after it. Undefined: no object. */
  may: readonly (string | undefined)[]
}

const digestOf = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex")

class Story {
  readonly lines: readonly Line[] = Array.from({ length: KEYS }, (_, i) => ({ key: `k${i}`, may: [undefined] }))
  writes = 0
  private isOver = false
  private readonly blocks: readonly Uint8Array[]
  private readonly parts: readonly Uint8Array[]

  constructor(
    private readonly server: ServerProcess,
    private readonly random: SimRandom,
  ) {
    this.blocks = Array.from({ length: 4 }, () => random.bytes(BLOCK_BYTES))
    this.parts = Array.from({ length: 2 }, () => random.bytes(PART_BYTES))
  }

  private pick<T>(list: readonly T[]): T {
    return must(list[this.random.below(list.length)], "the list has items")
  }

  private body(): Buffer {
    const blocks = Array.from({ length: 1 + this.random.below(5) }, () => this.pick(this.blocks))
    return Buffer.concat([...blocks, this.random.bytes(this.pick([0, 1, 70_000]))])
  }

  async write(line: Line): Promise<void> {
    while (!this.isOver) {
      const choice = this.random.below(10)
      const parts = choice < 2 ? undefined : choice < 4 ? [this.pick(this.parts), this.body()] : [this.body()]
      const digest = parts && digestOf(Buffer.concat(parts))
      line.may = [...line.may, digest]
      const isDone = await this.attempt(line.key, parts)
      if (isDone) {
        line.may = [digest]
        this.writes += 1
      } else await later(RETRY_MS)
    }
  }

  private async attempt(key: string, parts: readonly Uint8Array[] | undefined): Promise<boolean> {
    const client = this.server.client()
    try {
      if (parts === undefined) return (await client.call("DELETE", { bucket: BUCKET, key })).status === 204
      const [body, second] = parts
      if (body === undefined || second !== undefined) return await this.upload(key, parts)
      return (await client.call("PUT", { bucket: BUCKET, key, body })).status === 200
    } catch {
      return false
    }
  }

  private async upload(key: string, parts: readonly Uint8Array[]): Promise<boolean> {
    const client = this.server.client()
    const created = await client.call("POST", { bucket: BUCKET, key, query: "uploads" })
    const [, id] = /<UploadId>(.*?)<\/UploadId>/.exec(created.text) ?? []
    if (id === undefined) return false
    const listed: string[] = []
    for (const [i, body] of parts.entries()) {
      const query = `partNumber=${i + 1}&uploadId=${id}`
      const stored = await client.call("PUT", { bucket: BUCKET, key, query, body })
      const etag = stored.header("etag")
      if (stored.status !== 200 || etag === undefined) return false
      listed.push(`<Part><PartNumber>${i + 1}</PartNumber><ETag>${etag}</ETag></Part>`)
    }
    const body = `<CompleteMultipartUpload>${listed.join("")}</CompleteMultipartUpload>`
    const { status, text } = await client.call("POST", { bucket: BUCKET, key, query: `uploadId=${id}`, body })
    return status === 200 && !text.includes("<Error>")
  }

  /** Returns whether the object was read. */
  async check({ key, may }: Line): Promise<boolean> {
    try {
      const { status, body } = await this.server.client().call("GET", { bucket: BUCKET, key })
      if (status !== 404 && status !== 200) return false
      const found = status === 404 ? undefined : digestOf(body)
      assert.ok(may.includes(found), `${key} has other bytes than were written`)
      return true
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error
      return false
    }
  }

  async run(): Promise<void> {
    const working = Promise.all(this.lines.map(line => this.write(line)))
    try {
      for (let kills = 0; kills < KILLS; kills += 1) {
        const until = this.writes + WRITES_BETWEEN_KILLS + this.random.below(WRITES_BETWEEN_KILLS)
        while (this.writes < until) await Promise.race([later(5), working])
        await this.server.kill()
        await this.server.launch()
      }
    } finally {
      this.isOver = true
    }
    await working
  }

  async end(): Promise<void> {
    const client = this.server.client()
    for (const line of this.lines) assert.ok(await this.check(line), `${line.key} can be read`)
    const { text } = await client.call("GET", { bucket: BUCKET, query: "uploads" })
    for (const [, key = "", id = ""] of text.matchAll(/<Key>(.*?)<\/Key><UploadId>(.*?)<\/UploadId>/g))
      await client.call("DELETE", { bucket: BUCKET, key, query: `uploadId=${id}` })
    for (const { key } of this.lines) await client.call("DELETE", { bucket: BUCKET, key })
  }
}

test(`killed ${KILLS} times: each object has its bytes, and deleted ones leave none`, { timeout: 900_000 }, () =>
  withFolder(async folder => {
    const server = await startDedup(folder, ["--block-size", String(BLOCK_BYTES)])
    try {
      const before = await liveBytes(server)
      const story = new Story(server, new SimRandom(TEST_SEED))
      await story.run()
      await story.end()
      // Bytes that a kill has left without a row wait a day for their removal; those that rows had are gone.
      const leftOver = KILLS * KEYS * (PART_BYTES + 6 * BLOCK_BYTES)
      await shrinksTo(server, before + leftOver + LEFT_BYTES)
    } finally {
      await server.stop()
    }
  }),
)
