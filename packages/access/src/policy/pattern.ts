/**
 * Patterns: texts of policies with wildcards (`*` any text, `?` one character) and variables (`${aws:username}`,
 * `${aws:PrincipalTag/team, 'none'}`), and their matchers.
 *
 * A variable stands for its value literally: a wildcard in the value is an ordinary character. `${*}`, `${?}` and
 * `${$}` are these characters themselves. Documents of 2008-10-17 have no variables; in them `${` is text.
 * Matching takes time proportional to the product of both lengths at worst, charged to an `EvaluationBudget`.
 */
import type { ConditionKey } from "./contract.js"
import { conditionKeyOf } from "./condition-keys.js"
import { STEP, type EvaluationBudget } from "./evaluation-budget.js"

const ANY = Symbol("*")
const ONE = Symbol("?")

interface Variable {
  readonly key: ConditionKey
  readonly fallback: string | undefined
}

/** How many passes are made over a value before it is compared: it is split, joined and laid out again. */
const VALUE_PASSES = 4

type Token = string | typeof ANY | typeof ONE | Variable
export type Pattern = readonly Token[]

interface PatternRules {
  readonly variables: boolean
  readonly wildcards: boolean
}

const SPECIAL = /\$\{([^}]*)\}|\$\{|[*?]/g
const WILDCARD = /[*?]/g
const VARIABLE = /^([^,':]+:[^,']+)(?:,\s*'([^']*)')?$/

function variableOf(inside: string): Token | undefined {
  if (inside === "*" || inside === "?" || inside === "$") return inside
  const [, name, fallback] = VARIABLE.exec(inside.trim()) ?? []
  return name === undefined ? undefined : { key: conditionKeyOf(name.trim()), fallback }
}

/** Returns undefined if the text has a `${` that is not a variable. */
export function patternOf(text: string, { variables, wildcards }: PatternRules): Pattern | undefined {
  const tokens: Token[] = []
  let from = 0
  for (const match of text.matchAll(variables ? SPECIAL : WILDCARD)) {
    const [special, inside] = match
    const isWildcard = special === "*" || special === "?"
    if (isWildcard && !wildcards) continue
    const token = isWildcard ? (special === "*" ? ANY : ONE) : inside === undefined ? undefined : variableOf(inside)
    if (token === undefined) return undefined
    tokens.push(text.slice(from, match.index), token)
    from = match.index + special.length
  }
  tokens.push(text.slice(from))
  return tokens.filter(token => token !== "")
}

export const hasVariables = (pattern: Pattern): boolean => pattern.some(token => typeof token === "object")

export const hasWildcards = (pattern: Pattern): boolean => pattern.some(token => token === ANY || token === ONE)

/** The text of a pattern without wildcards and variables. */
export const literalOf = (pattern: Pattern): string =>
  pattern.map(token => (typeof token === "string" ? token : "")).join("")

/** The pattern with values in place of variables; undefined if a variable has none. */
export function resolved(
  pattern: Pattern,
  valueOf: (key: ConditionKey) => string | undefined,
  budget: EvaluationBudget,
): Pattern | undefined {
  const tokens: Token[] = []
  for (const token of pattern) {
    const value = typeof token === "object" ? (valueOf(token.key) ?? token.fallback) : token
    if (value === undefined) return undefined
    budget.spend(VALUE_PASSES * (STEP + (typeof value === "string" ? value.length : 1)))
    tokens.push(value)
  }
  return tokens
}

const ARN_PARTS = 6

/** Splits an ARN at the first colons of its text into its parts; undefined if there are fewer. */
export function splitArn(pattern: Pattern): readonly Pattern[] | undefined {
  const split: Token[][] = [[]]
  const add = (token: Token): void => void (token !== "" && split.at(-1)?.push(token))
  for (const token of pattern) {
    if (typeof token !== "string") {
      add(token)
      continue
    }
    let from = 0
    while (split.length < ARN_PARTS) {
      const colon = token.indexOf(":", from)
      if (colon < 0) break
      add(token.slice(from, colon))
      split.push([])
      from = colon + 1
    }
    add(token.slice(from))
  }
  return split.length === ARN_PARTS ? split : undefined
}

/** Spends its cost from the budget. */
export type Matcher = (text: string, budget: EvaluationBudget) => boolean

/** Texts between single wildcards. */
type Piece = readonly string[]

/** Pieces between stars. */
function piecesOf(pattern: Pattern): Piece[] {
  const pieces: string[][] = [[""]]
  for (const token of pattern) {
    const piece = pieces.at(-1) ?? []
    if (token === ANY) pieces.push([""])
    else if (token === ONE) piece.push("")
    else if (typeof token === "string") piece.push(`${piece.pop() ?? ""}${token}`)
  }
  return pieces
}

/** The cost of comparing a character, or of stepping over it. */
const CHARACTER = 4

