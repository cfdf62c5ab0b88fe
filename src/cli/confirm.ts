/**
 * Asking before a change: what it means is shown, and it is made only after a yes, and where it makes the store less
 * safe, only once its name was said too.
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
 * `text` says what will happen. Throws unless `--yes` was given, or the person at the terminal says so; and unless
 * `name`, where there is one, was given with `--confirm`, or is typed.
 */
export async function confirm(io: CliIo, options: ConfirmOptions, text: string, name?: string): Promise<void> {
  const { yes = false, confirm: said } = options
  if (options.json === true) io.error(yes ? "" : text)
  else await io.out(text)
  if (!yes && !io.inputIsTerminal) throw new CliError("usage", `${NOTHING}; add --yes to do what the plan says`)
  const lines = linesOf(io.input)
  try {
    if (!yes) {
      io.error("Do it? [y/N] ")
      if (!/^y(es)?$/i.test(await nextOf(lines))) throw new CliError("failed", NOTHING)
    }
    if (name !== undefined && said !== name) await askName(io, lines, name, said)
  } finally {
    await lines.return(undefined)
  }
}

async function askName(
  io: CliIo,
  lines: AsyncGenerator<string>,
  name: string,
  said: string | undefined,
): Promise<void> {
  if (said !== undefined) throw new CliError("usage", `${NOTHING}; the plan asks for --confirm ${name}, not ${said}`)
  if (!io.inputIsTerminal) {
    throw new CliError("usage", `${NOTHING}; see what the plan says to mind, and add --confirm ${name}`)
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
