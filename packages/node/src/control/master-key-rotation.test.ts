/** Rotation of the master key: what opens before, during and after it, with which file, and after a crash anywhere. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { MasterKeys, openAccess } from "@hayloft/access/index.js"
import { must } from "@hayloft/base/assert.js"
import { hexOf } from "@hayloft/base/bytes.js"
import { isFailure } from "@hayloft/base/failures.js"
import type { AccessKeyId } from "@hayloft/base/ids.js"
import { encodeControlRecord } from "@hayloft/engine/format/device/control-record.js"
import { MemoryMetadata } from "@hayloft/engine/metadata/testing-engine.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import type { MasterKeyFiles } from "../open/secrets.js"
import { config, StartMachine } from "../open/testing-start.js"
import { RecordEpochKeys } from "./epoch-keys.js"
import { followMasterKey } from "./follow-master-key.js"
import { KeysOnDevices } from "./keys-on-devices.js"
import { FORMER_KEY_MS, MasterKeyRotation } from "./master-key-rotation.js"
import { ControlRecordManager } from "./record-manager.js"

const OLD = new Uint8Array(32).fill(1)
const NEW = new Uint8Array(32).fill(2)
const THIRD = new Uint8Array(32).fill(3)
const IN_RECORD: MasterKeyFiles = { current: undefined }
const THREE = { ...config, dataFolders: ["/a", "/b", "/c"] }
const HOUR_MS = 3_600_000

/** Its disks and rows survive the processes that open it. */
class World {
  readonly machine = new StartMachine()
  readonly metadata = new MemoryMetadata()
  readonly clock = new SimClock()
  /** Processes have random numbers of their own. */
  private opened = 0
  /** Commands until the process ends. */
  commandsLeft = Infinity

  async open(files: MasterKeyFiles, requested = config) {
    const { clock } = this
    const store = await this.machine.start(requested, clock, files)
    const { record, devices, incarnation, secrets } = store
    const disk = this.machine.disk.boot()
    const kept = devices.map(device => ({ ...device.identity, disk, check: () => device.check() }))
    const records = new ControlRecordManager(
      clock,
      incarnation,
      record,
      () => kept,
      () => undefined,
    )
    const keys = new MasterKeys(secrets.masterKey, secrets.formerKey, secrets.nextKey)
    followMasterKey(records, keys, reason => assert.fail(reason))
    const { log } = new SimTelemetry()
    this.opened += 1
    const random = new SimRandom(1000 + this.opened)
    const epochs = new RecordEpochKeys(
      { clock, random, log },
      {
        records,
        refresh: undefined,
        raiseFormatEpoch: async epoch => void (await Promise.all(devices.map(each => each.raiseFormatEpoch(epoch)))),
        get masterKey() {
          return keys.current
        },
      },
    )
    const { accounts, identities, sessions } = openAccess(random, this.metadata, keys, secrets.root)
    const onDevices = new KeysOnDevices(records, () => kept)
    const parts = { records, epochs, keys, devices: onDevices, node: undefined }
    const resealKeys: typeof accounts.resealKeys = start => {
      if (this.commandsLeft <= 0) throw new Error("the process has ended")
      return accounts.resealKeys(start)
    }
    const seams = { clock, random, log, dueTimeMs: clock.dueTimeMs }
    const rotation = new MasterKeyRotation(seams, { ...parts, accounts: { resealKeys } })
    await accounts.ensureRoot()
    return {
      store,
      records,
      epochs,
      accounts,
      identities,
      sessions,
      rotation,
      onDevices,
      keys,
      rootAccount: secrets.root.accountId,
    }
  }
}

type Opened = Awaited<ReturnType<World["open"]>>

async function pass({ rotation }: Opened): Promise<void> {
  while ((await rotation.step()) === "busy");
}

async function makeKeys(
  { accounts, rootAccount: accountId }: Opened,
  count: number,
): Promise<Map<AccessKeyId, string>> {
  const made = new Map<AccessKeyId, string>()
  for (let i = 0; i < count; i += 1) {
    const { key, secret } = await accounts.createKey({ accountId, userName: undefined })
    made.set(key.id, secret)
  }
  return made
}

async function assertWork(
  { accounts, epochs }: Opened,
  made: Map<AccessKeyId, string>,
  epochKey: string,
  when: string,
) {
  for (const [id, secret] of made) assert.equal((await accounts.secretOf(id, undefined, 0))?.secret, secret, when)
  const { key } = await epochs.current()
  assert.equal(hexOf(key), epochKey, when)
}

const epochKeyOf = async ({ epochs }: Opened): Promise<string> => hexOf((await epochs.current()).key)

const refusesStart = (world: World, files: MasterKeyFiles, message: RegExp) =>
  assert.rejects(world.open(files), error => isFailure(error, "wrongMasterKey") && message.test(error.message))

