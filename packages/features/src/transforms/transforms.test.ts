/** Representations over a store in memory: what is made once, kept, made again, left as it is, and removed. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fail, isFailure, type FailureKind } from "@hayloft/base/failures.js"
import { objectKeyOfText } from "@hayloft/base/ids.js"
import { MIB } from "@hayloft/base/limits.js"
import { type Conditions, type ObjectBody, type Protection, gathered, StoredObjects } from "@hayloft/objects/index.js"
import { noSignal, open, type World } from "@hayloft/upkeep/repair/testing-repair.js"
import { sourceOf } from "@hayloft/objects/bodies/testing-bodies.js"
import type { Sandbox, SandboxOutcome } from "@hayloft/base/seams/sandbox/index.js"
import { EVICTION_LIMITS } from "../eviction/index.js"
import type { Original } from "./bodies.js"
import type { TransformAnswer, TransformTask } from "./contract.js"
import { TRANSFORM_LIMITS } from "./limits.js"
import { Modules, MODULES_PREFIX } from "./modules.js"
import { parsePipeline } from "./pipeline-core.js"
import { Results, RESULTS_PREFIX } from "./results.js"
import { transformBudgets, Transforms, type SharedTransforms } from "./transforms.js"

const SVGMIN = parsePipeline("svgmin")
const START_MS = 1_800_000_000_000
const HOUR_MS = 60 * 60_000
const DAY_MS = 24 * 60 * 60_000

/** Turns text into upper case; holds, faults and skips as it is told. */
class Steps implements Sandbox<TransformTask, TransformAnswer> {
  readonly processes = 1
  readonly running = 0
  readonly waiting = 0
  calls = 0
  version = "1"
  image: string | undefined
  next: "works" | "skips" | "time" = "works"
  held: Promise<void> = Promise.resolve()
  /** The native memory that an image step takes. */
  nativeBytes = 0

  async run(task: TransformTask, _signal: AbortSignal): Promise<SandboxOutcome<TransformAnswer>> {
    await Promise.resolve()
    if (task.kind === "measure")
      return { kind: "answered", answer: { kind: "measured", nativeBytes: this.nativeBytes } }
    if (task.kind === "versions") {
      const versions = { svgmin: this.version, image: this.image, gzip: "1", zstd: "1" }
      return { kind: "answered", answer: { kind: "versions", versions } }
    }
    if (task.kind === "checkModule") return { kind: "answered", answer: { kind: "checked", fault: undefined } }
    if (task.kind === "encode") return { kind: "answered", answer: { kind: "encoded", bytes: task.bytes } }
    this.calls += 1
    await this.held
    if (this.next === "time") return { kind: "faulted", fault: "time" }
    if (this.next === "skips") return { kind: "answered", answer: { kind: "skipped", reason: "not smaller" } }
    const bytes = Buffer.from(Buffer.from(task.bytes).toString().toUpperCase())
    return { kind: "answered", answer: { kind: "bytes", bytes, type: `${task.type}+upper` } }
  }
}

interface Asked {
  readonly pipeline?: typeof SVGMIN
  readonly isRule?: boolean
  readonly conditions?: Conditions
  readonly range?: { readonly kind: "fromTo"; readonly first: number; readonly last: number }
}

class Scene {
  readonly steps = new Steps()
  isStoreFull = false
  readonly outcomes: string[] = []
  readonly results: Results
  readonly modules: Modules
  readonly transforms: Transforms
  private readonly stored: StoredObjects

  private constructor(
    readonly world: World,
    sizeBytesMax: number,
    shared: SharedTransforms | undefined,
  ) {
    const { clock, services, tablet: metadata, telemetry } = world
    const { objects } = services
    const { log, metrics } = telemetry
    this.stored = new StoredObjects({ objects, metadata }, RESULTS_PREFIX)
    const openBucket = async () => services.buckets.open(world.home.name)
    const { stored } = this
    this.results = new Results({
      clock,
      log,
      stored,
      objects,
      openBucket,
      sizeBytesMax,
      isWriter: () => true,
      isStoreFull: () => this.isStoreFull,
      metrics,
    })
    const modulesStored = new StoredObjects({ objects, metadata }, MODULES_PREFIX)
    this.modules = new Modules(modulesStored, code => this.transforms.checkModule(code))
    const { results, modules, steps: sandbox } = this
    const onMade = (outcome: string): void => void this.outcomes.push(outcome)
    this.transforms = new Transforms({
      sandbox,
      shared,
      modules,
      results,
      clock,
      objects,
      log,
      onMade,
      signal: noSignal,
    })
  }

