/** Rotation of the master key of several nodes, in virtual time: who is asked, who ends, and what a lost row costs. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { MasterKeys, openAccess, type RootKey } from "@hayloft/access/index.js"
import { must } from "@hayloft/base/assert.js"
import { hexOf } from "@hayloft/base/bytes.js"
import { isFailure, type Failure } from "@hayloft/base/failures.js"
import { parseIncarnation, parseNodeName, type AccessKeyId, type DeviceId } from "@hayloft/base/ids.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { SharedRecordManager, writeFirstRecord } from "../cluster/shared-record.js"
import { SharedMemory } from "../cluster/testing-shared.js"
import { openSecrets, randomSecrets, sealSecrets, type MasterKeyFiles } from "../open/secrets.js"
import { RecordEpochKeys } from "./epoch-keys.js"
import { followMasterKey } from "./follow-master-key.js"
import { FORMER_KEY_MS, KEPT_IN_DATABASE_MS, MasterKeyRotation, type NextKeyProof } from "./master-key-rotation.js"
import { idOf, recordOf } from "./testing-record.js"

const KEY = (byte: number): Uint8Array => new Uint8Array(32).fill(byte)
const [OLD, NEW, OTHER] = [KEY(1), KEY(2), KEY(3)]
const BOTH = { current: OLD, next: NEW }

class World {
  readonly clock = new SimClock()
  readonly rows = new SharedMemory("n0")
  readonly nodes = new Map<string, Node>()
  readonly random = new SimRandom(7)
  readonly first: ControlRecord
  readonly root: RootKey

  constructor() {
    const secrets = randomSecrets(this.random, 0, { current: OLD }, undefined)
    this.root = secrets.root
    this.first = { ...recordOf(1, [1, 2]), secrets: sealSecrets(secrets, this.random) }
  }

  async start(...names: readonly (readonly [string, MasterKeyFiles])[]): Promise<readonly Node[]> {
    if (this.nodes.size === 0) await writeFirstRecord(this.rows, this.first)
    const started = names.map(([name, files]) => new Node(this, name, files, this.first))
    for (const node of started) {
      await node.records.refresh()
      this.nodes.set(node.name, node)
    }
    await started[0]?.access.accounts.ensureRoot()
    return started
  }
}

/** One process, with the rows and the record of all. */
class Node {
  readonly lost: Failure[] = []
  readonly records: SharedRecordManager
  readonly keys: MasterKeys
  readonly epochs: RecordEpochKeys
  readonly access: ReturnType<typeof openAccess>
  readonly rotation: MasterKeyRotation
  state: NextKeyProof["state"] = "on"

  constructor(
    private readonly world: World,
    readonly name: string,
    files: MasterKeyFiles,
    record: ControlRecord,
  ) {
    const { clock, rows } = world
    const { log } = new SimTelemetry()
    const random = world.random.fork(name)
    const { masterKey, formerKey, nextKey, root } = openSecrets(record, files)
    this.records = new SharedRecordManager(rows, clock, log, record)
    this.keys = new MasterKeys(masterKey, formerKey, nextKey)
    const { records, keys } = this
    followMasterKey(records, keys, reason => void this.lost.push(reason))
    const store = {
      records,
      refresh: () => records.refresh(),
      raiseFormatEpoch: async () => undefined,
      get masterKey() {
        return keys.current
      },
    }
    this.epochs = new RecordEpochKeys({ clock, random, log }, store)
    this.access = openAccess(random, rows, keys, root)
    const devices = {
      epochs: new Map(),
      masterKeys: new Map<DeviceId, number>([[idOf(1), 2]]),
      refresh: async () => undefined,
    }
    const node = { name: parseNodeName(name), incarnations: () => rows.incarnations }
    const { accounts } = this.access
    this.rotation = new MasterKeyRotation(
      { clock, random, log, dueTimeMs: clock.dueTimeMs },
      { records, epochs: this.epochs, keys, accounts, devices, node },
    )
    const others = (): readonly Node[] => [...world.nodes.values()].filter(each => each !== this)
    this.rotation.setOthers({
      masterKeys: () => new Map(),
      proofs: async () =>
        others().map(({ name: other, state, rotation }) => {
          const row = parseNodeName(other)
          return state === "on" ? { name: row, state, proof: rotation.reported.nextKeyProof } : { name: row, state }
        }),
    })
  }

  async pass(): Promise<void> {
    while ((await this.rotation.step()) === "busy");
  }

