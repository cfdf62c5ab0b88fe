import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { test } from "node:test"
import { fc } from "../base/testing-properties.js"
import { must } from "../base/assert.js"
import { KIB, MIB } from "../base/limits.js"
import { MD5_SCRATCH_BYTES } from "./md5-lanes.js"
import { WASM_PAGE_BYTES } from "./wasm.js"
import { Md5Company, type Md5Body } from "./md5-company.js"

const BODY_BYTES = 10 * MIB
const BODIES = 14

function open() {
  const pages = Math.ceil((MD5_SCRATCH_BYTES + BODIES * BODY_BYTES) / WASM_PAGE_BYTES)
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages })
  return { company: new Md5Company(memory, 0), bytes: new Uint8Array(memory.buffer) }
}

const NOISE = Uint8Array.from({ length: 256 * KIB }, (_, i) => Math.imul(i, 2_654_435_761) >>> 24)
const placeOf = (body: number): number => MD5_SCRATCH_BYTES + body * BODY_BYTES
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex")
const md5Of = (bytes: Uint8Array): string => createHash("md5").update(bytes).digest("hex")

function workAll(company: Md5Company): void {
  while (company.work());
}

function feed(company: Md5Company, body: Md5Body, at: number, lengthBytes: number): void {
  body.add(at, lengthBytes)
  workAll(company)
}

function hurry(company: Md5Company): void {
  company.hurry()
  workAll(company)
}

/** Asks for it, and works until it is there. */
function digestOf(company: Md5Company, body: Md5Body): string {
  let given: Uint8Array | undefined
  company.digest(body, digest => (given = digest))
  workAll(company)
  return hex(must(given, "nothing keeps the digest from being given"))
}

/** Whether all bytes that were fed to the body so far are eaten. */
function isEaten(body: Md5Body): boolean {
  let eaten = false
  body.whenEaten(() => (eaten = true))
  return eaten
}

test("a body alone is hashed at once, bodies in company when all have bytes, or one has many", () => {
  const { company } = open()
  const first = company.join()
  feed(company, first, placeOf(0), 100 * KIB + 1)
  assert.ok(isEaten(first), "it is alone")
  const second = company.join()
  feed(company, first, placeOf(0), 100 * KIB)
  assert.ok(!isEaten(first), "it waits for the second")
  feed(company, second, placeOf(1), 200 * KIB)
  assert.ok(isEaten(first))
  assert.ok(!isEaten(second), "its other half waits again")
  feed(company, second, placeOf(1), 7 * MIB)
  assert.ok(!isEaten(second))
  feed(company, second, placeOf(1), 2 * MIB)
  assert.ok(second.waitingBytes < 8 * MIB && second.waitingBytes > 7 * MIB, "the first has had its time")
})

test("digests and scarce memory wait for nobody, and whoever leaves gives its bytes back", () => {
  const { company, bytes } = open()
  const [idle, first, second] = [company.join(), company.join(), company.join()]
  feed(company, first, placeOf(1), 3 * MIB + 17)
  feed(company, second, placeOf(2), 1 * MIB)
  let given = 0
  first.whenEaten(() => (given += 1))
  assert.equal(given, 0)
  assert.equal(digestOf(company, first), md5Of(bytes.subarray(placeOf(1), placeOf(1) + 3 * MIB + 17)))
  assert.equal(given, 1)
  feed(company, second, placeOf(2) + 1 * MIB, 1 * MIB)
  second.whenEaten(() => (given += 1))
  hurry(company)
  assert.equal(given, 2)
  feed(company, second, placeOf(2) + 2 * MIB, 1 * MIB)
  second.whenEaten(() => (given += 1))
  company.leave(second)
  assert.equal(given, 3)
  company.leave(second)
  assert.equal(digestOf(company, idle), md5Of(new Uint8Array(0)))
  const last = company.join()
  feed(company, last, placeOf(3), 1 * MIB)
  assert.ok(isEaten(last), "all others have left")
})

