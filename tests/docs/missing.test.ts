/**
 * Tests that everything that documents call missing is missing: compared with the table of S3 operations and with the
 * commands.
 */
import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { test } from "node:test"
import { ROOT } from "../harness/server.js"

const PAGES = ["design/compare.md", "design/references.md", "guide/not-yet.md"]
const textOf = (name: string): string => readFileSync(join(ROOT, "docs", name), "utf8")

/** Operations of S3 with how far they are supported, as docs/reference/s3-compatibility.md has them. */
const OPERATIONS = new Map(
  [...textOf("reference/s3-compatibility.md").matchAll(/^\| (\w+) \| `[^|]*\| [^|]*\| ([^|]+) \|$/gm)].map(
    ([, name = "", support = ""]) => [name, support.trim()] as const,
  ),
)

/** Words that name a command, and other things, too. */
const AMBIGUOUS = new Set(["cluster"])
/** The subjects of commands: `copies` of `hayloft copies list`. Short words say nothing. */
const COMMANDS = new Set(
  [...textOf("reference/cli.md").matchAll(/^### hayloft ([a-z-]{6,}) [a-z-]+$/gm)]
    .map(([, name = ""]) => name)
    .filter(name => !AMBIGUOUS.has(name)),
)

/** Sentences, and cells of tables, that say that something is not there. */
function denialsIn(text: string): readonly string[] {
  return text
    .replace(/\n(?=[^\n|#-])/g, " ")
    .split(/\n|(?<=[.:;])\s/)
    .filter(sentence => /\bmissing are\b|\bdoes not have\b|\bthere is no\b|\bhas no\b|\bno,/i.test(sentence))
}

/** Other words for what a command does. */
const OTHER_WORDS: Readonly<Record<string, string>> = { copies: "replicat(?:e|ion)" }

/** Returns true if the sentence, or a page that it links to, names the command. */
function shows(page: string, sentence: string, command: string): boolean {
  const links = sentence.matchAll(/\]\(([./\w-]+\.md)/g)
  const linked = [...links].map(([, name = ""]) => textOf(join(dirname(page), name)))
  return [sentence, ...linked].some(text => text.includes(`hayloft ${command}`))
}

test("no page denies what a command does, unless it links to what there is", () => {
  assert.ok(COMMANDS.has("copies") && COMMANDS.has("inventory"), "the commands are found")
  for (const page of PAGES) {
    for (const sentence of denialsIn(textOf(page))) {
      const isNamed = (word: string | undefined): boolean =>
        word !== undefined && new RegExp(`\\b${word}\\b`, "i").test(sentence)
      const denied = [...COMMANDS].filter(name => isNamed(name) || isNamed(OTHER_WORDS[name]))
      const unshown = denied.filter(name => !shows(page, sentence, name))
      assert.deepEqual(unshown, [], `docs/${page} denies what hayloft ${unshown.join()} does: ${sentence}`)
    }
  }
})

test("the operations that docs/guide/not-yet.md calls missing are refused", () => {
  assert.ok(OPERATIONS.size > 80, "the operations are found")
  const sentence = denialsIn(textOf("guide/not-yet.md")).find(each => /Missing are, among others/.test(each)) ?? ""
  const after = textOf("guide/not-yet.md").slice(textOf("guide/not-yet.md").indexOf(sentence)).split(/\.\s/)[0] ?? ""
  const named = [...after.matchAll(/`([A-Z]\w+)`/g)].map(([, name = ""]) => name)
  assert.ok(named.length >= 4, after)
  for (const name of named) assert.match(OPERATIONS.get(name) ?? "unknown", /refused by name|not implemented/, name)
})
