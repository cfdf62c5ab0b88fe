/** Appends over devices: offsets, repeated requests, what an object was before, and jobs that move or remove bytes. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure, type FailureKind } from "@hayloft/base/failures.js"
import { objectKeyOfText } from "@hayloft/base/ids.js"
import { must } from "@hayloft/base/assert.js"
import { KIB } from "@hayloft/base/limits.js"
import type { Family } from "@hayloft/base/rows/families.js"
import { parsePolicy, textOfPolicy } from "@hayloft/base/policy.js"
import { decodeSegment } from "@hayloft/engine/format/records.js"
import { ALL_OBJECT_ROWS } from "@hayloft/objects/door/rows.js"
import type { AppendRequest } from "./contract.js"
import { assertWhole, open, type World } from "@hayloft/upkeep/repair/testing-repair.js"
import { SMALL_PART_BYTES } from "@hayloft/upkeep/testing-services.js"
import { putMultipart } from "@hayloft/upkeep/encrypt/testing-encrypt.js"
import { sourceOf } from "@hayloft/objects/bodies/testing-bodies.js"

/** Each request has a signal of its own. */
const unaborted = (): AbortSignal => new AbortController().signal

async function opened(policy = "ec:2+1"): Promise<World> {
  const world = await open(policy)
  await world.clock.runUntil(world.services.storeClock.start())
  await allow(world)
  return world
}

async function allow({ clock, services, home }: World): Promise<void> {
  await clock.runUntil(services.buckets.setSetting(home, "append", "{}"))
}

type Terms = Partial<Pick<AppendRequest, "atOffset" | "appendId" | "conditions">>

function appending({ services, home: bucket }: World, key: string, bytes: Uint8Array, terms: Terms = {}) {
  return services.appends.append({
    bucket,
    key: objectKeyOfText(key),
    tags: [],
    signal: unaborted(),
    body: sourceOf(bytes),
    conditions: {},
    attributes: { headers: {}, userMetadata: [] },
    atOffset: undefined,
    appendId: undefined,
    ...terms,
  })
}

const append = (world: World, key: string, bytes: Uint8Array, terms?: Terms) =>
  world.clock.runUntil(appending(world, key, bytes, terms))

/** Each extent for itself. */
const bodiesOf = (lengths: readonly number[]) =>
  new Map(lengths.map((length, i) => [`extent ${i}`, new Uint8Array(length)]))

const refuses = (work: Promise<unknown>, kind: FailureKind) => assert.rejects(work, error => isFailure(error, kind))

const range = async ({ services, home: bucket, clock }: World, key: string, first: number, lengthBytes: number) => {
  const read = async () => {
    const last = first + lengthBytes - 1
    const body = await services.objects.get({
      bucket,
      key: objectKeyOfText(key),
      conditions: {},
      range: { kind: "fromTo", first, last },
    })
    const pieces: Uint8Array[] = []
    for await (const piece of body.read(unaborted())) pieces.push(Uint8Array.from(piece))
    return Buffer.concat(pieces)
  }
  return clock.runUntil(read())
}

test("an append makes an object, and further ones go to its end", async () => {
  const world = await opened()
  const pieces = Array.from({ length: 100 }, (_, i) => world.random.bytes(1 + ((i * 7919) % 3_000)))
  let offset = 0
  const etags = new Set<string>()
  for (const [i, piece] of pieces.entries()) {
    const appended = await append(world, "log", piece, i % 3 === 0 ? { atOffset: offset } : {})
    assert.equal(appended.offsetBytes, offset)
    offset += piece.length
    assert.equal(appended.sizeBytes, offset)
    etags.add(appended.etag)
  }
  assert.equal(etags.size, pieces.length, "each append changes the ETag")
  const whole = Buffer.concat(pieces)
  assert.ok((await world.get("log")).equals(whole))
  for (const [first, length] of [
    [0, 1],
    [1_000, 90_000],
    [whole.length - 5, 5],
    [63_000, 2],
  ] as const)
    assert.ok((await range(world, "log", first, length)).equals(whole.subarray(first, first + length)), `${first}`)
  const usage = await world.services.buckets.usage(world.home)
  assert.deepEqual([usage.objects, usage.bytes], [1, whole.length])
})