test("bytes that came together are hashed together, and a body that leaves is told that there is no digest", () => {
  const { company } = open()
  const bodies = [company.join(), company.join()]
  for (const [i, body] of bodies.entries()) body.add(placeOf(i), 1 * MIB)
  assert.ok(company.work())
  const [first, second] = bodies.map(({ waitingBytes }) => waitingBytes)
  assert.ok(first !== undefined && first < 1 * MIB && first === second, "a turn takes as much of both")
  const digests: (string | undefined)[] = []
  for (const body of bodies) company.digest(body, digest => digests.push(digest && hex(digest)))
  assert.deepEqual(digests, [], "what waits is hashed before")
  company.leave(must(bodies[0], "there are two"))
  assert.deepEqual(digests, [undefined])
  workAll(company)
  assert.deepEqual(digests, [undefined, md5Of(new Uint8Array(1 * MIB))])
})

/** What happens to which body next. */
const deed = fc.record({
  body: fc.integer({ min: 0, max: BODIES - 1 }),
  lengthBytes: fc.oneof(fc.integer({ min: 0, max: NOISE.length / 2 }), fc.integer({ min: 0, max: 130 })),
  then: fc.oneof(
    { weight: 12, arbitrary: fc.constant("feed on" as const) },
    { weight: 4, arbitrary: fc.constantFrom("feed elsewhere" as const, "await" as const) },
    { weight: 1, arbitrary: fc.constantFrom("digest" as const, "leave" as const, "hurry" as const) },
  ),
})

/** A body of which every digest is checked, in a place whose eaten bytes are spoiled. */
class Fed {
  private body: Md5Body
  private expected = createHash("md5")
  private used = 0
  private spoilFrom = 0

  constructor(
    private readonly company: Md5Company,
    private readonly bytes: Uint8Array,
    private readonly place: number,
  ) {
    this.body = company.join()
  }

  feed(lengthBytes: number, gapBytes: number): void {
    if (this.used + gapBytes + lengthBytes > BODY_BYTES) this.digest()
    this.used += gapBytes
    const at = this.place + this.used
    const from = (at * 31) % (NOISE.length / 2)
    this.bytes.set(NOISE.subarray(from, from + lengthBytes), at)
    this.expected.update(this.bytes.subarray(at, at + lengthBytes))
    this.used += lengthBytes
    feed(this.company, this.body, at, lengthBytes)
  }

  /** Once bytes are said to be eaten they may change. */
  spoilWhenEaten(): void {
    const [from, to] = [this.spoilFrom, this.used]
    this.spoilFrom = to
    this.body.whenEaten(() => this.bytes.fill(0xee, this.place + from, this.place + to))
  }

  digest(): void {
    assert.equal(digestOf(this.company, this.body), this.expected.digest("hex"))
    this.leave()
  }

  leave(): void {
    this.company.leave(this.body)
    this.body = this.company.join()
    this.expected = createHash("md5")
    this.used = 0
    this.spoilFrom = 0
  }
}

test("bodies fed in any pieces and order, joining and leaving, have the right digests", () => {
  const { company, bytes } = open()
  fc.assert(
    fc.property(fc.array(deed, { minLength: 50, maxLength: 300, size: "max" }), deeds => {
      const bodies = Array.from({ length: BODIES }, (_, i) => new Fed(company, bytes, placeOf(i)))
      for (const { body, lengthBytes, then } of deeds) {
        const fed = bodies[body]
        if (then === "feed on") fed?.feed(lengthBytes, 0)
        else if (then === "feed elsewhere") fed?.feed(lengthBytes, 65)
        else if (then === "await") fed?.spoilWhenEaten()
        else if (then === "digest") fed?.digest()
        else if (then === "leave") fed?.leave()
        else hurry(company)
      }
      for (const fed of bodies) fed.digest()
    }),
    { numRuns: 30, seed: 1 },
  )
})
