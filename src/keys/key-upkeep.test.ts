import assert from "node:assert/strict"
import { test } from "node:test"
import { fail, isFailure } from "../base/failures.js"
import { parseAccountId, parseAccountNumber, parseKmsKeyId, type KmsKeyId } from "../base/ids.js"
import { MemoryMetadata } from "../metadata/testing-engine.js"
import { SimRandom } from "../seams/random/sim.js"
import { changeKmsKey } from "./kms-commands-core.js"
import { KeyService } from "./key-service.js"
import { KeyUpkeep } from "./key-upkeep.js"
import { defaultPolicy } from "./key-policies.js"
import { DAY_MS } from "./limits.js"
import { MemoryMaterials } from "./testing-materials.js"

const HOUR_MS = 3_600_000
const accountId = parseAccountId("root")
const accountNumber = parseAccountNumber("111122223333")
const account = { id: accountId, number: accountNumber, displayName: "root", email: "", createdMs: 1 }

class World {
  /** Rows in memory begin then. */
  nowMs = 1_700_000_000_000
  readonly metadata = new MemoryMetadata()
  readonly materials = new MemoryMaterials()
  readonly keys: KeyService
  uses: ReadonlyMap<string, ReadonlyMap<string, number>> = new Map()
  counted = 0
  readonly upkeep: KeyUpkeep

  constructor() {
    const { metadata, materials } = this
    const accounts = { getAccount: () => account, accountOfNumber: async () => account }
    const external = (): never => {
      throw fail("keyServiceUnavailable")
    }
    this.keys = new KeyService({
      ...{ metadata, materials, accounts, external, region: "eu" },
      random: new SimRandom(5),
    })
    const count = async () => {
      this.counted += 1
      return this.uses
    }
    const clock = { wallMs: () => this.nowMs, monotonicMs: () => this.nowMs }
    this.upkeep = new KeyUpkeep(this.keys, count, clock)
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

test("a key that versions use stays, and is looked at again an hour later", async () => {
  const world = new World()
  const id = await world.dueKey()
  world.uses = new Map([[id, new Map([["photos", 3]])]])
  await world.pass(HOUR_MS)
  assert.equal(await world.has(id), true)
  assert.match(world.upkeep.progress(), /waits: 3 versions use it \(3 in photos\)/)
  world.uses = new Map()
  await world.pass(60_000)
  assert.deepEqual([world.counted, await world.has(id)], [1, true], "rows are not counted each minute")
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

test("a material without a key is removed, unless the key may still be on its way", async () => {
  const world = new World()
  world.materials.nowMs = world.nowMs
  // Its maker has crashed before it wrote the row.
  await world.materials.add(parseKmsKeyId("01234567-89ab-4def-8123-456789abcdef"), 1)
  assert.equal(world.materials.all().length, 1)
  await world.pass(HOUR_MS / 2)
  assert.equal(world.materials.all().length, 1)
  await world.pass(HOUR_MS)
  assert.equal(world.materials.all().length, 0)
})

test("a material whose row was lost stays while versions use it", async () => {
  const world = new World()
  const id = parseKmsKeyId("01234567-89ab-4def-8123-456789abcdef")
  world.materials.nowMs = world.nowMs
  await world.materials.add(id, 1)
  world.uses = new Map([[id, new Map([["photos", 1]])]])
  await world.pass(2 * HOUR_MS)
  assert.equal(world.materials.all().length, 1)
  world.uses = new Map()
  await world.pass(HOUR_MS)
  assert.equal(world.materials.all().length, 0)
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
