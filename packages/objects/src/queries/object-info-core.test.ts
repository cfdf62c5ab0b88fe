/** Details of objects: only what a header can carry is stored, and stored ones that cannot be shown are left out. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import { shownMetadata } from "@hayloft/base/http/header-text.js"
import { headersOf, packDetails, packFoundDetails } from "./object-info-core.js"

const TAGS = { tags: [] } as const
const BAD_VALUES = ["a\nb", "a\rb", "a\0b", "\x7f", "\u0100", "\u{1f600}"]
const BAD_NAMES = ["a b", "a\nb", "a:b", "\xe9", "\u0100", "(a)"]

test("headers and user metadata are refused if HTTP cannot carry them", () => {
  const refused = (described: Parameters<typeof packDetails>[0]) =>
    assert.throws(
      () => packDetails(described),
      error => isFailure(error, "invalidArgument"),
      JSON.stringify(described),
    )
  for (const value of BAD_VALUES) {
    for (const name of ["contentType", "cacheControl", "expires", "websiteRedirect", "segmentPrefix"])
      refused({ ...TAGS, headers: { [name]: value }, userMetadata: [] })
    refused({ ...TAGS, headers: {}, userMetadata: [["a", value]] })
  }
  for (const name of BAD_NAMES) refused({ ...TAGS, headers: {}, userMetadata: [[name, ""]] })
  const kept = { headers: { contentType: "a\tb\xff" }, userMetadata: [["", ""] as const, ["!#a", "\x80 ~"] as const] }
  assert.deepEqual(packDetails({ ...TAGS, ...kept }), {
    ...TAGS,
    headers: [["contentType", "a\tb\xff"]],
    userMetadata: kept.userMetadata,
  })
})

test("what is stored already, or found, loses only what HTTP cannot carry", () => {
  for (const value of BAD_VALUES) {
    const headers = { contentType: value, expires: "never" }
    const userMetadata = [["a", value] as const, ["b", "kept"] as const]
    const found = packFoundDetails({ ...TAGS, headers, userMetadata })
    assert.deepEqual(found, { ...TAGS, headers: [["expires", "never"]], userMetadata: [["b", "kept"]] })
    assert.deepEqual(headersOf({ headers: Object.entries(headers) }), { expires: "never" })
  }
  for (const name of BAD_NAMES) assert.deepEqual(shownMetadata([[name, "x"]]), [])
})
