/**
 * Validation: all problems of a policy document at once, each with its place, where the parser stops at the first. Pure.
 *
 * Promises  A document without an error is one that `parseAccessPolicy` accepts, and the reverse. Warnings are of what is
 *           accepted and has no effect: actions that do not exist, statements that match nothing.
 * Limits    The sizes of `parseAccessPolicy`, before anything else.
 */
import { isFailure } from "@hayloft/base/failures.js"
import { actionMatcherOf } from "./compile.js"
import { conditionKeyOf, isKnownKey } from "./condition-keys.js"
import type { AccessPolicyKind, PolicyLanguageVersion, PolicyStatement } from "./contract.js"
import {
  DOCUMENT_ELEMENTS,
  parseAccessPolicy,
  parseEffect,
  parseSid,
  parseVersion,
  STATEMENT_ELEMENTS,
} from "./parse-access-policy.js"
import { pathOfMember } from "./messages.js"
import { hintOf } from "./nearest-action.js"
import { parseConditions } from "./parse-conditions.js"
import { parseActions, parsePrincipals, parseResources, type StatementPlace } from "./parse-elements.js"
import { duplicateMemberIn, placesIn } from "./read-json.js"
import { isJsonObject, type JsonObject } from "@hayloft/base/json.js"

interface PolicyProblem {
  readonly severity: "error" | "warning"
  readonly message: string
  /** A path into the document. */
  readonly where: string
  /** From 1. */
  readonly line: number
}

type ActionScope = "service" | "bucket" | "object"

/** Every action of this store: `s3:GetObject`; the scope of those of S3. */
export type KnownActions = ReadonlyMap<string, ActionScope | undefined>

type Found = Omit<PolicyProblem, "line">

/** `parse`: what finally decides whether the document is accepted. */
export function problemsOf(
  text: string,
  kind: AccessPolicyKind,
  actions: KnownActions,
  parse: (text: string) => unknown = document => parseAccessPolicy(document, kind),
): readonly PolicyProblem[] {
  const document = jsonIn(text)
  if ("line" in document) return [document]
  const found: Found[] = []
  const note = (run: () => unknown): boolean => {
    const failed = failureOf(run)
    if (failed !== undefined && !found.some(({ where }) => where === failed.where)) found.push(failed)
    return failed === undefined
  }
  const twice = duplicateMemberIn(text)
  if (twice !== undefined) {
    const message = `The policy has a member twice: ${twice.name}`
    found.push({ severity: "error", message, where: twice.where })
  }
  if (isJsonObject(document.value)) checkDocument(document.value, kind, found, note)
  const hasError = () => found.some(({ severity }) => severity === "error")
  if (!hasError()) note(() => parse(text))
  if (!hasError()) found.push(...warningsOf(parseAccessPolicy(text, kind), actions))
  const isNamed = hasError() && isJsonObject(document.value)
  const all = isNamed ? withWrongNames(document.value, actions, found) : found
  const lineOf = linesOf(text)
  return all.map(problem => ({ ...problem, line: lineOf(problem.where) }))
}

/** Returns what the parser refuses. */
function failureOf(run: () => unknown): Found | undefined {
  try {
    run()
    return undefined
  } catch (error) {
    if (!isFailure(error, "malformedPolicy")) throw error
    const { message, where } = error.details
    return { severity: "error", message: String(message), where: String(where ?? "$") }
  }
}

const POSITION = /position (\d+)/

function jsonIn(text: string): { readonly value: unknown } | PolicyProblem {
  try {
    return { value: JSON.parse(text) }
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    const [, position] = POSITION.exec(message) ?? []
    const line = position === undefined ? text.split("\n").length : lineAt(text, Number(position))
    return { severity: "error", message: `this is not JSON: ${message.split("\n")[0] ?? ""}`, where: "$", line }
  }
}

const lineAt = (text: string, offset: number): number => text.slice(0, offset).split("\n").length

