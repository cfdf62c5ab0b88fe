/**
 * A deduplicated bucket in the run of kills: clients write and delete objects that share blocks, whole and in parts. What was
 * acknowledged keeps its bytes, and deleted objects leave none.
 */
import assert from "node:assert/strict"
import { must } from "@hayloft/base/assert.js"
import type { KillPlugin, KillWorld } from "../kill/plugin.js"
import { KilledWriters, type Line } from "../kill/writers.js"
import { allowDedup, BUCKET } from "./world.js"

const KEYS = ["k0", "k1", "k2"]
const MIB = 1024 * 1024
/** The block size of the server. */
const BLOCK_BYTES = MIB
/** The part size of uploads in parts. */
const PART_BYTES = 5 * MIB

export class SharedBlocks extends KilledWriters implements KillPlugin {
  private readonly blocks: readonly Uint8Array[]
  private readonly parts: readonly Uint8Array[]

  constructor(world: KillWorld) {
    super(world, BUCKET, KEYS)
    this.blocks = Array.from({ length: 3 }, () => world.random.bytes(BLOCK_BYTES))
    this.parts = Array.from({ length: 2 }, () =>
      Buffer.concat([
        world.random.bytes(PART_BYTES - 4 * BLOCK_BYTES),
        ...Array.from({ length: 4 }, () => this.pick(this.blocks)),
      ]),
    )
  }

  begin(): Promise<void> {
    return allowDedup(this.world.near, this.world.stores.folder, BUCKET)
  }

  private body(): Buffer {
    const blocks = Array.from({ length: 1 + this.world.random.below(3) }, () => this.pick(this.blocks))
    return Buffer.concat([...blocks, this.world.random.bytes(this.pick([0, 1, 70_000]))])
  }

  /** A client that changes one key after the other. */
  async work(): Promise<void> {
    while (!this.world.isOver) {
      const [line, choice] = [this.pick(this.lines), this.world.random.below(10)]
      if (choice < 2) await this.write(line, undefined)
      else if (choice >= 4) await this.write(line, this.body())
      else await this.writeInParts(line)
    }
  }

  private async writeInParts(line: Line): Promise<void> {
    const parts = [this.pick(this.parts), this.body()]
    await this.write(line, Buffer.concat(parts), () => this.upload(line.key, parts))
  }

  private async upload(key: string, parts: readonly Uint8Array[]): Promise<boolean> {
    const client = this.world.near.client()
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

  async end(): Promise<void> {
    await this.check()
    const client = this.world.near.client()
    const { text } = await client.call("GET", { bucket: BUCKET, query: "uploads" })
    for (const [, key = "", id = ""] of text.matchAll(/<Key>(.*?)<\/Key><UploadId>(.*?)<\/UploadId>/g))
      await client.call("DELETE", { bucket: BUCKET, key, query: `uploadId=${id}` })
    // Now all blocks are stored, most of them for several objects.
    const [first, ...others] = this.lines
    await this.write(must(first, "there are keys"), Buffer.concat(this.blocks))
    for (const line of others) await this.writeInParts(line)
    await this.check()
  }

  async removeAll(): Promise<number> {
    await this.removeLines()
    for (const { key } of this.lines)
      assert.equal((await this.world.near.client().call("HEAD", { bucket: BUCKET, key })).status, 404)
    return this.blocks.length * BLOCK_BYTES
  }
}
