/**
 * Commands on a running store, with their arguments, options and help: status, device, redundancy, repair, scrub.
 */
import type { Command } from "commander"
import { CliError } from "./exit-codes.js"
import { group, numberOf, withChange, withStore } from "./options.js"
import type { StoppedCommands } from "./stopped-commands.js"
import type { ChangeOptions, LossOptions, OnNode, StoreCommandOptions, StoreCommands } from "./store-commands.js"

type StoreOf = (options: StoreCommandOptions) => StoreCommands

export function addStatusCommand(program: Command, store: StoreOf): void {
  withStore(program.command("status"))
    .description("how many disks may fail now, and every problem of a running store; exit code 1 while it is not ready")
    .action((options: StoreCommandOptions) => store(options).status())
}

export function addDeviceCommands(
  program: Command,
  store: StoreOf,
  stopped: (options: StoreCommandOptions) => StoppedCommands,
): void {
  const device = group(program, "device").description("devices: one data folder each")
  const DEVICE = "id, beginning of the id, folder, or NODE:FOLDER"
  withStore(device.command("list"))
    .description("list devices with state and space, also of a stopped store")
    .action(async (options: StoreCommandOptions) => {
      if (!(await stopped(options).list())) await store(options).devices()
    })
  withChange(device.command("add"))
    .description("add an empty folder as a device; shards move to it")
    .argument("<FOLDER>", "on the server's machine")
    .option("--node <NODE>", "the node whose folder it is (default: the one that is asked)")
    .option("--weight <NUMBER>", "share of the shards, relative to the others (default: by size)")
    .action((folder: string, options: ChangeOptions & OnNode & { weight?: string }) => {
      const weight = options.weight === undefined ? undefined : numberOf(options.weight, "--weight")
      return store(options).addDevice(folder, { ...options, weight })
    })
  withChange(device.command("drain"))
    .description("move all shards of a device to the others; it stays part of the store")
    .argument("<DEVICE>", DEVICE)
    .action((id: string, options: ChangeOptions) => store(options).drainDevice(id, options))
  withChange(device.command("remove"))
    .description("drain a device, and remove it once it is empty")
    .argument("<DEVICE>", DEVICE)
    .action((id: string, options: ChangeOptions) => store(options).removeDevice(id, options))
  withChange(device.command("use"))
    .description("take a draining or drained device back into use")
    .argument("<DEVICE>", DEVICE)
    .action((id: string, options: ChangeOptions) => store(options).useDevice(id, options))
  withChange(device.command("set-weight"))
    .description("change a device's share of the shards; one that is drained is taken back into use")
    .argument("<DEVICE>", DEVICE)
    .argument("<WEIGHT>", "relative to the others")
    .action((id: string, weight: string, options: ChangeOptions) =>
      store(options).setWeight(id, numberOf(weight, "WEIGHT"), options),
    )
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
  withStore(device.command("check"))
    .description("probe a device now; an offline device that works returns to service")
    .argument("<DEVICE>", DEVICE)
    .action((id: string, options: StoreCommandOptions) => store(options).checkDevice(id))
}

const withLoss = (command: Command): Command => withChange(command).option("--accept-loss", "even if objects are lost")

export function addRedundancyCommands(program: Command, store: StoreOf): void {
  const redundancy = group(program, "redundancy").description("how many lost disks the store, or a bucket, survives")
  withStore(redundancy.command("show"))
    .description("the policy, its meaning, and buckets with their own policy")
    .action((options: StoreCommandOptions) => store(options).redundancy())
  withChange(redundancy.command("set"))
    .description("change the policy; stored objects are re-encoded in the background")
    .argument(
      "<POLICY|automatic>",
      "ec:4+2, replica:2, or automatic: by the number of devices (for a bucket: the store's policy)",
    )
    .option("--bucket <NAME>", "only for this bucket")
    .action((policy: string, options: ChangeOptions & { bucket?: string }) =>
      store(options).setRedundancy(policy, options.bucket, options),
    )
}

export function addClassCommands(program: Command, store: StoreOf): void {
  const classes = group(program, "class").description("redundancy of storage classes: STANDARD_IA, GLACIER_IR …")
  withStore(classes.command("list"))
    .description("storage classes with their own redundancy, and that of the others")
    .action((options: StoreCommandOptions) => store(options).classes())
  withChange(classes.command("set"))
    .description("give a storage class its own redundancy; its objects are re-encoded in the background")
    .argument("<CLASS>", CLASS)
    .argument("<POLICY>", "ec:4+2, replica:2")
    .action((storageClass: string, policy: string, options: ChangeOptions) =>
      store(options).setClass(storageClass, policy, options),
    )
  withChange(classes.command("clear"))
    .description("give a storage class the redundancy of its bucket or the store again")
    .argument("<CLASS>", CLASS)
    .action((storageClass: string, options: ChangeOptions) =>
      store(options).setClass(storageClass, "automatic", options),
    )
}

const CLASS = "STANDARD_IA, ONEZONE_IA, REDUCED_REDUNDANCY, INTELLIGENT_TIERING, GLACIER_IR, GLACIER or DEEP_ARCHIVE"

export function addWorkCommands(program: Command, store: StoreOf): void {
  const repair = group(program, "repair").description("repair: rebuilding and moving shards to their assigned devices")
  for (const [word, description] of [
    ["status", "completed and remaining work of repair"],
    ["pause", "pause repair and moves until they are resumed, also across restarts"],
    ["resume", "resume repair"],
  ] as const) {
    withStore(repair.command(word))
      .description(description)
      .action((options: StoreCommandOptions) => store(options).repair(word))
  }
  const scrub = group(program, "scrub").description(
    "scrub: verifying all stored data at low priority, to find rot before a reader does",
  )
  withStore(scrub.command("status"))
    .description("progress of each device, and the age of its oldest verification")
    .action((options: StoreCommandOptions) => store(options).scrub("status", undefined))
  withStore(scrub.command("start"))
    .description("resume scrub, and begin a pass now if none is running")
    .argument("[DEVICE]", "only this one")
    .action((id: string | undefined, options: StoreCommandOptions) => store(options).scrub("start", id))
  withStore(scrub.command("pause"))
    .description("pause scrub until it is started again, also across restarts")
    .action((options: StoreCommandOptions) => store(options).scrub("pause", undefined))
  const pending = group(program, "pending").description("uploads that no object has")
  withStore(pending.command("list"))
    .description("uploads that a crash or a refusal has interrupted, whose bytes wait for their removal")
    .action((options: StoreCommandOptions) => store(options).listPending())
  const orphans = group(program, "orphans").description("orphans: blocks that no object references")
  withStore(orphans.command("resume"))
    .description("remove orphans after a day although there are more than a crash leaves; until the process ends")
    .action((options: StoreCommandOptions) => store(options).resumeOrphans())
}
