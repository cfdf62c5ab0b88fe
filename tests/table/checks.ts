/**
 * Checks of table stores that planted bugs must fail. `model`, `crash`, `rot` and `full` run them on the program as it is,
 * which must pass them.
 */
import { TEST_SEED } from "@hayloft/base/testing-seed.js"
import { checkCrashes, checkSalvageCrashes } from "./crash.js"
import { checkFailures, preparedCommit } from "./full.js"
import { checkModel } from "./model.js"
import { checkExchangedBlocks, checkOlderManifest, checkRot } from "./rot.js"

export const TABLE_CHECKS = {
  model: (seed = TEST_SEED) => checkModel(seed),
  crashes: (seed = TEST_SEED) => checkCrashes(seed, { subsetsMax: 2, deepEvery: 500 }),
  salvage: () => checkSalvageCrashes(2),
  rot: () => checkRot(1, 2),
  "older manifest": () => checkOlderManifest(3),
  "exchanged blocks": () => checkExchangedBlocks(),
  failures: async () => checkFailures(await preparedCommit(3), false),
}
