/** Options of `npm run bench`, from its command line. */
import { parseArgs } from "node:util"
import { GIB, MIB } from "@hayloft/base/limits.js"
import { bytesOfSize } from "@hayloft/base/text/quantity-text.js"
import { DEFAULT, FULL, QUICK, type Scale } from "./scale.js"
import { devicesThemes } from "./themes/devices.js"
import { formsTheme } from "./themes/forms.js"
import { FAIR } from "./themes/fair.js"
import { BESIDE_MINIO } from "./themes/beside-minio.js"
import { APPENDS } from "./themes/appends.js"
import { COPIES_IN_A_STORE } from "./themes/copies.js"
import { DEDUP } from "./themes/dedup.js"
import { HOT_COPIES } from "./themes/hot-copies.js"
import { PACKING_OF_OBJECTS } from "./themes/packing.js"
import { LOCKS } from "./themes/locks.js"
import { REMOTES } from "./themes/remotes.js"
import { TABLES } from "./themes/tables.js"
import { TRANSACTIONS } from "./themes/transactions.js"
import { TRANSFORMS } from "./themes/transforms.js"
import { QUEUES } from "./themes/queues.js"
import { BATCHES } from "./themes/batches.js"
import { COMMANDS } from "./themes/commands.js"
import { LARGE_CODED, LARGE_SINGLE, SEALED_LARGE } from "./themes/large-objects.js"
import { LIFECYCLE } from "./themes/lifecycle.js"
import { LISTINGS } from "./themes/listings.js"
import { MEMORY } from "./themes/memory.js"
import { SAFETY } from "./themes/safety.js"
import { NODE_CALLS } from "./themes/node-calls.js"
import { MOMENTS } from "./themes/moments.js"
import { NODES_OF_STORE } from "./themes/nodes.js"
import { REMOTE_SHARDS } from "./themes/remote-shards.js"
import { POLICY_DECISIONS } from "./themes/policies.js"
import { PRESSURE } from "./themes/pressure.js"
import { SEALED_SMALL, SMALL } from "./themes/small-objects.js"
import { STARTS } from "./themes/starts.js"
import { MEMORY_OF_FRONTS, THREADS } from "./themes/threads.js"
import type { Theme } from "./theme.js"

const THEMES: readonly Theme[] = [
  SMALL,
  LARGE_CODED,
  LARGE_SINGLE,
  SEALED_SMALL,
  SEALED_LARGE,
  LISTINGS,
  BATCHES,
  STARTS,
  MEMORY,
  PRESSURE,
  SAFETY,
  POLICY_DECISIONS,
  APPENDS,
  MOMENTS,
  DEDUP,
  PACKING_OF_OBJECTS,
  TABLES,
  QUEUES,
  LOCKS,
  TRANSACTIONS,
  TRANSFORMS,
  REMOTES,
  COPIES_IN_A_STORE,
]
const FORMS = "forms"
const DEVICES = "devices"
/** Omitted unless they are selected by name or by `--full`. */
export const ON_REQUEST: readonly string[] = [
  FAIR.name,
  NODE_CALLS.name,
  REMOTE_SHARDS.name,
  COMMANDS.name,
  NODES_OF_STORE.name,
  LIFECYCLE.name,
  HOT_COPIES.name,
  THREADS.name,
  BESIDE_MINIO.name,
  FORMS,
  DEVICES,
]
export const SCENARIOS = [...THEMES.map(({ name }) => name), ...ON_REQUEST]
/** For a comparison with another checkout: short rounds, and enough of them for a median. */
const ROUNDS_BESIDE = 7
const SECONDS_BESIDE = 0.6

export interface BenchOptions {
  readonly themes: readonly Theme[]
  readonly isWanted: (work: string) => boolean
  readonly scale: Scale
  /** Default: a folder in the system's temporary folder. */
  readonly workFolder: string | undefined
  /** Default: a file in OUT_FOLDER. */
  readonly out: string | undefined
  readonly json: boolean
}

export const USAGE = `npm run bench -- [options] [FILE]

  FILE               where the JSON goes (default: .cache/bench/TIME.json)
  --full             the work of the targets: 1 GiB, a million keys; hours
  --quick            a short run of everything, for tests
  --scenario LIST    of ${SCENARIOS.join(", ")} (default: all but ${ON_REQUEST.join(" and ")}; with --full all)
  --rows TEXT        only rows whose work has this text; "chunks|tagging" has either
  --rounds N         figures are medians of so many
  --seconds N        of each load
  --large SIZE       of the large object
  --objects N        that starts are measured with
  --devices SIZE     objects of the scenario devices
  --devices-on LIST  folders of its stores, 7 (4+3) and 2 (two copies) (default: 7,2)
  --beside DIR       scenario forms: the same requests to a server of another checkout, in alternating rounds
                     (default then: ${ROUNDS_BESIDE} rounds of ${SECONDS_BESIDE} s)
  --forms-on N       folders of its stores: 1, or 6 (4+2) (default: 1)
  --dir DIR          where stores and plain files are written (default: the system's temporary folder)
  --json             print the JSON instead of the table
`

