/** Programs that use `hayloft/table`: little memory for many rows, and readers in several threads and processes. */
import assert from "node:assert/strict"
import { join } from "node:path"
import { test } from "node:test"
import { runOk } from "../harness/commands.js"
import { withFolder } from "../harness/folders.js"
import { ROOT } from "../harness/server.js"

const LIBRARY = JSON.stringify(join(ROOT, "dist/bundle/table.cjs"))
const ROWS = 100_000
/** The heap of V8 in MiB: less than the rows have. */
const HEAP_MIB = 24

const program = (text: string): readonly string[] => [`--max-old-space-size=${HEAP_MIB}`, "-e", text]

test("a heap smaller than the rows builds and reads a table, in several runs", () =>
  withFolder(async folder => {
    const file = JSON.stringify(join(folder, "rows.table"))
    const build = `
      const { buildTable } = require(${LIBRARY})
      function* rows() {
        for (let i = 0; i < ${ROWS}; i += 1) yield ["key " + ((i * 7919) % ${ROWS}), Buffer.alloc(150, i % 256)]
      }
      buildTable(${file}, rows(), { values: "bytes", sortBytes: 16 * 2 ** 20 })`
    await runOk(process.execPath, program(build), { timeoutMs: 300_000 })
    const read = `
      const { openTable } = require(${LIBRARY})
      const { Worker, isMainThread } = require("node:worker_threads")
      const check = async () => {
        const table = await openTable(${file}, { cacheBytes: 4 * 2 ** 20 })
        for (let n = 0; n < 20000; n += 1) {
          const i = (n * 104729) % ${ROWS}
          const value = table.get("key " + ((i * 7919) % ${ROWS}))
          if (value?.length !== 150 || value[149] !== i % 256) throw new Error("wrong value of " + i)
          if (table.get("none " + i) !== undefined) throw new Error("a value of nothing")
        }
        let count = 0
        for (const _ of table.scan({ prefix: "key 1" })) count += 1
        await table.close()
        return count
      }
      if (isMainThread) for (let i = 0; i < 2; i += 1) new Worker(process.execArgv.at(-1), { eval: true })
      check().then(count => isMainThread && console.log(count))`
    // Threads run the text of the program, which is the last of its options.
    const readers = [0, 1].map(() => runOk(process.execPath, program(read), { timeoutMs: 300_000 }))
    const expected = Array.from({ length: ROWS }, (_, i) => String(i)).filter(each => each.startsWith("1")).length
    assert.deepEqual((await Promise.all(readers)).map(Number), [expected, expected])
  }))
