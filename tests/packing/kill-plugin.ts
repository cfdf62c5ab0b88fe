/** Small objects that are packed, in the run of kills: what was acknowledged keeps its bytes, and deleted objects leave none. */
import assert from "node:assert/strict"
import { until } from "@hayloft/base/seams/clock/testing-until.js"
import { z } from "zod"
import type { KillPlugin, KillWorld } from "../kill/plugin.js"
import { KilledWriters, type Line } from "../kill/writers.js"

const KEYS = Array.from({ length: 24 }, (_, i) => `k${i}`)
const BUCKET = "small"
const BYTES_MAX = 9_000
const STAT = z.object({ packedObjects: z.number() })

export class PackedObjects extends KilledWriters implements KillPlugin {
  constructor(world: KillWorld) {
    super(world, BUCKET, KEYS)
  }

  private body(): Uint8Array {
    const { random } = this.world
    return random.bytes(1 + random.below(BYTES_MAX))
  }

  async begin(): Promise<void> {
    assert.equal((await this.world.near.client().call("PUT", { bucket: BUCKET })).status, 200)
    for (const line of this.lines) await this.write(line, this.body())
    await this.pack()
    await this.awaitPacked()
  }

  /** Each writer has keys of its own. */
  async work(): Promise<void> {
    const half = KEYS.length / 2
    await Promise.all([this.writeOn(this.lines.slice(0, half)), this.writeOn(this.lines.slice(half)), this.packOn()])
  }

  private async writeOn(lines: readonly Line[]): Promise<void> {
    while (!this.world.isOver) {
      await this.write(this.pick(lines), this.world.random.below(5) === 0 ? undefined : this.body())
    }
  }

  /** The job is always at work. */
  private async packOn(): Promise<void> {
    while (!this.world.isOver) {
      for (let i = 0; i < 10; i += 1) await this.world.turn()
      await this.admin("POST", "jobs/packing/wake").catch(() => undefined)
    }
  }

  /** Objects are packed from now on, without a pause after the pass before. */
  private async pack(): Promise<void> {
    await this.admin("PUT", `buckets/${BUCKET}/settings/packing`, { value: { afterSeconds: 0 } })
    await this.admin("POST", "jobs/packing/wake")
  }

  private async admin(method: string, path: string, body: unknown = {}): Promise<void> {
    const { near } = this.world
    const headers = { authorization: `Bearer ${await near.adminToken()}`, "content-type": "application/json" }
    const answer = await fetch(`${near.adminEndpoint}/v1/${path}`, { method, headers, body: JSON.stringify(body) })
    assert.ok(answer.ok, `${method} ${path}: ${answer.status} ${await answer.text()}`)
  }

  private async awaitPacked(): Promise<void> {
    const path = `/v1/buckets/${BUCKET}/packing`
    const isPacked = async (): Promise<boolean> => STAT.parse(await this.world.near.report(path)).packedObjects > 0
    await until("an object is packed", isPacked, 200)
  }

  async end(): Promise<void> {
    await this.check()
    for (const line of this.lines) await this.write(line, this.world.random.bytes(BYTES_MAX))
    await this.pack()
    await this.awaitPacked()
    await this.check()
  }

  async removeAll(): Promise<number> {
    await this.removeLines()
    return KEYS.length * BYTES_MAX
  }
}
