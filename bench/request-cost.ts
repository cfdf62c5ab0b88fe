/**
 * `npm run request-cost`: how many of the product's files and functions the serving thread runs for one request of each
 * form, and how many calls that takes, by V8's precise coverage of a real server with 6 folders, 4+2 and three metadata
 * replicas.
 *
 * A sample is 40 requests (10 large ones), one after the other over a new connection, after the same number of
 * uncounted requests. A function counts if it ran at least once for each request in each sample; the sample in
 * which it was called
 * least gives its calls. So background work is excluded. The server runs the built files of dist/packages, not the bundle:
 * V8 then names the file of each function.
 */
import { existsSync } from "node:fs"
import { mkdtemp, readFile, rm } from "node:fs/promises"
import { SourceMap } from "node:module"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { z } from "zod"
import { tableText } from "@hayloft/cli/text.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import type { Bench } from "./bench.js"
import { builtCheckout } from "./checkout.js"
import { FormStore } from "./form-store.js"
import {
  calledFiles,
  costOf,
  filesBeyond,
  leastCalls,
  parseCoverage,
  type CalledFile,
  type Coverage,
  type RequestCost,
} from "./function-calls.js"
import { wantedBy } from "./options.js"
import { FORMS, type RequestForm } from "./request-forms.js"
import { QUICK } from "./scale.js"

/** Seen from dist/bench/. */
const ROOT = fileURLToPath(new URL("../..", import.meta.url))
/** The unbundled command line; older checkouts use the second name. */
const ENTRIES = ["dist/packages/server/src/main.js", "dist/src/main/main.js"]
const FOLDERS = 6
const REQUESTS = 40
const LARGE_REQUESTS = 10
/** The number of samples; the fewest calls of each function count. */
const SAMPLES = 5
/** The size that bin/hayloft chooses for this many folders. */
const POOL_THREADS = 4 + 4 * FOLDERS

const USAGE = `npm run request-cost -- [options]

  --rows TEXT    only forms whose name has this text, and their plain forms; "chunks|tagging" has either
  --show NAME    the files and functions of one form, with calls for each request; with --rows after its table
  --beside DIR   the figures of another checkout too, as "before"
  --json         print JSON instead of tables
`

type Files = readonly CalledFile[]
type FilesByForm = ReadonlyMap<string, Files>

interface CostRow extends RequestCost {
  readonly form: string
  /** Files that the plain form does not run. */
  readonly beyondPlain?: readonly string[]
}

/** The files of each form, from servers of the checkout. */
async function measure(bench: Bench, checkout: string, forms: readonly RequestForm[]): Promise<FilesByForm> {
  const found = new Map<string, Files>()
  for (const form of forms) found.set(form.name, await filesOf(bench, checkout, form))
  return found
}

/** Uses a store of its own, since the code that a request runs also depends on earlier writes. */
async function filesOf(bench: Bench, checkout: string, form: RequestForm): Promise<Files> {
  const store = await FormStore.open(bench, {
    name: "request-cost",
    checkout,
    folders: FOLDERS,
    probe: "coverage",
    args: ["--redundancy", "ec:4+2", "--meta-copies", "3"],
    command: ENTRIES.map(entry => join(checkout, entry)).find(existsSync) ?? checkout,
    environment: { UV_THREADPOOL_SIZE: String(POOL_THREADS) },
  })
  try {
    return await sampled(store, form)
  } finally {
    await store.close()
  }
}

async function sampled(store: FormStore, form: RequestForm): Promise<Files> {
  await store.speak(form.isOverTls === true)
  const count = form.isLarge === true ? LARGE_REQUESTS : REQUESTS
  const requests = await form.prepare(store, (1 + SAMPLES) * count)
  await store.sendInTurn(requests.slice(0, count))
  const samples: Coverage[] = []
  for (let sample = 1; sample <= SAMPLES; sample += 1) {
    await store.store.probed()
    await store.sendInTurn(requests.slice(sample * count, (sample + 1) * count))
    samples.push(parseCoverage(await store.store.probed()))
  }
  return calledFiles(leastCalls(samples), count)
}

function rowsOf(files: FilesByForm, forms: readonly RequestForm[]): CostRow[] {
  return forms.map(({ name, plain }) => {
    const own = files.get(name) ?? []
    const other = plain === undefined ? undefined : files.get(plain)
    const row = { form: name, ...costOf(own) }
    return other === undefined ? row : { ...row, beyondPlain: filesBeyond(own, other) }
  })
}

const figuresOf = (row: CostRow | undefined): string[] =>
  row === undefined
    ? ["", "", "", ""]
    : [row.files, row.functions, row.calls, row.beyondPlain?.length ?? ""].map(figure => String(figure))

function tableOf(now: readonly CostRow[], before: readonly CostRow[] | undefined): string {
  const head = ["FILES", "FUNCTIONS", "CALLS", "FILES BEYOND PLAIN"]
  if (before === undefined) {
    return tableText(
      ["REQUEST", ...head],
      now.map(row => [row.form, ...figuresOf(row)]),
    )
  }
  const beside = head.map(name => `BEFORE: ${name}`)
  return tableText(
    ["REQUEST", ...head, ...beside],
    now.map((row, i) => [row.form, ...figuresOf(row), ...figuresOf(before[i])]),
  )
}

