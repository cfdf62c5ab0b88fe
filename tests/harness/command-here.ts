/**
 * Runs a command line of Hayloft in this process, which costs a fraction of a process of its own: arguments in; output and
 * exit code out, as `run` of `commands.ts` returns them.
 *
 * Limits  Standard input is empty. Commands that start programs or a whole store, or read whole devices, need a process.
 */
import assert from "node:assert/strict"
import { hostname } from "node:os"
import { testIo } from "../../src/cli/testing-io.js"
import { run } from "../../src/cli/program.js"
import { RealClock } from "../../src/seams/clock/real.js"
import type { CommandResult } from "./commands.js"

const COMMAND_TIMEOUT_MS = 120_000
const WITH_PROCESS: readonly string[] = ["serve", "dev", "lock", "rescue", "volume"]

/** Returns true if a command needs a process of its own. */
export const needsProcess = ([command = ""]: readonly string[]): boolean => WITH_PROCESS.includes(command)

/** `environment`: variables added to those of this process. */
export async function runHere(args: readonly string[], environment: NodeJS.ProcessEnv): Promise<CommandResult> {
  assert.ok(!needsProcess(args), args.join(" "))
  const chunks: Buffer[] = []
  const { io, written } = testIo({
    environment: { ...process.env, ...environment },
    workingFolder: process.cwd(),
    hostName: hostname(),
    clock: new RealClock(),
    out: async data => void chunks.push(Buffer.from(data)),
  })
  const code = await run(args, io, AbortSignal.timeout(COMMAND_TIMEOUT_MS))
  return { code, stdout: Buffer.concat(chunks).toString("utf8"), stderr: written.error }
}
