/**
 * `npm run bench:peers`: the same work against this store and those others that are on the machine (`peers.ts`), side by side:
 * each round measures one after the other, in a turning order, while the rest are idle. Prints a table in Markdown with versions
 * and commands.
 *
 * Promises  Everything is below a temporary folder, which is removed, and every process that was started is ended, also after
 *           Ctrl-C. A store that does not start is named, and left out.
 * Limits    `START_MS_MAX` for a start (`running.ts`).
 */
import type { ChildProcess } from "node:child_process"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { parseRows } from "@hayloft/cli/bench-command.js"
import { runProcess } from "@hayloft/cli/testing-process.js"
import { HAYLOFT_COMMAND } from "@hayloft/client/testing-store-process.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { machineOf } from "../machine.js"
import { findPeer, HAYLOFT, KEYS, PEERS, REGION, type Peer, type Place } from "./peers.js"
import { endPeer, freePorts, PORTS, startPeer } from "./running.js"
import { tableOf, type Measured, type Round } from "./table.js"

const USAGE = `usage: npm run bench:peers -- [--with NAME,NAME] [--rounds 3] [--seconds 5] [--connections 16] [--sizes 4KiB,1MiB] [--dir DIR] [--out FILE]\n`

const clock = new RealClock()
const stop = new AbortController()

interface Running extends Measured {
  readonly place: Place
  readonly child: ChildProcess
}

const text = { type: "string" } as const
const { values } = parseArgs({
  options: {
    with: text,
    rounds: text,
    seconds: text,
    connections: text,
    sizes: text,
    dir: text,
    out: text,
    help: { type: "boolean" },
  },
})

const tell = (line: string): void => void process.stderr.write(`${line}\n`)

const firstLine = (output: string): string => output.trim().split("\n")[0] ?? ""

async function start(peer: Peer, program: string, place: Place): Promise<Running> {
  const version = await runProcess(program, [...peer.version])
  const child = await startPeer(peer, program, place, { clock, signal: stop.signal })
  const { args, environment = {} } = peer.serve(place)
  const command = [...Object.keys(environment).map(name => `${name}=…`), peer.programs[0] ?? "", ...args].join(" ")
  const { name, durability } = peer
  const shown = command.replaceAll(place.folder, "DIR")
  return {
    name,
    durability,
    version: firstLine(version.out.toString("utf8") || version.error),
    command: shown,
    place,
    child,
  }
}

/** Returns what is measured, without the endpoint. */
function loadOf(): readonly string[] {
  const { seconds = "5", connections = "16", sizes = "4KiB,1MiB" } = values
  return [
    "--ops",
    "put,get,head,list,delete",
    "--sizes",
    sizes,
    "--concurrency",
    connections,
    "--seconds",
    seconds,
    "--keys",
    "256",
  ]
}

async function measure({ name, place }: Running, load: readonly string[]): Promise<readonly Round[]> {
  const endpoint = ["--endpoint", `http://127.0.0.1:${place.port}`, "--access-key", KEYS.id]
  const environment = { AWS_SECRET_ACCESS_KEY: KEYS.secret, AWS_REGION: REGION }
  const { out, error } = await runProcess(
    process.execPath,
    [HAYLOFT_COMMAND, "bench", ...endpoint, ...load, "--json"],
    { environment },
  )
  if (error !== "") tell(`${name}: ${firstLine(error)}`)
  return parseRows(out.toString("utf8"), name).map(
    ({ operation, sizeBytes, connections, operationsPerSecond, p99Ms, errors }) => ({
      store: name,
      work: `${operation} ${sizeBytes} B, ${connections} connections`,
      perSecond: operationsPerSecond,
      p99Ms,
      errors,
    }),
  )
}

async function main(): Promise<void> {
  if (values.help === true) return void process.stdout.write(USAGE)
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stop.abort())
  const wanted = values.with?.toLowerCase().split(",")
  const folder = await mkdtemp(join(values.dir ?? tmpdir(), "hayloft-peers-"))
  const machine = await machineOf(folder, process.argv.slice(2), clock.wallMs())
  const [running, rounds]: [Running[], Round[]] = [[], []]
  try {
    let port: number = PORTS.first
    for (const peer of PEERS) {
      if (wanted !== undefined && !wanted.includes(peer.name.toLowerCase())) continue
      const program = peer === HAYLOFT ? HAYLOFT_COMMAND : await findPeer(peer, process.env["PATH"] ?? "")
      if (program === undefined) {
        tell(`${peer.name}: not found (${peer.programs.join(", ")})`)
        continue
      }
      port = await freePorts(port)
      try {
        running.push(await start(peer, program, { folder: await mkdtemp(join(folder, "store-")), port }))
        tell(`${peer.name}: ${running.at(-1)?.version ?? ""}`)
      } catch (error) {
        tell(`${peer.name} is left out: ${error instanceof Error ? error.message : String(error)}`)
      }
      port += PORTS.step
    }
    const load = loadOf()
    for (let round = 0; round < Number(values.rounds ?? "3") && !stop.signal.aborted; round += 1) {
      for (let turn = 0; turn < running.length; turn += 1) {
        const store = running[(round + turn) % running.length]
        if (store === undefined || stop.signal.aborted) continue
        rounds.push(...(await measure(store, load)))
        tell(`round ${round + 1}: ${store.name}`)
      }
    }
    const table = tableOf({ machine, load: ["hayloft bench", ...load].join(" "), stores: running, rounds })
    process.stdout.write(table)
    if (values.out !== undefined) await writeFile(values.out, table)
  } finally {
    await Promise.all(running.map(({ child }) => endPeer(child, "SIGKILL")))
    await rm(folder, { recursive: true, force: true })
  }
}

await main()
