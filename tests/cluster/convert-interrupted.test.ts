/**
 * A store that moves to a database and back, killed before each durable write of its disks and of the database: it is in
 * one of the two places afterwards, whole, and refuses to start from the other.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { MasterKeys } from "@hayloft/access/index.js"
import { must } from "@hayloft/base/assert.js"
import { runsOf, TEST_SEED } from "@hayloft/base/testing-seed.js"
import { isFailure } from "@hayloft/base/failures.js"
import { hexOf } from "@hayloft/base/bytes.js"
import { parseBucketId, rowKeyOf } from "@hayloft/base/ids.js"
import { KIB, MIB } from "@hayloft/base/limits.js"
import { resolveConfig, type ServeConfig } from "@hayloft/node/config/index.js"
import { makeCodec } from "@hayloft/engine/erasure/index.js"
import { TIMESTAMPS_ROW } from "@hayloft/engine/format/commit-timestamps.js"
import { bucketKeyRowKey, encodeBucketKey } from "@hayloft/engine/format/objects/bucket-key.js"
import { bucketRowKey } from "@hayloft/engine/format/row-key.js"
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import { openNode } from "@hayloft/node/cluster/open-node.js"
import { RecordEpochKeys } from "@hayloft/node/control/epoch-keys.js"
import { COPIED_FAMILIES, CopyRows, FIRST_KEY, rowsFrom } from "@hayloft/node/convert/rows-core.js"
import { ToDatabase } from "@hayloft/node/convert/to-database.js"
import { moveToDevices } from "@hayloft/node/convert/to-devices.js"
import type { MetadataDatabase } from "@hayloft/node/metadata/database.js"
import { openEngine, type Engine } from "@hayloft/node/engine.js"
import { CheckpointsInTurn } from "../../sim/world/checkpoints.js"
import { CheckpointExecutor } from "@hayloft/node/metadata/checkpoint-job.js"
import type { OpenedStore } from "@hayloft/node/open/contract.js"
import { giveUpDevices } from "@hayloft/node/open/stopped-core.js"
import { StoppedStore } from "@hayloft/node/open/stopped-store.js"
import { openStore } from "@hayloft/node/open/open-store.js"
import { InlineCompute } from "@hayloft/base/seams/compute/index.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import { SimDisk } from "@hayloft/base/seams/disk/index.js"
import { SimLocks, type SimProcessLocks } from "@hayloft/base/seams/folder-lock/sim.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import type { Database, Session } from "@hayloft/engine/sql/database.js"
import { StoreDatabase } from "@hayloft/engine/sql/index.js"
import { SessionAround } from "@hayloft/engine/sql/session-around.js"
import { NO_FAULTS } from "@hayloft/engine/sql/simulated/faults.js"
import { SimulatedDatabase } from "@hayloft/engine/sql/simulated/simulated-database.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { TableStores } from "@hayloft/engine/table/index.js"

const MASTER_KEY = new Uint8Array(32).fill(7)
const BLOCK_BYTES = 64 * KIB
const FOLDERS: readonly string[] = ["/d1", "/d2", "/d3"]
const NODE = "first"
/** A landing kills before one write of so many, and before each one around the write that moves the store. */
const STRIDE = 8
/** The same where each kill repeats the whole move, or many writes are alike. */
const [MOVED_STRIDE, FILL_STRIDE] = [24, 48]
const strideOf = (landing: number): number => Math.max(1, Math.round(landing / runsOf(1)))
const drawnBelow = (limit: number): number => TEST_SEED % limit
const noSignal = new AbortController().signal
const { log } = new SimTelemetry()

function configOf(cluster: boolean, folders: readonly string[] = FOLDERS): ServeConfig {
  const node = { cluster: ["postgres://simulated"], node: [NODE], nodeListen: ["127.0.0.1:0"] }
  const flags = { data: folders, masterKeyFile: ["/master.key"], ...(cluster ? node : {}) }
  const config = resolveConfig({ flags, environment: {}, file: undefined, workingFolder: "/", hostName: NODE })
  return { ...config, blockBytes: BLOCK_BYTES }
}

