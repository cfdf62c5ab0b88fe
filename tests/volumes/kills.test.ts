/**
 * Programs that use `hayloft/volumes`: one that is killed with SIGKILL while it appends and removes keeps what it has
 * acknowledged, and the example of docs/guide/volumes.md prints what the page says. A soak kills more often.
 */
import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { test } from "node:test"
import { setTimeout as later } from "node:timers/promises"
import { pathToFileURL } from "node:url"
import { runsOf, TEST_SEED } from "@hayloft/base/testing-seed.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { fsckVolumes, openVolumes, rebuildIndex } from "@hayloft/engine/volume-store/library.js"
import { bindChild, runOk } from "../harness/commands.js"
import { withFolder } from "../harness/folders.js"
import { ROOT } from "../harness/server.js"

const LIBRARY = join(ROOT, "dist/bundle/volumes.cjs")
const KILLS = runsOf(4)
const ACKNOWLEDGED_MS_MAX = 600

/** Appends and removes values of its round, several at a time, and prints a line for each acknowledgement. */
const programOf = (folder: string, round: number): string => `
  const { openVolumes } = require(${JSON.stringify(LIBRARY)})
  const valueOf = key => Buffer.alloc(key.length * 997, key)
  const main = async () => {
    const store = await openVolumes(${JSON.stringify(folder)}, { volumeBytesMax: 2 ** 20 })
    console.log("open")
    const writer = async number => {
      for (let n = 0; ; n += 1) {
        const key = "round ${round}, writer " + number + ", " + n
        await store.append(key, valueOf(key))
        console.log("+" + key)
        if (n % 3 === 0) continue
        await store.remove(key)
        console.log("-" + key)
      }
    }
    for (let number = 0; number < 8; number += 1) void writer(number)
    for (;;) await store.compact()
  }
  main()`

/** Runs the program, and kills it some time after a line that begins so; returns the lines that it has printed. */
async function linesUntilKilled(program: string, first: string, afterMs: number): Promise<readonly string[]> {
  const child = spawn(process.execPath, ["-e", program], { stdio: ["ignore", "pipe", "inherit"] })
  bindChild(child)
  const lines: string[] = []
  const ended = new Promise(resolve => void child.once("close", resolve))
  let isDying = false
  for await (const line of createInterface({ input: child.stdout })) {
    lines.push(line)
    if (isDying || !line.startsWith(first)) continue
    isDying = true
    void later(afterMs).then(() => child.kill("SIGKILL"))
  }
  await ended
  return lines.filter(line => line !== "open")
}

test("a process that is killed has kept what it has acknowledged", t =>
  withFolder(async parent => {
    const folder = join(parent, "values")
    const end = new AbortController()
    t.after(() => end.abort())
    const random = new SimRandom(TEST_SEED).fork("kills of volumes")
    const present = new Set<string>()
    const removed = new Set<string>()
    for (let round = 0; round < KILLS; round += 1) {
      // The first one is killed once it has removed a value, however slow the machine is.
      const first = round === 0 ? "-" : "open"
      for (const line of await linesUntilKilled(programOf(folder, round), first, random.below(ACKNOWLEDGED_MS_MAX))) {
        const key = line.slice(1)
        if (line.startsWith("+")) present.add(key)
        else if (present.delete(key)) removed.add(key)
      }
      assert.equal((await fsckVolumes(folder)).damages, 0)
      if (round % 2 === 1) await rebuildIndex(folder)
      const store = await openVolumes(folder, { signal: end.signal })
      for (const key of present) {
        const value = await store.read(key)
        // Its removal may have been under way.
        if (value === undefined && Number(key.split(", ").at(-1)) % 3 !== 0) present.delete(key)
        else assert.deepEqual(value, Buffer.alloc(key.length * 997, key), key)
      }
      for (const key of removed) assert.equal(await store.read(key), undefined, key)
      await store.close()
    }
    assert.ok(present.size > 0 && removed.size > 0, `${present.size} and ${removed.size}`)
  }))

test("the example of docs/guide/volumes.md prints what the page says", () =>
  withFolder(async folder => {
    const page = readFileSync(join(ROOT, "docs/guide/volumes.md"), "utf8")
    const [, example = ""] = /```ts\n([^]*?)```/.exec(page) ?? []
    const [, output] = /It prints:\n\n```text\n([^]*?)```/.exec(page) ?? []
    assert.ok(example.includes('from "hayloft/volumes"'))
    const file = join(folder, "example.mjs")
    writeFileSync(file, example.replace("hayloft/volumes", pathToFileURL(LIBRARY).href))
    assert.equal(await runOk(process.execPath, [file], { cwd: folder }), output)
  }))
