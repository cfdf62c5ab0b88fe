/**
 * XML of answers: elements one after another into one text.
 *
 * Promises  Every text reads back exactly: markup characters, CR, LF, tab and all other control
 *           characters go out as references, so that no parser normalises them away.
 */
export const XML_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
export const XML_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'

const SPECIAL = /[&<>"'\u0000-\u001f\ufffe\uffff]/
const SPECIALS = /[&<>"'\u0000-\u001f\ufffe\uffff]/g
const NAMED: ReadonlyMap<string, string> = new Map([
  ["&", "&amp;"],
  ["<", "&lt;"],
  [">", "&gt;"],
  ['"', "&quot;"],
  ["'", "&apos;"],
])

/** Text for element content or a quoted attribute. */
export function escapeXml(text: string): string {
  if (!SPECIAL.test(text)) return text
  return text.replace(SPECIALS, character => NAMED.get(character) ?? `&#${character.charCodeAt(0)};`)
}

export type XmlValue = string | number | boolean

export class XmlWriter {
  private written = ""

  /** `<name>value</name>`; nothing where the value is undefined. */
  text(name: string, value: XmlValue | undefined): this {
    if (value !== undefined) {
      this.written += `<${name}>${typeof value === "string" ? escapeXml(value) : String(value)}</${name}>`
    }
    return this
  }

  /** An element around others. `attributes` is written as it stands: `xsi:type="CanonicalUser"`. */
  group(name: string, content: (xml: this) => void, attributes = ""): this {
    this.written += attributes === "" ? `<${name}>` : `<${name} ${attributes}>`
    content(this)
    this.written += `</${name}>`
    return this
  }

  empty(name: string): this {
    this.written += `<${name}/>`
    return this
  }

  toString(): string {
    return this.written
  }
}

export interface XmlDocumentOptions {
  /** Off for `<Error>`, which S3 writes without one. */
  readonly namespace?: boolean
  /** Off where the declaration has been sent already. */
  readonly declaration?: boolean
}

/** A whole document as UTF-8. */
export function xmlDocument(
  root: string,
  content: (xml: XmlWriter) => void,
  { namespace = true, declaration = true }: XmlDocumentOptions = {},
): Uint8Array {
  const xml = new XmlWriter().group(root, content, namespace ? `xmlns="${XML_NAMESPACE}"` : "")
  return new TextEncoder().encode(`${declaration ? XML_DECLARATION : ""}${xml.toString()}`)
}
