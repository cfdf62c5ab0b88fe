/** A running store moves its metadata to a database under load, and back; interrupted anywhere, it is the one or the other. */
import assert from "node:assert/strict"
import { createServer } from "node:net"
import { after, before, test } from "node:test"
import type { StoreProcess } from "@hayloft/client/testing-store-process.js"
import { FAMILIES } from "@hayloft/base/rows/families.js"
import { runsOf, TEST_SEED } from "@hayloft/base/testing-seed.js"
import { missingForShim, Shim } from "../faults/shim.js"
import { quietParent, withFolder } from "../harness/folders.js"
import { freePort } from "../harness/free-port.js"
import { NODE_24, noNode24 } from "../harness/new-node.js"
import { noPostgres } from "../harness/postgres.js"
import { until } from "@hayloft/base/seams/clock/testing-until.js"
import { Databases } from "../sql/databases.js"
import { Load } from "./load.js"
import { fill, MovableStore } from "./movable-store.js"

const LOAD_BUCKET = "load"
const REQUESTS = 10
/** Their control records are written one after another. */
const DISKS = 3
const THREADS = 2
/** Between two requests that are work for the store. */
const LOOK_MS = 500

let databases: Databases

if (noPostgres === false) {
  before(async () => {
    databases = await Databases.start()
  })
  after(() => databases.stop())
}

/** `threads`: how many front threads the store has, under Node 24. */
async function withStore(work: (store: MovableStore) => Promise<void>, disks = 1, threads = 0): Promise<void> {
  await withFolder(async folder => {
    const args = threads === 0 ? [] : ["--threads", String(threads)]
    const store = await MovableStore.create(folder, disks, args, threads === 0 ? undefined : NODE_24)
    try {
      await work(store)
    } catch (error) {
      if (process.env["SHOW"]) console.error(store.process?.output)
      throw error
    } finally {
      await store.stop()
    }
  }, quietParent())
}

/** A retention has to end in the future when it is set. */
const SOON_MS = 8_000

/** Versions with a retention in a bucket with object lock. */
class Ledger {
  private readonly versions = new Map<string, string>()

  constructor(
    private readonly store: MovableStore,
    private readonly bucket: string,
  ) {}

  async create(): Promise<void> {
    const headers = [["x-amz-bucket-object-lock-enabled", "true"]] as const
    const { status, text } = await this.store.ask({ method: "PUT", bucket: this.bucket, headers }, Buffer.alloc(0))
    assert.equal(status, 200, text)
  }

  /** Returns false if the retention was over when the store took it. */
  async put(key: string, untilMs: number): Promise<boolean> {
    const { store, bucket } = this
    const headers = [
      ["x-amz-object-lock-mode", "COMPLIANCE"],
      ["x-amz-object-lock-retain-until-date", new Date(untilMs).toISOString()],
    ] as const
    const put = await store.ask({ method: "PUT", bucket, key, headers }, Buffer.from(key))
    if (put.status === 400 && Date.now() > untilMs) return false
    assert.equal(put.status, 200, put.text)
    const { text } = await store.ask({ method: "GET", bucket, query: [["versions", ""]] })
    const [, id = ""] = new RegExp(`<Key>${key}</Key><VersionId>([^<]+)<`).exec(text) ?? assert.fail(text)
    this.versions.set(key, id)
    return true
  }

  async remove(key: string): Promise<number> {
    const query = [["versionId", this.versions.get(key) ?? assert.fail(key)]] as const
    return (await this.store.ask({ method: "DELETE", bucket: this.bucket, key, query })).status
  }

  /** Puts a version whose retention ends soon, which cannot be removed until then. A busy machine needs a longer one. */
  async checkEnd(key: string): Promise<void> {
    for (let soonMs = SOON_MS; ; soonMs *= 2) {
      const untilMs = Date.now() + soonMs
      if (!(await this.put(key, untilMs))) continue
      const status = await this.remove(key)
      if (status === 403) break
      assert.ok(Date.now() > untilMs, `a locked version was removed: ${status}`)
    }
    await until("the retention is over", async () => (await this.remove(key)) === 204, LOOK_MS)
  }
}

async function moved(begin: Promise<void>, store: MovableStore): Promise<void> {
  await begin
  assert.equal(await store.conversion(), "done")
}

