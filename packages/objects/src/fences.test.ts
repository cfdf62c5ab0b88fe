/** Writes of objects with a fence: each is refused in its own decision once the lock is not held with the token any more. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { Coordination } from "@hayloft/features/locks/index.js"
import type { Fence, LockMode } from "@hayloft/base/fence.js"
import { isFailure } from "@hayloft/base/failures.js"
import { objectKeyOfText, parseAccountId, parseCoordPath, parseVersionId, type SessionId } from "@hayloft/base/ids.js"
import type { Bucket, Conditions } from "./contract.js"
import { noSignal, open, type World } from "@hayloft/upkeep/repair/testing-repair.js"
import { heldSource, sourceOf } from "./bodies/testing-bodies.js"

const ACCOUNT = parseAccountId("main")
const LOCK = { account: ACCOUNT, path: parseCoordPath("jobs/leader") }
const KEY = objectKeyOfText("guarded")
const OTHER = objectKeyOfText("other")
const ATTRIBUTES = { headers: {}, userMetadata: [] }
const OLD = Buffer.from("old")
const NULL = parseVersionId("null")

class Scene {
  readonly coordination: Coordination

  private constructor(
    readonly world: World,
    readonly bucket: Bucket,
  ) {
    const { clock, random, tablet: metadata } = world
    this.coordination = new Coordination({ clock, random, metadata, prepare: async () => undefined, isShared: false })
  }

  static async open(): Promise<Scene> {
    const world = await open("replica:2")
    await world.clock.runUntil(world.services.storeClock.start())
    await world.clock.runUntil(world.services.buckets.setSetting(world.home, "append", "{}"))
    const scene = new Scene(world, await world.services.buckets.open(world.home.name))
    for (const key of [KEY, OTHER]) await scene.run(scene.put(key, OLD, {}))
    return scene
  }

  run<T>(work: Promise<T>): Promise<T> {
    return this.world.clock.runUntil(work)
  }

  async begin(): Promise<SessionId> {
    return (await this.coordination.begin(ACCOUNT, { name: "n", principal: "arn" })).id
  }

  async take(session: SessionId, mode: LockMode = "exclusive"): Promise<Fence> {
    const outcome = await this.coordination.acquire({ ...LOCK, session, mode, waits: false, value: "" })
    assert.ok(outcome.kind === "acquired")
    return { ...LOCK, mode, token: outcome.holder.token }
  }

  async release(session: SessionId): Promise<void> {
    await this.coordination.release({ ...LOCK, session })
  }

  put(key: typeof KEY, bytes: Uint8Array, conditions: Conditions) {
    const request = { ...this.world.putting(key, sourceOf(bytes)), bucket: this.bucket, conditions }
    return this.world.services.objects.put(request)
  }

  text(key: typeof KEY): Promise<string> {
    return this.world.get(key).then(bytes => Buffer.from(bytes).toString())
  }
}

type Write = (scene: Scene, conditions: Conditions) => Promise<unknown>

async function complete({ world, bucket }: Scene, conditions: Conditions): Promise<unknown> {
  const { multipart } = world.services
  const target = { bucket, key: KEY }
  const described = { attributes: ATTRIBUTES, tags: [], checksum: undefined }
  const { multipartId } = await multipart.create({ ...target, ...described })
  const part = { ...target, multipartId, partNumber: 1, body: sourceOf(Buffer.from("part")), signal: noSignal }
  const { etag } = await multipart.putPart(part)
  return multipart.complete({
    ...target,
    multipartId,
    conditions,
    signal: noSignal,
    parts: [{ partNumber: 1, etag, checksum: undefined }],
    sizeBytes: undefined,
    checksum: undefined,
    checksumType: undefined,
  })
}

async function join({ world, bucket }: Scene, conditions: Conditions): Promise<unknown> {
  const { multipart } = world.services
  const target = { bucket, key: KEY }
  const described = { attributes: ATTRIBUTES, tags: [], checksum: undefined }
  const { multipartId } = await multipart.create({ ...target, ...described })
  return multipart.complete({
    ...target,
    multipartId,
    conditions,
    signal: noSignal,
    parts: [],
    sources: [{ key: OTHER, conditions: {} }],
    sizeBytes: undefined,
    checksum: undefined,
    checksumType: undefined,
  })
}

const WRITES: Readonly<Record<string, Write>> = {
  "a small object": (scene, conditions) => scene.put(KEY, Buffer.from("new"), conditions),
  "a large object": (scene, conditions) => scene.put(KEY, Buffer.alloc(100_001, "x"), conditions),
  "a completed upload": complete,
  "joined objects": join,
  "a removed object": ({ world, bucket }, conditions) =>
    world.services.objects.remove({ bucket, key: KEY, conditions }),
  "a removed version": async ({ world, bucket }, conditions) => {
    const { versionId } = await world.services.objects.getTags({ bucket, key: KEY })
    return world.services.objects.remove({ bucket, key: KEY, versionId: versionId ?? NULL, conditions })
  },
  "a copied object": ({ world, bucket }, conditions) =>
    world.services.objects.copy({
      bucket,
      key: KEY,
      conditions,
      signal: noSignal,
      source: { bucket, key: OTHER, conditions: {} },
      replaceAttributes: undefined,
      replaceTags: undefined,
      checksumAlgorithm: undefined,
    }),
  "a renamed object": ({ world, bucket }, conditions) =>
    world.services.renames.rename({
      bucket,
      from: OTHER,
      to: KEY,
      conditions,
      sourceConditions: {},
      clientToken: undefined,
      signal: noSignal,
    }),
  "an appended record": ({ world, bucket }, conditions) =>
    world.services.appends.append({
      bucket,
      key: KEY,
      tags: [],
      signal: noSignal,
      body: sourceOf(Buffer.from("more")),
      conditions,
      attributes: ATTRIBUTES,
      atOffset: undefined,
      appendId: undefined,
    }),
  "set attributes": ({ world, bucket }, conditions) =>
    world.services.objects.setAttributes({ bucket, key: KEY, attributes: ATTRIBUTES, conditions }),
}

const isRefused = (error: unknown): boolean =>
  isFailure(error, "preconditionFailed") && error.details["condition"] === "x-hayloft-fence"

for (const [name, write] of Object.entries(WRITES)) {
  test(`${name}: needs the lock of its fence`, async () => {
    const scene = await Scene.open()
    const session = await scene.begin()
    const fence = await scene.take(session)
    const refuses = (wrong: Partial<Fence>) =>
      assert.rejects(scene.run(write(scene, { fence: { ...fence, ...wrong } })), isRefused)
    await refuses({ token: fence.token + 1 })
    await refuses({ mode: "shared" })
    await refuses({ path: parseCoordPath("jobs/other") })
    await refuses({ account: parseAccountId("other") })
    await scene.release(session)
    await refuses({})
    const next = await scene.take(await scene.begin(), "shared")
    await refuses({})
    assert.equal(await scene.text(KEY), "old")
    assert.equal(await scene.text(OTHER), "old")
    await scene.run(write(scene, { fence: next }))
  })
}

test("a write whose lock is lost while its body arrives is refused", async () => {
  const scene = await Scene.open()
  const session = await scene.begin()
  const fence = await scene.take(session)
  const { slow, goOn } = heldSource(Buffer.alloc(100_001, "x"))
  const { world, bucket } = scene
  const request = { ...world.putting(KEY, slow), bucket, conditions: { fence } }
  const writing = assert.rejects(world.services.objects.put(request), isRefused)
  await world.clock.advance(1_000)
  await scene.coordination.end({ account: ACCOUNT, id: session })
  goOn()
  await scene.run(writing)
  assert.equal(await scene.text(KEY), "old")
})
