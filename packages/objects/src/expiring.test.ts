/** Expiring objects over devices: from their second on they are gone for every request, and lifecycle removes them soon after. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { isFailure, type FailureKind } from "@hayloft/base/failures.js"
import { objectKeyOfText, parseVersionId, type VersionId } from "@hayloft/base/ids.js"
import type { Versioning } from "@hayloft/engine/format/records.js"
import { noSignal, open, type World } from "@hayloft/upkeep/repair/testing-repair.js"
import { SMALL_PART_BYTES } from "@hayloft/upkeep/testing-services.js"
import { sourceOf } from "./bodies/testing-bodies.js"

const BODY = Buffer.alloc(30_000, "x")
const NULL = parseVersionId("null")

/** A moment at which decisions of the rows in memory are made too. */
const START_MS = 1_800_000_000_000
const START = START_MS / 1000

class Scene {
  private constructor(readonly world: World) {}

  static async open(versioning: Versioning = "never"): Promise<Scene> {
    const world = await open("replica:2")
    await world.clock.advance(START_MS - world.clock.wallMs())
    // Decisions are made at the time of the clock.
    world.tablet.aheadMs = START_MS - 1_700_000_000_000
    await world.clock.runUntil(world.services.storeClock.start())
    const scene = new Scene(world)
    if (versioning !== "never") await scene.setVersioning("enabled")
    if (versioning === "suspended") await scene.setVersioning("suspended")
    return scene
  }

  /** Time passes for requests and decisions. */
  async pass(seconds: number): Promise<void> {
    await this.world.clock.advance(seconds * 1000)
    this.world.tablet.aheadMs += seconds * 1000
  }

  run<T>(work: Promise<T>): Promise<T> {
    return this.world.clock.runUntil(work)
  }

  setVersioning(versioning: "enabled" | "suspended"): Promise<void> {
    return this.run(this.world.services.buckets.setVersioning(this.world.home, versioning))
  }

  /** The bucket as it is now, opened the way requests open it. */
  get bucket() {
    return this.run(Promise.resolve(this.world.services.buckets.open(this.world.home.name)))
  }

  async target(key: string, versionId?: VersionId) {
    const named = versionId === undefined ? {} : { versionId }
    return { bucket: await this.bucket, key: objectKeyOfText(key), conditions: {}, ...named }
  }

  async put(key: string, expiresAtSeconds?: number, conditions = {}) {
    const request = this.world.putting(key, sourceOf(BODY))
    const { objects } = this.world.services
    return this.run(objects.put({ ...request, bucket: await this.bucket, conditions, expiresAtSeconds }))
  }

  /** "there", or the failure. */
  async get(key: string, versionId?: VersionId): Promise<string> {
    const target = await this.target(key, versionId)
    try {
      const body = await this.run(Promise.resolve(this.world.services.objects.get(target)))
      body.close()
      return "there"
    } catch (error) {
      if (!isFailure(error)) throw error
      return error.kind
    }
  }

  async listed(): Promise<readonly string[]> {
    const request = { bucket: await this.bucket, prefix: "", delimiter: "", after: "", max: 100 }
    const { entries } = await this.run(this.world.services.objects.list(request))
    return entries.map(entry => (entry.kind === "object" ? entry.object.key : entry.prefix))
  }

  remove(): Promise<number> {
    return this.world.settle("lifecycle")
  }
}

const refuses = (work: Promise<unknown>, kind: FailureKind): Promise<void> =>
  assert.rejects(work, error => isFailure(error, kind))

test("an object is there until its second, and gone from it on, whether it was removed or not", async () => {
  const scene = await Scene.open()
  await scene.put("a", START + 10)
  await scene.put("stays")
  const shown = await scene.run(Promise.resolve(scene.world.services.objects.get(await scene.target("a"))))
  assert.equal(shown.info.expiresAtSeconds, START + 10)
  shown.close()
  await scene.pass(9)
  assert.equal(await scene.get("a"), "there")
  await scene.pass(1)
  assert.equal(await scene.get("a"), "noSuchKey")
  assert.equal(await scene.get("a", NULL), "noSuchVersion")
  assert.equal(await scene.get("stays"), "there")
  // A listing shows it until lifecycle has removed it.
  assert.deepEqual(await scene.listed(), ["a", "stays"])
  await scene.remove()
  assert.deepEqual(await scene.listed(), ["stays"])
  assert.equal(await scene.get("a"), "noSuchKey")
})

