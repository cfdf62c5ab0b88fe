/** Objects that end are placed apart, by the object or by a rule; and how many reads of a device a GET takes. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { objectKeyOfText } from "@hayloft/base/ids.js"
import { KIB } from "@hayloft/base/limits.js"
import { encodeLifecycleRules } from "@hayloft/engine/format/objects/lifecycle-rules.js"
import type { Bucket, PutRequest } from "@hayloft/objects/index.js"
import type { Engine } from "./engine.js"
import { bytesOf, createBucket, Machine, noSignal, sourceOf } from "./testing-engine.js"

const DAY_MS = 86_400_000
const BODY_BYTES = 8 * KIB

class Story {
  private constructor(
    readonly machine: Machine,
    readonly engine: Engine,
    private readonly created: Bucket,
  ) {}

  static async begin(devices: number, blockBytes = 64 * KIB): Promise<Story> {
    const machine = new Machine({ devices, blockBytes })
    const engine = await machine.open()
    return new Story(machine, engine, await createBucket(engine))
  }

  get bucket(): Promise<Bucket> {
    return this.opened()
  }

  private async opened(): Promise<Bucket> {
    return this.engine.services.buckets.open(this.created.name)
  }

  run<T>(work: Promise<T>): Promise<T> {
    return this.machine.clock.runUntil(work)
  }

  async put(name: string, lengthBytes = BODY_BYTES, more: Partial<PutRequest> = {}): Promise<void> {
    const given = { attributes: { headers: {}, userMetadata: [] }, tags: [], conditions: {}, signal: noSignal }
    const what = { ...given, bucket: await this.bucket, key: objectKeyOfText(name), ...more }
    await this.run(this.engine.services.objects.put({ ...what, body: sourceOf(Buffer.alloc(lengthBytes, name)) }))
  }

  async get(name: string, headersOnly = false): Promise<Buffer> {
    const request = { bucket: await this.bucket, key: objectKeyOfText(name), conditions: {}, headersOnly }
    const found = await this.engine.services.objects.get(request)
    if (!headersOnly) return this.run(bytesOf(found))
    found.close()
    return Buffer.alloc(0)
  }

  async expire(prefix: string, days: number, tags?: readonly (readonly [string, string])[]): Promise<void> {
    const filter = { form: "and" as const, prefix, ...(tags && { tags }) }
    const rules = [{ id: "rule", isEnabled: true, filter, expiration: { days } }]
    const document = encodeLifecycleRules({ transitionMinimum: "all_storage_classes_128K", rules })
    await this.engine.services.buckets.setSetting(await this.bucket, "lifecycle", document)
  }

  /** The needles in volumes of each class, of all devices; "" for the ordinary ones. */
  get placed(): Readonly<Record<string, number>> {
    const found: Record<string, number> = {}
    for (const { volumes } of this.engine.devices) {
      const all = [
        { name: "", of: volumes.ordinary },
        ...volumes.expiring.map(each => ({ name: each.ends.name, of: each.volumes })),
      ]
      for (const { name, of } of all) {
        const { usages } = of.upkeep
        while (!usages.isCounted) usages.countSome(1_000)
        const live = usages.list().reduce((sum, { liveNeedles }) => sum + liveNeedles, 0)
        if (live > 0) found[name] = (found[name] ?? 0) + live
      }
    }
    return found
  }

  /** Reads of devices while the work runs. */
  async readsOf(work: () => Promise<unknown>): Promise<readonly string[]> {
    const reads: string[] = []
    this.machine.disk.intercept(call => {
      if (call.kind === "read" || call.kind === "readSync") reads.push(call.path)
    })
    await work()
    this.machine.disk.intercept(() => undefined)
    return reads
  }

  async checkpoint(): Promise<void> {
    for (const { checkpointer } of this.engine.devices) await this.run(checkpointer.checkpoint())
  }
}

test("an expiry of the object and the first rule that matches decide where its needles are", async () => {
  const story = await Story.begin(1)
  const seconds = (days: number): number => Math.ceil((story.machine.clock.wallMs() + days * DAY_MS) / 1000)
  await story.put("stays")
  assert.deepEqual(story.placed, { "": 1 })
  await story.put("own", BODY_BYTES, { expiresAtSeconds: seconds(0.5) })
  assert.deepEqual(story.placed, { "": 1, "1d": 1 })
  await story.expire("logs/", 7, [["kind", "log"]])
  await story.put("logs/a", BODY_BYTES, { tags: [["kind", "log"]] })
  await story.put("logs/b", BODY_BYTES, { tags: [["kind", "other"]] })
  await story.put("logs/c", BODY_BYTES, { tags: [["kind", "log"]], expiresAtSeconds: seconds(2) })
  await story.put("logs/d", BODY_BYTES, { tags: [["kind", "log"]], expiresAtSeconds: seconds(300) })
  assert.deepEqual(story.placed, { "": 2, "1d": 1, "3d": 1, "10d": 2 })
  for (const name of ["stays", "own", "logs/a", "logs/b", "logs/c", "logs/d"]) {
    assert.equal((await story.get(name)).length, BODY_BYTES)
  }
  await story.run(story.engine.stop())
})

test("parts of a multipart upload end as the rules say", async () => {
  const story = await Story.begin(1)
  await story.expire("", 20)
  const { multipart } = story.engine.services
  const target = { bucket: await story.bucket, key: objectKeyOfText("large") }
  const described = { attributes: { headers: {}, userMetadata: [] }, tags: [], checksum: undefined }
  const { multipartId } = await multipart.create({ ...target, ...described })
  const body = sourceOf(Buffer.alloc(BODY_BYTES, "p"))
  await story.run(multipart.putPart({ ...target, multipartId, signal: noSignal, partNumber: 1, body }))
  assert.deepEqual(story.placed, { "32d": 1 })
  await story.run(story.engine.stop())
})

test("in a bucket with versions nothing ends, and undelete makes everything end later", async () => {
  const story = await Story.begin(1)
  await story.expire("", 2)
  const { buckets, undelete } = story.engine.services
  await undelete.setUndelete((await story.bucket).id, 7)
  await story.put("kept")
  assert.deepEqual(story.placed, { "10d": 1 })
  await undelete.setUndelete((await story.bucket).id, undefined)
  await buckets.setVersioning(await story.bucket, "enabled")
  await story.put("version")
  assert.deepEqual(story.placed, { "": 1, "10d": 1 })
  await story.run(story.engine.stop())
})

for (const devices of [1, 6]) {
  test(`a GET of an object of 4,096 bytes is one read of a device, with ${devices}`, async () => {
    const story = await Story.begin(devices, 128 * KIB)
    const sizes = [4_096, 4_097, 64 * KIB]
    for (const size of sizes) await story.put(`of ${size}`, size)
    await story.checkpoint()
    const counted: number[] = []
    for (const size of sizes) {
      // The metadata is warm: the row of the object, and of larger ones those of its needles.
      await story.get(`of ${size}`, size <= 4_096)
      const reads = await story.readsOf(async () => assert.equal((await story.get(`of ${size}`)).length, size))
      counted.push(reads.length)
    }
    // For larger objects each data shard is read once: four with ec:4+2.
    assert.deepEqual(counted, devices === 1 ? [1, 1, 1] : [1, 4, 4], `reads for ${sizes.join(", ")} bytes`)
    await story.run(story.engine.stop())
  })
}
