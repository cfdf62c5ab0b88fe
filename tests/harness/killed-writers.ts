/**
 * Writers of a server that is killed again and again: what a read may return of each object.
 *
 * An acknowledged write is what a read returns. A write without an answer may have been done, so both count until the
 * next one is acknowledged. Each key has one writer at a time.
 */
import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { setTimeout as later } from "node:timers/promises"
import type { SimRandom } from "../../src/seams/random/sim.js"
import type { ServerProcess } from "./server.js"

const RETRY_MS = 20

/** A key, and the digests of the contents that a read may return; undefined: no object. */
export interface Line {
  readonly key: string
  may: readonly (string | undefined)[]
}

const digestOf = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex")

interface Kills {
  readonly kills: number
  /** So many acknowledged writes, up to twice as many. */
  readonly writesBetween: number
  readonly before?: () => Promise<void>
  readonly after?: () => Promise<void>
}

export class KilledWriters {
  readonly lines: readonly Line[]
  /** Acknowledged ones. */
  writes = 0
  protected isOver = false

  constructor(
    protected readonly server: ServerProcess,
    protected readonly random: SimRandom,
    protected readonly bucket: string,
    keys: readonly string[],
  ) {
    this.lines = keys.map(key => ({ key, may: [undefined] }))
  }

  /** A PUT of these bytes, or a DELETE. `send` does it in another way, and returns whether it was acknowledged. */
  protected async write(
    line: Line,
    body: Uint8Array | undefined,
    send = () => this.request(line.key, body),
  ): Promise<void> {
    const digest = body && digestOf(body)
    line.may = [...line.may, digest]
    if (await send().catch(() => false)) {
      line.may = [digest]
      this.writes += 1
    } else await later(RETRY_MS)
  }

  private async request(key: string, body: Uint8Array | undefined): Promise<boolean> {
    const { bucket } = this
    const client = this.server.client()
    if (body === undefined) return (await client.call("DELETE", { bucket, key })).status === 204
    return (await client.call("PUT", { bucket, key, body })).status === 200
  }

  /** Kills the server while the writers work, which end when `isOver`. */
  protected async killWhile(working: Promise<unknown>, { kills, writesBetween, before, after }: Kills): Promise<void> {
    try {
      for (let i = 0; i < kills; i += 1) {
        const until = this.writes + writesBetween + this.random.below(writesBetween)
        while (this.writes < until) await Promise.race([later(5), working])
        await before?.()
        await this.server.kill()
        await this.server.launch()
        await after?.()
      }
    } finally {
      this.isOver = true
    }
    await working
  }

  /** Reads every object. */
  async check(): Promise<void> {
    for (const line of this.lines) {
      const { key, may } = line
      const { status, body } = await this.server.client().call("GET", { bucket: this.bucket, key })
      assert.ok(status === 200 || status === 404, `${key} can be read: ${status}`)
      const found = status === 404 ? undefined : digestOf(body)
      // A write that was sent meanwhile may be what was read.
      assert.ok(may.includes(found) || line.may.includes(found), `${key} has other bytes than were written`)
    }
  }

  async removeAll(): Promise<void> {
    const { bucket } = this
    for (const { key } of this.lines) await this.server.client().call("DELETE", { bucket, key })
  }
}
