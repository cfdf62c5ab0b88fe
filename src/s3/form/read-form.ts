/**
 * Reads a form as it arrives: first its fields, then its file, which is not read until it is opened.
 *
 * Promises  Fields of one name are joined by ",", like headers. Nothing is read beyond the
 *           piece in which the file begins.
 * Limits    `FORM_FIELDS_MAX`, and those of the decoder.
 */
import { fail } from "../../base/failures.js"
import type { PieceOwner } from "../../base/pieces.js"
import type { WireBody } from "../body.js"
import { FormDecoder, notOneFile } from "../wire/form-data.js"
import type { FormEvent } from "../wire/form-data.js"

const FORM_FIELDS_MAX = 100

/** Values by name in lower case; byte strings. */
export type FormFields = ReadonlyMap<string, string>

interface ArrivingForm {
  readonly fields: FormFields
  /** As sent; undefined if the file has none. */
  readonly fileName: string | undefined
  /** The file's bytes; may be called once. Ends cleanly only if the whole form did. */
  file(pieces: PieceOwner): AsyncIterable<Uint8Array>
}

async function* eventsOf(source: AsyncIterable<Uint8Array>, boundary: string): AsyncGenerator<FormEvent> {
  const decoder = new FormDecoder(boundary)
  for await (const bytes of source) yield* decoder.push(bytes)
  decoder.end()
}

/** Throws `malformedForm`, `formTooLarge`, `invalidArgument`, and the failures of the body. */
export async function readForm(wire: WireBody, boundary: string): Promise<ArrivingForm> {
  const events = eventsOf(wire.open("reader"), boundary)
  const fields = new Map<string, string>()
  let name = ""
  let fieldsSeen = 0
  for (;;) {
    const next = await events.next()
    if (next.done === true) throw notOneFile(0)
    const event = next.value
    if (event.kind === "file") {
      return { fields, fileName: event.fileName, file: pieces => contentOf(events, pieces) }
    }
    if (event.kind === "content") {
      fields.set(name, `${fields.get(name) ?? ""}${Buffer.from(event.bytes).toString("latin1")}`)
      continue
    }
    fieldsSeen += 1
    if (fieldsSeen > FORM_FIELDS_MAX) throw fail("malformedForm", { reason: "too many fields", fieldsSeen })
    name = event.name.toLowerCase()
    const earlier = fields.get(name)
    fields.set(name, earlier === undefined ? "" : `${earlier},`)
  }
}

async function* contentOf(events: AsyncGenerator<FormEvent>, pieces: PieceOwner): AsyncGenerator<Uint8Array> {
  for await (const event of events) {
    if (event.kind === "content") yield pieces === "caller" ? new Uint8Array(event.bytes) : event.bytes
  }
}