test("every request on an expired object fails as on none", async () => {
  const scene = await Scene.open()
  await scene.put("a", START + 10)
  await scene.pass(10)
  const { objects, renames } = scene.world.services
  const target = await scene.target("a")
  const attributes = { headers: {}, userMetadata: [] }
  await refuses(scene.run(objects.setTags(target, [["x", "y"]])), "noSuchKey")
  await refuses(scene.run(objects.getTags(target)), "noSuchKey")
  await refuses(scene.run(objects.setAcl(target, undefined)), "noSuchKey")
  await refuses(scene.run(objects.setAttributes({ ...target, attributes })), "noSuchKey")
  await refuses(scene.run(objects.parts(target, { afterPart: 0, max: 10 })), "noSuchKey")
  const { bucket } = target
  const copied = { source: target, bucket, key: objectKeyOfText("copy"), conditions: {}, signal: noSignal }
  const copy = { ...copied, replaceAttributes: undefined, replaceTags: undefined, checksumAlgorithm: undefined }
  await refuses(scene.run(objects.copy(copy)), "noSuchKey")
  const renamed = { bucket, from: objectKeyOfText("a"), to: objectKeyOfText("b"), clientToken: undefined }
  const conditions = { sourceConditions: {}, conditions: {}, signal: noSignal }
  await refuses(scene.run(renames.rename({ ...renamed, ...conditions })), "noSuchKey")
  await refuses(scene.run(objects.remove({ ...target, conditions: { ifMatch: ["*"] } })), "noSuchKey")
})

test("conditions of writes find no object once it has expired, and the new one does not expire", async () => {
  const scene = await Scene.open()
  await scene.put("a", START + 10)
  await refuses(scene.put("a", undefined, { ifNoneMatch: ["*"] }), "preconditionFailed")
  await scene.pass(10)
  await refuses(scene.put("a", undefined, { ifMatch: ["*"] }), "noSuchKey")
  await scene.put("a", undefined, { ifNoneMatch: ["*"] })
  await scene.pass(100)
  await scene.remove()
  assert.equal(await scene.get("a"), "there")
})

test("times that have passed, or are none, are refused, and nothing is stored", async () => {
  const scene = await Scene.open()
  for (const at of [START, START - 1, 0, -1, 1.5, NaN, 10_000_000_000])
    await refuses(scene.put("a", at), "invalidArgument")
  assert.equal(await scene.get("a"), "noSuchKey")
})

test("attributes set in place move the time, and end it", async () => {
  const scene = await Scene.open()
  await scene.put("moved", START + 10)
  await scene.put("freed", START + 10)
  await scene.put("given")
  const { objects } = scene.world.services
  const set = async (key: string, expiresAtSeconds: number | undefined) => {
    const attributes = { headers: {}, userMetadata: [] }
    return scene.run(objects.setAttributes({ ...(await scene.target(key)), attributes, expiresAtSeconds }))
  }
  await set("moved", START + 20)
  await set("freed", undefined)
  await set("given", START + 15)
  await refuses(set("given", START), "invalidArgument")
  await scene.pass(10)
  assert.deepEqual(
    [await scene.get("moved"), await scene.get("freed"), await scene.get("given")],
    ["there", "there", "there"],
  )
  await scene.pass(5)
  assert.equal(await scene.get("given"), "noSuchKey")
  await scene.pass(5)
  assert.equal(await scene.get("moved"), "noSuchKey")
  await scene.remove()
  assert.deepEqual(await scene.listed(), ["freed"])
})

test("copies have the time of their request, renamed objects keep theirs, completed uploads may have one", async () => {
  const scene = await Scene.open()
  await scene.put("a", START + 10)
  const { objects, renames, multipart } = scene.world.services
  const source = await scene.target("a")
  const { bucket } = source
  const copy = async (key: string, expiresAtSeconds?: number) => {
    const plain = { replaceAttributes: undefined, replaceTags: undefined, checksumAlgorithm: undefined }
    const to = { bucket, key: objectKeyOfText(key), conditions: {}, ...plain, expiresAtSeconds, signal: noSignal }
    return scene.run(objects.copy({ source, ...to }))
  }
  await copy("free copy")
  await copy("short copy", START + 5)
  const parts = { ...source, key: objectKeyOfText("parts"), attributes: { headers: {}, userMetadata: [] }, tags: [] }
  const { multipartId } = await scene.run(multipart.create({ ...parts, checksum: undefined }))
  const upload = { bucket, key: parts.key, multipartId }
  const body = sourceOf(Buffer.alloc(SMALL_PART_BYTES, "p"))
  const { etag } = await scene.run(multipart.putPart({ ...upload, partNumber: 1, body, signal: noSignal }))
  const listed = { parts: [{ partNumber: 1, etag, checksum: undefined }], sizeBytes: undefined, checksum: undefined }
  const completion = { ...upload, ...listed, conditions: {}, checksumType: undefined, signal: noSignal }
  await refuses(scene.run(multipart.complete({ ...completion, expiresAtSeconds: START })), "invalidArgument")
  await scene.run(multipart.complete({ ...completion, expiresAtSeconds: START + 7 }))
  const rename = { bucket, from: source.key, to: objectKeyOfText("renamed"), clientToken: undefined }
  await scene.run(renames.rename({ ...rename, sourceConditions: {}, conditions: {}, signal: noSignal }))
  const seen = async () => {
    const found: string[] = []
    for (const key of ["free copy", "short copy", "parts", "renamed"]) found.push(`${key} ${await scene.get(key)}`)
    return found
  }
  await scene.pass(4)
  assert.deepEqual(await seen(), ["free copy there", "short copy there", "parts there", "renamed there"])
  await scene.pass(1)
  assert.equal(await scene.get("short copy"), "noSuchKey")
  await scene.pass(2)
  assert.equal(await scene.get("parts"), "noSuchKey")
  assert.equal(await scene.get("renamed"), "there")
  await scene.pass(3)
  assert.equal(await scene.get("renamed"), "noSuchKey")
  await scene.remove()
  assert.deepEqual(await scene.listed(), ["free copy"])
  // The bytes go like those of any removed object.
  await scene.world.settle("collector")
  assert.equal(scene.world.needles, 4)
})