test("what an object was before stays in front: empty, small, large, or of parts", async () => {
  const world = await opened()
  const end = world.random.bytes(700)
  for (const [name, size] of [
    ["empty", 0],
    ["small", 1_000],
    ["large", 60_000],
  ] as const) {
    const before = world.random.bytes(size)
    await world.put(name, before)
    const first = await append(world, name, end)
    assert.equal(first.offsetBytes, size, name)
    await append(world, name, end, { atOffset: size + 700 })
    assert.ok((await world.get(name)).equals(Buffer.concat([before, end, end])), name)
  }
  await putMultipart(world, "parts", [SMALL_PART_BYTES, 3_000])
  const parts = await world.get("parts")
  const { offsetBytes } = await append(world, "parts", end)
  assert.equal(offsetBytes, parts.length)
  await append(world, "parts", end)
  assert.ok((await world.get("parts")).equals(Buffer.concat([parts, end, end])))
  assert.ok(
    (await range(world, "parts", parts.length - 3, 6)).equals(Buffer.concat([parts.subarray(-3), end.subarray(0, 3)])),
  )
  await world.settle("collector")
  const extents = [1_000, 60_000, SMALL_PART_BYTES, 3_000, ...Array.from({ length: 8 }, () => end.length)]
  await assertWhole(world, bodiesOf(extents), "appended")
  for (const name of ["empty", "small", "large", "parts"]) await world.remove(name)
  await world.settle("collector")
  await world.removeAborted()
  assert.equal(world.needles, 0, "what is removed leaves nothing")
})

test("an append with an id is done once, however often it is repeated", async () => {
  const world = await opened()
  const [a, b] = [world.random.bytes(100), world.random.bytes(5_000)]
  await append(world, "o", a)
  const first = await append(world, "o", b, { appendId: "b" })
  assert.deepEqual([first.offsetBytes, first.isRepeated], [100, false])
  await append(world, "o", a, { appendId: "a" })
  const again = await append(world, "o", b, { appendId: "b" })
  assert.deepEqual([again.offsetBytes, again.isRepeated], [100, true])
  const [x, y] = await world.clock.runUntil(
    Promise.all([appending(world, "o", b, { appendId: "c" }), appending(world, "o", b, { appendId: "c" })]),
  )
  assert.equal(x?.offsetBytes, y?.offsetBytes)
  assert.deepEqual([x?.isRepeated, y?.isRepeated].sort(), [false, true])
  assert.ok((await world.get("o")).equals(Buffer.concat([a, b, a, b])))
  await assertWhole(world, bodiesOf([a.length, b.length, a.length, b.length]), "repeated")
  await world.put("o", a)
  const replaced = await append(world, "o", b, { appendId: "b" })
  assert.equal(replaced.offsetBytes, 100, "another object has had no appends")
})

test("clients that append at the same time get ranges of their own", async () => {
  const world = await opened()
  const records = Array.from({ length: 60 }, (_, i) => Buffer.alloc(1 + ((i * 37) % 900), i))
  const done = await world.clock.runUntil(Promise.all(records.map(record => appending(world, "shared", record))))
  const whole = await world.get("shared")
  assert.equal(
    whole.length,
    records.reduce((sum, { length }) => sum + length, 0),
  )
  for (const [i, { offsetBytes }] of done.entries()) {
    const record = must(records[i], "it was appended")
    assert.ok(whole.subarray(offsetBytes, offsetBytes + record.length).equals(record), `record ${i}`)
  }
})

test("a small object that is replaced while somebody appends to it is not brought back", async () => {
  const world = await opened()
  for (let i = 0; i < 100; i += 1) {
    const [before, after, end] = [`before ${i}`, `after ${i}`, "end"]
    await world.put(`${i}`, Buffer.from(before))
    const putLater = async () => {
      for (let turn = 0; turn < i; turn += 1) await Promise.resolve()
      await world.services.objects.put(world.putting(`${i}`, sourceOf(Buffer.from(after))))
    }
    await world.clock.runUntil(Promise.all([appending(world, `${i}`, Buffer.from(end)), putLater()]))
    const left = (await world.get(`${i}`)).toString()
    assert.ok([after, `${after}${end}`].includes(left), left)
  }
})

test("appended bytes have the redundancy of the object's class", async () => {
  const world = await opened()
  world.mapped.set("STANDARD_IA", parsePolicy("replica:3"))
  const first = sourceOf(world.random.bytes(50_000))
  await world.clock.runUntil(world.services.objects.put({ ...world.putting("o", first), storageClass: "STANDARD_IA" }))
  await append(world, "o", world.random.bytes(100))
  assert.deepEqual(Object.keys(policiesOf(world)), ["replica:3"])
})

test("an object of so many small appends that one command cannot replace them all is merged", async () => {
  const world = await opened()
  for (let i = 0; i < 33 * 32 + 1; i += 1) await append(world, "log", Buffer.of(i & 0xff))
  const before = [...world.tablet.committed.range("segments", ALL_OBJECT_ROWS)].length
  await world.settle("append-sealing")
  const after = [...world.tablet.committed.range("segments", ALL_OBJECT_ROWS)].length
  assert.ok(before > 32 && after < before / 2, `${before} segments became ${after}`)
  assert.equal((await world.get("log")).length, 33 * 32 + 1)
})

