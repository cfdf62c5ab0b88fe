/**
 * A real disk that is full: a small tmpfs, the real files, the real metadata stores. Whatever is being written when it
 * fills up, no acknowledged write is lost, and once there is space everything continues.
 */
import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  statfsSync,
  statSync,
  writeSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test, type TestContext } from "node:test"
import { inspect } from "node:util"
import { must } from "@hayloft/base/assert.js"
import { isFailure } from "@hayloft/base/failures.js"
import { objectKeyOfText, parseAccountId, parseIncarnation, rowKeyOf } from "@hayloft/base/ids.js"
import { KIB, MIB } from "@hayloft/base/limits.js"
import { SPACE_LIMITS, type SpaceLimits } from "@hayloft/base/space/space-core.js"
import { CHECKPOINT_LIMITS } from "@hayloft/engine/device/index.js"
import { makeCodec } from "@hayloft/engine/erasure/index.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import type { Bucket } from "@hayloft/objects/index.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { InlineCompute } from "@hayloft/base/seams/compute/index.js"
import { RealDisk } from "@hayloft/base/seams/disk/index.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { TableStores } from "@hayloft/engine/table/index.js"
import { CheckpointExecutor } from "./metadata/checkpoint-job.js"
import { openEngine, type Engine } from "./engine.js"
import { bytesOf, createBucket, firstRecordOf, noSignal, settingsOf, sourceOf } from "./testing-engine.js"

const ALL = { start: rowKeyOf("\x00"), end: rowKeyOf("\xff") }
const CHECKPOINTS = { ...CHECKPOINT_LIMITS, quietMs: 100, restMsMin: 10, retryMs: 50, tidyMs: 10, starvedMs: 500 }
const SPACES: SpaceLimits = { ...SPACE_LIMITS, checkEveryMs: 50, regrowMs: 300, ballastPiecesPerCheck: 32 }
/** Space is never measured, so that nothing is refused before a write fails for lack of space. */
const NO_RESERVE: SpaceLimits = {
  ...SPACES,
  reserveBytesMin: 0,
  reserveBytesMax: 0,
  fullBytes: 0,
  checkEveryMs: 1_000_000,
}
/** The disk also counts as short: needles are refused, and the log gives back what a checkpoint contains. */
const NO_RESERVE_AND_SHORT: SpaceLimits = { ...NO_RESERVE, fullBytes: 64 * MIB }
/** Enough that their checkpoint has to grow the metadata store. */
const ROWS_AT_THE_WALL = 500
const ROWS_LOG_BYTES = 3 * MIB
const WALL_TRIES_MAX = 5
/** Bytes left free on a disk whose other bytes another program takes, one after the other. */
const LEFT_BYTES = [0, 8 * KIB, 100 * KIB, 600 * KIB, 1500 * KIB, 3 * MIB]
const DISK_MIB = 20
/** A log that gives nothing back grows by a MiB with each try, of which a busy machine needs more. */
const DISK_MIB_WITH_WHOLE_LOG = DISK_MIB + LEFT_BYTES.length * WALL_TRIES_MAX
/** The rest may be in use by rows. */
const BALLAST_BYTES_FOR_CHECKPOINTS = 2 * MIB
/** Space for the few objects that remain, with possibly dead bytes beside them and the first pages of volumes. */
const PAYLOAD_BYTES_LEFT = 256 * KIB
const isFull = (error: unknown): boolean => isFailure(error, "deviceFull")

/** Acknowledged objects by key, with the seed of their body. */
type Kept = Map<string, string>

class Store {
  readonly kept: Kept = new Map()
  private engine: Engine | undefined
  private running: Promise<unknown> = Promise.resolve()
  private life = new AbortController()
  private incarnations = 0
  private record: ControlRecord
  readonly telemetry = new SimTelemetry()

  constructor(
    readonly folder: string,
    private readonly limits: SpaceLimits,
  ) {
    const record = firstRecordOf(1, 64 * KIB)
    const devices = record.devices.map(device => ({ ...device, pathHint: join(folder, "d1") }))
    this.record = { ...record, devices }
    mkdirSync(join(folder, "d1"))
  }

