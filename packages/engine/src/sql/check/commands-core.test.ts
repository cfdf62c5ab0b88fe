import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import { asPromise } from "@hayloft/base/soon.js"
import type { Command, Query } from "../../metadata/index.js"
import { MemoryMetadata } from "../../metadata/testing-engine.js"
import {
  addFirstVersion,
  bucketKey,
  createObject,
  deleteObject,
  increment,
  leaveDuty,
  numberOf,
  objectKey,
  ownKey,
  putInto,
  replaceObject,
  setBucket,
  setOwn,
  textOfRow,
  versionsOf,
} from "./commands-core.js"

/** The guards of every decision are checked by this engine, too. */
function engine() {
  const metadata = new MemoryMetadata()
  const ask = <T>(query: Query<T>): Promise<T> => asPromise(() => metadata.ask(query))
  const run = <T>(command: Command<T>): Promise<T> => metadata.run(command)
  return { run, ask }
}
const [object, other] = [objectKey("a"), objectKey("b")]

test("increments count from 1, each key for itself", async () => {
  const { run, ask } = engine()
  assert.equal(await ask(numberOf(ownKey("a"))), 0)
  assert.deepEqual([await run(increment(ownKey("a"))), await run(increment(ownKey("a")))], [1, 2])
  assert.deepEqual([await ask(numberOf(ownKey("a"))), await ask(numberOf(ownKey("b")))], [2, 0])
})

test("one of two leaves duty, and only while both are on it", async () => {
  const { run, ask } = engine()
  const [ann, bob] = [ownKey("Ann"), ownKey("Bob")]
  assert.equal(await run(leaveDuty(ann, bob)), false)
  for (const key of [ann, bob]) await run(setOwn(key, "on"))
  assert.deepEqual([await run(leaveDuty(ann, bob)), await run(leaveDuty(bob, ann))], [true, false])
  assert.equal(await run(leaveDuty(ann, bob)), false)
  assert.deepEqual(
    [await ask(textOfRow("pendingDeletions", ann)), await ask(textOfRow("pendingDeletions", bob))],
    ["off", "on"],
  )
})

test("only the first version of an object is added", async () => {
  const { run, ask } = engine()
  assert.equal(await ask(versionsOf(object)), 0)
  assert.deepEqual([await run(addFirstVersion(object, 1)), await run(addFirstVersion(object, 2))], [true, false])
  assert.deepEqual([await ask(versionsOf(object)), await ask(textOfRow("current", object))], [1, "1"])
  assert.equal(await run(addFirstVersion(other, 2)), true)
})

test("an object is created once, replaced if it is the expected one, and deleted", async () => {
  const { run, ask } = engine()
  assert.deepEqual([await run(createObject(object, "a")), await run(createObject(object, "b"))], [true, false])
  assert.equal(await run(replaceObject(object, "b", "c")), false)
  assert.equal(await ask(textOfRow("current", object)), "a")
  assert.equal(await run(replaceObject(object, "a", "c")), true)
  assert.equal(await ask(textOfRow("current", object)), "c")
  await run(deleteObject(object))
  await run(deleteObject(object))
  assert.equal(await ask(textOfRow("current", object)), undefined)
  assert.equal(await run(replaceObject(object, "c", "d")), false)
})

test("an object is put into an open bucket only", async () => {
  const { run, ask } = engine()
  const bucket = bucketKey(1)
  const isRefused = (error: unknown): boolean => isFailure(error, "noSuchBucket")
  await assert.rejects(run(putInto(bucket, object)), isRefused)
  await run(setBucket(bucket, "open"))
  await run(putInto(bucket, object))
  assert.equal(await ask(textOfRow("current", object)), "put")
  await run(setBucket(bucket, "closed"))
  await assert.rejects(run(putInto(bucket, other)), isRefused)
  assert.equal(await ask(textOfRow("current", other)), undefined)
})

test("commands name the rows that they read first", () => {
  const [ann, bob, bucket] = [ownKey("Ann"), ownKey("Bob"), bucketKey(1)]
  const touched = [
    setOwn(ann, "on"),
    increment(ann),
    leaveDuty(ann, bob),
    addFirstVersion(object, 1),
    createObject(object, "a"),
    deleteObject(object),
    replaceObject(object, "a", "b"),
    setBucket(bucket, "open"),
    putInto(bucket, object),
  ].map(({ touches }) => touches)
  const [own, current] = [["pendingDeletions", ann] as const, ["current", object] as const]
  assert.deepEqual(touched, [
    [own],
    [own],
    [own, ["pendingDeletions", bob]],
    [current],
    [current],
    [current],
    [current],
    [["buckets", bucket]],
    [current, ["buckets", bucket]],
  ])
})
