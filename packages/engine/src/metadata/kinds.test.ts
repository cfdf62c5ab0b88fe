/** Commands and queries by their names: one is made of plain arguments, unless its name is unknown or ambiguous. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { rowKeyOf } from "@hayloft/base/ids.js"
import { ambiguousNames, command, commandOf, query, queryOf } from "./contract.js"
import { MemoryMetadata } from "./testing-engine.js"

const NAMES = "names"
const put = command<[key: string, value: Uint8Array], number>({
  name: "KindsTestPut",
  grows: false,
  touches: key => [[NAMES, rowKeyOf(key)]],
  decide: (view, _time, key, value) => ({
    writes: view.get(NAMES, rowKeyOf(key)) ? [] : [{ family: NAMES, key: rowKeyOf(key), value }],
    result: value.length,
  }),
})
// A query may have the name of a command.
const read = query("KindsTestPut", (view, key: string) => view.get(NAMES, rowKeyOf(key))?.value)

test("a name and plain arguments make the same command, and the same query", async () => {
  const metadata = new MemoryMetadata()
  const sent = put("key", Uint8Array.of(1, 2))
  const made = commandOf(sent.name, structuredClone(sent.args))
  assert.deepEqual([made.name, made.args, made.grows, made.touches], [sent.name, sent.args, false, sent.touches])
  assert.equal(await metadata.run(made), 2)
  const asked = read("key")
  assert.deepEqual(await metadata.ask(queryOf(asked.name, structuredClone(asked.args))), Uint8Array.of(1, 2))
})

test("a name that nothing has, or that two kinds have, makes nothing; to declare it twice is no error", () => {
  assert.throws(() => commandOf("KindsTestMissing", []), /no kind has the name of this command: KindsTestMissing/)
  assert.throws(() => queryOf("KindsTestMissing", []), /no kind has the name of this query: KindsTestMissing/)
  const twice = [1, 2].map(answer => query("KindsTestTwice", () => answer))
  assert.deepEqual(
    twice.map(each => new MemoryMetadata().ask(each())),
    [1, 2],
  )
  assert.throws(() => queryOf("KindsTestTwice", []), /several kinds have the name of this query: KindsTestTwice/)
  assert.ok(ambiguousNames().includes("KindsTestTwice"))
  assert.ok(!ambiguousNames().includes("KindsTestPut"))
})
