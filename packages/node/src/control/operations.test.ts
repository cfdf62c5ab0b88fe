/** An operator's change takes effect completely, beside background work, or changes nothing. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { objectKeyOfText, parseAccountId, parseBucketName, parseNodeName } from "@hayloft/base/ids.js"
import { KIB } from "@hayloft/base/limits.js"
import { parsePolicy, textOfPolicy } from "@hayloft/base/policy.js"
import { markOffline } from "@hayloft/engine/cluster/index.js"
import { homeOn } from "@hayloft/engine/cluster/testing-records.js"
import { ALL_NEEDLES } from "@hayloft/engine/block/index.js"
import { needleIdOfKey } from "@hayloft/engine/format/needles/needle.js"
import { JobRunner } from "@hayloft/base/life/index.js"
import { fails, inTurn, slowedBy } from "@hayloft/base/seams/disk/index.js"
import type { Engine } from "../engine.js"
import { EngineOperations, type FolderTaker, type NodeDirectory } from "./operations.js"
import { bytesOf, createBucket, Machine, noSignal, sourceOf } from "../testing-engine.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"

const NO_FOLDERS: FolderTaker = {
  inspect: () => assert.fail("no folder is looked at"),
  factsOf: () => assert.fail("no folder is looked at"),
  deviceAt: () => assert.fail("no folder is looked at"),
  mayBeFilled: () => assert.fail("no folder is looked at"),
  makeAndTake: () => assert.fail("no folder is taken"),
  take: () => assert.fail("no folder is taken"),
  probe: () => assert.fail("no folder is probed"),
}

function operationsOf(
  { clock, telemetry }: Machine,
  engine: Engine,
  folders = NO_FOLDERS,
  nodes?: NodeDirectory,
): EngineOperations {
  const facts = () => ({
    policies: [],
    lacking: new Map(),
    misplacedGroups: [],
    diskOf: (id: string) => id,
    bytesPerSecond: 1,
  })
  const jobs = new JobRunner("jobs", engine.jobs, clock, telemetry)
  const layout = () => ({ version: 1, width: 1 })
  const sources = { facts, layout, reencoding: () => undefined, nodes, log: new SimTelemetry().log }
  return new EngineOperations(engine, folders, jobs, clock, sources)
}

const setRedundancy = (text: string, bucket: string | undefined) =>
  ({
    kind: "setRedundancy",
    policy: parsePolicy(text),
    bucket: bucket === undefined ? undefined : parseBucketName(bucket),
  }) as const

test("a policy for a bucket that does not exist changes nothing", async () => {
  const machine = new Machine({ devices: 4 })
  const engine = await machine.open()
  const { generation } = engine.recordManager.record
  const change = operationsOf(machine, engine).change(setRedundancy("ec:2+1", "nothing-here"), "ec:2+1")
  await assert.rejects(machine.clock.runUntil(change), error => isFailure(error, "noSuchBucket"))
  assert.equal(engine.recordManager.record.generation, generation)
})

test("a policy whose blocks need more memory than the process has is refused before anything changes", async () => {
  const machine = new Machine({ devices: 6 })
  const engine = await machine.open()
  await createBucket(engine)
  const operations = operationsOf(machine, engine)
  const { generation } = engine.recordManager.record
  const policy = parsePolicy("ec:1+5")
  const changes = [
    setRedundancy("ec:1+5", undefined),
    setRedundancy("ec:1+5", "bucket"),
    { kind: "setClass", storageClass: "GLACIER_IR", policy },
  ] as const
  const isRefused = (error: unknown) =>
    isFailure(error, "invalidArgument") && /ec:1\+5 needs more memory .* choose/.test(error.message)
  for (const change of changes) {
    await assert.rejects(machine.clock.runUntil(operations.plan(change)), isRefused)
    await assert.rejects(machine.clock.runUntil(operations.change(change, "ec:1+5")), isRefused)
  }
  assert.equal(engine.recordManager.record.generation, generation)
})

test("a change that makes the store less safe requires its name, and the refusal contains it", async () => {
  const machine = new Machine({ devices: 4 })
  const engine = await machine.open()
  const operations = operationsOf(machine, engine)
  const { generation } = engine.recordManager.record
  const change = (confirm: string | undefined) =>
    machine.clock.runUntil(operations.change(setRedundancy("replica:1", undefined), confirm))
  for (const confirm of [undefined, "", "yes", "replica:2"]) {
    await assert.rejects(
      change(confirm),
      error =>
        isFailure(error, "invalidArgument") &&
        /replica:1 survives fewer lost disks than ec:2\+2.*send "confirm": "replica:1"/.test(error.message),
    )
  }
  assert.equal(engine.recordManager.record.generation, generation, "nothing was changed")
  await change("replica:1")
  assert.equal(textOfPolicy(engine.recordManager.record.policy), "replica:1")
})

test("a refused change takes no folder: the folder stays empty", async () => {
  const machine = new Machine({ devices: 4 })
  const engine = await machine.open()
  const inspect = () => Promise.resolve({ isMountPoint: true, capacityBytes: 0, disk: "new", systemDisk: "system" })
  const operations = operationsOf(machine, engine, { ...NO_FOLDERS, inspect })
  const { id } = must(engine.recordManager.record.devices[0], "the store has devices")
  const change = operations.change({ kind: "replaceDevice", id, path: "/new", acceptLoss: false }, undefined)
  await assert.rejects(machine.clock.runUntil(change), error => isFailure(error, "invalidArgument"))
})

const isOutdated = (error: unknown): boolean =>
  isFailure(error, "planOutdated") &&
  /the change was not made.* of the data stored as ec:.*shown none/.test(error.message)

/** A store whose devices go offline by their numbers. */
async function failingStore() {
  const machine = new Machine({ devices: 6 })
  const engine = await machine.open()
  const { control, recordManager } = engine
  const ids = recordManager.record.devices.map(({ id }) => id)
  const fails = (...numbers: number[]) =>
    control.change("devices offline", record =>
      markOffline(
        record,
        numbers.map(number => must(ids[number], "the store has so many devices")),
        0,
      ),
    )
  return { machine, engine, ids, fails, generation: () => recordManager.record.generation }
}

