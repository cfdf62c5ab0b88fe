/**
 * Servers of tests that have front threads: by their options, or all of them that can, if `TEST_THREADS` is their number, so
 * that every suite can run against threads (`TEST_THREADS=2 npm test -- tests/clients`). They run under Node 24.
 */
import { NODE_24, noNode24 } from "./new-node.js"

type Environment = Readonly<Record<string, string>>

/** Options of `serve` that say how many threads there are, or refuse them, and the variables that stand for them. */
const DECIDING: readonly (readonly [flag: string, variable: string])[] = [
  ["--threads", "HAYLOFT_THREADS"],
  ["--cluster", "HAYLOFT_CLUSTER"],
]

const isDecided = (args: readonly string[], env: Environment): boolean =>
  DECIDING.some(([flag, variable]) => variable in env || args.some(arg => arg.split("=")[0] === flag))

/** The number of front threads of a server that does not say it itself. */
export const threadsOfRun = (args: readonly string[], env: Environment): number =>
  isDecided(args, env) ? 0 : Number(process.env["TEST_THREADS"] ?? 0)

/** Returns the program and the variables of a server with so many front threads. Throws if there is no Node 24. */
export function withThreads(threads: number): { readonly node: string; readonly env: Environment } {
  if (NODE_24 === undefined) throw new Error(String(noNode24))
  return { node: NODE_24, env: { HAYLOFT_THREADS: String(threads) } }
}