test(
  "a store moves to a database under load, and back, with everything in it, locks and their clock included",
  { skip: noPostgres },
  () =>
    withStore(async store => {
      const url = await databases.create()
      await store.start()
      const buckets = await fill(store)
      await store.ask({ method: "PUT", bucket: LOAD_BUCKET }, Buffer.alloc(0))
      const [ledger, empty] = [new Ledger(store, "ledger"), new Ledger(store, "locked-and-empty")]
      await ledger.create()
      await empty.create()
      assert.ok(await ledger.put("kept", Date.UTC(2200, 0)))
      const before = await store.content(buckets)
      const load = await Load.begin([store], { bucket: LOAD_BUCKET, clients: 1 })
      await moved(store.beginInit(url), store)
      await load.goesOn(REQUESTS)
      assert.deepEqual(await store.content(buckets), before)
      assert.equal(await ledger.remove("kept"), 403)
      await ledger.checkEnd("soon")
      await store.stop()
      assert.match(
        await store.refusal(),
        /the metadata of this store is in a database: start it with --cluster URL --node first/,
      )
      assert.match(await store.refusal(await databases.create()), /the database is empty/)
      await store.start(url)
      await load.goesOn(REQUESTS)
      for (const named of [[], ["locked-and-empty"]]) {
        const refusal = await store.beginLeave(named).then(() => "", String)
        assert.match(refusal, /not done: .*: ledger\. To do it all the same, name them: --locked-buckets ledger/)
      }
      await moved(store.beginLeave(["ledger"]), store)
      await load.goesOn(REQUESTS)
      assert.deepEqual(await store.content(buckets), before)
      await store.stop()
      assert.match(await store.refusal(url), /keeps its metadata on its own disks: start it without --cluster/)
      await store.start()
      await load.goesOn(REQUESTS)
      await load.end()
      assert.deepEqual(await store.content(buckets), before)
      assert.equal(await ledger.remove("kept"), 403)
      await ledger.checkEnd("later")
      assert.equal(await ledger.remove("kept"), 403)
      const client = store.client()
      await load.check([{ name: store.name, client }])
      client.close()
    }, DISKS),
)

test(
  "a store with front threads moves to a database under load, and back at once",
  { skip: noPostgres || noNode24 },
  () =>
    withStore(
      async store => {
        await store.start()
        const buckets = await fill(store)
        await store.ask({ method: "PUT", bucket: LOAD_BUCKET }, Buffer.alloc(0))
        const before = await store.content(buckets)
        const load = await Load.begin([store], { bucket: LOAD_BUCKET, clients: 1 })
        await moved(store.beginInit(await databases.create()), store)
        // No thread listens again yet.
        await moved(store.beginLeave(), store)
        assert.deepEqual(await store.content(buckets), before)
        await load.goesOn(REQUESTS)
        await load.end()
        const client = store.client()
        await load.check([{ name: store.name, client }])
        client.close()
      },
      1,
      THREADS,
    ),
)

const INIT_STEPS = ["claimed", "copied", "requests_held", "commands_ended", "caught_up", "decided", "closed"]
const LEAVE_STEPS = ["requests_held", "stopped", "leaving", "filled", "decided"]
/** The place where a store is that was killed then; after other steps it is in the one place or in the other. */
const CERTAIN: Readonly<Record<string, string>> = {
  "init claimed": "devices",
  "init closed": "database",
  "leave requests_held": "database",
  "leave leaving": "database",
  "leave decided": "devices",
}

const STEP_MS_MAX = 30_000

/**
 * Calls back in the moment in which the process logs the step of the move that it begins, and resolves then. Throws if the
 * move ends without it, whatever the reason.
 */
async function reached(
  store: MovableStore,
  step: string,
  begin: () => Promise<void>,
  atStep: (process: StoreProcess) => void,
): Promise<void> {
  const running = store.process
  assert.ok(running)
  const isAtStep = new Promise<true>(resolve => {
    store.onLine = line => {
      if (!line.includes("conversion_step") || !line.endsWith(`step=${step}`)) return
      store.onLine = () => undefined
      atStep(running)
      resolve(true)
    }
  })
  // The answer, or the last of them, may be lost with the process; its lines may arrive later than its answers.
  const ended = begin()
    .then(() => store.conversion(), String)
    .then(async outcome => {
      const late = AbortSignal.timeout(STEP_MS_MAX)
      await new Promise(resolve => late.addEventListener("abort", resolve))
      return outcome
    })
  ended.catch(() => undefined)
  const outcome = await Promise.race([isAtStep, ended])
  assert.ok(outcome === true, `${step} is not reached: ${String(outcome)}\n${running.output.slice(-6_000)}`)
}

