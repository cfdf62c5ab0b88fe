/** The volume store on a simulated disk: power cuts, damage, foreign folders, and what it refuses. */
import assert from "node:assert/strict"
import { getEventListeners } from "node:events"
import { test } from "node:test"
import { TEST_SEED, seedsOf } from "@hayloft/base/testing-seed.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimDisk } from "@hayloft/base/seams/disk/index.js"
import { SimLocks } from "@hayloft/base/seams/folder-lock/index.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { TableStores } from "../table/index.js"
import type { OpenVolumesOptions, VolumeKey } from "./contract.js"
import { fsckStore } from "./fsck.js"
import { KEY_BYTES_MAX, VALUE_BYTES_MAX, VOLUME_BYTES_LEAST } from "./limits.js"
import { VolumeStore } from "./store.js"
import { VolumeError, withVolumeErrors } from "./volume-error.js"

const PATH = "/store"
const SMALL = { volumeBytesMax: VOLUME_BYTES_LEAST }
const KEYS = 40
const VALUE_BYTES = 20_000

/** One machine over several processes. */
class World {
  readonly clock = new SimClock()

  constructor(
    readonly random: Random = new SimRandom(TEST_SEED),
    readonly disk = new SimDisk(),
  ) {}

  seams() {
    const { clock, random } = this
    const locks = new SimLocks().boot()
    return { disk: this.disk.boot(), clock, random, locks, stores: new TableStores() }
  }

  open(options: OpenVolumesOptions = SMALL, isIndexDiscarded = false): Promise<VolumeStore> {
    return withVolumeErrors(() => VolumeStore.open(this.seams(), PATH, { ...options, isIndexDiscarded }))
  }

  fsck() {
    return withVolumeErrors(() => fsckStore(this.seams(), PATH))
  }

  async volumes(): Promise<readonly string[]> {
    return (await this.disk.boot().list(`${PATH}/volumes`)).map(name => `${PATH}/volumes/${name}`)
  }

  /** Flips a bit in the only volume, so many bytes behind the first place of this text. */
  async flipBehind(found: string, offsetBytes: number): Promise<void> {
    const [volume = ""] = await this.volumes()
    const file = await this.disk.boot().open(volume, "read")
    const bytes = new Uint8Array(await file.sizeBytes())
    await file.read(bytes, 0)
    this.disk.flipBit(volume, (Buffer.from(bytes).indexOf(found) + offsetBytes) * 8)
  }
}

const isError =
  (code: string) =>
  (error: unknown): boolean =>
    error instanceof VolumeError && error.code === code

const text = (bytes: Uint8Array | undefined): string | undefined => bytes && Buffer.from(bytes).toString("utf8")
const keyOf = (n: number): string => `key ${n}`

/** Values as they may be: several for a key whose last change was not acknowledged. */
type Model = Map<string, readonly (string | undefined)[]>

class Writer {
  private version = 0

  constructor(
    private readonly model: Model,
    private readonly random: Random,
  ) {}

  /** A random append or removal; never rejects. `isOver` returns true once the process has ended. */
  async change(store: VolumeStore, key: string, isOver: () => boolean): Promise<void> {
    const before = this.model.get(key) ?? [undefined]
    const isRemoval = this.random.below(3) === 0
    this.version += 1
    const value = `${key}, version ${this.version}`.padEnd(this.random.below(VALUE_BYTES), ".")
    const after = isRemoval ? undefined : value
    this.model.set(key, [...before, after])
    try {
      if (isRemoval) await store.remove(key)
      else await store.append(key, Buffer.from(value))
    } catch (error) {
      if (isOver()) return
      assert.ok(isError("exists")(error), String(error))
      this.model.set(key, before)
      return
    }
    if (!isOver()) this.model.set(key, [after])
  }
}

