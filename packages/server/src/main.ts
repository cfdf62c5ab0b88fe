/** Main: connects the command line to the process: streams, signals and exit code. A front thread of a server starts here, too. */
import { spawn } from "node:child_process"
import { memoryBytesMax } from "@hayloft/base/seams/store/real-memory.js"
import { availableParallelism, constants, hostname } from "node:os"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { EXIT_CODES } from "@hayloft/cli/exit-codes.js"
import type { CliIo } from "@hayloft/cli/io.js"
import { isExecutable } from "@hayloft/cli/program-files.js"
import { run } from "@hayloft/cli/program.js"
import { withoutSettings } from "@hayloft/node/config/index.js"
import { frontOrder } from "./threads/front-worker.js"
import { terminalOf } from "./process/terminal.js"
import { StopSignals } from "./process/stop-signals.js"

function launchServe(configFile: string, log: number): Promise<void> {
  const [program = ""] = process.argv.slice(1)
  const start = isExecutable() ? [] : [...process.execArgv, program]
  const args = [...start, "serve", "--config", configFile]
  const child = spawn(process.execPath, args, {
    detached: true,
    stdio: ["ignore", log, log],
    env: withoutSettings(process.env),
  })
  child.unref()
  return new Promise(resolve => {
    child.once("exit", () => resolve())
    child.once("error", () => resolve())
  })
}

function runProgram(
  [program = "", ...args]: readonly string[],
  variables: CliIo["environment"],
  signal: AbortSignal,
  killAfterMs: number,
): Promise<number> {
  // At a terminal it stays in the group that the terminal's keys reach.
  const isGroup = !process.stdin.isTTY
  const child = spawn(program, args, { stdio: "inherit", detached: isGroup, env: { ...process.env, ...variables } })
  const send = (name: NodeJS.Signals): void => {
    if (child.pid === undefined) return
    try {
      process.kill(isGroup ? -child.pid : child.pid, name)
    } catch {
      // It has ended.
    }
  }
  const kill = (): void => send("SIGKILL")
  return new Promise((resolve, reject) => {
    let cancel = (): void => undefined
    const end = (): void => {
      send("SIGTERM")
      cancel = clock.alarm(killAfterMs, kill)
    }
    process.once("exit", kill)
    signal.addEventListener("abort", end, { once: true })
    if (signal.aborted) end()
    const done = (): void => {
      cancel()
      process.off("exit", kill)
      signal.removeEventListener("abort", end)
      // Processes that the child has started must not go on without the lock.
      if (signal.aborted && isGroup) kill()
    }
    child.once("error", error => {
      done()
      reject(error)
    })
    child.once("exit", (code, by) => {
      done()
      resolve(code ?? SIGNALLED + (by === null ? 0 : constants.signals[by]))
    })
  })
}

/** Exit codes of programs that a signal has ended begin here, as in shells. */
const SIGNALLED = 128

/** The time that a command has to clean up once the reader of its output has closed the pipe. */
const UNREAD_MS_MAX = 5_000

/** The reader of the output has closed the pipe, as in `hayloft ls | head`, which is no error. */
let isUnread = false

function onOutputError(error: Error & { code?: string }): void {
  if (error.code !== "EPIPE") process.exit(EXIT_CODES.failed.code)
  if (isUnread) return
  isUnread = true
  signals.take()
  if (!signals.isServing) clock.alarm(UNREAD_MS_MAX, () => process.exit(0))
}

function processIo(clock: CliIo["clock"], signals: StopSignals): CliIo {
  process.stdout.on("error", onOutputError)
  return {
    programs: {
      // Loaded on demand: most commands need neither.
      serve: async (config, io) => (await import("./serve.js")).serve(config, io, signals),
      launch: launchServe,
      run: runProgram,
      rescue: async (request, io, signal) => (await import("./run-rescue.js")).runRescue(request, io, signal),
    },
    environment: process.env,
    workingFolder: process.cwd(),
    hostName: hostname(),
    machine: { cores: availableParallelism(), memoryBytes: memoryBytesMax() },
    clock,
    out: data => new Promise(resolve => process.stdout.write(data, () => resolve())),
    error: text => {
      if (!isUnread) process.stderr.write(text)
    },
    input: process.stdin,
    inputIsTerminal: process.stdin.isTTY,
    outIsTerminal: process.stdout.isTTY,
    terminal: terminalOf(process),
    errorIsTerminal: process.stderr.isTTY,
  }
}

const clock = new RealClock()
const signals = new StopSignals(clock, () => process.exit(EXIT_CODES.interrupted.code))

async function serveFrontThread(): Promise<void> {
  const { parseFrontOrder, serveFront } = await import("./threads/serve-front.js")
  await serveFront(parseFrontOrder(frontOrder))
}

async function runCommand(): Promise<never> {
  process.on("SIGINT", () => signals.take())
  process.on("SIGTERM", () => signals.take())
  const io = processIo(clock, signals)
  const signal = signals.stop
  // Commands that read standard input see the error there; the others ignore it.
  process.stdin.on("error", () => undefined)
  signal.addEventListener("abort", () =>
    process.stdin.destroy(signal.reason instanceof Error ? signal.reason : undefined),
  )
  const code = await run(process.argv.slice(2), io, signal)
  process.exit(isUnread ? 0 : code)
}

// An error of a front thread ends that thread.
void (frontOrder === undefined ? runCommand() : serveFrontThread())
