/**
 * Secrets in files, as orchestrators mount them: `VARIABLE_FILE` names a file with the value of VARIABLE.
 *
 * Promises  Only the commands that run a store read these files: others may run as a user who must not.
 * Refuses   a variable that is set beside its file, and a file that cannot be read or is empty. No message has a value.
 */
import { readFile } from "node:fs/promises"
import { resolve } from "node:path"
import { fail } from "@hayloft/base/failures.js"
import { KIB } from "@hayloft/base/limits.js"
import { mapBounded } from "@hayloft/base/life/index.js"
import { fileVariableOf, type Environment } from "@hayloft/node/config/index.js"

const SECRET_FILE_BYTES_MAX = 64 * KIB

/**
 * Returns the environment with the value of each of these variables that is in a file. Relative paths begin in `folder`.
 * Throws `invalidConfig`.
 */
export async function withSecretFiles(
  environment: Environment,
  variables: readonly string[],
  folder: string,
): Promise<Environment> {
  const read = await mapBounded(variables, variables.length, async variable => {
    const path = environment[fileVariableOf(variable)]
    if (path === undefined || path === "") return []
    if (environment[variable]) {
      const message = `${variable} and ${fileVariableOf(variable)} are both set: remove one of them`
      throw fail("invalidConfig", { message })
    }
    const text = await textOfVariableFile(resolve(folder, path), fileVariableOf(variable))
    return [[variable, text.replace(/\r?\n$/, "")] as const]
  })
  return { ...environment, ...Object.fromEntries(read.flat()) }
}

/** The text of a file that a variable names. Throws `invalidConfig` if it cannot be read, is empty or too long. */
export async function textOfVariableFile(path: string, variable: string): Promise<string> {
  const refuse = (reason: string): never => {
    throw fail("invalidConfig", { message: `${variable}: the file ${path} ${reason}` })
  }
  const bytes = await readFile(path).catch((error: unknown) => {
    const code = error instanceof Error && "code" in error ? String(error.code) : "unreadable"
    return refuse(`cannot be read (${code})`)
  })
  if (bytes.length > SECRET_FILE_BYTES_MAX) refuse(`has more than ${SECRET_FILE_BYTES_MAX / KIB} KiB`)
  const text = bytes.toString("utf8")
  if (text.trim() === "") refuse("is empty")
  return text
}
