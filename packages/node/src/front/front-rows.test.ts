/** Threads of one store decide in one order: settings, keys and policies at once, and races have one winner. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { asFailure } from "@hayloft/base/failures.js"
import { objectKeyOfText, parseAccountId } from "@hayloft/base/ids.js"
import { KIB, MIB, PART_BYTES_MIN } from "@hayloft/base/limits.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { TEST_SEED } from "@hayloft/base/testing-seed.js"
import type { StoreServices } from "@hayloft/features/index.js"
import { Machine, noSignal, sourceOf } from "../testing-engine.js"
import { FrontWorld, PLAIN_WRITE } from "./testing-fronts.js"

const ROUNDS = 25
const ROOT = parseAccountId("root")

/** The engine thread is the first of the threads. */
async function opened(fronts: number) {
  const world = await FrontWorld.withBucket(new Machine({ devices: 3 }), TEST_SEED)
  const begun = await world.begins(fronts)
  const threads = [world.engine, ...begun.map(({ store }) => store)]
  return { world, threads, services: threads.map(thread => thread.services) }
}

const random = new SimRandom(TEST_SEED)
const anyOf = <T>(items: readonly T[]): T => must(items[random.below(items.length)], "there are some")

test("a setting that one thread has changed is in force for every request that begins after the answer", async () => {
  const { world, services } = await opened(3)
  const settingOf = async (thread: StoreServices) => {
    const bucket = await world.bucketOf(thread)
    return (await thread.buckets.setting(bucket, "policy"))?.document
  }
  for (let round = 1; round <= ROUNDS; round += 1) {
    const writer = anyOf(services)
    // They make others keep what is about to be replaced.
    const before = services.map(settingOf)
    const document = random.below(4) === 0 ? undefined : `{"round":${round}}`
    const bucket = await world.run(world.bucketOf(writer))
    await world.run(writer.buckets.setSetting(bucket, "policy", document))
    const after = await world.run(Promise.all(services.map(settingOf)))
    assert.deepEqual(
      after,
      services.map(() => document),
      `round ${round}`,
    )
    await world.run(Promise.all(before))
  }
  await world.close()
})

test("a key that one thread removes or switches off, and a policy that it changes, hold at once in all others", async () => {
  const { world, threads } = await opened(3)
  const userName = "user"
  const user = { accountId: ROOT, kind: "user", name: userName } as const
  const terms = { path: "/", tags: [], boundary: undefined, role: undefined }
  await world.run(anyOf(threads).identities.create({ ...user, ...terms }))
  const policyOf = (action: string) =>
    JSON.stringify({
      Version: "2012-10-17",
      Statement: [{ Effect: "Allow", Action: action, Resource: "arn:aws:s3:::*" }],
    })
  for (let round = 0; round < ROUNDS; round += 1) {
    const { key, secret } = await world.run(anyOf(threads).accounts.createKey({ accountId: ROOT, userName }))
    const known = () =>
      world.run(
        Promise.all(
          threads.map(async ({ accounts }) => accounts.secretOf(key.id, undefined, world.machine.clock.wallMs())),
        ),
      )
    const secrets = async () => (await known()).map(found => found?.secret)
    assert.deepEqual(
      await secrets(),
      threads.map(() => secret),
    )
    const action = anyOf(["s3:GetObject", "s3:PutObject"])
    await world.run(anyOf(threads).identities.putInline(user, "inline", policyOf(action)))
    for (const found of await known()) assert.ok(JSON.stringify(found?.policies).includes(action), `${action} holds`)
    await world.run(anyOf(threads).accounts.setKeyActive(key.id, false))
    assert.deepEqual(
      await secrets(),
      threads.map(() => undefined),
    )
    await world.run(anyOf(threads).accounts.setKeyActive(key.id, true))
    assert.deepEqual(
      await secrets(),
      threads.map(() => secret),
    )
    await world.run(anyOf(threads).accounts.removeKey(key.id))
    assert.deepEqual(
      await secrets(),
      threads.map(() => undefined),
    )
  }
  await world.close()
})

const kindsOf = (settled: readonly PromiseSettledResult<unknown>[]): string[] =>
  settled.map(each => (each.status === "fulfilled" ? "done" : asFailure(each.reason).kind)).sort()

test("of many conditional writes of one key over all threads exactly one wins", async () => {
  const { world, services } = await opened(4)
  for (const bytes of [100, 200 * KIB]) {
    for (let round = 0; round < 4; round += 1) {
      const key = `key ${bytes} ${round}`
      const bodies = Array.from({ length: 32 }, () => random.bytes(bytes))
      const puts = bodies.map((body, at) =>
        world.putting(must(services[at % services.length], "a thread"), key, body, {
          conditions: { ifNoneMatch: ["*"] },
        }),
      )
      const settled = await world.run(Promise.allSettled(puts))
      const kinds = kindsOf(settled)
      assert.deepEqual(kinds, ["done", ...Array.from({ length: 31 }, () => "preconditionFailed")])
      const winner = settled.findIndex(({ status }) => status === "fulfilled")
      for (const reader of services) {
        assert.ok((await world.get(reader, key)).equals(must(bodies[winner], "one has won")))
      }
    }
  }
  await world.settle("collector")
  await world.close()
})

