import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { hexOf } from "@hayloft/base/bytes.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { parseAccountId, parseAccountNumber, parseKmsKeyId, type KmsKeyId } from "@hayloft/base/ids.js"
import type { KmsKeyRecord } from "@hayloft/engine/format/accounts/kms-records.js"
import { MemoryMetadata } from "@hayloft/engine/metadata/testing-engine.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { changeKmsKey, restoreKmsKey } from "./kms-commands-core.js"
import { KeyAdmin } from "./key-admin.js"
import { KeyService } from "./key-service.js"
import { KeyUpkeep } from "./key-upkeep.js"
import { defaultPolicy, type KeyHolder } from "./key-policies.js"
import { DAY_MS, NAMED_KEY_LIMITS } from "./limits.js"
import { MemoryMaterials } from "./testing-materials.js"

const HOUR_MS = 3_600_000
const LOST = parseKmsKeyId("01234567-89ab-4def-8123-456789abcdef")
const accountId = parseAccountId("root")
const accountNumber = parseAccountNumber("111122223333")
const account = { id: accountId, number: accountNumber, displayName: "root", email: "", createdMs: 1 }

class World {
  /** Rows in memory begin then. */
  nowMs = 1_700_000_000_000
  readonly keys: KeyService
  uses: ReadonlyMap<string, ReadonlyMap<string, number>> = new Map()
  counted = 0
  /** The time by which deletions are due, if it is not that of the wall clock. */
  dueMs: number | undefined
  duringCount: () => void | Promise<void> = () => undefined
  isReplicaMissing = false
  readonly upkeep: KeyUpkeep
  readonly admin: KeyAdmin

  /** Another node has the same materials, and rows of its own only after a rollback. */
  constructor(
    readonly materials = new MemoryMaterials(),
    readonly metadata = new MemoryMetadata(),
    seed = 5,
  ) {
    const accounts = { getAccount: () => account, accountOfNumber: async () => account }
    const external = (): never => {
      throw fail("keyServiceUnavailable")
    }
    this.keys = new KeyService({
      metadata,
      materials,
      accounts,
      external,
      region: "eu",
      random: new SimRandom(seed),
    })
    const count = async () => {
      this.counted += 1
      await this.duringCount()
      return this.uses
    }
    const clock = { wallMs: () => this.nowMs, monotonicMs: () => this.nowMs }
    const countAll = async () => (this.isReplicaMissing ? undefined : count())
    this.upkeep = new KeyUpkeep(this.keys, countAll, clock, () => this.dueMs ?? this.nowMs)
    const never = () => Promise.reject(fail("keyServiceUnavailable"))
    this.admin = new KeyAdmin(this.keys, accounts, accountId, count, never, () => this.upkeep.orphans())
  }

  async key(): Promise<KmsKeyId> {
    const holder = { accountId, accountNumber }
    const made = { holder, description: "", policy: defaultPolicy(accountNumber), tags: [] }
    return (await this.keys.create(made)).record.id
  }

  /** A key whose deletion is due, by the time of the rows in memory. */
  async dueKey(): Promise<KmsKeyId> {
    const id = await this.key()
    await this.metadata.run(changeKmsKey(id, { kind: "scheduleDeletion", days: -1 }))
    return id
  }

  /** One pass of the job, after this time. */
  async pass(afterMs = 0): Promise<void> {
    this.nowMs += afterMs
    await this.upkeep.step()
  }

  /** A key that has all versions that its account can. */
  async fill(holder: KeyHolder): Promise<KmsKeyRecord> {
    const version = { createdMs: this.nowMs, isOnDemand: false }
    const versions = Array.from({ length: NAMED_KEY_LIMITS.versionsPerAccountMax }, () => version)
    const key = { ...this.keys.future(holder, "{}").record, versions }
    await this.metadata.run(restoreKmsKey(key))
    return key
  }

  async has(id: KmsKeyId): Promise<boolean> {
    return (await this.keys.byId(id)) !== undefined
  }
}

