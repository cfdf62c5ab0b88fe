/**
 * Replaces the users, roles and sessions that a policy names, in its text: the rest of the text stays as written. The
 * text must have passed `parseAccessPolicy`. Pure.
 */
import { textsIn } from "./read-json.js"

const PRINCIPAL = /^\$\.Statement(?:\[\d+\])?\.(?:Not)?Principal\.AWS(?:\[\d+\])?$/

export function mapPrincipals(text: string, change: (name: string) => string): string {
  let [mapped, from] = ["", 0]
  for (const { where, value, start, end } of textsIn(text)) {
    const changed = PRINCIPAL.test(where) ? change(value) : value
    if (changed === value) continue
    mapped += text.slice(from, start) + JSON.stringify(changed)
    from = end
  }
  return mapped + text.slice(from)
}

/** The principals that `mapPrincipals` would replace. */
export function principalsIn(text: string): readonly string[] {
  return Array.from(textsIn(text))
    .filter(({ where }) => PRINCIPAL.test(where))
    .map(({ value }) => value)
}
