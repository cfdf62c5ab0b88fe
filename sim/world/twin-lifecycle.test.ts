/** What lifecycle removes from the engine is what the model says, in random histories of some weeks. */
import { test } from "node:test"
import { Twins } from "./twins.js"

for (const [seed, hasLock] of [
  [1, false],
  [2, false],
  [3, false],
  [4, true],
  [5, false],
  [6, true],
  [7, true],
  [8, false],
] as const) {
  test(`engine and model agree about lifecycle (seed ${seed}${hasLock ? ", object lock" : ""})`, () =>
    new Twins({ seed, devices: 1, steps: 250, hasLock, hasLifecycle: true }).run())
}