/** Kills the process as soon as it logs the step. */
async function killedAt(store: MovableStore, step: string, begin: () => Promise<void>): Promise<void> {
  const running = store.process
  await reached(store, step, begin, process => process.kill("SIGKILL"))
  await running?.exited
  store.process = undefined
}

/** Starts it in the way that its devices say; the other way must be refused. */
async function startEither(store: MovableStore, url: string): Promise<"devices" | "database"> {
  const alone = store.spawn(undefined)
  const started = await alone.ready().then(
    () => true,
    () => false,
  )
  if (!started) {
    await alone.stop()
    assert.match(alone.output, /the metadata of this store is in a database/)
    await store.start(url)
    return "database"
  }
  store.process = alone
  return "devices"
}

/**
 * The steps that a landing kills at, in their order: one of each move. `convert-interrupted.test.ts` kills at each write of
 * all of them.
 */
function drawn(steps: readonly string[]): readonly string[] {
  const first = TEST_SEED % steps.length
  const due = new Set(Array.from({ length: runsOf(1) }, (_, n) => steps[(first + n) % steps.length]))
  return steps.filter(step => due.has(step))
}

test("a store that is killed at any step is on its devices or in the database, whole", { skip: noPostgres }, () =>
  withStore(async store => {
    let url = await databases.create()
    await store.start()
    const buckets = await fill(store)
    const before = await store.content(buckets)
    let where = "devices"
    const begin = { init: () => store.beginInit(url), leave: () => store.beginLeave() }
    const killed = async (move: "init" | "leave", step: string): Promise<void> => {
      await killedAt(store, step, begin[move])
      where = await startEither(store, url)
      assert.equal(where, CERTAIN[`${move} ${step}`] ?? where, step)
      assert.deepEqual(await store.content(buckets), before, step)
    }
    const toDatabase = async (): Promise<void> => {
      if (where === "database") return
      await moved(begin.init(), store)
      where = "database"
    }
    const toDevices = async (): Promise<void> => {
      if (where === "devices") return
      await moved(begin.leave(), store)
      url = await databases.create()
      where = "devices"
    }
    for (const step of drawn(INIT_STEPS)) {
      await toDevices()
      await killed("init", step)
    }
    for (const step of drawn(LEAVE_STEPS)) {
      await toDatabase()
      await killed("leave", step)
      if (where === "devices") url = await databases.create()
    }
  }, DISKS),
)

/** Returns why the store does not begin to move. */
async function initRefusal(store: MovableStore, url: string): Promise<string> {
  const error: unknown = await store.beginInit(url).then(
    () => undefined,
    (reason: unknown) => reason,
  )
  assert.ok(error instanceof Error, "the store begins to move")
  return error.message
}

