/** Writes to remote buckets that reach the remote later: what readers find meanwhile, in which order they arrive, and failures. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { REMOTE_BUCKETS } from "./feature.js"
import { REMOTE_LIMITS } from "./limits.js"
import { bytesOf, ended, RemoteScene } from "./testing-remotes.js"

const BACK = { writes: "Back" } as const
const LONG_MS = REMOTE_LIMITS.retryMostMs

const shown = async (scene: RemoteScene): Promise<readonly string[]> =>
  (await scene.pending()).map(({ key, kind, sizeBytes }) => `${kind} ${key} ${sizeBytes}`)

/** Puts of some keys are refused. */
function refuse({ origin }: RemoteScene, ...keys: readonly string[]): void {
  origin.before = (kind, key) => {
    if (kind === "put" && keys.includes(String(key)))
      throw fail("remoteRefused", { message: "The remote refuses the request." })
  }
}

test("writes and removals are read before the remote has them, and listed", async () => {
  const scene = await RemoteScene.open(BACK)
  for (const key of ["b", "d", "dir/x", "gone/x", "gone/y", "half/x", "half/y", "z"]) scene.far(key, "far")
  await scene.read("b")
  await scene.write("a", "new")
  await scene.write("b", "newer")
  await scene.remove("d")
  await scene.remove("gone/x")
  await scene.remove("gone/y")
  await scene.remove("half/x")
  await scene.remove("nothing")
  await scene.write("made/x", "new")
  scene.origin.took()
  assert.deepEqual(await scene.seen("a"), ["new", "pending"])
  assert.deepEqual(await scene.seen("b"), ["newer", "pending"])
  await scene.refuses(scene.read("d"), "noSuchKey")
  await scene.refuses(scene.read("d", { headersOnly: true }), "noSuchKey")
  assert.deepEqual(scene.origin.took(), [])
  assert.deepEqual(scene.farText("b"), "far")
  const listed = ["a pending", "b pending", "dir/", "half/", "made/", "z remote"]
  assert.deepEqual(await scene.list({ delimiter: "/", withStatus: true }), listed)
  const flat = ["a", "b", "dir/x", "half/y", "made/x", "z"]
  assert.deepEqual(await scene.list(), flat)
  assert.deepEqual(await scene.list({ max: 1 }), flat)
  assert.deepEqual(await scene.list({ max: 1, delimiter: "/" }), ["a", "b", "dir/", "half/", "made/", "z"])
  const deletions = ["delete d 0", "delete gone/x 0", "delete gone/y 0", "delete half/x 0"]
  assert.deepEqual(await shown(scene), ["put a 3", "put b 5", ...deletions, "put made/x 3", "delete nothing 0"])
  await scene.round()
  assert.deepEqual([await shown(scene), await scene.versions()], [[], 0])
  assert.deepEqual(await scene.list(), flat)
  assert.deepEqual([scene.farText("b"), scene.farText("gone/x")], ["newer", undefined])
  assert.deepEqual(await scene.seen("b"), ["newer", "hit"])
})

test("pending writes that a loss of rows has brought back are not sent over newer objects until an operator says so", async () => {
  const scene = await RemoteScene.open(BACK)
  await scene.write("a", "an old write")
  await scene.remove("b")
  // Both had been sent before the rows were lost, and others wrote since.
  for (const key of ["a", "b"]) scene.far(key, "newer")
  await scene.run(REMOTE_BUCKETS.afterLoss(scene.world.tablet))
  scene.restart()
  await scene.write("c", "new")
  await scene.round()
  assert.deepEqual([scene.farText("a"), scene.farText("b"), scene.farText("c")], ["newer", "newer", undefined])
  assert.equal(scene.remotes.pendingWrites.count, 3)
  for (const { lastError = "" } of await scene.pending()) assert.match(lastError, /until hayloft remote resume/)
  await scene.write("a", "newest")
  await scene.run(scene.remotes.resume(scene.bucket))
  await scene.round()
  assert.deepEqual([scene.farText("a"), scene.farText("b"), scene.farText("c")], ["newest", undefined, "new"])
  assert.deepEqual([await shown(scene), await scene.versions()], [[], 0])
})

