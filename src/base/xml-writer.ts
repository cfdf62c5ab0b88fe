/**
 * XML of answers: elements one after another into one text.
 *
 * Promises  Every text reads back exactly: markup characters, CR, LF, tab and all other control
 *           characters go out as references, so that no parser normalises them away.
 */
export const XML_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'

const NAMED: ReadonlyMap<string, string> = new Map([
  ["&", "&amp;"],
  ["<", "&lt;"],
  [">", "&gt;"],
  ['"', "&quot;"],
  ["'", "&apos;"],
])

/** By character code up to ">", what stands for it; undefined for those that stand for themselves. */
const HIGHEST_MARKUP = 0x3e
const REFERENCES = Array.from(
  { length: HIGHEST_MARKUP + 1 },
  (_, code) => NAMED.get(String.fromCharCode(code)) ?? (code < 0x20 ? `&#${code};` : undefined),
)

/** Every character that has a reference; most texts have none, and this finds out fastest. */
const MARKUP = new RegExp(`[\\x00-\\x1f"&'<>\\ufffe\\uffff]`)

/** Text for element content or a quoted attribute. */
export function escapeXml(text: string): string {
  if (!MARKUP.test(text)) return text
  let escaped = ""
  let from = 0
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at)
    if (code > HIGHEST_MARKUP && code < 0xfffe) continue
    const reference = code <= HIGHEST_MARKUP ? REFERENCES[code] : `&#${code};`
    if (reference === undefined) continue
    escaped += text.slice(from, at) + reference
    from = at + 1
  }
  return escaped + text.slice(from)
}

export type XmlValue = string | number | boolean

/** Both tags of an element. Names come from our code, so that there are few. */
const TAGS = new Map<string, readonly [begin: string, end: string]>()

function tagsOf(name: string): readonly [begin: string, end: string] {
  const known = TAGS.get(name)
  if (known) return known
  const made = [`<${name}>`, `</${name}>`] as const
  TAGS.set(name, made)
  return made
}

export class XmlWriter {
  private written = ""

  /** `<name>value</name>`; nothing where the value is undefined. */
  text(name: string, value: XmlValue | undefined): this {
    return value === undefined ? this : this.element(name, typeof value === "string" ? escapeXml(value) : String(value))
  }

  /** As `text`, with the quotes around that ETags have. */
  quoted(name: string, value: string): this {
    return this.element(name, `&quot;${escapeXml(value)}&quot;`)
  }

  private element(name: string, escaped: string): this {
    const [begin, end] = tagsOf(name)
    this.written += begin + escaped + end
    return this
  }

  /** An element around others. `attributes` is written as it stands: `xsi:type="CanonicalUser"`. */
  group(name: string, content: (xml: this) => void, attributes = ""): this {
    const [begin, end] = tagsOf(name)
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