test("a loss that was accepted is not made once it is greater than the plan showed", async () => {
  const { machine, engine, ids, fails, generation } = await failingStore()
  const operations = operationsOf(machine, engine)
  const run = <T>(work: Promise<T>): Promise<T> => machine.clock.runUntil(work)
  await run(fails(5))
  const forget = { kind: "forgetDevice", id: must(ids[5], "the store has six devices"), acceptLoss: true } as const
  const { outlook, warnings } = await run(operations.plan(forget))
  assert.deepEqual(warnings, ["objects that only this device could complete are lost"])
  await run(fails(4, 3))
  const before = generation()
  await assert.rejects(run(operations.change(forget, undefined, [], outlook)), isOutdated)
  assert.equal(generation(), before, "nothing was changed")
  // The new plan shows the loss, and is as good after changes that do not matter to it.
  const plan = await run(operations.plan(forget))
  assert.match(plan.warnings.join("\n"), /about [\d.]+ % of the data stored as ec:.* has too few shards/)
  await run(operations.setRepairPaused(true))
  assert.equal(generation(), before + 1)
  const made = await run(operations.change(forget, undefined, [], plan.outlook))
  assert.deepEqual([made.generation, "outlook" in made.plan], [before + 2, false])
})

test("without an outlook a change is made however much it loses", async () => {
  const { machine, engine, ids, fails } = await failingStore()
  const operations = operationsOf(machine, engine)
  await machine.clock.runUntil(fails(5, 4, 3))
  const forget = { kind: "forgetDevice", id: must(ids[5], "the store has six devices"), acceptLoss: true } as const
  await machine.clock.runUntil(operations.change(forget, undefined))
  assert.equal(engine.recordManager.record.devices.length, 5)
})

/**
 * A failing store with one device on each node, and the plan to forget a lost one. `end` is called to fence it, `removeRow`
 * at the end.
 */
