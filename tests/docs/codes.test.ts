/**
 * Every code has a text, and every text has its code: the events of log lines at warn or above (found in the sources), the
 * kinds of failures, and the error codes of S3, IAM, KMS and SQS. Nothing here is listed by hand a second time.
 */
import assert from "node:assert/strict"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import ts from "typescript"
import { fail, FAILURES, type FailureDetails, type FailureKind } from "@hayloft/base/failures.js"
import { allCodes, APIS, ERROR_CODES, FAILURE_TEXTS, kindsOf, LOG_TEXTS } from "@hayloft/admin/explain/index.js"
import { iamErrorOf } from "@hayloft/protocols/iam/failures.js"
import { kmsErrorOf } from "@hayloft/protocols/kms/failures.js"
import { sqsErrorOf } from "@hayloft/protocols/queue-api/failures.js"
import { s3ErrorOf } from "@hayloft/protocols/s3/failures.js"
import { ROOT } from "../harness/server.js"

const LEVELS = ["warn", "error"] as const
/** Names under which a `Log` is passed. */
const LOGS = new Set(["log", "output"])
/** Other objects with methods of these names: the streams of a command, and a class's own methods. */
const OTHERS = new Set(["io", "this"])
/** A level that is computed is one of both. A request's is `warn` or `info`, by its status. */
const EITHER = "warn or error"
const LEVEL_OF: ReadonlyMap<string, string> = new Map([["request", "warn"]])

const isProduct = (path: string): boolean =>
  path.endsWith(".ts") &&
  !/\.test\.ts$|(^|\/)(sim|suite|faults|[^/]*-(sim|suite)|test-[^/]*|testing[^/]*)\.ts$|(^|\/)simulated\//.test(path)

interface Found {
  /** Each as `level event`. */
  readonly events: Set<string>
  readonly problems: string[]
}

const lastName = (node: ts.Expression): string => {
  if (ts.isIdentifier(node)) return node.text
  if (ts.isPropertyAccessExpression(node)) return node.name.text
  return node.kind === ts.SyntaxKind.ThisKeyword ? "this" : ""
}

/** The events in one file. An event that is not written out where it is logged cannot be found by an operator either. */
function scan(path: string, text: string, { events, problems }: Found): void {
  const add = (level: string, argument: ts.Node | undefined, at: ts.Node): void => {
    if (argument !== undefined && ts.isStringLiteral(argument)) {
      events.add(`${level} ${argument.text}`)
    } else problems.push(`${path}: the event is not a literal: ${at.getText()}`)
  }
  const visit = (node: ts.Node): void => {
    if (ts.isPropertyAccessExpression(node) && LEVELS.some(level => level === node.name.text)) {
      const [receiver, level] = [lastName(node.expression), node.name.text]
      const isCall = ts.isCallExpression(node.parent) && node.parent.expression === node
      if (LOGS.has(receiver) && isCall) add(level, node.parent.arguments[0], node.parent)
      else if (LOGS.has(receiver)) problems.push(`${path}: a method of a log is not called: ${node.parent.getText()}`)
      else if (isCall && !OTHERS.has(receiver)) problems.push(`${path}: is this a log? ${node.parent.getText()}`)
    }
    if (ts.isCallExpression(node) && ts.isElementAccessExpression(node.expression)) {
      const [argument] = node.arguments
      const event = argument !== undefined && ts.isStringLiteral(argument) ? argument.text : ""
      if (LOGS.has(lastName(node.expression.expression))) add(LEVEL_OF.get(event) ?? EITHER, argument, node)
    }
    ts.forEachChild(node, visit)
  }
  visit(ts.createSourceFile(path, text, ts.ScriptTarget.ES2022, true))
}

function scanAll(): Found {
  const found: Found = { events: new Set(), problems: [] }
  for (const name of readdirSync(join(ROOT, "packages"), { recursive: true, encoding: "utf8" }).sort()) {
    const path = `packages/${name}`
    if (isProduct(path)) scan(path, readFileSync(join(ROOT, path), "utf8"), found)
  }
  return found
}

test("every event that is logged at warn or above has a text of its level, and every text has its event", () => {
  const { events, problems } = scanAll()
  assert.deepEqual(problems, [])
  assert.ok(events.size > 60, "the scan finds the events")
  const explained = new Set(Object.entries(LOG_TEXTS).map(([event, { level }]) => `${level} ${event}`))
  const withoutText = [...events].filter(event => !explained.has(event))
  const withoutEvent = [...explained].filter(event => !events.has(event))
  assert.deepEqual({ withoutText, withoutEvent }, { withoutText: [], withoutEvent: [] })
})

