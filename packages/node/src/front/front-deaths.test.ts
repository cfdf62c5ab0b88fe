/**
 * Fronts that end after any of their messages: what they have acknowledged is there, others go on with their uploads, and
 * nothing else is left.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { asFailure, isFailure } from "@hayloft/base/failures.js"
import { objectKeyOfText } from "@hayloft/base/ids.js"
import { KIB, PART_BYTES_MIN } from "@hayloft/base/limits.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { TEST_SEED } from "@hayloft/base/testing-seed.js"
import type { BodySource, CompletedPart } from "@hayloft/objects/index.js"
import { Machine, noSignal, sourceOf } from "../testing-engine.js"
import { FrontWorld, PLAIN_WRITE, SHORT_WAITS, type RunningFront } from "./testing-fronts.js"

const random = new SimRandom(TEST_SEED)
const MESSAGES_MAX = 200
/** Without and with the loss of last messages. */
const TIMES = 2
const SETTLED_MS = 100

const opened = () => FrontWorld.withBucket(new Machine({ devices: 3, abortedWaits: SHORT_WAITS }), TEST_SEED)

/**
 * Does the work in fronts that end before their first message, then in some that end after it, and so on until it comes to its
 * end.
 */
async function endingAfterEach<Prepared, Result>(
  world: FrontWorld,
  prepare: (front: RunningFront, name: string) => Promise<Prepared>,
  work: (front: RunningFront, prepared: Prepared) => Promise<Result>,
  check: (prepared: Prepared, result: Result | undefined, isWhole: boolean) => Promise<void>,
): Promise<void> {
  for (let time = 0; time < TIMES * MESSAGES_MAX; time += 1) {
    const messages = Math.floor(time / TIMES)
    const front = await world.begin()
    const prepared = await prepare(front, `object ${time}`)
    // It has answered what it was told.
    await world.machine.clock.advance(SETTLED_MS)
    let hasEnded = false
    front.afterMessages(messages, () => {
      hasEnded = true
      front.die(time % TIMES > 0)
    })
    const settled = work(front, prepared).then(
      result => ({ result }),
      (error: unknown) => {
        assert.ok(hasEnded, asFailure(error).message)
        return { result: undefined }
      },
    )
    const { result } = await world.run(settled)
    const isWhole = !hasEnded
    front.die()
    await world.run(front.ofEngine.closed)
    await check(prepared, result, isWhole)
    if (isWhole) return
  }
  assert.fail("the work does not end")
}

/** The pieces arrive one after another. */
const arriving = ({ machine: { clock } }: FrontWorld, bytes: Buffer): BodySource => ({
  lengthBytes: bytes.length,
  declaredChecksum: () => undefined,
  gather: () => undefined,
  async *open() {
    for (let at = 0; at < bytes.length; at += 50 * KIB) {
      await clock.sleep(random.below(5), noSignal)
      yield bytes.subarray(at, at + 50 * KIB)
    }
  },
})

async function isThere(world: FrontWorld, key: string, bytes: Buffer): Promise<boolean> {
  try {
    const got = await world.get(world.engine.services, key)
    assert.ok(got.equals(bytes), `${key} is whole`)
    return true
  } catch (error) {
    assert.ok(isFailure(error, "noSuchKey"), String(error))
    return false
  }
}

for (const [what, bytes] of [
  ["beside its row", 100],
  ["in one block", 40 * KIB],
  ["in many blocks", 400 * KIB + 1],
] as const) {
  test(`an object ${what} whose front ends is there if that was answered; else nothing of it is left`, async () => {
    const world = await opened()
    const found = new Set<string>()
    const keys: string[] = []
    const body = Buffer.from(random.bytes(bytes))
    await endingAfterEach(
      world,
      async (_front, name) => name,
      ({ services }, key) => world.putting(services, key, body, { body: arriving(world, body) }),
      async (key, result) => {
        const has = await isThere(world, key, body)
        if (has) keys.push(key)
        assert.ok(has || result === undefined, `${key} was acknowledged`)
        found.add(`${has ? "there" : "absent"}, ${result === undefined ? "unknown" : "answered"}`)
      },
    )
    assert.ok(found.has("absent, unknown") && found.has("there, answered"))
    const front = await world.begin()
    front.afterCommand(() => front.die(false))
    await assert.rejects(
      world.run(world.putting(front.services, "last", body, { body: arriving(world, body) })),
      error => isFailure(error, "indeterminate"),
    )
    await world.run(front.ofEngine.closed)
    assert.ok(await isThere(world, "last", body), "its command had been sent")
    keys.push("last")
    // Needles that no row names go away, and no others.
    await world.clean()
    for (const key of keys) assert.ok(await isThere(world, key, body))
    for (const key of keys) await world.remove(world.engine.services, key)
    await world.clean()
    assert.equal(world.needles, 0)
    await world.close()
  })
}

