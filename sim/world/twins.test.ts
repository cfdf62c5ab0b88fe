/** The engine responds as the model does, although its machine is stopped between requests. */
import { test } from "node:test"
import { Twins } from "./twins.js"

for (const [seed, devices] of [
  [1, 1],
  [2, 1],
  [3, 2],
  [4, 4],
  [5, 7],
  [6, 1],
] as const) {
  test(`engine and model agree (seed ${seed}, ${devices} devices)`, () =>
    new Twins({ seed, devices, steps: 120 }).run())
}
