/** `hayloft dev`: a store in the background, from its first start to the removal of everything. */
import assert from "node:assert/strict"
import { existsSync } from "node:fs"
import { readdir, rm, writeFile } from "node:fs/promises"
import { createServer } from "node:net"
import { join } from "node:path"
import { test } from "node:test"
import { run, runOk } from "../harness/commands.js"
import { withFolder } from "../harness/folders.js"
import { freePort } from "../harness/free-port.js"
import { HAYLOFT } from "../harness/server.js"

interface Shown {
  readonly name: string
  readonly config: string
  readonly pid: number
  readonly endpoint: string
}

const parse = (line: string): Shown => JSON.parse(line) as Shown

/** A process that has ended may remain as a zombie, where nothing reaps it: what counts is whether it serves. */
const serves = ({ endpoint }: Shown): Promise<boolean> =>
  fetch(`${endpoint}/health/live`).then(
    ({ ok }) => ok,
    () => false,
  )

/** Variables that name another store, as in the shell of somebody who has one. */
const OTHER = {
  HAYLOFT_DATA: "/nowhere",
  HAYLOFT_LISTEN: "127.0.0.1:1",
  HAYLOFT_ROOT_ACCESS_KEY: "OTHER",
  AWS_ENDPOINT_URL: undefined,
}

test("up starts what does not run, down keeps the data, clean leaves nothing", () =>
  withFolder(async parent => {
    const folder = join(parent, "dev")
    const dev = (...args: readonly string[]) =>
      runOk(HAYLOFT, ["dev", ...args, "--folder", folder, "--json"], { env: OTHER, cwd: parent })
    const up = async (...args: readonly string[]) => parse(await dev("up", ...args))
    const hayloft = (...args: readonly string[]) => runOk(HAYLOFT, [...args], { env: { AWS_ENDPOINT_URL: undefined } })
    let shown: Shown | undefined
    try {
      const first = (shown = await up("--port", "0", "--folders", "3", "--redundancy", "replica:3"))
      assert.equal((await up("--folders", "9")).pid, first.pid, "what runs goes on")
      assert.match(await hayloft("status", "--config", first.config), /replica:3/)
      const file = join(parent, "file")
      await writeFile(file, "kept")
      await hayloft("mb", "s3://bucket", "--config", first.config)
      await hayloft("cp", file, "s3://bucket/k", "--config", first.config)

      process.kill(first.pid, "SIGKILL")
      const second = (shown = await up())
      assert.notEqual(second.pid, first.pid, "what was killed is started again")
      await dev("down")
      assert.equal(await serves(second), false)
      assert.equal(await dev("down"), "", "nothing runs any more")
      const third = (shown = await up())
      assert.equal(await hayloft("cat", "s3://bucket/k", "--config", third.config), "kept")

      await writeFile(join(folder, "notes"), "mine")
      const refused = await run(HAYLOFT, ["dev", "clean", "--folder", folder])
      assert.deepEqual([refused.code, await serves(third)], [6, true])
      assert.match(refused.stderr, /holds other files \(notes\)/)
      await rm(join(folder, "notes"))
      await dev("clean")
      assert.deepEqual([existsSync(folder), await serves(third)], [false, false])
      assert.deepEqual(await readdir(parent), ["file"])
      await dev("clean")
    } finally {
      if (shown !== undefined && existsSync(folder)) process.kill(shown.pid, "SIGKILL")
    }
  }))

test("a start that fails says why at once, and several nodes need a database", () =>
  withFolder(async parent => {
    const dev = (...args: readonly string[]) => run(HAYLOFT, ["dev", "up", "--folder", join(parent, "dev"), ...args])
    const several = await dev("--nodes", "3")
    assert.deepEqual([several.code, existsSync(join(parent, "dev"))], [2, false])
    assert.match(several.stderr, /--database/)
    const port = await freePort()
    const taken = createServer().listen(port, "127.0.0.1")
    const failed = await dev("--port", String(port))
    taken.close()
    assert.equal(failed.code, 1)
    assert.match(failed.stderr, /node-1 did not start; .*node-1\.log ends with: .* is in use by another process/)
  }))