async function storeOfNodes(
  end: (fails: (...numbers: number[]) => Promise<unknown>) => Promise<unknown>,
  removeRow: () => Promise<void> = () => assert.fail("the node stays"),
) {
  const store = await failingStore()
  const { machine, engine, fails } = store
  const run = <T>(work: Promise<T>): Promise<T> => machine.clock.runUntil(work)
  await run(
    engine.control.change("nodes", record => ({
      ...record,
      devices: record.devices.map((device, number) => ({ ...device, home: homeOn(`n${number}`) })),
    })),
  )
  const nodes: NodeDirectory = {
    own: parseNodeName("n0"),
    refresh: () => Promise.resolve(),
    has: () => true,
    homeOn: () => assert.fail("no device is added"),
    isOver: () => false,
    checkLost: () => undefined,
    end: async () => void (await end(fails)),
    removeRow,
  }
  const operations = operationsOf(machine, engine, NO_FOLDERS, nodes)
  await run(fails(5))
  const forget = { kind: "forgetNode", node: parseNodeName("n5"), acceptLoss: true } as const
  const { outlook } = await run(operations.plan(forget))
  return { ...store, run, forget: () => run(operations.change(forget, undefined, [], outlook)) }
}

test("a node is not fenced for a change whose plan is outdated", async () => {
  const { forget, run, fails } = await storeOfNodes(() => assert.fail("the node is fenced"))
  await run(fails(4, 3))
  await assert.rejects(forget(), isOutdated)
})

test("devices that go offline while a change is made do not make its loss greater than the plan showed", async () => {
  const { engine, ids, forget } = await storeOfNodes(fails => fails(4, 3))
  await assert.rejects(forget(), isOutdated)
  assert.deepEqual(
    engine.recordManager.record.devices.map(({ id, state }) => [id, state]),
    ids.map((id, number) => [id, number < 3 ? "active" : "offline"]),
  )
})

test("a forgotten node is leaving until its row is gone", async () => {
  const gone = fail("indeterminate")
  const isMade = async () => undefined
  const interrupted = await storeOfNodes(isMade, () => Promise.reject(gone))
  await assert.rejects(interrupted.forget(), gone)
  const { record } = interrupted.engine.recordManager
  assert.deepEqual([record.devices.length, record.leavingNodes], [5, ["n5"]], "another node removes the row")
  const leaving: unknown[] = []
  const whole = await storeOfNodes(
    isMade,
    async () => void leaving.push(whole.engine.recordManager.record.leavingNodes),
  )
  const { generation } = await whole.forget()
  assert.deepEqual([leaving, whole.engine.recordManager.record.leavingNodes], [[["n5"]], undefined])
  assert.equal(generation, whole.generation())
})

test("while a bucket's policy changes, all needles of one generation have one policy", async () => {
  const machine = new Machine({ devices: 4, blockBytes: 64 * KIB })
  const engine = await machine.open()
  const bucket = await createBucket(engine)
  const target = { bucket, key: objectKeyOfText("a"), conditions: {} }
  const bytes = Buffer.alloc(500 * KIB, "abc")
  const what = { attributes: { headers: {}, userMetadata: [] }, tags: [], signal: noSignal, body: sourceOf(bytes) }
  await machine.clock.runUntil(engine.services.objects.put({ ...target, ...what }))
  const operations = operationsOf(machine, engine)
  await machine.clock.runUntil(operations.change(setRedundancy("ec:2+1", undefined), "ec:2+1"))
  machine.disk.intercept(inTurn(call => (call.path.includes("/log/") ? slowedBy(machine.clock, 500)(call) : undefined)))
  let isOver = false
  const changed = operations.change(setRedundancy("replica:2", "bucket"), undefined).finally(() => (isOver = true))
  const reencode = must(
    engine.jobs.find(({ name }) => name === "reencode"),
    "there is such a job",
  )
  for (let steps = 0; steps < 2_000; steps += 1) {
    const outcome = await machine.clock.runUntil(reencode.step(noSignal))
    if (outcome === "idle" && isOver) break
    if (outcome !== "busy") await machine.clock.advance(50)
  }
  await changed
  const policies = new Map<number, Set<string>>()
  for (const { volumes } of engine.devices) {
    for (const { key, shape } of volumes.indexed(ALL_NEEDLES)) {
      const { generation } = needleIdOfKey(key)
      const known = policies.get(generation) ?? new Set()
      policies.set(generation, known.add(textOfPolicy(must(shape, "indexed").policy)))
    }
  }
  for (const [generation, texts] of policies) assert.equal(texts.size, 1, `${generation}: ${[...texts].join()}`)
  assert.deepEqual([...(policies.get(Math.max(...policies.keys())) ?? [])], ["replica:2"])
  const got = async () => bytesOf(await engine.services.objects.get(target))
  assert.deepEqual(await machine.clock.runUntil(got()), bytes)
})

