/** Paths with segments in braces: which requests match, what they name, and that no two operations share a request. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { OPERATIONS } from "./operations.js"
import { bracesOf, segmentFrom, segmentsOf, thingOf } from "./path-template-core.js"

const KEY = "/v1/accounts/{account}/users/{user}/keys/{key}"

test("each segment in braces is decoded under its name", () => {
  const segments = segmentsOf(KEY, "/v1/accounts/a%40b.example/users/%C3%A9va/keys/x%2Fy")
  assert.deepEqual(
    [...(segments ?? [])],
    [
      ["account", "a@b.example"],
      ["user", "éva"],
      ["key", "x/y"],
    ],
  )
  assert.equal(segmentFrom(segments ?? new Map())("user"), "éva")
  assert.throws(() => segmentFrom(segments ?? new Map())("name"), /has \{name\}/)
  assert.deepEqual(bracesOf(KEY), ["account", "user", "key"])
})

test("a path with an empty, missing, further or other segment does not match", () => {
  for (const path of [
    "/v1/accounts/a/users//keys/k",
    "/v1/accounts/a/users/u/keys",
    "/v1/accounts/a/users/u/keys/k/",
    "/v1/accounts/a/groups/u/keys/k",
  ])
    assert.equal(segmentsOf(KEY, path), undefined, path)
  assert.deepEqual([...(segmentsOf("/v1/accounts", "/v1/accounts") ?? [["none", ""]])], [])
})

test("the thing of a path ends with its last braces", () => {
  assert.equal(thingOf("/v1/accounts/{account}/users/{user}/enable"), "/v1/accounts/{account}/users/{user}")
  assert.equal(thingOf("/v1/accounts"), "")
})

test("a request matches one operation only, and braces of one place have one name", () => {
  const paths = [...new Set(OPERATIONS.map(({ path }) => path))]
  const shapeOf = (path: string) => path.replace(/\{\w+\}/g, "{}")
  assert.equal(new Set(paths.map(shapeOf)).size, paths.length)
  for (const path of paths) {
    const sample = path.replace(/\{\w+\}/g, "-")
    const matching = paths.filter(each => segmentsOf(each, sample) !== undefined)
    assert.deepEqual(matching, [path])
    for (const other of paths.filter(each => each !== path)) {
      const literal = other.replace(/\{\w+\}/g, "-")
      assert.ok(segmentsOf(path, literal) === undefined, `${path} also matches ${other}`)
    }
  }
  for (const { method, path } of OPERATIONS) {
    const same = OPERATIONS.filter(each => each.method === method && each.path === path)
    assert.equal(same.length, 1, `${method} ${path}`)
  }
})