test("a key that nothing uses is deleted when its time has come, row, aliases and material", async () => {
  const world = new World()
  const [due, kept] = [await world.dueKey(), await world.key()]
  await world.pass(HOUR_MS)
  assert.deepEqual([await world.has(due), await world.has(kept)], [false, true])
  assert.deepEqual(
    world.materials.all().map(({ keyId }) => keyId),
    [kept],
  )
})

test("a wall clock that is far ahead for a while deletes no key", async () => {
  const world = new World()
  const key = await world.dueKey()
  world.dueMs = 0
  await world.pass(400 * 24 * HOUR_MS)
  assert.equal(await world.has(key), true)
  world.dueMs = undefined
  await world.pass(HOUR_MS)
  assert.equal(await world.has(key), false)
})

test("a key that versions use stays, and is looked at again an hour later", async () => {
  const world = new World()
  const id = await world.dueKey()
  world.uses = new Map([[id, new Map([["photos", 3]])]])
  await world.pass(HOUR_MS)
  assert.equal(await world.has(id), true)
  assert.match(world.upkeep.progress(), /waits: 3 versions use it \(3 in photos\)/)
  world.uses = new Map()
  await world.pass(60_000)
  assert.deepEqual([world.counted, await world.has(id)], [2, true], "rows are not counted each minute")
  await world.pass(HOUR_MS)
  assert.equal(await world.has(id), false)
  assert.doesNotMatch(world.upkeep.progress(), /waits/)
})

test("a rotation that is due happens once, and only of an enabled key", async () => {
  const world = new World()
  const [id, disabled] = [await world.key(), await world.key()]
  for (const each of [id, disabled]) await world.keys.change(each, { kind: "startRotation", days: 90 })
  await world.keys.change(disabled, { kind: "disable" })
  const versionsOf = async (each: KmsKeyId) => (await world.keys.byId(each))?.record.versions.length
  await world.pass(89 * DAY_MS)
  assert.equal(await versionsOf(id), 1)
  await world.pass(2 * DAY_MS)
  assert.deepEqual([await versionsOf(id), await versionsOf(disabled)], [2, 1])
  assert.equal((await world.keys.byId(id))?.record.versions[1]?.isOnDemand, false)
})

test("a wall clock that is far ahead for a while rotates no key", async () => {
  const world = new World()
  const id = await world.key()
  await world.keys.change(id, { kind: "startRotation", days: 90 })
  const versionsOf = async () => (await world.keys.byId(id))?.record.versions.length
  const startMs = world.nowMs
  world.dueMs = startMs
  await world.pass(400 * DAY_MS)
  assert.equal(await versionsOf(), 1)
  world.dueMs = startMs + 91 * DAY_MS
  await world.pass(HOUR_MS)
  assert.equal(await versionsOf(), 2)
})

test("on full disks a rotation waits, and holds up nothing else", async () => {
  const world = new World()
  const [id, due] = [await world.key(), await world.dueKey()]
  await world.keys.change(id, { kind: "startRotation", days: 90 })
  world.metadata.before = name => {
    if (name === "ChangeKmsKey") throw fail("deviceFull")
  }
  await world.pass(91 * DAY_MS)
  assert.equal(await world.has(due), false)
  world.metadata.before = () => undefined
  await world.pass(HOUR_MS)
  assert.equal((await world.keys.byId(id))?.record.versions.length, 2)
})

test("on full disks a key is disabled, and kept although it would be deleted", () => {
  for (const kind of ["disable", "cancelDeletion", "stopRotation"] as const)
    assert.equal(changeKmsKey(LOST, { kind }).grows, false, kind)
  assert.equal(changeKmsKey(LOST, { kind: "scheduleDeletion", days: 7 }).grows, false)
  assert.equal(changeKmsKey(LOST, { kind: "setPolicy", policy: "{}" }).grows, true)
})

test("a material whose row was lost is shown, and stays whatever is counted", async () => {
  const world = new World()
  world.materials.nowMs = world.nowMs
  await world.materials.add(LOST, 1)
  await world.pass(HOUR_MS / 2)
  assert.doesNotMatch(world.upkeep.progress(), /without a key/, "it may be on its way")
  for (let days = 0; days < 3; days += 1) await world.pass(DAY_MS)
  assert.equal(world.materials.all().length, 1)
  assert.match(world.upkeep.progress(), new RegExp(`1 materials without a key: ${LOST}`))
})

