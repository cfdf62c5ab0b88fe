/**
 * Connections that are cut before, during and after a commit, while the server's process goes on with it: every change
 * is made once, and its answer says so.
 */
import assert from "node:assert/strict"
import { once } from "node:events"
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net"
import { test } from "node:test"
import { setTimeout as later } from "node:timers/promises"
import { Client } from "pg"
import { RealClock } from "../../src/seams/clock/real.js"
import { RealRandom } from "../../src/seams/random/real.js"
import { SimRandom } from "../../src/seams/random/sim.js"
import { SimTelemetry } from "../../src/seams/telemetry/sim.js"
import { Postgres, SqlMetadata } from "../../src/sql/index.js"
import { TEST_SEED } from "../../src/base/testing-seed.js"
import { noPostgres } from "../harness/postgres.js"
import { Databases } from "./databases.js"
import { increment, incrementTogether } from "./increments.js"

const INCREMENTS = Number(process.env["CUT_ROUNDS"] ?? 320)
/** One commit in so many, and one other message in so many, ends its connection. */
const CUT_ONE_IN = { commit: 4, other: 40 } as const
const HELD_MS = 60

/** Forwards connections to the server, and cuts them. */
class Cutter {
  private readonly sockets = new Set<Socket>()
  private readonly random = new SimRandom(TEST_SEED)
  isCutting = false
  /** The next commit reaches the server, and its connection ends. */
  cutsNextCommit = false
  cuts = 0

  private constructor(
    private readonly listener: Server,
    private readonly port: number,
  ) {
    listener.on("connection", client => this.forward(client))
  }

  static async before(port: number): Promise<Cutter> {
    const listener = createServer()
    const cutter = new Cutter(listener, port)
    listener.listen(0, "127.0.0.1")
    await once(listener, "listening")
    return cutter
  }

  urlOf(url: string): string {
    const { port } = this.listener.address() as AddressInfo
    return url.replace(`:${this.port}/`, `:${port}/`)
  }

  private isCut(what: keyof typeof CUT_ONE_IN): boolean {
    if (!this.isCutting || this.random.below(CUT_ONE_IN[what]) > 0) return false
    this.cuts += 1
    return true
  }

  private forward(client: Socket): void {
    const server = connect(this.port, "127.0.0.1")
    for (const socket of [client, server]) {
      this.sockets.add(socket)
      socket.on("error", () => undefined)
      socket.on("close", () => this.sockets.delete(socket))
    }
    client.on("data", chunk => {
      if (this.cutsNextCommit && chunk.includes("commit-")) {
        this.cutsNextCommit = false
        this.cuts += 1
        server.end(chunk)
        return void client.destroy()
      }
      if (!this.isCut(chunk.includes("commit-") ? "commit" : "other")) return void server.write(chunk)
      // Half of the statements that are cut reach the server, which carries them out although nobody waits.
      if (this.random.below(2) === 0) server.end(chunk)
      else server.destroy()
      client.destroy()
    })
    server.on("data", chunk => {
      if (!this.isCut("other")) return void client.write(chunk)
      client.destroy()
      server.destroy()
    })
    client.on("close", () => server.end())
    server.on("close", () => client.destroy())
  }

  async stop(): Promise<void> {
    for (const socket of this.sockets) socket.destroy()
    this.listener.close()
    await once(this.listener, "close")
  }
}

/** Locks the row now and then for a moment, so that statements whose client is gone are still running when it is back. */
async function hold(url: string, signal: AbortSignal): Promise<void> {
  const client = new Client({ connectionString: url })
  await client.connect()
  while (!signal.aborted) {
    await client.query("BEGIN; SELECT FROM hayloft.rows FOR UPDATE")
    await later(HELD_MS)
    await client.query("COMMIT")
    await later(HELD_MS / 2)
  }
  await client.end()
}

test("connections cut at any moment lose no change and repeat none", { skip: noPostgres }, async () => {
  const databases = await Databases.start()
  const cutter = await Cutter.before(databases.server.port)
  try {
    const direct = await databases.create()
    const log = new SimTelemetry().log
    const open = (url: string, node: string) =>
      SqlMetadata.open({ clock: new RealClock(), random: new RealRandom(), log, database: new Postgres(url), node })
    const cut = await open(cutter.urlOf(direct), "cut")
    const steady = await open(direct, "steady")
    cutter.isCutting = true
    const done = new AbortController()
    const holding = hold(direct, done.signal)
    const made = await incrementTogether(steady, cut, INCREMENTS)
    cutter.isCutting = false
    done.abort()
    await holding
    assert.ok(cutter.cuts > 5, `${cutter.cuts} cuts`)
    await made.check()
    await cut.stop()
    await steady.stop()
  } finally {
    await cutter.stop()
    await databases.stop()
  }
})

test(
  "a commit that is still running when its client is back is waited for, not repeated",
  { skip: noPostgres },
  async () => {
    const databases = await Databases.start()
    const cutter = await Cutter.before(databases.server.port)
    try {
      const url = await databases.create()
      const settings = { clock: new RealClock(), random: new RealRandom(), log: new SimTelemetry().log, node: "cut" }
      const engine = await SqlMetadata.open({ ...settings, database: new Postgres(cutter.urlOf(url)) })
      assert.equal(await engine.run(increment()), 1)
      const holder = new Client({ connectionString: url })
      await holder.connect()
      const waiting = async () => Number(await databases.server.sql("SELECT count(*) FROM pg_locks WHERE NOT granted"))
      await holder.query("BEGIN; SELECT FROM hayloft.rows FOR UPDATE")
      cutter.cutsNextCommit = true
      const running = engine.run(increment())
      // The commit waits for the row; then its lane's outcome, or a repetition, waits for the commit.
      while ((await waiting()) === 0) await later(5)
      await later(HELD_MS)
      await holder.query("COMMIT")
      await holder.end()
      assert.equal(await running, 2)
      assert.equal(await engine.run(increment()), 3)
      assert.equal(cutter.cuts, 1)
      await engine.stop()
    } finally {
      await cutter.stop()
      await databases.stop()
    }
  },
)
