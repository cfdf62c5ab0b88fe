/**
 * The older protocol of SQS, of clients before 2024: a form or a query with `Action=…` in, XML out. It is translated to and
 * from the JSON protocol. Pure.
 *
 * Refuses  `MalformedQueryString`: a parameter that is given twice, names with too many parts, lists with too many members.
 * Source   "AWS Query protocol", Smithy; Amazon SQS API Reference of 2012-11-05.
 */
import { XML_DECLARATION, XmlWriter } from "@hayloft/base/text/xml-writer.js"
import { formParameters, type PlainAnswer } from "../http/index.js"
import { olderErrorOf, SqsRefusal, type QueueError } from "./failures.js"
import type { SqsResult } from "./sqs-operations.js"
import { isJsonObject } from "@hayloft/base/json.js"

const NAMESPACE = 'xmlns="http://queue.amazonaws.com/doc/2012-11-05/"'
const MEMBERS_MAX = 1_000
/** `SendMessageBatchRequestEntry.1.MessageAttribute.1.Value.StringListValue.1` has seven. */
const NAME_PARTS_MAX = 10
/** The path of the service, or of a queue: the number of its account, and its name. */
const PATH = /^\/(\d{12}\/[^/]+\/?)?$/
const SIGNATURE = /^X-Amz-/i

/** Parameters that have others below them, by the parts of their names. */
class Branch extends Map<string, Branch | string> {}

const isBranch = (value: Branch | string | undefined): value is Branch => value instanceof Branch

/** Returns the operation that the request names, or undefined if it is not of this protocol. Throws `invalidArgument`. */
export function olderOperationOf(rawPath: string, rawQuery: string, form: string): string | undefined {
  if (!PATH.test(rawPath)) return undefined
  for (const text of [form, rawQuery.replaceAll("+", "%2B")]) {
    const action = formParameters(text).get("Action")
    if (action !== null) return action
  }
  return undefined
}

function treeOf(texts: readonly string[]): Branch {
  const tree = new Branch()
  for (const text of texts) {
    for (const [name, value] of formParameters(text)) {
      if (SIGNATURE.test(name) || name === "Action" || name === "Version") continue
      const parts = name.split(".", NAME_PARTS_MAX + 1)
      if (parts.length > NAME_PARTS_MAX)
        throw new SqsRefusal(
          "MalformedQueryString",
          `The name of the parameter ${name.slice(0, 100)} has too many parts.`,
        )
      let at = tree
      for (const part of parts.slice(0, -1)) {
        const next = at.get(part) ?? new Branch()
        if (!isBranch(next)) throw malformed(name)
        at.set(part, next)
        at = next
      }
      const last = parts.at(-1) ?? ""
      if (at.has(last)) throw malformed(name)
      at.set(last, value)
    }
  }
  return tree
}

const malformed = (name: string): SqsRefusal =>
  new SqsRefusal("MalformedQueryString", `The parameter ${name.slice(0, 100)} is given twice, or in two forms.`)

/** Members of a list, in the order of their numbers. */
function membersOf(value: Branch | string | undefined): readonly (Branch | string)[] {
  if (!isBranch(value)) return []
  const members = [...value].sort(([a], [b]) => Number(a) - Number(b))
  if (members.length <= MEMBERS_MAX) return members.map(([, member]) => member)
  throw new SqsRefusal("MalformedQueryString", `A list has more than ${MEMBERS_MAX} members.`)
}

const textIn = (branch: Branch | string, name: string): string => {
  const value = isBranch(branch) ? branch.get(name) : undefined
  return typeof value === "string" ? value : ""
}

const plain = (value: Branch | string | undefined): unknown =>
  isBranch(value) ? Object.fromEntries([...value].map(([name, each]) => [name, plain(each)])) : value

type Translate = (value: Branch | string | undefined) => unknown

const listOf: Translate = value => membersOf(value).map(each => (isBranch(each) ? null : each))
const mapOf =
  (key: string): Translate =>
  value =>
    Object.fromEntries(membersOf(value).map(each => [textIn(each, key), textIn(each, "Value")]))
const objectsOf: Translate = value =>
  Object.fromEntries(
    membersOf(value).map(each => [textIn(each, "Name"), isBranch(each) ? plain(each.get("Value")) : null]),
  )
const entriesOf: Translate = value => membersOf(value).map(each => (isBranch(each) ? translated(each) : each))

