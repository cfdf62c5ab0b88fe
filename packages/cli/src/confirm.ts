/**
 * Confirmation: shows the consequences of a change and asks before making it. A change that makes the store less safe
 * also requires its name, and one that makes buckets with object lock less safe requires theirs.
 */
import { LOCKED_FLAG } from "@hayloft/base/locked-names.js"
import { CliError } from "./exit-codes.js"
import type { CliIo } from "./io.js"
import type { OutputOptions } from "./output.js"

export interface ConfirmOptions extends OutputOptions {
  readonly yes?: boolean
  readonly confirm?: string
  /** Names with commas between them. */
  readonly lockedBuckets?: string
}

const NOTHING = "nothing was changed"

/** The names that have to be repeated beside yes. */
interface Repeated {
  readonly name?: string | undefined
  readonly lockedBuckets?: readonly string[] | undefined
}

/** The buckets that `--locked-buckets` names. */
export const namedBuckets = ({ lockedBuckets = "" }: Pick<ConfirmOptions, "lockedBuckets">): readonly string[] =>
  lockedBuckets
    .split(",")
    .map(name => name.trim())
    .filter(name => name !== "")

/**
 * `text` describes the change. Throws unless `--yes` is set or the user agrees at the terminal, and unless the name that
 * is to be repeated is that of `--confirm`, or the user types it; the same for the buckets and `--locked-buckets`.
 * Returns true if the text was shown to a user who answered at the terminal.
 */
export async function confirm(
  io: CliIo,
  options: ConfirmOptions,
  text: string,
  { name, lockedBuckets = [] }: Repeated = {},
): Promise<boolean> {
  const { yes = false, confirm: confirmed } = options
  // A script that asks for JSON gets only that: a dry run prints the plan.
  if (options.json !== true) await io.out(text)
  else if (!yes && io.inputIsTerminal) io.error(text)
  if (!yes && !io.inputIsTerminal) throw new CliError("usage", `${NOTHING}; add --yes to carry out the plan`)
  const named = namedBuckets(options)
  const isNamed = name === undefined || confirmed === name
  const areBucketsNamed = lockedBuckets.every(bucket => named.includes(bucket))
  const lines = linesOf(io.input)
  try {
    if (!yes) {
      io.error("Do it? [y/N] ")
      if (!/^y(es)?$/i.test(await nextOf(lines))) throw new CliError("failed", NOTHING)
    }
    if (!isNamed) await askName(io, lines, ["--confirm", name], confirmed)
    if (!areBucketsNamed) await askName(io, lines, [LOCKED_FLAG, lockedBuckets.join(",")], options.lockedBuckets)
    return !yes || (options.json !== true && !(isNamed && areBucketsNamed))
  } finally {
    await lines.return(undefined)
  }
}

async function askName(
  io: CliIo,
  lines: AsyncGenerator<string>,
  [flag, name]: readonly [flag: string, name: string],
  confirmed: string | undefined,
): Promise<void> {
  if (confirmed !== undefined)
    throw new CliError("usage", `${NOTHING}; the plan requires ${flag} ${name}, not ${confirmed}`)
  if (!io.inputIsTerminal) {
    throw new CliError("usage", `${NOTHING}; read the warnings of the plan, and add ${flag} ${name}`)
  }
  io.error(`Type ${name} to confirm: `)
  if ((await nextOf(lines)) !== name) throw new CliError("failed", NOTHING)
}

const LINE_CHARACTERS_MAX = 8_192

async function* linesOf(input: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  let text = ""
  for await (const chunk of input) {
    text += Buffer.from(chunk).toString("utf8")
    if (text.length > LINE_CHARACTERS_MAX) return
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n")) {
      yield text.slice(0, end).trim()
      text = text.slice(end + 1)
    }
  }
  yield text.trim()
}

async function nextOf(lines: AsyncGenerator<string>): Promise<string> {
  const line = await lines.next()
  return line.done === true ? "" : line.value
}
