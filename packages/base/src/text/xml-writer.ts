/**
 * Writes the XML of responses: elements one after another into one text.
 *
 * Promises  Every document is well-formed XML 1.0. A text that XML 1.0 can carry reads back exactly: markup
 *           characters, CR, LF and tab are written as references, so that parsers do not normalise them. A character
 *           that XML 1.0 cannot carry (U+0000 and most other control characters, U+FFFE, U+FFFF), not even as a
 *           reference, is written as U+FFFD, and the writer is no longer `isExact`; or, in requests, as the reference that
 *           S3 understands all the same.
 */
import { Remembered } from "../remembered.js"

/** The namespace of documents of S3, in both directions. */
export const S3_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
export const XML_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'

const NAMED: ReadonlyMap<string, string> = new Map([
  ["&", "&amp;"],
  ["<", "&lt;"],
  [">", "&gt;"],
  ['"', "&quot;"],
  ["'", "&apos;"],
])

/** Outside `Char` of XML 1.0 (section 2.2); lone surrogates become U+FFFD when encoded as UTF-8. */
const NOT_CARRIED = /[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]/
const ALL_NOT_CARRIED = new RegExp(NOT_CARRIED, "g")
const REPLACEMENT = "\ufffd"

/** By character code up to ">", its reference; undefined for characters that are written literally. */
const HIGHEST_MARKUP = 0x3e
const REFERENCES = Array.from(
  { length: HIGHEST_MARKUP + 1 },
  (_, code) => NAMED.get(String.fromCharCode(code)) ?? (code < 0x20 ? referenceOf(code) : undefined),
)

function referenceOf(code: number): string {
  return NOT_CARRIED.test(String.fromCharCode(code)) ? REPLACEMENT : `&#${code};`
}

/** Every character that has a reference; this test is the fastest, and most texts have none. */
const MARKUP = new RegExp(`[\\x00-\\x1f"&'<>\\ufffe\\uffff]`)

/** Text for element content or a quoted attribute. */
export function escapeXml(text: string): string {
  if (!MARKUP.test(text)) return text
  let escaped = ""
  let from = 0
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at)
    if (code > HIGHEST_MARKUP && code < 0xfffe) continue
    const reference = code <= HIGHEST_MARKUP ? REFERENCES[code] : REPLACEMENT
    if (reference === undefined) continue
    escaped += text.slice(from, at) + reference
    from = at + 1
  }
  return escaped + text.slice(from)
}

/** Escapes like `escapeXml`, and writes references for characters that XML cannot carry. */
function referenced(text: string): string {
  let escaped = ""
  let from = 0
  for (const { index, 0: character } of text.matchAll(ALL_NOT_CARRIED)) {
    escaped += `${escapeXml(text.slice(from, index))}&#${character.charCodeAt(0)};`
    from = index + 1
  }
  return escaped + escapeXml(text.slice(from))
}

type XmlValue = string | number | boolean

/** Both tags of an element. Names are constants of the program, so there are few. */
const tags = new Remembered(name => [`<${name}>`, `</${name}>`] as const)

export class XmlWriter {
  private written = ""
  private replacedAny = false

  /** `notCarried`: how characters are written that XML 1.0 cannot carry. */
  constructor(private readonly notCarried: "replaced" | "referenced" = "replaced") {}

  /** Returns true if every text so far reads back exactly. */
  get isExact(): boolean {
    return !this.replacedAny
  }

  /** Text for element content or a quoted attribute of this document. */
  escaped(text: string): string {
    if (!MARKUP.test(text)) return text
    if (!NOT_CARRIED.test(text)) return escapeXml(text)
    if (this.notCarried === "referenced") return referenced(text)
    this.replacedAny = true
    return escapeXml(text)
  }

  /** `<name>value</name>`; nothing if the value is undefined. */
  text(name: string, value: XmlValue | undefined): this {
    return value === undefined
      ? this
      : this.element(name, typeof value === "string" ? this.escaped(value) : String(value))
  }

  /** Writes an ETag in its quotes. */
  etag(value: string): this {
    return this.element("ETag", `&quot;${this.escaped(value)}&quot;`)
  }

  private element(name: string, escaped: string): this {
    const [begin, end] = tags.of(name)
    this.written += begin + escaped + end
    return this
  }

  /** An element around others. `attributes` is written verbatim: `xsi:type="CanonicalUser"`. */
  group(name: string, content: (xml: this) => void, attributes = ""): this {
    const [begin, end] = tags.of(name)
    this.written += attributes === "" ? begin : `<${name} ${attributes}>`
    content(this)
    this.written += end
    return this
  }

  /** Elements that were written before. */
  raw(elements: string): this {
    this.written += elements
    return this
  }

  /** A list of texts as AWS's query services write it: `<name><member>value</member></name>`. */
  texts(name: string, values: readonly string[]): this {
    return this.group(name, list => {
      for (const value of values) list.text("member", value)
    })
  }

  empty(name: string): this {
    this.written += `<${name}/>`
    return this
  }

  toString(): string {
    return this.written
  }
}