  async open(): Promise<void> {
    this.incarnations += 1
    const [clock, disk, stores] = [new RealClock(), new RealDisk(), new TableStores()]
    const engine = await openEngine(
      {
        clock,
        random: new SimRandom(this.incarnations),
        diskOf: () => disk,
        stores,
        telemetry: this.telemetry,
        compute: new InlineCompute(makeCodec, { slabBytes: 256 * KIB, poolBytes: 8 * MIB }),
        checkpoints: new CheckpointExecutor(() => disk, stores, new SimRandom(1)),
      },
      {
        ...settingsOf(this.record, parseIncarnation(this.incarnations)),
        deviceOptions: { checkpointLimits: CHECKPOINTS },
        spaceLimits: this.limits,
      },
    )
    this.record = engine.recordManager.record
    this.life = new AbortController()
    this.running = Promise.all(engine.backgroundServices.map(live => live.run(this.life.signal)))
    this.engine = engine
  }

  async close(): Promise<void> {
    this.life.abort()
    await this.running
    await this.engine?.stop()
    this.engine = undefined
  }

  get now(): Engine {
    return this.engine ?? assert.fail("it is open")
  }

  get device() {
    return this.now.devices[0] ?? assert.fail("the device is in")
  }

  async bucket(): Promise<Bucket> {
    const { buckets } = await this.now.services.buckets.list({ owner: parseAccountId("root"), max: 1 })
    return buckets[0] ?? createBucket(this.now)
  }

  async put(name: string, bytes: number): Promise<void> {
    const body = sourceOf(Buffer.alloc(bytes, name))
    const given = { attributes: { headers: {}, userMetadata: [] }, tags: [], conditions: {}, signal: noSignal, body }
    await this.now.services.objects.put({ ...given, bucket: await this.bucket(), key: objectKeyOfText(name) })
    this.kept.set(name, `${name} ${bytes}`)
  }

  /** Puts objects until one is refused or the count is reached; returns the number of acknowledged ones. */
  async fill(prefix: string, bytes: number, most = 20_000): Promise<number> {
    for (let count = 0; count < most; count += 1) {
      try {
        await this.put(`${prefix}${count}`, bytes)
      } catch (error) {
        assert.ok(isFull(error), String(error))
        return count
      }
    }
    return most
  }

  async remove(name: string): Promise<void> {
    await this.now.services.objects.remove({ bucket: await this.bucket(), key: objectKeyOfText(name), conditions: {} })
    this.kept.delete(name)
  }

  /** All acknowledged objects exist, every `nth` is read completely, and there are no others. */
  async check(nth = 1): Promise<void> {
    const rows = [...must(this.now.tablet, "the devices keep the metadata").committed.range("current", ALL)].length
    assert.equal(rows, this.kept.size)
    const bucket = await this.bucket()
    for (const [i, [name, what]] of [...this.kept].entries()) {
      if (i % nth > 0) continue
      const got = await this.now.services.objects.get({ bucket, key: objectKeyOfText(name), conditions: {} })
      const bytes = await bytesOf(got)
      assert.equal(`${name} ${bytes.length}`, what)
      assert.ok(bytes.equals(Buffer.alloc(bytes.length, name)), name)
    }
  }

  /** Waits for a checkpoint of everything. */
  async settle(): Promise<void> {
    for (let left = 1_200; this.device.rows.memtableRows > 0; left -= 1) {
      assert.ok(left > 0, `no checkpoint: ${this.device.checkpointer.error}`)
      await new RealClock().sleep(50, noSignal)
    }
  }

  async ballastGrows(bytes: number): Promise<void> {
    for (let left = 600; this.device.space.fullness.ballastBytes < bytes; left -= 1) {
      assert.ok(left > 0, "the ballast grows")
      await new RealClock().sleep(50, noSignal)
    }
  }

  /**
   * Waits until no checkpoint uses ballast: another program could take what is lent just now, and then nothing would be
   * left for the next checkpoint.
   */
  async ballastIsBack(): Promise<void> {
    await this.settle()
    await this.ballastGrows(BALLAST_BYTES_FOR_CHECKPOINTS)
  }

