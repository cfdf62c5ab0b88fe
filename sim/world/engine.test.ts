import assert from "node:assert/strict"
import { test } from "node:test"
import { objectKeyOfText, parseAccountId, parseBucketName } from "@hayloft/base/ids.js"
import { isFailure } from "@hayloft/base/failures.js"
import type { Engine } from "@hayloft/node/engine.js"
import type { Bucket } from "@hayloft/objects/index.js"
import { sourceOf } from "./bodies.js"
import { World } from "./world.js"

const owner = parseAccountId("root")
const never = new AbortController().signal

const put = (engine: Engine, bucket: Bucket, key: string, bytes: Uint8Array) =>
  engine.services.objects.put({
    bucket,
    key: objectKeyOfText(key),
    attributes: { headers: { contentType: "text/plain" }, userMetadata: [["a", "b"]] },
    tags: [],
    conditions: {},
    body: sourceOf(bytes),
    signal: never,
  })

async function get(engine: Engine, bucket: Bucket, key: string): Promise<Uint8Array> {
  const body = await engine.services.objects.get({ bucket, key: objectKeyOfText(key), conditions: {} })
  const parts: Uint8Array[] = []
  for await (const part of body.read(never)) parts.push(part)
  return Buffer.concat(parts)
}

for (const devices of [1, 2, 4, 7]) {
  test(`objects of all sizes survive restarts and kills on ${devices} devices`, async () => {
    const world = new World({ seed: devices, devices })
    const random = world.random.fork("bodies")
    let engine = await world.start()
    const name = parseBucketName("first")
    await engine.services.buckets.create({ name, owner, location: "" })
    const bodies = new Map<string, Uint8Array>()
    for (const size of [0, 1, 4096, 4097, 65_536, 131_072, 131_073, 500_000, 1_000_000]) {
      bodies.set(`size-${size}`, random.bytes(size))
    }
    for (const [key, bytes] of bodies) await put(engine, await engine.services.buckets.open(name), key, bytes)
    const endings = [() => world.stop(engine), async () => world.kill(), async () => world.crash()]
    for (const end of endings) {
      const bucket = await engine.services.buckets.open(name)
      for (const [key, bytes] of bodies) assert.deepEqual(await get(engine, bucket, key), Buffer.from(bytes), key)
      assert.equal((await engine.services.buckets.usage(bucket)).objects, bodies.size)
      await end()
      engine = await world.start()
    }
    const bucket = await engine.services.buckets.open(name)
    for (const [key, bytes] of bodies) assert.deepEqual(await get(engine, bucket, key), Buffer.from(bytes), key)
    const page = await engine.services.objects.list({ bucket, prefix: "", delimiter: "", after: "", max: 1000 })
    assert.deepEqual(
      page.entries.map(entry => (entry.kind === "object" ? String(entry.object.key) : "")),
      [...bodies.keys()].sort(),
    )
    await engine.services.objects.remove({ bucket, key: objectKeyOfText("size-1"), conditions: {} })
    await assert.rejects(get(engine, bucket, "size-1"), error => isFailure(error, "noSuchKey"))
    await world.stop(engine)
  })
}
