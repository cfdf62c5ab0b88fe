/** `hayloft doctor`: looks for trouble of this machine and its data folders, whether or not the store runs. */
import type { Command } from "commander"
import { STORE_SCHEMAS } from "@hayloft/admin/index.js"
import { checked } from "../checked.js"
import { inspectSources } from "../running-store/config-sources.js"
import { doctorFindings, type DoctorFacts, type DoctorFinding } from "./doctor-core.js"
import { machineFacts, type MachineFacts } from "./doctor-facts.js"
import { CliError, messageOf } from "../exit-codes.js"
import type { CliIo } from "../io.js"
import { withStore } from "../options.js"
import { answerList, type OutputOptions } from "../output.js"
import { flagsOf, isElsewhere, withAdmin, type StoreOptions } from "../stores.js"
import { plural, printable, tableText } from "../text.js"

export function addDoctorCommand(program: Command, io: CliIo, signal: AbortSignal): void {
  withStore(program.command("doctor"))
    .description(
      "look for trouble of this machine and the data folders: clock, disks, space, limits, ports, certificates, secrets, database; exit code 1 if there is a problem",
    )
    .action((options: StoreOptions & OutputOptions) => doctorCommand(io, options, signal))
}

/** `facts` are those of the machine, unless a test brings others. */
export async function doctorCommand(
  io: CliIo,
  options: StoreOptions & OutputOptions,
  signal: AbortSignal,
  facts: typeof machineFacts = machineFacts,
): Promise<void> {
  const findings = await examine(io, options, signal, facts)
  const rows = findings.map(({ level, check, found }) => [level, check, printable(found)])
  await answerList(io, options, findings, tableText(["RESULT", "CHECK", "FOUND"], rows))
  const { length } = findings.filter(({ level }) => level === "problem")
  if (length > 0) throw new CliError("failed", plural(length, "problem"))
}

/** Throws only if the config file cannot be read. */
export async function examine(
  io: CliIo,
  options: StoreOptions,
  signal: AbortSignal,
  facts: typeof machineFacts = machineFacts,
): Promise<readonly DoctorFinding[]> {
  const { config, problems } = await inspectSources(io, flagsOf(options), options.config)
  const machine = await facts(config, io.clock)
  const settings = problems.map(({ message }) => message)
  return doctorFindings({ ...machine, settings, ...(await storeFacts(io, options, signal, machine)) })
}

/** Returns the facts that the running store reports, if there is one. */
async function storeFacts(
  io: CliIo,
  options: StoreOptions,
  signal: AbortSignal,
  { folders }: MachineFacts,
): Promise<Pick<DoctorFacts, "store" | "nodeClocks">> {
  const isRunning = folders.some(({ isInUse }) => isInUse === true)
  if (!isRunning && !isElsewhere(io, options)) return { store: undefined, nodeClocks: [] }
  try {
    const { health, database } = checked(
      STORE_SCHEMAS.STATUS,
      await withAdmin(io, options, signal, client => client.get("/v1/status")),
    )
    const nodeClocks = (database?.nodes ?? []).flatMap(({ name, clock }) => (clock ? [{ name, ...clock }] : []))
    return { store: { trouble: undefined, isReady: health.ready, reasons: health.reasons }, nodeClocks }
  } catch (error) {
    signal.throwIfAborted()
    return { store: { trouble: messageOf(error), isReady: false, reasons: [] }, nodeClocks: [] }
  }
}
