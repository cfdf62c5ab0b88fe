/** Tests of what a selection covers, in which order, and which ones are refused. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { SELECTED_MAX } from "@hayloft/base/limits.js"
import { BULK_REQUEST } from "./bulk-request.js"
import { placeInRanges, keyRangesOf, textInRanges } from "./key-ranges-core.js"

const [OLD, NEW] = ["0".repeat(26), "1".repeat(26)]

const shown = (selected: readonly object[], more: object = {}): readonly string[] =>
  keyRangesOf(BULK_REQUEST.parse({ kind: "delete-versions", selected, ...more })).map(
    ({ prefix, isOneKey, versionIds }) =>
      `${isOneKey ? "key" : "all"} ${prefix}${versionIds === undefined ? "" : ` ${[...versionIds].join(",")}`}`,
  )

test("a selection is in the order of keys, and has each object once", () => {
  const cases: readonly (readonly [readonly object[], readonly string[]])[] = [
    [
      [{ key: "b" }, { key: "a" }, { key: "b" }],
      ["key a", "key b"],
    ],
    [
      [{ key: "a/1" }, { key: "ab" }, { prefix: "a/" }, { prefix: "a/b/" }, { key: "a/" }],
      ["all a/", "key ab"],
    ],
    [
      [{ key: "a", versionId: OLD }, { key: "a", versionId: NEW }, { key: "ab" }],
      [`key a ${OLD},${NEW}`, "key ab"],
    ],
    [[{ key: "a", versionId: OLD }, { key: "a" }], ["key a"]],
    [
      [{ key: "ä" }, { key: "z" }],
      ["key z", "key \xc3\xa4"],
    ],
  ]
  for (const [selected, expected] of cases) assert.deepEqual(shown(selected), expected)
  assert.deepEqual(keyRangesOf(BULK_REQUEST.parse({ kind: "delete-objects", prefix: "a/" })), [
    { prefix: "a/", isOneKey: false, versionIds: undefined },
  ])
})

test("what is not below the prefix, has versions for other work, or is too much is refused", () => {
  assert.deepEqual(shown([{ key: "a/1" }], { prefix: "a/" }), ["key a/1"])
  assert.throws(() => shown([{ key: "b" }], { prefix: "a/" }), /b is not below a\//)
  assert.throws(() => shown([{ key: "a", versionId: OLD }], { kind: "delete-objects" }), /without versionId/)
  assert.throws(() => shown([{ key: "a", versionId: "x" }]), /version id/)
  const many = Array.from({ length: SELECTED_MAX + 1 }, (_, at) => ({ key: String(at) }))
  assert.throws(() => shown(many), /more than 1000 objects are selected: .*name a prefix/)
  assert.equal(shown(many.slice(1)).length, SELECTED_MAX)
  assert.throws(() => shown([]))
})

test("places of a selection name the range; those of a prefix are its own", () => {
  for (const place of [
    { range: 0, within: "" },
    { range: 12, within: "a key 0123" },
  ])
    assert.deepEqual(placeInRanges(true, textInRanges(true, place)), place)
  assert.deepEqual(placeInRanges(false, "a b"), { range: 0, within: "a b" })
  assert.equal(textInRanges(false, { range: 0, within: "a b" }), "a b")
})
