/**
 * `hayloft simulate`: durability, space, repair and availability of policies, side by side, for a layout described in a
 * file or for the present store. A described layout needs no store.
 */
import { readFile, writeFile } from "node:fs/promises"
import { resolve } from "node:path"
import type { Command } from "commander"
import type { z } from "zod"
import { SIMULATE, SIMULATION } from "@hayloft/admin/index.js"
import { chartsSvg, simulationCharts, svgText } from "@hayloft/admin/charts/index.js"
import { inputOf, machinesOf, seededUniform, simulateNow } from "@hayloft/engine/durability/index.js"
import { checked } from "../checked.js"
import { CliError, messageOf } from "../exit-codes.js"
import type { CliIo } from "../io.js"
import { collect, numberOf, withStore } from "../options.js"
import { answer, type OutputOptions } from "../output.js"
import { simulationText, type Simulated } from "./simulation-text.js"
import { withAdmin, type StoreOptions } from "../stores.js"
import { plural, printable } from "../text.js"

/** The maximum size of a layout file. */
const LAYOUT_FILE_BYTES_MAX = 1024 * 1024

interface SimulateOptions extends StoreOptions, OutputOptions {
  readonly layout?: string
  readonly present?: true
  readonly policy?: readonly string[]
  readonly cycles?: string
  readonly seed?: string
  readonly svg?: string
}

type Request = z.output<typeof SIMULATE>

export function addSimulateCommand(program: Command, io: CliIo, signal: AbortSignal): void {
  withStore(program.command("simulate"))
    .description("how durable, how large and how available policies are, for a described layout or the present one")
    .option("--layout <FILE>", "JSON: machines with their devices, assumptions, policies (docs/design/durability.md)")
    .option("--present", "the layout of the store; a file without machines adds assumptions")
    .option("--policy <POLICY>", "replica:3, ec:4+2, garage, minio, minio:12+4; may be repeated", collect)
    .option("--cycles <NUMBER>", "of the Monte Carlo run (default: 10000)")
    .option("--seed <NUMBER>", "of its random numbers (default: 1)")
    .option("--svg <FILE>", "write charts as SVG")
    .action((options: SimulateOptions) => simulateCommand(io, options, signal))
}

async function simulateCommand(io: CliIo, options: SimulateOptions, signal: AbortSignal): Promise<void> {
  const request = await requestOf(io, options)
  const simulation = await resultOf(io, options, request, signal)
  if (options.svg !== undefined) {
    const path = resolve(io.workingFolder, options.svg)
    await writeFile(path, `${svgText(chartsSvg(simulationCharts(simulation.outcomes), { standalone: true }))}\n`).catch(
      (error: unknown) => {
        throw new CliError("failed", `cannot write ${path}: ${messageOf(error)}`)
      },
    )
  }
  await answer(io, options, simulation, simulationText(simulation))
}

async function resultOf(
  io: CliIo,
  options: SimulateOptions,
  request: Request,
  signal: AbortSignal,
): Promise<Simulated> {
  const { machines } = request
  const value =
    machines === undefined
      ? await withAdmin(io, options, signal, client => client.post("/v1/simulations", request))
      : simulateNow(inputOf(request, machinesOf(machines), seededUniform))
  return checked(SIMULATION, value)
}

async function requestOf(io: CliIo, options: SimulateOptions): Promise<Request> {
  const { layout, present = false, policy, cycles, seed } = options
  if (layout === undefined && !present)
    throw new CliError("usage", "describe a layout with --layout FILE, or use that of the store with --present")
  const file = layout === undefined ? {} : await jsonOf(io, layout)
  const asked = {
    ...file,
    ...(policy === undefined ? {} : { policies: policy }),
    ...(cycles === undefined ? {} : { cycles: numberOf(cycles, "--cycles") }),
    ...(seed === undefined ? {} : { seed: numberOf(seed, "--seed") }),
  }
  const parsed = SIMULATE.safeParse(asked)
  if (!parsed.success) throw problemsOf(layout ?? "the options", parsed.error)
  const hasMachines = parsed.data.machines !== undefined
  if (present && hasMachines) throw new CliError("usage", `${layout} has machines: leave out --present`)
  if (!present && !hasMachines) throw new CliError("usage", `${layout} has no machines: add them, or --present`)
  return parsed.data
}

/** Every problem, each with its place: `machines.0.devices: …`. */
function problemsOf(what: string, { issues }: z.ZodError): CliError {
  const lines = issues.map(({ path, message }) => `${path.length === 0 ? "" : `${path.join(".")}: `}${message}`)
  return new CliError("usage", `${what}: ${plural(lines.length, "problem")}: ${printable(lines.join("; "))}`)
}

async function jsonOf(io: CliIo, path: string): Promise<object> {
  const bytes = await readFile(resolve(io.workingFolder, path)).catch((error: unknown) => {
    throw new CliError("usage", `cannot read ${path}: ${messageOf(error)}`)
  })
  if (bytes.length > LAYOUT_FILE_BYTES_MAX) throw new CliError("usage", `${path}: too long for a layout`)
  try {
    const value: unknown = JSON.parse(bytes.toString("utf8"))
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value
  } catch (error) {
    throw new CliError("usage", `${path} is not JSON: ${error instanceof Error ? error.message : String(error)}`)
  }
  throw new CliError("usage", `${path} must be one JSON object`)
}
