/** Main: connects the command line to the process: streams, signals and exit code. */
import { hostname } from "node:os"
import { RealClock } from "../seams/clock/real.js"
import { EXIT_CODES } from "../cli/exit-codes.js"
import type { CliIo } from "../cli/io.js"
import { run } from "../cli/program.js"

/** npm forwards a Ctrl-C that the terminal has already sent: only a later one counts as a second signal. */
const SAME_SIGNAL_MS = 1000

function processIo(): CliIo {
  // A reader that closed the pipe (`hayloft ls | head`) is not an error.
  process.stdout.on("error", (error: Error & { code?: string }) =>
    process.exit(error.code === "EPIPE" ? 0 : EXIT_CODES.failed.code),
  )
  return {
    programs: {
      // Loaded on demand: most commands need neither.
      serve: async (config, io, signal) => (await import("./serve.js")).serve(config, io, signal),
      rescue: async (request, io, signal) => (await import("./run-rescue.js")).runRescue(request, io, signal),
    },
    environment: process.env,
    workingFolder: process.cwd(),
    hostName: hostname(),
    clock: new RealClock(),
    out: data => new Promise(resolve => process.stdout.write(data, () => resolve())),
    error: text => void process.stderr.write(text),
    input: process.stdin,
    inputIsTerminal: process.stdin.isTTY,
    errorIsTerminal: process.stderr.isTTY,
  }
}

/** Fires at the first SIGINT or SIGTERM; a second one ends the process immediately. */
function stopSignal(clock: CliIo["clock"]): AbortSignal {
  const stop = new AbortController()
  let firstMs: number | undefined
  const onSignal = () => {
    firstMs ??= clock.monotonicMs()
    if (clock.monotonicMs() - firstMs > SAME_SIGNAL_MS) process.exit(EXIT_CODES.interrupted.code)
    stop.abort()
  }
  process.on("SIGINT", onSignal)
  process.on("SIGTERM", onSignal)
  return stop.signal
}

const io = processIo()
const signal = stopSignal(io.clock)
// Commands that read standard input see the error there; the others ignore it.
process.stdin.on("error", () => undefined)
signal.addEventListener("abort", () =>
  process.stdin.destroy(signal.reason instanceof Error ? signal.reason : undefined),
)
void run(process.argv.slice(2), io, signal).then(code => process.exit(code))
