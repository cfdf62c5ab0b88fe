/** fast-check with the seed of all tests: a property without its own seed generates the same values each time. */
import fc from "fast-check"
import { TEST_SEED } from "./testing-seed.js"

fc.configureGlobal({ seed: TEST_SEED })

export { fc }