test("a material without a key is removed once an operator has said what becomes unreadable", async () => {
  const world = new World()
  world.materials.nowMs = world.nowMs
  await world.materials.add(LOST, 1)
  world.uses = new Map([[LOST, new Map([["photos", 2]])]])
  await assert.rejects(world.admin.delete(LOST, 2), error => isFailure(error, "noSuchKmsKey"), "it may be on its way")
  world.nowMs += 2 * HOUR_MS
  assert.deepEqual(await world.admin.uses(LOST), [{ bucket: "photos", count: 2 }])
  await assert.rejects(world.admin.delete(LOST, 0), error => isFailure(error, "preconditionFailed"))
  assert.equal(world.materials.all().length, 1)
  await world.admin.delete(LOST, 2)
  assert.equal(world.materials.all().length, 0)
})

test("an operator who deletes a key too early learns why not, and what to confirm", async () => {
  const world = new World()
  const [enabled, early, due] = [await world.key(), await world.key(), await world.dueKey()]
  await world.admin.scheduleDeletion(early, 7)
  world.uses = new Map([[due, new Map([["photos", 3]])]])
  const refusal = (id: KmsKeyId, unreadable: number): Promise<string> =>
    world.admin.delete(id, unreadable).then(
      () => "deleted",
      (error: Error) => error.message,
    )
  assert.match(await refusal(enabled, 1), /is not pending deletion: schedule it first/, "whatever the number")
  assert.match(await refusal(early, 0), /is not deleted before \d{4}-\d\d-\d\dT/)
  assert.match(await refusal(due, 2), /3 versions become unreadable .*: confirm this number, not 2/)
  assert.equal(await refusal(due, 3), "deleted")
})

test("a key whose row was lost is taken back disabled, opens what it has sealed, and keeps all its versions", async () => {
  const world = new World()
  world.materials.nowMs = world.nowMs
  const backup = world.metadata.copy()
  const id = await world.key()
  const first = must(await world.keys.byId(id), "it was made")
  const context = [["a", "b"]] as const
  const old = await world.keys.dataKey(first.record, context)
  world.materials.nowMs += 1
  const second = await world.keys.rotate(first.record, true)
  const young = await world.keys.dataKey(second, context)
  world.metadata.become(backup)
  await assert.rejects(world.admin.adopt(id, accountId), error => isFailure(error, "noSuchKmsKey"), "it is too young")
  world.nowMs += 2 * HOUR_MS
  await assert.rejects(world.admin.adopt(LOST, accountId), error => isFailure(error, "noSuchKmsKey"))
  const { state, versions } = await world.admin.adopt(id, accountId)
  assert.deepEqual([state, versions], ["disabled", 2])
  await assert.rejects(world.admin.adopt(id, accountId), error => isFailure(error, "noSuchKmsKey"), "it has a row")
  await world.admin.setEnabled(id, true)
  const { record } = must(await world.keys.byId(id), "it is there again")
  for (const { plain, ciphertext } of [old, young]) {
    assert.equal(hexOf(await world.keys.open(record, ciphertext, context)), hexOf(plain))
  }
  await world.pass()
  assert.doesNotMatch(world.upkeep.progress(), /without a key/)
})

test("a key that lacks a material is not taken back", async () => {
  const world = new World()
  await world.materials.add(LOST, 2)
  world.nowMs += 2 * HOUR_MS
  await assert.rejects(world.admin.adopt(LOST, accountId), error => isFailure(error, "keysUnavailable"))
  assert.equal(await world.has(LOST), false)
})

test("a material whose key comes back while its uses are counted stays", async () => {
  const world = new World()
  world.materials.nowMs = world.nowMs
  await world.materials.add(LOST, 1)
  world.nowMs += 2 * HOUR_MS
  world.duringCount = () => {
    world.metadata.incarnations = { ...world.metadata.incarnations, reconciliations: 1 }
  }
  await assert.rejects(world.admin.delete(LOST, 0), error => isFailure(error, "conflict"))
  assert.equal(world.materials.all().length, 1)
})

