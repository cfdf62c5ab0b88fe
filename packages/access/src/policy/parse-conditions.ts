/** Parses the `Condition` element: operators, keys and values are all validated. Throws `malformedPolicy`. */
import { conditionKeyOf, isKnownKey } from "./condition-keys.js"
import { valuePattern } from "./conditions.js"
import type { Condition } from "./contract.js"
import { NULL, OPERATORS, type Operator } from "./operators.js"
import type { StatementPlace } from "./parse-elements.js"
import { hasVariables } from "./pattern.js"
import { malformedPolicy, pathOfMember, messagesOf } from "./messages.js"
import { isJsonObject } from "@hayloft/base/json.js"

type ParsedOperator = Pick<Condition, "operator" | "ifExists" | "over"> & { readonly rules: Operator }

const OPERATOR = /^(?:(ForAllValues|ForAnyValue):)?([A-Za-z]+?)(IfExists)?$/

function parseOperator(text: string, where: string): ParsedOperator {
  const [, set, operator = "", ifExists] = OPERATOR.exec(text) ?? []
  const rules = OPERATORS.get(operator)
  const isPlain = set === undefined && ifExists === undefined
  if (rules === undefined || (operator === NULL && !isPlain))
    throw malformedPolicy(`Invalid Condition type : ${text}`, where)
  const over = set === undefined ? undefined : set === "ForAllValues" ? "all" : "any"
  return { operator, ifExists: ifExists !== undefined, over, rules }
}

/** Numbers and booleans may be written without quotes. */
function parseValue(value: unknown, { operator, rules }: ParsedOperator, place: StatementPlace): string {
  const { version, where } = place
  const isText = typeof value === "string" || typeof value === "number" || typeof value === "boolean"
  const text = isText ? String(value) : undefined
  const pattern = text === undefined ? undefined : valuePattern(rules, text, version)
  if (text === undefined || pattern === undefined)
    throw malformedPolicy(`Invalid value in Conditions for ${operator}`, where)
  // The value of a variable is known only when the policy is evaluated.
  if (hasVariables(pattern) || rules.testOf(text, pattern) !== undefined) return text
  const message = operator.endsWith("IpAddress")
    ? "Invalid IP address in Conditions"
    : `Invalid value in Conditions for ${operator}`
  throw malformedPolicy(message, where)
}

function parseCondition(operator: ParsedOperator, keyText: string, value: unknown, place: StatementPlace): Condition {
  const { kind, where } = place
  const key = conditionKeyOf(keyText)
  const isKnown = kind === "resource" ? isKnownKey(key) : /^[^:\s]+:\S/.test(keyText)
  if (!isKnown) throw malformedPolicy(messagesOf(kind).conditionKey, where)
  const items: readonly unknown[] = Array.isArray(value) ? value : [value]
  if (items.length === 0) throw malformedPolicy("A condition needs a value", where)
  const values = items.map((item, index) =>
    parseValue(item, operator, { ...place, where: Array.isArray(value) ? `${where}[${index}]` : where }),
  )
  const { operator: name, ifExists, over } = operator
  return { operator: name, ifExists, over, key, values }
}

export function parseConditions(value: unknown, place: StatementPlace): readonly Condition[] {
  if (value === undefined) return []
  if (!isJsonObject(value)) throw malformedPolicy("Conditions must be an object of operators", place.where)
  return Object.entries(value).flatMap(([operatorText, keys]) => {
    const where = pathOfMember(place.where, operatorText)
    const operator = parseOperator(operatorText, where)
    if (!isJsonObject(keys)) throw malformedPolicy("A condition operator must have an object of keys and values", where)
    return Object.entries(keys).map(([keyText, item]) =>
      parseCondition(operator, keyText, item, { ...place, where: pathOfMember(where, keyText) }),
    )
  })
}
