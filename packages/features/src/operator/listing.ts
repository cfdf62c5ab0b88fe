/** Pages of listings: `max` and `after` of a query, and the `next` of a reply; and all pages, one after the other. */
import { fail } from "@hayloft/base/failures.js"
import { walkPages } from "@hayloft/base/walk-pages.js"

const PAGE_MAX = 1000
const PAGE_DEFAULT = 100

export const PAGE_PARAMETERS = [
  { name: "after", description: "`next` of the previous page" },
  { name: "max", description: `page size, up to ${PAGE_MAX} (default ${PAGE_DEFAULT})` },
] as const

/** Throws `invalidArgument`. */
export function pageSize(query: ReadonlyMap<string, string>): number {
  const text = query.get("max") ?? String(PAGE_DEFAULT)
  const max = /^\d{1,4}$/.test(text) ? Number(text) : 0
  if (max < 1 || max > PAGE_MAX) throw fail("invalidArgument", { message: `max must be 1 to ${PAGE_MAX}` })
  return max
}

/** The first items, and where the next page begins if there are more. */
export async function firstOf<Item>(
  items: AsyncIterable<Item>,
  max: number,
  nameOf: (item: Item) => string,
): Promise<{ readonly items: readonly Item[]; readonly next?: string }> {
  const found: Item[] = []
  for await (const item of items) {
    const last = found.at(-1)
    if (found.length === max && last !== undefined) return { items: found, next: nameOf(last) }
    found.push(item)
  }
  return { items: found }
}

/** A time in a query. Throws `invalidArgument`. */
export function timeOf(query: ReadonlyMap<string, string>, name: string): number | undefined {
  const text = query.get(name)
  if (text === undefined) return undefined
  if (!/^\d{1,15}$/.test(text)) throw fail("invalidArgument", { message: `${name} must be milliseconds since 1970` })
  return Number(text)
}

/** Yields all pages of a list: each is asked for with the `next` of the one before it as its `after`. */
export const pagesOf = <Page extends { readonly next?: string | undefined }>(
  ask: (more: { readonly after: string | undefined }) => Promise<Page>,
): AsyncGenerator<Page, void> => walkPages<string | undefined, Page>(undefined, after => ask({ after }))
