/** Asking before a change: what it means is shown, and it is made only after a yes. */
import { CliError } from "./exit-codes.js"
import type { CliIo } from "./io.js"
import type { OutputOptions } from "./output.js"

export interface ConfirmOptions extends OutputOptions {
  readonly yes?: boolean
}

/** `text` says what will happen. Throws unless `--yes` was given, or the person at the terminal says so. */
export async function confirm(io: CliIo, options: ConfirmOptions, text: string): Promise<void> {
  if (options.json === true) io.error(options.yes === true ? "" : text)
  else await io.out(text)
  if (options.yes === true) return
  if (!io.inputIsTerminal) throw new CliError("usage", "nothing was changed; add --yes to do what the plan says")
  io.error("Do it? [y/N] ")
  if (!/^y(es)?$/i.test(await firstLine(io.input))) throw new CliError("failed", "nothing was changed")
}

async function firstLine(input: AsyncIterable<Uint8Array>): Promise<string> {
  let text = ""
  for await (const chunk of input) {
    text += Buffer.from(chunk).toString("utf8")
    if (text.includes("\n") || text.length > 100) break
  }
  return (text.split("\n")[0] ?? "").trim()
}