  static async open(sizeBytesMax = 1_000_000, shared?: SharedTransforms): Promise<Scene> {
    const world = await open("replica:2")
    // Decisions are made at the time of the clock.
    await world.clock.advance(START_MS - world.clock.wallMs())
    world.tablet.aheadMs = START_MS - 1_700_000_000_000
    await world.clock.runUntil(world.services.storeClock.start())
    return new Scene(world, sizeBytesMax, shared)
  }

  run<T>(work: Promise<T>): Promise<T> {
    return this.world.clock.runUntil(work)
  }

  put(key: string, text: string, more: { headers?: Record<string, string>; encryption?: Protection } = {}) {
    const request = this.world.putting(key, sourceOf(Buffer.from(text)))
    const attributes = { headers: { contentType: "image/svg+xml", ...more.headers }, userMetadata: [] }
    return this.run(this.world.services.objects.put({ ...request, attributes, encryption: more.encryption }))
  }

  async original(key: string, clientKey?: Uint8Array): Promise<Original> {
    const { objects } = this.world.services
    const place = { bucket: this.world.home, key: objectKeyOfText(key), clientKey }
    const open = async (conditions: Conditions, more = {}): Promise<ObjectBody> =>
      objects.get({ ...place, ...more, conditions })
    const body = await open({})
    body.close()
    const { info } = body
    return {
      info,
      of: { bucket: place.bucket, key: place.key, versionId: info.versionId },
      open: range => {
        const asked = range && { kind: "fromTo", first: range.first, last: range.first + range.lengthBytes - 1 }
        return open({ ifMatch: [info.etag] }, { range: asked })
      },
    }
  }

  get(key: string, asked: Asked = {}, clientKey?: Uint8Array) {
    return this.run(this.ask(key, asked, clientKey))
  }

  async ask(key: string, asked: Asked, clientKey?: Uint8Array) {
    const { pipeline = SVGMIN, isRule = true, conditions = {}, range } = asked
    const original = await this.original(key, clientKey)
    const request = { original, pipeline, isRule, conditions, range, ifRange: undefined, signal: noSignal }
    const { body, skipped, lengthBytes } = await this.transforms.get(request)
    const text = Buffer.from(await gathered(body, noSignal)).toString()
    return { text, skipped, lengthBytes, etag: body.info.etag, type: body.info.headers.contentType }
  }

  async refuses(work: Promise<unknown>, kind: FailureKind): Promise<void> {
    await assert.rejects(work, (error: unknown) => isFailure(error, kind))
  }

  sweep(): Promise<void> {
    return this.run(this.results.eviction.sweep(noSignal))
  }

  kept(): Promise<number> {
    return this.run(
      (async () => {
        let count = 0
        for await (const _ of this.stored.list()) count += 1
        return count
      })(),
    )
  }
}

test("a result of a rule is made once and kept; one that a client asked for is made each time", async () => {
  const scene = await Scene.open()
  const { etag } = await scene.put("a", "one")
  const first = await scene.get("a")
  assert.deepEqual(
    [first.text, first.type, first.skipped, first.lengthBytes],
    ["ONE", "image/svg+xml+upper", undefined, 3],
  )
  assert.notEqual(first.etag, etag)
  assert.deepEqual(await scene.get("a"), first)
  assert.deepEqual([scene.steps.calls, scene.outcomes, await scene.kept()], [1, ["made", "cached"], 1])
  assert.deepEqual((await scene.get("a", { range: { kind: "fromTo", first: 1, last: 9 } })).text, "NE")
  assert.deepEqual(await scene.get("a", { isRule: false }), first)
  assert.deepEqual(await scene.get("a", { isRule: false }), first)
  assert.deepEqual([scene.steps.calls, await scene.kept()], [3, 1])
})

