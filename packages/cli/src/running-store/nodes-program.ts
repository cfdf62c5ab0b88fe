/** Commands that make several changes of the layout together. */
import type { Command } from "commander"
import { withChange, withStore } from "../options.js"
import { withStaged, type StagedOptions } from "./staged-options.js"
import type { ChangeOptions } from "./plan-changes.js"
import type { StoreCommandOptions, StoreCommands } from "./store-commands.js"

type StoreOf = (options: StoreCommandOptions) => StoreCommands

export function addLayoutCommands(layout: Command, store: StoreOf): void {
  withStaged(withStore(layout.command("plan")))
    .description("show what several changes together would move, and what the store survives; nothing is changed")
    .action((options: StoreCommandOptions & StagedOptions) =>
      store(options).changeLayout(options, { ...options, dryRun: true }),
    )
  withStaged(withChange(layout.command("apply")))
    .description("make several changes in one change of the layout")
    .action((options: ChangeOptions & StagedOptions) => store(options).changeLayout(options, options))
}
