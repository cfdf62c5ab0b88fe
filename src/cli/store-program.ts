/** Commands on a running store, with their arguments, options and help: status, device, redundancy, repair, scrub, jobs. */
import type { Command } from "commander"
import { CliError } from "./exit-codes.js"
import { group, numberOf, withChange, withStore } from "./options.js"
import type { StoppedCommands } from "./stopped-commands.js"
import type { ChangeOptions, LossOptions, StoreCommandOptions, StoreCommands } from "./store-commands.js"

type StoreOf = (options: StoreCommandOptions) => StoreCommands

export function addStatusCommand(program: Command, store: StoreOf): void {
  withStore(program.command("status"))
    .description(
      "what may fail now, and all that keeps a running store from being better; exit code 1 while it is not ready",
    )
    .action((options: StoreCommandOptions) => store(options).status())
}

export function addDeviceCommands(
  program: Command,
  store: StoreOf,
  stopped: (options: StoreCommandOptions) => StoppedCommands,
): void {
  const device = group(program, "device").description("devices: one data folder each")
  const DEVICE = "its id, the beginning of it, or its folder"
  withStore(device.command("list"))
    .description("list devices with state and space, also of a store that is stopped")
    .action(async (options: StoreCommandOptions) => {
      if (!(await stopped(options).list())) await store(options).devices()
    })
  withChange(device.command("add"))
    .description("add an empty folder as a device; shards move to it")
    .argument("<FOLDER>", "on the server's machine")
    .option("--weight <NUMBER>", "its share, relative to the others (default: by its size)")
    .action((folder: string, options: ChangeOptions & { weight?: string }) => {
      const weight = options.weight === undefined ? undefined : numberOf(options.weight, "--weight")
      return store(options).addDevice(folder, weight, options)
    })
  withChange(device.command("drain"))
    .description("move all shards of a device to the others; it stays part of the store")
    .argument("<DEVICE>", DEVICE)
    .action((id: string, options: ChangeOptions) => store(options).drainDevice(id, options))
  withChange(device.command("remove"))
    .description("drain a device, and forget it once it is empty")
    .argument("<DEVICE>", DEVICE)
    .action((id: string, options: ChangeOptions) => store(options).removeDevice(id, options))
  withChange(device.command("set-weight"))
    .description("change a device's share of the shards; one that is drained is taken back into use")
    .argument("<DEVICE>", DEVICE)
    .argument("<WEIGHT>", "relative to the others")
    .action((id: string, weight: string, options: ChangeOptions) =>
      store(options).setWeight(id, numberOf(weight, "WEIGHT"), options),
    )
  withLoss(device.command("forget"))
    .description(
      "give up for ever a device that is out, or several that are missing while the store is stopped; what they held is rebuilt on the others",
    )
    .argument("<DEVICE...>", DEVICE)
    .action(async (ids: readonly string[], options: LossOptions) => {
      if (await stopped(options).forget(ids, options)) return
      const [id = "", ...others] = ids
      if (others.length > 0) throw new CliError("usage", "the store runs: forget one device after the other")
      await store(options).forgetDevice(id, options)
    })
  withLoss(device.command("replace"))
    .description(
      "put an empty folder in the place of a device that is out, or missing while the store is stopped; what that held is rebuilt there",
    )
    .argument("<DEVICE>", DEVICE)
    .argument("<FOLDER>", "on the server's machine")
    .action(async (id: string, folder: string, options: LossOptions) => {
      if (!(await stopped(options).replace(id, folder, options)))
        await store(options).replaceDevice(id, folder, options)
    })
  withStore(device.command("check"))
    .description("look at a device now; one that was out and is well takes part again")
    .argument("<DEVICE>", DEVICE)
    .action((id: string, options: StoreCommandOptions) => store(options).checkDevice(id))
}

const withLoss = (command: Command): Command =>
  withChange(command).option("--accept-loss", "also where objects are lost by it")

export function addRedundancyCommands(program: Command, store: StoreOf): void {
  const redundancy = group(program, "redundancy").description("how many lost disks the store, or a bucket, survives")
  withStore(redundancy.command("show"))
    .description("the policy, what it means, and buckets with one of their own")
    .action((options: StoreCommandOptions) => store(options).redundancy())
  withChange(redundancy.command("set"))
    .description("change the policy; what is stored is re-encoded in the background")
    .argument("<POLICY>", "ec:4+2, replica:2, or automatic: by the number of devices (a bucket: as the store)")
    .option("--bucket <NAME>", "of this bucket only")
    .action((policy: string, options: ChangeOptions & { bucket?: string }) =>
      store(options).setRedundancy(policy, options.bucket, options),
    )
}

export function addWorkCommands(program: Command, store: StoreOf): void {
  const repair = group(program, "repair").description("repair: bringing shards to where they should be")
  for (const [word, description] of [
    ["status", "what repair has done and has to do"],
    ["pause", "stop repair and moves until they are resumed, also over restarts"],
    ["resume", "end a pause of repair"],
  ] as const) {
    withStore(repair.command(word))
      .description(description)
      .action((options: StoreCommandOptions) => store(options).repair(word))
  }
  const scrub = group(program, "scrub").description("scrub: reading everything slowly to find rot before a reader does")
  withStore(scrub.command("status"))
    .description("how far each device has been verified, and how old the oldest look is")
    .action((options: StoreCommandOptions) => store(options).scrub("status", undefined))
  withStore(scrub.command("start"))
    .description("end a pause, and begin a pass now where none is running")
    .argument("[DEVICE]", "only this one")
    .action((id: string | undefined, options: StoreCommandOptions) => store(options).scrub("start", id))
  withStore(scrub.command("pause"))
    .description("stop verifying until it is started again, also over restarts")
    .action((options: StoreCommandOptions) => store(options).scrub("pause", undefined))
  const orphans = group(program, "orphans").description("orphans: blocks that no object names")
  withStore(orphans.command("resume"))
    .description("remove them after a day, though there are more than a crash leaves; lasts until the process ends")
    .action((options: StoreCommandOptions) => store(options).resumeOrphans())
  const jobs = group(program, "jobs").description("background work")
  withStore(jobs.command("list"))
    .description("state, progress, last error and throttle of each job")
    .action((options: StoreCommandOptions) => store(options).jobs())
  withStore(jobs.command("set-throttle"))
    .description("how long a job rests after a step, as a multiple of how long the step took; 0 is full speed")
    .argument("<JOB>")
    .argument("<NUMBER>")
    .action((job: string, throttle: string, options: StoreCommandOptions) =>
      store(options).setThrottle(job, numberOf(throttle, "NUMBER")),
    )
  withStore(jobs.command("wake"))
    .description("have a job look for work now")
    .argument("<JOB>")
    .action((job: string, options: StoreCommandOptions) => store(options).wakeJob(job))
}