test("a kept result that is damaged here is made again by the request after the one that finds that", async () => {
  const scene = await Scene.open()
  const text = "one ".repeat(2_000)
  await scene.put("a", text)
  await scene.get("a")
  for (const asked of [{}, { range: { kind: "fromTo", first: 1, last: 5_999 } as const }]) {
    const { calls } = scene.steps
    scene.world.devices.meddle = what => {
      if (what === "read") throw fail("corruptNeedle")
    }
    await scene.refuses(scene.get("a", asked), "notEnoughShards")
    scene.world.devices.meddle = () => undefined
    assert.equal(await scene.kept(), 0)
    assert.equal((await scene.get("a")).text, text.toUpperCase())
    assert.deepEqual([scene.steps.calls, await scene.kept(), scene.results.report().count], [calls + 1, 1, 1])
  }
})

test("memory of native code is reserved until it has ended", async () => {
  const scene = await Scene.open()
  const { steps } = scene
  steps.image = "1"
  const asked = { pipeline: parsePipeline("image,width=9"), isRule: false }
  for (const key of ["a", "b", "c"]) await scene.put(key, key, { headers: { contentType: "image/png" } })
  steps.nativeBytes = 0.6 * TRANSFORM_LIMITS.nativeBytesMax
  let release = (): void => undefined
  steps.held = new Promise(resolve => (release = resolve))
  const first = scene.ask("a", asked)
  const second = scene.ask("b", asked)
  await scene.world.clock.advance(1_000)
  assert.equal(steps.calls, 1, "the second has no memory while the first is in native code")
  release()
  assert.deepEqual([(await scene.run(first)).text, (await scene.run(second)).text], ["A", "B"])
  steps.nativeBytes = 0.4 * TRANSFORM_LIMITS.nativeBytesMax
  await scene.get("b", asked)
  assert.equal((await scene.get("c", asked)).text, "C", "two small ones at a time")
  steps.nativeBytes = 0.6 * TRANSFORM_LIMITS.nativeBytesMax
  steps.next = "time"
  await scene.put("d", "d", { headers: { contentType: "image/png" } })
  assert.match((await scene.get("d", asked)).skipped ?? "", /seconds/)
  steps.next = "works"
  assert.equal((await scene.get("c", asked)).text, "C", "a task that was stopped has given its memory back")
})

test("requests for the same work at the same time share it, and none is lost when one ends", async () => {
  const scene = await Scene.open()
  await scene.put("a", "one")
  scene.steps.held = scene.world.clock.sleep(1_000, noSignal)
  const all = Array.from({ length: 20 }, () => scene.ask("a", { isRule: false }))
  for (const { text } of await scene.run(Promise.all(all))) assert.equal(text, "ONE")
  assert.equal(scene.steps.calls, 1)
})

test("conditions are about the representation, and are decided before anything is computed where they can be", async () => {
  const scene = await Scene.open()
  const stored = await scene.put("a", "one")
  const { etag } = await scene.get("a", { isRule: false })
  const { calls } = scene.steps
  await scene.refuses(scene.get("a", { isRule: false, conditions: { ifNoneMatch: [etag] } }), "notModified")
  assert.equal(scene.steps.calls, calls)
  const asked = (conditions: Conditions) => scene.get("a", { isRule: false, conditions })
  await scene.refuses(asked({ ifMatch: [stored.etag] }), "preconditionFailed")
  assert.equal((await asked({ ifNoneMatch: [stored.etag], ifMatch: [etag] })).text, "ONE")
  const laterMs = stored.lastModifiedMs + 60_000
  assert.equal((await asked({ ifModifiedSinceMs: laterMs })).text, "ONE")
  await scene.refuses(asked({ ifUnmodifiedSinceMs: stored.lastModifiedMs - 60_000 }), "preconditionFailed")
  scene.steps.next = "skips"
  await scene.refuses(asked({ ifNoneMatch: [stored.etag] }), "notModified")
  assert.equal((await asked({ ifMatch: [stored.etag] })).text, "one")
})

