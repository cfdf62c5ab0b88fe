/** The promises of every shard store, local or remote. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { runsOf } from "@hayloft/base/testing-seed.js"
import { must } from "@hayloft/base/assert.js"
import { asFailure, isFailure, type FailureKind } from "@hayloft/base/failures.js"
import { parseDeviceId, parseIncarnation, rowKeyOf, type RowKey } from "@hayloft/base/ids.js"
import { KIB, MIB } from "@hayloft/base/limits.js"
import { allSoon, asPromise, type Soon } from "@hayloft/base/soon.js"
import { fc } from "@hayloft/base/testing-properties.js"
import { ALL_NEEDLES, type ShardStore } from "../block/index.js"
import { SyncReads } from "../device/index.js"
import { needleKeyOf, needleKeysOfPartition } from "../format/needles/needle.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimDisk, type Disk } from "@hayloft/base/seams/disk/index.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import type { IndexedNeedle, Needle } from "../volume/contract.js"
import { waitIfSlow } from "../volume/contract.js"
import { openVolumes, type KeptVolumes } from "../volume/index.js"
import { MapRows, needleFor, needleIdFor } from "../volume/testing-volumes.js"

/** A device whose bytes and index a test can damage. */
export class DamagedDevice {
  readonly id = parseDeviceId("00000000000000d1")
  private readonly disk = new SimDisk()
  private readonly rows = new MapRows()
  private opened: KeptVolumes | undefined
  /** The disk of the process that has it open. */
  files: Disk = this.disk.boot()
  isFull = false

  /** `hasCache`: bytes that were written or read are taken to be in the page cache. */
  async open(hasCache = false): Promise<KeptVolumes> {
    const place = { folder: "/device/volumes", deviceId: this.id, incarnation: parseIncarnation(1) }
    const mayAppend = (): boolean => !this.isFull
    const sync = { reads: new SyncReads(new SimClock()), cachedBytesMax: 64 * MIB }
    this.files = this.disk.boot()
    this.rows.areWarm = hasCache
    this.opened = await openVolumes(this.files, this.rows, place, undefined, { mayAppend, ...(hasCache && { sync }) })
    return this.opened
  }

  get volumes(): KeptVolumes {
    return must(this.opened, "the device is open")
  }

  /** Flips a bit of the needle's body. */
  damageBody({ id }: Needle, byte: number): void {
    const { value } = must(this.rows.get("needles", needleKeyOf(id)), "it is in the index")
    const view = new DataView(value.buffer, value.byteOffset)
    const bodyAt = Number(view.getBigUint64(4, true)) + view.getUint32(12, true)
    const volume = String(view.getUint32(0, true)).padStart(10, "0")
    this.disk.flipBit(`/device/volumes/${volume}.volume`, 8 * (bodyAt + byte))
  }

  damageRow(key: RowKey): void {
    this.rows.apply([{ family: "needles", key, value: Uint8Array.of(1, 2, 3) }])
  }
}

/** A store, and how a test waits for it. */
interface StoreUnderTest {
  readonly device: DamagedDevice
  readonly store: ShardStore
  settle<T>(promise: Promise<T>): Promise<T>
  close(): Promise<void>
}

type OpenStore = () => Promise<StoreUnderTest>

class StoreCheck {
  constructor(readonly under: StoreUnderTest) {}

  get store(): ShardStore {
    return this.under.store
  }

  do<T>(work: () => Soon<T>): Promise<T> {
    return this.under.settle(asPromise(work))
  }

  async append(needles: readonly Needle[]): Promise<void> {
    await this.do(() => Promise.all(needles.map(needle => this.store.append(needle))))
  }

  read(needle: Needle, offsetBytes: number, lengthBytes: number): Promise<Uint8Array> {
    return this.do(() => this.reading(needle, offsetBytes, lengthBytes))
  }

  reading({ id }: Needle, offsetBytes: number, lengthBytes: number): Soon<Uint8Array> {
    return this.store.read(id, { offsetBytes, lengthBytes }, waitIfSlow)
  }

  has(needles: readonly Needle[]): Promise<readonly boolean[]> {
    return this.do(() => allSoon(needles, ({ id }) => this.store.has(id)))
  }

  indexed(needlesMin = Infinity, range = ALL_NEEDLES): Promise<readonly IndexedNeedle[]> {
    return this.do(async () => [...(await this.store.indexed(range, needlesMin))])
  }

  async rejects(kind: FailureKind, work: () => Soon<unknown>): Promise<void> {
    const outcome = await this.do(work).then(
      () => undefined,
      (error: unknown) => asFailure(error),
    )
    assert.equal(outcome?.kind, kind)
  }
}