test("of several writes of a key the last one is sent, and versions before it are removed", async () => {
  const scene = await RemoteScene.open(BACK)
  await scene.write("a", "one")
  await scene.remove("a")
  await scene.write("a", "two")
  await scene.write("a", "three")
  assert.equal(await scene.versions(), 4)
  scene.origin.took()
  await scene.round()
  assert.deepEqual(scene.origin.took(), ["put a", "head a"])
  assert.deepEqual([scene.farText("a"), await scene.versions()], ["three", 0])
})

test("a write that comes while the one before it is sent is read, and arrives after it", async () => {
  for (const next of ["four", undefined]) {
    const scene = await RemoteScene.open(BACK)
    await scene.write("a", "one")
    const gate = scene.origin.hold("put", "before")
    const round = scene.remotes.pendingWrites.round(new AbortController().signal)
    await scene.settle()
    assert.ok(gate.isReached)
    await scene.write("a", "two")
    if (next === undefined) await scene.remove("a")
    else await scene.write("a", next)
    gate.open()
    await scene.run(round)
    const seen = await scene.run(ended(scene.reading("a")))
    assert.equal("value" in seen ? seen.value.text : undefined, next)
    await scene.round()
    assert.deepEqual([scene.farText("a"), await scene.versions()], [next, 0])
    const later = await scene.run(ended(scene.reading("a")))
    assert.equal("value" in later ? later.value.text : undefined, next)
  }
})

test("a remote that is down: writes are acknowledged and read, and sent once it is back", async () => {
  const scene = await RemoteScene.open(BACK)
  scene.origin.isUnavailable = true
  await scene.write("a", "one")
  await scene.remove("b")
  await scene.round()
  const [first] = await scene.pending()
  assert.deepEqual([first?.key, first?.lastError], ["a", "The remote does not respond."])
  assert.equal((await scene.read("a")).text, "one")
  scene.origin.isUnavailable = false
  await scene.round()
  assert.equal(scene.farText("a"), undefined, "the bucket waits")
  await scene.advance(LONG_MS)
  await scene.round()
  assert.deepEqual([scene.farText("a"), await shown(scene)], ["one", []])
})

test("the service sends what is pending, soon after the write and after the remote is back", async () => {
  const scene = await RemoteScene.open(BACK)
  const stop = new AbortController()
  const running = scene.remotes.pendingWrites.run(stop.signal)
  await scene.write("a", "one")
  await scene.advance(1)
  assert.equal(scene.farText("a"), "one")
  scene.origin.isUnavailable = true
  await scene.write("a", "two")
  await scene.advance(10 * LONG_MS)
  scene.origin.isUnavailable = false
  await scene.advance(LONG_MS + REMOTE_LIMITS.pendingPollMs)
  assert.deepEqual([scene.farText("a"), scene.remotes.pendingWrites.count], ["two", 0])
  stop.abort()
  await scene.run(running)
})

test("a write that the remote refuses stays pending, with its reason, while others go on", async () => {
  const scene = await RemoteScene.open(BACK)
  refuse(scene, "b")
  for (const key of ["a", "b", "c"]) await scene.write(key, key)
  await scene.round()
  const pending = await scene.pending()
  assert.deepEqual(
    pending.map(({ key, lastError }) => [key, lastError]),
    [["b", "The remote refuses the request."]],
  )
  assert.deepEqual([scene.farText("a"), scene.farText("c"), (await scene.read("b")).text], ["a", "c", "b"])
  await scene.write("d", "d")
  await scene.advance(LONG_MS)
  await scene.round()
  assert.deepEqual([scene.farText("d"), await shown(scene)], ["d", ["put b 1"]])
  refuse(scene)
  await scene.advance(LONG_MS)
  await scene.round()
  assert.deepEqual([scene.farText("b"), await shown(scene)], ["b", []])
})

