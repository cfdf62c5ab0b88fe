/**
 * Reads the XML of S3 responses: elements and text, no attributes, no processing.
 *
 * For responses of a store that the user has chosen, in one pass over the text. Unsupported syntax throws
 * `BrokenAnswer`; entities other than XML's own five and numbers remain as written, so nothing expands.
 */
import { BrokenAnswer } from "./remote.js"

export interface XmlElement {
  readonly name: string
  readonly children: readonly XmlElement[]
  /** Text directly inside, entities resolved. */
  readonly text: string
}

const DEPTH_MAX = 32
const NAMED: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" }

function resolveEntities(text: string): string {
  return text.replace(/&(?:#(\d{1,7})|#x([0-9A-Fa-f]{1,6})|([a-z]+));/g, (whole, decimal, hex, name) => {
    const code = decimal !== undefined ? Number(decimal) : hex !== undefined ? parseInt(String(hex), 16) : undefined
    if (code !== undefined) return code <= 0x10ffff ? String.fromCodePoint(code) : whole
    return NAMED[String(name)] ?? whole
  })
}

interface OpenElement {
  readonly name: string
  readonly children: XmlElement[]
  text: string
}

const NAME_SHOWN_MAX = 100
const brief = (name: string): string => name.slice(0, NAME_SHOWN_MAX)

interface Tag {
  readonly from: number
  /** The offset of the first character after the tag. */
  readonly to: number
  /** The name is undefined for a comment or an instruction. */
  readonly name: string | undefined
  readonly kind: "opening" | "closing" | "empty"
}

const UNREAD = [
  ["<!--", "-->"],
  ["<?", "?>"],
] as const

/** The tags in their order. Looks at each character a few times at most, whatever the text is. */
function* tagsOf(text: string): Generator<Tag, void> {
  const tag = /<(\/?)([A-Za-z_][\w:.-]*)(?:\s[^<>]*?)?(\/?)>/y
  let to: number
  for (let from = text.indexOf("<"); from !== -1; from = text.indexOf("<", to)) {
    const unread = UNREAD.find(([begin]) => text.startsWith(begin, from))
    if (unread !== undefined) {
      const [begin, end] = unread
      const endsAt = text.indexOf(end, from + begin.length)
      if (endsAt === -1) throw new BrokenAnswer(`${begin} in XML without its ${end}`)
      to = endsAt + end.length
      yield { from, to, name: undefined, kind: "empty" }
      continue
    }
    tag.lastIndex = from
    const [whole = "<", closing, name, empty] = tag.exec(text) ?? []
    to = from + whole.length
    const kind = closing === "/" ? "closing" : empty === "/" ? "empty" : "opening"
    if (name !== undefined) yield { from, to, name, kind }
  }
}

/** The document's root element. */
export function readXml(text: string): XmlElement {
  const open: OpenElement[] = [{ name: "", children: [], text: "" }]
  let at = 0
  for (const { from, to, name, kind } of tagsOf(text)) {
    const current = open.at(-1)
    if (current === undefined) break
    current.text += resolveEntities(text.slice(at, from))
    at = to
    if (name === undefined) continue
    if (kind === "closing") {
      open.pop()
      if (current.name !== name) throw new BrokenAnswer(`</${brief(name)}> closes <${brief(current.name)}>`)
      open.at(-1)?.children.push(current)
    } else if (kind === "empty") {
      current.children.push({ name, children: [], text: "" })
    } else {
      if (open.length > DEPTH_MAX) throw new BrokenAnswer("XML nested too deeply")
      open.push({ name, children: [], text: "" })
    }
  }
  const root = open[0]?.children[0]
  if (open.length !== 1 || root === undefined) throw new BrokenAnswer("the response is not an XML document")
  return root
}

export const childrenOf = (element: XmlElement, name: string): readonly XmlElement[] =>
  element.children.filter(child => child.name === name)

/** Text of the first child of that name; undefined if there is none. */
export const textOf = (element: XmlElement, name: string): string | undefined =>
  element.children.find(child => child.name === name)?.text

const ESCAPES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" }

/** Text as the content of an element; control characters as numbers. */
export const escapeXml = (text: string): string =>
  text
    .replace(/[&<>"]/g, character => ESCAPES[character] ?? character)
    .replace(/[\r\n\t]/g, c => `&#${c.charCodeAt(0)};`)
