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

for (const [seed, devices] of [
  [21, 1],
  [22, 2],
  [23, 4],
  [24, 7],
] as const) {
  test(`engine and model agree about encrypted objects (seed ${seed}, ${devices} devices)`, () =>
    new Twins({ seed, devices, steps: 200, hasEncryption: true }).run())
}

for (const [seed, devices] of [
  [31, 1],
  [32, 4],
  [33, 7],
] as const) {
  test(`engine and model agree about appends (seed ${seed}, ${devices} devices)`, () =>
    new Twins({ seed, devices, steps: 300, hasAppends: true }).run())
}

for (const [seed, devices] of [
  [7, 1],
  [15, 1],
  [18, 4],
] as const) {
  test(`engine and model agree about object lock (seed ${seed}, ${devices} devices)`, () =>
    new Twins({ seed, devices, steps: 200, hasLock: true }).run())
}
