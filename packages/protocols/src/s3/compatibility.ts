/**
 * The S3 compatibility tables as Markdown, generated from the tables that decide it, so that the document cannot
 * contradict them.
 */
import { HEADER_ROWS } from "./headers.js"
import type { HeaderAnswer } from "./headers.js"
import { OPERATIONS } from "./operations.js"
import type { S3Operation } from "./operations.js"
import { S3_FAILURES } from "./failures.js"

const cells = (...texts: readonly string[]): string =>
  `| ${texts.map(text => text.replaceAll("|", "\\|")).join(" | ")} |`

const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [cells(...head), cells(...head.map(() => "---")), ...rows.map(row => cells(...row))].join("\n")

const PLACES = { service: "/", bucket: "/bucket", object: "/bucket/key" } as const
const STANDINGS = {
  built: "supported",
  unset: "answered as never set",
  refused: "refused by name (501)",
  alias: "",
} as const

/** `PUT /bucket/key?partNumber&uploadId`. */
function requestOf({ method, resource, when, header }: S3Operation): string {
  const query = when.length === 0 ? "" : `?${when.join("&")}`
  return `\`${method} ${PLACES[resource]}${query}\`${header === undefined ? "" : ` with \`${header}\``}`
}

function standingOf(operation: S3Operation): string {
  const { answer, standing } = operation
  if (answer.kind === "preflight")
    return `supported; without a rule that allows it ${S3_FAILURES.accessForbidden.status}`
  if (answer.kind !== "alias") return STANDINGS[standing]
  const target = OPERATIONS.find(({ name }) => name === answer.of)
  return `as ${answer.of}: ${target === undefined ? "" : STANDINGS[target.standing]}`
}

/** The actions that a plain request requires. */
function rightsOf({ requiredActions, name }: S3Operation): string {
  if (requiredActions === "included") return "those of its operations"
  if (requiredActions === "eachKey") return `as ${name.slice(0, -1)}, for each key`
  if (requiredActions.length === 0) return "none"
  return requiredActions
    .filter(({ when, appliesTo }) => when === undefined && appliesTo === undefined)
    .map(({ action, ofVersion }) => `\`s3:${action}\`${ofVersion === undefined ? "" : ` (\`s3:${ofVersion}\`)`}`)
    .join(", ")
}

function answerOf(answer: HeaderAnswer): string {
  switch (answer.kind) {
    case "used":
      return "supported"
    case "noise":
      return `accepted, without effect (${answer.why})`
    case "values": {
      const { code, status } = S3_FAILURES[answer.otherwise]
      return `${answer.values.map(value => `\`${value}\``).join(", ")}; others: ${status} \`${code}\``
    }
    case "refused": {
      const { code, status } = S3_FAILURES[answer.failure]
      return `refused: ${status} \`${code}\``
    }
  }
}

/** Two tables: operations, and `x-amz-*` request headers. */
export function compatibilityTables(): { readonly operations: string; readonly headers: string } {
  const operations = [...OPERATIONS].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0))
  return {
    operations: table(
      ["operation", "request", "rights", "answer"],
      operations.map(operation => [operation.name, requestOf(operation), rightsOf(operation), standingOf(operation)]),
    ),
    headers: table(
      ["header", "answer"],
      HEADER_ROWS.map(({ name, answer }) => [`\`${name}\``, answerOf(answer)]),
    ),
  }
}