test("what is skipped is the original; a skip is remembered unless the machine was the reason", async () => {
  const scene = await Scene.open()
  const { etag } = await scene.put("a", "one")
  scene.steps.next = "time"
  const slow = await scene.get("a")
  assert.deepEqual([slow.text, slow.etag, slow.type], ["one", etag, "image/svg+xml"])
  assert.match(slow.skipped ?? "", /20 seconds/)
  scene.steps.next = "skips"
  assert.match((await scene.get("a")).skipped ?? "", /20 seconds/, "not tried again at once")
  await scene.world.clock.advance(11 * 60_000)
  assert.deepEqual((await scene.get("a")).skipped, "not smaller")
  assert.deepEqual((await scene.get("a")).skipped, "not smaller")
  assert.equal(scene.steps.calls, 2)
  const part = await scene.get("a", { range: { kind: "fromTo", first: 1, last: 9 } })
  assert.deepEqual([part.text, part.etag, part.skipped], ["ne", etag, "not smaller"])
  await scene.put("b", "two", { headers: { cacheControl: "public, no-transform" } })
  assert.match((await scene.get("b")).skipped ?? "", /no-transform/)
  assert.equal((await scene.get("b", { isRule: false })).skipped, "not smaller")
  await scene.put("c", "three", { headers: { contentType: "image/png" } })
  assert.match((await scene.get("c")).skipped ?? "", /no SVG/)
  assert.match((await scene.get("c", { pipeline: parsePipeline("image,width=2") })).skipped ?? "", /sharp/)
})

test("another version, another type, other versions of steps: other names and other bytes", async () => {
  const scene = await Scene.open()
  await scene.put("a", "one")
  const first = await scene.get("a")
  await scene.put("a", "two")
  const second = await scene.get("a")
  assert.deepEqual([second.text, second.etag === first.etag], ["TWO", false])
  await scene.put("a", "one")
  assert.deepEqual(await scene.get("a"), first)
  await scene.put("a", "one", { headers: { contentType: "image/svg+xml; charset=utf-8" } })
  const typed = await scene.get("a")
  assert.deepEqual([typed.type, typed.etag === first.etag], ["image/svg+xml; charset=utf-8+upper", false])
  const other = await Scene.open()
  other.steps.version = "2"
  await other.put("a", "one")
  assert.notEqual((await other.get("a")).etag, first.etag)
})

test("results of objects with keys of clients are made each time, and kept nowhere", async () => {
  const scene = await Scene.open()
  const key = new Uint8Array(32).fill(7)
  await scene.put("a", "secret", { encryption: { mode: "client", key } })
  assert.equal((await scene.get("a", {}, key)).text, "SECRET")
  assert.equal((await scene.get("a", {}, key)).text, "SECRET")
  assert.deepEqual([scene.steps.calls, await scene.kept()], [2, 0])
  await scene.refuses(scene.run(scene.original("a")), "invalidRequest")
  await scene.put("b", "at rest", { encryption: { mode: "s3" } })
  assert.equal((await scene.get("b")).text, "AT REST")
  assert.deepEqual([(await scene.get("b")).text, scene.steps.calls, await scene.kept()], ["AT REST", 3, 1])
})

test("no more is kept than fits; results of what is gone, or old, are removed", async () => {
  const scene = await Scene.open(10_000)
  for (const key of ["a", "b", "c"]) await scene.put(key, "xx")
  for (const key of ["a", "b", "c"]) assert.equal((await scene.get(key)).text, "XX")
  assert.deepEqual([await scene.kept(), scene.results.report().sizeBytes], [2, 8_192])
  assert.equal((await scene.get("c")).text, "XX")
  assert.equal(scene.steps.calls, 4)
  await scene.run(scene.world.services.objects.remove({ ...target(scene, "a"), conditions: {} }))
  await scene.put("b", "yy")
  await scene.sweep()
  assert.deepEqual([await scene.kept(), scene.results.report()], [0, { sizeBytes: 0, sizeBytesMax: 10_000, count: 0 }])
  await scene.get("c")
  await scene.sweep()
  assert.equal(await scene.kept(), 1)
  await scene.world.clock.advance(31 * DAY_MS)
  await scene.sweep()
  assert.equal(await scene.kept(), 0)
  const none = await Scene.open(0)
  await none.put("a", "one")
  none.steps.next = "skips"
  await none.get("a")
  assert.equal(await none.kept(), 0)
})

const target = ({ world }: Scene, key: string) => ({ bucket: world.home, key: objectKeyOfText(key) })

