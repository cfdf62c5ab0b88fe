/** Commands on devices that a running or a stopped store has: `device list`, `forget`, `replace`. */
import type { Command } from "commander"
import { CliError } from "../exit-codes.js"
import { withChange, withStore } from "../options.js"
import type { StoppedCommands } from "../stopped-store/stopped-commands.js"
import type { LossOptions, OnNode, StoreCommandOptions, StoreCommands } from "./store-commands.js"

type StoreOf = (options: StoreCommandOptions) => StoreCommands

export function addDeviceCommands(
  device: Command,
  store: StoreOf,
  stopped: (options: StoreCommandOptions) => StoppedCommands,
): void {
  const DEVICE = "id, beginning of the id, folder, or NODE:FOLDER"
  withStore(device.command("list"))
    .description("list devices with state and space, also of a stopped store")
    .action(async (options: StoreCommandOptions) => {
      if (!(await stopped(options).list())) await store(options).devices()
    })
  withLoss(device.command("forget"))
    .description(
      "permanently give up an offline device, or several missing ones while the store is stopped; their shards are rebuilt on the others",
    )
    .argument("<DEVICE...>", DEVICE)
    .action(async (ids: readonly string[], options: LossOptions) => {
      if (await stopped(options).forget(ids, options)) return
      const [id = "", ...others] = ids
      if (others.length > 0) throw new CliError("usage", "the store runs: forget devices one at a time")
      await store(options).forgetDevice(id, options)
    })
  withLoss(device.command("replace"))
    .description(
      "replace an offline device, or a missing one while the store is stopped, by an empty folder; its shards are rebuilt there",
    )
    .argument("<DEVICE>", DEVICE)
    .argument("<FOLDER>", "on the server's machine")
    .option("--node <NODE>", "the node whose folder it is (default: the node of the device)")
    .action(async (id: string, folder: string, options: LossOptions & OnNode) => {
      if (!(await stopped(options).replace(id, folder, options)))
        await store(options).replaceDevice(id, folder, options)
    })
}

const withLoss = (command: Command): Command => withChange(command).option("--accept-loss", "even if objects are lost")