const sorted = (needles: readonly Needle[]): readonly Needle[] =>
  [...needles].sort((a, b) => (needleKeyOf(a.id) < needleKeyOf(b.id) ? -1 : 1))

export function shardStoreSuite(name: string, open: OpenStore): void {
  const random = new SimRandom(5)
  const check = (title: string, body: (at: StoreCheck) => Promise<void>): void => {
    test(`${name}: ${title}`, async () => {
      const under = await open()
      await body(new StoreCheck(under))
      await under.close()
    })
  }

  check("any range of an appended shard is read and fetched as it was appended", async at => {
    const kept = [0, 64, 65_536, 65_600, 3 * 65_536, 700_032, 2 * MIB].map((bytes, i) => needleFor(i, bytes, random))
    await at.append(kept)
    const anyRange = fc.tuple(fc.constantFrom(...kept), fc.nat(), fc.nat(), fc.boolean())
    await fc.assert(
      fc.asyncProperty(anyRange, async ([{ id, body, checksums }, from, length, isOwn]) => {
        const offsetBytes = from % (body.length + 1)
        const lengthBytes = length % (body.length - offsetBytes + 1)
        const taken: Uint8Array[] = []
        const allocate = (bytes: number): Uint8Array => {
          taken.push(new Uint8Array(bytes).fill(0xee))
          return must(taken.at(-1), "just taken")
        }
        const range = { offsetBytes, lengthBytes }
        const read = await at.do(() => at.store.read(id, range, waitIfSlow, isOwn ? undefined : allocate))
        assert.ok(Buffer.from(body.subarray(offsetBytes, offsetBytes + lengthBytes)).equals(read))
        if (!isOwn && lengthBytes > 0) assert.equal(read.buffer, taken.at(-1)?.buffer)
        if (body.length === 0) return
        const first = Math.floor(offsetBytes / (64 * KIB)) * 64 * KIB
        const whole = { offsetBytes: first, lengthBytes: Math.min(body.length - first, 128 * KIB) }
        const fetched = await at.do(() => at.store.fetch(id, body.length, allocate, whole))
        assert.ok(Buffer.from(body.subarray(first, first + whole.lengthBytes)).equals(fetched.body))
        assert.deepEqual([fetched.header.id, fetched.header.checksums], [id, checksums])
        assert.ok(taken.includes(fetched.memory))
      }),
      { numRuns: runsOf(20) },
    )
    const { header, body } = await at.do(() => at.store.fetch(must(kept[5], "7").id, 700_032, n => new Uint8Array(n)))
    assert.ok(Buffer.from(must(kept[5], "7").body).equals(body))
    assert.equal(header.bodyBytes, 700_032)
  })

  check("the header of a shard is the one that was appended", async at => {
    const needle = { ...needleFor(3, 640, random), recoveryHeader: Uint8Array.of(5, 6, 7) }
    await at.append([needle])
    const { id, owner, policy, blockLengthBytes, recoveryHeader, checksums } = needle
    const shape = { id, owner, policy, blockLengthBytes, recoveryHeader, checksums }
    assert.deepEqual(await at.do(() => at.store.headerOf(id)), { kind: "shard", ...shape, bodyBytes: 640 })
  })

  check("shards are there until they are removed, also when they are appended again", async at => {
    const needles = Array.from({ length: 9 }, (_, i) => needleFor(i, 64, random))
    const [first, second] = [must(needles[0], "9"), must(needles[1], "9")]
    await at.append(needles)
    await at.append([first, { ...second, isUnhurried: true }])
    assert.deepEqual(await at.has(needles), new Array(9).fill(true))
    await at.do(() => at.store.remove([first.id, needleIdFor(99), must(needles[8], "9").id]))
    assert.deepEqual(await at.has(needles), [false, ...new Array<boolean>(7).fill(true), false])
    await at.rejects("noSuchNeedle", () => at.store.read(first.id, { offsetBytes: 0, lengthBytes: 1 }, waitIfSlow))
    await at.append([first])
    assert.ok(Buffer.from(first.body).equals(await at.read(first, 0, 64)))
  })

  check("a suspect shard counts as missing, is listed as suspect and can still be read", async at => {
    const needles = sorted([needleFor(1, 64, random), needleFor(2, 64, random)])
    const [first, second] = [must(needles[0], "2"), must(needles[1], "2")]
    await at.append(needles)
    await at.do(() => at.store.markSuspect([first.id, needleIdFor(77)]))
    assert.deepEqual(await at.has(needles), [false, true])
    assert.deepEqual(
      (await at.indexed()).map(({ isSuspect }) => isSuspect),
      [true, false],
    )
    assert.ok(Buffer.from(first.body).equals(await at.read(first, 0, 64)))
    await at.append([first])
    assert.equal(await at.do(() => at.store.has(first.id)), true)
    assert.equal(await at.do(() => at.store.has(second.id)), true)
  })

  check("missing and damaged shards fail with their own failures", async at => {
    const needle = needleFor(1, 192 * KIB, random)
    await at.append([needle])
    const nowhere = needleIdFor(50)
    const range = { offsetBytes: 0, lengthBytes: 64 }
    const memory = (bytes: number): Uint8Array => new Uint8Array(bytes)
    await at.rejects("noSuchNeedle", () => at.store.read(nowhere, range, waitIfSlow))
    await at.rejects("noSuchNeedle", () => at.store.fetch(nowhere, 64, memory))
    await at.rejects("noSuchNeedle", () => at.store.headerOf(nowhere))
    assert.equal(await at.do(() => at.store.has(nowhere)), false)
    await at.rejects("corruptNeedle", () => at.reading(needle, 192 * KIB - 10, 11))
    await at.rejects("corruptNeedle", () => at.store.fetch(needle.id, 128 * KIB, memory))
    at.under.device.damageBody(needle, 70 * KIB)
    await at.rejects("corruptNeedle", () => at.reading(needle, 100 * KIB, 10))
    assert.ok(Buffer.from(needle.body.subarray(10, 20)).equals(await at.read(needle, 10, 10)))
    const fetched = await at.do(() => at.store.fetch(needle.id, 192 * KIB, memory))
    assert.ok(!Buffer.from(needle.body).equals(fetched.body), "the caller of fetch verifies")
  })

  check("a full device refuses shards and serves those that it has", async at => {
    const [kept, refused] = [needleFor(1, 640, random), needleFor(2, 640, random)]
    await at.append([kept])
    at.under.device.isFull = true
    await at.rejects("deviceFull", () => at.store.append(refused))
    assert.ok(Buffer.from(kept.body).equals(await at.read(kept, 0, 640)))
    at.under.device.isFull = false
    await at.append([refused])
    assert.ok(Buffer.from(refused.body).equals(await at.read(refused, 0, 640)))
  })

  check("the index lists a range in order, at least as many needles as are wanted", async at => {
    const needles = sorted(Array.from({ length: 40 }, (_, i) => needleFor(i, 64, random)))
    await at.append(needles)
    const keys = needles.map(({ id }) => needleKeyOf(id))
    const all = await at.indexed()
    assert.deepEqual(
      all.map(({ key }) => key),
      keys,
    )
    const { policy, blockLengthBytes } = must(needles[0], "40")
    const shape = { policy, blockLengthBytes }
    assert.deepEqual(all[0], { key: keys[0], bodyBytes: 64, shape, isSuspect: false })
    for (const [from, to, min] of [
      [0, 40, 7],
      [3, 30, 100],
      [5, 6, 1],
      [12, 12, 5],
      [39, 40, 5],
    ] as const) {
      const [start, end] = [must(keys[from], "40"), keys[to] ?? ALL_NEEDLES.end]
      const found = (await at.indexed(min, { start, end })).map(({ key }) => key)
      const wanted = keys.slice(from, to)
      assert.deepEqual(found, wanted.slice(0, found.length))
      assert.ok(found.length >= Math.min(min, wanted.length))
    }
    const { partition } = must(needles[9], "40").id
    const inPartition = await at.indexed(Infinity, needleKeysOfPartition(partition))
    assert.ok(inPartition.some(({ key }) => key === keys[9]))
    assert.deepEqual(await at.indexed(5, { start: rowKeyOf("\x00"), end: must(keys[0], "40") }), [])
  })

  check("a damaged row of the index fails where it is, after the needles before it", async at => {
    const needles = sorted(Array.from({ length: 6 }, (_, i) => needleFor(i, 64, random)))
    await at.append(needles)
    const keys = needles.map(({ id }) => needleKeyOf(id))
    const bad = must(needles[3], "6")
    at.under.device.damageRow(needleKeyOf(bad.id))
    const seen: RowKey[] = []
    await at.rejects("corruptRow", async () => {
      for (const { key } of await at.store.indexed(ALL_NEEDLES, 5)) seen.push(key)
    })
    assert.deepEqual(seen, keys.slice(0, 3))
    await at.rejects("corruptRow", async () => [
      ...(await at.store.indexed({ ...ALL_NEEDLES, start: must(keys[3], "6") }, 5)),
    ])
    const answers = await at.do(() =>
      Promise.all(
        needles.map(({ id }) =>
          asPromise(() => at.store.has(id)).catch((error: unknown) => isFailure(error) && error.kind),
        ),
      ),
    )
    assert.deepEqual(answers, [true, true, true, "corruptRow", true, true])
    await at.rejects("corruptRow", () => at.reading(bad, 0, 1))
  })
}
