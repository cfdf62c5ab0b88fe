/** Output of commands: text for people, or one JSON value per line for scripts (`--json`). */
import type { CliIo } from "./io.js"

export interface OutputOptions {
  readonly json?: boolean
}

/** Writes `value` as JSON with `--json`, otherwise the text. */
export async function answer(io: CliIo, options: OutputOptions, value: unknown, text: string): Promise<void> {
  await io.out(options.json === true ? `${JSON.stringify(value)}\n` : text)
}

/** Writes each value as a line of JSON with `--json`, otherwise the text. */
export async function answerList(
  io: CliIo,
  options: OutputOptions,
  values: readonly unknown[],
  text: string,
): Promise<void> {
  await io.out(options.json === true ? values.map(value => `${JSON.stringify(value)}\n`).join("") : text)
}
