/**
 * Condition operators: what each takes for a value, and when a request's value meets it.
 *
 * A table with one line for each of AWS's operators; `IfExists` and `ForAnyValue:`/`ForAllValues:` are not theirs but the
 * condition's. Values are checked when the policy is saved: a number that is none would never match, silently.
 * Source  "IAM JSON policy elements: Condition operators", IAM User Guide.
 */
import { parseIsoDate } from "../../base/dates.js"
import { LOOK } from "./evaluation-budget.js"
import { isWithin, parseIpAddress, parseIpRange } from "./ip-range.js"
import { hasWildcards, literalOf, matcherOf, splitAtColons, type Matcher, type Pattern } from "./pattern.js"

export interface Operator {
  /** True where nothing matches; the table has the test of the positive one. */
  readonly negated: boolean
  /** Templates may hold variables and wildcards; the others take their text as it is. */
  readonly takes: "template" | "variables" | "text"
  /** Undefined where the value is not of the operator's kind. Called with a template that has no variables left. */
  readonly testOf: (value: string, pattern: Pattern) => Matcher | undefined
}

type TestOf = Operator["testOf"]

const equals: TestOf = (_, pattern) => matcherOf(pattern)

const equalsIgnoringCase: TestOf = (_, pattern) => {
  const wanted = literalOf(pattern).toLowerCase()
  return actual => actual.toLowerCase() === wanted
}

/** What it costs to look at six components. */
const SPLIT = 25 * LOOK

/** Undefined where there are fewer than six; the last has all further colons. */
function componentsOf(arn: string): readonly string[] | undefined {
  const components: string[] = []
  let from = 0
  while (components.length < 5) {
    const colon = arn.indexOf(":", from)
    if (colon < 0) return undefined
    components.push(arn.slice(from, colon))
    from = colon + 1
  }
  return [...components, arn.slice(from)]
}

/** Component by component: a star does not reach over a colon, but for the last component's. */
export function arnMatcherOf(pattern: Pattern): Matcher | undefined {
  const parts = splitAtColons(pattern, 6)
  if (parts === undefined) return undefined
  // Without wildcards before it, the text before the last component fixes where the colons are.
  if (!parts.slice(0, 5).some(hasWildcards)) return matcherOf(pattern)
  const matchers = parts.map(matcherOf)
  return (actual, budget) => {
    budget.spend(SPLIT)
    const actuals = componentsOf(actual)
    return actuals !== undefined && matchers.every((matches, index) => matches(actuals[index] ?? "", budget))
  }
}

const arn: TestOf = (_, pattern) => {
  const parts = splitAtColons(pattern, 6)
  if (parts === undefined) return pattern.length === 1 && hasWildcards(pattern) ? matcherOf(pattern) : undefined
  return arnMatcherOf(pattern)
}

const NUMBER = /^[+-]?\d+(?:\.\d+)?$/

const parseNumber = (text: string): number | undefined => (NUMBER.test(text) ? Number(text) : undefined)

/** ISO 8601, or seconds since 1970. */
function parseTime(text: string): number | undefined {
  const seconds = parseNumber(text)
  return seconds === undefined ? parseIsoDate(text) : seconds * 1000
}

type Relation = (actual: number, wanted: number) => boolean

const RELATIONS = {
  Equals: (actual, wanted) => actual === wanted,
  LessThan: (actual, wanted) => actual < wanted,
  LessThanEquals: (actual, wanted) => actual <= wanted,
  GreaterThan: (actual, wanted) => actual > wanted,
  GreaterThanEquals: (actual, wanted) => actual >= wanted,
} as const satisfies Record<string, Relation>

const ordered =
  (parse: (text: string) => number | undefined, holds: Relation): TestOf =>
  value => {
    const wanted = parse(value)
    if (wanted === undefined) return undefined
    return actual => {
      const number = parse(actual)
      return number !== undefined && holds(number, wanted)
    }
  }

const TRUTH = /^(?:true|false)$/i

export const parseTruth = (text: string): boolean | undefined =>
  TRUTH.test(text) ? text.toLowerCase() === "true" : undefined

const bool: TestOf = value => {
  const wanted = parseTruth(value)
  return wanted === undefined ? undefined : actual => parseTruth(actual) === wanted
}

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/

const binary: TestOf = value => (BASE64.test(value) ? actual => actual === value : undefined)

const ipAddress: TestOf = value => {
  const range = parseIpRange(value)
  if (range === undefined) return undefined
  return actual => {
    const address = parseIpAddress(actual)
    return address !== undefined && isWithin(address, range)
  }
}

const pair = (
  takes: Operator["takes"],
  testOf: TestOf,
  name: string,
  negatedName: string,
): readonly (readonly [string, Operator])[] => [
  [name, { negated: false, takes, testOf }],
  [negatedName, { negated: true, takes, testOf }],
]

const family = (
  name: string,
  parse: (text: string) => number | undefined,
): readonly (readonly [string, Operator])[] => [
  ...Object.entries(RELATIONS).map(
    ([relation, holds]) =>
      [`${name}${relation}`, { negated: false, takes: "text", testOf: ordered(parse, holds) }] as const,
  ),
  [`${name}NotEquals`, { negated: true, takes: "text", testOf: ordered(parse, RELATIONS.Equals) }],
]

/** `Null` asks whether there is a value at all: its test is never called with one. */
export const NULL = "Null"

export const OPERATORS: ReadonlyMap<string, Operator> = new Map([
  ...pair("variables", equals, "StringEquals", "StringNotEquals"),
  ...pair("variables", equalsIgnoringCase, "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase"),
  ...pair("template", equals, "StringLike", "StringNotLike"),
  ...pair("template", arn, "ArnEquals", "ArnNotEquals"),
  ...pair("template", arn, "ArnLike", "ArnNotLike"),
  ...pair("text", ipAddress, "IpAddress", "NotIpAddress"),
  ...family("Numeric", parseNumber),
  ...family("Date", parseTime),
  ["Bool", { negated: false, takes: "text", testOf: bool }],
  ["BinaryEquals", { negated: false, takes: "text", testOf: binary }],
  [NULL, { negated: false, takes: "text", testOf: bool }],
])
