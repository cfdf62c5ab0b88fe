/** Documents that commands read: files, and standard input for `-`. */
import { readFile } from "node:fs/promises"
import { resolve } from "node:path"
import { CliError } from "./exit-codes.js"
import type { CliIo } from "./io.js"

const STANDARD_INPUT = "-"

/** Throws a `CliError` that names the file. */
export async function readBytes(io: CliIo, file: string): Promise<Buffer> {
  if (file === STANDARD_INPUT) return inputBytes(io)
  try {
    return await readFile(resolve(io.workingFolder, file))
  } catch {
    throw new CliError("notFound", `cannot read ${file}`)
  }
}

/** Throws a `CliError` that names the file. */
export const readText = async (io: CliIo, file: string): Promise<string> => (await readBytes(io, file)).toString("utf8")

async function inputBytes({ input }: CliIo): Promise<Buffer> {
  const pieces: Uint8Array[] = []
  for await (const piece of input) pieces.push(piece)
  return Buffer.concat(pieces)
}

/** A JSON object or list that stands on the command line itself. */
const INLINE = /^\s*[[{]/

/** `file` may be the document itself: JSON that begins with a brace or bracket. `hint`: where to find out more about a mistake. Throws a `CliError` that names the file. */
export async function readDocument(io: CliIo, file: string, hint = ""): Promise<unknown> {
  const text = INLINE.test(file) ? file : await readText(io, file)
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new CliError("usage", `${nameOf(file)} is not JSON: ${error instanceof Error ? error.message : ""}${hint}`)
  }
}

function nameOf(file: string): string {
  if (INLINE.test(file)) return "the argument"
  return file === STANDARD_INPUT ? "standard input" : file
}
