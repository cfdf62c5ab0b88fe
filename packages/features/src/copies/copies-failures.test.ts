/** Copies where something is in the way: another store's copies, commits that fail, objects and targets that refuse. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fail } from "@hayloft/base/failures.js"
import { objectKeyOfText } from "@hayloft/base/ids.js"
import { MIB } from "@hayloft/base/limits.js"
import { PARKED_PER_COMMAND, type CopyLog } from "./copy-log.js"
import { noSignal } from "@hayloft/upkeep/repair/testing-repair.js"
import { sourceOf } from "@hayloft/objects/bodies/testing-bodies.js"
import { keepsEtag, uploadOf } from "../remote-buckets/index.js"
import { COPIES_LIMITS } from "./limits.js"
import { currentInfoOf } from "./sending.js"
import { CopiesScene } from "./testing-copies.js"

const keyOf = objectKeyOfText
const OTHER_TARGET = "0123456789abcdef"

test("a fill sends nothing back that another store sent: that one may have replaced or removed it since", async () => {
  const scene = await CopiesScene.open()
  for (const key of ["same", "replaced", "removed"]) await scene.put(key, "v1", { isCopy: true, mark: OTHER_TARGET })
  await scene.put("own", "1")
  scene.origin.set(keyOf("same"), Buffer.from("v1"))
  scene.origin.set(keyOf("replaced"), Buffer.from("v2, acknowledged there"))
  await scene.set()
  await scene.settle()
  await scene.run(scene.copies.fillAgain(scene.bucket, false))
  await scene.settle()
  const expected = { own: "1", replaced: "v2, acknowledged there", same: "v1" }
  assert.deepEqual(Object.fromEntries(scene.there()), expected)
  assert.ok(!scene.origin.took().includes("put same"), "without a lag, nothing goes back either")
  // An object that is written here belongs to this store, whatever was there before.
  await scene.put("same", "v3")
  await scene.settle()
  assert.equal(scene.there().get("same"), "v3")
})

test("a target that has lost its objects is filled with what arrived from it, if the setting says so", async () => {
  const scene = await CopiesScene.open()
  await scene.put("a", "1", { isCopy: true, mark: OTHER_TARGET })
  await scene.set()
  await scene.settle()
  assert.equal(scene.there().size, 0)
  await scene.set({ sendBack: true })
  await scene.run(scene.copies.fillAgain(scene.bucket, false))
  await scene.settle()
  await scene.assertCopied("sent back")
})

for (const isMade of [false, true])
  test(`a commit that fails${isMade ? ", and was made," : ""} leaves nothing in the log for ever`, async () => {
    const scene = await CopiesScene.open()
    await scene.set()
    await scene.settle()
    await scene.put("a", "1")
    await scene.put("b", "2")
    const log: { change: CopyLog["change"] } = scene.log
    const { change } = log
    let isDue = true
    log.change = async (id, of) => {
      if (!isDue || of.done.length === 0) return change(id, of)
      isDue = false
      if (isMade) await change(id, of)
      throw fail("deviceFailed", { message: "the database is away" })
    }
    for (let turns = 0; isDue && turns < 10; turns += 1) await scene.work(250).catch(() => undefined)
    assert.ok(!isDue, "the commit has failed")
    await scene.settle(30_000)
    await scene.assertCopied("the changes were read again")
    assert.deepEqual(scene.copies.lags()[0]?.objects, 0)
  })

test("an object with a random ETag, as with KMS, is sent without an MD5, and compares none", async () => {
  const scene = await CopiesScene.open()
  await scene.put("a", "1")
  const { objects } = scene.world.services
  const place = { bucket: scene.bucket, key: keyOf("a") }
  const plain = await scene.run(currentInfoOf({ objects }, place, undefined))
  assert.ok(plain !== undefined)
  const kms = {
    mode: "kms",
    keyArn: "arn:aws:kms:us-east-1:1:key/a",
    usesBucketKey: false,
    context: undefined,
  } as const
  const info = { ...plain, encryption: kms }
  const [sent, ofPlain] = [
    await scene.run(uploadOf({ objects, signal: noSignal }, place, info)),
    await scene.run(uploadOf({ objects, signal: noSignal }, place, plain)),
  ]
  assert.deepEqual([sent.parts[0]?.md5, keepsEtag(sent, info)], [undefined, false])
  assert.deepEqual([ofPlain.parts[0]?.md5, keepsEtag(ofPlain, plain)], [plain.etag, true])
  const inParts = { etag: `${"0".repeat(32)}-1`, partsCount: 1 }
  assert.deepEqual(
    [undefined, kms].map(encryption => keepsEtag({ ...sent, isMultipart: true }, { ...inParts, encryption })),
    [true, false],
  )
})

test("an earlier version that cannot be copied, or is refused, holds up no later one", async () => {
  const scene = await CopiesScene.open({ isVersioned: true })
  await scene.set()
  await scene.settle()
  const attributes = { headers: { contentType: "text/plain", symlink: "c/o" }, userMetadata: [] }
  const link = { bucket: scene.bucket, key: keyOf("a"), conditions: {}, attributes, tags: [], signal: noSignal }
  await scene.run(scene.world.services.objects.put({ ...link, body: sourceOf(Buffer.from("x"), MIB) }))
  await scene.put("a", "plain")
  scene.origin.before = (kind, key) => {
    if (kind === "put" && key === keyOf("b") && isFirst) {
      isFirst = false
      throw fail("remoteRefused", { message: "too odd" })
    }
  }
  let isFirst = true
  await scene.put("b", "refused")
  await scene.put("b", "good")
  await scene.work(5_000)
  assert.deepEqual(Object.fromEntries(scene.there()), { a: "plain", b: "good" })
  const { lag, parked } = await scene.status()
  assert.deepEqual([lag.objects, parked.length, isFirst], [0, 0, false])
})

test("versions that come while others of the key are sent arrive behind them, and once", async () => {
  const scene = await CopiesScene.open({ isVersioned: true })
  await scene.set()
  await scene.settle()
  const sizes: (number | undefined)[] = []
  scene.origin.after = kind => {
    if (kind === "put") sizes.push(scene.origin.objects.get(keyOf("a"))?.sizeBytes)
  }
  scene.origin.delayMs = 2_000
  await scene.put("a", "1")
  await scene.put("a", "22")
  await scene.work(1_000)
  await scene.put("a", "333")
  await scene.put("a", "4444")
  await scene.settle()
  assert.deepEqual(sizes, [1, 2, 3, 4])
  await scene.assertCopied("all")
})

test("one key that the target answers with failures is parked, and the others go on", async () => {
  const scene = await CopiesScene.open()
  await scene.set()
  await scene.settle()
  scene.origin.before = (kind, key) => {
    if (kind === "put" && key === keyOf("bad")) throw fail("remoteUnavailable", { message: "503" })
  }
  await scene.put("bad", "x")
  for (let i = 0; i < COPIES_LIMITS.windowMax + 10; i += 1) await scene.put(`k${i}`, "y")
  await scene.work(60_000)
  assert.equal(scene.there().size, COPIES_LIMITS.windowMax + 10)
  const { parked } = await scene.status()
  assert.deepEqual([parked.map(({ key }) => key), await scene.rows()], [["bad"], 0])
  scene.origin.before = () => undefined
  await scene.settle()
  await scene.assertCopied("it was tried again")
})

test("a target that lists and takes nothing is away: few objects are parked, and all arrive once it takes some", async () => {
  for (const code of ["remoteRefused", "remoteUnavailable"] as const) {
    const scene = await CopiesScene.open()
    await scene.set()
    await scene.settle()
    scene.origin.before = kind => {
      if (kind === "put") throw fail(code, { message: "the quota is used up" })
    }
    for (let i = 0; i < 60; i += 1) await scene.put(`k${i}`, "y")
    await scene.work(600_000)
    const { parked, error } = await scene.status()
    assert.ok(parked.length <= COPIES_LIMITS.failedInRowMax, `${code}: ${parked.length} are parked`)
    assert.match(error ?? "", /quota/)
    scene.origin.before = () => undefined
    await scene.work(70_000)
    assert.ok(scene.there().size >= 60 - COPIES_LIMITS.failedInRowMax, code)
    assert.equal(await scene.rows(), 0)
  }
})

/** A filled target, of which this store has since lost all but the first key, without a row of the log for it. */
async function lossy(keys: readonly string[]): Promise<CopiesScene> {
  const scene = await CopiesScene.open()
  for (const key of keys) await scene.put(key, "x")
  await scene.set()
  await scene.settle()
  for (const key of keys.slice(1)) await scene.delete(key, true)
  return scene
}

