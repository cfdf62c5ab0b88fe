/**
 * Writers of a server that is killed again and again: what a read may return of each object.
 *
 * An acknowledged write is what a read returns. A write without an answer may have been done, so both count until the
 * next one is acknowledged. Each key has one writer at a time.
 */
import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { must } from "@hayloft/base/assert.js"
import type { KillWorld } from "./plugin.js"

/** A key, and the digests of the contents that a read may return; undefined: no object. */
export interface Line {
  readonly key: string
  may: readonly (string | undefined)[]
}

const digestOf = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex")

export class KilledWriters {
  readonly lines: readonly Line[]
  done = 0

  constructor(
    protected readonly world: KillWorld,
    protected readonly bucket: string,
    keys: readonly string[],
  ) {
    this.lines = keys.map(key => ({ key, may: [undefined] }))
  }

  protected pick<T>(list: readonly T[]): T {
    return must(list[this.world.random.below(list.length)], "the list has items")
  }

  /** A PUT of these bytes, or a DELETE. `send` does it in another way, and returns whether it was acknowledged. */
  protected async write(
    line: Line,
    body: Uint8Array | undefined,
    send = () => this.request(line.key, body),
  ): Promise<void> {
    const digest = body && digestOf(body)
    line.may = [...line.may, digest]
    await this.world.turn()
    if (!(await send().catch(() => false))) return
    line.may = [digest]
    this.done += 1
  }

  private async request(key: string, body: Uint8Array | undefined): Promise<boolean> {
    const { bucket } = this
    const client = this.world.near.client()
    if (body === undefined) return (await client.call("DELETE", { bucket, key })).status === 204
    return (await client.call("PUT", { bucket, key, body })).status === 200
  }

  /** Reads every object. */
  async check(): Promise<void> {
    for (const line of this.lines) {
      const { key, may } = line
      const { status, body } = await this.world.near.client().call("GET", { bucket: this.bucket, key })
      assert.ok(status === 200 || status === 404, `${key} can be read: ${status}`)
      const found = status === 404 ? undefined : digestOf(body)
      assert.ok(may.includes(found), `${key} has other bytes than were written`)
    }
  }

  protected async removeLines(): Promise<void> {
    const { bucket } = this
    for (const { key } of this.lines) await this.world.near.client().call("DELETE", { bucket, key })
  }
}
