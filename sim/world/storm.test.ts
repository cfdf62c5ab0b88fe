/** Twelve storms, in which the engine must lose nothing. `npm run sim` runs more. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { Storm } from "./storm.js"

const DEVICES = [1, 2, 4, 7]

for (let seed = 1; seed <= 12; seed += 1) {
  const devices = DEVICES[seed % DEVICES.length] ?? 1
  test(`a storm loses nothing (npm run sim -- --seed ${seed} --devices ${devices} --rounds 3)`, async () => {
    await new Storm({ seed, devices, rounds: 3, clients: 8, lifeMsMax: 300, versioned: seed % 3 === 0 }).run()
  })
}

for (let seed = 21; seed <= 26; seed += 1) {
  test(`a storm over objects that end loses nothing (seed ${seed})`, async () => {
    const devices = DEVICES[seed % DEVICES.length] ?? 1
    await new Storm({ seed, devices, rounds: 3, clients: 8, lifeMsMax: 300, ends: true }).run()
  })
}

test("the same seed gives the same run", async () => {
  const stories: string[] = []
  for (let run = 0; run < 2; run += 1) {
    const storm = new Storm({ seed: 77, devices: 2, rounds: 2, clients: 6, lifeMsMax: 150 })
    await storm.run()
    stories.push(storm.observer.story())
  }
  assert.equal(stories[0], stories[1])
})