test("in a bucket with versions the object is hidden, and its version stays", async () => {
  const scene = await Scene.open("enabled")
  const { versionId } = await scene.put("a", START + 10)
  const id = must(versionId, "the bucket has versions")
  await scene.pass(10)
  assert.deepEqual([await scene.get("a"), await scene.get("a", id)], ["noSuchKey", "there"])
  await scene.remove()
  assert.deepEqual([await scene.get("a"), await scene.get("a", id)], ["noSuchKey", "there"])
  // A version that another one has replaced in time does not matter any more.
  await scene.put("b", START + 20)
  await scene.put("b")
  await scene.pass(20)
  await scene.remove()
  assert.deepEqual(await scene.listed(), ["b"])
})

test("with versioning suspended the null version goes, and a version before it stays", async () => {
  const scene = await Scene.open("enabled")
  const { versionId } = await scene.put("a")
  await scene.setVersioning("suspended")
  await scene.put("a", START + 10)
  await scene.pass(10)
  for (const after of ["its second", "its removal"]) {
    assert.equal(await scene.get("a"), "noSuchKey", after)
    assert.equal(await scene.get("a", NULL), after === "its second" ? "noSuchVersion" : "isDeleteMarker")
    assert.equal(await scene.get("a", must(versionId, "it is a version")), "there", after)
    await scene.remove()
  }
})

test("lifecycle looks for expired objects every five minutes, without rules, and only where there may be some", async () => {
  const scene = await Scene.open()
  await scene.put("first", START + 10)
  await scene.pass(20)
  await scene.remove()
  assert.deepEqual(await scene.listed(), [])
  await scene.put("second", START + 40)
  await scene.pass(40)
  await scene.remove()
  assert.deepEqual(await scene.listed(), ["second"], "the last pass has just ended")
  await scene.pass(300)
  await scene.remove()
  assert.deepEqual(await scene.listed(), [])
})

test("a process that ends at any point of a removal leaves the object removed or expired", async () => {
  for (let commands = 0; ; commands += 1) {
    const scene = await Scene.open()
    for (const key of ["a", "b", "c"]) await scene.put(key, START + 10)
    await scene.put("stays")
    await scene.pass(10)
    const { tablet } = scene.world
    let left = commands
    tablet.before = () => {
      if ((left -= 1) < 0) throw new Error("the process ends")
    }
    const isOver = await scene.remove().then(
      () => true,
      () => false,
    )
    tablet.before = () => undefined
    for (const key of ["a", "b", "c"]) assert.equal(await scene.get(key), "noSuchKey", `after ${commands} commands`)
    assert.equal(await scene.get("stays"), "there")
    const next = scene.world.restart(2)
    await next.clock.advance(scene.world.clock.wallMs() + 400_000)
    tablet.aheadMs += 400_000
    await next.clock.runUntil(next.services.storeClock.start())
    await next.settle("lifecycle")
    const request = { bucket: next.home, prefix: "", delimiter: "", after: "", max: 100 }
    const { entries } = await next.clock.runUntil(next.services.objects.list(request))
    assert.deepEqual(entries.length, 1, `after ${commands} commands`)
    const usage = await next.clock.runUntil(next.services.buckets.usage(next.home))
    assert.equal(usage.objects, 1)
    if (isOver) break
  }
})

test("before the first such object earlier releases are refused, and each later one waits for nothing", async () => {
  const scene = await Scene.open()
  const commands: string[] = []
  scene.world.tablet.before = name => void commands.push(name)
  await scene.put("a", START + 10)
  await scene.put("b", START + 10)
  assert.deepEqual(
    commands.filter(name => name === "NoteExpiring" || name === "PutVersion"),
    ["NoteExpiring", "PutVersion", "PutVersion"],
  )
})