  /** Commits an access key whose creation has waited since before the rotation. */
  async newKeyUnder(key: Uint8Array): Promise<void> {
    const { accounts } = openAccess(this.world.random, this.world.rows, new MasterKeys(key), this.world.root)
    await this.newKey(accounts)
  }

  async newKey(accounts = this.access.accounts) {
    const accountId = must((await accounts.listAccounts())[0], "the root account exists").id
    const { key, secret } = await accounts.createKey({ accountId, userName: undefined })
    return [key.id, secret] as const
  }

  async knows([id, secret]: readonly [AccessKeyId, string]): Promise<boolean> {
    return (await this.access.accounts.secretOf(id, undefined, 0))?.secret === secret
  }
}

const refuses = (node: Node, message: RegExp) =>
  assert.rejects(node.rotation.rotate(), error => isFailure(error, "conflict") && message.test(error.message))

test("nodes without the new key, or out of reach, are named in the refusal; those that are off are not asked", async () => {
  const world = new World()
  const [n1 = assert.fail(), n2 = assert.fail(), n3 = assert.fail()] = await world.start(
    ["n1", BOTH],
    ["n2", { current: OLD }],
    ["n3", { current: OLD, next: OTHER }],
    ["n4", BOTH],
  )
  await refuses(n1, /: n2, n3 without this new key: start with the same --next-master-key-file$/)
  n2.state = "out of reach"
  n3.state = "off"
  await refuses(n1, /: n2 out of reach: bring back, or stop and try again in some minutes$/)
  n2.state = "off"
  await assert.rejects(n2.rotation.rotate(), /start the store with --next-master-key-file/)
  const { number, devices } = await n1.rotation.rotate()
  assert.equal(number, 2)
  assert.deepEqual(
    devices.map(({ id }) => id),
    [idOf(2)],
    "no node has reported this device",
  )
})

test("a proof is of one node: another one that repeats it has none", async () => {
  const world = new World()
  const [n1 = assert.fail(), n2 = assert.fail(), n3 = assert.fail()] = await world.start(
    ["n1", BOTH],
    ["n2", { current: OLD }],
    ["n3", BOTH],
  )
  Object.defineProperty(n2.rotation, "reported", { get: () => n3.rotation.reported })
  await refuses(n1, /: n2 without/)
})

test("keys and epoch keys open on every node in every order of reading the new record", async () => {
  const world = new World()
  const [n1 = assert.fail(), n2 = assert.fail()] = await world.start(["n1", BOTH], ["n2", BOTH])
  const early = await n2.newKey()
  const { key } = await n1.epochs.current()
  await n1.rotation.rotate()
  // n2 has not read the record yet.
  const [ofFirst, ofSecond] = [await n1.newKey(), await n2.newKey()]
  const all = [early, ofFirst, ofSecond]
  for (const node of [n1, n2]) for (const each of all) assert.ok(await node.knows(each))
  await n1.pass()
  for (const node of [n1, n2]) for (const each of all) assert.ok(await node.knows(each))
  await n2.records.refresh()
  assert.equal(hexOf(n2.keys.current), hexOf(NEW))
  assert.equal(hexOf((await n2.epochs.current()).key), hexOf(key))
  const late = await n2.newKey()
  assert.ok(await n1.knows(late))
  await world.clock.advance(FORMER_KEY_MS)
  await n2.pass()
  assert.notEqual(n2.records.record.keyring?.previous, undefined, "a database may lose its last changes")
  await world.clock.advance(KEPT_IN_DATABASE_MS)
  await n2.pass()
  await n1.records.refresh()
  assert.equal(n1.records.record.keyring?.previous, undefined)
  const [fresh = assert.fail()] = await world.start(["n3", { current: OLD, next: NEW }])
  fresh.keys.use(NEW, undefined)
  for (const each of [...all, late]) assert.ok(await fresh.knows(each))
})

test("of two nodes that rotate at once, one does, and the other one names the end of this rotation", async () => {
  const world = new World()
  const [n1 = assert.fail(), n2 = assert.fail()] = await world.start(["n1", BOTH], ["n2", BOTH])
  const outcomes = await Promise.allSettled([n1.rotation.rotate(), n2.rotation.rotate()])
  assert.deepEqual(outcomes.map(({ status }) => status).sort(), ["fulfilled", "rejected"])
  const refused = outcomes.find(outcome => outcome.status === "rejected")
  assert.match(String(refused?.reason), /master key 1 is needed until/)
  for (const node of [n1, n2]) {
    await node.records.refresh()
    assert.deepEqual([node.rotation.report().number, hexOf(node.keys.current)], [2, hexOf(NEW)])
    await node.epochs.current()
  }
})

