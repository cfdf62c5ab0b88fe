import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { test } from "node:test"
import { fc } from "../testing-properties.js"
import { must } from "../assert.js"
import { KIB, MIB } from "../limits.js"
import { MD5_SCRATCH_BYTES } from "./md5-lanes.js"
import { WASM_PAGE_BYTES } from "./wasm.js"
import { Md5Batch, type Md5Body } from "./md5-batch.js"

const BODY_BYTES = 10 * MIB
const BODIES = 14

function open() {
  const pages = Math.ceil((MD5_SCRATCH_BYTES + BODIES * BODY_BYTES) / WASM_PAGE_BYTES)
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages })
  return { batch: new Md5Batch(memory, 0), bytes: new Uint8Array(memory.buffer) }
}

const NOISE = Uint8Array.from({ length: 256 * KIB }, (_, i) => Math.imul(i, 2_654_435_761) >>> 24)
const placeOf = (body: number): number => MD5_SCRATCH_BYTES + body * BODY_BYTES
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex")
const md5Of = (bytes: Uint8Array): string => createHash("md5").update(bytes).digest("hex")

function workAll(batch: Md5Batch): void {
  while (batch.work());
}

function feed(batch: Md5Batch, body: Md5Body, at: number, lengthBytes: number): void {
  body.add(at, lengthBytes)
  workAll(batch)
}

function flush(batch: Md5Batch): void {
  batch.flush()
  workAll(batch)
}

/** Requests the digest, and runs the batch until it is available. */
function digestOf(batch: Md5Batch, body: Md5Body): string {
  let given: Uint8Array | undefined
  batch.digest(body, digest => (given = digest))
  workAll(batch)
  return hex(must(given, "nothing keeps the digest from being given"))
}

/** Returns true if all bytes that were fed to the body so far are consumed. */
function isConsumed(body: Md5Body): boolean {
  let consumed = false
  body.whenConsumed(() => (consumed = true))
  return consumed
}

test("a body alone is hashed without waiting, several as soon as all have bytes, or one has many", () => {
  const { batch } = open()
  const first = batch.join()
  feed(batch, first, placeOf(0), 100 * KIB + 1)
  assert.ok(isConsumed(first), "it is alone")
  const second = batch.join()
  feed(batch, first, placeOf(0), 100 * KIB)
  assert.ok(!isConsumed(first), "it waits for the second")
  feed(batch, second, placeOf(1), 200 * KIB)
  assert.ok(isConsumed(first))
  assert.ok(!isConsumed(second), "its other half waits again")
  feed(batch, second, placeOf(1), 7 * MIB)
  assert.ok(!isConsumed(second))
  feed(batch, second, placeOf(1), 2 * MIB)
  assert.ok(second.waitingBytes < 8 * MIB && second.waitingBytes > 7 * MIB, "the first has had its time")
})

test("digests and flushes do not wait for other bodies, and a body that leaves frees its bytes", () => {
  const { batch, bytes } = open()
  const [idle, first, second] = [batch.join(), batch.join(), batch.join()]
  feed(batch, first, placeOf(1), 3 * MIB + 17)
  feed(batch, second, placeOf(2), 1 * MIB)
  let given = 0
  first.whenConsumed(() => (given += 1))
  assert.equal(given, 0)
  assert.equal(digestOf(batch, first), md5Of(bytes.subarray(placeOf(1), placeOf(1) + 3 * MIB + 17)))
  assert.equal(given, 1)
  feed(batch, second, placeOf(2) + 1 * MIB, 1 * MIB)
  second.whenConsumed(() => (given += 1))
  flush(batch)
  assert.equal(given, 2)
  feed(batch, second, placeOf(2) + 2 * MIB, 1 * MIB)
  second.whenConsumed(() => (given += 1))
  batch.leave(second)
  assert.equal(given, 3)
  batch.leave(second)
  assert.equal(digestOf(batch, idle), md5Of(new Uint8Array(0)))
  const last = batch.join()
  feed(batch, last, placeOf(3), 1 * MIB)
  assert.ok(isConsumed(last), "all others have left")
})

