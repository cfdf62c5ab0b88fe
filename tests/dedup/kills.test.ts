/**
 * A server with a deduplicated bucket that is killed again and again while clients write and delete objects that share blocks, whole and in
 * parts: what was acknowledged keeps its bytes, and after everything is deleted nothing is stored. `npm run dedup-kills` does it
 * with many kills.
 */
import { test } from "node:test"
import { must } from "../../src/base/assert.js"
import { TEST_SEED } from "../../src/base/testing-seed.js"
import { SimRandom } from "../../src/seams/random/sim.js"
import { withFolder } from "../harness/folders.js"
import { KilledWriters, type Line } from "../harness/killed-writers.js"
import type { ServerProcess } from "../harness/server.js"
import { BUCKET, liveBytes, shrinksTo, startDedup } from "./world.js"

const KILLS = Number(process.env["DEDUP_KILLS"] ?? 3)
const KEYS = 6
const WRITES_BETWEEN_KILLS = 12
const MIB = 1024 * 1024
const BLOCK_BYTES = MIB
/** The part size of uploads in parts. */
const PART_BYTES = 5 * MIB
/** Bytes of rows and of headers that stay. */
const LEFT_BYTES = 64 * 1024

class Story extends KilledWriters {
  private readonly blocks: readonly Uint8Array[]
  private readonly parts: readonly Uint8Array[]

  constructor(server: ServerProcess, random: SimRandom) {
    const keys = Array.from({ length: KEYS }, (_, i) => `k${i}`)
    super(server, random, BUCKET, keys)
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

  private async writeOn(line: Line): Promise<void> {
    while (!this.isOver) {
      const choice = this.random.below(10)
      if (choice < 2) await this.write(line, undefined)
      else if (choice >= 4) await this.write(line, this.body())
      else {
        const parts = [this.pick(this.parts), this.body()]
        await this.write(line, Buffer.concat(parts), () => this.upload(line.key, parts))
      }
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

  async run(): Promise<void> {
    const working = Promise.all(this.lines.map(line => this.writeOn(line)))
    await this.killWhile(working, { kills: KILLS, writesBetween: WRITES_BETWEEN_KILLS })
  }

  async end(): Promise<void> {
    await this.check()
    const client = this.server.client()
    const { text } = await client.call("GET", { bucket: BUCKET, query: "uploads" })
    for (const [, key = "", id = ""] of text.matchAll(/<Key>(.*?)<\/Key><UploadId>(.*?)<\/UploadId>/g))
      await client.call("DELETE", { bucket: BUCKET, key, query: `uploadId=${id}` })
    await this.removeAll()
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
