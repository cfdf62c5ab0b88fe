import assert from "node:assert/strict"
import { test } from "node:test"
import { TRANSFORM_LIMITS } from "../limits.js"
import { BODIES, IMPORTS, START, testModule } from "./testing-modules.js"
import { moduleFault } from "./wasm-binary.js"
import { runModule } from "./wasm-module.js"

const INPUT = Buffer.from("some input")
const PAGES_MAX = TRANSFORM_LIMITS.moduleMemoryMib * 16

const stepOf = (code: Uint8Array, contentType?: string) =>
  ({ kind: "module", name: "m", code, parameters: "k=v", ...(contentType !== undefined && { contentType }) }) as const
const run = (code: Uint8Array, bytes: Uint8Array = INPUT) =>
  runModule(stepOf(code), { kind: "made", bytes, type: "text/plain" })
const bytesOf = (code: Uint8Array): Buffer => {
  const made = run(code)
  assert.ok(made.kind === "made", JSON.stringify(made))
  return Buffer.from(made.bytes)
}

test("a module gets its input and its parameters", () => {
  assert.equal(bytesOf(testModule({ body: BODIES.input })).toString(), "some input")
  assert.equal(bytesOf(testModule({ body: BODIES.parameters })).toString(), "k=v")
  const empty = run(testModule({ body: BODIES.input }), new Uint8Array())
  assert.equal(empty.kind === "made" && empty.bytes.length, 0)
})

test("the result has the type of the module, or that of the input", () => {
  const code = testModule({ body: BODIES.input })
  const input = { kind: "made", bytes: INPUT, type: "text/plain" } as const
  const types = [stepOf(code), stepOf(code, "image/x")].map(step => runModule(step, input))
  assert.deepEqual(
    types.map(made => made.kind === "made" && made.type),
    ["text/plain", "image/x"],
  )
})

for (const [name, body, reason] of [
  ["an input that it does not know", BODIES.unknown, /^the module does not know this input$/],
  ["a trap", BODIES.trap, /^the module failed: unreachable$/],
  ["endless recursion", BODIES.recursive, /^the module failed: Maximum call stack size exceeded$/],
  ["a result outside of the memory", BODIES.outside, /^the result lies outside of the memory of the module$/],
  ["a result that is too large", BODIES.large, /^the result has more than \d+ MiB$/],
] as const) {
  test(`skipped: ${name}`, () => {
    const outcome = run(testModule({ body }))
    assert.match(outcome.kind === "skipped" ? outcome.reason : "made", reason)
  })
}

test("the memory grows to its limit, whatever maximum the module states", () => {
  for (const memory of [
    [0, 1],
    [1, 1, 0x80, 0x80, 4],
  ] as const) {
    const pages = bytesOf(testModule({ body: BODIES.hungry, memory })).length
    assert.ok(pages > PAGES_MAX - 16 && pages <= PAGES_MAX, `${pages} pages`)
  }
  const own = bytesOf(testModule({ body: BODIES.hungry, memory: [1, 1, 40] })).length
  assert.ok(own > 24 && own <= 40, "a lower maximum of its own stays")
})

test("skipped: an input that does not fit the memory", () => {
  const outcome = run(testModule({ body: BODIES.input, memory: [1, 1, 2] }), new Uint8Array(200_000))
  assert.deepEqual(outcome, { kind: "skipped", reason: "the module has too little memory for the input" })
})

const good = testModule({ body: BODIES.input })
for (const [name, code, fault] of [
  ["a good one", good, undefined],
  ["imports", testModule({ body: BODIES.input, imports: IMPORTS }), "it imports env.leak, and a step imports nothing"],
  ["a start function", testModule({ body: BODIES.input, start: START }), "it has a start function"],
  ["shared memory", testModule({ body: BODIES.input, memory: [3, 1, 2] }), "it has a shared memory"],
  ["64 bits", testModule({ body: BODIES.input, memory: [4, 1] }), "it has a memory with addresses of 64 bits"],
  ["page sizes", testModule({ body: BODIES.input, memory: [8, 1, 0] }), "it has a memory with pages of another size"],
  [
    "two memories",
    testModule({
      body: BODIES.input,
      memories: [
        [0, 1],
        [0, 1],
      ],
    }),
    "it has 2 memories",
  ],
  [
    "too much",
    testModule({ body: BODIES.input, memory: [0, 0x81, 0x20] }),
    `it needs more than ${TRANSFORM_LIMITS.moduleMemoryMib} MiB of memory`,
  ],
  ["a missing export", testModule({ body: BODIES.input, name: "other" }), "it does not export the function transform"],
  [
    "another type",
    testModule({ body: [], type: [0x60, 0, 0] }),
    "the function transform has other parameters or results",
  ],
  ["invalid code", testModule({ body: [0x6a] }), /^it does not compile: .*[Cc]ompil/],
  ["no module", Buffer.from("<svg/>"), "it is not a WebAssembly module"],
  ["nothing", new Uint8Array(), "it is not a WebAssembly module"],
  ["a long count", Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0x0f), "it is cut off"],
] as const) {
  test(`checked at upload: ${name}`, () => {
    const found = moduleFault(code)
    if (fault instanceof RegExp) assert.match(found ?? "", fault)
    else assert.equal(found, fault)
  })
}

test("a module that is cut off anywhere is refused", () => {
  for (let length = 0; length < good.length; length += 1)
    assert.notEqual(moduleFault(good.subarray(0, length)), undefined, `${length} bytes`)
})