test("a bucket that keeps its redundancy uses up no policy version", async () => {
  const machine = new Machine({ devices: 4 })
  const engine = await machine.open()
  await createBucket(engine)
  const change = operationsOf(machine, engine)
  const versionAfter = async (text: string) => {
    await machine.clock.runUntil(change.change(setRedundancy(text, "bucket"), text))
    return engine.recordManager.record.policyVersion
  }
  const first = await versionAfter("replica:2")
  assert.equal(await versionAfter("replica:2"), first)
  assert.equal(await versionAfter("ec:2+2"), first + 1)
})

test("a plan for a bucket accounts for its contents", async () => {
  const machine = new Machine({ devices: 4, blockBytes: 64 * KIB })
  const engine = await machine.open()
  const bucket = await createBucket(engine)
  const [key, bytes] = [objectKeyOfText("a"), Buffer.alloc(100 * KIB, "abc")]
  const what = {
    attributes: { headers: {}, userMetadata: [] },
    tags: [],
    conditions: {},
    signal: noSignal,
    body: sourceOf(bytes),
  }
  await machine.clock.runUntil(engine.services.objects.put({ bucket, key, ...what }))
  const operations = operationsOf(machine, engine)
  const planned = async (text: string) => machine.clock.runUntil(operations.plan(setRedundancy(text, "bucket")))
  assert.equal((await planned("replica:2")).reencodedBytes, 2 * bytes.length)
  assert.equal((await planned("ec:2+2")).reencodedBytes, 0)
  await machine.clock.runUntil(operations.change(setRedundancy("replica:2", "bucket"), "replica:2"))
  assert.equal((await planned("replica:2")).reencodedBytes, 0)
  assert.equal((await planned("ec:2+2")).reencodedBytes, 2 * bytes.length)
})

test("a change that makes a bucket with object lock less safe requires its name", async () => {
  const machine = new Machine({ devices: 4, blockBytes: 64 * KIB })
  const engine = await machine.open()
  const { buckets, objects } = engine.services
  const made = (name: string, hasLock: boolean) =>
    machine.clock.runUntil(
      buckets.create({ name: parseBucketName(name), owner: parseAccountId("root"), location: "", hasLock }),
    )
  const [locked] = [await made("locked", true), await made("open", false), await made("locked-and-empty", true)]
  const operations = operationsOf(machine, engine)
  const plan = () => machine.clock.runUntil(operations.plan(setRedundancy("replica:1", undefined)))
  assert.equal((await plan()).lockedBuckets, undefined, "nothing is stored in it")
  const what = { attributes: { headers: {}, userMetadata: [] }, tags: [], signal: noSignal }
  const body = sourceOf(Buffer.from("kept"))
  await machine.clock.runUntil(
    objects.put({ bucket: locked, key: objectKeyOfText("a"), conditions: {}, ...what, body }),
  )
  assert.deepEqual((await plan()).lockedBuckets, ["locked"])
  const { generation } = engine.recordManager.record
  const change = (named: readonly string[] | undefined) =>
    machine.clock.runUntil(operations.change(setRedundancy("replica:1", undefined), "replica:1", named))
  for (const named of [undefined, [], ["open"]]) {
    await assert.rejects(
      change(named),
      error => isFailure(error, "invalidArgument") && /"lockedBuckets": \["locked"\]/.test(error.message),
    )
  }
  assert.equal(engine.recordManager.record.generation, generation, "nothing was changed")
  await change(["locked"])
  assert.equal(textOfPolicy(engine.recordManager.record.policy), "replica:1")
})

test("a device that cannot keep the request of a scrub hinders no pass of another", async () => {
  const machine = new Machine({ devices: 3 })
  const engine = await machine.open()
  const operations = operationsOf(machine, engine)
  const [first] = engine.devices.map(({ place }) => place)
  const broken = fails("EIO")
  machine.disk.intercept(call =>
    "path" in call && call.path.startsWith(`${first?.path}/scrub`) ? broken(call) : undefined,
  )
  await machine.clock.runUntil(operations.startScrub(undefined))
  await assert.rejects(machine.clock.runUntil(operations.startScrub(first?.id)), error =>
    isFailure(error, "deviceFailed"),
  )
})
