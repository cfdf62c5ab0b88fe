/** Rows keep every byte, however the stream of messages is cut, and all other messages reach the library in order. */
import assert from "node:assert/strict"
import { EventEmitter } from "node:events"
import { test } from "node:test"
import { Client } from "pg"
import { fc } from "@hayloft/base/testing-properties.js"
import { readBinaryRows } from "./binary-rows.js"

type Event = "other" | readonly (Buffer | null)[]

function message(code: string, body: Buffer): Buffer {
  const head = Buffer.alloc(5)
  head.write(code, "latin1")
  head.writeUInt32BE(4 + body.length, 1)
  return Buffer.concat([head, body])
}

function rowMessage(values: readonly (Uint8Array | null)[]): Buffer {
  const count = Buffer.alloc(2)
  count.writeUInt16BE(values.length)
  const parts = values.map(value => {
    const length = Buffer.alloc(4)
    length.writeInt32BE(value?.length ?? -1)
    return Buffer.concat([length, value ?? Buffer.alloc(0)])
  })
  return message("D", Buffer.concat([count, ...parts]))
}

/** Returns what the library sees of messages that arrive in these pieces. */
function eventsOf(pieces: readonly Buffer[]): readonly Event[] {
  const client = new Client()
  const { connection } = client
  const events: Event[] = []
  connection.on("dataRow", ({ fields }: { readonly fields: readonly (Buffer | null)[] }) => events.push(fields))
  connection.on("commandComplete", () => events.push("other"))
  readBinaryRows(client)
  const stream = new EventEmitter()
  const attach: unknown = Reflect.get(connection, "attachListeners")
  assert.ok(typeof attach === "function")
  Reflect.apply(attach, connection, [stream])
  for (const piece of pieces) stream.emit("data", piece)
  return events
}

test("messages are read alike at every cut", () => {
  const value = fc.option(fc.uint8Array({ maxLength: 40 }), { nil: null })
  const row = fc.array(value, { maxLength: 4 }).map(values => values.map(each => each && Buffer.from(each)))
  const event = fc.oneof(row, fc.constant("other" as const))
  fc.assert(
    fc.property(fc.array(event, { maxLength: 8 }), fc.array(fc.nat(400), { maxLength: 6 }), (events, cuts) => {
      const done = message("C", Buffer.from("SELECT 1\0"))
      const bytes = Buffer.concat(events.map(each => (each === "other" ? done : rowMessage(each))))
      const places = [0, ...cuts.filter(cut => cut < bytes.length).sort((a, b) => a - b), bytes.length]
      const pieces = places.slice(1).map((end, i) => bytes.subarray(places[i], end))
      assert.deepEqual(eventsOf(pieces.filter(piece => piece.length > 0)), events)
    }),
    { numRuns: 300 },
  )
})
