import assert from "node:assert/strict"
import { spawn, spawnSync } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import { isFailure } from "../../failures.js"
import { RealLocks, SimLocks } from "./index.js"
import { lockSuite } from "./suite.js"

lockSuite("real", async () => {
  const root = mkdtempSync(join(tmpdir(), "hayloft-lock-"))
  const [folder, otherFolder] = [join(root, "a"), join(root, "b")]
  for (const each of [folder, otherFolder]) mkdirSync(each)
  const done = async (): Promise<void> => rmSync(root, { recursive: true })
  return { locks: new RealLocks(), others: new RealLocks(), folder, otherFolder, done }
})
lockSuite("simulated", async () => {
  const sim = new SimLocks()
  const done = (): Promise<void> => Promise.resolve()
  return { locks: sim.boot(), others: sim.boot(), folder: "/a", otherFolder: "/b", done }
})

async function inFolder(run: (folder: string) => Promise<void>): Promise<void> {
  const root = mkdtempSync(join(tmpdir(), "hayloft-lock-"))
  try {
    await run(root)
  } finally {
    rmSync(root, { recursive: true })
  }
}

/** A process that takes the folder, reports success or the failure, and then waits to be killed. */
async function otherProcess(folder: string): Promise<{ readonly child: ChildProcess; readonly output: string }> {
  const lock = new URL("./real.js", import.meta.url).href
  const code = `
    import(${JSON.stringify(lock)})
      .then(({ RealLocks }) => new RealLocks().take(${JSON.stringify(folder)}))
      .then(() => console.log("taken"), error => console.log(error.kind))
    setTimeout(() => {}, 60_000)`
  const child = spawn(process.execPath, ["-e", code], { stdio: ["ignore", "pipe", "inherit"] })
  const output = await new Promise<string>(resolve => child.stdout.once("data", data => resolve(String(data).trim())))
  return { child, output }
}

const ended = (child: ChildProcess): Promise<void> =>
  new Promise(resolve => {
    child.once("exit", () => resolve())
    child.kill("SIGKILL")
  })

test("another process is refused while the first lives, and takes over once it was killed", async () => {
  await inFolder(async folder => {
    const first = await otherProcess(folder)
    assert.equal(first.output, "taken")
    const second = await otherProcess(folder)
    assert.equal(second.output, "folderInUse")
    await ended(second.child)
    await assert.rejects(new RealLocks().take(folder), error => isFailure(error, "folderInUse"))
    await ended(first.child)
    const lock = await new RealLocks().take(folder)
    assert.equal(await lock.isHeld(), true)
    assert.equal(readdirSync(folder).length, 2, "the dead owner's names are gone")
    await lock.release()
    assert.deepEqual(readdirSync(folder), [])
  })
})

const HOLDS_WITH_ONE_FILE_LEFT = `
  const { closeSync, openSync } = await import("node:fs")
  const { RealLocks } = await import(${JSON.stringify(new URL("./real.js", import.meta.url).href)})
  const lock = await new RealLocks().take(process.argv[1])
  const files = []
  try {
    for (;;) files.push(openSync("/dev/null"))
  } catch {
    // The owner can ask itself, and has no file for the answer.
    closeSync(files.pop())
  }
  process.stdout.write((await lock.isHeld()) + " " + (await lock.isAnothers()))
  process.exit()
`

test("an owner that has no file handle left for an answer is still the owner", () =>
  inFolder(async folder => {
    const script = `ulimit -n 60; exec "$0" --input-type=module -e "$1" "$2"`
    const args = ["-c", script, process.execPath, HOLDS_WITH_ONE_FILE_LEFT, folder]
    const child = spawnSync("bash", args, { encoding: "utf8" })
    assert.equal(child.stdout, "true false", child.stderr)
    await Promise.resolve()
  }))