test(
  "a store does not move to a database that is not empty, nor while its key is only in it",
  { skip: noPostgres },
  () =>
    withStore(async store => {
      const url = await databases.create()
      store.usesKeyFile = false
      await store.start()
      assert.match(await initRefusal(store, url), /hayloft key move-out FILE --data/)
      await store.stop()
      await store.moveKeyOut()
      assert.match(await store.refusal(), /this store's master key is in a file: pass --master-key-file/)
      store.usesKeyFile = true
      await store.start()
      await store.ask({ method: "PUT", bucket: "bucket" }, Buffer.alloc(0))
      await store.ask({ method: "PUT", bucket: "bucket", key: "key" }, Buffer.alloc(70_000, "body"))
      const before = await store.content(["bucket"])
      assert.match(await initRefusal(store, "postgres://hayloft@127.0.0.1:1/none"), /cannot be reached/)
      await databases.server.sql(
        "UPDATE hayloft.store SET store_id = decode(repeat('ab', 16), 'hex')",
        new URL(url).pathname.slice(1),
      )
      assert.match(await initRefusal(store, url), /the database belongs to another store/)
      const own = await databases.create()
      await store.beginInit(own)
      assert.match(await initRefusal(store, own), /is being moved already/)
      assert.equal(await store.conversion(), "done")
      assert.match(await initRefusal(store, own), /is in a database already/)
      await moved(store.beginLeave(), store)
      assert.match(await initRefusal(store, own), /has the metadata of this store from an earlier time/)
      assert.deepEqual(await store.content(["bucket"]), before)
    }),
)

/** Begins a move to a database, and stops the process in the moment before commands end; a request is under way. */
async function beforeCommandsEnd(store: MovableStore, begin: () => Promise<void>, meanwhile: () => Promise<void>) {
  const cutOff = await store.beginUpload("plain")
  let begun: Promise<void> = Promise.resolve()
  const beginning = (): Promise<void> => (begun = begin())
  await reached(store, "copied", beginning, process => process.kill("SIGSTOP"))
  await meanwhile()
  store.process?.kill("SIGCONT")
  await begun
  const outcome = await store.conversion()
  cutOff()
  return outcome
}

/** The database goes away while requests wait. */
async function withoutDatabase(store: MovableStore, url: string): Promise<void> {
  const outcome = await beforeCommandsEnd(
    store,
    () => store.beginInit(url),
    () => databases.server.stop("immediate"),
  )
  await databases.server.start()
  assert.match(outcome, /^failed: .*(did not take the last changes|does not respond|cannot be reached)/)
}

/** The port of the node is another program's. */
async function withoutPort(store: MovableStore, url: string): Promise<void> {
  const port = await freePort()
  const other = createServer()
  const listen = (): Promise<void> => new Promise(resolve => other.listen(port, "127.0.0.1", resolve))
  try {
    const outcome = await beforeCommandsEnd(store, () => store.beginInit(url, `127.0.0.1:${port}`), listen)
    assert.match(outcome, /^failed: .* is in use by another process; choose another with --node-listen/)
    const again = await store.beginInit(url, `127.0.0.1:${port}`).catch(String)
    assert.match(String(again), /is in use by another process/)
  } finally {
    other.close()
  }
}

/** Ends the incarnation, like the steward does after a process has been silent for five minutes. */
async function endIncarnation(url: string, node: string): Promise<void> {
  const ofNode = `(SELECT incarnation FROM hayloft.incarnations WHERE node = '${node}')`
  const database = new URL(url).pathname.slice(1)
  await databases.server.sql(`UPDATE hayloft.incarnations SET ended = true WHERE incarnation IN ${ofNode}`, database)
  await databases.server.sql(`UPDATE hayloft.lanes SET ended = true WHERE incarnation IN ${ofNode}`, database)
}

/** Repeats it while the store says that other nodes run. */
async function untilDone(begin: () => Promise<void>): Promise<string> {
  let outcome = ""
  const isOver = async () => {
    outcome = await begin().then(() => "done", String)
    return !outcome.includes("other nodes run")
  }
  await until(() => `the other nodes have ended: ${outcome}`, isOver, LOOK_MS)
  return outcome
}

const LEFT = "has left this database: its metadata is on the disks of node first"

/** A gateway that was silent while its store left writes nothing to the database; meanwhile another one has stopped. */
async function leavesGateway(store: MovableStore, url: string, buckets: readonly string[]): Promise<void> {
  const gateway = await store.spawnGateway(url)
  const other = await store.spawnGateway(url, "other")
  const { endpoint } = await gateway.ready()
  const put = (key: string) => store.ask({ method: "PUT", bucket: "plain", key }, Buffer.from("small"), endpoint)
  assert.equal((await put("before")).status, 200)
  const before = await store.content(buckets)
  // One that has begun just now is noticed before anything is decided, and perhaps not named at once.
  let refusal = ""
  const namesBoth = async () => {
    refusal = await store.beginLeave().then(() => store.conversion(), String)
    assert.match(refusal, /other nodes run: stop (gateway|other)/)
    return /stop (gateway and other|gateway, other) first/.test(refusal)
  }
  await until(() => `both are named: ${refusal}`, namesBoth, LOOK_MS)
  assert.deepEqual(await store.content(buckets), before)
  assert.equal(await other.stop(), 0)
  gateway.kill("SIGSTOP")
  try {
    await endIncarnation(url, "gateway")
    // Nodes read which incarnations are live every few seconds.
    assert.equal(await untilDone(() => store.beginLeave()), "done")
    assert.equal(await store.conversion(), "done")
  } finally {
    gateway.kill("SIGCONT")
  }
  const hasNoticed = async () => {
    const { status, text } = await put("after")
    assert.equal(status, 503, text)
    return gateway.output.includes(LEFT)
  }
  await until(() => `the gateway has noticed: ${gateway.output}`, hasNoticed, LOOK_MS)
  const { status, text } = await put("after")
  assert.deepEqual([status, /ServiceUnavailable/.test(text)], [503, true], text)
  assert.deepEqual(await store.content(buckets), before)
  await gateway.stop()
  const again = await store.beginGateway(url)
  assert.notEqual(await again.exited, 0)
  assert.ok(again.output.includes(LEFT), again.output)
  assert.deepEqual(await store.content(buckets), before)
}

test(
  "a store moves to a database once it can, and back once no other node is part of it; until then it stays",
  { skip: noPostgres },
  () =>
    withStore(async store => {
      const url = await databases.create()
      await store.start()
      const buckets = await fill(store)
      const before = await store.content(buckets)
      for (const attempt of [withoutDatabase, withoutPort]) {
        await attempt(store, url)
        assert.deepEqual(await store.content(buckets), before, attempt.name)
      }
      await moved(store.beginInit(url, `127.0.0.1:${await freePort()}`), store)
      assert.deepEqual(await store.content(buckets), before)
      await leavesGateway(store, url, buckets)
    }),
)

const LOG_FAILS = [
  { prefix: "*/log/*", calls: ["write", "fsync", "fdatasync"], nth: 1, forEver: true, how: { errno: "EIO" } },
] as const

/** Inserts of rows of these families, and of later ones, wait in the database. Returns what lets them through. */
async function closeGate(url: string, family: number): Promise<() => Promise<unknown>> {
  const sql = (text: string) => databases.server.sql(text, new URL(url).pathname.slice(1))
  await sql("CREATE TABLE public.gate (is_open int)")
  await sql(
    `CREATE FUNCTION public.pass() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN
      WHILE NEW.family >= ${family} AND (SELECT count(*) FROM public.gate) = 0 LOOP PERFORM pg_sleep(0.01); END LOOP;
      RETURN NEW; END'`,
  )
  await sql("CREATE TRIGGER gate BEFORE INSERT ON hayloft.rows FOR EACH ROW EXECUTE FUNCTION public.pass()")
  return () => sql("INSERT INTO public.gate VALUES (1)")
}

const missing = await missingForShim()

test(
  "a move ends, and can begin again, if the log fails and the store is opened again while rows are copied",
  { skip: noPostgres || (missing !== undefined && `needs LD_PRELOAD and cc: ${missing}`) },
  () =>
    withFolder(async folder => {
      const shim = await Shim.build(folder)
      shim.set([])
      await withStore(async store => {
        store.environment = shim.env
        await store.start()
        const buckets = await fill(store)
        const put = (key: string) => store.ask({ method: "PUT", bucket: "plain", key }, Buffer.from("small"))
        const url = await databases.create()
        const openGate = await closeGate(url, FAMILIES.audit)
        // It is waited for before the store is closed: rows are copied meanwhile.
        const cutOff = await store.beginUpload("plain")
        const lineOf = (word: string) =>
          new Promise<void>(resolve => {
            store.onLine = line => {
              if (line.includes(word)) resolve()
            }
          })
        await store.beginInit(url)
        await until("rows of the audit log are copied", async () => {
          const waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
          return Number(await databases.server.sql(waiting)) > 0
        })
        const opensAgain = lineOf("store_opens_again")
        shim.set(LOG_FAILS)
        assert.equal((await put("failing")).status, 503)
        shim.set([])
        await opensAgain
        const isOpen = lineOf("store_opened_again")
        await openGate()
        await isOpen
        cutOff()
        assert.match(await store.conversion(), /^failed: /)
        assert.equal((await put("after")).status, 200)
        const before = await store.content(buckets)
        await moved(store.beginInit(url), store)
        assert.deepEqual(await store.content(buckets), before)
      })
    }),
)
