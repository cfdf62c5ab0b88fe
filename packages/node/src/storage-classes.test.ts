/** Storage classes of a whole store: their first use, restarts, and what an operator may do with the map. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { isFailure, type FailureKind } from "@hayloft/base/failures.js"
import { objectKeyOfText, parseAccountId, parseBucketName } from "@hayloft/base/ids.js"
import { KIB } from "@hayloft/base/limits.js"
import { parsePolicy, textOfPolicy, type Policy } from "@hayloft/base/policy.js"
import type { StorageClass } from "@hayloft/base/storage-class.js"
import { ALL_NEEDLES } from "@hayloft/engine/block/index.js"
import { layoutOf } from "@hayloft/engine/cluster/index.js"
import { JobRunner } from "@hayloft/base/life/index.js"
import type { Bucket } from "@hayloft/objects/index.js"
import { EngineOperations, type FolderTaker } from "./control/operations.js"
import type { Engine } from "./engine.js"
import { bytesOf, createBucket, Machine, noSignal, sourceOf } from "./testing-engine.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"

const BODY = Buffer.alloc(300 * KIB, "class")
const NO_FOLDERS: FolderTaker = {
  inspect: () => assert.fail("no folder is looked at"),
  factsOf: () => assert.fail("no folder is looked at"),
  deviceAt: () => assert.fail("no folder is looked at"),
  mayBeFilled: () => assert.fail("no folder is looked at"),
  makeAndTake: () => assert.fail("no folder is taken"),
  take: () => assert.fail("no folder is taken"),
  probe: () => assert.fail("no folder is probed"),
}

interface World {
  readonly machine: Machine
  readonly engine: Engine
  readonly bucket: Bucket
}

async function world(devices = 6): Promise<World> {
  const machine = new Machine({ devices, blockBytes: 64 * KIB })
  const engine = await machine.open()
  return { machine, engine, bucket: await createBucket(engine) }
}

function operationsOf({ machine, engine }: World): EngineOperations {
  const held: Policy = engine.recordManager.record.policy
  const facts = () => ({
    policies: [{ policy: held, bytes: 1_000, isDecommissioning: false }],
    lacking: new Map(),
    misplacedGroups: [],
    diskOf: (id: string) => id,
    bytesPerSecond: 1,
  })
  const jobs = new JobRunner("jobs", engine.jobs, machine.clock, machine.telemetry)
  const sources = {
    facts,
    layout: () => ({ version: 1, width: 1 }),
    reencoding: () => undefined,
    nodes: undefined,
    log: new SimTelemetry().log,
  }
  return new EngineOperations(engine, NO_FOLDERS, jobs, machine.clock, sources)
}

const setClass = (storageClass: StorageClass, policy?: string) =>
  ({ kind: "setClass", storageClass, policy: policy === undefined ? undefined : parsePolicy(policy) }) as const

/** With the confirmation that its plan asks for. */
async function change(on: World, storageClass: StorageClass, policy?: string, named?: readonly string[]) {
  const operations = operationsOf(on)
  const wanted = setClass(storageClass, policy)
  const { confirmBy } = await on.machine.clock.runUntil(operations.plan(wanted))
  return on.machine.clock.runUntil(operations.change(wanted, confirmBy, named))
}

const put = ({ machine, engine, bucket }: World, name: string, storageClass: StorageClass) =>
  machine.clock.runUntil(
    engine.services.objects.put({
      bucket,
      key: objectKeyOfText(name),
      attributes: { headers: {}, userMetadata: [] },
      tags: [],
      conditions: {},
      storageClass,
      body: sourceOf(BODY),
      signal: noSignal,
    }),
  )

async function read({ machine, engine, bucket }: World, name: string) {
  const got = engine.services.objects.get({ bucket, key: objectKeyOfText(name), conditions: {} })
  const body = await machine.clock.runUntil(Promise.resolve(got))
  return { storageClass: body.info.storageClass, bytes: await machine.clock.runUntil(bytesOf(body)) }
}

const refusedAs = (kind: FailureKind) => (error: unknown) => isFailure(error, kind)

/** Returns the policies of all needles on the devices. */
function policiesOn({ devices }: Engine): readonly string[] {
  const found = new Set<string>()
  for (const { volumes } of devices)
    for (const { shape } of volumes.indexed(ALL_NEEDLES)) found.add(textOfPolicy(must(shape, "indexed").policy))
  return [...found].sort()
}

