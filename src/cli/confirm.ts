/**
 * Confirmation: shows the consequences of a change and asks before making it. A change that makes the store less safe
 * also requires its name.
 */
import { CliError } from "./exit-codes.js"
import type { CliIo } from "./io.js"
import type { OutputOptions } from "./output.js"

export interface ConfirmOptions extends OutputOptions {
  readonly yes?: boolean
  readonly confirm?: string
}

const NOTHING = "nothing was changed"

/**
 * `text` describes the change. Throws unless `--yes` is set or the user agrees at the terminal, and, if there is a
 * `name`, unless `--confirm` contains it or the user types it.
 */
export async function confirm(io: CliIo, options: ConfirmOptions, text: string, name?: string): Promise<void> {
  const { yes = false, confirm: confirmed } = options
  if (options.json === true) io.error(yes ? "" : text)
  else await io.out(text)
  if (!yes && !io.inputIsTerminal) throw new CliError("usage", `${NOTHING}; add --yes to carry out the plan`)
  const lines = linesOf(io.input)
  try {
    if (!yes) {
      io.error("Do it? [y/N] ")
      if (!/^y(es)?$/i.test(await nextOf(lines))) throw new CliError("failed", NOTHING)
    }
    if (name !== undefined && confirmed !== name) await askName(io, lines, name, confirmed)
  } finally {
    await lines.return(undefined)
  }
}

async function askName(
  io: CliIo,
  lines: AsyncGenerator<string>,
  name: string,
  confirmed: string | undefined,
): Promise<void> {
  if (confirmed !== undefined)
    throw new CliError("usage", `${NOTHING}; the plan requires --confirm ${name}, not ${confirmed}`)
  if (!io.inputIsTerminal) {
    throw new CliError("usage", `${NOTHING}; read the warnings of the plan, and add --confirm ${name}`)
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