test("while a disk is full the oldest results give way, and results are kept again later", async () => {
  const scene = await Scene.open(10 * MIB)
  const stop = new AbortController()
  const running = scene.results.eviction.run(stop.signal)
  const keys = Array.from({ length: 10 }, (_, i) => `k${i}`)
  for (const key of keys) {
    await scene.put(key, "xx")
    await scene.get(key)
    await scene.world.clock.advance(HOUR_MS)
    scene.world.tablet.aheadMs += HOUR_MS
  }
  const madeAgain = async (key: string): Promise<boolean> => {
    const { calls } = scene.steps
    assert.equal((await scene.get(key)).text, "XX")
    return scene.steps.calls > calls
  }
  scene.isStoreFull = true
  await scene.world.clock.advance(EVICTION_LIMITS.fullPollMs)
  assert.deepEqual([await scene.kept(), scene.results.report().count], [8, 8], "a fifth has gone")
  assert.deepEqual([await madeAgain("k9"), await madeAgain("k0"), await madeAgain("k1")], [false, true, true])
  assert.equal(await scene.kept(), 9, "nothing more than the limit")
  await scene.world.clock.advance(HOUR_MS)
  assert.deepEqual([await scene.kept(), scene.results.report().sizeBytes], [0, 0])
  scene.isStoreFull = false
  assert.deepEqual([await madeAgain("k0"), await madeAgain("k0")], [true, true], "the limit grows later")
  await scene.world.clock.advance(EVICTION_LIMITS.growEveryMs + EVICTION_LIMITS.idleSweepMs)
  assert.deepEqual([await madeAgain("k0"), await madeAgain("k0")], [true, false])
  stop.abort()
  await scene.run(running)
})

test("results of what is gone go with the first whole sweep, also if the one before was ended", async () => {
  const scene = await Scene.open()
  await scene.put("a", "one")
  await scene.get("a")
  await scene.run(scene.world.services.objects.remove({ ...target(scene, "a"), conditions: {} }))
  await scene.run(scene.results.eviction.sweep(AbortSignal.abort()))
  assert.equal(await scene.kept(), 1)
  await scene.sweep()
  assert.equal(await scene.kept(), 0)
})

test("a delete marker ends no sweep, and equal bytes that are written again are counted once", async () => {
  const scene = await Scene.open()
  const { buckets, objects } = scene.world.services
  for (const versioning of ["enabled", "suspended"] as const)
    await scene.run(buckets.setVersioning(scene.world.home, versioning))
  for (const key of ["a", "b"]) {
    await scene.put(key, "one")
    await scene.get(key)
  }
  const home = await scene.run(Promise.resolve(buckets.open(scene.world.home.name)))
  for (const key of ["a", "b"]) await scene.run(objects.remove({ ...target(scene, key), bucket: home, conditions: {} }))
  await scene.sweep()
  assert.deepEqual([await scene.kept(), scene.results.report().count], [0, 0])
  await scene.put("c", "one")
  for (let i = 0; i < 3; i += 1)
    await scene.run(scene.original("c").then(original => scene.transforms.prepare({ original, pipeline: SVGMIN })))
  assert.deepEqual([await scene.kept(), scene.results.report().count], [1, 1])
})

test("clients that do not read cost their bucket, and nobody waits without an end", async () => {
  const scene = await Scene.open(0)
  const large = "x".repeat(TRANSFORM_LIMITS.outputBytesMax - 1)
  const unread: ObjectBody[] = []
  const count = Math.floor(TRANSFORM_LIMITS.sentBytesOfBucketMax / large.length)
  const ask = async (key: string) => {
    const original = await scene.original(key)
    const asked = { original, pipeline: SVGMIN, isRule: false, conditions: {}, range: undefined, ifRange: undefined }
    return (await scene.transforms.get({ ...asked, signal: noSignal })).body
  }
  for (let i = 0; i <= count; i += 1) await scene.put(`large-${i}`, large)
  for (let i = 0; i < count; i += 1) unread.push(await scene.run(ask(`large-${i}`)))
  await scene.refuses(scene.run(ask(`large-${count}`)), "tooManyInFlight")
  for (const body of unread) body.close()
  const body = await scene.run(ask(`large-${count}`))
  body.close()
  body.close()
  scene.steps.held = new Promise(() => undefined)
  await scene.put("a", "one")
  const gone = AbortSignal.abort(new Error("the client has gone"))
  const original = await scene.run(scene.original("a"))
  const asked = { original, pipeline: SVGMIN, isRule: false, conditions: {}, range: undefined, ifRange: undefined }
  await assert.rejects(scene.run(scene.transforms.get({ ...asked, signal: gone })), /has gone/)
  for (let i = 1; i < TRANSFORM_LIMITS.makingMax; i += 1) {
    await scene.put(`held-${i}`, "one")
    void scene.ask(`held-${i}`, { isRule: false })
  }
  await scene.put("late", "one")
  await scene.refuses(scene.get("late", { isRule: false }), "tooManyInFlight")
})