async function settle({ machine, engine }: World, ...names: readonly string[]): Promise<void> {
  for (const name of names) {
    const job = must(
      engine.jobs.find(each => each.name === name),
      "there is such a job",
    )
    for (let steps = 0; ; steps += 1) {
      assert.ok(steps < 2_000, `${name} does not end: ${job.progress()}`)
      const outcome = await machine.clock.runUntil(job.step(noSignal))
      if (outcome === "idle" || outcome === "done") break
      if (outcome !== "busy") await machine.clock.advance(1_000)
    }
  }
}

test("before the first version of a class is stored, the devices refuse earlier releases", async () => {
  const on = await world(2)
  on.machine.brokenSuperblocks.add("/d2")
  await put(on, "plain", "STANDARD")
  await assert.rejects(put(on, "rare", "STANDARD_IA"), refusedAs("deviceFailed"))
  assert.equal(on.engine.recordManager.record.classes, undefined)
  await assert.rejects(read(on, "rare"), refusedAs("noSuchKey"))
  on.machine.brokenSuperblocks.clear()
  await put(on, "rare", "STANDARD_IA")
  assert.deepEqual(on.engine.recordManager.record.classes, [])
})

test("class and map survive a crash and a restart, and needles have the policy of the class", async () => {
  const first = await world(6)
  await change(first, "STANDARD_IA", "replica:3")
  await put(first, "rare", "STANDARD_IA")
  assert.deepEqual(policiesOn(first.engine), ["replica:3"])
  first.machine.disk.kill()
  const crashed = { ...first, engine: await first.machine.open() }
  assert.deepEqual(await read(crashed, "rare"), { storageClass: "STANDARD_IA", bytes: BODY })
  assert.deepEqual((await operationsOf(crashed).redundancy()).classes, [
    { storageClass: "STANDARD_IA", policy: "replica:3" },
  ])
  await put(crashed, "another", "STANDARD_IA")
  assert.deepEqual(policiesOn(crashed.engine), ["replica:3"])
  await change(crashed, "STANDARD_IA")
  await settle(crashed, "reencode", "collector")
  assert.deepEqual(policiesOn(crashed.engine), [textOfPolicy(crashed.engine.recordManager.record.policy)])
  assert.deepEqual((await read(crashed, "another")).bytes, BODY)
  await crashed.engine.stop()
})

test("the layout gets the slots of a class, and keeps them while it is mapped", async () => {
  const on = await world(6)
  const { control, recordManager } = on.engine
  const redundancy = { kind: "setRedundancy", policy: parsePolicy("replica:2"), bucket: undefined } as const
  await on.machine.clock.runUntil(operationsOf(on).change(redundancy, "replica:2"))
  const width = () => layoutOf(recordManager.record.layout).width
  const follow = async () => {
    await settle(on, "repair")
    for (let i = 0; i < 20; i += 1) await on.machine.clock.runUntil(control.step())
    await settle(on, "repair")
  }
  await follow()
  assert.equal(width(), 2, "the slots of the former redundancy are gone")
  await change(on, "GLACIER_IR", "ec:4+2")
  assert.equal(width(), 6)
  await put(on, "cold", "GLACIER_IR")
  await follow()
  assert.equal(width(), 6)
  await assert.rejects(change(on, "GLACIER_IR", "ec:6+2"), refusedAs("invalidArgument"))
  await assert.rejects(change(on, "STANDARD", "ec:2+1"), refusedAs("invalidArgument"))
})

test("an archive is one only where it is mapped: objects of its name are read at once before and after", async () => {
  const on = await world(4)
  const { classes, objects } = on.engine.services
  const key = objectKeyOfText("cold")
  const read = () =>
    on.machine.clock.runUntil((async () => (await objects.get({ bucket: on.bucket, key, conditions: {} })).info)())
  assert.throws(() => classes.require("GLACIER"), refusedAs("notImplemented"))
  await put(on, "cold", "GLACIER")
  assert.equal((await read()).storageClass, "GLACIER")
  const planned = (policy?: string) => on.machine.clock.runUntil(operationsOf(on).plan(setClass("GLACIER", policy)))
  assert.match(
    (await planned("ec:2+1")).warnings.join(),
    /objects of GLACIER must then be restored before they are read/,
  )
  await change(on, "GLACIER", "ec:2+1")
  assert.doesNotMatch((await planned()).warnings.join(), /restored/)
  classes.require("GLACIER")
  assert.throws(() => classes.require("DEEP_ARCHIVE"), refusedAs("notImplemented"))
  await assert.rejects(read(), refusedAs("invalidObjectState"))
  await change(on, "GLACIER")
  assert.equal((await read()).storageClass, "GLACIER")
})

