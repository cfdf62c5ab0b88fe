/** Attributes of objects: each header of a request is one, whatever its value has in it. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import { HeaderShapes } from "@hayloft/base/http/request-headers.js"
import { AttributeReader } from "./parse-content.js"

const reader = new AttributeReader()
const attributesOf = (...flat: readonly string[]) => reader.of(new HeaderShapes().ofFlat(flat))

test("stored headers and user metadata are read, equal ones as the same object", () => {
  const flat = ["Content-Type", "text/plain", "Host", "h", "x-amz-meta-a", "b:c"]
  assert.deepEqual(attributesOf(...flat), { headers: { contentType: "text/plain" }, userMetadata: [["a", "b:c"]] })
  assert.equal(attributesOf(...flat), attributesOf(...flat))
})

test("a value with a line feed, which comes without an HTTP parser, becomes no further attribute", () => {
  for (const value of ["text/plain\nx-amz-meta-b:1", "text/plain\n", "\n1", "1\nx-amz-website-redirect-location:/x"])
    for (const name of ["content-type", "x-amz-meta-a"])
      assert.throws(
        () => attributesOf(name, value),
        error => isFailure(error, "invalidArgument"),
        JSON.stringify(value),
      )
  assert.deepEqual(attributesOf("x-amz-meta-a:b", "c").userMetadata, [["a:b", "c"]], "a name with a colon is no other")
})
