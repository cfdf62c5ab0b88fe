/**
 * The engine responds as the model does, although its machine is stopped between requests. Each seed implies features and
 * devices; `npm run sim -- --kind twins` runs more.
 */
import { test } from "node:test"
import { seedsOf } from "@hayloft/base/testing-seed.js"
import { TWIN_FEATURES, twinsOf } from "./twin-options.js"
import { Twins } from "./twins.js"

const STEPS = 40
/** Rules need some days until they tell versions apart. */
const LIFECYCLE_STEPS = 75

for (const seed of seedsOf(TWIN_FEATURES)) {
  const { devices, hotCopies, ...features } = twinsOf(seed)
  const names = Object.keys(features).filter(name => name.startsWith("has"))
  const what = [`${devices} devices`, ...names, ...(hotCopies ? ["copies of blocks"] : [])].join(", ")
  test(`engine and model agree (seed ${seed}: ${what})`, () =>
    new Twins({ ...twinsOf(seed), steps: features.hasLifecycle === true ? LIFECYCLE_STEPS : STEPS }).run())
}
