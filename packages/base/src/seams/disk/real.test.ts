/** The failures of the real disk for the system's errors. */
import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import { isFailure } from "../../failures.js"
import { RealDisk } from "./real.js"

const REAL = new URL("./real.js", import.meta.url).href

function inFolder<T>(body: (folder: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), "hayloft-disk-"))
  try {
    return body(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

test("an unreadable path is not reported as absent", async () => {
  const folder = mkdtempSync(join(tmpdir(), "hayloft-disk-"))
  const disk = new RealDisk()
  writeFileSync(join(folder, "file"), "")
  symlinkSync("loop", join(folder, "loop"))
  assert.equal(await disk.exists(join(folder, "file")), true)
  assert.equal(await disk.exists(join(folder, "none")), false)
  assert.equal(await disk.exists(join(folder, "file", "below")), false)
  await assert.rejects(disk.exists(join(folder, "loop")), error => isFailure(error, "deviceFailed"))
  rmSync(folder, { recursive: true })
})

const OPEN_TOO_MANY = `
  const { RealDisk } = await import(${JSON.stringify(REAL)})
  const disk = new RealDisk()
  const files = []
  let refused
  while (refused === undefined && files.length < 1000) {
    await disk.open(process.argv[1] + "/" + files.length, "create").then(file => files.push(file), error => (refused = error))
  }
  for (const file of files) await file.close()
  await (await disk.open(process.argv[1] + "/last", "create")).close()
  process.stdout.write(refused.kind + " " + refused.details.code)
`

test("a process without a file handle to spare does not blame its device, and continues once it has one", () =>
  inFolder(folder => {
    const script = `ulimit -n 60; exec "$0" --input-type=module -e "$1" "$2"`
    const child = spawnSync("bash", ["-c", script, process.execPath, OPEN_TOO_MANY, folder], { encoding: "utf8" })
    assert.equal(child.stdout, "tooManyInFlight EMFILE", child.stderr)
  }))