/** Throws a one-line error for invalid arguments. */
export function parseOptions(args: readonly string[]): BenchOptions | "help" {
  const text = { type: "string" } as const
  const flag = { type: "boolean" } as const
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      full: flag,
      quick: flag,
      scenario: text,
      rows: text,
      rounds: text,
      seconds: text,
      large: text,
      objects: text,
      devices: text,
      "devices-on": text,
      beside: text,
      "forms-on": text,
      dir: text,
      json: flag,
      help: { type: "boolean", short: "h" },
    },
  })
  if (values.help === true) return "help"
  if (positionals.length > 1) throw new Error(`one file at most, not ${positionals.join(" ")}`)
  if (values.full === true && values.quick === true) throw new Error("--full or --quick, not both")
  const mode = values.full === true ? "full" : values.quick === true ? "quick" : "default"
  const requested = scenariosOf(values.scenario, values.beside)
  const preset = {
    ...{ full: FULL, quick: QUICK, default: DEFAULT }[mode],
    ...(values.beside === undefined || mode === "quick" ? {} : { rounds: ROUNDS_BESIDE, seconds: SECONDS_BESIDE }),
  }
  const { rounds, seconds, large, objects } = values
  const scale: Scale = {
    ...preset,
    ...(rounds === undefined ? {} : { rounds: numberOf("--rounds", rounds, 1, 99) }),
    ...(seconds === undefined ? {} : { seconds: numberOf("--seconds", seconds, 0.1, 3600) }),
    ...(large === undefined ? {} : { largeBytes: sizeOf(large, preset.parts * MIB * 5) }),
    ...(objects === undefined ? {} : { startObjects: numberOf("--objects", objects, 1, 1e7) }),
  }
  const devicesBytes = { full: 2 * GIB, quick: 24 * MIB, default: GIB }[mode]
  const devices = devicesThemes(
    listOf(values["devices-on"] ?? (mode === "quick" ? "2" : "7,2"), ["7", "2"]).map(Number),
    {
      bytes: values.devices === undefined ? devicesBytes : sizeOf(values.devices, 1),
      seconds: seconds === undefined ? { full: 10, quick: 0.3, default: 5 }[mode] : scale.seconds,
    },
  )
  const [folders] = listOf(values["forms-on"] ?? "1", ["1", "6"]).map(Number)
  const forms = formsTheme({ folders: folders ?? 1, beside: values.beside })
  const all = [
    ...THEMES,
    FAIR,
    NODE_CALLS,
    REMOTE_SHARDS,
    COMMANDS,
    NODES_OF_STORE,
    LIFECYCLE,
    HOT_COPIES,
    THREADS,
    MEMORY_OF_FRONTS,
    BESIDE_MINIO,
    forms,
    ...devices,
  ]
  const isRequested = ({ name, isOnRequest }: Theme) => requested?.includes(name) ?? (mode === "full" || !isOnRequest)
  const { rows = "" } = values
  return {
    themes: all.filter(isRequested),
    isWanted: wantedBy(rows),
    scale,
    workFolder: values.dir,
    out: positionals[0],
    json: values.json === true,
  }
}

/** Accepts a text that has one of the words; words are separated by `|`. */
export const wantedBy =
  (words: string) =>
  (text: string): boolean =>
    words.split("|").some(word => text.includes(word))

/** Returns undefined for the default themes. Only forms can be measured beside another checkout. */
function scenariosOf(list: string | undefined, beside: string | undefined): readonly string[] | undefined {
  const requested = list === undefined ? undefined : listOf(list, SCENARIOS)
  if (beside === undefined) return requested
  if (requested?.some(name => name !== FORMS) === true) throw new Error(`--beside is for --scenario ${FORMS} only`)
  return [FORMS]
}

function listOf<const T extends string>(text: string, known: readonly T[]): T[] {
  return text.split(",").map(part => {
    const found = known.find(name => name === part.trim())
    if (found === undefined) throw new Error(`"${part}" is none of ${known.join(", ")}`)
    return found
  })
}

function numberOf(flag: string, text: string, min: number, max: number): number {
  const value = Number(text)
  if (text.trim() === "" || !(value >= min && value <= max))
    throw new Error(`${flag} must be ${min} to ${max}, not "${text}"`)
  return value
}

function sizeOf(text: string, min: number): number {
  const bytes = bytesOfSize(text.trim())
  if (bytes === undefined) throw new Error(`"${text}" is not a size like 64KiB`)
  if (bytes < min) throw new Error(`${text} is too small: at least ${min} bytes`)
  return bytes
}