test("a rollback that loses the rows of keys costs none of their materials", async () => {
  const world = new World()
  world.materials.nowMs = world.nowMs
  const id = await world.key()
  const rolledBack = new World(world.materials)
  rolledBack.nowMs += 2 * DAY_MS
  await rolledBack.pass()
  assert.equal(await rolledBack.has(id), false)
  await world.keys.dataKey(must(await world.keys.byId(id), "the newer backup has it").record, [])
})

test("a deletion that stops between the row and the material goes on", async () => {
  const world = new World()
  const id = await world.dueKey()
  world.materials.failures = 1
  await assert.rejects(world.pass(HOUR_MS), error => isFailure(error, "deviceFailed"))
  assert.deepEqual([await world.has(id), world.materials.all().length], [false, 1])
  await world.pass(HOUR_MS)
  assert.equal(world.materials.all().length, 0)
  assert.doesNotMatch(world.upkeep.progress(), /without a key/)
})

test("a deletion that a restored database repeats removes no other material", async () => {
  const world = new World()
  const [due, kept] = [await world.dueKey(), await world.key()]
  world.metadata.before = name => {
    if (name === "ForgetDeletedKmsKey") throw fail("deviceFull")
  }
  for (let pass = 0; pass < 2; pass += 1)
    await assert.rejects(world.pass(HOUR_MS), error => isFailure(error, "deviceFull"))
  world.metadata.before = () => undefined
  await world.pass(HOUR_MS)
  const left = world.materials.all().map(({ keyId }) => keyId)
  assert.deepEqual([await world.has(due), left], [false, [kept]])
})

test("versions that a reconciliation puts back during the count keep their key", async () => {
  const world = new World()
  const id = await world.dueKey()
  world.duringCount = () => {
    if (world.counted !== 2) return
    world.metadata.incarnations = { ...world.metadata.incarnations, reconciliations: 1 }
  }
  await world.pass(HOUR_MS)
  assert.equal(await world.has(id), true)
  world.uses = new Map([[id, new Map([["photos", 1]])]])
  await world.pass(2 * HOUR_MS)
  assert.equal(await world.has(id), true)
  world.uses = new Map()
  await world.pass(2 * HOUR_MS)
  assert.equal(await world.has(id), false)
})

test("a use that one of two walks finds keeps the key", async () => {
  for (const found of [1, 2]) {
    const world = new World()
    const id = await world.dueKey()
    world.duringCount = () => {
      world.uses = world.counted === found ? new Map([[id, new Map([["photos", 1]])]]) : new Map()
    }
    await world.pass(HOUR_MS)
    assert.equal(await world.has(id), true, `walk ${found}`)
  }
})

test("a key is not deleted while a replica of the metadata cannot be asked", async () => {
  const world = new World()
  const id = await world.dueKey()
  world.isReplicaMissing = true
  await world.pass(HOUR_MS)
  assert.equal(await world.has(id), true)
  assert.match(world.upkeep.progress(), /wait until every replica/)
  world.isReplicaMissing = false
  await world.pass(60_000)
  assert.equal(await world.has(id), false)
  assert.doesNotMatch(world.upkeep.progress(), /wait until/)
})

test("a key that is kept, or enabled again, while its uses are counted is not deleted", async () => {
  const world = new World()
  const id = await world.dueKey()
  world.duringCount = async () => {
    if (world.counted !== 2) return
    await world.keys.change(id, { kind: "cancelDeletion" })
    await world.keys.change(id, { kind: "enable" })
  }
  await world.pass(HOUR_MS)
  assert.equal(await world.has(id), true)
  assert.equal(world.materials.all().length, 1)
})

test("the first uses of an account's key share the making of it", async () => {
  const world = new World()
  const made = await Promise.all(Array.from({ length: 20 }, async () => world.keys.s3Key({ accountId, accountNumber })))
  assert.equal(new Set(made.map(({ arn }) => arn)).size, 1)
  assert.equal(world.materials.added, 1)
  world.metadata.before = () => {
    throw fail("deviceFull")
  }
  const other = { accountId: parseAccountId("other"), accountNumber }
  await assert.rejects(async () => world.keys.s3Key(other))
  world.metadata.before = () => undefined
  await world.keys.s3Key(other)
})

