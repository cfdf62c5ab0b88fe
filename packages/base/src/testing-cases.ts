/** Long rows of cases whose neighbours are nearly equal: a landing takes a part of them, and a soak all. */
import { runsOf, TEST_SEED } from "./testing-seed.js"

/** Returns every `step`th of the cases, from one that the seed draws; all of them where tests do more runs (`--times`). */
export const everyOf = <T>(cases: readonly T[], step: number): readonly T[] =>
  runsOf(1) > 1 ? cases : cases.filter((_, at) => at % step === TEST_SEED % step)
