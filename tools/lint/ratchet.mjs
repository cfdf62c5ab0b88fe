/**
 * The ratchet: exceptions to size and casts, each with a number and a reason. Numbers only go down:
 * the rules report a file that needs less than it is allowed.
 *
 * Shape of ratchet.json: { fileTokens | functionTokens | casts: { "path" or "path#function": { number, reason } } }
 */
import { readFileSync } from "node:fs"

export const RATCHET = JSON.parse(readFileSync(new URL("./ratchet.json", import.meta.url), "utf8"))

export const ratchetFor = (kind, key, ratchet = RATCHET) => ratchet[kind]?.[key]

/** Entries of one kind that belong to a file: its own, and those of its functions. */
export const ratchetOfFile = (kind, path, ratchet = RATCHET) =>
  Object.entries(ratchet[kind] ?? {}).filter(([key]) => key === path || key.startsWith(`${path}#`))

/** Returns the problems of ratchet.json as sentences. `exists` returns whether a path is in the tree. */
export function checkRatchet(ratchet, exists) {
  const problems = []
  for (const [kind, entries] of Object.entries(ratchet)) {
    if (!["fileTokens", "functionTokens", "casts"].includes(kind)) problems.push(`${kind}: no such kind of exception`)
    for (const [key, { number, reason }] of Object.entries(entries)) {
      if (!exists(key.split("#")[0])) problems.push(`${key}: the file does not exist; remove its exception`)
      if (!Number.isInteger(number) || number < 1) problems.push(`${key}: the number is missing`)
      if (typeof reason !== "string" || reason.length < 15) problems.push(`${key}: state why it needs an exception`)
    }
  }
  return problems
}
