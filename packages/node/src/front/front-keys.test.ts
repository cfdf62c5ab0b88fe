/** Keys of a store through fronts: encrypted buckets, epoch keys, and the rotation of the master key. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { isFailure } from "@hayloft/base/failures.js"
import { objectKeyOfText, parseAccountId, parseBucketName, type AccessKeyId } from "@hayloft/base/ids.js"
import { KIB } from "@hayloft/base/limits.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { TEST_SEED } from "@hayloft/base/testing-seed.js"
import type { StoreServices } from "@hayloft/features/index.js"
import type { Bucket } from "@hayloft/objects/index.js"
import { bytesOf, Machine, sourceOf } from "../testing-engine.js"
import { FrontWorld, PLAIN_WRITE } from "./testing-fronts.js"

const random = new SimRandom(TEST_SEED)
const ROOT = parseAccountId("root")
const NEXT = new Uint8Array(32).fill(2)
const SIZES = [3 * KIB, 200 * KIB + 1]

async function opened(fronts: number) {
  const world = await FrontWorld.withBucket(new Machine({ devices: 3, nextMasterKey: NEXT }), TEST_SEED)
  const begun = await world.begins(fronts)
  return { world, threads: [world.engine, ...begun.map(({ store }) => store)] }
}

const made = (thread: StoreServices, name: string) =>
  thread.buckets.create({ name: parseBucketName(name), owner: ROOT, location: "" })

const encrypted = (thread: StoreServices, bucket: Bucket, name: string, body: Uint8Array) =>
  thread.objects.put({
    ...PLAIN_WRITE,
    bucket,
    key: objectKeyOfText(name),
    body: sourceOf(body),
    encryption: { mode: "s3" },
  })

async function got(thread: StoreServices, bucketName: string, name: string): Promise<Buffer> {
  await thread.buckets.confirm()
  const bucket = await thread.buckets.openConfirmed(parseBucketName(bucketName))
  return bytesOf(await thread.objects.get({ bucket, key: objectKeyOfText(name), conditions: {} }))
}

test("fronts that encrypt for the first time at once make one epoch key, and one secret for each bucket", async () => {
  const { world, threads } = await opened(3)
  const bodies = SIZES.map(bytes => Buffer.from(random.bytes(bytes)))
  const names = ["one", "two", "three"]
  const buckets = await world.run(
    Promise.all(names.map((name, at) => made(must(threads[at], "it runs").services, name))),
  )
  const puts = buckets.flatMap(bucket =>
    threads
      .slice(1)
      .flatMap(({ services }, from) =>
        bodies.map((body, at) => encrypted(services, bucket, `from ${from} of ${at}`, body)),
      ),
  )
  await world.run(Promise.all(puts))
  assert.equal(world.engine.recordManager.record.keyring?.epochs.length, 1)
  const late = await world.begin()
  for (const { services } of [...threads, late]) {
    for (const name of names) {
      for (const [at, body] of bodies.entries()) {
        for (const from of threads.slice(1).keys())
          assert.ok(body.equals(await world.run(got(services, name, `from ${from} of ${at}`))))
      }
    }
  }
  await world.close()
})

test("while a bucket is erased, others that fronts begin to encrypt have keys that last", async () => {
  const { world, threads } = await opened(3)
  const [engine, ...fronts] = threads.map(({ services }) => services)
  assert.ok(engine)
  const doomed = await world.run(made(engine, "doomed"))
  const body = Buffer.from(random.bytes(100 * KIB))
  for (const front of fronts) await world.run(encrypted(front, doomed, "gone", body))
  const buckets = await world.run(Promise.all([0, 1, 2, 3, 4, 5].map(at => made(engine, `bucket-${at}`))))
  const id = await world.run(world.engine.erasures.begin(doomed.name, "doomed"))
  const puts: Promise<unknown>[] = []
  for (let steps = 0; steps < 200; steps += 1) {
    const bucket = steps % 3 === 0 ? buckets[steps / 3] : undefined
    const front = must(fronts[steps % fronts.length], "it runs")
    if (bucket !== undefined) puts.push(encrypted(front, bucket, "kept", body))
    await world.run(world.engine.erasures.step())
    await world.run(must(world.engine.services.metadataBackup, "it is made").step())
  }
  await world.run(Promise.all(puts))
  assert.equal((await world.run(world.engine.erasures.state(id))).state, "erased")
  const late = await world.begin()
  for (const front of [...fronts, late.services]) {
    await assert.rejects(world.run(got(front, "doomed", "gone")), error => isFailure(error, "noSuchBucket"))
    for (const { name } of buckets) assert.ok(body.equals(await world.run(got(front, name, "kept"))))
  }
  await world.close()
})

test("a rotation of the master key holds for all threads: keys, sessions and encrypted objects of before and after", async () => {
  const { world, threads } = await opened(3)
  const { clock } = world.machine
  const nowMs = clock.wallMs()
  const body = Buffer.from(random.bytes(100 * KIB))
  const bucket = await world.run(made(must(threads[1], "a front").services, "sealed"))
  await world.run(encrypted(must(threads[2], "a front").services, bucket, "before", body))
  const make = async ({ accounts, sessions }: (typeof threads)[number]) => {
    const { key, secret } = await accounts.createKey({ accountId: ROOT, userName: undefined })
    const caller = must(await accounts.secretOf(key.id, undefined, nowMs), "it was made")
    return { id: key.id, secret, session: sessions.ofKey(caller, { seconds: undefined, nowMs }) }
  }
  const keys = await world.run(Promise.all(threads.map(make)))
  // Some are made while it happens, by threads that do not know of it yet.
  const during = Promise.all(threads.flatMap(thread => [make(thread), make(thread)]))
  await world.run(world.engine.masterKey.rotate())
  keys.push(...(await world.run(during)))
  const late = await world.begin()
  keys.push(...(await world.run(Promise.all([...threads, late.store].map(make)))))
  await world.run(encrypted(late.services, bucket, "after", body))
  const check = async (): Promise<void> => {
    for (const { accounts, services } of [...threads, late.store]) {
      for (const { id, secret, session } of keys) {
        const known = async (...key: readonly [AccessKeyId, string | undefined]) => accounts.secretOf(...key, nowMs)
        assert.equal((await world.run(known(id, undefined)))?.secret, secret)
        assert.equal((await world.run(known(session.accessKeyId, session.token)))?.secret, session.secret)
      }
      for (const name of ["before", "after"]) assert.ok(body.equals(await world.run(got(services, "sealed", name))))
    }
  }
  await check()
  await world.settle("master-key")
  await check()
  await world.close()
})