for (const [from, first] of [
  ["the control record", IN_RECORD],
  ["a file", { current: OLD }],
] as const) {
  test(`from ${from} to a file: keys and sessions work throughout, and then only the new file opens the store`, async () => {
    const world = new World()
    const before = await world.open(first)
    const oldKey = before.keys.current
    const secretOfRoot = before.store.secrets.root.secret
    const epochKey = await epochKeyOf(before)
    const store = await world.open({ ...first, next: NEW })
    // More than a page.
    const made = await makeKeys(store, 150)
    // Sessions of users are the longest.
    const ann = { accountId: store.rootAccount, kind: "user", name: "ann" } as const
    await store.identities.create({ ...ann, path: "/", tags: [], boundary: undefined, role: undefined })
    const { key, secret } = await store.accounts.createKey({ accountId: store.rootAccount, userName: "ann" })
    made.set(key.id, secret)
    const caller = must(await store.accounts.secretOf(key.id, undefined, 0), "the key is known")
    const nowMs = world.clock.wallMs()
    const session = store.sessions.ofKey(caller, { seconds: 36 * 3600, nowMs })
    assert.deepEqual(store.rotation.report(), { number: 1, former: undefined, devices: [] })
    const { former } = await store.rotation.rotate()
    assert.deepEqual(former, { number: 1, neededUntilMs: nowMs + FORMER_KEY_MS })
    await assertWork(store, made, epochKey, "right after the change")
    const sessionWorks = async ({ accounts }: Opened, atMs: number) =>
      (await accounts.secretOf(session.accessKeyId, session.token, atMs))?.secret === session.secret
    assert.ok(await sessionWorks(store, nowMs))
    const young = store.sessions.ofKey(caller, { seconds: 3600, nowMs })
    assert.equal((await store.accounts.secretOf(young.accessKeyId, young.token, nowMs))?.secret, young.secret)
    await pass(store)
    assert.match(store.rotation.progress(), /^master key 2; key 1 needed until .*; 151 access keys resealed$/)
    // A restart in the middle, with the new file only.
    const later = await world.open({ current: NEW })
    await assertWork(later, made, epochKey, "after a start in the middle")
    assert.ok(await sessionWorks(later, nowMs + 35 * HOUR_MS))
    assert.equal(later.store.secrets.root.secret, secretOfRoot)
    await pass(later)
    assert.notEqual(later.records.record.keyring?.previous, undefined, "the time is not over")
    await world.clock.advance(FORMER_KEY_MS)
    await pass(later)
    assert.equal(later.rotation.progress(), "master key 2")
    await assertWork(later, made, epochKey, "after the rotation")
    const end = await world.open({ current: NEW })
    assert.equal(end.store.secrets.formerKey, undefined)
    await assertWork(end, made, epochKey, "after the last start")
    const record = Buffer.from(encodeControlRecord(end.records.record))
    assert.ok(!record.includes(Buffer.from(oldKey)), "the old key is not on the devices")
    if (first.current !== undefined) await refusesStart(world, first, /under master key 2, .* perhaps master key 1/)
    else await refusesStart(world, first, /--master-key-file/)
  })
}

test("the old file is refused from the change on, and both files together open the store before and after it", async () => {
  const world = new World()
  const both = { current: OLD, next: NEW }
  const store = await world.open(both)
  await refusesStart(world, { current: NEW }, /does not match this store; .* restored from before a rotation/)
  const again = await world.open(both)
  assert.equal(hexOf(again.keys.current), hexOf(OLD))
  await again.rotation.rotate()
  await refusesStart(
    world,
    { current: OLD },
    /under master key 2, and the file holds another one, perhaps master key 1/,
  )
  const after = await world.open(both)
  assert.equal(hexOf(after.keys.current), hexOf(NEW))
  assert.equal(after.store.secrets.nextKey, undefined, "the key in use is not the next one")
  assert.deepEqual(after.store.secrets.root, store.store.secrets.root)
})

test("a crash at any write and any page leaves a store that both files open, and the rotation continues", async () => {
  for (let nth = 1; ; nth += 1) {
    const world = new World()
    const both = { current: OLD, next: NEW }
    const store = await world.open(both)
    const epochKey = await epochKeyOf(store)
    const made = await makeKeys(store, 3)
    const done = await world.machine.runUntil(nth, async () => {
      await store.rotation.rotate()
      await pass(store)
      await world.clock.advance(FORMER_KEY_MS)
      await pass(store)
    })
    const when = `cut off at change ${nth}`
    const next = await world.open(both)
    await assertWork(next, made, epochKey, when)
    if (next.rotation.report().number === 1) await next.rotation.rotate()
    await pass(next)
    await world.clock.advance(FORMER_KEY_MS)
    await pass(next)
    await next.onDevices.refresh()
    assert.deepEqual(next.rotation.report(), { number: 2, former: undefined, devices: [] }, when)
    await assertWork(await world.open({ current: NEW }), made, epochKey, when)
    if (done) {
      assert.ok(nth > 4, "the record was written twice on two devices")
      break
    }
  }
})

