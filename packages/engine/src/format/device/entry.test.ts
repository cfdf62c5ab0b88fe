/** Entries survive the log unchanged, and their payloads are recognised at their offsets. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fc } from "@hayloft/base/testing-properties.js"
import { FAMILY_NAMES } from "@hayloft/base/rows/families.js"
import { isFailure } from "@hayloft/base/failures.js"
import { parseEpoch, parsePosition, parseTabletId, rowKeyOf } from "@hayloft/base/ids.js"
import { decodeEntry, entryBytes, openLoggedPayload, PAYLOAD_CHECKSUM_BYTES, type EntryWrite } from "./entry.js"
import { encodeEntry } from "./testing-entry.js"

const writes = fc.array(
  fc.record({
    family: fc.constantFrom(...FAMILY_NAMES),
    key: fc.uint8Array({ minLength: 1, maxLength: 40 }).map(bytes => rowKeyOf(Buffer.from(bytes).toString("latin1"))),
    value: fc.option(fc.uint8Array({ maxLength: 60 }), { nil: undefined }),
    payload: fc.option(fc.uint8Array({ maxLength: 60 }), { nil: undefined }),
  }),
  { maxLength: 12 },
)
const entries = fc.record({ position: fc.nat().map(parsePosition), writes }).map(({ position, writes: list }) => ({
  tabletId: parseTabletId(1),
  epoch: parseEpoch(3),
  position,
  writes: list.map(({ payload, ...write }): EntryWrite => (payload ? { ...write, payload } : write)),
}))

test("entries round-trip, have the predicted length, and return the offset of each payload", () => {
  fc.assert(
    fc.property(entries, entry => {
      const { record, payloadsAt } = encodeEntry(entry)
      assert.equal(record.length, entryBytes(entry.writes))
      const decoded = decodeEntry(record)
      assert.equal(decoded.position, entry.position)
      assert.equal(decoded.writes.length, entry.writes.length)
      for (const [i, { family, key, value, payload }] of entry.writes.entries()) {
        const write = decoded.writes[i]
        assert.ok(write)
        assert.deepEqual([write.family, write.key], [family, key])
        assert.deepEqual(write.value && Uint8Array.from(write.value), value)
        assert.deepEqual(write.payload && Uint8Array.from(write.payload), payload)
        assert.equal(write.payloadAt, payloadsAt[i])
        if (!payload) continue
        const logged = record.subarray(write.payloadAt, write.payloadAt + PAYLOAD_CHECKSUM_BYTES + payload.length)
        assert.deepEqual(Uint8Array.from(openLoggedPayload(logged, entry.position) ?? []), payload)
        assert.equal(openLoggedPayload(logged, parsePosition(entry.position + 1)), undefined, "another entry's place")
      }
    }),
  )
})

test("bytes that are not an entry are refused, whatever lengths they contain", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), bytes => {
      try {
        decodeEntry(Uint8Array.from([1, 1, ...bytes]))
      } catch (error) {
        assert.ok(isFailure(error, "corruptRecord"), String(error))
      }
    }),
    { numRuns: 2000 },
  )
})
