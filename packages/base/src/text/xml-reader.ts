/**
 * The reader of XML: strict for the documents that S3 clients send, lenient for the answers of other stores.
 *
 * Promises  Linear time. Text is returned exactly as written: no trimming, no change of line ends, and
 *           numeric references for every code point that a key can contain (`&#13;`, `&#x1;`, `&#0;`).
 *           Names lose their prefix, since clients disagree on namespaces.
 * Refuses   With `malformedXml`: DTDs, processing instructions, entities other than the five predefined ones,
 *           encodings other than UTF-8, anything not well formed, and documents over the limits.
 *           A lenient reader skips processing instructions, and keeps entities that it does not know, and a `<` before no
 *           name, as text.
 * Limits    `bytesMax`, `elementsMax`, `depthMax`.
 * Why own   docs/decisions/0002-own-xml-reader.md.
 */
import { fail, type Failure } from "../failures.js"
import { MIB } from "../limits.js"

export const XML_DEPTH_MAX = 16

export interface XmlLimits {
  readonly bytesMax: number
  readonly elementsMax: number
  /** By default `XML_DEPTH_MAX`. */
  readonly depthMax?: number
}

/** Tags that are read between two pauses: 2 to 5 ms. */
const PIECE_MARKS = 4096

const XML_LIMITS: XmlLimits = { bytesMax: 1 * MIB, elementsMax: 20_000 }

export interface XmlElement {
  /** Without prefix. */
  readonly name: string
  /** Character data directly inside the element, joined. */
  readonly text: string
  readonly children: readonly XmlElement[]
  /** By name without prefix; namespace declarations are left out. */
  readonly attributes: ReadonlyMap<string, string>
}

interface OpenElement {
  readonly name: string
  /** With its prefix; the end tag must repeat it. */
  readonly tag: string
  readonly attributes: ReadonlyMap<string, string>
  text: string
  children: XmlElement[]
}

const NAME =
  /[A-Za-z_\u0080-\uffff][A-Za-z0-9_.\u0080-\uffff-]*(?::[A-Za-z_\u0080-\uffff][A-Za-z0-9_.\u0080-\uffff-]*)?/y
const BLANKS = /[ \t\r\n]*/y
const DECLARATION =
  /^<\?xml[ \t\r\n]+version[ \t\r\n]*=[ \t\r\n]*(?:"1\.[0-9]"|'1\.[0-9]')(?:[ \t\r\n]+encoding[ \t\r\n]*=[ \t\r\n]*(?:"([A-Za-z0-9._-]{1,40})"|'([A-Za-z0-9._-]{1,40})'))?(?:[ \t\r\n]+standalone[ \t\r\n]*=[ \t\r\n]*(?:"(?:yes|no)"|'(?:yes|no)'))?[ \t\r\n]*\?>/
const ENCODINGS = ["utf-8", "utf8", "us-ascii"]
const FIVE: ReadonlyMap<string, string> = new Map([
  ["amp", "&"],
  ["lt", "<"],
  ["gt", ">"],
  ["quot", '"'],
  ["apos", "'"],
])
/** `&#x10ffff;` with some leading zeros. */
const REFERENCE_LENGTH_MAX = 16
const NO_ATTRIBUTES: ReadonlyMap<string, string> = new Map()
const NO_CHILDREN: XmlElement[] = []

const malformed = (message: string): Failure => fail("malformedXml", { message })

class Reader {
  private at = 0
  private elements = 0
  private readonly open: OpenElement[] = []
  private root: XmlElement | undefined

  private readonly depthMax: number

  constructor(
    private readonly text: string,
    private readonly limits: XmlLimits,
    private readonly isLenient = false,
  ) {
    this.depthMax = limits.depthMax ?? XML_DEPTH_MAX
  }

  /** Continues reading, for at most `marksMax` tags; returns false at the end of the document. */
  readOn(marksMax: number): boolean {
    if (this.at === 0 && !this.isLenient) this.skipDeclaration()
    for (let marks = 0; marks < marksMax && this.at < this.text.length; marks += 1) {
      const mark = this.text.indexOf("<", this.at)
      this.takeText(mark < 0 ? this.text.length : mark)
      if (mark >= 0) this.takeMarkup()
    }
    return this.at < this.text.length
  }

  /** Returns the root after everything has been read. */
  end(): XmlElement {
    if (this.root === undefined || this.open.length > 0) throw malformed("the document ends within an element")
    return this.root
  }

  private skipDeclaration(): void {
    if (!/^<\?xml[ \t\r\n]/.test(this.text)) return
    const [whole, quoted, apostrophed] = DECLARATION.exec(this.text) ?? []
    const encoding = (quoted ?? apostrophed ?? "utf-8").toLowerCase()
    if (whole === undefined || !ENCODINGS.includes(encoding))
      throw malformed("the XML declaration is not one for UTF-8")
    this.at = whole.length
  }