/** The line of a path, or of the nearest thing above it that the document has. */
function linesOf(text: string): (where: string) => number {
  const places = placesIn(text)
  return where => {
    for (let path = where; path !== ""; path = path.replace(/(?:\.\w+|\[(?:\d+|"(?:[^"\\]|\\.)*")\]|\$)$/, "")) {
      const offset = places.get(path)
      if (offset !== undefined) return lineAt(text, offset)
      if (!/[.[\]]/.test(path)) return 1
    }
    return 1
  }
}

type Note = (run: () => unknown) => boolean

function unknownMembers(value: JsonObject, known: ReadonlySet<string>, where: string): readonly Found[] {
  const names = Object.keys(value).filter(name => !known.has(name))
  return names.map(name => ({ severity: "error", message: `Unknown field ${name}`, where: pathOfMember(where, name) }))
}

function checkDocument(document: JsonObject, kind: AccessPolicyKind, found: Found[], note: Note): void {
  found.push(...unknownMembers(document, DOCUMENT_ELEMENTS, "$"))
  let version: PolicyLanguageVersion = "2012-10-17"
  note(() => (version = parseVersion(document["Version"])))
  const statements: unknown = document["Statement"]
  const isList = Array.isArray(statements)
  const items: readonly unknown[] = isList ? statements : [statements]
  items.forEach((item, i) => {
    const where = isList ? `$.Statement[${i}]` : "$.Statement"
    if (isJsonObject(item)) checkStatement(item, { kind, version, where }, found, note)
  })
}

/** Lists are checked item by item, conditions key by key. */
function checkStatement(statement: JsonObject, place: StatementPlace, found: Found[], note: Note): void {
  const { where } = place
  found.push(...unknownMembers(statement, STATEMENT_ELEMENTS, where))
  note(() => parseSid(statement["Sid"], place))
  let effect: PolicyStatement["effect"] = "Allow"
  note(() => (effect = parseEffect(statement["Effect"], place)))
  note(() => parsePrincipals(statement, effect, place))
  for (const [name, parse] of [["Action", parseActions] as const, ["Resource", parseResources] as const]) {
    if (note(() => parse(statement, place))) continue
    for (const element of [name, `Not${name}`]) {
      const items: unknown = statement[element]
      if (!Array.isArray(items)) continue
      items.forEach((item: unknown, i) => {
        const failed = failureOf(() => parse({ [element]: item }, place))
        if (failed === undefined) return
        const at = `${pathOfMember(where, element)}[${i}]`
        if (!found.some(known => known.where === at)) found.push({ ...failed, where: at })
      })
    }
  }
  const conditions = statement["Condition"]
  const inside = { ...place, where: pathOfMember(where, "Condition") }
  if (note(() => parseConditions(conditions, inside)) || !isJsonObject(conditions)) return
  for (const [operator, keys] of Object.entries(conditions)) {
    if (!isJsonObject(keys)) continue
    for (const [key, value] of Object.entries(keys))
      note(() => parseConditions({ [operator]: { [key]: value } }, inside))
  }
}

/** Names of actions that are wrong, also beside the errors of a document that cannot be parsed; with what is probably meant. */
function withWrongNames(document: JsonObject, known: KnownActions, found: readonly Found[]): readonly Found[] {
  const names = actionNamesIn(document)
  const hinted = found.map(problem => {
    const name = names.find(({ where }) => where === problem.where)?.name
    return name?.includes(":") === false
      ? { ...problem, message: problem.message + hintOf(name, known.keys()) }
      : problem
  })
  const wrong = names.filter(({ name, where }) => {
    const isNamed = found.some(problem => problem.where === where || problem.message.includes(`${name} is no action`))
    return /^[A-Za-z0-9-]+:[A-Za-z0-9]+$/.test(name) && !isNamed && !hasAction(known, name)
  })
  return [
    ...hinted,
    ...wrong.map(({ name, where }) => ({ severity: "warning" as const, message: noAction(name, known), where })),
  ]
}

const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [value])

/** The names of actions in a document, each with its path. */
function actionNamesIn(document: JsonObject): readonly { readonly name: string; readonly where: string }[] {
  const statements: unknown = document["Statement"]
  return listOf(statements).flatMap((statement, i) => {
    if (!isJsonObject(statement)) return []
    const at = Array.isArray(statements) ? `$.Statement[${i}]` : "$.Statement"
    return ["Action", "NotAction"].flatMap(element => {
      const names: unknown = statement[element]
      const place = pathOfMember(at, element)
      return listOf(names).flatMap((name, j) =>
        typeof name === "string" ? [{ name, where: Array.isArray(names) ? `${place}[${j}]` : place }] : [],
      )
    })
  })
}

const hasAction = (known: KnownActions, name: string): boolean =>
  [...known.keys()].some(each => each.toLowerCase() === name.toLowerCase())

// Warnings.

const RESOURCE_EXAMPLES = {
  object: "an object: arn:aws:s3:::BUCKET/KEY",
  bucket: "a bucket: arn:aws:s3:::BUCKET",
  service: "no bucket: *",
} as const

function warningsOf({ kind, version, statements }: ReturnType<typeof parseAccessPolicy>, known: KnownActions) {
  const found: Found[] = []
  const isSingle = statements.length === 1
  for (const statement of statements) {
    const where = isSingle ? undefined : `$.Statement[${statement.index}]`
    found.push(...actionWarnings(statement, where ?? "$.Statement[0]", known))
    found.push(...conditionWarnings(statement, where ?? "$.Statement[0]", kind, version))
  }
  return found
}

const noAction = (pattern: string, known: KnownActions): string =>
  `${pattern} is no action${hintOf(pattern, known.keys())}`

function actionWarnings({ actions, resources }: PolicyStatement, where: string, known: KnownActions): readonly Found[] {
  const services = new Set([...known.keys()].map(name => name.slice(0, name.indexOf(":"))))
  const scopes =
    resources === undefined || resources.negated ? undefined : new Set(resources.patterns.flatMap(scopesOf))
  const element = pathOfMember(where, actions.negated ? "NotAction" : "Action")
  return actions.patterns.flatMap((pattern, i): Found[] => {
    if (pattern === "*") return []
    const warn = (message: string): Found[] => [{ severity: "warning", message, where: `${element}[${i}]` }]
    const [service = ""] = pattern.toLowerCase().split(":")
    if (!services.has(service) && !/[*?]/.test(service)) return warn(`this store has no service ${service}`)
    const matches = actionMatcherOf({ negated: false, patterns: [pattern] })
    const named = [...known].filter(([name]) => matches(name))
    if (named.length === 0) return warn(noAction(pattern, known))
    if (scopes === undefined || actions.negated) return []
    const wanted = named.map(([, scope]) => scope)
    const canApply = wanted.some(scope => (scope === undefined ? scopes.has("other") : scopes.has(scope)))
    if (canApply) return []
    const [scope] = wanted
    const acts = scope === undefined ? "a resource of its own service" : RESOURCE_EXAMPLES[scope]
    return warn(`never matches: ${pattern} acts on ${acts}, and no resource of the statement is one`)
  })
}

/** The kinds of target that a resource can match. */
function scopesOf(resource: string): readonly (ActionScope | "other")[] {
  if (/^\*+$/.test(resource)) return ["service", "bucket", "object", "other"]
  const [, service = "", rest = ""] = /^arn:[^:]*:([^:]*):[^:]*:[^:]*:(.*)$/s.exec(resource) ?? []
  if (service !== "s3") return ["other"]
  if (rest.includes("/")) return ["object"]
  if (/^\*+$/.test(rest)) return ["service", "bucket", "object"]
  return /[*?]|\$\{/.test(rest) ? ["bucket", "object"] : ["bucket"]
}

function conditionWarnings(
  { conditions, resources }: PolicyStatement,
  where: string,
  kind: AccessPolicyKind,
  version: PolicyLanguageVersion,
): readonly Found[] {
  const found: Found[] = []
  const inside = pathOfMember(where, "Condition")
  for (const { key } of conditions) {
    const name = key.suffix === undefined ? key.name : `${key.name}/${key.suffix}`
    const isOurs = /^(?:aws|s3):/.test(key.name)
    if (isOurs && !isKnownKey(conditionKeyOf(name))) {
      found.push({ severity: "warning", message: `no request has the condition key ${name}`, where: inside })
    }
  }
  const variable = version === "2008-10-17" && resources?.patterns.some(pattern => pattern.includes("${"))
  if (variable === true && kind !== "trust") {
    const message = `variables such as \${aws:username} need "Version": "2012-10-17"; here they are plain text`
    found.push({ severity: "warning", message, where: "$" })
  }
  return found
}
