/** The account reaper over devices: what deleted accounts have goes after the delay, whole, and nothing else does. */
import assert from "node:assert/strict"
import { test } from "node:test"
import type { SwiftAccounts } from "@hayloft/access/index.js"
import { isFailure } from "@hayloft/base/failures.js"
import { objectKeyOfText, parseAccountId, parseBucketName, type AccountId } from "@hayloft/base/ids.js"
import type { SwiftAccount } from "@hayloft/engine/format/swift/swift-account.js"
import { noSignal, open, type World } from "@hayloft/upkeep/repair/testing-repair.js"
import { sourceOf } from "@hayloft/objects/bodies/testing-bodies.js"
import { AccountReaper } from "./account-reaper.js"

const DAY_MS = 86_400_000
const START_MS = 1_800_000_000_000
const [GONE, OTHER] = [parseAccountId("gone"), parseAccountId("other")]

class Scene {
  readonly rows = new Map<AccountId, SwiftAccount>()
  readonly reaper: AccountReaper

  private constructor(readonly world: World) {
    const { clock, telemetry, services } = world
    const { storeClock } = services
    this.reaper = new AccountReaper({ clock, storeClock, accounts: this.accounts(), services, log: telemetry.log })
  }

  static async open(): Promise<Scene> {
    const world = await open("replica:2")
    await world.clock.advance(START_MS - world.clock.wallMs())
    world.tablet.aheadMs = START_MS - 1_700_000_000_000
    await world.clock.runUntil(world.services.storeClock.start())
    return new Scene(world)
  }

  private accounts(): SwiftAccounts {
    const { rows } = this
    const of = (id: AccountId): SwiftAccount => rows.get(id) ?? { metadata: [], access: "" }
    return {
      of,
      async *deletedBy(untilMs) {
        for (const [id, { deletedMs }] of rows) if (deletedMs !== undefined && deletedMs <= untilMs) yield id
      },
      change: async (id, change) => void rows.set(id, change(of(id))),
    }
  }

  run<T>(work: Promise<T>): Promise<T> {
    return this.world.clock.runUntil(work)
  }

  async bucket(owner: AccountId, name: string, versioned = false, locked = false) {
    const { buckets } = this.world.services
    await this.run(buckets.create({ name: parseBucketName(name), owner, location: "" }))
    const made = await this.find(name)
    if (versioned || locked) await this.run(buckets.setVersioning(made, "enabled"))
    if (locked) await this.run(buckets.setLock(await this.find(name), undefined))
    return this.find(name)
  }

  find(name: string) {
    return this.run(Promise.resolve(this.world.services.buckets.open(parseBucketName(name))))
  }

  async put(name: string, key: string, legalHold = false): Promise<void> {
    const bucket = await this.find(name)
    const lock = legalHold ? { lock: { retention: undefined, legalHold: true } } : {}
    const request = { ...this.world.putting(key, sourceOf(Buffer.alloc(20_000, "x"))), bucket, ...lock }
    await this.run(this.world.services.objects.put(request))
  }

  async pass(days: number): Promise<void> {
    await this.world.clock.advance(days * DAY_MS)
    this.world.tablet.aheadMs += days * DAY_MS
  }

  /** A whole pass of the job. */
  async reap(): Promise<void> {
    await this.world.clock.advance(3_600_000)
    for (let steps = 0; steps < 100; steps += 1) if ((await this.run(this.reaper.step(noSignal))) === "idle") return
    assert.fail("the job does not end")
  }

  async versionsIn(name: string): Promise<number | "gone"> {
    try {
      const bucket = await this.find(name)
      const page = { prefix: "", delimiter: "", keyMarker: "", versionIdMarker: undefined, max: 1000 }
      return (await this.run(this.world.services.objects.listVersions({ bucket, ...page }))).entries.length
    } catch (error) {
      if (isFailure(error, "noSuchBucket")) return "gone"
      throw error
    }
  }
}

test("after the delay everything of a deleted account goes, and nothing of others", async () => {
  const scene = await Scene.open()
  await scene.bucket(GONE, "gone-plain")
  await scene.bucket(GONE, "gone-versions", true)
  await scene.bucket(OTHER, "other-plain")
  for (let at = 0; at < 300; at += 1) await scene.put("gone-plain", `o${at}`)
  for (const key of ["a", "a", "b"]) await scene.put("gone-versions", key)
  await scene.run(
    scene.world.services.objects.remove({
      bucket: await scene.find("gone-versions"),
      key: objectKeyOfText("b"),
      conditions: {},
    }),
  )
  await scene.put("other-plain", "o")
  const metadata = [["plan", "small"]] as const
  scene.rows.set(GONE, { metadata, access: "", deletedMs: scene.world.clock.wallMs() })
  await scene.pass(6)
  await scene.reap()
  assert.deepEqual([await scene.versionsIn("gone-plain"), await scene.versionsIn("gone-versions")], [300, 4])
  await scene.pass(1)
  await scene.reap()
  assert.deepEqual(
    [
      await scene.versionsIn("gone-plain"),
      await scene.versionsIn("gone-versions"),
      await scene.versionsIn("other-plain"),
    ],
    ["gone", "gone", 1],
  )
  assert.deepEqual(scene.rows.get(GONE), { metadata: [], access: "" }, "the account is an empty one")
})

test("an account that was brought back keeps what it has", async () => {
  const scene = await Scene.open()
  await scene.bucket(GONE, "returned")
  await scene.put("returned", "o")
  scene.rows.set(GONE, { metadata: [], access: "", deletedMs: scene.world.clock.wallMs() })
  await scene.pass(8)
  scene.rows.set(GONE, { metadata: [], access: "" })
  await scene.reap()
  assert.equal(await scene.versionsIn("returned"), 1)
})

test("locked versions stay with their container, and the account stays deleted until they go", async () => {
  const scene = await Scene.open()
  await scene.bucket(GONE, "locked-things", true, true)
  await scene.bucket(GONE, "unlocked-things")
  await scene.put("locked-things", "held", true)
  await scene.put("locked-things", "free")
  await scene.put("unlocked-things", "o")
  scene.rows.set(GONE, { metadata: [], access: "", deletedMs: scene.world.clock.wallMs() })
  await scene.pass(8)
  await scene.reap()
  assert.deepEqual([await scene.versionsIn("locked-things"), await scene.versionsIn("unlocked-things")], [1, "gone"])
  assert.notEqual(scene.rows.get(GONE)?.deletedMs, undefined)
  assert.match(scene.reaper.progress(), /1 containers with locked versions/)
})