  private takeText(end: number): void {
    const text = this.text.slice(this.at, end)
    this.at = end
    const parent = this.open.at(-1)
    if (parent !== undefined) parent.text += dereferenced(text, this.isLenient)
    else if (/[^ \t\r\n]/.test(text)) throw malformed("there is text outside of the root element")
  }

  private takeMarkup(): void {
    if (this.text.startsWith("<!--", this.at)) this.takeComment()
    else if (this.text.startsWith("<![CDATA[", this.at)) this.takeCharacterData()
    else if (this.text.startsWith("</", this.at)) this.takeEnd()
    else if (this.text.startsWith("<!", this.at)) throw malformed("document type declarations are not allowed")
    else if (this.text.startsWith("<?", this.at)) this.takeInstruction()
    else if (this.isLenient && !this.startsName(this.at + 1)) this.takeStray()
    else this.takeStart()
  }

  private takeInstruction(): void {
    const end = this.isLenient ? this.text.indexOf("?>", this.at + 2) : undefined
    if (end === undefined) throw malformed("processing instructions are not allowed")
    if (end < 0) throw malformed("a processing instruction does not end")
    this.at = end + 2
  }

  /** A `<` that begins no markup. */
  private takeStray(): void {
    const parent = this.open.at(-1)
    if (parent === undefined) throw malformed("there is text outside of the root element")
    parent.text += "<"
    this.at += 1
  }

  private takeComment(): void {
    const end = this.text.indexOf("--", this.at + 4)
    if (end < 0 || this.text[end + 2] !== ">") throw malformed("a comment does not end")
    this.at = end + 3
  }

  private takeCharacterData(): void {
    const end = this.text.indexOf("]]>", this.at + 9)
    const parent = this.open.at(-1)
    if (end < 0 || parent === undefined) throw malformed("a CDATA section does not end, or stands outside of the root")
    parent.text += this.text.slice(this.at + 9, end)
    this.at = end + 3
  }

  private takeStart(): void {
    this.at += 1
    const tag = this.takeName()
    this.elements += 1
    if (this.root !== undefined) throw malformed("there is more than one root element")
    if (this.open.length >= this.depthMax) throw malformed("the document is nested too deeply")
    if (this.elements > this.limits.elementsMax) throw malformed("the document has too many elements")
    const attributes = this.takeAttributes()
    this.open.push({ name: localName(tag), tag, attributes, text: "", children: NO_CHILDREN })
    if (this.text.startsWith("/>", this.at)) {
      this.at += 2
      this.closeElement()
    } else if (this.text[this.at] === ">") this.at += 1
    else throw malformed("a start tag does not end")
  }

  private takeEnd(): void {
    this.at += 2
    const tag = this.takeName()
    this.skipBlanks()
    if (this.text[this.at] !== ">" || this.open.at(-1)?.tag !== tag) throw malformed("an end tag has no start")
    this.at += 1
    this.closeElement()
  }

  private closeElement(): void {
    const closed = this.open.pop()
    if (closed === undefined) throw malformed("an end tag has no start")
    const { name, text, children, attributes } = closed
    const element = { name, text, children, attributes }
    const parent = this.open.at(-1)
    if (parent === undefined) this.root = element
    else if (parent.children === NO_CHILDREN) parent.children = [element]
    else parent.children.push(element)
  }

  private takeAttributes(): ReadonlyMap<string, string> {
    let attributes: Map<string, string> | undefined
    const seen = new Set<string>()
    for (;;) {
      const before = this.at
      this.skipBlanks()
      const next = this.text[this.at]
      if (next === ">" || next === "/" || next === undefined) return attributes ?? NO_ATTRIBUTES
      if (this.at === before) throw malformed("attributes are not separated")
      const name = this.takeName()
      if (seen.has(name)) throw malformed("an attribute is repeated")
      seen.add(name)
      const value = this.takeAttributeValue()
      if (name === "xmlns" || name.startsWith("xmlns:")) continue
      attributes ??= new Map()
      attributes.set(localName(name), value)
    }
  }

  private takeAttributeValue(): string {
    this.skipBlanks()
    if (this.text[this.at] !== "=") throw malformed("an attribute has no value")
    this.at += 1
    this.skipBlanks()
    const quote = this.text[this.at]
    if (quote !== '"' && quote !== "'") throw malformed("an attribute's value is not quoted")
    const end = this.text.indexOf(quote, this.at + 1)
    if (end < 0) throw malformed("an attribute's value does not end")
    const value = this.text.slice(this.at + 1, end)
    if (value.includes("<")) throw malformed("an attribute's value holds a <")
    this.at = end + 1
    return dereferenced(value, this.isLenient)
  }

  private startsName(at: number): boolean {
    NAME.lastIndex = at
    return NAME.test(this.text)
  }

