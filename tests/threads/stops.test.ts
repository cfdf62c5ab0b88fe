/** SIGTERM, and starts that fail, of a process with front threads, as clients, load balancers and operators see them. */
import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { createServer } from "node:net"
import { join } from "node:path"
import { test } from "node:test"
import { setTimeout as later } from "node:timers/promises"
import { MIB } from "@hayloft/base/limits.js"
import { bodyBytes } from "../../sim/world/bodies.js"
import { exchange } from "../../conformance/raw-client.js"
import { withFolder } from "../harness/folders.js"
import { bindChild } from "../harness/commands.js"
import { NODE_24, noNode24 } from "../harness/new-node.js"
import { CREDENTIALS, HAYLOFT } from "../harness/server.js"
import { until, UNTIL_MS_MAX } from "@hayloft/base/seams/clock/testing-until.js"
import { withFronts, type FrontedStore, type Pinned } from "./fronted.js"

const BUCKET = "stops"
/** Signals within a second of the first one are copies of it. */
const SIGNAL_EVERY_MS = 100
const BODY = bodyBytes("upload", 2 * MIB)
/** One ends its request, one is too slow, and one hangs. */
const THREADS = 3

const LONG_DRAIN = { HAYLOFT_DRAIN_SECONDS: "3600", HAYLOFT_STOP_TIMEOUT: "1h" } as const
const NO_DRAIN = { HAYLOFT_DRAIN_SECONDS: "0", HAYLOFT_STOP_TIMEOUT: "12s" } as const
const WITH_TIMER = { FILTER_TIMER: "1" } as const

const terminate = ({ server }: FrontedStore): boolean => process.kill(server.pid, "SIGTERM")

/** Half an upload through each of the threads. */
async function halves(store: FrontedStore, threads: number): Promise<readonly Pinned[]> {
  assert.equal((await store.client.call("PUT", { bucket: BUCKET })).status, 200)
  const each = await store.toEach(threads)
  for (const { front, connection } of each)
    await store.begin(connection, "PUT", { bucket: BUCKET, key: front, body: BODY }, MIB)
  await store.inFlight(threads)
  return each
}

const health = async (store: FrontedStore): Promise<number | undefined> => {
  const answer = await store.client.call("GET", { path: "/health/ready", anonymous: true }).catch(() => undefined)
  return answer?.status
}

async function drains(store: FrontedStore): Promise<void> {
  const uploads = await halves(store, THREADS)
  assert.equal(await health(store), 200)
  const ended = store.server.exited
  terminate(store)
  await until("the S3 port is not ready", async () => (await health(store)) === 503)
  assert.equal((await store.client.call("GET", { bucket: BUCKET })).status, 200)
  const [first, ...others] = uploads
  assert.ok(first)
  await first.connection.write(BODY.subarray(MIB))
  assert.equal((await first.connection.read("PUT")).status, 200)
  for (const { connection } of others) {
    await connection.write(BODY.subarray(MIB))
    assert.equal((await connection.read("PUT")).status, 200)
  }
  // A second signal ends the drain.
  const isClosed = (): boolean => {
    if (/port_closed/.test(store.server.log)) return true
    terminate(store)
    return false
  }
  await until("the port is closed", isClosed, SIGNAL_EVERY_MS)
  assert.equal(await ended, 0)
  await store.server.launch(undefined, { ...NO_DRAIN, ...WITH_TIMER })
  for (const { front } of uploads) {
    const { status, body } = await store.client.call("GET", { bucket: BUCKET, key: front })
    assert.ok(status === 200 && body.equals(BODY), `${front}: ${status}`)
  }
}

async function cuts(store: FrontedStore): Promise<void> {
  const stoppedBefore = store.server.log.length
  const log = (): string => store.server.log.slice(stoppedBefore)
  const [ending, stuck, hung] = await halves(store, THREADS)
  assert.ok(ending && stuck && hung)
  const hanging = await store.to(hung.front)
  const ended = store.server.exited
  void store.end(hanging, "hang")
  terminate(store)
  await until("it stops", () => / stopping /.test(log()))
  await ending.connection.write(BODY.subarray(MIB))
  assert.equal((await ending.connection.read("PUT")).status, 200)
  assert.equal((await store.server.admin("GET", "/health/ready")).status, 503)
  assert.equal(await ended, 0)
  assert.ok(await stuck.connection.waitClosed(UNTIL_MS_MAX))
  assert.match(log(), /requests_cut thread=front-\d server=s3 finished=0 cut=1\n/)
  assert.match(log(), /hayloft: stopped\n$/)
}

