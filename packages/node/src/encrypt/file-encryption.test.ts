import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import {
  parseIncarnation,
  parseLogSequence,
  parsePosition,
  parseUploadId,
  type DeviceId,
  type UploadId,
} from "@hayloft/base/ids.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { convertingIn, withAtRest } from "../control/at-rest.js"
import { deviceEntry, idOf, recordOf, withState } from "../control/testing-record.js"
import { FileEncryption } from "./file-encryption.js"

const [FIRST, SECOND] = [idOf(1), idOf(2)]
const uploadOf = (incarnation: number) => parseUploadId(incarnation.toString(16).padStart(8, "0") + "0".repeat(24))
const TROUBLE = { bucket: "photos", key: "cat", reason: "no shards" }
const UP_TO = { needles: 7, payloads: 1 }

/** A store of two devices in which everything happens when the test says so. */
class World {
  record = must(
    withAtRest(recordOf(1, [1, 2]), new Uint8Array(32).fill(7), new SimRandom(1), 5, parseIncarnation(4)),
    "it begins",
  )
  isDone = false
  backups = 0
  isPruned = true
  /** Blocks that wait for their removal. */
  readonly interrupted: UploadId[] = []
  /** Walks over all needles that were ordered, and those that are over. */
  walksOrdered = 0
  walks = Infinity
  position = 100
  /** The position of the oldest pending deletion. */
  oldest: number | undefined
  cutUpTo = 0
  readonly open = new Set<DeviceId>([FIRST, SECOND])
  readonly left = new Map<DeviceId, string>([FIRST, SECOND].map(id => [id, "3 volumes are left"]))
  readonly emptied: [DeviceId, number][] = []
  private ordered = 0

  readonly job = new FileEncryption({
    records: this.records(),
    metadata: this.metadata(),
    encrypt: {
      report: () => ({
        doneBytes: 63,
        totalBytes: 100,
        unsealedFound: this.isDone ? 0 : 1,
        isDone: this.isDone,
        troubles: [TROUBLE],
        troubleCount: 200,
      }),
    },
    orphans: this.orphans(),
    backup: this.backup(),
    devices: () => [...this.open].map(id => this.device(id)),
    log: {
      writes: () => false,
      debug: () => undefined,
      info: () => undefined,
      warn: () => undefined,
      error: () => undefined,
    },
  })

  get converting(): readonly DeviceId[] {
    return convertingIn(this.record).map(({ id }) => id)
  }

  private records() {
    const record = (): ControlRecord => this.record
    return {
      get record() {
        return record()
      },
      change: (_: string, decide: (before: ControlRecord) => ControlRecord | undefined) => {
        this.record = decide(this.record) ?? this.record
        return Promise.resolve(this.record)
      },
    }
  }

  private metadata() {
    const position = () => parsePosition(this.position)
    return {
      get position() {
        return position()
      },
      // The only question that the job asks.
      ask: <T>() => Promise.resolve(this.oldest as T),
    }
  }

  private orphans() {
    return {
      order: () => (this.walksOrdered += 1),
      hasWalked: (order: number) => this.walks >= order,
      waitingBlocks: (isMeant: (uploadId: UploadId) => boolean) => this.interrupted.filter(isMeant).length,
    }
  }

  private backup() {
    const isPruned = () => this.isPruned
    return {
      order: () => (this.ordered += 1),
      isComplete: (order: number) => this.backups >= order,
      get isPruned() {
        return isPruned()
      },
    }
  }

  private device(id: DeviceId) {
    return {
      place: { id },
      plain: {
        newestVolumes: () => Promise.resolve(UP_TO),
        remaining: (upTo: typeof UP_TO) => {
          this.emptied.push([id, upTo.needles])
          return Promise.resolve(this.left.get(id))
        },
      },
      rows: { applied: parseLogSequence(50) },
      log: { cutUpTo: parseLogSequence(this.cutUpTo) },
    }
  }

  /** Returns what the job waits for after some steps. */
  async doing(): Promise<string> {
    for (let step = 0; step < 4; step += 1) await this.job.step()
    return this.job.progress()
  }

  /** Until the volumes of the open devices are noted. */
  async mark(): Promise<void> {
    this.isDone = true
    await this.doing()
    this.backups = 2
    await this.doing()
    this.cutUpTo = 50
    await this.doing()
  }
}