  /**
   * Waits until the rows are in the metadata store, or their checkpoint has failed for lack of space; returns whether
   * it failed.
   */
  async foundNoSpace(): Promise<boolean> {
    for (let left = 6_000; this.device.rows.memtableRows > 0; left -= 1) {
      if (this.device.checkpointer.error !== undefined) return true
      assert.ok(left > 0, "a checkpoint is tried")
      await new RealClock().sleep(10, noSignal)
    }
    return false
  }

  /** Bytes of payloads, with the first pages of their volumes. */
  get payloadBytes(): number {
    const folder = join(this.folder, "d1", "payloads")
    // Some may be removed meanwhile.
    const sizes = readdirSync(folder).map(name => statSync(join(folder, name), { throwIfNoEntry: false })?.size ?? 0)
    return sizes.reduce((sum, bytes) => sum + bytes, 0)
  }

  /** Fills the disk except for this many bytes, like another program. */
  takeSpace(leaveBytes: number): void {
    const file = openSync(join(this.folder, "others"), "a")
    const piece = Buffer.alloc(64 * KIB, 1)
    try {
      for (;;) {
        const takenBytes = Math.min(piece.length, this.freeBytes - leaveBytes)
        if (takenBytes <= 0) return
        writeSync(file, piece, 0, takenBytes)
      }
    } catch {
      // Full.
    } finally {
      closeSync(file)
    }
  }

  giveSpace(): void {
    rmSync(join(this.folder, "others"), { force: true })
  }

  /**
   * Puts are refused once nothing frees space any more. Checkpoints and merges that were under way may, and rows may use
   * half of the reserve; together that is less than the reserve.
   */
  async refuses(name: string, bytes: number): Promise<void> {
    const { reserveBytes } = this.device.space.fullness
    for (let acceptedBytes = 0; acceptedBytes <= reserveBytes; acceptedBytes += bytes) {
      this.takeSpace(0)
      await this.device.space.check()
      const refusal: unknown = await this.put(`${name} ${acceptedBytes}`, bytes).catch((error: unknown) => error)
      if (refusal === undefined) continue
      assert.ok(isFull(refusal), inspect(refusal))
      return
    }
    assert.fail("puts succeed on a full disk")
  }

  /** Repeats work until there is space for it: files are removed meanwhile, which only a check finds. */
  async continues(run: () => Promise<void>): Promise<void> {
    for (let left = 1_500; ; left -= 1) {
      await this.device.space.check()
      const failure = await run().then(
        () => undefined,
        (error: unknown) => error,
      )
      if (failure === undefined) return
      assert.ok(isFull(failure) && left > 0, inspect(failure))
      await new RealClock().sleep(20, noSignal)
    }
  }

  get freeBytes(): number {
    const { bavail, bsize } = statfsSync(this.folder)
    return bavail * bsize
  }
}

async function onSmallDisk(t: TestContext, mib: number, limits: SpaceLimits, body: (store: Store) => Promise<void>) {
  const folder = mkdtempSync(join(tmpdir(), "hayloft-full-"))
  if (spawnSync("mount", ["-t", "tmpfs", "-o", `size=${mib}m`, "tmpfs", folder]).status !== 0) {
    rmSync(folder, { recursive: true, force: true })
    t.skip("THIS TEST NEEDS THE RIGHT TO mount A SMALL tmpfs")
    return
  }
  const store = new Store(folder, limits)
  try {
    await store.open()
    await store.bucket()
    await body(store)
  } finally {
    await store.close()
    spawnSync("umount", ["-l", folder])
    rmSync(folder, { recursive: true, force: true })
  }
}