test("a pending write to which the remote says that there is a conflict is shown with that reason", async () => {
  const scene = await RemoteScene.open(BACK)
  await scene.write("a", "one")
  scene.origin.before = () => {
    throw fail("conflict", { reason: "the remote says: OperationAborted" })
  }
  await scene.round()
  const [write] = await scene.pending()
  assert.match(write?.lastError ?? "", /OperationAborted/)
  assert.equal(scene.remotes.pendingWrites.count, 1)
})

test("a write that fails after it was applied stays pending, and is sent again", async () => {
  const scene = await RemoteScene.open(BACK)
  scene.far("a", "zero")
  await scene.read("a")
  await scene.write("a", "one")
  scene.origin.losesAnswers = true
  await scene.round()
  assert.deepEqual([scene.farText("a"), await shown(scene)], ["one", ["put a 3"]])
  await scene.remove("a")
  scene.origin.losesAnswers = false
  await scene.advance(LONG_MS)
  await scene.round()
  assert.deepEqual([scene.farText("a"), await scene.versions()], [undefined, 0])
  await scene.refuses(scene.read("a"), "noSuchKey")
})

test("Back becomes None while writes are pending, which goes on with them; None becomes Through only afterwards", async () => {
  const scene = await RemoteScene.open(BACK)
  await scene.write("a", "one")
  await scene.refuses(scene.change({ writes: "Through" }), "conflict")
  await scene.refuses(scene.change({ prefix: "other/" }), "conflict")
  await scene.refuses(scene.run(scene.remotes.requireNothingPending(scene.bucket)), "conflict")
  await scene.change({ writes: "None" })
  await scene.refuses(scene.change({ writes: "Through" }), "conflict")
  await scene.refuses(scene.remove("a"), "methodNotAllowed")
  assert.deepEqual(await scene.seen("a"), ["one", "pending"])
  await scene.round()
  assert.deepEqual([scene.farText("a"), await scene.versions()], ["one", 0])
  await scene.change({ writes: "Through" })
  await scene.write("a", "two")
  assert.equal(scene.farText("a"), "two")
})

test("conditions of removals are refused", async () => {
  const scene = await RemoteScene.open(BACK)
  scene.far("a", "one")
  await scene.refuses(scene.remove("a", { ifMatch: ["*"] }), "notImplemented")
  assert.equal((await scene.read("a")).text, "one")
})

test("the next process sends what the one before it has left behind", async () => {
  const scene = await RemoteScene.open(BACK)
  await scene.write("a", "one")
  scene.origin.hold("put", "after")
  void ended(scene.remotes.pendingWrites.round(new AbortController().signal))
  await scene.settle()
  scene.restart()
  assert.deepEqual(await scene.seen("a"), ["one", "pending"])
  await scene.round()
  assert.deepEqual([scene.farText("a"), await scene.versions(), await scene.seen("a")], ["one", 0, ["one", "hit"]])
})

test("a sender that has lost the lease ends its request, so that the next one's newer write stays in the remote", async () => {
  for (const last of ["two", undefined]) {
    const scene = await RemoteScene.open(BACK)
    await scene.write("a", "one")
    const gate = scene.origin.hold("put", "before")
    const before = ended(scene.rounding())
    await scene.settle()
    assert.ok(gate.isReached)
    if (last === undefined) await scene.remove("a")
    else await scene.write("a", last)
    scene.restart()
    await scene.advance(REMOTE_LIMITS.senderLookMs)
    await scene.round()
    gate.open()
    await scene.run(before)
    assert.deepEqual([scene.farText("a"), await scene.versions()], [last, 0])
    const read = await scene.run(ended(scene.reading("a")))
    assert.equal("value" in read ? read.value.text : undefined, last)
  }
})

test("what the remote answers to a sender that has lost the lease does not count: the next one sends it too", async () => {
  for (const kind of ["put", "remove"] as const) {
    const scene = await RemoteScene.open(BACK)
    scene.far("a", "zero")
    if (kind === "put") await scene.write("a", "one")
    else await scene.remove("a")
    const gate = scene.origin.hold(kind, "after")
    const before = ended(scene.rounding())
    await scene.settle()
    assert.ok(gate.isReached)
    scene.restart()
    gate.open()
    await scene.run(before)
    assert.equal(await scene.versions(), 1)
    scene.origin.took()
    await scene.round()
    assert.ok(scene.origin.took().includes(`${kind} a`))
    assert.deepEqual([scene.farText("a"), await scene.versions()], [kind === "put" ? "one" : undefined, 0])
  }
})