/** Called before each durable write; never resolves in a process that is killed by it. */
type BeforeWrite = () => Promise<void>

class KillableSession extends SessionAround {
  constructor(
    inner: Session,
    private readonly before: BeforeWrite,
  ) {
    super(inner)
  }

  private async sent<T>(send: () => Promise<T>): Promise<T> {
    await this.before()
    return send()
  }

  override claim(...request: Parameters<Session["claim"]>) {
    return this.sent(() => this.inner.claim(...request))
  }
  override makeChanges(...request: Parameters<Session["makeChanges"]>) {
    return this.sent(() => this.inner.makeChanges(...request))
  }
  override begin(...request: Parameters<Session["begin"]>) {
    return this.sent(() => this.inner.begin(...request))
  }
  override skipIncarnations(...request: Parameters<Session["skipIncarnations"]>) {
    return this.sent(() => this.inner.skipIncarnations(...request))
  }
  override end(...request: Parameters<Session["end"]>) {
    return this.sent(() => this.inner.end(...request))
  }
}

interface ProcessSeams {
  readonly clock: SimClock
  readonly random: SimRandom
  readonly disk: Disk
  readonly locks: SimProcessLocks
  readonly log: typeof log
  readonly database: MetadataDatabase
}

/** One machine, on which one process runs at a time, and the databases that it uses. */
class World {
  readonly clock = new SimClock()
  readonly stores = new TableStores()
  private readonly disk = new SimDisk()
  private readonly locks = new SimLocks()
  private process: SimProcessLocks = this.locks.boot()
  private boots = 0
  private database = this.newDatabase()
  /** Durable writes of the present process. */
  writes = 0
  private latestUs = 0
  private killAt = Infinity
  private onKilled: () => void = () => undefined

  /** Timestamps go on wherever the metadata is. */
  async checkTimestamps(metadata: Pick<Metadata, "closeTo">): Promise<void> {
    const us = await metadata.closeTo()
    assert.ok(us >= this.latestUs, `${us} is before ${this.latestUs}`)
    this.latestUs = us
  }

  private newDatabase(): SimulatedDatabase {
    return new SimulatedDatabase({ clock: this.clock, random: new SimRandom(1), faults: NO_FAULTS })
  }

  useNewDatabase(): void {
    this.database = this.newDatabase()
  }

  /** It refuses connections, and has ended those that were open. */
  set isDatabaseAway(isAway: boolean) {
    this.database.isAway = isAway
    if (isAway) this.database.cut()
  }

  /** Returns what puts the database back to this moment. */
  saveDatabase(): () => void {
    const { database } = this
    const saved = database.copy()
    return () => database.restore(saved)
  }

  /** The database from the view of a process that is not killed. */
  get presentDatabase(): StoreDatabase {
    return StoreDatabase.over(this.database, "simulated")
  }

  /** The process before is dead. */
  boot(): ProcessSeams {
    this.end()
    this.boots += 1
    this.writes = 0
    const number = this.boots
    const isOver = (): boolean => number !== this.boots
    const before: BeforeWrite = async () => {
      if (!isOver()) this.countWrite()
      if (isOver()) await new Promise<never>(() => undefined)
    }
    this.disk.intercept(call => {
      if (call.kind === "write" || call.kind === "name") this.countWrite()
    })
    const { clock, database } = this
    const killable: Database = {
      migrate: () => database.migrate(),
      connect: async () => new KillableSession(await database.connect(), before),
    }
    this.process = this.locks.boot()
    return {
      clock,
      log,
      random: new SimRandom(number),
      disk: this.disk.boot(),
      locks: this.process,
      database: StoreDatabase.over(killable, "simulated"),
    }
  }

