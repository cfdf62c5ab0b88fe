/**
 * The memory of native code, as `/proc` shows it: what each format takes is less than what is reserved for it, and a server stays
 * within its budget, whatever images it is asked for at once. The image library is the only native code that takes more than a few
 * mebibytes; all other codecs are WebAssembly, or work on pieces of a mebibyte. Skipped without the package sharp.
 */
import assert from "node:assert/strict"
import { readdir, readFile } from "node:fs/promises"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { test } from "node:test"
import { z } from "zod"
import { mapBounded } from "@hayloft/base/life/index.js"
import { MIB } from "@hayloft/base/limits.js"
import { TRANSFORM_LIMITS } from "@hayloft/features/transforms/limits.js"
import { imageVersion } from "@hayloft/features/transforms/worker/image.js"
import { run } from "../harness/commands.js"
import { withFolder } from "../harness/folders.js"
import { ROOT, withServer } from "../harness/server.js"
import { residentBytes } from "../stalled/attackers.js"

const missing = (await imageVersion()) === undefined ? "the package sharp is not installed" : false
const images = { skip: missing, timeout: 300_000 }
const SIDE = 1_000
/** Inputs and results of objects, and the heap between garbage collections. */
const HEAP_BYTES = 160 * MIB
/** A process of a sandbox, with its libraries, before it has a task. */
const PROCESS_BYTES = 96 * MIB

/** The process, and those that its threads have started. */
async function processesOf(pid: number): Promise<readonly number[]> {
  const threads = await readdir(`/proc/${pid}/task`)
  const started = await mapBounded(threads, 4, thread => readFile(`/proc/${pid}/task/${thread}/children`, "utf8"))
  return [pid, ...started.flatMap(text => text.split(" ").filter(Boolean).map(Number))]
}

/** Returns the sum of their peaks. */
async function mostBytesOf(pid: number): Promise<number> {
  const found = await mapBounded(await processesOf(pid), 4, residentBytes)
  return found.reduce((sum, { most }) => sum + most, 0)
}

const pipelineOf = (format: string, quality: number): string =>
  encodeURIComponent(`image,format=${format},quality=${quality}`)

const MEASURED = z.object({ kind: z.string(), taken: z.number(), reserved: z.number() })

/** Makes an image, and prints the memory that the step takes at most, and the memory that was reserved for it. */
const MEASURE = `
import { readFileSync } from "node:fs"
import sharp from "sharp"
const [, module, side, input, channels, depth, format] = process.argv
const { imageBytes, imageStep } = await import(module)
const most = () => Number(/VmHWM:\\s+(\\d+) kB/.exec(readFileSync("/proc/self/status", "utf8"))[1]) * 1024
const create = { width: Number(side), height: Number(side), channels: 3, background: "red" }
let image = sharp({ create: { ...create, noise: { type: "gaussian", mean: 128, sigma: 60 } } })
if (channels === "4") image = image.ensureAlpha(0.5)
if (depth === "16") image = image.toColourspace("rgb16")
const bytes = await image.toFormat(input).toBuffer()
const step = { kind: "image", fit: "inside", format }
const reserved = await imageBytes(step, bytes)
// From here on, the highest value is counted again.
const { writeFileSync } = await import("node:fs")
writeFileSync("/proc/self/clear_refs", "5")
const before = most()
const made = await imageStep(step, { kind: "made", bytes, type: "image/x" })
console.log(JSON.stringify({ kind: made.kind, taken: most() - before, reserved }))
`

test("what each format takes is less than what is reserved for it", images, async () => {
  const module = pathToFileURL(join(ROOT, "dist/packages/features/src/transforms/worker/image.js")).href
  for (const [input, channels, depth, format] of [
    ["png", "4", "8", "avif"],
    ["png", "3", "16", "avif"],
    ["webp", "4", "8", "webp"],
    ["jpeg", "3", "8", "jpeg"],
    ["png", "3", "16", "png"],
  ] as const) {
    const name = [input, channels, depth, format].join(" ")
    const args = ["--input-type=module", "-e", MEASURE, module, String(SIDE), input, channels, depth, format]
    const { stdout, stderr } = await run(process.execPath, args, { cwd: ROOT })
    assert.match(stdout, /^\{/, `${name}: ${stderr}`)
    const { kind, taken, reserved } = MEASURED.parse(JSON.parse(stdout))
    assert.equal(kind, "made", name)
    assert.ok(taken <= reserved, `${name}: ${taken} of ${reserved} bytes`)
  }
})

test("a server stays within its budget, whatever images it is asked for at once", images, () =>
  withFolder(folder =>
    withServer({ folders: [join(folder, "data")], args: ["--transforms"] }, async server => {
      const { default: sharp } = await import("sharp")
      const s3 = server.client()
      assert.equal((await s3.call("PUT", { bucket: "art" })).status, 200)
      const create = (side: number) => ({ width: side, height: side, channels: 3, background: "red" }) as const
      // Few bytes, and many pixels.
      for (const [key, side] of Object.entries({ huge: 7_000, large: 2_500 })) {
        const body = await sharp({ create: create(side) })
          .png({ palette: true, colours: 2, ["effort"]: 1 })
          .toBuffer()
        assert.equal((await s3.call("PUT", { bucket: "art", key, body })).status, 200)
      }
      const before = await mostBytesOf(server.pid)
      const made = (key: string, format: string, quality: number) =>
        s3.call("GET", { bucket: "art", key, query: `x-transform=${pipelineOf(format, quality)}` })
      const huge = Array.from({ length: 4 }, (_, i) => made("huge", "avif", 50 + i))
      const large = ["avif", "webp", "jpeg"].map(format => made("large", format, 50))
      for (const each of huge) {
        const answer = await each
        assert.deepEqual([answer.status, answer.header("x-hayloft-transform")], [200, "skipped"])
        assert.match(answer.header("x-hayloft-transform-reason") ?? "", /MiB of memory/)
      }
      for (const each of large) assert.equal((await each).header("x-hayloft-transform"), "applied")
      const processes = await processesOf(server.pid)
      assert.ok(processes.length > 1, "images are made in other processes")
      const taken = (await mostBytesOf(server.pid)) - before
      const allowed = TRANSFORM_LIMITS.nativeBytesMax + HEAP_BYTES + (processes.length - 1) * PROCESS_BYTES
      assert.ok(taken < allowed, `${Math.round(taken / MIB)} MiB`)
    }),
  ),
)