interface Upload {
  readonly name: string
  readonly target: Awaited<ReturnType<typeof targetOf>>
  readonly parts: CompletedPart[]
}

async function targetOf(world: FrontWorld, { services }: Pick<RunningFront, "services">, name: string) {
  const [bucket, key] = [await world.bucketOf(services), objectKeyOfText(name)]
  const creation = { bucket, key, attributes: PLAIN_WRITE.attributes, tags: [], checksum: undefined }
  return { bucket, key, multipartId: (await services.multipart.create(creation)).multipartId }
}

const BODIES = [PART_BYTES_MIN, 70 * KIB].map(bytes => Buffer.from(random.bytes(bytes)))
const WHOLE = Buffer.concat(BODIES)

async function putPart({ services }: Pick<RunningFront, "services">, { target, parts }: Upload, number: number) {
  const body = sourceOf(must(BODIES[number - 1], "there are two parts"))
  const { etag } = await services.multipart.putPart({ ...target, partNumber: number, body, signal: noSignal })
  parts.push({ partNumber: number, etag, checksum: undefined })
}

const complete = ({ services }: Pick<RunningFront, "services">, { target, parts }: Upload) =>
  services.multipart.complete({
    ...target,
    parts,
    conditions: {},
    sizeBytes: undefined,
    checksum: undefined,
    checksumType: undefined,
    signal: noSignal,
  })

test("an upload whose front ends with a part under way has the parts that were answered, and goes on in another", async () => {
  const world = await opened()
  const { engine } = world
  await endingAfterEach(
    world,
    async (front, name): Promise<Upload> => {
      const upload = { name, target: await world.run(targetOf(world, front, name)), parts: [] }
      await world.run(putPart(front, upload, 1))
      return upload
    },
    (front, upload) => putPart(front, upload, 2),
    async ({ name, target, parts }) => {
      const listed = await world.run(engine.services.multipart.listParts({ ...target, afterPart: 0, max: 10 }))
      const numbers = listed.parts.map(({ partNumber }) => partNumber)
      for (const { partNumber } of parts) assert.ok(numbers.includes(partNumber), `part ${partNumber} was answered`)
      if (random.below(2) === 0) {
        await world.run(engine.services.multipart.abort(target))
        return
      }
      const upload = { name, target, parts: parts.slice(0, 1) }
      await world.run(putPart(engine, upload, 2))
      await world.run(complete(engine, upload))
      assert.ok(await isThere(world, name, WHOLE))
      await world.remove(engine.services, name)
    },
  )
  await world.clean()
  assert.equal(world.needles, 0)
  await world.close()
})

test("a completion whose front ends is done, or another front does it or aborts the upload", async () => {
  const world = await opened()
  const found = new Set<string>()
  await endingAfterEach(
    world,
    async (front, name): Promise<Upload> => {
      const upload = { name, target: await world.run(targetOf(world, front, name)), parts: [] }
      for (const number of [1, 2]) await world.run(putPart(front, upload, number))
      return upload
    },
    complete,
    async (upload, result, isWhole) => {
      const has = await isThere(world, upload.name, WHOLE)
      assert.ok(has || result === undefined, "it was acknowledged")
      found.add(has ? "done" : "not done")
      const other = await world.begin()
      if (!has && random.below(2) === 0) await world.run(other.services.multipart.abort(upload.target))
      else {
        // Also if it is done: the client has not learned of it.
        const again = await world.run(complete(other, upload))
        if (isWhole) assert.equal(again.etag, result?.etag)
        assert.ok(await isThere(world, upload.name, WHOLE))
        await world.remove(other.services, upload.name)
      }
      other.die()
    },
  )
  assert.equal(found.size, 2)
  await world.clean()
  assert.equal(world.needles, 0)
  await world.close()
})
