/**
 * `npm run bench`: a table of the store's figures, beside the limits of the machine and the targets.
 *
 * Starts its own stores in a temporary folder and removes them, also when interrupted. Time and
 * space are bounded by the scale. Exits with 1 if a row failed; a missed target is not a failure.
 */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import type { Bench } from "./bench.js"
import { machineOf } from "./machine.js"
import { parseOptions, USAGE, type BenchOptions } from "./options.js"
import { lineOf, textOfReport, type Report } from "./report.js"
import type { Result } from "./row.js"

const clock = new RealClock()
const OUT_FOLDER = fileURLToPath(new URL("../../.cache/bench", import.meta.url))

async function measure(options: BenchOptions, bench: Bench, args: readonly string[]): Promise<Report> {
  const machine = await machineOf(bench.workFolder, args, clock.wallMs())
  const beganMs = clock.monotonicMs()
  const rows: Result[] = []
  const tell = (result: Result): void => {
    bench.signal.throwIfAborted()
    bench.say(lineOf(result))
    rows.push(result)
  }
  for (const theme of options.themes) await theme.run(bench, options.isWanted, tell)
  return { machine, seconds: (clock.monotonicMs() - beganMs) / 1000, rows }
}

async function main(args: readonly string[]): Promise<number> {
  const options = parseOptions(args)
  if (options === "help") {
    process.stdout.write(USAGE)
    return 0
  }
  const stop = new AbortController()
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stop.abort())
  const say = (line: string) => void (options.json || process.stderr.write(`${line}\n`))
  const workFolder = await mkdtemp(join(options.workFolder ?? tmpdir(), "hayloft-bench-"))
  try {
    const report = await measure(options, { clock, signal: stop.signal, scale: options.scale, workFolder, say }, args)
    const text = `${JSON.stringify(report, undefined, 2)}\n`
    const out = options.out ?? join(OUT_FOLDER, `${report.machine.startedAt.replace(/[:.]/g, "-")}.json`)
    await mkdir(dirname(out), { recursive: true })
    await writeFile(out, text)
    process.stdout.write(options.json ? text : `\n${textOfReport(report)}\n${out}\n`)
    return report.rows.some(({ verdict }) => verdict === "failed") ? 1 : 0
  } finally {
    await rm(workFolder, { recursive: true, force: true })
  }
}

try {
  process.exit(await main(process.argv.slice(2)))
} catch (error) {
  const message = error instanceof Error ? error.message : String(error)
  process.stderr.write(`bench: ${message}\n`)
  process.exit(1)
}
