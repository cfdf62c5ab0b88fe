/** Commands on the nodes of a store and on its layout, with their arguments, options and help. */
import type { Command } from "commander"
import { group, withChange, withStore } from "./options.js"
import { withStaged, type StagedOptions } from "./staged-options.js"
import type { ChangeOptions, LossOptions, StoreCommandOptions, StoreCommands } from "./store-commands.js"

type StoreOf = (options: StoreCommandOptions) => StoreCommands

export function addNodeCommands(program: Command, store: StoreOf): void {
  const node = group(program, "node").description("nodes: the processes that serve one store together")
  withStore(node.command("list"))
    .description("list nodes with their state, devices and jobs, and which cannot reach which")
    .action((options: StoreCommandOptions) => store(options).nodes())
  for (const [word, description] of [
    ["drain", "move all shards of a node to other nodes, in one change of the layout; it stays part of the store"],
    ["remove", "drain a node, and remove it once its devices are empty"],
    ["use", "take the devices of a node back into use"],
  ] as const) {
    withChange(node.command(word))
      .description(description)
      .argument("<NODE>")
      .action((name: string, options: ChangeOptions) => store(options).changeNode(name, word, options))
  }
  withChange(node.command("forget"))
    .description("permanently give up a lost node with all its devices; their shards are rebuilt on the others")
    .argument("<NODE>")
    .option("--accept-loss", "even if objects are lost")
    .action((name: string, options: LossOptions) => store(options).forgetNode(name, options))
}

export function addLayoutCommands(program: Command, store: StoreOf): void {
  const layout = group(program, "layout").description("layout: which devices hold which share of the shards")
  withStore(layout.command("show"))
    .description("the version of the layout, the share of each device, and the progress of moves to it")
    .action((options: StoreCommandOptions) => store(options).layout())
  withStaged(withStore(layout.command("plan")))
    .description("show what several changes together would move, and what the store survives; nothing is changed")
    .action((options: StoreCommandOptions & StagedOptions) =>
      store(options).changeLayout(options, { ...options, dryRun: true }),
    )
  withStaged(withChange(layout.command("apply")))
    .description("make several changes in one change of the layout")
    .action((options: ChangeOptions & StagedOptions) => store(options).changeLayout(options, options))
  withChange(layout.command("revert"))
    .description("while shards move: go back to the previous layout")
    .action((options: ChangeOptions) => store(options).revertLayout(options))
}