test("bytes that arrive together are hashed together, and a body that leaves gets no digest", () => {
  const { batch } = open()
  const bodies = [batch.join(), batch.join()]
  for (const [i, body] of bodies.entries()) body.add(placeOf(i), 1 * MIB)
  assert.ok(batch.work())
  const [first, second] = bodies.map(({ waitingBytes }) => waitingBytes)
  assert.ok(first !== undefined && first < 1 * MIB && first === second, "a turn takes as much of both")
  const digests: (string | undefined)[] = []
  for (const body of bodies) batch.digest(body, digest => digests.push(digest && hex(digest)))
  assert.deepEqual(digests, [], "what waits is hashed before")
  batch.leave(must(bodies[0], "there are two"))
  assert.deepEqual(digests, [undefined])
  workAll(batch)
  assert.deepEqual(digests, [undefined, md5Of(new Uint8Array(1 * MIB))])
})

/** A random next step for one of the bodies. */
const deed = fc.record({
  body: fc.integer({ min: 0, max: BODIES - 1 }),
  lengthBytes: fc.oneof(fc.integer({ min: 0, max: NOISE.length / 2 }), fc.integer({ min: 0, max: 130 })),
  then: fc.oneof(
    { weight: 12, arbitrary: fc.constant("feed on" as const) },
    { weight: 4, arbitrary: fc.constantFrom("feed elsewhere" as const, "await" as const) },
    { weight: 1, arbitrary: fc.constantFrom("digest" as const, "leave" as const, "flush" as const) },
  ),
})

/** A body with checks of every digest; its bytes are overwritten once they are consumed. */
class Fed {
  private body: Md5Body
  private expected = createHash("md5")
  private used = 0
  private spoilFrom = 0

  constructor(
    private readonly batch: Md5Batch,
    private readonly bytes: Uint8Array,
    private readonly place: number,
  ) {
    this.body = batch.join()
  }

  feed(lengthBytes: number, gapBytes: number): void {
    if (this.used + gapBytes + lengthBytes > BODY_BYTES) this.digest()
    this.used += gapBytes
    const at = this.place + this.used
    const from = (at * 31) % (NOISE.length / 2)
    this.bytes.set(NOISE.subarray(from, from + lengthBytes), at)
    this.expected.update(this.bytes.subarray(at, at + lengthBytes))
    this.used += lengthBytes
    feed(this.batch, this.body, at, lengthBytes)
  }

  /** Consumed bytes may change. */
  spoilWhenConsumed(): void {
    const [from, to] = [this.spoilFrom, this.used]
    this.spoilFrom = to
    this.body.whenConsumed(() => this.bytes.fill(0xee, this.place + from, this.place + to))
  }

  digest(): void {
    assert.equal(digestOf(this.batch, this.body), this.expected.digest("hex"))
    this.leave()
  }

  leave(): void {
    this.batch.leave(this.body)
    this.body = this.batch.join()
    this.expected = createHash("md5")
    this.used = 0
    this.spoilFrom = 0
  }
}

test("bodies fed in any pieces and order, joining and leaving, have the right digests", () => {
  const { batch, bytes } = open()
  fc.assert(
    fc.property(fc.array(deed, { minLength: 50, maxLength: 300, size: "max" }), deeds => {
      const bodies = Array.from({ length: BODIES }, (_, i) => new Fed(batch, bytes, placeOf(i)))
      for (const { body, lengthBytes, then } of deeds) {
        const fed = bodies[body]
        if (then === "feed on") fed?.feed(lengthBytes, 0)
        else if (then === "feed elsewhere") fed?.feed(lengthBytes, 65)
        else if (then === "await") fed?.spoilWhenConsumed()
        else if (then === "digest") fed?.digest()
        else if (then === "leave") fed?.leave()
        else flush(batch)
      }
      for (const fed of bodies) fed.digest()
    }),
    { numRuns: 30, seed: 1 },
  )
})