  private end(): void {
    this.boots += 1
    this.disk.kill()
    this.process.kill()
    this.database.cut()
    this.killAt = Infinity
  }

  private countWrite(): void {
    this.writes += 1
    if (this.writes < this.killAt) return
    this.end()
    this.onKilled()
  }

  /** Kills the process before its write of this number from now on. */
  killAfter(write: number): void {
    this.killAt = this.writes + write
  }

  /** Runs the work, and kills its process before its write of this number; false if it has ended before. */
  async until(write: number, work: () => Promise<void>): Promise<boolean> {
    const killed = new Promise<true>(resolve => (this.onKilled = () => resolve(true)))
    this.writes = 0
    this.killAt = write
    const isKilled = await Promise.race([killed, work().then(() => false as const)])
    this.killAt = Infinity
    return isKilled
  }

  engineOf({ clock, random, disk }: ProcessSeams, opened: OpenedStore): Promise<Engine> {
    const { stores } = this
    const telemetry = new SimTelemetry()
    const compute = new InlineCompute(makeCodec, { slabBytes: 4 * BLOCK_BYTES, poolBytes: 8 * MIB })
    const { record, incarnation, secrets, node } = opened
    const folders = opened.devices.map(device => ({
      place: device.identity,
      backgroundServices: [],
      check: () => device.check(),
      release: () => device.release(),
      raiseFormatEpoch: (formatEpoch: number) => device.raiseFormatEpoch(formatEpoch),
    }))
    const checkpoints = new CheckpointsInTurn(new CheckpointExecutor(() => disk, stores, random))
    const masterKeys = new MasterKeys(secrets.masterKey, secrets.formerKey, secrets.nextKey)
    return openEngine(
      { clock, random, diskOf: () => disk, stores, compute, telemetry, checkpoints },
      { folders, record, incarnation, node, masterKeys, root: secrets.root, deviceOptions: {} },
    )
  }

  openAlone(seams: ProcessSeams, folders = FOLDERS): Promise<OpenedStore> {
    return openStore(seams, configOf(false, folders), MASTER_KEY)
  }

  openNode(seams: ProcessSeams, folders = FOLDERS): Promise<OpenedStore> {
    const config = configOf(true, folders)
    return openNode(seams, config, must(config.cluster, "a node has a database"), MASTER_KEY)
  }
}

const keyOf = (name: string) => rowKeyOf(`${bucketRowKey(parseBucketId(9))}${name}\0`)

const release = async ({ devices }: OpenedStore): Promise<void> => {
  for (const device of devices) await device.release()
}

/** `filled`: the place where the metadata will be has all of it. `decided`: it is the one that counts. */
type OnStep = (step: string) => void

/** Moves the running store to the database, up to the end of the first start of its node. */
async function init(
  world: World,
  seams: ProcessSeams,
  opened: OpenedStore,
  engine: Engine,
  onStep: OnStep = () => undefined,
): Promise<void> {
  const tablet = must(engine.tablet, "the devices keep the metadata")
  const store = { storeId: opened.storeId, tablet, record: () => engine.recordManager.record, cipher: undefined }
  const copy = await ToDatabase.begin(seams, store, NODE)
  await copy.copyRows(noSignal)
  await tablet.stop()
  await copy.finish(tablet)
  const cluster = { zone: "a", machine: NODE }
  onStep("filled")
  await engine.recordManager.change("cluster init", record => copy.withoutTablets(record, cluster))
  onStep("decided")
  await copy.stop()
  await engine.stop()
  await release(opened)
  const node = await world.openNode(seams)
  await must(node.node, "it is a node").metadata.stop()
  await release(node)
}

