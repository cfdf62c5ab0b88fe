/** Paged lists: `Marker` continues after the last page, `Limit` bounds a page. */
import type { KmsInput } from "./input.js"
import { KmsRefusal } from "./failures.js"

/** `usual`: the length of a page without a `Limit`. */
interface PageSizes {
  readonly usual: number
  readonly most: number
}

interface Page<Item> {
  readonly items: readonly Item[]
  /** `Truncated`, and `NextMarker` unless it is the last page. */
  readonly end: Readonly<Record<string, unknown>>
}

const markerOf = (name: string): string => Buffer.from(name).toString("base64url")

/** The next page of items that come in the order of their names. Throws `ValidationException`. */
export async function kmsPageOf<Item>(
  input: KmsInput,
  all: Iterable<Item> | AsyncIterable<Item>,
  nameOf: (item: Item) => string,
  { usual, most }: PageSizes,
): Promise<Page<Item>> {
  const max = input.whole("Limit", { least: 1, most }) ?? usual
  const from = nameBefore(input)
  const items: Item[] = []
  for await (const item of all) {
    if (nameOf(item) <= from) continue
    const last = items.at(-1)
    if (items.length === max && last !== undefined) {
      return { items, end: { Truncated: true, NextMarker: markerOf(nameOf(last)) } }
    }
    items.push(item)
  }
  return { items, end: { Truncated: false } }
}

function nameBefore(input: KmsInput): string {
  const marker = input.optional("Marker")
  if (marker === undefined) return ""
  const name = Buffer.from(marker, "base64url").toString()
  if (name === "" || markerOf(name) !== marker) throw new KmsRefusal("ValidationException", "The Marker is not valid.")
  return name
}
