/** Storms, in which the engine must lose nothing. `npm run sim` runs more. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { seedsOf } from "@hayloft/base/testing-seed.js"
import { Storm, stormOf } from "./storm.js"

const ROUNDS = 2

for (const seed of seedsOf(3)) {
  const options = stormOf(seed)
  test(`a storm loses nothing (npm run sim -- --seed ${seed} --devices ${options.devices} --rounds ${ROUNDS})`, async () => {
    const storm = new Storm({ ...options, rounds: ROUNDS })
    await storm.run()
    if (options.hotCopies === undefined) return
    assert.ok(storm.world.telemetry.metric("hayloft_hot_copies_made_total") > 0, "copies were made")
  })
}

test("the same seed gives the same run, also with fronts", async () => {
  for (const fronts of [0, 2]) {
    const stories: string[] = []
    for (let run = 0; run < 2; run += 1) {
      const storm = new Storm({ seed: 77, devices: 2, rounds: 1, clients: 3, lifeMsMax: 100, fronts })
      await storm.run()
      stories.push(storm.observer.story())
    }
    assert.equal(stories[0], stories[1])
  }
})
