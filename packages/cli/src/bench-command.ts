/**
 * `hayloft bench`: runs the same load against any S3 server and prints a table, optionally beside the results of
 * another run.
 *
 * Promises  Uses its own bucket with a random name and removes it in the end, also after Ctrl-C.
 * Limits    At most `SET_BYTES_MAX` bytes of objects for each size at a time.
 */
import type { Command } from "commander"
import { z } from "zod"
import { MIB } from "@hayloft/base/limits.js"
import { RealRandom } from "@hayloft/base/seams/random/real.js"
import {
  type Mix,
  OPERATIONS,
  parseMix,
  RequestForge,
  runLoad,
  S3Work,
  withScratchBucket,
} from "@hayloft/client/load/index.js"
import type { S3Access } from "@hayloft/client/index.js"
import { bytesOfSize } from "@hayloft/base/text/quantity-text.js"
import { readText } from "./document-file.js"
import { CliError } from "./exit-codes.js"
import type { CliIo } from "./io.js"
import { numberOf, withStore } from "./options.js"
import { answer, type OutputOptions } from "./output.js"
import { s3Access, type StoreOptions } from "./stores.js"
import { sizeText, tableText } from "./text.js"

const SET_BYTES_MAX = 256 * MIB
const SIZE_BYTES_MAX = 1024 * MIB
const KEYS_MIN = 16
const MIXED = "mixed"
const MIX_DEFAULT = "get=60,put=30,list=5,delete=5"

interface BenchOptions extends StoreOptions, OutputOptions {
  readonly endpoint?: string
  readonly accessKey?: string
  readonly ops: string
  readonly mix: string
  readonly sizes: string
  readonly concurrency: string
  readonly seconds: string
  readonly keys: string
  readonly think: string
  readonly range?: string
  readonly beside?: string
}

export function addBenchCommand(program: Command, io: CliIo, signal: AbortSignal): void {
  withStore(program.command("bench"))
    .description("run a load against an S3 server and print the results; its temporary bucket is removed in the end")
    .option("--endpoint <URL>", "any S3 server, with the secret key in AWS_SECRET_ACCESS_KEY")
    .option("--access-key <ID>", "with --endpoint (default: AWS_ACCESS_KEY_ID)")
    .option("--ops <LIST>", `operations: ${[...OPERATIONS, MIXED].join(", ")}`, "put,get,head,list,delete,mixed")
    .option("--mix <WEIGHTS>", "weights of the operations in mixed", MIX_DEFAULT)
    .option("--sizes <LIST>", "object sizes", "4KiB,64KiB,1MiB")
    .option("--concurrency <LIST>", "connections, each with one request at a time", "1,64")
    .option("--seconds <N>", "duration for each operation, size and concurrency", "5")
    .option("--keys <N>", `objects of each size, at most ${sizeText(SET_BYTES_MAX)} in total`, "1000")
    .option("--think <MS>", "pause of a connection after each response", "0")
    .option("--range <SIZE>", "gets read this many bytes of an object, at varying offsets")
    .option("--beside <FILE>", "output of another run with --json, shown beside the results")
    .action((options: BenchOptions) => benchCommand(io, options, signal))
}

/** One line of the table, and of `--json`. */
const ROW = z.object({
  operation: z.string(),
  sizeBytes: z.number(),
  connections: z.number(),
  operationsPerSecond: z.number(),
  megabytesPerSecond: z.number(),
  p50Ms: z.number(),
  p95Ms: z.number(),
  p99Ms: z.number(),
  maxMs: z.number(),
  errors: z.number(),
  firstError: z.string().optional(),
})
export type BenchRow = z.output<typeof ROW>

interface Plan {
  readonly works: readonly { readonly name: string; readonly mix: Mix }[]
  readonly sizes: readonly number[]
  readonly concurrencies: readonly number[]
  readonly seconds: number
  readonly keys: number
  readonly thinkMs: number
  readonly rangeBytes: number | undefined
}

async function benchCommand(io: CliIo, options: BenchOptions, signal: AbortSignal): Promise<void> {
  const plan = planOf(options)
  const beside = options.beside === undefined ? [] : parseRows(await readText(io, options.beside), options.beside)
  const access = await accessOf(io, options)
  const rows: BenchRow[] = []
  await withScratchBucket(access, io.clock, new RealRandom(), signal, async bucket => {
    for (const sizeBytes of plan.sizes) {
      for (const connections of plan.concurrencies) {
        const where = { access, bucket, sizeBytes, connections }
        for await (const row of measure(io, plan, where, signal)) {
          rows.push(row)
          if (options.json === true) await io.out(`${JSON.stringify(row)}\n`)
          else if (io.errorIsTerminal) io.error(`${row.operation} ${sizeText(sizeBytes)} x${connections}\r`)
        }
      }
    }
  })
  if (options.json !== true) await answer(io, options, rows, textOfRows(rows, beside))
  const failed = rows.find(row => row.firstError !== undefined)
  if (failed !== undefined) throw new CliError("failed", `some requests failed, first: ${failed.firstError ?? ""}`)
}