  private takeName(): string {
    NAME.lastIndex = this.at
    const name = NAME.exec(this.text)?.[0]
    if (name === undefined) throw malformed("a name is expected")
    this.at += name.length
    return name
  }

  private skipBlanks(): void {
    BLANKS.lastIndex = this.at
    this.at += BLANKS.exec(this.text)?.[0].length ?? 0
  }
}

const localName = (tag: string): string => tag.slice(tag.indexOf(":") + 1)

function dereferenced(text: string, isLenient: boolean): string {
  let mark = text.indexOf("&")
  if (mark < 0) return text
  const pieces: string[] = []
  let from = 0
  for (; mark >= 0; mark = text.indexOf("&", from)) {
    const reference = text.slice(mark + 1, mark + 1 + REFERENCE_LENGTH_MAX)
    const end = reference.indexOf(";")
    const character = end < 0 ? undefined : characterOf(reference.slice(0, end))
    if (character === undefined && !isLenient) throw malformed(end < 0 ? NO_END : NOT_KNOWN)
    const next = character === undefined ? mark + 1 : mark + end + 2
    pieces.push(text.slice(from, mark), character ?? "&")
    from = next
  }
  pieces.push(text.slice(from))
  return pieces.join("")
}

const NO_END = "a reference does not end"
const NOT_KNOWN = "only the five entities and numeric references are known"

/** Returns undefined for a reference that no document may have. */
function characterOf(reference: string): string | undefined {
  const known = FIVE.get(reference)
  if (known !== undefined) return known
  const [, hex, decimal] = /^#(?:x([0-9a-fA-F]+)|([0-9]+))$/.exec(reference) ?? []
  const codePoint = hex !== undefined ? parseInt(hex, 16) : decimal !== undefined ? parseInt(decimal, 10) : NaN
  const isSurrogate = codePoint >= 0xd800 && codePoint <= 0xdfff
  return !(codePoint <= 0x10ffff) || isSurrogate ? undefined : String.fromCodePoint(codePoint)
}

/** The root element. Throws `malformedXml`. */
export function parseXml(bytes: Uint8Array, limits: XmlLimits = XML_LIMITS): XmlElement {
  const reader = readerOf(bytes, limits)
  reader.readOn(Infinity)
  return reader.end()
}

/** Like `parseXml`, with a pause after every few milliseconds. */
export async function parseXmlInPieces(
  bytes: Uint8Array,
  limits: XmlLimits,
  pause: () => Promise<void>,
): Promise<XmlElement> {
  const reader = readerOf(bytes, limits)
  while (reader.readOn(PIECE_MARKS)) await pause()
  return reader.end()
}

/** The root element of an answer by another store. Throws `malformedXml`. */
export function parseXmlLeniently(text: string, limits: XmlLimits): XmlElement {
  const reader = new Reader(text.replace(/^\ufeff/, ""), limits, true)
  reader.readOn(Infinity)
  return reader.end()
}

function readerOf(bytes: Uint8Array, limits: XmlLimits): Reader {
  if (bytes.length > limits.bytesMax) throw malformed(`the document is larger than ${limits.bytesMax} bytes`)
  return new Reader(decodeUtf8(bytes), limits)
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes)
  } catch {
    throw malformed("the document is not UTF-8")
  }
}

/** Like `parseXml`; the root must have this name. */
export function parseXmlRoot(bytes: Uint8Array, name: string, limits: XmlLimits = XML_LIMITS): XmlElement {
  const root = parseXml(bytes, limits)
  if (root.name !== name) throw malformed(`the root element must be ${name}`)
  return root
}

export function childrenNamed(parent: XmlElement, name: string): readonly XmlElement[] {
  return parent.children.filter(child => child.name === name)
}

/** The only child of that name; undefined if there is none. Throws `malformedXml` for several. */
export function childNamed(parent: XmlElement, name: string): XmlElement | undefined {
  const found = childrenNamed(parent, name)
  if (found.length > 1) throw malformed(`${name} stands more than once in ${parent.name}`)
  return found[0]
}

/** The exact text of the only child of that name; undefined if there is none. Throws `malformedXml`. */
export function childText(parent: XmlElement, name: string): string | undefined {
  const child = childNamed(parent, name)
  if (child !== undefined && child.children.length > 0) throw malformed(`${name} holds text only`)
  return child?.text
}

/** Like `childText`, but the child is required. */
export function requiredText(parent: XmlElement, name: string): string {
  const text = childText(parent, name)
  if (text === undefined) throw malformed(`${parent.name} needs ${name}`)
  return text
}

/** Throws `malformedXml` for a child with another name: no element is accepted and ignored. */
export function checkChildren(parent: XmlElement, names: readonly string[]): void {
  const other = parent.children.find(({ name }) => !names.includes(name))
  if (other !== undefined) throw malformed(`${parent.name} has no ${other.name.slice(0, 80)}`)
}
