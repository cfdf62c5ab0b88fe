/** Tests of the request that calls an operation: each value is sent where the operation has a part of its name. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { z } from "zod"
import { operation } from "./operation.js"
import { requestOf } from "./request-core.js"

const CHANGE = operation("changeThing", "POST /v1/things/{thing}/{part}", {
  summary: "Changes a thing.",
  parameters: [{ name: "cascade", description: "with its parts" }],
  request: z.strictObject({ size: z.number().optional(), name: z.string().optional() }),
  answer: z.object({}),
  run: async () => ({}),
})

test("values go into the path, the query and the body, and others nowhere", () => {
  const values = { thing: "a/b", part: "{thing}", cascade: true, size: 7, name: undefined, other: 1 }
  assert.deepEqual(requestOf(CHANGE, values), {
    method: "POST",
    path: "/v1/things/a%2Fb/%7Bthing%7D",
    query: { cascade: "true" },
    body: { size: 7 },
    type: undefined,
  })
  assert.throws(() => requestOf(CHANGE, { thing: "a" }), /takes a part/)
})

test("a body that is bytes, or has no members of its own, is sent whole", () => {
  const bytes = new Uint8Array([1, 2])
  const uploaded = { ...CHANGE, request: undefined, bytesType: "application/wasm" }
  const sent = requestOf(uploaded, { thing: "a", part: "b", body: bytes })
  assert.deepEqual([sent.body, sent.type], [bytes, "application/wasm"])
  const document = { ...CHANGE, request: z.record(z.string(), z.unknown()) }
  assert.deepEqual(requestOf(document, { thing: "a", part: "b", body: { x: 1 } }).body, { x: 1 })
  assert.equal(requestOf({ ...CHANGE, method: "GET" }, { thing: "a", part: "b" }).body, undefined)
})
