/** A few storms: the healthy engine loses nothing. More of them by `npm run sim`. */
import { test } from "node:test"
import { Storm } from "./storm.js"

for (const [seed, devices] of [
  [1, 1],
  [2, 2],
  [3, 4],
  [4, 7],
] as const) {
  test(`a storm on ${devices} devices loses nothing (seed ${seed})`, async () => {
    await new Storm({ seed, devices, rounds: 5, clients: 8, lifeMsMax: 300 }).run()
  })
}