test("two nodes that make an account's key at once have one, and one material", async () => {
  const world = new World()
  const nodes = [world.keys, new World(world.materials, world.metadata, 6).keys]
  const made = await Promise.all(nodes.map(async keys => keys.s3Key({ accountId, accountNumber })))
  assert.equal(made[0]?.arn, made[1]?.arn)
  assert.deepEqual([world.materials.added, world.materials.all().length], [2, 1])
})

test("keys that are refused leave nothing in the key ring", async () => {
  const world = new World()
  for (let keys = 0; keys < NAMED_KEY_LIMITS.versionsPerAccountMax; keys += 1) await world.key()
  const { added } = world.materials
  await assert.rejects(world.key(), error => isFailure(error, "limitExceeded"))
  assert.equal(world.materials.added, added)
})

test("accounts that have as many versions of keys as they can take no others' place", async () => {
  const world = new World()
  const holders = ["a", "b", "c", "d"].map(name => ({ accountId: parseAccountId(name), accountNumber }))
  const [first, second] = [must(holders[0], "it is there"), must(holders[1], "it is there")]
  const create = (holder: KeyHolder) => world.keys.create({ holder, description: "", policy: "{}", tags: [] })
  const isFull = (error: unknown) => isFailure(error, "limitExceeded")
  const full = await world.fill(first)
  await assert.rejects(create(first), isFull)
  await assert.rejects(world.keys.rotate(full, true), isFull)
  const { record } = await create(second)
  await world.keys.rotate(record, true)
  for (const holder of holders.slice(1, 3)) await world.fill(holder)
  const last = must(holders[3], "it is there")
  const { added } = world.materials
  await assert.rejects(create(last), isFull, "the store is full")
  assert.equal(world.materials.added, added)
  const arns = new Set<string>()
  for (const holder of holders) arns.add((await world.keys.s3Key(holder)).arn)
  assert.equal(arns.size, holders.length, "each account can use S3's key")
})

test("a due rotation that finds no room is shown, and holds up nothing else", async () => {
  const world = new World()
  const [id, due] = [await world.key(), await world.dueKey()]
  await world.keys.change(id, { kind: "startRotation", days: 90 })
  await world.fill({ accountId, accountNumber })
  await world.pass(91 * DAY_MS)
  assert.match(world.upkeep.progress(), /; 1 due rotations are beyond the limit of versions/)
  assert.equal(await world.has(due), false)
})

test("an operator's key whose alias is taken, or reserved, is not made", async () => {
  const world = new World()
  const create = (alias: string) => world.admin.create({ accountId, description: "", alias, external: undefined })
  const { id } = await create("alias/photos")
  for (let retry = 0; retry < 3; retry += 1)
    await assert.rejects(create("alias/photos"), error => isFailure(error, "entityExists"))
  for (const alias of ["alias/aws/s3", "alias/AWS/s3", "photos"])
    await assert.rejects(create(alias), error => isFailure(error, "invalidArgument"), alias)
  const keys = await world.admin.list()
  assert.deepEqual(
    keys.map(key => [key.id, key.aliases]),
    [[id, ["alias/photos"]]],
  )
  assert.equal(world.materials.added, 1)
})

test("a material stays if its row may have been made, and goes if it was not", async () => {
  for (const [kind, left] of [
    ["indeterminate", 1],
    ["deviceFull", 0],
  ] as const) {
    const world = new World()
    world.metadata.before = name => {
      if (name === "CreateKmsKey") throw fail(kind)
    }
    await assert.rejects(world.key(), error => isFailure(error, kind))
    assert.equal(world.materials.all().length, left, kind)
  }
})

test("a rotation takes the material that an interrupted one has made", async () => {
  const world = new World()
  const id = await world.key()
  const key = await world.keys.byId(id)
  assert.ok(key !== undefined)
  await world.materials.add(id, 2)
  const material = world.materials.get(id, 2)
  assert.equal((await world.keys.rotate(key.record, true)).versions.length, 2)
  assert.equal(world.materials.get(id, 2), material)
  await assert.rejects(
    world.keys.rotate(key.record, true),
    error => isFailure(error, "conflict"),
    "another node's view",
  )
})