async function* measure(
  io: CliIo,
  plan: Plan,
  where: {
    readonly access: S3Access
    readonly bucket: string
    readonly sizeBytes: number
    readonly connections: number
  },
  signal: AbortSignal,
): AsyncGenerator<BenchRow> {
  const { access, bucket, sizeBytes, connections } = where
  const { seconds, thinkMs, rangeBytes } = plan
  const keys = Math.min(plan.keys, Math.max(KEYS_MIN, Math.floor(SET_BYTES_MAX / Math.max(1, sizeBytes))))
  const forge = new RequestForge(access, io.clock)
  const prefix = `${sizeBytes}/${connections}/`
  const work = new S3Work(forge, { bucket, prefix, sizeBytes, keys, rangeBytes })
  await work.fill(connections, io.clock, signal)
  for (const { name, mix } of plan.works) {
    if (name === "delete") await work.fillFurther(keys, connections, io.clock, signal)
    const next = work.requests(mix)
    const { endpoint } = forge
    // The user is told how many requests were refused.
    const load = { endpoint, trust: access.trust, connections, next, seconds, thinkMs, patienceMs: 0 }
    const { firstError, ...result } = await runLoad(load, io.clock, signal)
    const { operationsPerSecond, megabytesPerSecond, p50Ms, p95Ms, p99Ms, maxMs, errors } = result
    const figures = { operationsPerSecond, megabytesPerSecond, p50Ms, p95Ms, p99Ms, maxMs, errors }
    const failure = firstError === undefined ? {} : { firstError }
    yield { operation: name, sizeBytes, connections, ...figures, ...failure }
  }
}

/** The table; with the results of another run where its load was the same. Pure. */
export function textOfRows(rows: readonly BenchRow[], beside: readonly BenchRow[]): string {
  const head = ["OPERATION", "SIZE", "CONNECTIONS", "OPS/S", "MB/S", "P50 MS", "P95", "P99", "MAX", "ERRORS"]
  const isSame = (a: BenchRow, b: BenchRow) =>
    a.operation === b.operation && a.sizeBytes === b.sizeBytes && a.connections === b.connections
  const cells = rows.map(row => {
    const { operationsPerSecond, megabytesPerSecond, p50Ms, p95Ms, p99Ms, maxMs, errors } = row
    const figures = [operationsPerSecond, megabytesPerSecond, p50Ms, p95Ms, p99Ms, maxMs, errors].map(String)
    const own = [row.operation, sizeText(row.sizeBytes), String(row.connections), ...figures]
    if (beside.length === 0) return own
    const other = beside.find(each => isSame(each, row))
    if (other === undefined) return [...own, "", "", ""]
    const times = other.operationsPerSecond > 0 ? (operationsPerSecond / other.operationsPerSecond).toPrecision(2) : ""
    return [...own, String(other.operationsPerSecond), String(other.p99Ms), times]
  })
  return tableText(beside.length === 0 ? head : [...head, "BESIDE: OPS/S", "P99", "TIMES"], cells)
}

/** Parses the output of `--json`. */
export function parseRows(text: string, path: string): BenchRow[] {
  return text
    .split("\n")
    .filter(line => line.trim() !== "")
    .map(line => {
      const row = ROW.safeParse(jsonOf(line))
      if (row.success) return row.data
      throw new CliError("usage", `${path} is not the output of "hayloft bench --json"`)
    })
}

function jsonOf(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}

function accessOf(io: CliIo, options: BenchOptions): Promise<S3Access> {
  const { endpoint, accessKey } = options
  if (accessKey !== undefined && endpoint === undefined) throw new CliError("usage", "--access-key needs --endpoint")
  const { AWS_ENDPOINT_URL_S3: _, ...environment } = io.environment
  const named = {
    ...(endpoint === undefined ? io.environment : { ...environment, AWS_ENDPOINT_URL: endpoint }),
    ...(accessKey === undefined ? {} : { AWS_ACCESS_KEY_ID: accessKey }),
  }
  return s3Access({ ...io, environment: named }, options)
}

function planOf(options: BenchOptions): Plan {
  const mix = parseMix(options.mix)
  if (mix === undefined) throw new CliError("usage", `--mix: "${options.mix}" is not like ${MIX_DEFAULT}`)
  const works = options.ops.split(",").map(text => {
    const name = text.trim()
    if (name === MIXED) return { name, mix }
    const operation = OPERATIONS.find(known => known === name)
    if (operation === undefined)
      throw new CliError("usage", `--ops: "${name}" is not one of ${[...OPERATIONS, MIXED].join(", ")}`)
    return { name: operation, mix: { [operation]: 1 } }
  })
  return {
    works,
    sizes: options.sizes.split(",").map(text => sizeOf(text, "--sizes")),
    concurrencies: options.concurrency.split(",").map(text => within(text, "--concurrency", 1, 4096)),
    seconds: within(options.seconds, "--seconds", 0.1, 3600),
    keys: within(options.keys, "--keys", 1, 1e6),
    thinkMs: within(options.think, "--think", 0, 60_000),
    rangeBytes: options.range === undefined ? undefined : sizeOf(options.range, "--range"),
  }
}

function within(text: string, what: string, min: number, max: number): number {
  const value = numberOf(text, what)
  if (value >= min && value <= max) return value
  throw new CliError("usage", `${what}: ${text} is not from ${min} to ${max}`)
}

function sizeOf(text: string, what: string): number {
  const bytes = bytesOfSize(text.trim())
  if (bytes !== undefined && bytes >= 1 && bytes <= SIZE_BYTES_MAX) return bytes
  throw new CliError("usage", `${what}: "${text}" is not a size from 1 to 1GiB, like 64KiB`)
}
