/** Tests of lines that several threads write to one pipe: of real threads, and of a pipe that is full. */
import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { test } from "node:test"
import { fileURLToPath } from "node:url"
import { SimClock } from "../clock/sim.js"
import { PIPE_BYTES, WAITING_BYTES_MAX, WholeLines } from "./real-lines.js"

const moduleAt = (path: string): string => JSON.stringify(new URL(path, import.meta.url).href)

const IMPORTS = `
  import { RealClock } from ${moduleAt("../clock/real.js")}
  import { RealTelemetry } from ${moduleAt("./real.js")}
  import { WholeLines } from ${moduleAt("./real-lines.js")}
  const clock = new RealClock()
  const lines = WholeLines.onStandardError(clock, () => undefined)
  const logOf = thread => new RealTelemetry(clock, text => lines.write(text), { level: "info", format: "json", thread }).log
`

const LINES = 1_500

/** Writes lines of many lengths, then says that it has. */
const FRONT = `
  ${IMPORTS}
  import { parentPort, workerData } from "node:worker_threads"
  const log = logOf(workerData)
  for (let n = 0; n < ${LINES}; n += 1) {
    log.info("numbered", { n, text: "é".repeat((n * 37) % 1_500) })
    if (n % 100 === 0) await new Promise(resolve => setImmediate(resolve))
  }
  parentPort.postMessage("all")
`

const fronts = (source: string): string => `
  ${IMPORTS}
  import { once } from "node:events"
  import { Worker } from "node:worker_threads"
  const source = new URL("data:text/javascript," + ${JSON.stringify(encodeURIComponent(source))})
  const workers = ["front-1", "front-2"].map(workerData => new Worker(source, { workerData }))
`

const run = (code: string) =>
  spawn(process.execPath, ["--input-type=module", "-e", code], {
    cwd: fileURLToPath(new URL(".", import.meta.url)),
    stdio: ["ignore", "pipe", "pipe"],
  })

test("threads that share a pipe, which is full meanwhile, write whole lines, each in its order", async () => {
  const code = `
    ${fronts(FRONT)}
    const log = logOf("main")
    for (let n = 0; n < ${LINES}; n += 1) log.info("numbered", { n })
    await Promise.all(workers.map(worker => once(worker, "message")))
    process.stdout.write("all\\n")
  `
  const child = run(code)
  // Nothing is read before all lines have been given to the log, which are more than a pipe holds.
  await once(child.stdout, "data")
  let text = ""
  child.stderr.setEncoding("utf8").on("data", (piece: string) => (text += piece))
  await once(child, "close")
  const numbers = new Map<string, number[]>()
  for (const line of text.trimEnd().split("\n")) {
    const { thread, n } = JSON.parse(line) as { readonly thread: string; readonly n: number }
    numbers.set(thread, [...(numbers.get(thread) ?? []), n])
  }
  const all = Array.from({ length: LINES }, (_, n) => n)
  assert.deepEqual([...numbers.keys()].sort(), ["front-1", "front-2", "main"])
  for (const found of numbers.values()) assert.deepEqual(found, all)
})

test("a warning of a thread is written although the process ends by force", async () => {
  const front = `
    ${IMPORTS}
    import { workerData } from "node:worker_threads"
    logOf(workerData).warn("last_words")
    process.kill(process.pid, "SIGKILL")
  `
  const child = run(fronts(front))
  let text = ""
  child.stderr.setEncoding("utf8").on("data", (piece: string) => (text += piece))
  await once(child, "close")
  const { event, thread } = JSON.parse(text.split("\n", 1)[0] ?? "") as Readonly<Record<string, string>>
  assert.deepEqual([event, thread?.startsWith("front-")], ["last_words", true])
})

/** A pipe with room for some bytes. */
function world() {
  const clock = new SimClock()
  const pipe = { text: "", room: Infinity, sizes: [] as number[] }
  const dropped: number[] = []
  const put = (bytes: Uint8Array): number => {
    if (pipe.room === 0) throw Object.assign(new Error("full"), { code: "EAGAIN" })
    const written = bytes.subarray(0, pipe.room)
    pipe.room -= written.length
    pipe.text += Buffer.from(written).toString("latin1")
    pipe.sizes.push(written.length)
    return written.length
  }
  return { clock, pipe, dropped, lines: new WholeLines(clock, put, count => dropped.push(count)) }
}

test("many lines are written in groups of whole lines, and a longer one alone", () => {
  const { lines, pipe } = world()
  const short = `${"s".repeat(999)}\n`
  const long = `${"l".repeat(PIPE_BYTES)}\n`
  const whole = short.repeat(5) + long + short
  lines.write(whole)
  assert.equal(pipe.text, whole)
  assert.deepEqual(pipe.sizes, [4_000, 1_000, PIPE_BYTES + 1, 1_000])
})

test("lines wait for room in their order, from the byte where a write ended", async () => {
  const { clock, lines, pipe, dropped } = world()
  pipe.room = 7
  lines.write("first\nsecond\n")
  lines.write("third\n")
  assert.equal(pipe.text, "first\ns")
  await clock.advance(60_000)
  assert.equal(pipe.text, "first\ns")
  pipe.room = 8
  await clock.advance(1_000)
  assert.equal(pipe.text, "first\nsecond\nth")
  pipe.room = Infinity
  await clock.advance(1_000)
  lines.write("fourth\n")
  assert.equal(pipe.text, "first\nsecond\nthird\nfourth\n")
  assert.deepEqual(dropped, [])
})

test("lines beyond the limit are dropped, and their number is told when there is room again", async () => {
  const { clock, lines, pipe, dropped } = world()
  pipe.room = 0
  lines.write(`${"x".repeat(WAITING_BYTES_MAX - 10)}\n`)
  lines.write("some\nmore lines\n")
  lines.write("one\n")
  lines.write("too many\n")
  await clock.advance(1_000)
  assert.deepEqual(dropped, [])
  pipe.room = Infinity
  await clock.advance(1_000)
  assert.deepEqual(dropped, [3])
  assert.ok(pipe.text.endsWith("x\none\n"))
  lines.write("later\n")
  await clock.advance(1_000)
  assert.deepEqual([pipe.text.endsWith("\nlater\n"), dropped], [true, [3]])
})

test("lines for a stream without a reader are dropped", async () => {
  const clock = new SimClock()
  let calls = 0
  const put = (): number => {
    calls += 1
    throw Object.assign(new Error("closed"), { code: "EPIPE" })
  }
  const lines = new WholeLines(clock, put, () => assert.fail("it is not told"))
  lines.write("one\n")
  await clock.advance(60_000)
  lines.write("two\n")
  assert.equal(calls, 2)
})
