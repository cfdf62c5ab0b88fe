/**
 * Filters of searches (RFC 4515) with a place for a user's name (`%s`) and for a DN (`%d`). Pure.
 *
 * Promises  What is filled in is a value, whatever it contains: it cannot end its condition, nor match more than itself.
 */

/** Letters that have a meaning in a filter, and those that no one types. */
const SPECIAL = /[\0-\x1f\x7f*()\\]/g

const escaped = (value: string): string =>
  value.replace(SPECIAL, letter => `\\${letter.charCodeAt(0).toString(16).padStart(2, "0")}`)

export const filledFilter = (filter: string, values: { readonly s: string; readonly d: string }): string =>
  filter.replace(/%([sd])/g, (_, place: string) => escaped(place === "s" ? values.s : values.d))

/** The attribute that a filter compares with a user's name first; undefined if it compares none. */
export const attributeOfName = (filter: string): string | undefined => /\(([A-Za-z][\w-]*)=%s\)/.exec(filter)?.[1]

/** Returns the fault of a text that is no LDAP filter; undefined if its brackets match. */
export function problemOfFilter(filter: string): string | undefined {
  if (!filter.startsWith("(")) return "it is not in brackets"
  let depth = 0
  for (const [at, letter] of Array.from(filter).entries()) {
    if (letter === "(") depth += 1
    if (letter === ")") depth -= 1
    if (depth < 0 || (depth === 0 && at < filter.length - 1)) return "its brackets do not match"
  }
  if (depth !== 0) return "its brackets do not match"
  return /[\0-\x1f\x7f]/.test(filter) || /\(\s|\s\(|\)\s/.test(filter)
    ? "it has blanks between its brackets"
    : undefined
}
