/**
 * `npm run dev`: a store to work against, with a bucket of a few objects. Data stays between runs; `rm -rf .cache/dev`
 * starts over. Ctrl-C ends it.
 *
 *   npm run dev                one process with seven folders, in .cache/dev; every log line
 *   npm run dev -- --nodes 3   three nodes in three zones, with two folders each, over a PostgreSQL, in .cache/dev/nodes
 *     --port 9000              the first of their ports; 0: free ones
 *     --folder DIR             another folder for all of it
 */
import { mkdirSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { runNodes } from "./dev/nodes.mjs"
import { seed } from "./dev/seed.mjs"
import { ensure } from "./ensure.mjs"

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))
const NODES_MAX = 9

const text = { type: "string" }
const usage = message => {
  process.stderr.write(`dev: ${message}\n`)
  process.exit(2)
}

function parse() {
  try {
    return parseArgs({ options: { nodes: text, folder: text, port: text } }).values
  } catch (error) {
    return usage(error.message)
  }
}

function numberOf(name, given, from, to) {
  const number = Number(given)
  if (!/^\d+$/.test(given) || number < from || number > to) usage(`--${name} is a number from ${from} to ${to}`)
  return number
}

const { nodes, folder, port = "9000" } = parse()
const count = nodes === undefined ? undefined : numberOf("nodes", nodes, 1, NODES_MAX)
const firstPort = numberOf("port", port, 0, 65_000)

await ensure({ dev: true })
const { RealClock } = await import("../dist/packages/base/src/seams/clock/real.js")
const clock = new RealClock()
const stop = new AbortController()
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => stop.abort())

async function runOne(folder) {
  const { StoreProcess } = await import("../dist/packages/client/src/testing-store-process.js")
  const dataFolders = Array.from({ length: 7 }, (_, i) => join(folder, `disk${i + 1}`))
  for (const path of dataFolders) mkdirSync(path, { recursive: true })
  const args = ["--log-level", "debug", "--log-format", "text"]
  const listen = { listen: "127.0.0.1:9000", adminListen: "127.0.0.1:9001" }
  const store = StoreProcess.spawn({ dataFolders, args, ...listen, inheritOutput: true }, clock)
  stop.signal.addEventListener("abort", () => store.kill("SIGTERM"))
  try {
    const bucket = await seed(await store.access(), clock, stop.signal)
    process.stderr.write(
      `seeded s3://${bucket}; try: HAYLOFT_DATA='${folder}/disk{1...7}' ./bin/hayloft ls -r s3://${bucket}\n`,
    )
  } catch (error) {
    if (!stop.signal.aborted) process.stderr.write(`dev: ${error instanceof Error ? error.message : error}\n`)
  }
  return (await store.exited) ?? 1
}

const usual = join(ROOT, ".cache", "dev")
process.exit(
  count === undefined
    ? await runOne(folder ?? usual)
    : await runNodes({ count, firstPort, folder: folder ?? join(usual, "nodes"), clock, signal: stop.signal }),
)