/** Compares every key, and takes what is there for what was decided. */
async function compare(store: VolumeStore, model: Model): Promise<void> {
  const listed: string[] = []
  for await (const key of store.keys()) listed.push(Buffer.from(key).toString("utf8"))
  const present: string[] = []
  for (const [key, values] of model) {
    const found = text(await store.read(key))
    assert.ok(
      values.includes(found),
      `${key} is ${found?.slice(0, 30)}, and not ${values.map(each => each?.slice(0, 30)).join(" or ")}`,
    )
    assert.equal(await store.has(key), found !== undefined)
    if (found !== undefined) present.push(key)
    model.set(key, [found])
  }
  assert.deepEqual(listed.sort(), present.sort())
}

for (const seed of seedsOf(6)) {
  test(`what was acknowledged is there after power cuts, compactions and lost indexes (seed ${seed})`, async () => {
    const random = new SimRandom(seed).fork("volume store")
    const world = new World(random)
    const model: Model = new Map()
    const writer = new Writer(model, random)
    for (let round = 0; round < 6; round += 1) {
      const store = await world.open(SMALL, random.below(4) === 0 && round > 0)
      await compare(store, model)
      let isOver = false
      for (let burst = 0; burst < 6; burst += 1) {
        const keys = new Set(Array.from({ length: 12 }, () => keyOf(random.below(KEYS))))
        const changes = Array.from(keys, key => writer.change(store, key, () => isOver))
        if (burst === 5) {
          // The power is cut in the middle of a burst.
          for (let turns = random.below(30); turns > 0; turns -= 1) await new Promise(setImmediate)
          isOver = true
          world.disk.crash(random)
          // Calls of a process that has ended never return.
        } else await Promise.all(changes)
        if (!isOver && random.below(3) === 0) await store.compact()
      }
      assert.equal((await world.fsck()).damages, 0)
    }
    const store = await world.open()
    await compare(store, model)
    await store.close()
  })
}

test("space of removed values is given back, and what stays is readable", async () => {
  const world = new World()
  const store = await world.open()
  const value = Buffer.alloc(100_000, 7)
  for (let n = 0; n < 50; n += 1) await store.append(keyOf(n), value)
  for (let n = 0; n < 50; n += 1) if (n % 5 !== 0) assert.ok(await store.remove(keyOf(n)))
  const before = store.stat()
  const { freedBytes, damagedValues } = await store.compact()
  assert.ok(freedBytes > 3_000_000 && damagedValues === 0, String(freedBytes))
  const { writtenBytes, deadShare = 1, problems } = store.stat()
  assert.ok(writtenBytes < before.writtenBytes / 2 && deadShare < 0.3, `${writtenBytes} ${deadShare}`)
  assert.deepEqual(problems, [])
  for (let n = 0; n < 50; n += 5) assert.deepEqual(await store.read(keyOf(n)), value)
  await store.close()
})

test("a damaged value is refused, fsck names its key, and others are readable", async () => {
  const world = new World()
  const store = await world.open()
  for (let n = 0; n < 3; n += 1) await store.append(keyOf(n), Buffer.alloc(30_000, `value ${n} `))
  await store.close()
  await world.flipBehind("value 1", 20_000)
  const again = await world.open()
  await assert.rejects(again.read(keyOf(1)), isError("damaged"))
  assert.equal((await again.read(keyOf(1), { offset: 0, length: 0 }))?.length, 0)
  for (const n of [0, 2]) assert.equal((await again.read(keyOf(n)))?.length, 30_000)
  await again.close()
  const { damages, findings } = await world.fsck()
  assert.equal(damages, 1)
  assert.deepEqual([findings[0]?.kind, text(findings[0]?.key)], ["value", keyOf(1)])
})

test("keys are listed beside one that cannot be read, which is reported behind them", async () => {
  const world = new World()
  const store = await world.open()
  for (let n = 0; n < 5; n += 1) await store.append(keyOf(n), Buffer.from("a value"))
  await store.close()
  await world.flipBehind(keyOf(2), 1)
  const again = await world.open()
  const listed: string[] = []
  await assert.rejects(async () => {
    for await (const key of again.keys()) listed.push(Buffer.from(key).toString("utf8"))
  }, isError("damaged"))
  assert.deepEqual(
    listed.sort(),
    [0, 1, 3, 4].map(n => keyOf(n)),
  )
  await again.close()
})

