/** Text with colours, for terminals only. */
import type { CliIo } from "./io.js"

const CODES = { red: 31, green: 32, yellow: 33, dim: 2, bold: 1, inverse: 7 } as const

export type Paint = (style: keyof typeof CODES, text: string) => string

/** Leaves text as it is unless standard output is a terminal, and NO_COLOR (no-color.org) is not set. */
export const paintOf = ({ outIsTerminal, environment }: Pick<CliIo, "outIsTerminal" | "environment">): Paint =>
  outIsTerminal && !environment["NO_COLOR"] ? (style, text) => `\x1b[${CODES[style]}m${text}\x1b[0m` : (_, text) => text
