/**
 * The step that makes SVG images smaller, by SVGO with a set of its plugins that change no pixel: what editors wrote for
 * themselves, comments, spaces and empty elements go, and numbers and colours get shorter.
 *
 * Promises  The image is drawn as before, at any size. Titles, descriptions, view boxes and all `id`s stay, and so do
 *           comments that begin with `!`. The result is smaller and well-formed, or the step is skipped.
 * Refuses   Entities: none is expanded, and nothing outside of the document is ever read. Documents that are not
 *           well-formed. Documents whose parts may depend on what is removed: with scripts, with elements of other
 *           languages, and with style sheets that select by structure or by attributes.
 */
import { optimize, VERSION, type CustomPlugin, type PluginConfig } from "svgo/browser"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { shortAttribute } from "./svg-attributes.js"
import { messageOf, skip, type MadeBytes, type Skipped } from "./step-outcome.js"

/** Incremented with each change of what the step does. */
const PRESET = 1
const SVG_NAMESPACE = "http://www.w3.org/2000/svg"
const ENCODINGS = /^(utf-?8|us-ascii)$/i
const DECLARED = /^<\?xml\s[^>]*?encoding\s*=\s*["']([^"']*)["']/
/** Not the five of XML, and not of a number. */
const NAMED_ENTITY = /&(?!(?:amp|lt|gt|quot|apos);)[A-Za-z_:][\w.:-]*;/
const OPAQUE = [
  ["<!--", "-->"],
  ["<![CDATA[", "]]>"],
] as const
/** Not allowed in XML 1.0. */
const CONTROL = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/
/** In a style sheet: selectors that depend on other elements, or on attributes. */
const STRUCTURAL = /[[+~]|:(?:nth|first|last|only|empty|has|not|is|where)/i
const FOREIGN = new Set(["script", "foreignObject", "handler"])

type Visitor = NonNullable<Exclude<ReturnType<CustomPlugin["fn"]>, void>>
type Visited = Parameters<NonNullable<NonNullable<Visitor["element"]>["enter"]>>[0]

const refuse = (message: string): Error => fail("invalidArgument", { message })

/** Refuses a document before anything of it is changed. */
const checkDocument: CustomPlugin = {
  name: "checkDocument",
  fn: root => {
    const [element, ...others] = root.children.filter(({ type }) => type === "element")
    const isSvg = element?.type === "element" && element.name === "svg" && others.length === 0
    if (!isSvg || element.attributes["xmlns"] !== SVG_NAMESPACE) throw refuse("the root is not an svg element")
    return {
      element: { enter: checkElement },
      instruction: {
        enter: ({ name }) => {
          if (name === "xml-stylesheet") throw refuse("it has a style sheet of its own file")
        },
      },
    }
  },
}

function checkElement({ name, attributes, children }: Visited): void {
  if (FOREIGN.has(name)) throw refuse(`it has an element ${name}`)
  if ((attributes["xmlns"] ?? SVG_NAMESPACE) !== SVG_NAMESPACE) throw refuse("it has elements of another language")
  if (Object.keys(attributes).some(each => /^on/i.test(each))) throw refuse("it has event handlers")
  if (name !== "style") return
  const sheet = children.map(child => (child.type === "text" || child.type === "cdata" ? child.value : "")).join("")
  if (STRUCTURAL.test(sheet)) throw refuse("its style sheet selects by structure")
}

const shortenAttributes: CustomPlugin = {
  name: "shortenAttributes",
  fn: () => ({
    element: {
      enter: ({ attributes }) => {
        for (const [name, value] of Object.entries(attributes)) attributes[name] = shortAttribute(name, value)
      },
    },
  }),
}

const PLUGINS: PluginConfig[] = [
  checkDocument,
  "removeDoctype",
  "removeXMLProcInst",
  "removeComments",
  "removeMetadata",
  "removeEditorsNSData",
  "removeUnusedNS",
  "removeEmptyAttrs",
  "removeEmptyContainers",
  "convertColors",
  shortenAttributes,
]

export const svgminVersion = (): string => `svgo ${VERSION}, preset ${PRESET}`

export function minifySvg({ bytes, type }: MadeBytes): MadeBytes | Skipped {
  try {
    const made = Buffer.from(optimize(textOf(bytes), { plugins: PLUGINS }).data, "utf8")
    return made.length < bytes.length ? { kind: "made", bytes: made, type } : skip("not smaller")
  } catch (error) {
    if (isFailure(error)) return skip(error.message)
    if (error instanceof RangeError) return skip("nested too deeply, or too large")
    return skip(`not well-formed: ${reasonOf(error)}`)
  }
}

/** A short reason for an error of the parser. */
function reasonOf(error: unknown): string {
  const reason = typeof error === "object" && error !== null && "reason" in error ? error.reason : undefined
  return typeof reason === "string" ? reason : messageOf(error)
}

/** Decodes an SVG. Throws for input that the parser accepts and browsers reject. */
function textOf(bytes: Uint8Array): string {
  const text = decoded(bytes)
  const encoding = DECLARED.exec(text)?.[1]
  if (encoding !== undefined && !ENCODINGS.test(encoding)) throw refuse("its encoding is not UTF-8")
  // In comments too: what a comment is depends on what is before it.
  if (/<!ENTITY|<!DOCTYPE[^>]*\[/i.test(text)) throw refuse("entities are not expanded")
  const markup = markupOf(text)
  if (NAMED_ENTITY.test(markup)) throw refuse("entities are not expanded")
  if (CONTROL.test(text)) throw refuse("not well-formed: it has control characters")
  return text
}

/** Without comments and CDATA. */
function markupOf(text: string): string {
  const parts: string[] = []
  for (let at = 0; ;) {
    const found = OPAQUE.map(([begin, end]) => ({ from: text.indexOf(begin, at), begin, end }))
    const next = found.filter(({ from }) => from >= 0).sort((a, b) => a.from - b.from)[0]
    if (next === undefined) return parts.join("") + text.slice(at)
    parts.push(text.slice(at, next.from))
    const to = text.indexOf(next.end, next.from + next.begin.length)
    if (to < 0) throw refuse("not well-formed: it is cut off")
    at = to + next.end.length
  }
}

function decoded(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes)
  } catch {
    throw refuse("its encoding is not UTF-8")
  }
}
