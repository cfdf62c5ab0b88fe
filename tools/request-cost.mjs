/**
 * `npm run request-cost`: files, functions and calls behind one request of each form (bench/request-cost.ts).
 * Builds the checkout first.
 */
import { build } from "./build.mjs"

try {
  await build()
  const { requestCost } = await import("../dist/bench/request-cost.js")
  process.exitCode = await requestCost(process.argv.slice(2))
} catch (error) {
  process.stderr.write(`request-cost: ${error instanceof Error ? error.message : error}\n`)
  process.exitCode = 1
}
