/** Results that a front learns while others change rows: those of before are not kept. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { rowKeyOf } from "@hayloft/base/ids.js"
import { command, query, type Query } from "../metadata/index.js"
import { MemoryMetadata } from "../metadata/testing-engine.js"
import { openTestFront } from "./testing-front.js"

const NAMES = rowKeyOf("name")

const setName = command<[name: string], void>({
  name: "TestSetNameMeanwhile",
  touches: () => [["names", NAMES]],
  decide: (view, _time, name) => {
    view.get("names", NAMES)
    return { writes: [{ family: "names", key: NAMES, value: Buffer.from(name) }], result: undefined }
  },
})

const nameIs = query("TestNameMeanwhile", view => Buffer.from(view.get("names", NAMES)?.value ?? []).toString())

/** Results that are known arrive once the gate is open. */
class LateMetadata extends MemoryMetadata {
  gate: Promise<void> = Promise.resolve()

  override known<Result>(query: Query<Result>): Promise<Result> {
    const found = super.known(query)
    return this.gate.then(() => found)
  }
}

test("a result that was overtaken by a change is not kept", async t => {
  const engine = new LateMetadata()
  const { metadata, link } = openTestFront(engine)
  t.after(() => link.close())
  let open: () => void = () => undefined
  engine.gate = new Promise(resolve => (open = resolve))
  await engine.run(setName("first"))
  await metadata.confirm()
  const asked = metadata.known(nameIs())
  await metadata.confirm()
  await engine.run(setName("second"))
  await metadata.confirm()
  open()
  assert.equal(await asked, "first")
  assert.equal(await metadata.known(nameIs()), "second")
})
