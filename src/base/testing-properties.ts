/** fast-check with the seed of all tests: what is not given a seed of its own draws the same each time. */
import fc from "fast-check"
import { TEST_SEED } from "./testing-seed.js"

fc.configureGlobal({ seed: TEST_SEED })

export { fc }