test("what cannot be sealed now is tried again later, not at once", async () => {
  const world = await opened()
  for (let i = 0; i < 200; i += 1) await append(world, "log", world.random.bytes(200))
  const away = [...world.devices.live.keys()].slice(0, 2)
  for (const id of away) world.takeOffline(id)
  // The runner shows and repeats a pass that throws, and rests longer each time.
  await assert.rejects(world.settle("append-sealing"), /appended bytes of 1 object are not sealed/)
  assert.equal(policiesOf(world)["ec:2+1"], undefined)
  for (const id of away) world.bringBack(id)
  await world.settle("append-sealing")
  assert.ok((policiesOf(world)["ec:2+1"] ?? 0) > 0)
})

test("full disks make no sealing fail: it rests after each object, and goes on once there is space", async () => {
  const world = await opened()
  for (const key of ["a", "b"]) for (let i = 0; i < 200; i += 1) await append(world, key, world.random.bytes(200))
  const sealing = world.job("append-sealing")
  const { full, live } = world.devices
  for (const id of live.keys()) full.add(id)
  const outcomes: string[] = []
  for (let step = 0; step < 6; step += 1) outcomes.push(await world.clock.runUntil(sealing.step(unaborted())))
  assert.deepEqual(outcomes, ["throttled", "throttled", "busy", "throttled", "throttled", "busy"])
  assert.equal(policiesOf(world)["ec:2+1"], undefined)
  full.clear()
  await world.settle("append-sealing")
  assert.ok((policiesOf(world)["ec:2+1"] ?? 0) > 0)
})

test("an object that is removed while its appended bytes are sealed makes no job fail", async () => {
  const world = await opened()
  for (let i = 0; i < 200; i += 1) await append(world, "log", world.random.bytes(200))
  const sealing = world.job("append-sealing")
  assert.equal(sealing.progress(), "0 B of appended bytes sealed or merged")
  await world.clock.runUntil(Promise.all([sealing.step(unaborted()), world.remove("log")]))
  assert.equal(sealing.progress(), "0 B of appended bytes sealed or merged", "the removal was first")
  await world.settle("append-sealing")
  await world.settle("collector")
  await world.removeAborted()
  assert.equal(world.needles, 0, "nothing is left")
})

test("appends are refused where they would go wrong", async () => {
  const world = await opened()
  const bytes = world.random.bytes(10)
  await refuses(append(world, "o", bytes, { atOffset: 1 }), "noSuchKey")
  await append(world, "o", bytes, { atOffset: 0 })
  await refuses(append(world, "o", bytes, { atOffset: 0 }), "invalidWriteOffset")
  await refuses(append(world, "o", bytes, { atOffset: 11 }), "invalidWriteOffset")
  await refuses(append(world, "o", new Uint8Array()), "invalidRequest")
  await refuses(append(world, "o", bytes, { conditions: { ifMatch: ["other"] } }), "preconditionFailed")
  await world.clock.runUntil(world.services.buckets.setSetting(world.home, "append", undefined))
  await refuses(append(world, "o", bytes), "notImplemented")
  assert.equal((await world.get("o")).length, 10)
})

/** Bytes by policy, of the object's extents. */
function policiesOf({ tablet }: World): Readonly<Record<string, number>> {
  const sums: Record<string, number> = {}
  for (const [, row] of tablet.committed.range("segments", ALL_OBJECT_ROWS))
    for (const { extent } of decodeSegment(row.value).parts) {
      const policy = textOfPolicy(extent.policy)
      sums[policy] = (sums[policy] ?? 0) + extent.lengthBytes
    }
  return sums
}

const rowsOf = ({ tablet }: World, family: Family): number =>
  [...tablet.committed.range(family, ALL_OBJECT_ROWS)].length

const SHORT_BYTES_MAX = 90

