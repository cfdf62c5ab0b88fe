/** `hayloft explain`: what a code of a log line, an answer or an exit means, and what to do. It needs no store. */
import type { Command } from "commander"
import { allCodes, explain, similarCodes, type Explanation } from "@hayloft/admin/explain/index.js"
import { CliError, EXIT_CODES } from "../exit-codes.js"
import type { CliIo } from "../io.js"
import { withJson } from "../options.js"
import { answerList, type OutputOptions } from "../output.js"
import { printable, tableText } from "../text.js"

interface ExplainOptions extends OutputOptions {
  readonly list?: true
}

export function addExplainCommand(program: Command, io: CliIo): void {
  withJson(program.command("explain"))
    .description(
      "what a code means and what to do: an event of the log, a failure, an error code of an API, an exit code, a status of HTTP",
    )
    .argument("[CODE]", "in upper or lower case, such as certificate_load_failed, SlowDown, corruptRow or 3")
    .option("--list", "list all codes")
    .action((code: string | undefined, options: ExplainOptions) => explainCommand(io, code, options))
}

/** An exit code is a number, and has a name in the errors of `--json`. */
interface Entry extends Omit<Explanation, "type"> {
  readonly type: Explanation["type"] | "exit" | "status"
  readonly name?: string
}

const exit = (name: keyof typeof EXIT_CODES, action: string): Entry => {
  const { code, meaning } = EXIT_CODES[name]
  return { code: String(code), type: "exit", name, summary: meaning, action }
}

const EXITS: readonly Entry[] = [
  exit("ok", "Nothing."),
  exit("failed", "Read the message. If it has a code, explain that one."),
  exit(
    "usage",
    "Correct the command line or the setting that the message names; `hayloft COMMAND --help` lists the options.",
  ),
  exit(
    "notFound",
    "Compare the name with `hayloft bucket list`, `key list` or `account list`; for a store, check the folders of `--data`.",
  ),
  exit(
    "denied",
    "Check which keys the command uses (`hayloft env`, `AWS_ACCESS_KEY_ID`), and that its user may read the folder. For an answer of the store: `hayloft why REQUEST-ID`.",
  ),
  exit(
    "unreachable",
    "See whether the store runs and listens on this address: the service manager and its log say so.",
  ),
  exit("conflict", "Nothing was changed. Remove what is in the way, or stop the process that the message names."),
  exit("interrupted", "Ctrl-C or SIGTERM ended the command before it was done. Run it again if it should be done."),
]

const httpStatus = (code: string, summary: string, action: string): Entry => ({ code, type: "status", summary, action })

const CODE_SAYS_MORE = "The body has an error code that says more: explain that one."
/** Statuses of answers that say that something was not done. */
const STATUSES: readonly Entry[] = [
  httpStatus(
    "301",
    "the bucket is addressed in another region or by another name",
    "Use the region that the answer names.",
  ),
  httpStatus("304", "the object has not changed since the client read it", "Nothing."),
  httpStatus("400", "the request is not valid", CODE_SAYS_MORE),
  httpStatus("401", "the request has no valid credentials", "Sign in, or send a token: `hayloft env --admin`."),
  httpStatus(
    "403",
    "the caller may not do this, or the signature is wrong",
    `${CODE_SAYS_MORE} For AccessDenied: \`hayloft why REQUEST-ID\`.`,
  ),
  httpStatus("404", "the bucket, the object or the path does not exist", CODE_SAYS_MORE),
  httpStatus("405", "what is named does not support this method, or is a delete marker", CODE_SAYS_MORE),
  httpStatus("409", "the state of what is named does not allow this now", CODE_SAYS_MORE),
  httpStatus(
    "411",
    "the request does not declare its length",
    "Send Content-Length, or a chunked body that declares its decoded length.",
  ),
  httpStatus("412", "a condition of the request does not hold", "Read the object again, and decide again."),
  httpStatus("413", "the body is larger than allowed", CODE_SAYS_MORE),
  httpStatus("416", "the range is outside of the object", "Read the size of the object first."),
  httpStatus("429", "the caller has sent too many requests", "Wait as long as Retry-After says, and send fewer."),
  httpStatus(
    "500",
    "the store could not do this",
    "`hayloft status` says what is wrong; the log has the request id with the reason.",
  ),
  httpStatus("501", "the store does not have this feature", "docs/reference/s3-compatibility.md lists what exists."),
  httpStatus("502", "another store answered with an error", CODE_SAYS_MORE),
  httpStatus(
    "503",
    "the store is busy, starts, or cannot write now",
    "Try again after Retry-After. If it lasts, `hayloft status` says why.",
  ),
  httpStatus(
    "507",
    "the store is full",
    "Add a device (`hayloft device add`), or delete objects; `hayloft device list` shows the space.",
  ),
]

