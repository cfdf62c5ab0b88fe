/** Differences between two moments, as the admin API shows them: in pages of one pair of moments. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { DIFFERENCES } from "@hayloft/features/history/schemas.js"
import { world } from "./testing-api.js"

const PATH = "/v1/buckets/photos/differences"

test("pages of differences belong to the moments of the first answer", async () => {
  const { json } = world()
  await json("POST", "/v1/buckets", { body: { name: "photos" } })
  const first = DIFFERENCES.parse((await json("GET", `${PATH}?from=2025-01-01T00:00:00Z`)).value)
  assert.deepEqual([first.from, first.next], ["2025-01-01T00:00:00.000000Z", "a"])
  assert.deepEqual(
    first.differences.map(({ key, change, before, after }) => [key, change, before?.sizeBytes, after?.sizeBytes]),
    [["a", "added", undefined, 7]],
  )
  const query = `from=${first.from}&to=${first.to}&after=${first.next}`
  const second = DIFFERENCES.parse((await json("GET", `${PATH}?${query}`)).value)
  assert.deepEqual([second.to, second.next], [first.to, undefined])
  assert.deepEqual(
    second.differences.map(({ key, change }) => [key, change]),
    [["b", "removed"]],
  )
})

test("a request without a first moment, or with an invalid one, is refused", async () => {
  const { json } = world()
  await json("POST", "/v1/buckets", { body: { name: "photos" } })
  for (const query of ["", "?from=yesterday", "?from=2025-01-01T00:00:00Z&to=2025"])
    assert.equal((await json("GET", `${PATH}${query}`)).status, 400, query)
  assert.equal((await json("GET", "/v1/buckets/nothing/differences?from=2025-01-01T00:00:00Z")).status, 404)
})
