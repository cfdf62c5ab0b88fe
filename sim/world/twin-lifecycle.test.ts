/** Tests that lifecycle removes from the engine what the model says, in random histories of some weeks. */
import { test } from "node:test"
import { Twins } from "./twins.js"

for (const [seed, hasLock] of [
  [1, false],
  [2, false],
  [4, true],
  [6, true],
] as const) {
  test(`engine and model agree about lifecycle (seed ${seed}${hasLock ? ", object lock" : ""})`, () =>
    new Twins({ seed, devices: 1, steps: 250, hasLock, hasLifecycle: true }).run())
}