async function stopsWhileOneStarts(store: FrontedStore): Promise<void> {
  for (const waits of [false, true]) {
    await store.server.launch(undefined, NO_DRAIN)
    const [dying] = await store.toEach(2)
    assert.ok(dying)
    const told = store.server.log.length
    await store.end(dying.connection, "exit")
    await until("its end is told", () => store.server.log.slice(told).includes("front_thread_ended"))
    // A hurried restart comes after a sixteenth of a second.
    if (waits) await later(80)
    assert.equal(await store.server.stop(), 0, store.server.log)
    assert.match(store.server.log.slice(told), /hayloft: stopped\n$/)
  }
}

test("SIGTERM of a process with front threads, in each state of them", { skip: noNode24 }, t =>
  withFronts({ threads: THREADS, env: LONG_DRAIN }, async store => {
    await t.test("during the drain the S3 port is not ready, and serves; requests of all threads end", () =>
      drains(store),
    )
    await t.test("requests end after the port has closed, those that take longer are cut, and a hang is ended", () =>
      cuts(store),
    )
    await t.test("while a thread is being started again", () => stopsWhileOneStarts(store))
  }),
)

/** Runs `hayloft serve` until it ends, or until its output has the text. */
async function served(args: readonly string[], text: RegExp) {
  const child = spawnOf(args)
  let output = ""
  const found = new Promise<void>(resolve => {
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (chunk: string) => {
        output += chunk
        if (text.test(output)) resolve()
      })
  })
  const code = new Promise<number | null>(resolve => child.once("exit", resolve))
  await Promise.race([found, code])
  return { child, code, output: () => output }
}

function spawnOf(args: readonly string[]) {
  const env = {
    ...process.env,
    HAYLOFT_ROOT_ACCESS_KEY: CREDENTIALS.accessKey,
    HAYLOFT_ROOT_SECRET_KEY: CREDENTIALS.secretKey,
  }
  const child = spawn(NODE_24 ?? "", [HAYLOFT, "serve", "--threads", "2", ...args], {
    env,
    stdio: ["ignore", "pipe", "pipe"],
  })
  bindChild(child)
  return child
}

test(
  "a port that is taken ends the start with its name, also if its owner shares it; port 0 is one port of all threads",
  { skip: noNode24 },
  () =>
    withFolder(async folder => {
      const data = (name: string): readonly string[] => ["--data", join(folder, name), "--admin-listen", "127.0.0.1:0"]
      const first = await served([...data("a"), "--listen", "127.0.0.1:0"], /S3 http:\/\/127\.0\.0\.1:\d+/)
      const port = /S3 http:\/\/127\.0\.0\.1:(\d+)/.exec(first.output())?.[1] ?? ""
      const endpoint = { host: "127.0.0.1", port: Number(port) }
      const headers = [["Host", "127.0.0.1"]] as const
      for (let connection = 0; connection < 8; connection += 1) {
        const answer = await exchange(endpoint, { method: "GET", target: "/health/live", headers })
        assert.equal(answer.status, 200)
      }
      const second = await served([...data("b"), "--listen", `127.0.0.1:${port}`], /never/)
      assert.equal(await second.code, 6, second.output())
      assert.match(second.output(), new RegExp(`:${port} is in use by another process; choose another with --listen`))
      const other = createServer()
      await new Promise<void>(resolve => other.listen(0, "127.0.0.1", resolve))
      const address = other.address()
      assert.ok(typeof address === "object" && address !== null)
      const third = await served([...data("c"), "--listen", `127.0.0.1:${address.port}`], /never/)
      assert.equal(await third.code, 6, third.output())
      other.close()
      first.child.kill("SIGTERM")
      assert.equal(await first.code, 0)
    }),
)