test("a missing volume is damage for reads, and a folder that cannot be made is not", async () => {
  const world = new World(new SimRandom(TEST_SEED), new SimDisk(undefined, { isBare: true }))
  await assert.rejects(
    withVolumeErrors(() => VolumeStore.open(world.seams(), `${PATH}/below`)),
    isError("notAStore"),
  )
  const store = await world.open()
  await store.append("a", Buffer.from("1"))
  await store.close()
  const again = await world.open()
  for (const volume of await world.volumes()) await world.disk.boot().remove(volume)
  await assert.rejects(again.read("a"), isError("damaged"))
  await assert.rejects(again.keys().next(), isError("damaged"))
  await again.close()
})

test("an index is rebuilt in a store only", async () => {
  const world = new World()
  await assert.rejects(world.open(SMALL, true), isError("notAStore"))
  assert.equal(await world.disk.boot().exists(PATH), false)
})

test("fsck finds a damaged index, and the volumes have all that another needs", async () => {
  const world = new World()
  const store = await world.open()
  for (let n = 0; n < 200; n += 1) await store.append(keyOf(n), Buffer.from(`value ${n}`))
  await store.close()
  const disk = world.disk.boot()
  const [table = ""] = (await disk.list(`${PATH}/base`)).filter(name => name.endsWith(".table"))
  const file = await disk.open(`${PATH}/base/${table}`, "write")
  await file.write([Buffer.alloc(await file.sizeBytes())], 0)
  await file.close()
  assert.ok((await world.fsck()).findings.some(({ kind }) => kind === "index"))
  const rebuilt = await world.open(SMALL, true)
  await rebuilt.close()
  assert.equal((await world.fsck()).damages, 0)
  const again = await world.open()
  assert.equal(text(await again.read(keyOf(77))), "value 77")
  await again.close()
})

test("keys of any bytes, empty values and ranges", async () => {
  const world = new World()
  const store = await world.open()
  const key = Uint8Array.of(0, 255, 128, 10)
  await store.append(key, new Uint8Array(0))
  assert.equal((await store.read(key))?.length, 0)
  await store.append("é", Buffer.from("0123456789"))
  assert.equal(text(await store.read(Buffer.from("é"), { offset: 3, length: 4 })), "3456")
  assert.equal(text(await store.read("é", { offset: 8 })), "89")
  const keys: Uint8Array[] = []
  for await (const each of store.keys()) keys.push(each)
  assert.deepEqual(keys.map(each => Buffer.from(each).toString("hex")).sort(), ["00ff800a", "c3a9"])
  await assert.rejects(store.read("é", { offset: 8, length: 3 }), isError("invalid"))
  await assert.rejects(store.read("é", { offset: -1 }), isError("invalid"))
  for (const range of [{ offset: -1 }, { offset: 0.5 }, { length: NaN }]) {
    await assert.rejects(store.read("none", range), isError("invalid"))
  }
  await store.close()
})

test("a key is what it was when the call was made", async () => {
  const world = new World()
  const store = await world.open()
  const key = Buffer.from("aaa")
  const appended = store.append(key, Buffer.from("1"))
  key.write("bbb")
  await appended
  const keys: (string | undefined)[] = []
  for await (const each of store.keys()) keys.push(text(each))
  assert.deepEqual(keys, ["aaa"])
  await store.close()
})

test("changes of a key follow each other, and one of several removals finds its value", async () => {
  const world = new World()
  const store = await world.open()
  const [, ...removed] = await Promise.all([
    store.append("a", Buffer.from("1")),
    store.remove("a"),
    store.remove("a"),
    store.append("a", Buffer.from("2")),
  ])
  assert.deepEqual(removed.slice(0, 2), [true, false])
  assert.equal(text(await store.read("a")), "2")
  await store.close()
})

