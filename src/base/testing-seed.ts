/**
 * The seed of all random values in tests: fixed, so that `npm test` does the same each time. `TEST_SEED` sets another
 * (`npm test -- --seed N`, or `--seed random`, which generates one and prints it).
 */
const FIXED_SEED = 190_718

function seedIn(text: string | undefined): number {
  if (text === undefined || text === "") return FIXED_SEED
  if (/^\d{1,9}$/.test(text)) return Number(text)
  throw new Error(`TEST_SEED must be a whole number of at most nine digits, not ${text}`)
}

export const TEST_SEED = seedIn(process.env["TEST_SEED"])
