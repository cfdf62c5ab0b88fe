/**
 * Writes what the runner needs of each test as a line of JSON; see `--test-reporter` of Node. The last line says that all tests have
 * ended: without it, something has ended the process.
 */
import { fileURLToPath } from "node:url"
import { fileOfPart } from "./part.mjs"

const PART = fileURLToPath(new URL("part.mjs", import.meta.url))

const shown = error => {
  const cause = error?.cause ?? error
  return String(cause?.stack ?? cause)
}

/** A test with parts that failed says no more than they do. Its message may be that of another run of tests. */
const isOfParts = error => error?.failureType === "subtestsFailed"

export default async function* lines(events) {
  for await (const { type, data } of events) {
    if (type === "test:pass" && (data.details.type !== "suite" || data.skip !== undefined))
      yield `${JSON.stringify({ kind: data.skip === undefined ? "passed" : "skipped", name: data.name, why: data.skip })}\n`
    if (type === "test:fail" && !isOfParts(data.details.error))
      yield `${JSON.stringify({ kind: "failed", name: data.name, file: data.file === PART ? fileOfPart() : data.file, error: shown(data.details.error) })}\n`
    // Node reports an uncaught error as a diagnostic, since it cannot attribute it to a test.
    if (type === "test:diagnostic" && data.message.startsWith("Error: A resource generated asynchronous activity"))
      yield `${JSON.stringify({ kind: "stray", name: data.message })}\n`
  }
  yield `${JSON.stringify({ kind: "end" })}\n`
}
