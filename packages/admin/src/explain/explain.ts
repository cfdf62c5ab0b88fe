/**
 * Explains codes: what each log event at warn or above, each failure kind and each error code of an API means, and what to
 * do about it. Pure: texts and a look-up; it needs no store.
 *
 * Promises  Every such log event and every failure kind has a text, and every text has its code
 *           (tests/docs/codes.test.ts). Letter case and punctuation of what is looked up do not matter.
 */
import { FAILURES, type FailureKind } from "@hayloft/base/failures.js"
import type { ExplainedLevel, LogText, Text } from "./contract.js"
import { APIS, ERROR_CODES, type Api, type ErrorCode } from "./error-codes.js"
import { REQUEST_FAILURES } from "./failures-of-requests.js"
import { STORE_FAILURES } from "./failures-of-store.js"
import { DEVICE_EVENTS, PLACE_EVENTS } from "./log-of-devices.js"
import { NODE_EVENTS, SERVICE_EVENTS } from "./log-of-nodes.js"
import { REQUEST_EVENTS } from "./log-of-requests.js"
import { nearest } from "./nearest-core.js"

export const LOG_TEXTS: Readonly<Record<string, LogText>> = {
  ...REQUEST_EVENTS,
  ...SERVICE_EVENTS,
  ...DEVICE_EVENTS,
  ...PLACE_EVENTS,
  ...NODE_EVENTS,
}

export const FAILURE_TEXTS: Readonly<Record<FailureKind, Text>> = { ...REQUEST_FAILURES, ...STORE_FAILURES }

const NEAREST_MAX = 3

interface Meaning {
  readonly kind: FailureKind
  readonly meaning: string
}

export interface Explanation extends Partial<Text> {
  readonly code: string
  readonly type: "log" | "failure" | Api
  /** The level of a log event. */
  readonly level?: ExplainedLevel
  /** One line: what a failure means, or the beginning of the cause. */
  readonly summary: string
  /** The failures that an error code stands for by name; others of their sort may have it too. */
  readonly failures?: readonly Meaning[]
  /** The error codes by which clients see a failure, in the APIs that have one for it. */
  readonly codes?: Readonly<Partial<Record<Api, string>>>
}

const firstSentence = (text: string): string => /^.*?[.:](?= |$)/.exec(text)?.[0].slice(0, -1) ?? text

const ofEvent = (code: string, event: LogText): Explanation => ({
  code,
  type: "log",
  level: event.level,
  summary: firstSentence(event.cause),
  cause: event.cause,
  action: event.action,
  ...(event.page !== undefined && { page: event.page }),
})

/** The first of those that it has in an API, which is the usual one. */
function codeIn(api: Api, kind: FailureKind): string | undefined {
  return ERROR_CODES.find(error => error.api === api && error.kinds.includes(kind))?.code
}

/** Failures of a start reach no client. */
function codesOf(kind: FailureKind): Explanation["codes"] {
  if (FAILURES[kind].remedy === "askOperator" && codeIn("S3", kind) === "InternalError") return undefined
  const codes: Partial<Record<Api, string>> = {}
  for (const api of APIS) {
    const code = codeIn(api, kind)
    if (code !== undefined) codes[api] = code
  }
  return codes
}

function ofFailure(kind: FailureKind): Explanation {
  const codes = codesOf(kind)
  return {
    code: kind,
    type: "failure",
    summary: FAILURES[kind].message,
    ...FAILURE_TEXTS[kind],
    ...(codes !== undefined && { codes }),
  }
}

function ofErrorCode(error: ErrorCode): Explanation {
  const { api, code, kinds, text } = error
  const failures = kinds.map(kind => ({ kind, meaning: FAILURES[kind].message }))
  const summary =
    text === undefined ? kinds.map(kind => FAILURES[kind].message).join("; or ") : firstSentence(text.cause)
  return { code, type: api, summary, ...text, ...(failures.length > 0 && { failures }) }
}

const KINDS = Object.keys(FAILURES).filter((name): name is FailureKind => Object.hasOwn(FAILURES, name))

/** All codes: log events, failures, and the error codes of each API. */
export const allCodes = (): readonly Explanation[] => [
  ...Object.keys(LOG_TEXTS)
    .sort()
    .flatMap(code => (LOG_TEXTS[code] === undefined ? [] : [ofEvent(code, LOG_TEXTS[code])])),
  ...[...KINDS].sort().map(ofFailure),
  ...ERROR_CODES.map(ofErrorCode),
]

/** Letters and digits in lower case: `quota_exceeded` finds `quotaExceeded` and `QuotaExceeded`. */
const plain = (code: string): string => code.toLowerCase().replace(/[^a-z0-9]/g, "")

/**
 * Everything that has this code; empty if nothing has it. An error code without a text of its own is followed by the
 * failures that it stands for.
 */
export function explain(code: string): readonly Explanation[] {
  const wanted = plain(code)
  const found = allCodes().filter(each => plain(each.code) === wanted)
  const behind = ERROR_CODES.filter(each => plain(each.code) === wanted)
    .filter(({ text }) => text === undefined)
    .flatMap(({ kinds }) => kinds)
    .filter(kind => !found.some(each => each.type === "failure" && each.code === kind))
  return [...found, ...[...new Set(behind)].map(ofFailure)]
}

/** The codes that look most like this one, for a message about a code that does not exist. */
export const similarCodes = (code: string): readonly string[] =>
  nearest(plain(code), [...new Set(allCodes().map(each => each.code))], plain, NEAREST_MAX)
