/** The configurations that docs/guide/install.md shows for other programs. */
import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { ROOT } from "../harness/server.js"

/** Returns the only fenced block of docs/guide/install.md that matches the pattern. */
export function installBlock(pattern: RegExp): string {
  const text = readFileSync(join(ROOT, "docs", "guide/install.md"), "utf8")
  const blocks = [...text.matchAll(/^```\w*\n([\s\S]*?)^```$/gm)].map(([, block = ""]) => block)
  const [block, ...others] = blocks.filter(each => pattern.test(each))
  assert.ok(
    block !== undefined && others.length === 0,
    `not exactly one block of docs/guide/install.md matches ${pattern}`,
  )
  return block
}

/**
 * Returns the text with every `from` replaced by `to`; each must occur, or the test would use another configuration.
 */
export function adapted(text: string, changes: readonly (readonly [from: string, to: string])[]): string {
  for (const [from] of changes) assert.ok(text.includes(from), `"${from}" does not occur in ${text}`)
  return changes.reduce((changed, [from, to]) => changed.replaceAll(from, to), text)
}
