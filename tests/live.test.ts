/** Live requests against a real server: what `hayloft trace` prints of requests that succeed, fail and are refused. */
import assert from "node:assert/strict"
import { spawn, type ChildProcess } from "node:child_process"
import { after, before, test } from "node:test"
import { TRAFFIC } from "@hayloft/admin/index.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { run } from "@hayloft/cli/program.js"
import { testIo } from "@hayloft/cli/testing-io.js"
import { bindChild, findProgram } from "./harness/commands.js"
import { dataFolders, withFolder } from "./harness/folders.js"
import { HAYLOFT, ServerProcess } from "./harness/server.js"

let server: ServerProcess | undefined
let finish: () => void = () => undefined
let folderDone: Promise<void> = Promise.resolve()

const running = (): ServerProcess => {
  assert.ok(server)
  return server
}

before(async () => {
  const folder = new Promise<string>(resolve => {
    folderDone = withFolder(async path => {
      resolve(path)
      await new Promise<void>(done => (finish = done))
    })
  })
  server = await ServerProcess.start({ folders: dataFolders(await folder, 1) })
})

after(async () => {
  await server?.kill()
  finish()
  await folderDone
})

type Line = Readonly<Record<string, unknown>>

/** Runs a command that goes on, until what it has written satisfies the test. */
async function follow(args: readonly string[], work: () => Promise<void>, isEnough: (out: string) => boolean) {
  const { adminEndpoint } = running()
  const { stdout } = await running().hayloft(["env", "--admin", "--json"])
  const [, token = ""] = /"HAYLOFT_ADMIN_TOKEN":"([^"]+)"/.exec(stdout) ?? []
  const stop = new AbortController()
  let begun = (): void => undefined
  const { io, written } = testIo({
    clock: new RealClock(),
    environment: { HAYLOFT_ADMIN_ENDPOINT: adminEndpoint, HAYLOFT_ADMIN_TOKEN: token },
  })
  const watching = new Promise<void>(resolve => (begun = resolve))
  const look = async (data: string | Uint8Array): Promise<void> => {
    await io.out(data)
    begun()
    if (isEnough(written.out)) stop.abort()
  }
  const done = run([...args], { ...io, out: look }, stop.signal)
  // A request of its own shows when the watch has begun.
  const knocking = setInterval(() => void running().admin("GET", "/health/live"), 50)
  await Promise.race([watching, done])
  clearInterval(knocking)
  await work()
  return { code: await done, ...written }
}

test("a trace shows requests with operation, place, stages and failure, as JSON and for people", async () => {
  const client = running().client()
  const s3 = async (method: string, key?: string, body?: Uint8Array) =>
    (await client.call(method, { bucket: "traced", ...(key && { key }), ...(body && { body }) })).status
  const work = async (): Promise<void> => {
    assert.equal(await s3("PUT"), 200)
    assert.equal(await s3("PUT", "a key", Buffer.alloc(70_000)), 200)
    assert.equal(await s3("GET", "a key"), 200)
    assert.equal(await s3("GET", "missing"), 404)
  }
  const shown = (out: string): readonly Line[] =>
    out
      .split("\n")
      .slice(0, -1)
      .map(line => JSON.parse(line) as Line)
      .filter(({ server: port }) => port === "s3")
  const json = await follow(["trace", "--json"], work, out => shown(out).length >= 4)
  assert.equal(json.code, 0, json.error)
  // Front threads tell their requests a moment later, each its own.
  const lines = shown(json.out).toSorted((a, b) => Number(a["atMs"]) - Number(b["atMs"]))
  assert.deepEqual(
    lines.map(({ operation, bucket, key, status, code }) => [operation, bucket, key, status, code]),
    [
      ["CreateBucket", "traced", undefined, 200, undefined],
      ["PutObject", "traced", "a key", 200, undefined],
      ["GetObject", "traced", "a key", 200, undefined],
      ["GetObject", "traced", "missing", 404, "NoSuchKey"],
    ],
  )
  const [, put, get] = lines
  assert.deepEqual([put?.["receivedBytes"], get?.["sentBytes"]], [70_000, 70_000])
  for (const name of ["authMs", "metaMs", "totalMs", "account", "accessKeyId", "remoteAddress"]) {
    assert.notEqual(get?.[name], undefined, name)
  }
  const again = async (): Promise<void> => void (await s3("GET", "missing"))
  const text = await follow(["trace"], again, out => out.includes("NoSuchKey"))
  assert.match(text.out, /404 {2}s3 .*GetObject {2}traced\/missing .*NoSuchKey: /)
})