/** Members that have another name or form in JSON. */
const MEMBERS: Readonly<Record<string, readonly [name: string, translate: Translate]>> = {
  AttributeName: ["AttributeNames", listOf],
  MessageAttributeName: ["MessageAttributeNames", listOf],
  MessageSystemAttributeName: ["MessageSystemAttributeNames", listOf],
  TagKey: ["TagKeys", listOf],
  Attribute: ["Attributes", mapOf("Name")],
  MessageAttribute: ["MessageAttributes", objectsOf],
  MessageSystemAttribute: ["MessageSystemAttributes", objectsOf],
  SendMessageBatchRequestEntry: ["Entries", entriesOf],
  DeleteMessageBatchRequestEntry: ["Entries", entriesOf],
  ChangeMessageVisibilityBatchRequestEntry: ["Entries", entriesOf],
}

const translated = (branch: Branch): Readonly<Record<string, unknown>> =>
  Object.fromEntries(
    [...branch].map(([name, value]) => {
      const [as, translate] = (Object.hasOwn(MEMBERS, name) ? MEMBERS[name] : undefined) ?? [name, plain]
      return [as, translate(value)]
    }),
  )

interface OlderRequest {
  readonly operation: string
  readonly rawPath: string
  readonly rawQuery: string
  readonly form: string
}

/** The input of the JSON protocol. The queue may be named by the path. */
export function inputOfQuery({ operation, rawPath, rawQuery, form }: OlderRequest): Readonly<Record<string, unknown>> {
  const tree = treeOf([rawQuery.replaceAll("+", "%2B"), form])
  const tags = tree.get("Tag")
  tree.delete("Tag")
  const ofTags = tags === undefined ? {} : { [operation === "CreateQueue" ? "tags" : "Tags"]: mapOf("Key")(tags) }
  const ofPath = rawPath !== "/" ? { QueueUrl: rawPath } : {}
  return { ...ofPath, ...translated(tree), ...ofTags }
}

/** Names of elements in XML, by the member of the result. */
const ELEMENTS: Readonly<Record<string, string>> = { Messages: "Message", QueueUrls: "QueueUrl", queueUrls: "QueueUrl" }
/** Members that are maps, with the names of elements for them, their keys and values. */
const MAPS: Readonly<Record<string, readonly [element: string, key: string, value: string]>> = {
  Attributes: ["Attribute", "Name", "Value"],
  MessageAttributes: ["MessageAttribute", "Name", "Value"],
  Tags: ["Tag", "Key", "Value"],
}

function elementOf(operation: string, member: string): string {
  if (member === "Failed") return "BatchResultErrorEntry"
  if (member === "Successful") return `${operation}ResultEntry`
  return (Object.hasOwn(ELEMENTS, member) ? ELEMENTS[member] : undefined) ?? member
}

function writeMember(xml: XmlWriter, operation: string, name: string, value: unknown): void {
  const map = Object.hasOwn(MAPS, name) ? MAPS[name] : undefined
  if (map !== undefined && isJsonObject(value)) {
    const [element, keyName, valueName] = map
    for (const [key, each] of Object.entries(value))
      xml.group(element, group => {
        group.text(keyName, key)
        writeMember(group, operation, valueName, each)
      })
  } else if (Array.isArray(value)) {
    for (const each of Array.from<unknown>(value)) writeMember(xml, operation, elementOf(operation, name), each)
  } else if (isJsonObject(value)) xml.group(name, group => writeMembers(group, operation, value))
  else if (typeof value === "string" || typeof value === "number" || typeof value === "boolean")
    xml.text(name, String(value))
}

function writeMembers(xml: XmlWriter, operation: string, members: SqsResult): void {
  for (const [name, value] of Object.entries(members)) writeMember(xml, operation, name, value)
}

const documentAnswer = (status: number, requestId: string, xml: XmlWriter): PlainAnswer => ({
  status,
  headers: ["x-amzn-RequestId", requestId, "Content-Type", "text/xml"],
  body: Buffer.from(`${XML_DECLARATION}${xml.toString()}`),
})

export function olderAnswer(operation: string, result: SqsResult, requestId: string): PlainAnswer {
  const write = (xml: XmlWriter): void => {
    // Older clients fail without it, also if it has no members.
    xml.group(`${operation}Result`, group => writeMembers(group, operation, result))
    xml.group("ResponseMetadata", metadata => metadata.text("RequestId", requestId))
  }
  return documentAnswer(200, requestId, new XmlWriter().group(`${operation}Response`, write, NAMESPACE))
}

export function olderErrorAnswer(failed: QueueError, requestId: string): PlainAnswer {
  const [code = "", type = ""] = olderErrorOf(failed).split(";")
  const write = (xml: XmlWriter): void => {
    xml.group("Error", error => error.text("Type", type).text("Code", code).text("Message", failed.message))
    xml.text("RequestId", requestId)
  }
  return documentAnswer(failed.status, requestId, new XmlWriter().group("ErrorResponse", write, NAMESPACE))
}