test("short appends are copies first, and are sealed into erasure-coded blocks behind the writer", async () => {
  const world = await opened()
  const pieces: Uint8Array[] = []
  for (let i = 0; i < 1_500; i += 1) {
    const piece = world.random.bytes(1 + ((i * 53) % SHORT_BYTES_MAX))
    pieces.push(piece)
    await append(world, "log", piece)
    if (i === 400) assert.deepEqual(Object.keys(policiesOf(world)), ["replica:2"])
    if (i % 500 === 499) await world.settle("append-sealing")
  }
  const whole = Buffer.concat(pieces)
  assert.ok((await world.get("log")).equals(whole))
  const { "ec:2+1": sealed = 0, "replica:2": open = 0 } = policiesOf(world)
  assert.equal(sealed + open, whole.length)
  assert.ok(open < 16 * KIB + 32 * SHORT_BYTES_MAX, `${open} bytes of copies are left`)
  assert.equal(rowsOf(world, "openEnds"), 0)
  await world.settle("collector")
  await world.settle("reencode")
  assert.equal(policiesOf(world)["replica:2"], open, "the open end stays as it is")
  assert.ok((await range(world, "log", 20_000, 30_000)).equals(whole.subarray(20_000, 50_000)))
  await append(world, "log", Buffer.from("end"))
  assert.ok((await world.get("log")).equals(Buffer.concat([whole, Buffer.from("end")])))
  await world.remove("log")
  await world.settle("collector")
  await world.removeAborted()
  assert.deepEqual([world.needles, rowsOf(world, "segments")], [0, 0])
})

test("a reader goes on while segments are merged under it, and others append", async () => {
  const world = await opened()
  const pieces: Uint8Array[] = []
  for (let i = 0; i < 300; i += 1) {
    const piece = world.random.bytes(400)
    pieces.push(piece)
    await append(world, "log", piece)
  }
  const whole = Buffer.concat(pieces)
  const body = await world.services.objects.get({ bucket: world.home, key: objectKeyOfText("log"), conditions: {} })
  const read: Uint8Array[] = []
  const reading = body.read(unaborted())[Symbol.asyncIterator]()
  for (let i = 0; ; i += 1) {
    const next = await world.clock.runUntil(reading.next())
    if (next.done === true) break
    read.push(Uint8Array.from(next.value))
    if (i % 40 === 10) {
      await world.settle("append-sealing")
      await append(world, "log", world.random.bytes(500))
      await world.settle("collector")
    }
  }
  assert.ok(Buffer.concat(read).equals(whole))
})

test("ids are forgotten after a day, and with their object", async () => {
  const world = await opened()
  world.tablet.aheadMs = world.clock.wallMs() - 1_700_000_000_000
  await append(world, "a", Buffer.from("1"), { appendId: "x" })
  await append(world, "b", Buffer.from("1"), { appendId: "x" })
  assert.equal(rowsOf(world, "appends"), 2)
  await world.remove("b")
  await world.settle("collector")
  assert.equal(rowsOf(world, "appends"), 1)
  await world.clock.advance(23 * 3_600_000)
  await world.settle("append-sealing")
  assert.equal((await append(world, "a", Buffer.from("1"), { appendId: "x" })).isRepeated, true)
  await world.clock.advance(2 * 3_600_000)
  await world.settle("append-sealing")
  assert.equal(rowsOf(world, "appends"), 0)
})

test("an object with appends is renamed, copied onto itself and copied elsewhere, and takes more bytes afterwards", async () => {
  const world = await opened()
  const { clock, services, home: bucket } = world
  const pieces = Array.from({ length: 80 }, () => world.random.bytes(600))
  for (const piece of pieces) await append(world, "a", piece)
  await world.settle("append-sealing")
  const [from, to] = [objectKeyOfText("a"), objectKeyOfText("b")]
  const copying = (key: typeof from, contentType: string) =>
    services.objects.copy({
      bucket,
      key,
      conditions: {},
      source: { bucket, key: from, conditions: {} },
      signal: unaborted(),
      replaceAttributes: { headers: { contentType }, userMetadata: [["a", "x".repeat(900)]] },
      replaceTags: undefined,
      checksumAlgorithm: undefined,
    })
  await clock.runUntil(copying(from, "text/a"))
  await append(world, "a", Buffer.from("more"))
  const whole = Buffer.concat([...pieces, Buffer.from("more")])
  await clock.runUntil(copying(objectKeyOfText("c"), "text/c"))
  await clock.runUntil(
    services.renames.rename({
      bucket,
      from,
      to,
      conditions: {},
      sourceConditions: {},
      clientToken: undefined,
      signal: unaborted(),
    }),
  )
  await append(world, "b", Buffer.from("last"))
  assert.ok((await world.get("b")).equals(Buffer.concat([whole, Buffer.from("last")])))
  assert.ok((await world.get("c")).equals(whole))
  const info = (await services.objects.get({ bucket, key: to, conditions: {}, headersOnly: true })).info
  assert.deepEqual([info.headers.contentType, info.userMetadata[0]?.[1].length], ["text/a", 900])
  for (const name of ["b", "c"]) await world.remove(name)
  await world.settle("collector")
  await world.removeAborted()
  assert.equal(world.needles, 0)
})