test("needles are refused first, then rows; deletes, reads and checkpoints continue; with space everything works again", t =>
  onSmallDisk(t, 36, SPACES, async store => {
    await store.settle()
    await store.ballastGrows(9 * MIB)
    const bursts = Array.from({ length: 8 }, (_, i) => store.fill(`large ${i} `, 300 * KIB))
    assert.ok((await Promise.all(bursts)).reduce((sum, count) => sum + count) > 10)
    assert.ok(store.device.space.fullness.ballastBytes > 7 * MIB, "needles take nothing of it")
    assert.equal(store.device.space.fullness.level, "full")
    await store.put("small", 2 * KIB)
    assert.ok((await store.fill("tiny", 4 * KIB)) > 100)
    await store.settle()
    await store.check(9)
    for (const name of [...store.kept.keys()].filter((_, i) => i % 2 === 0)) await store.remove(name)
    await store.settle()
    await store.check(5)
    await store.ballastIsBack()
    await store.refuses("late", 300 * KIB)
    for (const name of [...store.kept.keys()].slice(0, 20)) await store.remove(name)
    await store.settle()
    await store.check(5)
    assert.deepEqual(store.now.recordManager.record.devices[0]?.state, "active")
  }))

test("a store starts on a full disk with its contents, and continues once there is space", t =>
  onSmallDisk(t, 36, SPACES, async store => {
    await store.fill("large", 300 * KIB)
    await store.fill("tiny", 4 * KIB)
    await store.ballastIsBack()
    store.takeSpace(0)
    await store.close()
    store.takeSpace(0)
    await store.open()
    await store.check(7)
    await store.refuses("late", 4 * KIB)
    const [first = ""] = store.kept.keys()
    // The other program took the ballast that was lent while the store was closed: a delete may find no space either.
    await store.remove(first).catch((error: unknown) => assert.ok(isFull(error), inspect(error)))
    await store.check(7)
    store.giveSpace()
    const names = [...store.kept.keys()].filter(name => name.startsWith("tiny"))
    for (const name of names) await store.continues(() => store.remove(name))
    await store.settle()
    await store.check(3)
  }))

for (const [what, bytes, mib, limits] of [
  // There are so many that the disk would be full of log that checkpoints contain.
  ["rows", 0, DISK_MIB, NO_RESERVE_AND_SHORT],
  ["inline payloads", 4 * KIB, DISK_MIB, NO_RESERVE_AND_SHORT],
  ["needles", 200 * KIB, DISK_MIB_WITH_WHOLE_LOG, NO_RESERVE],
] as const) {
  test(`${what} run out of space at any point, without a reserve, and continue without a restart once there is space`, t =>
    onSmallDisk(t, mib, limits, async store => {
      await store.put("first", bytes)
      await store.settle()
      let walls = 0
      for (const [round, leaveBytes] of LEFT_BYTES.entries()) {
        store.takeSpace(leaveBytes)
        const count = await store.fill(`round ${round} `, bytes)
        await store.check(50)
        const more: number[] = []
        for (let isAtWall = false; !isAtWall && more.length < WALL_TRIES_MAX;) {
          // Rows need no space before their checkpoint does, except for the log. If the log had none, or the rows were
          // in the metadata store before the space was used up, no checkpoint fails: then the log is given some space.
          if (more.length > 0) store.giveSpace()
          store.takeSpace(more.length > 0 ? ROWS_LOG_BYTES : 0)
          if (more.length > 0) await store.device.space.check()
          more.push(await store.fill(`more ${round} ${more.length} `, 0, ROWS_AT_THE_WALL))
          store.takeSpace(0)
          isAtWall = await store.foundNoSpace()
          walls += isAtWall ? 1 : 0
        }
        store.giveSpace()
        await store.continues(() => store.put(`after ${round}`, bytes))
        await store.settle()
        assert.equal(store.device.checkpointer.error, undefined)
        await store.check(20)
        for (let i = 0; i < count; i += 1) await store.remove(`round ${round} ${i}`)
        for (const [step, rows] of more.entries()) {
          for (let i = 0; i < rows; i += 1) await store.remove(`more ${round} ${step} ${i}`)
        }
        await store.settle()
      }
      assert.ok(walls > 0, "no checkpoint ran out of space")
      // Too few bytes are dead then to be worth moving; a volume left by a failed attempt would be larger than that.
      for (let left = 1_200; store.payloadBytes > PAYLOAD_BYTES_LEFT; left -= 1) {
        assert.ok(left > 0, `${store.payloadBytes} bytes are left of failed attempts`)
        await new RealClock().sleep(50, noSignal)
      }
      await store.close()
      await store.open()
      await store.check()
    }))
}
