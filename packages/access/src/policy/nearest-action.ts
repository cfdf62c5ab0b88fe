/** Names of actions that are written wrong, and the one that is probably meant. */

/** So many letters may be wrong. */
const NEAR = 3

/** `; do you mean s3:GetObject?` if a name, with or without its service, is almost that of an action; else "". */
export function hintOf(pattern: string, known: Iterable<string>): string {
  const written = pattern.toLowerCase()
  let best: { readonly name: string; readonly distance: number } | undefined
  for (const name of known) {
    const meant = name.toLowerCase()
    const own = written.includes(":") ? meant : meant.slice(meant.indexOf(":") + 1)
    const distance = distanceOf(written, own)
    if (distance <= NEAR && (best === undefined || distance < best.distance)) best = { name, distance }
  }
  return best === undefined ? "" : `; do you mean ${best.name}?`
}

/** Levenshtein's. */
function distanceOf(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > NEAR) return Infinity
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i]
    for (let j = 1; j <= b.length; j += 1) {
      const changed = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(changed, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[b.length] ?? Infinity
}
