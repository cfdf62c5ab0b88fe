/** Setters of keys: what is noted beside a change, and who sees a key. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import { parseAccessKeyId, parseAccountId } from "@hayloft/base/ids.js"
import type { SwiftSetter } from "@hayloft/engine/format/swift/swift-setter.js"
import { changedSetters, seesKey, shownMetadata } from "./setters-core.js"

const ANN: SwiftSetter = { kind: "key", id: parseAccessKeyId("AKIAANN") }
const BOB: SwiftSetter = { kind: "key", id: parseAccessKeyId("AKIABOB") }
const SERVED: SwiftSetter = { kind: "served", id: parseAccessKeyId("AKIAANN") }
const ROOT: SwiftSetter = { kind: "root", id: parseAccountId("AKIAANN") }
const KEY = ["temp-url-key", "one"] as const
const SECOND = ["temp-url-key-2", "two"] as const
const COLOUR = ["colour", "red"] as const

test("a stated key is its setter's, another keeps its own, and what is removed or is no key has none", () => {
  const former = [
    ["temp-url-key", ANN],
    ["temp-url-key-2", ANN],
  ] as const
  assert.deepEqual(changedSetters(former, [KEY, SECOND, COLOUR], [SECOND, COLOUR], BOB), [
    ["temp-url-key", ANN],
    ["temp-url-key-2", BOB],
  ])
  assert.deepEqual(changedSetters(former, [SECOND], [], BOB), [["temp-url-key-2", ANN]])
  assert.deepEqual(changedSetters(undefined, [KEY], [], BOB), [])
  assert.deepEqual(changedSetters(undefined, [COLOUR], [COLOUR], undefined), [])
  assert.throws(
    () => changedSetters(former, [KEY], [KEY], undefined),
    error => isFailure(error, "accessDenied"),
  )
})

test("a key is seen by its setter and the root user alone; other metadata by everybody", () => {
  const all = [KEY, SECOND, COLOUR]
  const setters = [["temp-url-key", ANN] as const]
  assert.deepEqual(shownMetadata(all, setters, undefined), [COLOUR])
  assert.deepEqual(shownMetadata(all, setters, { setter: ANN, isRoot: false }), [KEY, COLOUR])
  assert.deepEqual(shownMetadata(all, setters, { setter: undefined, isRoot: true }), all)
  for (const setter of [BOB, SERVED, ROOT, undefined]) assert.ok(!seesKey(ANN, { setter, isRoot: false }))
  assert.ok(!seesKey(undefined, { setter: undefined, isRoot: false }))
})