test("a process that is too busy to answer itself takes a folder, and no other one can", async () => {
  await inFolder(async folder => {
    const answerMs = 20
    const busy = new RealLocks(answerMs)
    let isDone = false
    const taking = busy.take(folder).finally(() => (isDone = true))
    const nothing = new Int32Array(new SharedArrayBuffer(4))
    // Each turn of the event loop takes longer than an answer may.
    while (!isDone) {
      Atomics.wait(nothing, 0, 0, 2 * answerMs)
      await new Promise<void>(resolve => void setImmediate(resolve))
    }
    const lock = await taking
    await assert.rejects(new RealLocks().take(folder), error => isFailure(error, "folderInUse"))
    await lock.release()
  })
})

test("the refusal names the process that owns the folder, and its command line", async () => {
  await inFolder(async folder => {
    const first = await otherProcess(folder)
    const named = (error: unknown) => isFailure(error, "folderInUse") && String(error.details["owner"])
    const error: unknown = await new RealLocks().take(folder).catch((thrown: unknown) => thrown)
    assert.match(String(named(error)), new RegExp(`^process ${first.child.pid} \\(.*node.* -e .*\\.{3}\\)$`))
    const owner = await new RealLocks().ownerOf(folder)
    assert.equal(owner?.pid, first.child.pid)
    assert.match(owner?.command ?? "", /RealLocks\(\)\.take/)
    await ended(first.child)
    assert.equal(await new RealLocks().ownerOf(folder), undefined)
  })
})

test("a stopped process still owns its folder", async () => {
  await inFolder(async folder => {
    const first = await otherProcess(folder)
    first.child.kill("SIGSTOP")
    await assert.rejects(new RealLocks().take(folder), error => isFailure(error, "folderInUse"))
    await ended(first.child)
  })
})

test("of many processes that find a stale lock exactly one succeeds", async () => {
  await inFolder(async folder => {
    for (let round = 0; round < 5; round += 1) {
      const dead = await otherProcess(folder)
      await ended(dead.child)
      const tries = await Promise.allSettled(Array.from({ length: 6 }, () => new RealLocks().take(folder)))
      const taken = tries.flatMap(each => (each.status === "fulfilled" ? [each.value] : []))
      const held = []
      for (const lock of taken) if (await lock.isHeld()) held.push(lock)
      assert.ok(taken.length >= 1 && held.length === 1, `${taken.length} taken, ${held.length} held`)
      for (const lock of taken) await lock.release()
    }
  })
})

test("an owner detects that its socket was removed", async () => {
  await inFolder(async folder => {
    const lock = await new RealLocks().take(folder)
    rmSync(join(folder, "owner.sock"))
    assert.equal(await lock.isHeld(), false)
    assert.equal(await lock.isAnothers(), false)
    const other = await new RealLocks().take(folder)
    assert.equal(await lock.isHeld(), false)
    assert.equal(await lock.isAnothers(), true)
    assert.equal(await other.isAnothers(), false)
    await lock.release()
    assert.equal(await other.isHeld(), true, "releasing what is lost takes nothing from the new owner")
    await other.release()
  })
})

test("long paths, and files in the lock's place, do not matter", async () => {
  await inFolder(async root => {
    const folder = join(root, "x".repeat(120), "y".repeat(120))
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, "owner.sock"), "not a socket")
    const lock = await new RealLocks().take(folder)
    await assert.rejects(new RealLocks().take(folder), error => isFailure(error, "folderInUse"))
    await lock.release()
  })
})

test(
  "a release from a disk that removes no names leaves no file of the folder open",
  { skip: !existsSync("/proc/self/fd") },
  async () => {
    const opened = (folder: string): readonly string[] =>
      readdirSync("/proc/self/fd").filter(name => {
        try {
          return readlinkSync(`/proc/self/fd/${name}`).startsWith(folder)
        } catch {
          return false
        }
      })
    await inFolder(async folder => {
      const lock = await new RealLocks().take(folder)
      assert.equal(opened(folder).length, 1)
      const own = readdirSync(folder).find(name => name.startsWith("owner.sock."))
      assert.ok(own !== undefined)
      // A folder cannot be removed as a file: the call fails as on a disk that has become read-only.
      rmSync(join(folder, own))
      mkdirSync(join(folder, own))
      await assert.rejects(lock.release())
      assert.deepEqual(opened(folder), [])
    })
  },
)
