/** Writes to remote buckets that reach the remote before they are acknowledged, and what failures in between leave. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { objectKeyOfText } from "@hayloft/base/ids.js"
import { MIB } from "@hayloft/base/limits.js"
import { noSignal } from "@hayloft/upkeep/repair/testing-repair.js"
import { plainUpload, sourceOf } from "@hayloft/objects/bodies/testing-bodies.js"
import { EVICTION_LIMITS } from "../eviction/index.js"
import { REMOTE_LIMITS } from "./limits.js"
import { md5Of, multipartEtag, unavailable } from "./testing-origin.js"
import { bytesOf, ended, fromTo, RemoteScene } from "./testing-remotes.js"

const HOUR_MS = 3_600_000
const BLOCK = REMOTE_LIMITS.blockBytes
const etagOf = (text: string): string => md5Of(Buffer.from(text))

function refusePuts({ origin }: RemoteScene): void {
  origin.before = kind => {
    if (kind === "put") throw fail("remoteRefused", { message: "The remote refuses the request." })
  }
}

test("a write is in the remote before it is acknowledged, and cached afterwards", async () => {
  const scene = await RemoteScene.open()
  const headers = { contentType: "text/x", contentLanguage: "de" }
  const gate = scene.origin.hold("put", "before")
  let isDone = false
  const writing = scene.writing("a", "one", {}, headers).then(etag => ((isDone = true), etag))
  await scene.settle()
  assert.deepEqual([gate.isReached, isDone, scene.farText("a")], [true, false, undefined])
  gate.open()
  assert.equal(await scene.run(writing), etagOf("one"))
  assert.deepEqual([scene.farText("a"), await scene.versions()], ["one", 0])
  scene.origin.took()
  const read = await scene.read("a")
  assert.deepEqual([read.text, read.outcome, read.headers], ["one", "hit", headers])
  assert.deepEqual(scene.origin.took(), [])
  assert.equal((await scene.read("a", { revalidates: true })).outcome, "revalidated")
})

test("an object of several blocks is cached as it is written", async () => {
  const scene = await RemoteScene.open()
  const bytes = bytesOf(2 * BLOCK + 3, 1)
  await scene.write("a", bytes)
  scene.origin.isUnavailable = true
  const read = await scene.read("a")
  assert.ok(read.bytes.equals(bytes))
  assert.equal(read.outcome, "hit")
  assert.ok(
    (await scene.read("a", { range: fromTo(BLOCK - 1, BLOCK) })).bytes.equals(bytes.subarray(BLOCK - 1, BLOCK + 1)),
  )
})

test("an overwritten object is read as it is now, whatever was cached of it", async () => {
  const scene = await RemoteScene.open()
  await scene.write("a", bytesOf(BLOCK + 1, 1))
  await scene.write("a", "two")
  assert.deepEqual(await scene.seen("a"), ["two", "hit"])
  await scene.write("a", "")
  assert.deepEqual(await scene.seen("a"), ["", "hit"])
  await scene.sweep()
  assert.equal(scene.remotes.cache().sizeBytes, EVICTION_LIMITS.chargedBytesMin)
})

test("a write that the remote refuses leaves nothing, and the object before it is read as ever", async () => {
  const scene = await RemoteScene.open()
  await scene.write("a", "one")
  refusePuts(scene)
  await scene.refuses(scene.write("a", "two"), "remoteRefused")
  await scene.refuses(scene.write("b", "two"), "remoteRefused")
  assert.deepEqual([await scene.versions(), (await scene.read("a")).text], [0, "one"])
  await scene.refuses(scene.read("b"), "noSuchKey")
  assert.deepEqual(await scene.list(), ["a"])
  scene.origin.before = () => undefined
  await scene.write("a", "three")
  assert.deepEqual(await scene.seen("a"), ["three", "hit"])
})

test("a remote that is down refuses writes, and changes nothing", async () => {
  const scene = await RemoteScene.open()
  await scene.write("a", "one")
  scene.origin.isUnavailable = true
  await scene.refuses(scene.write("a", "two"), "remoteUnavailable")
  await scene.refuses(scene.remove("a"), "remoteUnavailable")
  assert.equal(await scene.versions(), 0)
  scene.origin.isUnavailable = false
  assert.equal((await scene.read("a")).text, "one")
})

test("conditions: those that do not hold are refused, also by a remote that ignores them", async () => {
  for (const dropsConditions of [false, true]) {
    const scene = await RemoteScene.open()
    scene.origin.dropsConditions = dropsConditions
    await scene.write("a", "one", { ifNoneMatch: ["*"] })
    await scene.refuses(scene.write("a", "two", { ifNoneMatch: ["*"] }), "preconditionFailed")
    await scene.refuses(scene.write("a", "two", { ifMatch: [etagOf("zero")] }), "preconditionFailed")
    await scene.refuses(scene.write("b", "two", { ifMatch: ["*"] }), "noSuchKey")
    assert.deepEqual([scene.farText("a"), await scene.versions(), await scene.list()], ["one", 0, ["a"]])
    assert.deepEqual(await scene.seen("a"), ["one", "hit"])
    await scene.write("a", "two", { ifMatch: [etagOf("one")] })
    assert.deepEqual(await scene.seen("a"), ["two", "hit"])
  }
})

test("conditions are checked by the remote as well, if another one writes in between", async () => {
  const scene = await RemoteScene.open()
  const gate = scene.origin.hold("put", "before")
  const writing = ended(scene.writing("a", "mine", { ifNoneMatch: ["*"] }))
  await scene.settle()
  assert.ok(gate.isReached)
  scene.far("a", "theirs")
  gate.open()
  const end = await scene.run(writing)
  assert.ok("error" in end && isFailure(end.error, "preconditionFailed"))
  assert.deepEqual([(await scene.read("a")).text, await scene.versions()], ["theirs", 0])
})

test("removals: the object is gone, in the remote and here; conditions hold or refuse", async () => {
  const scene = await RemoteScene.open()
  await scene.write("a", "one")
  await scene.refuses(scene.remove("a", { ifMatch: [etagOf("two")] }), "preconditionFailed")
  assert.equal((await scene.read("a")).text, "one")
  await scene.refuses(scene.remove("a", { ifNoneMatch: ["*"] }), "notImplemented")
  await scene.remove("a", { ifMatch: [etagOf("one")] })
  await scene.refuses(scene.read("a"), "noSuchKey")
  await scene.remove("a")
  await scene.refuses(scene.remove("a", { ifMatch: ["*"] }), "noSuchKey", "preconditionFailed")
  assert.deepEqual([scene.farText("a"), await scene.list(), await scene.versions()], [undefined, [], 0])
})

test("a write that fails after the remote has applied it: the next read gets what the remote has", async () => {
  const scene = await RemoteScene.open()
  await scene.write("a", "one")
  scene.origin.losesAnswers = true
  await scene.refuses(scene.write("a", "two"), "remoteUnavailable")
  assert.deepEqual([(await scene.read("a")).text, await scene.versions()], ["two", 0])
  await scene.refuses(scene.remove("a"), "remoteUnavailable")
  await scene.refuses(scene.read("a"), "noSuchKey")
})

for (const what of ["write", "removal"] as const)
  test(`a ${what} that fails after it was applied, with a read meanwhile: the next read gets what the remote has`, async () => {
    const scene = await RemoteScene.open()
    await scene.write("a", "one")
    const kind = what === "write" ? "put" : "remove"
    const gate = scene.origin.hold(kind, "before")
    const work = async () => void (await (what === "write" ? scene.writing("a", "two") : scene.removing("a")))
    const writing = ended(work())
    await scene.settle()
    assert.ok(gate.isReached)
    assert.equal((await scene.read("a")).text, "one")
    scene.origin.losesAnswers = true
    gate.open()
    const end = await scene.run(writing)
    assert.ok("error" in end && isFailure(end.error, "remoteUnavailable"))
    const read = await scene.run(ended(scene.reading("a")))
    assert.equal("value" in read ? read.value.text : undefined, scene.farText("a"))
  })

test("a read while the remote is asked to remove an object leaves nothing in the cache", async () => {
  const scene = await RemoteScene.open()
  await scene.write("a", "one")
  const gate = scene.origin.hold("remove", "before")
  const removing = ended(scene.removing("a"))
  await scene.settle()
  assert.ok(gate.isReached)
  assert.equal((await scene.read("a")).text, "one")
  gate.open()
  await scene.run(removing)
  await scene.refuses(scene.read("a"), "noSuchKey")
})

test("a process that dies while the remote is asked: no read afterwards gets what was there before", async () => {
  for (const at of ["before", "after"] as const) {
    const scene = await RemoteScene.open()
    await scene.write("a", "one")
    const gate = scene.origin.hold("put", at)
    void ended(scene.writing("a", "two"))
    await scene.settle()
    assert.ok(gate.isReached)
    scene.restart()
    assert.equal((await scene.read("a")).text, scene.farText("a"))
    assert.equal((await scene.read("a")).text, at === "before" ? "one" : "two")
    assert.equal(await scene.versions(), 1)
    await scene.write("a", "three")
    assert.deepEqual([(await scene.read("a")).text, await scene.versions()], ["three", 0])
  }
})

test("versions that a process has left behind are removed after a day", async () => {
  const scene = await RemoteScene.open()
  scene.origin.hold("put", "before")
  void ended(scene.writing("a", "two"))
  await scene.settle()
  scene.restart()
  await scene.round()
  assert.equal(await scene.versions(), 1)
  const { clock } = scene.world
  clock.jumpWall(400 * REMOTE_LIMITS.abandonedByOthersMs)
  await scene.round()
  assert.equal(await scene.versions(), 1, "by a clock that is ahead")
  clock.jumpWall(-400 * REMOTE_LIMITS.abandonedByOthersMs)
  await scene.advance(REMOTE_LIMITS.abandonedByOthersMs + 1)
  await scene.round()
  assert.equal(await scene.versions(), 0)
  await scene.refuses(scene.read("a"), "noSuchKey")
})

test("a write that takes nearly a day is acknowledged, and one that takes longer fails: the store keeps what the remote lacks", async () => {
  const { abandonedByOthersMs, throughMsMax } = REMOTE_LIMITS
  for (const delayMs of [throughMsMax - 1, 2 * abandonedByOthersMs]) {
    const scene = await RemoteScene.open()
    scene.origin.delayMs = delayMs
    const writing = ended(scene.writing("a", "one"))
    await scene.settle()
    // Another process looks for what was abandoned.
    scene.restart()
    for (let hour = 1; hour <= 26; hour += 1) {
      await scene.advance(HOUR_MS)
      await scene.round()
      if (hour === 22) assert.equal(await scene.versions(), 1)
    }
    const end = await scene.run(writing)
    if (delayMs < throughMsMax) assert.ok("value" in end && end.value === etagOf("one"), "it is acknowledged")
    else assert.ok("error" in end && isFailure(end.error, "remoteUnavailable"), "it fails, and can be repeated")
    assert.deepEqual([scene.farText("a"), await scene.versions()], ["value" in end ? "one" : undefined, 0])
  }
})

test("a fetch that began before a write does not cache what it got", async () => {
  const scene = await RemoteScene.open()
  scene.far("a", "one")
  const gate = scene.origin.hold("get", "after")
  const reading = ended(scene.reading("a"))
  await scene.settle()
  assert.ok(gate.isReached)
  await scene.write("a", "two")
  assert.equal((await scene.read("a")).text, "two")
  gate.open()
  await scene.run(reading)
  assert.equal((await scene.read("a")).text, "two")
})

test("a read that begins after a write joins no fetch from before it", async () => {
  // There is no object: a body of another one would be found out by its ETag.
  const scene = await RemoteScene.open()
  const gate = scene.origin.hold("get", "after")
  const reading = ended(scene.reading("a"))
  await scene.settle()
  assert.ok(gate.isReached)
  // The object that was written cannot be cached.
  scene.origin.before = kind => {
    if (kind === "head") throw unavailable()
  }
  await scene.write("a", "two")
  scene.origin.before = () => undefined
  const later = ended(scene.reading("a"))
  await scene.settle()
  gate.open()
  await scene.run(reading)
  const read = await scene.run(later)
  assert.equal("value" in read ? read.value.text : String(read.error), "two")
})

test("a fetch that began before a write, whose object was evicted since: no read after the write gets the old object", async () => {
  const scene = await RemoteScene.open()
  scene.far("a", "one")
  const gate = scene.origin.hold("get", "after")
  const reading = ended(scene.reading("a"))
  await scene.settle()
  assert.ok(gate.isReached)
  await scene.write("a", "two")
  await scene.evict("a")
  const later = ended(scene.reading("a"))
  await scene.settle()
  gate.open()
  await scene.run(reading)
  const read = await scene.run(later)
  assert.equal("value" in read ? read.value.text : String(read.error), "two", "joined the fetch")
  assert.equal((await scene.read("a")).text, "two", "cached by the fetch")
})

test("writes at the same time: both are acknowledged, and the one that the remote has is read", async () => {
  const scene = await RemoteScene.open()
  scene.origin.delayMs = 10
  for (let i = 0; i < 5; i += 1) {
    await scene.run(Promise.all([ended(scene.writing("a", `x${i}`)), ended(scene.writing("a", `y${i}`))]))
    assert.equal((await scene.read("a")).text, scene.farText("a"))
    assert.equal(await scene.versions(), 0)
  }
})

test("a write that another one overtakes does not fail as if its version had never been", async () => {
  const scene = await RemoteScene.open()
  // The first one waits for the remote, because of its condition, when the second one ends.
  const gate = scene.origin.hold("head", "before")
  const first = ended(scene.writing("a", "one", { ifNoneMatch: [etagOf("zero")] }))
  await scene.settle()
  assert.ok(gate.isReached)
  await scene.write("a", "two")
  gate.open()
  const end = await scene.run(first)
  if ("error" in end) assert.ok(isFailure(end.error, "conflict", "preconditionFailed"), String(end.error))
  assert.equal((await scene.read("a")).text, scene.farText("a"))
})

test("an object that was uploaded in parts keeps their sizes, and its ETag", async () => {
  const scene = await RemoteScene.open()
  const parts = [bytesOf(5 * MIB, 1), bytesOf(6 * MIB, 2), bytesOf(10, 3)]
  const { multipart } = scene.world.services
  const key = objectKeyOfText("a")
  const { multipartId } = await scene.run(multipart.create(plainUpload(scene.bucket, key)))
  const target = { bucket: scene.bucket, key, multipartId }
  const etags: string[] = []
  for (const [i, part] of parts.entries()) {
    const request = { ...target, partNumber: 2 * i + 1, body: sourceOf(part, MIB), signal: noSignal }
    etags.push((await scene.run(multipart.putPart(request))).etag)
  }
  const completed = await scene.run(
    multipart.complete({
      ...target,
      conditions: {},
      sizeBytes: undefined,
      checksum: undefined,
      checksumType: undefined,
      parts: etags.map((etag, i) => ({ partNumber: 2 * i + 1, etag, checksum: undefined })),
      signal: noSignal,
    }),
  )
  const { versionId, etag } = completed
  assert.equal(
    await scene.run(scene.remotes.written(scene.bucket, key, must(versionId, "versioned"), { hops: undefined })),
    etag,
  )
  assert.ok(scene.origin.took().includes(`put a ${5 * MIB}+${6 * MIB}+10`))
  const read = await scene.read("a")
  assert.ok(read.bytes.equals(Buffer.concat(parts)))
  assert.deepEqual([read.etag, read.outcome], [multipartEtag(parts), "hit"])
  assert.equal((await scene.read("a", { revalidates: true })).outcome, "revalidated")
})

test("a write that is not the remote's any more when it is acknowledged is not cached", async () => {
  const scene = await RemoteScene.open()
  const gate = scene.origin.hold("put", "after")
  const writing = scene.writing("a", "mine")
  await scene.settle()
  scene.far("a", "theirs")
  gate.open()
  await scene.run(writing)
  assert.deepEqual(await scene.seen("a"), ["theirs", "miss"])
})

test("Writes None: the bucket takes no removals", async () => {
  const scene = await RemoteScene.open({ writes: "None" })
  scene.far("a", "one")
  await scene.refuses(scene.remove("a"), "methodNotAllowed")
  assert.equal((await scene.read("a")).text, "one")
})
