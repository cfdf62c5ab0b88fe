/**
 * One line of a scenario: a name, then words and `key=value` pairs, separated by spaces. A command is such a line, and
 * so is each line of input that it declares something with.
 *
 * Promises  A word or key that the command does not use is an error, so that a misspelt option is detected.
 */
import { must } from "@hayloft/base/assert.js"
import { MIB } from "@hayloft/base/limits.js"

/** The error of a scenario that cannot be run as written. A rewrite never hides it. */
export class BadScenario extends Error {}

export class Call {
  readonly name: string
  private readonly words: string[] = []
  private readonly pairs = new Map<string, string>()

  constructor(
    readonly line: string,
    readonly input: readonly string[] = [],
  ) {
    const [name, ...rest] = line.trim().split(/\s+/)
    this.name = must(name, "a line has a first word")
    for (const word of rest) {
      const at = word.indexOf("=")
      if (at < 0) this.words.push(word)
      else this.pairs.set(word.slice(0, at), word.slice(at + 1))
    }
  }

  /** The input, each line as a separate call. */
  inputCalls(): readonly Call[] {
    return this.input.map(line => new Call(line))
  }

  optional(key: string): string | undefined {
    const value = this.pairs.get(key)
    this.pairs.delete(key)
    return value
  }

  text(key: string): string {
    return this.optional(key) ?? this.reject(`needs ${key}=`)
  }

  number(key: string, usual?: number): number {
    const value = this.optional(key)
    if (value === undefined) return usual ?? this.reject(`needs ${key}=`)
    return numberOf(value) ?? this.reject(`${key}=${value} is not a number`)
  }

  /** `key=a,b,c`; none if the key is absent. */
  list(key: string): readonly string[] {
    return listOf(this.optional(key) ?? "")
  }

  /** Returns true if the call has this bare word. */
  flag(word: string): boolean {
    const at = this.words.indexOf(word)
    if (at >= 0) this.words.splice(at, 1)
    return at >= 0
  }

  /** The next bare word. */
  word(): string {
    return this.words.shift() ?? this.reject("needs another word")
  }

  /** The rest of the line as a call: `a weight=2` of `add a weight=2`. */
  shifted(): Call {
    const rest = this.line.trim().split(/\s+/).slice(1).join(" ")
    return new Call(rest === "" ? this.reject("needs another word") : rest)
  }

  /** All remaining bare words. */
  rest(): readonly string[] {
    return this.words.splice(0)
  }

  /** All remaining pairs. */
  restPairs(): readonly (readonly [key: string, value: string])[] {
    const pairs = [...this.pairs]
    this.pairs.clear()
    return pairs
  }

  reject(why: string): never {
    throw new BadScenario(`"${this.line}" ${why}`)
  }

  /** Rejects unused words and keys; called after the command. */
  checkAllRead(): void {
    const unread = [...this.words, ...this.pairs.keys()]
    if (unread.length > 0) this.reject(`${this.name} does not know: ${unread.join(", ")}`)
  }
}

export const listOf = (text: string): readonly string[] => text.split(",").filter(each => each !== "")

const UNITS: Readonly<Record<string, number>> = { "": 1, K: 1024, M: MIB, G: 1024 * MIB, T: MIB * MIB }

/** `12`, `0.5`, `4M`, `2T`. */
export function numberOf(text: string): number | undefined {
  const [, digits, unit] = /^(-?\d+(?:\.\d+)?)([KMGT]?)$/.exec(text) ?? []
  return digits === undefined ? undefined : Number(digits) * (UNITS[unit ?? ""] ?? 1)
}

/** `3` or `3-7`. */
export function rangeOf(text: string): readonly [first: number, last: number] {
  const [, first, last] = /^(\d+)(?:-(\d+))?$/.exec(text) ?? []
  if (first === undefined) throw new BadScenario(`${text} is neither a number nor a range`)
  return [Number(first), Number(last ?? first)]
}

export function shownBytes(bytes: number): string {
  const unit = ["T", "G", "M", "K"].find(each => bytes >= (UNITS[each] ?? 1)) ?? ""
  const value = bytes / (UNITS[unit] ?? 1)
  return `${Number.isInteger(value) ? value : value.toFixed(1)}${unit}`
}

export const shownRange = (first: number, last: number): string => (first === last ? `${first}` : `${first}-${last}`)
