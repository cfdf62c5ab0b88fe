/** Large objects: a range reads the parts of segments that contain it, and nothing else. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fc } from "@hayloft/base/testing-properties.js"
import { partsOfRange } from "./large-object.js"

test("a range of the whole is cut into parts of the segments that contain it", () => {
  const lengths = fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 8 })
  fc.assert(
    fc.property(lengths, fc.nat(30), fc.nat(30), (list, first, lengthBytes) => {
      const bytes = list.flatMap((length, index) => Array.from({ length }, (_, at) => `${index}.${at}`))
      const parts = partsOfRange(list, { first, lengthBytes })
      const read = parts.flatMap(part =>
        Array.from({ length: part.lengthBytes }, (_, at) => `${part.index}.${part.first + at}`),
      )
      assert.deepEqual(read, bytes.slice(first, first + lengthBytes))
      assert.ok(parts.every(part => part.lengthBytes > 0))
    }),
  )
})
