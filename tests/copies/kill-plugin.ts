/**
 * A bucket that is copied to another store in the run of kills, which kills that store too: in the end the target has what was
 * acknowledged.
 */
import assert from "node:assert/strict"
import { until } from "@hayloft/base/seams/clock/testing-until.js"
import type { KillPlugin, KillWorld } from "../kill/plugin.js"
import { listed } from "./world.js"

const KEYS = 3
const [BUCKET, TARGET] = ["photos", "data"]
/** One write in so many is a deletion. */
const DELETE_EVERY = 5
const POLL_MS = 100

export class CopiedBucket implements KillPlugin {
  done = 0

  constructor(private readonly world: KillWorld) {}

  async begin(): Promise<void> {
    const { near, far, random } = this.world
    for (const [server, bucket] of [
      [near, BUCKET],
      [far, TARGET],
    ] as const)
      assert.equal((await server.client().call("PUT", { bucket })).status, 200)
    const body = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    if (random.below(2) === 0) await near.client().call("PUT", { bucket: BUCKET, query: "versioning", body })
    await this.command("set", BUCKET, "--to", `far/${TARGET}`)
  }

  private async command(...args: readonly string[]): Promise<void> {
    const { code, stdout, stderr } = await this.world.near.hayloft(["copies", ...args])
    assert.equal(code, 0, `${args.join(" ")}: ${stdout}${stderr}`)
  }

  async work(): Promise<void> {
    for (let number = 1; !this.world.isOver; number += 1) {
      await this.world.turn()
      const [key, isDeletion] = [`k${number % KEYS}`, this.world.random.below(DELETE_EVERY) === 0]
      const body = `${key} ${number} ${"x".repeat((number * 997) % 20_000)}`
      const call = { bucket: BUCKET, key, ...(isDeletion ? {} : { body }) }
      const answer = await this.world.near
        .client()
        .call(isDeletion ? "DELETE" : "PUT", call)
        .catch(() => undefined)
      if (answer !== undefined && answer.status < 300) this.done += 1
    }
  }

  async end(): Promise<void> {
    const { near, far } = this.world
    await this.command("status", BUCKET, "--wait")
    assert.deepEqual(await listed(far, TARGET), await listed(near, BUCKET))
    const hasNoLag = async (): Promise<boolean> => /^hayloft_copies_lag_bytes\{[^}]*\} 0$/m.test(await near.metrics())
    await until("no bytes are left to copy", hasNoLag, POLL_MS)
  }
}