test("volumes are emptied only once nothing plain is live: each reason to wait is named", async () => {
  const world = new World()
  assert.match(await world.doing(), /until all objects are encrypted/)
  world.isDone = true
  assert.match(await world.doing(), /backups/)
  world.backups = 1
  assert.match(await world.doing(), /backups/, "the one before is kept")
  world.backups = 2
  world.isPruned = false
  assert.match(await world.doing(), /backups/, "the former ones are not removed yet")
  world.isPruned = true
  world.interrupted.push(uploadOf(3), uploadOf(3), uploadOf(4), uploadOf(5))
  assert.match(
    await world.doing(),
    /interrupted uploads: 2 blocks/,
    "of the process that began to encrypt, none is plain",
  )
  world.interrupted.splice(0, 2)
  world.oldest = 100
  assert.match(await world.doing(), /released bytes/)
  world.position = 500
  world.oldest = 101
  assert.match(await world.doing(), /checkpoints/, "later deletions are of encrypted bytes")
  assert.deepEqual(world.emptied, [])
  world.cutUpTo = 50
  assert.match(await world.doing(), /\/d1: 3 volumes are left; \/d2: 3 volumes are left/)
  assert.deepEqual(new Set(world.emptied.map(String)), new Set([`${FIRST},7`, `${SECOND},7`]))
})

test("a walk over all needles that began before everything was encrypted, or before a device returned, is not enough", async () => {
  const world = new World()
  world.walks = 0
  await world.doing()
  assert.equal(world.walksOrdered, 0)
  world.isDone = true
  world.backups = 2
  world.cutUpTo = 50
  assert.match(await world.doing(), /walk over all blocks/)
  // A device goes and returns while the walk is under way, or just after it.
  const returned = withState(withState(world.record, 2, "offline"), 2, "active")
  const devices = returned.devices.map(each => (each.id === SECOND ? { ...each, stateSinceMs: 77 } : each))
  world.record = { ...returned, devices }
  world.walks = 1
  assert.match(await world.doing(), /walk over all blocks/)
  assert.deepEqual([world.walksOrdered, world.emptied], [2, []])
  world.walks = 2
  assert.match(await world.doing(), /volumes are left/)
})

test("a device that is being rebuilt is emptied once it has its needles", async () => {
  const world = new World()
  world.record = withState(world.record, 2, "rebuilding")
  await world.mark()
  assert.deepEqual(
    world.emptied.map(([id]) => id).filter(id => id === SECOND),
    [],
  )
  world.record = withState(world.record, 2, "active")
  world.backups = 4
  await world.doing()
  await world.doing()
  assert.ok(world.emptied.some(([id]) => id === SECOND))
})

test("an object that turns up plain begins the wait again", async () => {
  const world = new World()
  world.isDone = true
  world.backups = 1
  await world.doing()
  world.isDone = false
  assert.match(await world.doing(), /until all objects/)
  world.isDone = true
  assert.match(await world.doing(), /backups/)
  world.backups = 3
  assert.match(await world.doing(), /backups/, "two of the three began before")
  world.backups = 4
  assert.match(await world.doing(), /checkpoints/)
})

test("a device is done by itself; one that is away keeps the conversion open, and is named", async () => {
  const world = new World()
  world.open.delete(SECOND)
  world.record = withState(world.record, 2, "offline")
  await world.mark()
  world.left.delete(FIRST)
  await world.doing()
  assert.deepEqual(world.converting, [SECOND])
  const report = world.job.report()
  assert.deepEqual(report?.devices, [{ id: SECOND, path: "/d2", isOffline: true, left: "the device is offline" }])
  world.open.add(SECOND)
  world.record = withState(world.record, 2, "active")
  await world.mark()
  world.left.delete(SECOND)
  world.backups = 4
  await world.doing()
  await world.doing()
  assert.deepEqual(world.record.keyring?.atRest?.converting, [])
  assert.equal(world.job.report(), undefined)
})

test("a device that joins meanwhile is emptied as well, and the last one that is forgotten ends the conversion", async () => {
  const world = new World()
  await world.mark()
  world.record = { ...world.record, devices: [...world.record.devices, deviceEntry(3)] }
  await world.job.step()
  assert.deepEqual(world.converting, [FIRST, SECOND, idOf(3)])
  for (const id of [FIRST, SECOND]) world.left.delete(id)
  await world.doing()
  assert.deepEqual(world.converting, [idOf(3)])
  world.record = { ...world.record, devices: world.record.devices.slice(0, 2) }
  await world.doing()
  assert.deepEqual(world.record.keyring?.atRest?.converting, [])
})

test("progress is that of objects until they are all encrypted, with those that could not be", async () => {
  const world = new World()
  const { percent, troubles, troubleCount } = must(world.job.report(), "it encrypts")
  assert.deepEqual([percent, troubles, troubleCount], [63, [TROUBLE], 200])
  await world.mark()
  world.isDone = false
  assert.equal(world.job.report()?.percent, 100, "the job for objects has nothing to do any more")
})