/** Moves the store of the node back, up to the end of the first start of its devices. */
async function leave(
  world: World,
  seams: ProcessSeams,
  opened: OpenedStore,
  onStep: OnStep = () => undefined,
  usedFolders = FOLDERS,
): Promise<void> {
  const { metadata, records, name } = must(opened.node, "it is a node")
  await metadata.stop()
  const { disk } = seams
  const checkpoints = new CheckpointsInTurn(new CheckpointExecutor(() => disk, world.stores, seams.random))
  const folders = opened.devices.map(device => ({ place: device.identity, check: () => device.check() }))
  await moveToDevices(
    { ...seams, stores: world.stores, checkpoints },
    { node: name, masterKey: MASTER_KEY, folders, seen: { mark: metadata.mark, record: records.record } },
    { rows: () => undefined, step: onStep },
  )
  await release(opened)
  const alone = await world.openAlone(seams, usedFolders)
  const engine = await world.engineOf(seams, alone)
  await engine.stop()
  await release(alone)
}

async function rowsIn(metadata: Pick<Metadata, "ask">): Promise<readonly string[]> {
  const lines: string[] = []
  for (const family of COPIED_FAMILIES) {
    const { rows } = await metadata.ask(rowsFrom(family, FIRST_KEY))
    // The row of reserved timestamps belongs to the tablet, not to clients.
    for (const { key, row } of rows.filter(each => each.key !== TIMESTAMPS_ROW))
      lines.push(`${family} ${key} ${hexOf(must(row, "a row").value)}`)
  }
  return lines
}

/** Starts it from both places; exactly one of them has it, whole. A gateway starts only if that is the database. */
async function whereIs(
  world: World,
  expected: readonly string[],
  when: string,
  folders = FOLDERS,
): Promise<"devices" | "database"> {
  const elsewhere = (error: unknown): boolean => isFailure(error, "metadataElsewhere", "foreignDatabase")
  const seams = world.boot()
  const alone = await world.openAlone(seams, folders).catch((error: unknown) => {
    assert.ok(elsewhere(error), `${when}: ${String(error)}`)
  })
  if (alone !== undefined) {
    const engine = await world.engineOf(seams, alone)
    await world.checkTimestamps(must(engine.tablet, "a tablet"))
    assert.deepEqual(await rowsIn(must(engine.tablet, "a tablet")), expected, `${when}: rows on devices`)
    await engine.stop()
    await release(alone)
    for (const given of [folders, []])
      await assert.rejects(world.openNode(seams, given), isFailure, `${when}: a node starts, too`)
    return "devices"
  }
  const node = await world.openNode(seams, folders)
  await world.checkTimestamps(must(node.node, "a node").metadata)
  assert.deepEqual(await rowsIn(must(node.node, "a node").metadata), expected, `${when}: rows in the database`)
  assert.equal(node.record.keyring?.epochs.length, 1, `${when}: keys in the database`)
  await must(node.node, "a node").metadata.stop()
  await release(node)
  await assert.rejects(world.openAlone(seams, folders), elsewhere, `${when}: the devices start, too`)
  const gateway = await world.openNode(seams, [])
  await must(gateway.node, "a node").metadata.stop()
  return "database"
}

/** The row of a bucket's secret. Without the key ring of the control record no engine starts beside it. */
async function firstSecret({ recordManager }: Engine, opened: OpenedStore) {
  const raiseFormatEpoch = async (formatEpoch: number): Promise<void> => {
    for (const device of opened.devices) await device.raiseFormatEpoch(formatEpoch)
  }
  const { masterKey } = opened.secrets
  const epochs = new RecordEpochKeys(
    { clock: new SimClock(), random: new SimRandom(7), log },
    { records: recordManager, refresh: undefined, raiseFormatEpoch, masterKey },
  )
  const { number: epoch } = await epochs.current()
  const value = encodeBucketKey({ kind: "secret", createdMs: 0, epoch, sealed: new Uint8Array(60) })
  return { family: "bucketKeys", key: bucketKeyRowKey(parseBucketId(1), 1), value } as const
}

