/**
 * Reads a form as it arrives: first its fields, then its files, none of which is read until it is opened.
 *
 * Promises  Fields of one name are joined by ",", like headers. Nothing is read beyond the
 *           piece in which the file begins.
 * Limits    `FORM_FIELDS_MAX`, and those of the decoder.
 */
import { fail } from "@hayloft/base/failures.js"
import type { PieceOwner } from "@hayloft/base/memory/pieces.js"
import type { WireBody } from "../body.js"
import { FormDecoder, notOneFile } from "../wire/form-data.js"
import type { FormEvent, FormFiles, FormPart } from "../wire/form-data.js"

const FORM_FIELDS_MAX = 100

/** Values by name in lower case; byte strings. */
export type FormFields = ReadonlyMap<string, string>

interface ArrivingForm {
  readonly fields: FormFields
  /** The file name that the client sent; undefined if the file has none. */
  readonly fileName: string | undefined
  /** The file's bytes; may be called once. Ends cleanly only if the whole form did. */
  file(pieces: PieceOwner): AsyncIterable<Uint8Array>
}

/** A file of a form that may have several. */
interface ArrivingFile extends Pick<FormPart, "contentType" | "contentEncoding"> {
  /** The file name that the client sent: a byte string, and not empty. */
  readonly fileName: string
  /** The file's bytes; may be called once, and must be before the next file is asked for. */
  open(pieces: PieceOwner): AsyncIterable<Uint8Array>
}

async function* eventsOf(
  source: AsyncIterable<Uint8Array>,
  boundary: string,
  files: FormFiles,
): AsyncGenerator<FormEvent> {
  const decoder = new FormDecoder(boundary, files)
  for await (const bytes of source) yield* decoder.push(bytes)
  decoder.end()
}

/** Throws `malformedForm`, `formTooLarge`, `invalidArgument`, and the failures of the body. */
export async function readForm(wire: WireBody, boundary: string): Promise<ArrivingForm> {
  const events = eventsOf(wire.open("reader"), boundary, "one")
  const { fields, file } = await readFields(events)
  if (file === undefined) throw notOneFile(0)
  return { fields, fileName: file.fileName, file: pieces => contentOf(events, pieces) }
}

/**
 * A form with any number of files, in their order. The last file ends cleanly only if the whole form did; of the others it is
 * known that the next boundary has arrived.
 */
export class FormOfFiles {
  private readonly events: AsyncGenerator<FormEvent>
  /** The start of a file that was not asked for yet. */
  private started: FormPart | undefined
  fields: FormFields = new Map()

  private constructor(wire: WireBody, boundary: string) {
    this.events = eventsOf(wire.open("reader"), boundary, "many")
  }

  /** Reads up to the first file. Throws as `readForm`. */
  static async begin(wire: WireBody, boundary: string): Promise<FormOfFiles> {
    const form = new FormOfFiles(wire, boundary)
    const { fields, file } = await readFields(form.events)
    form.fields = fields
    form.started = file
    return form
  }

  /** The next file; what was not read of the one before is dropped. Undefined: the form has ended. Throws as `readForm`. */
  async next(): Promise<ArrivingFile | undefined> {
    while (this.started === undefined) {
      const next = await this.events.next()
      if (next.done === true) return undefined
      if (next.value.kind === "file") this.started = next.value
    }
    const { fileName = "", contentType, contentEncoding } = this.started
    this.started = undefined
    return { fileName, contentType, contentEncoding, open: pieces => this.content(pieces) }
  }

  private async *content(pieces: PieceOwner): AsyncGenerator<Uint8Array> {
    for (;;) {
      const next = await this.events.next()
      if (next.done === true) return
      const event = next.value
      if (event.kind === "content") yield owned(event.bytes, pieces)
      else if (event.kind === "file") {
        this.started = event
        return
      }
    }
  }
}

async function readFields(
  events: AsyncGenerator<FormEvent>,
): Promise<{ readonly fields: FormFields; readonly file: FormPart | undefined }> {
  const fields = new Map<string, string>()
  let name = ""
  let fieldsSeen = 0
  for (;;) {
    const next = await events.next()
    if (next.done === true) return { fields, file: undefined }
    const event = next.value
    if (event.kind === "file") return { fields, file: event }
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
    if (event.kind === "content") yield owned(event.bytes, pieces)
  }
}

const owned = (bytes: Uint8Array, pieces: PieceOwner): Uint8Array =>
  pieces === "caller" ? new Uint8Array(bytes) : bytes
