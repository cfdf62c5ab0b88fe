/**
 * The seed of a run, from which its tests draw all random values: that of the commit, so that each commit tries other values,
 * and a run of it can be repeated. Processes of the run know it from `TEST_SEED`.
 */
import { spawnSync } from "node:child_process"
import { randomInt } from "node:crypto"
import { ROOT } from "./files.mjs"

const SEED_LIMIT = 1_000_000
/** They have more values than there are seeds. */
const HASH_DIGITS = 8

/** The seed of HEAD. An archive of the source has no commit, and always the same one. */
function seedOfCommit() {
  const { status, stdout } = spawnSync("git", ["rev-parse", "HEAD"], { cwd: ROOT, encoding: "utf8" })
  return status === 0 ? String(Number.parseInt(stdout.slice(0, HASH_DIGITS), 16) % SEED_LIMIT) : "0"
}

/** `named`: the one of the command line, a number or `random`. Returns undefined if it is neither. */
export function seedOfRun(named = process.env.TEST_SEED ?? seedOfCommit()) {
  const seed = named === "random" ? String(randomInt(SEED_LIMIT)) : named
  return /^\d{1,9}$/.test(seed) ? seed : undefined
}