test("a node that came with the old key alone is told so, seals nothing more, and the others go on", async () => {
  const world = new World()
  const [n1 = assert.fail()] = await world.start(["n1", BOTH])
  await n1.rotation.rotate()
  const late = new Node(world, "late", { current: OLD }, world.first)
  await late.records.refresh()
  const [reason] = late.lost
  assert.ok(isFailure(reason, "wrongMasterKey"))
  assert.match(reason.message, /under master key 2, .* perhaps master key 1/)
  await assert.rejects(late.newKey(), reason)
  await assert.rejects(
    late.records.change("x", record => ({ ...record, secrets: sealed(late) })),
    reason,
  )
  assert.ok(await n1.knows(await n1.newKey()))
})

const sealed = ({ keys }: Node): Uint8Array => keys.seal("root key", "x", new SimRandom(1))

test("a node that slept through the whole rotation takes over the new key when it wakes up", async () => {
  const world = new World()
  const [n1 = assert.fail(), sleeper = assert.fail()] = await world.start(["n1", BOTH], ["n2", BOTH])
  const known = await sleeper.newKey()
  await n1.rotation.rotate()
  await n1.pass()
  await world.clock.advance(FORMER_KEY_MS + KEPT_IN_DATABASE_MS)
  await n1.pass()
  assert.equal(n1.records.record.keyring?.previous, undefined)
  await sleeper.records.refresh()
  assert.deepEqual([sleeper.lost, hexOf(sleeper.keys.current)], [[], hexOf(NEW)])
  assert.ok(await sleeper.knows(known))
  assert.ok(await n1.knows(await sleeper.newKey()))
})

test("a standby that takes over with older rows: the new record returns, and rows are sealed again", async () => {
  const world = new World()
  const [n1 = assert.fail(), n2 = assert.fail()] = await world.start(["n1", BOTH], ["n2", BOTH])
  const known = await n1.newKey()
  const standby = world.rows.copy()
  await n1.rotation.rotate()
  await n1.pass()
  await world.clock.advance(FORMER_KEY_MS)
  await n1.pass()
  // It lags by more than any standby should.
  world.rows.become(standby)
  world.rows.halt = { number: 1, reason: "a test", highest: parseIncarnation(1), live: [] }
  for (const node of [n1, n2]) await node.records.refresh()
  world.rows.halt = undefined
  world.rows.incarnations = { ...world.rows.incarnations, reconciliations: 1 }
  for (const node of [n1, n2]) await node.records.refresh()
  for (const node of [n1, n2]) {
    assert.deepEqual([node.lost, hexOf(node.keys.current)], [[], hexOf(NEW)])
    assert.ok(await node.knows(known))
  }
  await n1.pass()
  const withNewAlone = openAccess(world.random, world.rows, new MasterKeys(NEW), world.root).accounts
  assert.equal((await withNewAlone.secretOf(known[0], undefined, 0))?.secret, known[1], "at once")
  await n2.newKeyUnder(OLD)
  await world.clock.advance(KEPT_IN_DATABASE_MS)
  await n1.pass()
  assert.notEqual(n1.records.record.keyring?.previous, undefined, "rows were sealed again a moment ago")
  await world.clock.advance(KEPT_IN_DATABASE_MS)
  await n1.pass()
  assert.equal(n1.records.record.keyring?.previous, undefined)
  assert.ok(await n1.knows(known))
})

test("rows of a database from before a rotation that is over open with the old file as the next one", async () => {
  const world = new World()
  const [n1 = assert.fail()] = await world.start(["n1", BOTH])
  const [known, backup] = [await n1.newKey(), world.rows.copy()]
  await n1.rotation.rotate()
  await n1.pass()
  await world.clock.advance(FORMER_KEY_MS + KEPT_IN_DATABASE_MS)
  await n1.pass()
  const { record } = n1.records
  world.rows.become(backup)
  world.rows.halt = { number: 1, reason: "a test", highest: parseIncarnation(1), live: [] }
  await n1.records.refresh()
  const alone = new Node(world, "n1", { current: NEW }, record)
  await assert.rejects(alone.knows(known), error => isFailure(error, "wrongMasterKey"))
  const repaired = new Node(world, "n1", { current: NEW, next: OLD }, record)
  assert.ok(await repaired.knows(known))
  await repaired.pass()
  assert.ok(await new Node(world, "n1", { current: NEW }, record).knows(known))
})