test("appends of all threads get ranges of their own; of those at one offset one wins", async () => {
  const { world, services } = await opened(3)
  const bucket = await world.run(world.bucketOf(anyOf(services)))
  await world.run(anyOf(services).buckets.setSetting(bucket, "append", "{}"))
  const append = async (thread: StoreServices, key: string, bytes: Uint8Array, atOffset?: number) => {
    const target = { bucket: await world.bucketOf(thread), key: objectKeyOfText(key), atOffset, appendId: undefined }
    return thread.appends.append({ ...PLAIN_WRITE, ...target, body: sourceOf(bytes) })
  }
  const pieces = Array.from({ length: 40 }, (_, at) => Buffer.from(random.bytes(1 + ((at * 7919) % 3_000))))
  const done = await world.run(Promise.all(pieces.map(piece => append(anyOf(services), "log", piece))))
  const whole = await world.get(anyOf(services), "log")
  assert.equal(
    whole.length,
    pieces.reduce((sum, { length }) => sum + length, 0),
  )
  for (const [at, { offsetBytes }] of done.entries()) {
    const piece = must(pieces[at], "it was appended")
    assert.ok(piece.equals(whole.subarray(offsetBytes, offsetBytes + piece.length)))
  }
  for (let round = 0; round < ROUNDS; round += 1) {
    const { length } = await world.get(anyOf(services), "log")
    const rivals = services.map(thread => append(thread, "log", random.bytes(500), length))
    assert.deepEqual(kindsOf(await world.run(Promise.allSettled(rivals))), [
      "done",
      ...services.slice(1).map(() => "invalidWriteOffset"),
    ])
  }
  await world.close()
})

test("an upload that several threads complete at once becomes one object, and all who named its parts learn of it", async () => {
  const { world, services } = await opened(2)
  for (let round = 0; round < 4; round += 1) {
    const key = objectKeyOfText(`parts ${round}`)
    const bucket = await world.run(world.bucketOf(anyOf(services)))
    const creation = { bucket, key, attributes: PLAIN_WRITE.attributes, tags: [], checksum: undefined }
    const { multipartId } = await world.run(anyOf(services).multipart.create(creation))
    const target = { bucket, key, multipartId }
    const bodies = [PART_BYTES_MIN, PART_BYTES_MIN, 10 * KIB].map(bytes => Buffer.from(random.bytes(bytes)))
    const parts = await world.run(
      Promise.all(
        bodies.map(async (body, at) => {
          const request = { ...target, partNumber: at + 1, body: sourceOf(body), signal: noSignal }
          const { etag } = await anyOf(services).multipart.putPart(request)
          return { partNumber: at + 1, etag, checksum: undefined }
        }),
      ),
    )
    const isSame = round % 2 === 0
    const complete = (thread: StoreServices, at: number) =>
      thread.multipart.complete({
        ...target,
        parts: isSame ? parts : parts.slice(0, parts.length - at),
        conditions: {},
        sizeBytes: undefined,
        checksum: undefined,
        checksumType: undefined,
        signal: noSignal,
      })
    const settled = await world.run(Promise.allSettled(services.map(complete)))
    const etags = settled.flatMap(each => (each.status === "fulfilled" ? [each.value.etag] : []))
    assert.ok(etags.length > 0, kindsOf(settled).join())
    if (isSame) assert.equal(etags.length, services.length, kindsOf(settled).join())
    else assert.equal(etags.length, 1, kindsOf(settled).join())
    assert.equal(new Set(etags).size, 1)
    const left = isSame ? 0 : settled.findIndex(({ status }) => status === "fulfilled")
    const whole = Buffer.concat(bodies.slice(0, bodies.length - left))
    for (const reader of services) assert.ok(whole.equals(await world.get(reader, `parts ${round}`)))
    await world.remove(anyOf(services), `parts ${round}`)
  }
  await world.settle("collector")
  assert.equal(world.needles, 0)
  await world.close()
})

test("versions have one order for all threads: that of their answers", async () => {
  const { world, services } = await opened(3)
  const bucket = await world.run(world.bucketOf(anyOf(services)))
  await world.run(anyOf(services).buckets.setVersioning(bucket, "enabled"))
  const acknowledged: (string | undefined)[] = []
  for (let round = 0; round < ROUNDS; round += 1) {
    const { versionId } = await world.run(world.putting(anyOf(services), "versions", random.bytes(random.below(5_000))))
    acknowledged.unshift(versionId)
  }
  const listed = async (thread: StoreServices) => {
    const page = { prefix: "", delimiter: "", keyMarker: "", versionIdMarker: undefined, max: 1_000 }
    const { entries } = await thread.objects.listVersions({ bucket: await world.bucketOf(thread), ...page })
    return entries.map(entry => (entry.kind === "prefix" ? undefined : entry.versionId))
  }
  for (const reader of services) assert.deepEqual(await world.run(listed(reader)), acknowledged)
  const rivals = Array.from({ length: 16 }, () =>
    world.putting(anyOf(services), "versions", random.bytes((2 * MIB) / 64)),
  )
  const made = (await world.run(Promise.all(rivals))).map(({ versionId }) => versionId)
  const order = await world.run(listed(anyOf(services)))
  assert.deepEqual(order.slice(16), acknowledged)
  assert.deepEqual(new Set(order.slice(0, 16)), new Set(made))
  for (const reader of services) assert.deepEqual(await world.run(listed(reader)), order)
  await world.close()
})