test("a removal that the target refuses, or always fails, is parked, and holds up no fill", async () => {
  const scene = await lossy(["a", "bad1", "bad2", "bad3", "held", "lost"])
  // So they are not removed at the same time.
  const theirs = ["bad1", "bad2"].flatMap(key =>
    Array.from({ length: 2 * COPIES_LIMITS.keysConcurrent }, (_, i) => `${key} theirs ${String(i).padStart(2, "0")}`),
  )
  for (const key of theirs) scene.origin.set(keyOf(key), Buffer.from("x"))
  scene.origin.before = (kind, key) => {
    if (kind === "remove" && key === keyOf("held")) throw fail("remoteRefused", { message: "It is locked." })
    if (kind === "remove" && /^bad\d$/.test(key ?? "")) throw fail("remoteUnavailable", { message: "503" })
  }
  await scene.put("z", "new")
  await scene.run(scene.copies.fillAgain(scene.bucket, true))
  await scene.work(60_000)
  const { phase, parked } = await scene.status()
  assert.deepEqual([phase, parked.map(({ key }) => key)], ["following", ["bad1", "bad2", "bad3", "held"]])
  assert.deepEqual([...scene.there().keys()], ["a", "bad1", "bad2", "bad3", "held", "z", ...theirs].sort())
  scene.restart()
  scene.origin.before = () => undefined
  await scene.settle()
  assert.deepEqual([...scene.there().keys()], ["a", "z", ...theirs].sort())
})

