/** `npm run dev -- --nodes 3`: a store of several nodes by one command, which ends with everything that it started. */
import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { chmod } from "node:fs/promises"
import { connect } from "node:net"
import { join } from "node:path"
import { test } from "node:test"
import { S3Client } from "@hayloft/client/index.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { bindChild, run } from "../harness/commands.js"
import { quietParent, withFolder } from "../harness/folders.js"
import { noPostgres } from "../harness/postgres.js"
import { ROOT } from "../harness/server.js"

const DEV = join(ROOT, "tools", "dev.mjs")
const NEVER = new AbortController().signal

/** Runs it until the work is done; then the terminal's Ctrl-C reaches all of its processes, as far as they are in its group. */
async function whileRunning(args: readonly string[], work: (output: string) => Promise<void>): Promise<number | null> {
  const child = spawn(process.execPath, [DEV, ...args], { detached: true, stdio: ["ignore", "pipe", "pipe"] })
  bindChild(child)
  let [output, log] = ["", ""]
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => (log += chunk))
  const ended = new Promise<number | null>(resolve => child.once("exit", resolve))
  const started = new Promise<void>(resolve =>
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
      output += chunk
      if (/^seeded .*\n/m.test(output)) resolve()
    }),
  )
  try {
    await Promise.race([started, ended])
    assert.equal(child.exitCode, null, `it ended:\n${output}\n${log}`)
    await work(output)
  } finally {
    if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, "SIGINT")
  }
  return ended
}

const isOpen = (port: number): Promise<boolean> =>
  new Promise(resolve => {
    const socket = connect(port, "127.0.0.1")
    socket.once("connect", () => resolve(true)).once("error", () => resolve(false))
    socket.once("close", () => socket.destroy())
  })

test("one command starts three nodes over one database, and Ctrl-C stops them all", { skip: noPostgres }, () =>
  withFolder(async folder => {
    // The database's user enters it.
    await chmod(folder, 0o755)
    const ports: number[] = []
    const code = await whileRunning(["--nodes", "3", "--port", "0", "--folder", folder], async output => {
      const endpoints = [...output.matchAll(/^node-\d {2}zone ([abc]) {2}S3 (\S+) /gm)]
      assert.deepEqual(
        endpoints.map(([, zone]) => zone),
        ["a", "b", "c"],
        output,
      )
      const [, accessKeyId = "", secretAccessKey = ""] = /access key (\S+), secret key (\S+)/.exec(output) ?? []
      const clients = endpoints.map(([, , endpoint = ""]) => {
        const access = { endpoint, region: "us-east-1", accessKeyId, secretAccessKey }
        return new S3Client(access, new RealClock(), NEVER, { attemptsMax: 10 })
      })
      const body = Buffer.alloc(6_000_000, "seven letters ")
      const [first, second, third] = clients
      await first?.put({ bucket: "seed", key: "through the first", body })
      for (const client of [second, third]) {
        const read: Uint8Array[] = []
        for await (const piece of (await client?.get("seed", "through the first"))?.body ?? []) read.push(piece)
        assert.ok(Buffer.concat(read).equals(body))
      }
      for (const client of clients) client.close()
      ports.push(...[...output.matchAll(/127\.0\.0\.1:(\d+)/g)].map(([, port]) => Number(port)))
    })
    assert.equal(code, 0)
    assert.equal(ports.length, 7, "S3 and admin of each node, and the database")
    for (const port of ports) assert.equal(await isOpen(port), false, `port ${port}`)
  }, quietParent()),
)

test("without PostgreSQL it says what to install", { skip: noPostgres === false && "PostgreSQL is installed" }, () =>
  withFolder(async folder => {
    const { code, stderr } = await run(process.execPath, [DEV, "--nodes", "3", "--folder", folder])
    assert.equal(code, 1)
    assert.match(stderr, /apt-get install postgresql/)
  }),
)

test("unknown options and numbers are rejected", async () => {
  for (const args of [
    ["--nodes", "none"],
    ["--nodes", "0"],
    ["--nodes", "3", "--port", "x"],
    ["--node", "3"],
  ]) {
    assert.equal((await run(process.execPath, [DEV, ...args])).code, 2, args.join(" "))
  }
})
