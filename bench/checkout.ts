/** Another checkout of this project, whose build runs beside this one's. */
import { stat } from "node:fs/promises"
import { join, resolve } from "node:path"
import { runProcess } from "@hayloft/cli/testing-process.js"

/** Rebuilds a stale checkout. Returns the absolute path; throws if there is no build tool, or the build fails. */
export async function builtCheckout(folder: string): Promise<string> {
  const checkout = resolve(folder)
  const tool = join(checkout, "tools/build.mjs")
  if ((await stat(tool).catch(() => undefined)) === undefined) {
    throw new Error(`${folder} is not a checkout of Hayloft: it has no tools/build.mjs`)
  }
  const { code, error } = await runProcess(process.execPath, [tool], { workingFolder: checkout })
  if (code !== 0) throw new Error(`building ${folder} failed:\n${error}`)
  return checkout
}