test("a signal that fires during the open closes the store, and one that does not has no listener left", async () => {
  const world = new World()
  await (await world.open()).close()
  let isOpen = false
  let aborted = 0
  // It fires a few steps of the open later each time.
  for (let steps = 0; !isOpen; steps += 5) {
    const end = new AbortController()
    const opening = world.open({ ...SMALL, signal: end.signal }, true)
    const opened = opening.then(
      () => (isOpen = true),
      () => undefined,
    )
    for (let step = 0; step < steps; step += 1) await Promise.resolve()
    end.abort()
    await opened
    if (isOpen) {
      const closed = await opening
      await assert.rejects(closed.append("a", Buffer.from("1")), isError("closed"))
      await closed.close()
    } else {
      await assert.rejects(opening, isError("aborted"))
      aborted += 1
    }
    assert.equal(world.clock.sleepers, 0)
  }
  assert.ok(aborted > 20, String(aborted))
  const other = new AbortController()
  const store = await world.open({ ...SMALL, signal: other.signal })
  assert.equal(getEventListeners(other.signal, "abort").length, 1)
  await store.close()
  assert.equal(getEventListeners(other.signal, "abort").length, 0)
})

test("refusals: a second value, keys and values beyond the limits, and a closed store", async () => {
  const world = new World()
  const end = new AbortController()
  const store = await world.open({ ...SMALL, signal: end.signal })
  const both = await Promise.allSettled([store.append("a", Buffer.from("1")), store.append("a", Buffer.from("2"))])
  assert.deepEqual(
    both.map(({ status }) => status),
    ["fulfilled", "rejected"],
  )
  await assert.rejects(store.append("a", Buffer.from("3")), isError("exists"))
  assert.equal(text(await store.read("a")), "1")
  const wrong: readonly VolumeKey[] = ["", "k".repeat(KEY_BYTES_MAX + 1), "\ud800", "a\udfff"]
  for (const key of wrong) await assert.rejects(store.append(key, Buffer.from("1")), isError("invalid"))
  await assert.rejects(store.append("b", new Uint8Array(VALUE_BYTES_MAX + 1)), isError("invalid"))
  await assert.rejects(world.open({ volumeBytesMax: 5 }), isError("invalid"))
  for (const indexCacheBytes of [NaN, -1, 0.5]) {
    await assert.rejects(world.open({ indexCacheBytes }), isError("invalid"))
  }
  assert.equal(await store.remove("none"), false)
  end.abort()
  await store.close()
  await assert.rejects(store.read("a"), isError("closed"))
  assert.throws(() => store.stat(), isError("closed"))
  await assert.rejects(world.open({ signal: end.signal }), isError("aborted"))
  assert.equal(world.clock.sleepers, 0)
})

test("a folder with other files, and a device of a server, are refused", async () => {
  const world = new World()
  const disk = world.disk.boot()
  await disk.makeFolder(PATH)
  await assert.rejects(world.fsck(), isError("notAStore"))
  const file = await disk.open(`${PATH}/letter.txt`, "create")
  await file.close()
  await assert.rejects(world.open(), isError("notAStore"))
  await disk.remove(`${PATH}/letter.txt`)
  await (await world.open()).close()
  await (await disk.open(`${PATH}/control`, "create")).close()
  await assert.rejects(world.open(), isError("notAStore"))
  await assert.rejects(world.fsck(), isError("notAStore"))
})

test("a full disk refuses appends, and removals with a compaction make space", async () => {
  const world = new World()
  world.disk.capacityBytes = 16 * 2 ** 20
  const store = await world.open()
  const value = Buffer.alloc(200_000, 1)
  await store.append("first", value)
  let written = 0
  await assert.rejects(async () => {
    for (;;) {
      await store.append(keyOf(written), value)
      written += 1
    }
  }, isError("full"))
  assert.ok(written > 10, String(written))
  for (let n = 0; n < written; n += 1) assert.ok((await store.read(keyOf(n))) !== undefined)
  for (let n = 0; n < written; n += 1) assert.ok(await store.remove(keyOf(n)))
  await store.compact()
  await world.clock.advance(10_000)
  await store.append("second", value)
  await store.close()
})