test("an unknown filter value is refused with an exit code", async () => {
  const { code, stderr } = await running().hayloft(["trace", "--status", "bad"])
  assert.deepEqual([code, /status must be like 404/.test(stderr)], [2, true])
})

test("top prints one moment without a terminal, as text and as JSON", async () => {
  const text = await running().hayloft(["top"])
  assert.equal(text.code, 0, text.stderr)
  assert.match(text.stdout, /^BUCKET .*REQ\/S/m)
  const { stdout } = await running().hayloft(["top", "--json"])
  const value = JSON.parse(stdout) as Line
  assert.ok(Number((value["total"] as Line)["requests"]) > 0, stdout)
  assert.ok(Array.isArray(value["devices"]))
})

test("requests of S3 on the admin port count once, by bucket and account; other requests there do not", async () => {
  const client = running().client()
  assert.equal((await client.call("PUT", { bucket: "forwarded" })).status, 200)
  const traffic = async () => TRAFFIC.parse(await running().report("/v1/traffic"))
  const before = await traffic()
  const headers = { Authorization: `Bearer ${await running().adminToken()}` }
  assert.equal((await running().admin("GET", "/v1/s3/forwarded?list-type=2", headers)).status, 200)
  assert.equal((await running().admin("GET", "/v1/s3/forwarded/missing", headers)).status, 404)
  const after = await traffic()
  const of = (report: typeof after, name: string) => report.buckets.find(each => each.name === name)
  assert.equal(after.total.requests - before.total.requests, 2)
  assert.deepEqual(
    [of(after, "forwarded")?.requests, of(after, "forwarded")?.clientErrors, of(before, "forwarded")?.requests],
    [2, 1, undefined],
  )
  const [account] = after.accounts
  assert.equal((account?.requests ?? 0) - (before.accounts[0]?.requests ?? 0), 2)
})

const SCRIPT = findProgram("script")

for (const [name, end] of [
  ["q", (child: ChildProcess) => void child.stdin?.write("q")],
  ["Ctrl-C", (child: ChildProcess) => void child.stdin?.write("\x03")],
] as const) {
  test(
    `top fills a terminal, and leaves it as it was on ${name}`,
    { skip: SCRIPT ? false : "script is missing", timeout: 300_000 },
    async () => {
      const command = `'${process.execPath}' '${HAYLOFT}' top`
      const { stdout: env } = await running().hayloft(["env", "--admin", "--json"])
      const [, token = ""] = /"HAYLOFT_ADMIN_TOKEN":"([^"]+)"/.exec(env) ?? []
      const variables = { HAYLOFT_ADMIN_ENDPOINT: running().adminEndpoint, HAYLOFT_ADMIN_TOKEN: token, TERM: "xterm" }
      const child = spawn(SCRIPT ?? "", ["-qefc", command, "/dev/null"], { env: { ...process.env, ...variables } })
      bindChild(child)
      let out = ""
      await new Promise<void>(resolve => {
        child.stdout.setEncoding("utf8").on("data", (text: string) => {
          out += text
          if (out.includes("q quit")) resolve()
        })
        child.once("exit", () => resolve())
      })
      const ended = new Promise<number | null>(resolve => void child.once("exit", resolve))
      end(child)
      assert.equal(await ended, 0, out)
      assert.ok(out.indexOf("\x1b[?1049h") >= 0 && out.lastIndexOf("\x1b[?1049l") > out.indexOf("\x1b[?1049h"), out)
      assert.ok(out.lastIndexOf("\x1b[?25h") > out.lastIndexOf("\x1b[?25l"), "the cursor is back")
    },
  )
}
