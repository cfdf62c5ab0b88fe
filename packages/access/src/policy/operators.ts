/**
 * Condition operators: the values that each accepts, and the test of a request's value.
 *
 * A table with one line for each of AWS's operators; `IfExists` and `ForAnyValue:`/`ForAllValues:` belong to the
 * condition, not to the operator. Values are checked when the policy is saved: a malformed number would never match.
 * Source  "IAM JSON policy elements: Condition operators", IAM User Guide.
 */
import { parseIsoDate } from "@hayloft/base/text/dates.js"
import { STEP } from "./evaluation-budget.js"
import { isWithin, parseIpAddress, parseIpRange } from "./ip-range.js"
import { hasWildcards, literalOf, matcherOf, splitArn, type Matcher, type Pattern } from "./pattern.js"

export interface Operator {
  /** The operator holds if no value matches; `testOf` is the test of the positive operator. */
  readonly negated: boolean
  /** A pattern may contain variables and wildcards; a text is taken literally. */
  readonly valueKind: "pattern" | "variables" | "text"
  /** Returns undefined if the value is malformed for the operator. Called with a pattern that has no variables left. */
  readonly testOf: (value: string, pattern: Pattern) => Matcher | undefined
}

type TestOf = Operator["testOf"]

const equals: TestOf = (_, pattern) => matcherOf(pattern)

const equalsIgnoringCase: TestOf = (_, pattern) => {
  const wanted = literalOf(pattern).toLowerCase()
  return actual => actual.toLowerCase() === wanted
}

/** The cost of splitting and comparing six components. */
const SPLIT = 25 * STEP

/** Returns undefined if there are fewer than six components; the last includes all further colons. */
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

/** Matches component by component: a star does not match a colon, except in the last component. */
export function arnMatcherOf(pattern: Pattern): Matcher | undefined {
  const parts = splitArn(pattern)
  if (parts === undefined) return undefined
  // If no wildcard precedes the last component, the text before it fixes the positions of the colons.
  if (!parts.slice(0, 5).some(hasWildcards)) return matcherOf(pattern)
  const matchers = parts.map(matcherOf)
  return (actual, budget) => {
    budget.spend(SPLIT)
    const actuals = componentsOf(actual)
    return actuals !== undefined && matchers.every((matches, index) => matches(actuals[index] ?? "", budget))
  }
}

const arn: TestOf = (_, pattern) => {
  const parts = splitArn(pattern)
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
  valueKind: Operator["valueKind"],
  testOf: TestOf,
  name: string,
  negatedName: string,
): readonly (readonly [string, Operator])[] => [
  [name, { negated: false, valueKind, testOf }],
  [negatedName, { negated: true, valueKind, testOf }],
]

const family = (
  name: string,
  parse: (text: string) => number | undefined,
): readonly (readonly [string, Operator])[] => [
  ...Object.entries(RELATIONS).map(
    ([relation, holds]) =>
      [`${name}${relation}`, { negated: false, valueKind: "text", testOf: ordered(parse, holds) }] as const,
  ),
  [`${name}NotEquals`, { negated: true, valueKind: "text", testOf: ordered(parse, RELATIONS.Equals) }],
]

/** `Null` tests whether a value exists: its own test is never called. */
export const NULL = "Null"

export const OPERATORS: ReadonlyMap<string, Operator> = new Map([
  ...pair("variables", equals, "StringEquals", "StringNotEquals"),
  ...pair("variables", equalsIgnoringCase, "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase"),
  ...pair("pattern", equals, "StringLike", "StringNotLike"),
  ...pair("pattern", arn, "ArnEquals", "ArnNotEquals"),
  ...pair("pattern", arn, "ArnLike", "ArnNotLike"),
  ...pair("text", ipAddress, "IpAddress", "NotIpAddress"),
  ...family("Numeric", parseNumber),
  ...family("Date", parseTime),
  ["Bool", { negated: false, valueKind: "text", testOf: bool }],
  ["BinaryEquals", { negated: false, valueKind: "text", testOf: binary }],
  [NULL, { negated: false, valueKind: "text", testOf: bool }],
])
