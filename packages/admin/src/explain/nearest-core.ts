/** The names that look most like a mistyped one. Pure. */

/**
 * The number of characters to insert, remove or replace to get from one text to the other.
 * Source  R. A. Wagner, M. J. Fischer, "The String-to-String Correction Problem", JACM 21(1), 1974.
 */
function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, column) => column)
  for (let i = 1; i <= from.length; i += 1) {
    const next = [i]
    for (let j = 1; j <= to.length; j += 1) {
      const replaced = (row[j - 1] ?? 0) + (from[i - 1] === to[j - 1] ? 0 : 1)
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[to.length] ?? 0
}

/** A longer text is not looked up: the distance takes time in proportion to the product of the lengths. */
const CHARACTERS_MAX = 100
/** More wrong characters than this share of a name make another name. */
const DISTANCE_SHARE_MAX = 0.4
/** A shorter text is part of too many names. */
const PART_CHARACTERS_MIN = 3

/** Up to `countMax` names, by their distance: those that contain the text, or differ little. `plain`: what is compared. */
export function nearest(
  text: string,
  names: readonly string[],
  plain: (name: string) => string,
  countMax: number,
): readonly string[] {
  const wanted = text.slice(0, CHARACTERS_MAX)
  const scored = names.map(name => {
    const compared = plain(name)
    const isPart = wanted.length >= PART_CHARACTERS_MIN && compared.includes(wanted)
    const distance = editDistance(wanted, compared)
    const isNear = distance <= Math.max(wanted.length, compared.length) * DISTANCE_SHARE_MAX
    return { name, isPart, isNear, distance }
  })
  return scored
    .filter(({ isPart, isNear }) => isPart || isNear)
    .sort((a, b) => a.distance - b.distance || (a.name < b.name ? -1 : 1))
    .slice(0, countMax)
    .map(({ name }) => name)
}
