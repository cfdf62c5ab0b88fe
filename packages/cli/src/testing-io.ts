/** The environment of a command, for tests: its output is kept, standard input is empty, and no store is served. */
import assert from "node:assert/strict"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import type { CliIo } from "./io.js"

interface TestIo {
  readonly io: CliIo
  /** All that was written until now. */
  readonly written: { out: string; error: string }
}

/** `changed`: what differs from a script in `/` without environment variables. */
export function testIo(changed: Partial<CliIo> = {}): TestIo {
  const written = { out: "", error: "" }
  async function* nothing(): AsyncGenerator<Uint8Array> {}
  const io: CliIo = {
    programs: {
      serve: () => assert.fail("not served here"),
      launch: () => assert.fail("not launched here"),
      run: () => assert.fail("not run here"),
      rescue: () => assert.fail("not rescued here"),
    },
    environment: {},
    workingFolder: "/",
    hostName: "here",
    clock: new SimClock(),
    out: async data => void (written.out += Buffer.from(data).toString("utf8")),
    error: text => void (written.error += text),
    input: nothing(),
    inputIsTerminal: false,
    outIsTerminal: false,
    errorIsTerminal: false,
    ...changed,
  }
  return { io, written }
}
