/** The defaults of `hayloft serve` that depend on the machine; both names of the command have them. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { GIB } from "@hayloft/base/limits.js"
import type { ServeConfig } from "@hayloft/node/config/index.js"
import type { CliIo } from "./io.js"
import { run } from "./program.js"
import { testIo } from "./testing-io.js"

async function threadsOf(line: string, machine?: CliIo["machine"], environment = {}): Promise<number | undefined> {
  const started: { config?: ServeConfig } = {}
  const { io } = testIo({ environment, ...(machine && { machine }) })
  const programs: CliIo["programs"] = { ...io.programs, serve: async config => void (started.config = config) }
  assert.equal(await run(line.split(" "), { ...io, programs }, new AbortController().signal), 0)
  return started.config?.threads
}

test("a server has front threads by the cores of the machine, unless the operator says otherwise", async () => {
  const large = { cores: 8, memoryBytes: 64 * GIB }
  for (const line of ["serve --data /data", "server /data"]) {
    assert.equal(await threadsOf(line, large), 7, line)
    assert.equal(await threadsOf(line, { ...large, cores: 2 }), 0, line)
    assert.equal(await threadsOf(line), 0, line)
    assert.equal(await threadsOf(line, large, { HAYLOFT_THREADS: "0" }), 0, line)
  }
  assert.equal(await threadsOf("serve --data /data --threads 2", large), 2)
})