test("threads that share a budget work at no more together than one alone, and at all of it", async () => {
  const budgets = transformBudgets(2)
  const threads = [await Scene.open(0, { budgets, share: 0.5 }), await Scene.open(0, { budgets, share: 0.5 })]
  const free: (() => void)[] = []
  const asked: Promise<unknown>[] = []
  for (const scene of threads) {
    for (const key of ["a", "b", "c"]) await scene.put(key, key)
    await scene.run(scene.transforms.versions())
  }
  for (const scene of threads) {
    scene.steps.held = new Promise(resolve => free.push(resolve))
    for (const key of ["a", "b", "c"]) asked.push(scene.ask(key, { isRule: false }))
  }
  const calls = async (): Promise<number> => {
    for (let turn = 0; turn < 10; turn += 1) for (const { world } of threads) await world.clock.advance(1)
    return threads.reduce((sum, { steps }) => sum + steps.calls, 0)
  }
  assert.equal(await calls(), 2)
  for (const go of free) go()
  assert.equal(await calls(), 6)
  assert.equal((await Promise.all(asked)).length, 6)
})

test("a budget that cannot be asked fails the request", async () => {
  const native = { run: () => Promise.reject(fail("stopping")) }
  const scene = await Scene.open(0, { budgets: { ...transformBudgets(2), native }, share: 0.5 })
  const { steps } = scene
  steps.image = "1"
  steps.nativeBytes = 1
  await scene.put("a", "a", { headers: { contentType: "image/png" } })
  await scene.refuses(scene.get("a", { pipeline: parsePipeline("image,width=9"), isRule: false }), "stopping")
})

test("objects that were written have their results made, in the background and once", async () => {
  const scene = await Scene.open()
  const stop = new AbortController()
  const running = scene.transforms.written.run(stop.signal)
  await scene.put("a", "one")
  const noted = { ...target(scene, "a"), pipeline: SVGMIN }
  scene.transforms.written.note(noted)
  scene.transforms.written.note(noted)
  scene.transforms.written.note({ ...noted, key: objectKeyOfText("missing") })
  await scene.world.clock.advance(1_000)
  assert.deepEqual([scene.steps.calls, await scene.kept()], [1, 1])
  assert.equal((await scene.get("a")).text, "ONE")
  assert.equal(scene.steps.calls, 1)
  stop.abort()
  await scene.run(running)
})

test("modules are checked, listed, replaced and removed; a rule without its module leaves objects as they are", async () => {
  const scene = await Scene.open()
  const pipeline = parsePipeline("upper,a=1")
  await scene.put("a", "one")
  await scene.refuses(scene.get("a", { pipeline, isRule: false }), "noSuchTransform")
  assert.match((await scene.get("a", { pipeline })).skipped ?? "", /no transform upper/)
  const name = pipeline.steps.flatMap(step => (step.kind === "module" ? [step.name] : []))[0]
  assert.ok(name !== undefined)
  const made = await scene.run(scene.modules.put(name, Buffer.from("code"), "text/x"))
  assert.deepEqual([made.name, made.sizeBytes, made.contentType], [name, 4, "text/x"])
  const first = await scene.get("a", { pipeline, isRule: false })
  assert.equal(first.text, "ONE")
  await scene.run(scene.modules.put(name, Buffer.from("other"), undefined))
  assert.notEqual((await scene.get("a", { pipeline, isRule: false })).etag, first.etag)
  assert.equal((await scene.run(scene.modules.list())).length, 1)
  await scene.refuses(scene.run(scene.modules.put(name, Buffer.from("x"), "a\r\nb")), "invalidArgument")
  const large = new Uint8Array(TRANSFORM_LIMITS.moduleBytesMax + 1)
  await scene.refuses(scene.run(scene.modules.put(name, large, undefined)), "invalidArgument")
  await scene.run(scene.modules.remove(name))
  await scene.refuses(scene.run(scene.modules.remove(name)), "noSuchTransform")
})