test("more removals than one command parks are all parked before the fill ends", async () => {
  const keys = Array.from({ length: 3 * PARKED_PER_COMMAND }, (_, i) => `k${String(i).padStart(3, "0")}`)
  const scene = await lossy(keys)
  await scene.delete(keys[0] ?? "", true)
  const isHeld = (key: string | undefined): boolean => key !== undefined && Number(key.slice(1)) % 2 === 1
  scene.origin.before = (kind, key) => {
    if (kind === "remove" && isHeld(key)) throw fail("remoteRefused", { message: "It is locked." })
  }
  const log: { change: CopyLog["change"] } = scene.log
  const { change } = log
  let isKilled = false
  log.change = async (id, of) => {
    if (isKilled) throw fail("deviceFailed", { message: "the process is killed" })
    const changed = await change(id, of)
    isKilled = changed?.phase === "following"
    return changed
  }
  await scene.run(scene.copies.fillAgain(scene.bucket, true))
  for (let turns = 0; !isKilled && turns < 400; turns += 1) await scene.work(250).catch(() => undefined)
  assert.ok(isKilled, "the fill has ended")
  log.change = change
  scene.restart()
  scene.origin.before = () => undefined
  await scene.settle(7_200_000)
  await scene.assertCopied("also those of the last command")
})

test("a target whose listing has no end holds up its fill, and the status says why", async () => {
  const scene = await lossy(["a", "lost"])
  const { origin } = scene
  const list = origin.list.bind(origin)
  // Each page is the first one, and says that another follows.
  origin.list = async (request, signal) => ({ ...(await list({ ...request, token: undefined }, signal)), next: "more" })
  await scene.run(scene.copies.fillAgain(scene.bucket, true))
  await scene.work()
  assert.match((await scene.status()).error ?? "", /listing has no end/)
  origin.list = list
  await scene.settle()
  assert.deepEqual([...scene.there().keys()], ["a"], "it goes on once the listing ends")
})

for (const kind of ["remoteRefused", "remoteUnavailable", "conflict"] as const)
  test(`an object of the target that it does not describe (${kind}) stays, and holds up no fill`, async () => {
    const scene = await lossy(["a", "lost"])
    scene.origin.set(keyOf("theirs"), Buffer.from("encrypted with a key of its client"))
    scene.origin.before = (request, key) => {
      if (request === "head" && key === keyOf("theirs")) throw fail(kind, { message: "no" })
    }
    await scene.run(scene.copies.fillAgain(scene.bucket, true))
    await scene.settle()
    assert.deepEqual([...scene.there().keys()], ["a", "theirs"])
    const [warning] = scene.world.telemetry.entries("copies_unchecked")
    assert.equal(warning?.fields?.["objects"], 1)
  })

test("a target that fails to describe an object for a moment loses no removal", async () => {
  const scene = await lossy(["a", "lost"])
  let failures = COPIES_LIMITS.attemptsMax - 1
  scene.origin.before = kind => {
    if (kind !== "head" || failures === 0) return
    failures -= 1
    throw fail("remoteUnavailable", { message: "503" })
  }
  await scene.run(scene.copies.fillAgain(scene.bucket, true))
  await scene.settle()
  assert.deepEqual([[...scene.there().keys()], scene.world.telemetry.entries("copies_unchecked")], [["a"], []])
})
