/** Twenty storms: the healthy engine loses nothing. More of them by `npm run sim`. */
import { test } from "node:test"
import { Storm } from "./storm.js"

const DEVICES = [1, 2, 4, 7]

for (let seed = 1; seed <= 20; seed += 1) {
  const devices = DEVICES[seed % DEVICES.length] ?? 1
  test(`a storm loses nothing (npm run sim -- --seed ${seed} --devices ${devices} --rounds 3)`, async () => {
    await new Storm({ seed, devices, rounds: 3, clients: 8, lifeMsMax: 300 }).run()
  })
}