const SOURCE_MAP = z.object({
  version: z.number(),
  file: z.string().default(""),
  sourceRoot: z.string().default(""),
  mappings: z.string(),
  sources: z.array(z.string()),
  sourcesContent: z.array(z.string()).default([]),
  names: z.array(z.string()),
})

/** Maps each offset in a built file to its line in the source. */
async function linesOf(checkout: string, path: string): Promise<(at: number) => number> {
  const built = join(checkout, "dist", path.replace(/\.ts$/, ".js"))
  const text = await readFile(built, "utf8")
  const map = new SourceMap(SOURCE_MAP.parse(JSON.parse(await readFile(`${built}.map`, "utf8"))))
  return at => {
    const before = text.slice(0, at).split("\n")
    const entry = map.findEntry(before.length - 1, before.at(-1)?.length ?? 0)
    return "originalLine" in entry ? entry.originalLine + 1 : 0
  }
}

interface ShownFunction {
  readonly file: string
  readonly line: number
  readonly name: string
  readonly callsPerRequest: number
}

async function functionsOf(checkout: string, files: Files): Promise<ShownFunction[]> {
  const shown: ShownFunction[] = []
  for (const { path: file, functions } of files) {
    const lineOf = await linesOf(checkout, file)
    for (const { name, at, callsPerRequest } of functions) {
      shown.push({ file, line: lineOf(at), name: name === "" ? "(anonymous)" : name, callsPerRequest })
    }
  }
  return shown.sort((a, b) => (a.file === b.file ? a.line - b.line : a.file < b.file ? -1 : 1))
}

const textOfFunctions = (functions: readonly ShownFunction[]): string =>
  tableText(
    ["FUNCTION", "CALLS", "WHERE"],
    functions.map(({ file, line, name, callsPerRequest }) => [
      name,
      String(Number(callsPerRequest.toFixed(1))),
      `${file}:${line}`,
    ]),
  )

/** Returns the form of this name, else the only form with the text in its name. */
function formOf(text: string): RequestForm {
  const exact = FORMS.find(({ name }) => name === text)
  const [only, ...more] = exact === undefined ? FORMS.filter(({ name }) => name.includes(text)) : [exact]
  if (only !== undefined && more.length === 0) return only
  throw new Error(`--show needs one of:\n${FORMS.map(({ name }) => `  ${name}`).join("\n")}`)
}

interface CostOptions {
  readonly forms: readonly RequestForm[]
  /** The forms of the table, if there is one. */
  readonly rows: readonly RequestForm[]
  readonly show: RequestForm | undefined
  readonly beside: string | undefined
  readonly isJson: boolean
}

/** Throws a one-line error for invalid arguments. */
export function parseCostOptions(args: readonly string[]): CostOptions | "help" {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rows: { type: "string" },
      show: { type: "string" },
      beside: { type: "string" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  })
  if (values.help) return "help"
  const show = values.show === undefined ? undefined : formOf(values.show)
  const { rows: words = show === undefined ? "" : undefined } = values
  const rows = words === undefined ? [] : withPlain(words)
  if (words !== undefined && rows.length === 0) throw new Error(`no form of request has "${words}" in its name`)
  const forms = show === undefined || rows.includes(show) ? rows : [...rows, show]
  return { forms, rows, show, beside: values.beside, isJson: values.json }
}

/** The forms that have one of the words in their names, and their plain forms. */
function withPlain(words: string): readonly RequestForm[] {
  const isWanted = wantedBy(words)
  const wanted = FORMS.filter(({ name }) => isWanted(name))
  const plain = new Set(wanted.map(form => form.plain))
  return FORMS.filter(form => wanted.includes(form) || plain.has(form.name))
}

async function report(bench: Bench, options: CostOptions): Promise<string> {
  const { forms, rows, show, beside, isJson } = options
  const other = beside === undefined ? undefined : await builtCheckout(beside)
  const now = await measure(bench, ROOT, forms)
  const before = other === undefined ? undefined : await measure(bench, other, forms)
  const costs = rows.length === 0 ? undefined : { now: rowsOf(now, rows), before: before && rowsOf(before, rows) }
  const functions = show && {
    now: await functionsOf(ROOT, now.get(show.name) ?? []),
    before: other === undefined ? undefined : await functionsOf(other, before?.get(show.name) ?? []),
  }
  if (isJson) return `${JSON.stringify({ ...costs, functions }, undefined, 2)}\n`
  const parts = costs === undefined ? [] : [tableOf(costs.now, costs.before)]
  if (functions !== undefined) {
    const { now: list, before: earlier } = functions
    parts.push([list, ...(earlier === undefined ? [] : [earlier])].map(textOfFunctions).join("\nBefore:\n\n"))
  }
  return parts.join("\n")
}

/** Returns the exit code. */
export async function requestCost(args: readonly string[]): Promise<number> {
  const options = parseCostOptions(args)
  if (options === "help") {
    process.stdout.write(USAGE)
    return 0
  }
  const stop = new AbortController()
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stop.abort())
  const workFolder = await mkdtemp(join(tmpdir(), "hayloft-request-cost-"))
  const say = (line: string) => void process.stderr.write(`${line}\n`)
  try {
    const bench = { clock: new RealClock(), signal: stop.signal, scale: QUICK, workFolder, say }
    process.stdout.write(await report(bench, options))
    return 0
  } finally {
    await rm(workFolder, { recursive: true, force: true })
  }
}