/** A new store on its devices, with some rows and keys. */
async function create(world: World): Promise<readonly string[]> {
  const seams = world.boot()
  const opened = await world.openAlone(seams)
  const engine = await world.engineOf(seams, opened)
  const writes = Array.from({ length: 20 }, (_, n) => {
    const key = keyOf(`key ${n}`)
    return {
      family: "parts",
      key,
      value: Uint8Array.of(n),
      ...(n % 2 === 0 ? { payload: Uint8Array.of(n, n) } : {}),
    } as const
  })
  const tablet = must(engine.tablet, "a new store has a tablet")
  const secret = await firstSecret(engine, opened)
  await tablet.run(new CopyRows([...writes, secret]))
  const rows = await rowsIn(tablet)
  assert.ok(rows.length >= 20)
  await engine.stop()
  await release(opened)
  return rows
}

async function toDatabase(world: World): Promise<void> {
  const seams = world.boot()
  const opened = await world.openAlone(seams)
  await init(world, seams, opened, await world.engineOf(seams, opened))
}

async function toDevices(world: World, folders = FOLDERS): Promise<void> {
  const seams = world.boot()
  await leave(world, seams, await world.openNode(seams, folders), undefined, folders)
}

/** Before all is there, the metadata is where it was; after the decision it has moved. */
function checkPlace(where: string, step: string, [before, after]: readonly [string, string], when: string): void {
  if (step === "decided") assert.equal(where, after, when)
  else if (step !== "filled") assert.equal(where, before, when)
}

test("a store that is killed before any durable write of a move to a database is in one place", async () => {
  const world = new World()
  await world.clock.runUntil(
    (async () => {
      const rows = await create(world)
      const found = new Set<string>()
      let isKilled = true
      const killedAt = async (write: number): Promise<"devices" | "database"> => {
        const seams = world.boot()
        const opened = await world.openAlone(seams)
        const engine = await world.engineOf(seams, opened)
        let step = ""
        isKilled = await world.until(write, () => init(world, seams, opened, engine, reached => (step = reached)))
        const when = `killed before write ${write}, after ${step}`
        const where = await whereIs(world, rows, when)
        checkPlace(where, step, ["devices", "database"], when)
        found.add(`${step}: ${where}`)
        if (where === "devices") return where
        await toDevices(world)
        world.useNewDatabase()
        return where
      }
      let write = 1 + drawnBelow(strideOf(STRIDE))
      let last = 0
      for (; (await killedAt(write)) === "devices"; write += strideOf(STRIDE)) last = write
      for (let between = last + 1; between < write; between += 1) await killedAt(between)
      for (write += 1 + drawnBelow(strideOf(MOVED_STRIDE)); isKilled; write += strideOf(MOVED_STRIDE))
        assert.equal(await killedAt(write), "database")
      assert.deepEqual([...found].sort(), [": devices", "decided: database", "filled: database", "filled: devices"])
    })(),
  )
})

test("a store that is killed before any durable write of the way back is in one place", async () => {
  const world = new World()
  await world.clock.runUntil(
    (async () => {
      const rows = await create(world)
      await toDatabase(world)
      const found = new Set<string>()
      /** Killed before its first write of this number, or its write of the other number since all rows are there. */
      const killedAt = async (write: number, sinceFilled: number) => {
        const seams = world.boot()
        const opened = await world.openNode(seams)
        let step = ""
        const onStep: OnStep = reached => {
          step = reached
          if (step === "filled") world.killAfter(sinceFilled)
        }
        const isKilled = await world.until(write, () => leave(world, seams, opened, onStep))
        const when = `killed before write ${write} or ${sinceFilled}, after ${step}`
        const where = await whereIs(world, rows, when)
        checkPlace(where, step, ["database", "devices"], when)
        found.add(`${step}: ${where}`)
        if (where === "devices") {
          world.useNewDatabase()
          await toDatabase(world)
        }
        return { step, where, isKilled }
      }
      await killedAt(1, 1)
      // Writes of the rows to replicas that nothing names yet are many.
      let write = 2 + drawnBelow(strideOf(STRIDE))
      while ((await killedAt(write, 1)).step !== "filled") write += strideOf(write > 10 ? FILL_STRIDE : STRIDE)
      let since = 2 + drawnBelow(strideOf(STRIDE))
      let last = 1
      for (; (await killedAt(Infinity, since)).where === "database"; since += strideOf(STRIDE)) last = since
      for (let between = last + 1; between < since; between += 1) await killedAt(Infinity, between)
      for (;;) {
        since += strideOf(STRIDE)
        const { step, isKilled } = await killedAt(Infinity, since)
        if (!isKilled) break
        if (step === "decided") since += strideOf(MOVED_STRIDE) - strideOf(STRIDE)
      }
      assert.deepEqual([...found].sort(), [
        ": database",
        "decided: devices",
        "filled: database",
        "filled: devices",
        "leaving: database",
      ])
    })(),
  )
})

