/**
 * A store of `peers.ts` as a process, on ports of the loopback address.
 *
 * Limits  `START_MS_MAX` for a start.
 */
import { spawn, type ChildProcess } from "node:child_process"
import { createServer } from "node:net"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { runProcess } from "@hayloft/cli/testing-process.js"
import { makePlace, type Peer, type Place } from "./peers.js"

const START_MS_MAX = 60_000
const POLL_MS = 100
const LETTERS_KEPT = 4_000
/** Stores get the first ports that are free, from `first` on. */
export const PORTS = { first: 15_000, step: 10, each: 5 } as const

/** Returns true if nothing listens there. */
function isFree(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const server = createServer()
    server.once("error", () => resolve(false))
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)))
  })
}

/** The first of the ports of a place, which all are free. */
export async function freePorts(after: number): Promise<number> {
  for (let port = after; port < 60_000; port += PORTS.step) {
    const free = await Promise.all(Array.from({ length: PORTS.each }, (_, i) => isFree(port + i)))
    if (free.every(Boolean)) return port
  }
  throw new Error("no free ports")
}

interface Waiting {
  readonly clock: Clock
  readonly signal: AbortSignal
}

/** Starts it in its place, and waits until its port answers; throws with its output if it does not. */
export async function startPeer(
  peer: Peer,
  program: string,
  place: Place,
  { clock, signal }: Waiting,
): Promise<ChildProcess> {
  await makePlace(place, peer)
  const { args, environment = {} } = peer.serve(place)
  const child = spawn(program, [...args], {
    env: { ...process.env, ...environment },
    cwd: place.folder,
    stdio: ["ignore", "pipe", "pipe"],
  })
  let output = ""
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (chunk: string) => (output = (output + chunk).slice(-LETTERS_KEPT)))
  }
  try {
    const endMs = clock.monotonicMs() + START_MS_MAX
    while (await isFree(place.port)) {
      const isOver = child.exitCode !== null || clock.monotonicMs() > endMs
      if (isOver) throw new Error(`it does not serve: ${output}`)
      await clock.sleep(POLL_MS, signal)
    }
    for (const { args: further, input = "" } of peer.settle?.(place) ?? []) {
      const { code, out, error } = await runProcess(program, [...further], { input: Buffer.from(input) })
      if (code !== 0) throw new Error(`${further.join(" ")}: ${out.toString("utf8")}${error}`)
    }
    return child
  } catch (error) {
    await endPeer(child, "SIGKILL")
    throw error
  }
}

/** Waits for its end. */
export async function endPeer(child: ChildProcess, signal: "SIGKILL" | "SIGTERM"): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill(signal)
  await new Promise(resolve => child.once("exit", resolve))
}
