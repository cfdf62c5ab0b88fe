/** Paged lists: `Marker` continues after the last page, `MaxItems` limits the length of a page. */
import type { XmlWriter } from "@hayloft/base/text/xml-writer.js"
import { invalidIamParameter, type Parameters } from "./parameters.js"

const ITEMS = { least: 1, most: 1_000 } as const
const ITEMS_DEFAULT = 100

export const PAGING = ["Marker", "MaxItems"] as const

/** The last name of the previous page; "" to start from the beginning. Throws `invalidArgument`. */
export function nameBefore(parameters: Parameters): string {
  const marker = parameters.optional("Marker")
  if (marker === undefined) return ""
  const name = Buffer.from(marker, "base64url").toString()
  if (name === "" || markerOf(name) !== marker) throw invalidIamParameter("The Marker is not valid.")
  return name
}

const markerOf = (name: string): string => Buffer.from(name).toString("base64url")

interface Page<Item> {
  readonly items: readonly Item[]
  /** The marker is undefined on the last page. */
  readonly marker: string | undefined
}

/** The next page of items in the order of their names, which are compared without case. */
export async function iamPageOf<Item>(
  parameters: Parameters,
  all: Iterable<Item> | AsyncIterable<Item>,
  nameOf: (item: Item) => string,
): Promise<Page<Item>> {
  const after = nameBefore(parameters)
  const itemsMax = parameters.whole("MaxItems", ITEMS) ?? ITEMS_DEFAULT
  const items: Item[] = []
  for await (const item of all) {
    if (orderOf(nameOf(item)) <= after) continue
    const last = items.at(-1)
    if (items.length === itemsMax && last !== undefined) return { items, marker: markerOf(orderOf(nameOf(last))) }
    items.push(item)
  }
  return { items, marker: undefined }
}

const orderOf = (name: string): string => name.toLowerCase()

/** Sorts a complete list for `pageOf`. */
export const byName = <Item>(items: Iterable<Item>, nameOf: (item: Item) => string): readonly Item[] =>
  [...items].sort((a, b) => (orderOf(nameOf(a)) < orderOf(nameOf(b)) ? -1 : 1))

/** `<Users><member>…</member></Users>`, with a marker if there is more. */
export function writePage<Item>(
  xml: XmlWriter,
  name: string,
  { items, marker }: Page<Item>,
  write: (xml: XmlWriter, item: Item) => void,
): void {
  writeList(xml, name, items, write)
  xml.text("IsTruncated", marker !== undefined).text("Marker", marker)
}

export function writeList<Item>(
  xml: XmlWriter,
  name: string,
  items: readonly Item[],
  write: (xml: XmlWriter, item: Item) => void,
): void {
  xml.group(name, list => {
    for (const item of items) list.group("member", member => write(member, item))
  })
}