/** Opens the store on its devices, and begins to copy its rows to the database. */
async function beginCopy(world: World) {
  const seams = world.boot()
  const opened = await world.openAlone(seams)
  const engine = await world.engineOf(seams, opened)
  const tablet = must(engine.tablet, "the devices keep the metadata")
  const store = { storeId: opened.storeId, tablet, record: () => engine.recordManager.record, cipher: undefined }
  return { seams, opened, engine, tablet, copy: await ToDatabase.begin(seams, store, NODE) }
}

test("a database that is away while rows are copied is waited for", async () => {
  const world = new World()
  await world.clock.runUntil(
    (async () => {
      await create(world)
      const { seams, tablet, copy } = await beginCopy(world)
      world.isDatabaseAway = true
      const copied = copy.copyRows(noSignal)
      await world.clock.sleep(120_000, noSignal)
      assert.match(copy.progress, /the database does not respond, and is tried again/)
      await tablet.run(new CopyRows([{ family: "parts", key: keyOf("meanwhile"), value: Uint8Array.of(1) }]))
      world.isDatabaseAway = false
      await copied
      await tablet.stop()
      await copy.finish(tablet)
      const rows = await rowsIn(tablet)
      await copy.stop()
      const there = await world.presentDatabase.open(seams, NODE, [], true)
      assert.deepEqual(await rowsIn(there), rows)
      await there.stop()
    })(),
  )
})

test("rows that are written after the store was opened again do not miss the database", async () => {
  const world = new World()
  await world.clock.runUntil(
    (async () => {
      await create(world)
      for (const isThrough of [true, false]) {
        const { seams, opened, engine, copy } = await beginCopy(world)
        if (isThrough) await copy.copyRows(noSignal)
        await engine.stop()
        await release(opened)
        const again = await world.openAlone(seams)
        const next = await world.engineOf(seams, again)
        const present = must(next.tablet, "the devices keep the metadata")
        await present.run(new CopyRows([{ family: "parts", key: keyOf("meanwhile"), value: Uint8Array.of(1) }]))
        const isOver = (error: unknown): boolean =>
          isFailure(error, "conflict") && /the metadata log failed while its rows were copied/.test(error.message)
        if (!isThrough) await assert.rejects(copy.copyRows(noSignal), isOver)
        assert.ok(isOver(copy.whyEnd(present)))
        await present.stop()
        await assert.rejects(copy.finish(present), isOver)
        await copy.stop()
        await next.stop()
        await release(again)
      }
    })(),
  )
})

/** Gives up the last device of the stopped store. */
async function giveUpLast(world: World): Promise<readonly string[]> {
  const { clock, random, disk, locks } = world.boot()
  const left = FOLDERS.slice(0, -1)
  const stopped = must(await StoppedStore.open(clock, random, disk, locks, left), "the folders have a store")
  const lost = stopped.record.devices.flatMap(({ id }) => (stopped.here.has(id) ? [] : [id]))
  assert.equal(lost.length, 1)
  await stopped.commit(giveUpDevices(stopped.record, lost, stopped.here, clock.wallMs()).record)
  await stopped.close()
  return left
}