test("a process that ends while access keys are sealed again leaves all of them readable", async () => {
  const world = new World()
  const store = await world.open({ current: OLD, next: NEW })
  const epochKey = await epochKeyOf(store)
  const made = await makeKeys(store, 250)
  await store.rotation.rotate()
  assert.equal(await store.rotation.step(), "busy")
  world.commandsLeft = 0
  await assert.rejects(store.rotation.step(), /the process has ended/)
  world.commandsLeft = Infinity
  const next = await world.open({ current: NEW })
  await assertWork(next, made, epochKey, "some are sealed again")
  await pass(next)
  assert.match(next.rotation.progress(), /; 150 access keys resealed$/)
})

test("a key that was being made during the rotation is sealed again before the former key is dropped", async () => {
  const world = new World()
  const store = await world.open({ current: OLD, next: NEW })
  const epochKey = await epochKeyOf(store)
  await store.rotation.rotate()
  await pass(store)
  // Sealed before the rotation, added after the pass.
  const { accounts } = openAccess(new SimRandom(5), world.metadata, new MasterKeys(OLD), store.store.secrets.root)
  const { key, secret } = await accounts.createKey({ accountId: store.rootAccount, userName: undefined })
  await world.clock.advance(FORMER_KEY_MS)
  await pass(store)
  assert.equal(store.records.record.keyring?.previous, undefined)
  await assertWork(await world.open({ current: NEW }), new Map([[key.id, secret]]), epochKey, "after the rotation")
})

test("a key that was deleted while it was sealed again stays deleted", async () => {
  const world = new World()
  const store = await world.open({ current: OLD, next: NEW })
  const [[id] = assert.fail()] = await makeKeys(store, 1)
  await store.rotation.rotate()
  world.metadata.later = async () => undefined
  const walk = pass(store)
  await store.accounts.removeKey(id)
  await walk
  assert.equal(await store.accounts.getKey(id), undefined)
})

test("refused: no new key, a second rotation before the first is over", async () => {
  const world = new World()
  const plain = await world.open({ current: OLD })
  await assert.rejects(plain.rotation.rotate(), /--next-master-key-file/)
  const same = await world.open({ current: OLD, next: OLD })
  await assert.rejects(same.rotation.rotate(), /--next-master-key-file/)
  const store = await world.open({ current: OLD, next: NEW })
  await store.rotation.rotate()
  await assert.rejects(store.rotation.rotate(), /master key 1 is needed until/)
  const next = await world.open({ current: NEW, next: THIRD })
  await assert.rejects(
    next.rotation.rotate(),
    error => isFailure(error, "conflict") && /master key 1 is needed until/.test(error.message),
  )
  await world.clock.advance(FORMER_KEY_MS)
  await pass(next)
  assert.equal((await next.rotation.rotate()).number, 3)
  await refusesStart(world, { current: NEW }, /under master key 3, .* perhaps master key 2/)
  await world.open({ current: THIRD })
})

test("a wall clock that is ahead for a while neither ends a rotation nor delays the next one", async () => {
  const world = new World()
  const aheadMs = 365 * 24 * HOUR_MS
  const store = await world.open({ current: OLD, next: NEW })
  const neededUntilMs = world.clock.wallMs() + FORMER_KEY_MS
  world.clock.jumpWall(aheadMs)
  assert.equal((await store.rotation.rotate()).former?.neededUntilMs, neededUntilMs)
  await pass(store)
  assert.notEqual(store.records.record.keyring?.previous, undefined, "the time is not over")
  world.clock.jumpWall(-aheadMs)
  await world.clock.advance(FORMER_KEY_MS - 1)
  await pass(store)
  assert.notEqual(store.records.record.keyring?.previous, undefined, "the time is not over")
  await world.clock.advance(1)
  await pass(store)
  assert.equal(store.records.record.keyring?.previous, undefined)
})

test("a device that was away during the rotation has the old record, and gets the new one when it is back", async () => {
  const world = new World()
  await world.open({ current: OLD }, THREE)
  const store = await world.open({ current: OLD, next: NEW }, { ...config, dataFolders: ["/a", "/c"] })
  const { devices } = await store.rotation.rotate()
  assert.deepEqual(
    devices.map(({ path, isOffline }) => [path, isOffline]),
    [["/b", true]],
  )
  assert.match(store.rotation.progress(), /; devices that may have a record under an earlier key: 1$/)
  await assert.rejects(world.open({ current: OLD }, THREE), error => isFailure(error, "wrongMasterKey"))
  const back = await world.open({ current: NEW }, THREE)
  assert.equal(back.rotation.report().number, 2)
  await back.onDevices.refresh()
  assert.deepEqual(back.rotation.report().devices, [])
  await world.machine.assertEverywhere(back.records.record, "after its return")
})
