/**
 * How much tests with random values do. Each says what a landing needs; `TEST_EFFORT` multiplies it
 * (`npm test -- NAME --effort N`), and a soak runs them with more and with fresh seeds.
 */
import { TEST_SEED } from "./testing-seed.js"

function effortIn(text: string | undefined): number {
  if (text === undefined || text === "") return 1
  if (/^[1-9]\d{0,5}$/.test(text)) return Number(text)
  throw new Error(`TEST_EFFORT must be a whole number from 1 to 999999, not ${text}`)
}

const TEST_EFFORT = effortIn(process.env["TEST_EFFORT"])

/** `count`: what a landing needs. */
export const timesOf = (count: number): number => count * TEST_EFFORT

/** As many seeds, the first of which is that of all tests. */
export const seedsOf = (count: number): readonly number[] =>
  Array.from({ length: timesOf(count) }, (_, at) => TEST_SEED + at)
