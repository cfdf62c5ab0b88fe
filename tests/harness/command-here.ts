/**
 * Runs a command line of Hayloft in this process, which costs a fraction of a process of its own: arguments in; output and
 * exit code out, as `run` of `commands.ts` returns them.
 *
 * Limits  Standard input is empty. Commands that start programs or are a store need a process.
 */
import { runHere } from "@hayloft/cli/testing-here.js"
import type { CommandResult } from "./commands.js"

const OF_PROCESSES: readonly string[] = ["serve", "dev", "lock", "rescue", "volume"]

/** Returns true if a command needs a process of its own beside a store that runs: it is one, starts one, or reads whole devices. */
export const needsProcess = ([command = ""]: readonly string[]): boolean => OF_PROCESSES.includes(command)

/** `environment`: variables added to those of this process that are not Hayloft's or Amazon's. */
export async function hayloftHere(
  args: readonly string[],
  environment: NodeJS.ProcessEnv = {},
): Promise<CommandResult> {
  const { code, out, error } = await runHere(args, { environment })
  return { code, stdout: out.toString("utf8"), stderr: error }
}
