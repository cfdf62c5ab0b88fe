/**
 * A store that is killed again and again while it copies a bucket and clients write, and a target that is killed too: in the end the
 * target has what was acknowledged. `npm run copies-kills` does it with many kills.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { setTimeout as later } from "node:timers/promises"
import { TEST_SEED } from "../../src/base/testing-seed.js"
import { SimRandom } from "../../src/seams/random/sim.js"
import { withFolder } from "../harness/folders.js"
import { CopiesWorld } from "./world.js"

const KILLS = Number(process.env["COPIES_KILLS"] ?? 2)
const KEYS = 6
const WRITES_BETWEEN_KILLS = 25
const RETRY_MS = 20
/** One write in so many is a deletion. */
const DELETE_EVERY = 5

for (const isVersioned of [false, true]) {
  test(`killed ${KILLS} times, ${isVersioned ? "with" : "without"} versions: the target has what was acknowledged`, () =>
    withFolder(async folder => {
      const world = await CopiesWorld.start(folder)
      let [isOver, writes] = [false, 0]
      const random = new SimRandom(TEST_SEED)
      const write = async (key: string): Promise<void> => {
        for (let number = 1; !isOver; number += 1) {
          const isDeletion = number % DELETE_EVERY === 0
          const body = `${key} ${number} ${"x".repeat((number * 997) % 20_000)}`
          const call = { bucket: "photos", key, ...(isDeletion ? {} : { body }) }
          try {
            const { status } = await world.clientOf("near").call(isDeletion ? "DELETE" : "PUT", call)
            if (status < 300) writes += 1
            else await later(RETRY_MS)
          } catch {
            await later(RETRY_MS)
          }
        }
      }
      try {
        const enabled = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
        if (isVersioned) await world.at("near", "PUT", { bucket: "photos", query: "versioning", body: enabled })
        await world.run("near", "copies", "set", "photos", "--to", "far/data")
        const writing = Promise.all(Array.from({ length: KEYS }, (_, i) => write(`k${i}`)))
        for (let kills = 0; kills < KILLS; kills += 1) {
          const until = writes + WRITES_BETWEEN_KILLS + random.below(WRITES_BETWEEN_KILLS)
          while (writes < until) await Promise.race([later(5), writing])
          const killed = kills % 2 === 0 ? world.near : world.far
          await killed.kill()
          await killed.launch(killed === world.far ? [] : undefined)
        }
        isOver = true
        await writing
        await world.copied()
        const near = await world.list("near", "photos")
        assert.deepEqual(await world.list("far", "data"), near)
        assert.ok(writes > KILLS * WRITES_BETWEEN_KILLS)
        while ((await world.gauge("hayloft_copies_lag_bytes")) > 0) await later(RETRY_MS)
      } finally {
        isOver = true
        await world.stop()
      }
    }))
}
