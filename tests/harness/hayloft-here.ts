/** The command line in the process of the test: for commands on files, where starting a process is most of the work. */
import { runHere } from "../../src/cli/testing-here.js"
import type { CommandResult } from "./commands.js"

/** Runs a command that starts no server and no other program. */
export async function hayloftHere(...args: readonly string[]): Promise<CommandResult> {
  const { code, out, error } = await runHere(args)
  return { code, stdout: out.toString("utf8"), stderr: error }
}
