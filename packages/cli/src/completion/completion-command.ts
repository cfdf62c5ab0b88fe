/**
 * `hayloft completion SHELL`: prints the completion script of a shell, made from this program.
 *
 * The script is static: a press of Tab starts no process and asks no store, so it never waits for a network and needs no
 * keys. Names of buckets and devices are not completed therefore (docs/decisions/0063).
 */
import { Argument, type Command } from "commander"
import { bashScript } from "./completion-bash.js"
import { completedCommand, type CompletedCommand } from "./completion.js"
import { fishScript } from "./completion-fish.js"
import { zshScript } from "./completion-zsh.js"
import type { CliIo } from "../io.js"

const SCRIPTS: Readonly<Record<string, (program: CompletedCommand) => string>> = {
  bash: bashScript,
  zsh: zshScript,
  fish: fishScript,
}

export function addCompletionCommand(program: Command, io: CliIo): void {
  const shells = Object.keys(SCRIPTS)
  program
    .command("completion")
    .description("print the completion script of a shell, to be loaded by its start file")
    .addArgument(new Argument(`<${shells.join("|")}>`).choices(shells))
    .action(async (shell: string) => {
      await io.out(SCRIPTS[shell]?.(completedCommand(program)) ?? "")
    })
}
