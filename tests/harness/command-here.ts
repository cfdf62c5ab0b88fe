/**
 * Runs a command line of Hayloft in this process, which costs a fraction of a process of its own: arguments in; output and
 * exit code out, as `run` of `commands.ts` returns them.
 *
 * Limits  Standard input is empty. Commands that start programs or are a store need a process.
 */
import { pathToFileURL } from "node:url"
import { runHere } from "@hayloft/cli/testing-here.js"
import type { CommandResult } from "./commands.js"

const OF_PROCESSES: readonly string[] = ["serve", "dev", "lock", "rescue", "volume"]

/** Returns true if a command needs a process of its own beside a store that runs: it is one, starts one, or reads whole devices. */
export const needsProcess = ([command = ""]: readonly string[]): boolean => OF_PROCESSES.includes(command)

/** `environment`: variables added to those of this process that are not Hayloft's or Amazon's. */
export const hayloftHere = (args: readonly string[], environment: NodeJS.ProcessEnv = {}): Promise<CommandResult> =>
  runWith(runHere, args, environment)

type RunHere = typeof runHere

async function runWith(
  runIn: RunHere,
  args: readonly string[],
  environment: NodeJS.ProcessEnv,
): Promise<CommandResult> {
  const { code, out, error } = await runIn(args, { environment })
  return { code, stdout: out.toString("utf8"), stderr: error }
}

/**
 * The same with the program of another checkout, whose modules are loaded once for all its commands. `root`: its folder,
 * with a slash at the end.
 */
export async function hayloftOf(root: string): Promise<typeof hayloftHere> {
  const file = pathToFileURL(`${root}dist/packages/cli/src/testing-here.js`)
  const other = (await import(file.href)) as { readonly runHere: RunHere }
  return (args, environment = {}) => runWith(other.runHere, args, environment)
}
