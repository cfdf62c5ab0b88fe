/**
 * Answers that may take minutes: after a while, status 200 and white space keep the connection alive, and
 * the document follows, which may then be an `<Error>` (as on S3 for CompleteMultipartUpload).
 */
import { XML_DECLARATION } from "./wire/xml-writer.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { within } from "@hayloft/base/seams/clock/within.js"

/** The answer of an operation that may be slow is kept alive from then on. */
export const SLOW_AFTER_MS = 10_000
export const SPACE_EVERY_MS = 10_000

const DECLARATION = new TextEncoder().encode(XML_DECLARATION)
const SPACE = new TextEncoder().encode(" ")

/**
 * The document, preceded by white space until it is ready. `work` must not reject: a failure
 * is a document too. The declaration is sent first: XML allows no white space before it.
 */
export async function* keptAlive(work: Promise<Uint8Array>, clock: Clock): AsyncGenerator<Uint8Array> {
  yield DECLARATION
  for (;;) {
    const document = await within(clock, SPACE_EVERY_MS, work)
    if (document !== "late") {
      yield document.subarray(DECLARATION.length)
      return
    }
    yield SPACE
  }
}