const isExit = (code: string, { code: number, name = "" }: Entry): boolean =>
  code === number || code.toLowerCase() === name.toLowerCase()

async function explainCommand(io: CliIo, code: string | undefined, options: ExplainOptions): Promise<void> {
  if (options.list === true) {
    if (code !== undefined) throw new CliError("usage", "--list shows all codes: leave out the code")
    const all = [...allCodes(), ...EXITS, ...STATUSES]
    return answerList(io, options, all, listText(all))
  }
  if (code === undefined) throw new CliError("usage", "name a code, or --list to see all of them")
  const found: readonly Entry[] = [
    ...explain(code),
    ...EXITS.filter(exit => isExit(code, exit)),
    ...STATUSES.filter(status => status.code === code),
  ]
  if (found.length === 0) throw unknownCode(code)
  await answerList(io, options, found, found.map(textOf).join("\n"))
}

function unknownCode(code: string): CliError {
  const similar = similarCodes(code)
  const hint = similar.length === 0 ? "" : `; did you mean ${similar.join(" or ")}?`
  const all = "hayloft explain --list shows all codes"
  return new CliError("notFound", `there is no code ${printable(code).slice(0, 100)}${hint || ";"} ${all}`)
}

const typeText = ({ type, level }: Entry): string => {
  if (type === "log") return `log, ${level ?? ""}`
  if (type === "failure") return "failure"
  if (type === "status") return "HTTP status"
  return type === "exit" ? "exit code" : `${type} error`
}

const listText = (entries: readonly Entry[]): string =>
  tableText(
    ["CODE", "TYPE", "MEANING"],
    entries.map(entry => [entry.code, typeText(entry), entry.summary]),
  )

const COLUMNS = 100
const INDENT = "  "

/** The text in lines of at most COLUMNS characters, unless a word is longer. */
function paragraph(text: string): string {
  const lines: string[] = []
  let line = INDENT
  for (const word of text.split(" ")) {
    if (line !== INDENT && line.length + 1 + word.length > COLUMNS) {
      lines.push(line)
      line = INDENT
    }
    line += line === INDENT ? word : ` ${word}`
  }
  return [...lines, line, ""].join("\n")
}

function seenAs({ codes }: Entry): string {
  if (codes === undefined) return ""
  const shown = Object.entries(codes).map(([api, code]) => `${code} (${api})`)
  return paragraph(`Clients see: ${shown.join(", ")}.`)
}

/** The failures of an error code: their names, as their texts follow; or a line for each below the code's own text. */
function failuresText({ cause, failures = [] }: Entry): string {
  if (failures.length === 0) return ""
  if (cause === undefined) return paragraph(`Stands for: ${failures.map(({ kind }) => kind).join(", ")}.`)
  const rows = failures.map(({ kind, meaning }) => `${INDENT}${INDENT}${kind}: ${meaning}\n`)
  return `${INDENT}It can stand for:\n${rows.join("")}`
}

function textOf(entry: Entry): string {
  const { code, type, summary, cause, action, page } = entry
  const hasSummary = type === "failure" || type === "exit" || type === "status"
  return [
    `${code} (${typeText(entry)})${hasSummary ? `: ${summary}` : ""}\n`,
    cause === undefined ? "" : paragraph(cause),
    action === undefined ? "" : paragraph(`To do: ${action}`),
    page === undefined ? "" : paragraph(`More: docs/${page}`),
    seenAs(entry),
    failuresText(entry),
  ].join("")
}
