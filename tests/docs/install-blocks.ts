/** The configurations that docs/install.md shows for other programs. */
import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { ROOT } from "../harness/server.js"

/** The one fenced block of docs/install.md that the pattern finds. */
export function installBlock(pattern: RegExp): string {
  const text = readFileSync(join(ROOT, "docs", "install.md"), "utf8")
  const blocks = [...text.matchAll(/^```\w*\n([\s\S]*?)^```$/gm)].map(([, block = ""]) => block)
  const [block, ...others] = blocks.filter(each => pattern.test(each))
  assert.ok(block !== undefined && others.length === 0, `one block of docs/install.md has ${pattern}`)
  return block
}

/** The text with every `from` made `to`; all of them must be there, or the test would try something else. */
export function adapted(text: string, changes: readonly (readonly [from: string, to: string])[]): string {
  for (const [from] of changes) assert.ok(text.includes(from), `"${from}" is in ${text}`)
  return changes.reduce((changed, [from, to]) => changed.replaceAll(from, to), text)
}
