/** Options of `npm run bench`, from its command line. */
import { parseArgs } from "node:util"
import { bytesOfSize } from "../src/main/config-values.js"

export const SCENARIOS = ["workload", "multipart", "listing", "memory", "devices", "judging"] as const
export type Scenario = (typeof SCENARIOS)[number]
export const OPERATIONS = ["put", "get", "list", "delete", "mixed"] as const
export type OperationName = (typeof OPERATIONS)[number]

export interface BenchOptions {
  readonly scenarios: readonly Scenario[]
  /** Undefined: a store of our own. */
  readonly endpoint: string | undefined
  readonly folders: number
  readonly redundancy: string | undefined
  readonly operations: readonly OperationName[]
  readonly sizes: readonly number[]
  readonly concurrencies: readonly number[]
  readonly seconds: number
  /** Keys per size: a bound on space. */
  readonly objectsMax: number
  readonly multipartBytes: number
  /** Powers of ten up to here. */
  readonly keysMax: number
  readonly idleSeconds: number
  /** Objects of the devices scenario, and how often each of its figures is taken. */
  readonly devicesBytes: number
  /** How many folders its stores have. */
  readonly devicesFolders: readonly number[]
  readonly rounds: number
  /** Undefined: a folder in the system's temporary one. */
  readonly workFolder: string | undefined
  readonly json: boolean
}

export const USAGE = `npm run bench -- [options]

  --scenario LIST      ${SCENARIOS.join(", ")} (default: all)
  --endpoint URL       drive this S3 endpoint with the AWS_* variables' key (default: a store of its own)
  --folders N          data folders of the own store, in one temporary folder (default: 1; multipart: 7)
  --redundancy POLICY  of the own store (default: by the number of folders)
  --ops LIST           ${OPERATIONS.join(", ")} (default: all)
  --sizes LIST         object sizes (default: 4KiB,64KiB,1MiB,16MiB)
  --concurrency LIST   requests at once (default: 1,16)
  --seconds N          per operation, size and concurrency (default: 5)
  --objects N          at most so many objects of one size (default: 20000)
  --multipart SIZE     (default: 1GiB)
  --keys N             largest bucket of the listing scenario (default: 100000; 1000000 takes minutes)
  --devices SIZE       objects of the devices scenario (default: 1GiB)
  --devices-on LIST    folders of its stores, 7 (4+3) and 2 (two copies) (default: 7,2)
  --rounds N           of the devices scenario: figures are medians of so many (default: 3)
  --dir DIR            where the own store and the raw-disk run write (default: the system's temporary folder)
  --quick              a short run of everything, for tests
  --json               one JSON document instead of tables
`

const QUICK = {
  sizes: "4KiB,256KiB",
  concurrency: "4",
  seconds: "0.3",
  objects: "200",
  multipart: "24MiB",
  keys: "1000",
  devices: "24MiB",
  "devices-on": "2",
  rounds: "1",
} as const

/** Throws with one line for anything that is not understood. */
export function parseOptions(args: readonly string[]): BenchOptions | "help" {
  const text = { type: "string" } as const
  const { values } = parseArgs({
    args: [...args],
    options: {
      scenario: text,
      endpoint: text,
      folders: text,
      redundancy: text,
      ops: text,
      sizes: text,
      concurrency: text,
      seconds: text,
      objects: text,
      multipart: text,
      keys: text,
      devices: text,
      "devices-on": text,
      rounds: text,
      dir: text,
      quick: { type: "boolean" },
      json: { type: "boolean" },
      help: { type: "boolean", short: "h" },
    },
  })
  if (values.help === true) return "help"
  const quick = values.quick === true
  const given = (name: keyof typeof QUICK, fallback: string): string => values[name] ?? (quick ? QUICK[name] : fallback)
  return {
    scenarios: values.scenario === undefined ? SCENARIOS : listOf(values.scenario, SCENARIOS),
    endpoint: values.endpoint,
    folders: numberOf("--folders", values.folders ?? "1", 1, 32),
    redundancy: values.redundancy,
    operations: values.ops === undefined ? OPERATIONS : listOf(values.ops, OPERATIONS),
    sizes: given("sizes", "4KiB,64KiB,1MiB,16MiB").split(",").map(sizeOf),
    concurrencies: given("concurrency", "1,16")
      .split(",")
      .map(part => numberOf("--concurrency", part, 1, 512)),
    seconds: numberOf("--seconds", given("seconds", "5"), 0.1, 3600),
    objectsMax: numberOf("--objects", given("objects", "20000"), 1, 1e6),
    multipartBytes: sizeOf(given("multipart", "1GiB")),
    keysMax: numberOf("--keys", given("keys", "100000"), 1000, 1e7),
    idleSeconds: quick ? 0.5 : 5,
    devicesBytes: sizeOf(given("devices", "1GiB")),
    devicesFolders: listOf(given("devices-on", "7,2"), ["7", "2"]).map(Number),
    rounds: numberOf("--rounds", given("rounds", "3"), 1, 99),
    workFolder: values.dir,
    json: values.json === true,
  }
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

function sizeOf(text: string): number {
  const bytes = bytesOfSize(text.trim())
  if (bytes === undefined) throw new Error(`"${text}" is not a size like 64KiB`)
  return bytes
}
