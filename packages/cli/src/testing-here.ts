/** Runs commands in this process, for tests: a process of its own for each takes much of the time of tests with many. */
import { hostname } from "node:os"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { run } from "./program.js"
import { testIo } from "./testing-io.js"
import { plainEnvironment, type Outcome, type RunOptions } from "./testing-process.js"

interface HereOptions extends Omit<RunOptions, "nodeArgs" | "input"> {
  readonly input?: Uint8Array | AsyncIterable<Uint8Array>
}

/** Like `runHayloft`, without signals, pipes and a start. */
export async function runHere(
  args: readonly string[],
  { environment, input, workingFolder = process.cwd() }: HereOptions = {},
): Promise<Outcome> {
  const out: Uint8Array[] = []
  async function* given(): AsyncGenerator<Uint8Array> {
    if (input instanceof Uint8Array) yield input
    else if (input !== undefined) yield* input
  }
  const { io, written } = testIo({
    environment: { ...plainEnvironment(), ...environment },
    workingFolder,
    hostName: hostname(),
    clock: new RealClock(),
    input: given(),
    // Pieces are views of memory that is used again.
    out: async data => void out.push(Buffer.from(data)),
  })
  const code = await run(args, io, new AbortController().signal)
  return { code, out: Buffer.concat(out), error: written.error }
}