test("a plan tells what a change of a class costs, and asks for the name of a weaker redundancy", async () => {
  const on = await world(6)
  const plan = (storageClass: StorageClass, policy?: string) =>
    on.machine.clock.runUntil(operationsOf(on).plan(setClass(storageClass, policy)))
  const { generation } = on.engine.recordManager.record
  const never = await plan("REDUCED_REDUNDANCY", "replica:2")
  assert.equal(never.reencodedBytes, 0, "no version has a class yet")
  assert.equal(never.confirmBy, "replica:2")
  assert.equal(on.engine.recordManager.record.generation, generation, "a plan changes nothing")
  await assert.rejects(
    on.machine.clock.runUntil(operationsOf(on).change(setClass("REDUCED_REDUNDANCY", "replica:2"), undefined)),
    refusedAs("invalidArgument"),
  )
  await put(on, "a", "REDUCED_REDUNDANCY")
  assert.ok((await plan("REDUCED_REDUNDANCY", "replica:2")).reencodedBytes > 0)
  assert.equal((await plan("REDUCED_REDUNDANCY", "ec:3+3")).confirmBy, undefined)
})

test("buckets with locked versions must be named where a class becomes less safe, once there are classes", async () => {
  const on = await world(6)
  const name = parseBucketName("ledger")
  const { buckets } = on.engine.services
  const ledger = await buckets.create({ name, owner: parseAccountId("root"), location: "", hasLock: true })
  const inLedger = { ...on, bucket: ledger }
  await put(inLedger, "plain", "STANDARD")
  const lockedBy = async (policy: string) =>
    (await on.machine.clock.runUntil(operationsOf(on).plan(setClass("STANDARD_IA", policy)))).lockedBuckets
  assert.equal(await lockedBy("replica:2"), undefined)
  await put(inLedger, "rare", "STANDARD_IA")
  assert.deepEqual(await lockedBy("replica:2"), ["ledger"])
  assert.equal(await lockedBy("ec:3+3"), undefined)
  await assert.rejects(change(on, "STANDARD_IA", "replica:2"), refusedAs("invalidArgument"))
  await change(on, "STANDARD_IA", "replica:2", ["ledger"])
})

test("only buckets that hold versions of the class must be named, and their own redundancy counts", async () => {
  const on = await world(6)
  const { buckets } = on.engine.services
  const create = (name: string) =>
    buckets.create({ name: parseBucketName(name), owner: parseAccountId("root"), location: "", hasLock: true })
  const [cold, warm, own] = [await create("cold"), await create("warm"), await create("own")]
  const redundancy = { kind: "setRedundancy", policy: parsePolicy("ec:3+3"), bucket: own.name } as const
  await on.machine.clock.runUntil(operationsOf(on).change(redundancy, undefined))
  for (const [bucket, storageClass] of [
    [cold, "GLACIER_IR"],
    [warm, "STANDARD"],
    [own, "GLACIER_IR"],
  ] as const)
    await put({ ...on, bucket: await buckets.open(bucket.name) }, "object", storageClass)
  const plan = (storageClass: StorageClass, policy?: string) =>
    on.machine.clock.runUntil(operationsOf(on).plan(setClass(storageClass, policy)))
  assert.deepEqual((await plan("GLACIER_IR", "replica:2")).lockedBuckets, ["cold", "own"])
  assert.equal((await plan("STANDARD_IA", "replica:2")).lockedBuckets, undefined)
  const { lockedBuckets, confirmBy, warnings } = await plan("GLACIER_IR", "ec:4+2")
  assert.deepEqual([lockedBuckets, confirmBy], [["own"], "ec:4+2"], "the store itself survives as much as before")
  assert.match(warnings.join("\n"), /ec:4\+2 survives fewer lost disks than ec:3\+3 in buckets .*: own/)
})
