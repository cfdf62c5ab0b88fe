/**
 * The names among some that a bucket has objects of already, read from its listing: names that are near each other cost one
 * request together.
 *
 * Limits  `REQUESTS_MAX` requests; the answer then says that it does not know all.
 */
import { list } from "./s3.js"

const REQUESTS_MAX = 100
const PAGE = 1_000

interface Present {
  readonly keys: ReadonlySet<string>
  /** False: others may be there, too. */
  readonly isAll: boolean
}

/** A text whose order is that of a listing: by the bytes of UTF-8. */
const orderOf = (key: string): string => String.fromCharCode(...new TextEncoder().encode(key))

const before = (key: string): string => [...key].slice(0, -1).join("")

/** Throws an `ApiError`. */
export async function presentKeys(bucket: string, keys: readonly string[]): Promise<Present> {
  const found = new Set<string>()
  const listed = async (from: Readonly<Record<string, string>>, prefix: string, max: number) => {
    const { rows, next } = await list({ bucket, prefix, isByFolder: false, hasVersions: false, from, max })
    return { names: new Set(rows.map(({ key }) => key)), last: next && orderOf(rows.at(-1)?.key ?? "") }
  }
  const wanted = keys.map(key => [orderOf(key), key] as const).sort(([a], [b]) => (a < b ? -1 : 1))
  let requests = 0
  for (let at = 0; at < wanted.length;) {
    const [order = "", key = ""] = wanted[at] ?? []
    if ((requests += 2) > REQUESTS_MAX) return { keys: found, isAll: false }
    const start = before(key)
    const { names, last } = await listed(start === "" ? {} : { "start-after": start }, "", PAGE)
    // More names than a page has are between the beginning and the name itself.
    const isBeyond = last !== undefined && last < order
    const of = isBeyond ? (await listed({}, key, 1)).names : names
    const isDecided = (each: string): boolean => each === order || (!isBeyond && (last === undefined || each <= last))
    for (; at < wanted.length && isDecided(wanted[at]?.[0] ?? ""); at += 1) {
      const name = wanted[at]?.[1] ?? ""
      if (of.has(name)) found.add(name)
    }
  }
  return { keys: found, isAll: true }
}