/** The end of the character that begins at `at`: two units later for characters beyond the basic plane. */
const characterEnd = (text: string, at: number): number => {
  const code = text.codePointAt(at)
  return code === undefined ? -1 : at + (code > 0xffff ? 2 : 1)
}

/** The end of a piece that begins at `at`; -1 if the piece does not match there. */
function endOf(piece: Piece, text: string, at: number, budget: EvaluationBudget): number {
  let end = at
  for (const [index, part] of piece.entries()) {
    budget.spend(STEP + CHARACTER * part.length)
    if (index > 0) end = characterEnd(text, end)
    if (end < 0 || !text.startsWith(part, end)) return -1
    end += part.length
  }
  return end
}

/** The end of that many characters from `at`; -1 if there are fewer. */
function endOfCharacters(text: string, at: number, characters: number, budget: EvaluationBudget): number {
  budget.spend(characters * CHARACTER)
  let end = at
  for (let remaining = characters; remaining > 0 && end >= 0; remaining -= 1) end = characterEnd(text, end)
  return end
}

/** The start of the last `characters` characters of the text; -1 if there are fewer. */
function startOfLast(text: string, characters: number, budget: EvaluationBudget): number {
  budget.spend(characters * CHARACTER)
  let at = text.length
  for (let remaining = characters; remaining > 0 && at >= 0; remaining -= 1)
    at -= at > 1 && (text.codePointAt(at - 2) ?? 0) > 0xffff ? 2 : 1
  return at
}

/** A piece between two stars. Wildcards at its ends only count characters: they need no search. */
interface Floating {
  readonly before: number
  /** The end of the first match, at or after `from`, of the text between those wildcards; -1 if there is none. */
  readonly find: (text: string, from: number, budget: EvaluationBudget) => number
  readonly after: number
}

function floatingOf(piece: Piece): Floating {
  const first = piece.findIndex(part => part !== "")
  if (first < 0) return { before: piece.length - 1, find: (_, from) => from, after: 0 }
  const last = piece.findLastIndex(part => part !== "")
  return { before: first, find: finderOf(piece.slice(first, last + 1)), after: piece.length - 1 - last }
}

/** The search text is cut to this length: the engine's own search takes the product of both lengths at worst. */
const SEARCH_TEXT_MAX = 32
/** The cost of searching, for each character passed over. */
const SEARCH = 6

function finderOf(core: Piece): Floating["find"] {
  const searchText = (core[0] ?? "").slice(0, SEARCH_TEXT_MAX)
  return (text, from, budget) => {
    for (let next = from; ;) {
      const at = text.indexOf(searchText, next)
      budget.spend(STEP + SEARCH * ((at < 0 ? text.length : at) - next))
      const end = at < 0 ? -1 : endOf(core, text, at, budget)
      if (at < 0 || end >= 0) return end
      next = at + 1
    }
  }
}

/** The end of the first match of a piece at or after `from`; -1 if there is none. */
function endOfNext({ before, find, after }: Floating, text: string, from: number, budget: EvaluationBudget): number {
  const start = endOfCharacters(text, from, before, budget)
  return start < 0 ? -1 : endOfCharacters(text, find(text, start, budget), after, budget)
}

const charactersOf = (piece: Piece): number => piece.reduce((sum, part) => sum + [...part].length, piece.length - 1)

/** Returns a test that is true if a piece matches the end of the text, starting at `from` at the earliest. */
function endingOf(piece: Piece): (text: string, from: number, budget: EvaluationBudget) => boolean {
  const [first = ""] = piece
  if (piece.length === 1) return (text, from) => text.length - first.length >= from && text.endsWith(first)
  const characters = charactersOf(piece)
  return (text, from, budget) => {
    const start = startOfLast(text, characters, budget)
    return start >= from && endOf(piece, text, start, budget) === text.length
  }
}

/** For a pattern without variables, or whose variables are resolved. */
export function matcherOf(pattern: Pattern): Matcher {
  const [first = [""], ...others] = piecesOf(pattern)
  const last = others.pop()
  if (last === undefined) {
    const [only = ""] = first
    return first.length === 1 ? text => text === only : (text, budget) => endOf(first, text, 0, budget) === text.length
  }
  const isPrefix = first.length === 1 && others.length === 0 && last.length === 1 && last[0] === ""
  if (isPrefix) {
    const [prefix = ""] = first
    return text => text.startsWith(prefix)
  }
  const floating = others.map(floatingOf)
  const isEnd = endingOf(last)
  return (text, budget) => {
    let at = endOf(first, text, 0, budget)
    for (const piece of floating) {
      if (at < 0) return false
      at = endOfNext(piece, text, at, budget)
    }
    return at >= 0 && isEnd(text, at, budget)
  }
}

/** The pattern of version 2012-10-17 that matches exactly this text. */
export const escaped = (text: string): string => text.replace(/\$(?=\{)|[*?]/g, special => `\${${special}}`)
