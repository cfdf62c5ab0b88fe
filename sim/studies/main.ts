/**
 * `npm run study -- chord|gossip|quorum [--nodes N] [--seed S]`: plays a study and prints its tables, which are those of its
 * page in `docs/design/studies/` unless another number of nodes or another seed is given.
 */
import { parseArgs } from "node:util"
import { assert } from "@hayloft/base/assert.js"
import { markdownOf, PAGE_SEED, STUDIES } from "./index.js"

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { nodes: { type: "string" }, seed: { type: "string", default: String(PAGE_SEED) } },
})

const [name = ""] = positionals
const study = Object.hasOwn(STUDIES, name) ? STUDIES[name] : undefined
assert(study !== undefined, () => `no study "${name}"; there are: ${Object.keys(STUDIES).join(", ")}`)
const options = { nodes: Number(values.nodes ?? study.nodes), seed: Number(values.seed) }
const isWhole = Object.values(options).every(value => Number.isSafeInteger(value) && value > 0)
assert(isWhole, "--nodes and --seed are whole numbers from 1")
for (const [title, table] of Object.entries(study.run(options))) {
  process.stdout.write(`${title}\n\n${markdownOf(table)}\n\n`)
}
