/** Increments of one number by several engines: none is lost and none is made twice. */
import assert from "node:assert/strict"
import { rowKeyOf } from "@hayloft/base/ids.js"
import { command, query, type Metadata, type RowView } from "@hayloft/engine/metadata/index.js"

const AT_ONCE = 8

export const NUMBER = { family: "pendingDeletions", key: rowKeyOf("key") } as const
const valueIn = (view: RowView): number =>
  Number(Buffer.from(view.get(NUMBER.family, NUMBER.key)?.value ?? []).toString() || "0")

export const increment = command<[], number>({
  name: "Increment",
  touches: () => [[NUMBER.family, NUMBER.key]],
  decide(view) {
    const value = valueIn(view) + 1
    return { writes: [{ ...NUMBER, value: Buffer.from(String(value)) }], result: value }
  },
})
export const valueNow = query("ValueNow", valueIn)

/** A quarter of the increments is made by the first engine, the others by the second. */
export async function incrementTogether(first: Metadata, second: Metadata, increments: number) {
  const numbers: number[] = []
  const worker = async (engine: Metadata): Promise<void> => {
    for (let i = 0; i < increments / AT_ONCE; i += 1) numbers.push(await engine.run(increment()))
  }
  await Promise.all(Array.from({ length: AT_ONCE }, (_, at) => worker(at % 4 === 0 ? first : second)))
  return {
    async check(): Promise<void> {
      assert.deepEqual(
        numbers.sort((a, b) => a - b),
        numbers.map((_, i) => i + 1),
      )
      assert.equal(await first.ask(valueNow()), numbers.length)
    },
  }
}
