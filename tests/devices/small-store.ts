/** A bucket of small objects that is written and checked while disks fail and return. */
import assert from "node:assert/strict"
import { STORE_SCHEMAS } from "@hayloft/admin/index.js"
import { TEST_SEED } from "@hayloft/base/testing-seed.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import type { ServerProcess } from "../harness/server.js"
import { until } from "@hayloft/base/seams/clock/testing-until.js"
import { listObjects } from "../kill/quiet-checks.js"

const BUCKET = "survivors"
const SETTLE_POLL_MS = 250

/** The objects that the store must have, whatever happened to its disks. */
export class SmallStore {
  private readonly bodies = new Map<string, Buffer>()
  private readonly drawn = new SimRandom(TEST_SEED)

  constructor(private readonly sizes: readonly number[]) {}

  async make(server: ServerProcess): Promise<void> {
    assert.equal((await server.client().call("PUT", { bucket: BUCKET })).status, 200)
    await this.put(server, "first")
  }

  async put(server: ServerProcess, prefix: string): Promise<void> {
    for (const size of this.sizes) {
      const [key, body] = [`${prefix}/${size}`, Buffer.from(this.drawn.bytes(size))]
      const { status, text } = await server.client().call("PUT", { bucket: BUCKET, key, body })
      assert.equal(status, 200, text)
      this.bodies.set(key, body)
    }
  }

  async remove(server: ServerProcess, prefix: string): Promise<void> {
    for (const key of [...this.bodies.keys()].filter(each => each.startsWith(`${prefix}/`))) {
      const { status, text } = await server.client().call("DELETE", { bucket: BUCKET, key })
      assert.equal(status, 204, text)
      this.bodies.delete(key)
    }
  }

  /** Checks that exactly these objects exist, with their bytes. */
  async check(server: ServerProcess): Promise<void> {
    for (const [key, wanted] of this.bodies) {
      const { status, body } = await server.client().call("GET", { bucket: BUCKET, key })
      assert.equal(status, 200, key)
      assert.ok(body.equals(wanted), `${key} has its bytes`)
    }
    const listed = await listObjects(server.client(), BUCKET)
    assert.deepEqual(
      listed.map(({ key }) => key),
      [...this.bodies.keys()].sort(),
    )
  }
}

/** States of the devices by folder, from the running store. */
export async function statesOf(server: ServerProcess): Promise<Map<string, string>> {
  const { devices } = STORE_SCHEMAS.DEVICES.parse(await server.report("/v1/devices"))
  return new Map(devices.map(({ path = "", state }) => [path, state]))
}

/** Waits until every device has all its data and metadata. */
export async function settled(server: ServerProcess): Promise<void> {
  let found = ""
  const isSettled = async (): Promise<boolean> => {
    const { devices, metadata } = STORE_SCHEMAS.STATUS.parse(await server.report("/v1/status"))
    found = JSON.stringify({ devices, metadata })
    return devices.every(({ state }) => state === "active") && metadata.copies === metadata.copiesWanted
  }
  await until(() => `settled: ${found}`, isSettled, SETTLE_POLL_MS)
}