test("the scan sees an event wherever it is logged, and refuses what it cannot read", () => {
  const scanned = (text: string): Found => {
    const found: Found = { events: new Set(), problems: [] }
    scan("packages/x/src/x.ts", text, found)
    return found
  }
  const literal = scanned(
    `this.seams.telemetry.log.warn("a_b", {}); output.error("c_d"); io.error("text"); log[level]("e_f")`,
  )
  assert.deepEqual([[...literal.events], literal.problems], [["warn a_b", "error c_d", "warn or error e_f"], []])
  for (const text of [
    "log.warn(name)",
    "log[level](name)",
    "const { trace = log.error } = seams",
    "journal.warn('x')",
    'log.error("x_" + y)',
  ]) {
    assert.equal(scanned(text).problems.length, 1, text)
  }
})

const isKind = (name: string): name is FailureKind => name in FAILURES
const KINDS = Object.keys(FAILURES).filter(isKind)

test("every failure has a text, and every text its failure", () => {
  assert.deepEqual(Object.keys(FAILURE_TEXTS).sort(), [...KINDS].sort())
})

/** Details with which a failure has another code. */
const VARIANTS: readonly (readonly [kind: FailureKind, details: FailureDetails])[] = [
  ...KINDS.map(kind => [kind, {}] as const),
  ["malformedAuthorization", { form: "query" }],
  ["malformedAuthorization", { form: "form" }],
  ["tokenExpired", { identity: "web" }],
  ["accessDenied", { unsigned: true }],
]
function returned(codeOf: (kind: FailureKind, details: FailureDetails) => readonly string[]): Map<string, string[]> {
  const codes = new Map<string, string[]>()
  for (const [kind, details] of VARIANTS) {
    for (const code of new Set(codeOf(kind, details))) {
      const kinds = codes.get(code) ?? []
      if (!kinds.includes(kind)) codes.set(code, [...kinds, kind])
    }
  }
  return codes
}

const RETURNED = {
  S3: returned((kind, details) => [s3ErrorOf(fail(kind, details)).code]),
  IAM: returned((kind, details) => [
    iamErrorOf(fail(kind, details), "iam").code,
    iamErrorOf(fail(kind, details), "sts").code,
  ]),
  KMS: returned((kind, details) => [kmsErrorOf(fail(kind, details)).code]),
  SQS: returned((kind, details) => [sqsErrorOf(fail(kind, details)).code]),
} as const

test("each error code stands for the failures that S3, IAM, STS, KMS and SQS report with it", () => {
  for (const [api, codes] of Object.entries(RETURNED)) {
    const listed = ERROR_CODES.filter(each => each.api === api && kindsOf(each).length > 0)
    const shown = listed.map(each => [each.code, [...kindsOf(each)].sort()] as const)
    assert.deepEqual(
      shown,
      [...codes].map(([code, kinds]) => [code, kinds.sort()] as const).sort(([a], [b]) => (a < b ? -1 : 1)),
      api,
    )
  }
})

/** Codes that no failure stands for, as they are written in the sources. */
const OWN_CODES = [
  { api: "S3", files: ["packages/protocols/src/s3/operations/unset-settings.ts"], pattern: /^ {2}([A-Z]\w+): "/gm },
  { api: "S3", files: ["packages/protocols/src/s3/cross-origin.ts"], pattern: /\bcode: "(\w+)"/g },
  { api: "IAM", files: ["packages/protocols/src/iam/failures.ts"], pattern: /\bcode: "(\w+)"/g },
  { api: "KMS", files: ["packages/protocols/src/kms/failures.ts"], pattern: /^ {2}\| "(\w+)"$/gm },
  { api: "SQS", files: ["packages/protocols/src/queue-api/failures.ts"], pattern: /^ {2}\| "(\w+)"$/gm },
] as const

test("each code that is not a failure's has a text of its own, and there is no other code", () => {
  for (const api of APIS) {
    const written = OWN_CODES.filter(each => each.api === api).flatMap(({ files, pattern }) =>
      files.flatMap(path => {
        const found = [...readFileSync(join(ROOT, path), "utf8").matchAll(pattern)].map(([, code = ""]) => code)
        assert.ok(found.length > 0, `${path} has codes`)
        return found
      }),
    )
    const all = new Set([...written, ...RETURNED[api].keys()])
    const listed = ERROR_CODES.filter(each => each.api === api)
    assert.deepEqual(listed.map(({ code }) => code).sort(), [...all].sort(), api)
    for (const { code, text, kinds } of listed) assert.ok(text !== undefined || kinds.length > 0, code)
  }
})

test("a text says something, in sentences, and names only pages that exist", () => {
  for (const { code, cause, action, summary, page } of allCodes()) {
    for (const text of [cause, action]) {
      if (text === undefined) continue
      assert.match(text, /^[A-Z`].*[.)]$/s, `${code}: ${text}`)
      assert.doesNotMatch(text, /an error (has )?occurred|please/i, code)
    }
    assert.ok(summary.length > 5, code)
    if (page !== undefined) assert.ok(readFileSync(join(ROOT, "docs", page.split("#")[0] ?? "")).length > 0, code)
  }
})