test("a sender that has lost the lease begins nothing more, and goes on at once when it has it again", async () => {
  const scene = await RemoteScene.open(BACK)
  const keys = Array.from({ length: 3 * REMOTE_LIMITS.pendingKeysConcurrent }, (_, i) => `k${i}`)
  for (const key of keys) await scene.write(key, key)
  scene.origin.took()
  scene.origin.before = kind => {
    // The lease is lost long before the next look at it.
    scene.isSender = false
    if (kind === "put") throw fail("remoteRefused", { message: "The remote refuses the request." })
  }
  await scene.round()
  assert.equal(scene.origin.took().length, REMOTE_LIMITS.pendingKeysConcurrent)
  assert.equal(await scene.versions(), keys.length)
  scene.origin.before = () => undefined
  scene.isSender = true
  await scene.round()
  assert.deepEqual([scene.origin.objects.size, await scene.versions()], [keys.length, 0])
})

test("a pending write of several blocks, and one of no bytes, arrive as they are", async () => {
  const scene = await RemoteScene.open(BACK)
  const bytes = bytesOf(2 * REMOTE_LIMITS.blockBytes + 1, 1)
  await scene.write("a", bytes)
  await scene.write("b", "")
  await scene.round()
  assert.equal(scene.farText("b"), "")
  scene.origin.isUnavailable = true
  assert.ok((await scene.read("a")).bytes.equals(bytes))
  assert.deepEqual(await scene.seen("b"), ["", "hit"])
})

test("many keys are sent in one round", async () => {
  const scene = await RemoteScene.open(BACK)
  for (let i = 0; i < 60; i += 1) await scene.write(`k${i}`, `${i}`)
  let [now, most] = [0, 0]
  scene.origin.before = async () => {
    most = Math.max(most, (now += 1))
    await scene.world.clock.sleep(5, new AbortController().signal)
    now -= 1
  }
  await scene.round()
  assert.deepEqual([scene.origin.objects.size, await scene.versions()], [60, 0])
  assert.equal(most, REMOTE_LIMITS.pendingKeysConcurrent)
})

test("a read of a pending write goes on while the write is sent and its version removed", async () => {
  const scene = await RemoteScene.open(BACK)
  const bytes = bytesOf(3_000_000, 1)
  await scene.write("a", bytes)
  const reads = [1, 2, 3].map(() => ended(scene.reading("a")))
  await scene.round()
  for (const end of await scene.run(Promise.all(reads))) assert.ok("value" in end && end.value.bytes.equals(bytes))
})

test("at no moment while a write is sent, and its versions are removed, is an older version read", async () => {
  for (const last of ["two", undefined]) {
    const scene = await RemoteScene.open(BACK)
    await scene.write("a", "one")
    if (last === undefined) await scene.remove("a")
    else await scene.write("a", last)
    const seen: unknown[] = []
    let isBusy = false
    scene.world.tablet.before = async () => {
      if (isBusy) return
      isBusy = true
      const end = await ended(scene.reading("a"))
      seen.push("value" in end ? end.value.text : isFailure(end.error, "noSuchKey") ? undefined : end.error)
      isBusy = false
    }
    await scene.round()
    assert.ok(seen.length >= 3)
    assert.deepEqual(new Set(seen), new Set([last]))
  }
})

test("a removal that is pending hides an object from readers that compare", async () => {
  const scene = await RemoteScene.open({ ...BACK, freshness: { check: "Always" } })
  scene.far("a", "one")
  await scene.read("a")
  await scene.remove("a")
  const end = await scene.run(ended(scene.reading("a", { revalidates: true })))
  assert.ok("error" in end && isFailure(end.error, "noSuchKey") && end.error.details["deleteMarker"] === undefined)
})
