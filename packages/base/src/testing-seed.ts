/**
 * The seed of all random values in tests, and how many random runs they do. `npm test` sets `TEST_SEED` to the seed of the
 * commit and prints it: each commit draws other values, and the same ones each time (`--seed N` repeats a run). A file that
 * is run by itself has a fixed seed. Each test says how many runs a landing needs; `TEST_TIMES` multiplies that
 * (`npm test -- NAME --times N`), as a soak does.
 */
const FIXED_SEED = 190_718

function numberIn(name: string, defaultValue: number): number {
  const text = process.env[name]
  if (text === undefined || text === "") return defaultValue
  if (/^\d{1,9}$/.test(text)) return Number(text)
  throw new Error(`${name} must be a whole number of at most nine digits, not ${text}`)
}

export const TEST_SEED = numberIn("TEST_SEED", FIXED_SEED)
const TEST_TIMES = numberIn("TEST_TIMES", 1)

/** `count`: the runs that a landing needs. */
export const runsOf = (count: number): number => count * TEST_TIMES

/** Returns one seed for each of those runs: that of all tests, and those that follow it. */
export const seedsOf = (count: number): readonly number[] =>
  Array.from({ length: runsOf(count) }, (_, at) => TEST_SEED + at)