test("a disk that is lost and given up after the decision does not keep the store from its database", async () => {
  const world = new World()
  await world.clock.runUntil(
    (async () => {
      const rows = await create(world)
      const seams = world.boot()
      const opened = await world.openAlone(seams)
      const engine = await world.engineOf(seams, opened)
      const onStep: OnStep = step => {
        if (step === "decided") world.killAfter(1)
      }
      assert.ok(await world.until(Infinity, () => init(world, seams, opened, engine, onStep)))
      const left = await giveUpLast(world)
      const node = await world.openNode(world.boot(), left)
      const { metadata } = must(node.node, "it is a node")
      assert.deepEqual(await rowsIn(metadata), rows)
      await metadata.stop()
      await release(node)
      await toDevices(world, left)
      assert.equal(await whereIs(world, rows, "after all", left), "devices")
    })(),
  )
})

test("a store does not leave a database that was restored since its engine closed", async () => {
  const world = new World()
  await world.clock.runUntil(
    (async () => {
      await create(world)
      await toDatabase(world)
      const restore = world.saveDatabase()
      const seams = world.boot()
      const opened = await world.openNode(seams)
      const metadata = must(opened.node, "it is a node").metadata
      await metadata.run(new CopyRows([{ family: "parts", key: keyOf("lost"), value: Uint8Array.of(1) }]))
      await metadata.stop()
      restore()
      await assert.rejects(leave(world, seams, opened), error => isFailure(error, "databaseRolledBack"))
      await release(opened)
      const alone = world.openAlone(world.boot())
      await assert.rejects(alone, error => isFailure(error, "metadataElsewhere"))
    })(),
  )
})

test("a store does not leave while another node begins and ends: its numbers would be used again", async () => {
  const world = new World()
  await world.clock.runUntil(
    (async () => {
      const rows = await create(world)
      await toDatabase(world)
      const seams = world.boot()
      const opened = await world.openNode(seams)
      const { database } = seams
      const conversion = async () => {
        const gateway = await database.open({ ...seams, random: new SimRandom(77) }, "gateway", [])
        await gateway.stop()
        return database.conversion()
      }
      const meanwhile: MetadataDatabase = {
        storeId: () => database.storeId(),
        claim: id => database.claim(id),
        control: () => database.control(),
        conversion,
        highestIncarnation: () => database.highestIncarnation(),
        skipTimestamps: us => database.skipTimestamps(us),
        skipIncarnations: upTo => database.skipIncarnations(upTo),
        open: (...request) => database.open(...request),
      }
      const left = leave(world, { ...seams, database: meanwhile }, opened)
      await assert.rejects(left, error => isFailure(error, "conflict") && /have run a moment ago/.test(error.message))
      await release(opened)
      assert.equal(await whereIs(world, rows, "after all"), "database")
      await toDevices(world)
    })(),
  )
})

test("a database that a store has left, or has not moved to, is never taken for the one that it uses now", async () => {
  const world = new World()
  await world.clock.runUntil(
    (async () => {
      const rows = await create(world)
      await toDatabase(world)
      await toDevices(world)
      const others = [world.presentDatabase]
      for (let write = 1, where = "devices"; where === "devices"; write += 5) {
        world.useNewDatabase()
        const seams = world.boot()
        const opened = await world.openAlone(seams)
        const engine = await world.engineOf(seams, opened)
        await world.until(write, () => init(world, seams, opened, engine))
        where = await whereIs(world, rows, `killed before write ${write}`)
        if (where === "devices") others.push(world.presentDatabase)
      }
      assert.ok(others.length > 3)
      const seams = world.boot()
      for (const database of others)
        await assert.rejects(world.openNode({ ...seams, database }), error =>
          isFailure(error, "metadataElsewhere", "foreignDatabase"),
        )
      assert.equal(await whereIs(world, rows, "after all"), "database")
    })(),
  )
})
