/**
 * Decisions of `hayloft sync`: which names take part, and what happens to each. Pure.
 *
 * The rule  A file is copied if the target has none of its name, or one of another size, or an older one. With `--size-only`
 *           times do not count.
 */

export interface SyncEntry {
  /** Below the folder that is synchronized, with "/" between names. */
  readonly name: string
  readonly sizeBytes: number
  readonly modifiedMs: number
}

export interface SyncPair {
  readonly source?: SyncEntry | undefined
  readonly target?: SyncEntry | undefined
}

/** `extra`: only the target has it. */
export type Verdict = "missing" | "size" | "newer" | "same" | "extra"

export function verdictOf({ source, target }: SyncPair, isSizeOnly: boolean): Verdict {
  if (source === undefined) return "extra"
  if (target === undefined) return "missing"
  if (source.sizeBytes !== target.sizeBytes) return "size"
  return !isSizeOnly && source.modifiedMs > target.modifiedMs ? "newer" : "same"
}

export interface NameRule {
  readonly isIncluded: boolean
  readonly glob: string
}

/**
 * Returns true if a name takes part: the last rule that matches it decides. If none does, it takes part unless the
 * first rule is an `--include`.
 */
export function takesPart(rules: readonly NameRule[], name: string): boolean {
  const last = rules.findLast(({ glob }) => matches(glob, name))
  return last === undefined ? rules[0]?.isIncluded !== true : last.isIncluded
}

/**
 * `*` is any text, also with "/", and `?` one character, as in the AWS command line. Goes back only to the latest `*`, so
 * the time is at most the product of both lengths.
 */
export function matches(glob: string, name: string): boolean {
  const [pattern, text] = [[...glob], [...name]]
  let [at, star, tried] = [0, -1, 0]
  for (let i = 0; i < text.length;) {
    if (pattern[at] === "*") {
      star = at
      tried = i
      at += 1
    } else if (at < pattern.length && (pattern[at] === "?" || pattern[at] === text[i])) {
      at += 1
      i += 1
    } else if (star >= 0) {
      tried += 1
      i = tried
      at = star + 1
    } else return false
  }
  return pattern.slice(at).every(character => character === "*")
}
