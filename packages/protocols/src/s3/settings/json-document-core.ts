/**
 * Converts documents of bucket settings between XML and JSON, as `document-shapes.ts` describes. Pure.
 *
 * Promises  What a setting writes as XML reads back the same from its JSON. The meaning of values is not checked here: the
 *           setting's own reader does that, for both forms.
 * Refuses   With `invalidArgument`, which begins with the place (`Rules[0].Expiration.Days`): unknown members, values of
 *           another type, and numbers that are not whole.
 */
import { fail, type Failure } from "@hayloft/base/failures.js"
import { XmlWriter, xmlDocument } from "../wire/xml-writer.js"
import { parseXml, type XmlElement } from "@hayloft/base/text/xml-reader.js"
import { DOCUMENT_SHAPES, type Member, type DocumentShape, type Structure } from "./document-shapes.js"
import { isJsonObject } from "@hayloft/base/json.js"

type Json = string | number | boolean | readonly Json[] | { readonly [name: string]: Json }
type JsonMembers = Readonly<Record<string, Json>>

/** Instances of schemas have their type in an attribute. */
const INSTANCE = `xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"`
const NUMBER = /^-?\d{1,15}$/

/** The JSON of a document of S3; undefined for one that has no JSON form. */
export function jsonOfDocument(xml: Uint8Array): JsonMembers | undefined {
  const root = parseXml(xml, { bytesMax: Infinity, elementsMax: Infinity })
  const shape = DOCUMENT_SHAPES[root.name]
  return shape && objectOf(root, shape)
}

function objectOf(element: XmlElement, { members }: Structure): JsonMembers {
  const found: Record<string, Json> = {}
  for (const [name, member] of Object.entries(members)) {
    const value = memberOf(element, member)
    if (value !== undefined) found[name] = value
  }
  return found
}

function memberOf(element: XmlElement, { kind, element: name, shape, in: around }: Member): Json | undefined {
  if (kind === "attribute") return element.attributes.get(name)
  const parent = around === undefined ? element : element.children.find(child => child.name === around)
  const children = parent?.children.filter(child => child.name === name) ?? []
  if (kind === "list") {
    return children.length === 0 && (around === undefined || parent === undefined)
      ? undefined
      : children.map(child => valueOf(child, shape))
  }
  return children[0] && valueOf(children[0], shape)
}

function valueOf(element: XmlElement, shape: DocumentShape): Json {
  if (typeof shape === "object") return objectOf(element, shape)
  const { text } = element
  if (shape === "number" && NUMBER.test(text)) return Number(text)
  if (shape === "boolean" && (text === "true" || text === "false")) return text === "true"
  return text
}

/** The document of S3 for its JSON. Throws `invalidArgument`. */
export function documentOfJson(root: string, json: unknown): Uint8Array {
  const shape = DOCUMENT_SHAPES[root]
  if (shape === undefined) throw fail("internal", { reason: `${root} has no JSON form` })
  return xmlDocument(root, xml => writeObject(xml, json, shape, ""))
}

const at = (place: string, name: string): string => (place === "" ? name : `${place}.${name}`)
const invalid = (place: string, message: string): Failure =>
  fail("invalidArgument", { message: `${place === "" ? "the document" : place}: ${message}` })

function writeObject(xml: XmlWriter, json: unknown, { members }: Structure, place: string): void {
  if (!isJsonObject(json)) throw invalid(place, "must be an object")
  const unknown = Object.keys(json).find(name => !Object.hasOwn(members, name))
  if (unknown !== undefined) {
    const known = Object.keys(members).join(", ")
    throw invalid(at(place, unknown.slice(0, 80)), `there is no such member; known are ${known}`)
  }
  // In the order of the table: JSON has none.
  for (const [name, member] of Object.entries(members)) {
    const value = json[name]
    if (value !== undefined && member.kind !== "attribute") writeMember(xml, value, member, at(place, name))
  }
}

function writeMember(xml: XmlWriter, json: unknown, member: Member, place: string): void {
  if (member.kind !== "list") return writeValue(xml, json, member, place)
  if (!Array.isArray(json)) throw invalid(place, "must be a list")
  const items: readonly unknown[] = json
  const write = (into: XmlWriter): void =>
    items.forEach((item, index) => writeValue(into, item, member, `${place}[${index}]`))
  if (member.in === undefined) write(xml)
  else xml.group(member.in, write)
}

function writeValue(xml: XmlWriter, json: unknown, { element, shape }: Member, place: string): void {
  if (typeof shape === "object") {
    xml.group(element, inner => writeObject(inner, json, shape, place), attributesOf(json, shape, place))
    return
  }
  if (shape === "text" && typeof json !== "string") throw invalid(place, "must be a text")
  if (shape === "number" && !Number.isSafeInteger(json)) throw invalid(place, "must be a whole number")
  if (shape === "boolean" && typeof json !== "boolean") throw invalid(place, "must be true or false")
  xml.text(element, String(json))
}

function attributesOf(json: unknown, { members }: Structure, place: string): string {
  const texts: string[] = []
  for (const [name, { kind, element }] of Object.entries(members)) {
    const value = isJsonObject(json) ? json[name] : undefined
    if (kind !== "attribute" || value === undefined) continue
    if (typeof value !== "string") throw invalid(at(place, name), "must be a text")
    texts.push(`${INSTANCE} xsi:${element}="${new XmlWriter().escaped(value)}"`)
  }
  return texts.join(" ")
}
