import assert from "node:assert/strict"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { test } from "node:test"
import { fileURLToPath, pathToFileURL } from "node:url"
import { Command } from "commander"

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "../../..")

type Generators = Readonly<Record<string, () => string | Promise<string>>>

interface Docs {
  checkDocuments(root: string, generators?: Generators, program?: Command): Promise<string[]>
  commandsIn(root: string): { name: string; path: string; line: number; needs: string[]; script: string }[]
  regenerate(text: string, generators: Generators): Promise<string>
}

const docs = (await import(pathToFileURL(join(ROOT, "tools/docs.mjs")).href)) as Docs

async function inTree<Result>(
  files: Readonly<Record<string, string>>,
  use: (root: string) => Result | Promise<Result>,
): Promise<Result> {
  const root = mkdtempSync(join(tmpdir(), "hayloft-docs-"))
  try {
    for (const [path, text] of Object.entries({ "package.json": '{"scripts":{"check":""}}', ...files })) {
      mkdirSync(dirname(join(root, path)), { recursive: true })
      writeFileSync(join(root, path), text)
    }
    return await use(root)
  } finally {
    rmSync(root, { recursive: true })
  }
}

const problemsOf = (files: Readonly<Record<string, string>>, generators: Generators = {}) =>
  inTree(files, root => docs.checkDocuments(root, generators))

test("broken links are reported with their line", async () => {
  const problems = await problemsOf({
    "README.md": "see [a](docs/a.md)\nand [b](docs/gone.md)\nand [c](docs/a.md#no-such)\n[d]: ../outside.md\n",
    "docs/a.md": "# One thing\n[back](../README.md) [here](#one-thing) [web](https://example.com/x)\n",
  })
  assert.deepEqual(problems, [
    "README.md:2: docs/gone.md does not exist",
    "README.md:3: docs/a.md has no heading #no-such",
    "README.md:4: ../outside.md does not exist",
  ])
})

test("commands and options that the program does not have are reported with their line", async () => {
  const program = new Command("hayloft")
  program.command("quota").command("set").option("--bytes <SIZE>")
  program.commands[0]?.command("show")
  program.command("ls")
  const files = {
    "README.md": [
      "`hayloft quota set photos --bytes 1GiB`, `hayloft quota show|set NAME`, `hayloft ls --help`, hayloft gone, `hayloft`",
      "`hayloft quota`, `hayloft quota list`, `./bin/hayloft gone`, `hayloft quota show|hide`, `hayloft ls --long`",
      "```sh",
      'eval "$(hayloft env)" && ./bin/hayloft ls s3://b | grep x',
      "# hayloft is not a command here",
      "```",
      "```text",
      "hayloft: no such thing",
      "```",
    ].join("\n"),
  }
  assert.deepEqual(await inTree(files, root => docs.checkDocuments(root, {}, program)), [
    'README.md:2: there is no command "hayloft quota list"',
    'README.md:2: there is no command "hayloft gone"',
    'README.md:2: there is no command "hayloft quota hide"',
    'README.md:2: "hayloft ls" has no option --long',
    'README.md:4: there is no command "hayloft env"',
  ])
})

test("links in code and comments are not links; anchors follow the headings", async () => {
  const text = [
    "# The `store`: what it does, and why",
    "## Twice",
    "## Twice",
    "[a](#the-store-what-it-does-and-why) [b](#twice-1) `[c](gone.md)` <!-- [d](gone.md) -->",
    "```md",
    "[e](gone.md)",
    "# Not a heading",
    "```",
  ].join("\n")
  assert.deepEqual(await problemsOf({ "README.md": text }), [])
  assert.equal((await problemsOf({ "README.md": `${text}\n[f](#not-a-heading)` })).length, 1)
})

test("files and scripts that a document names must exist, except in history", async () => {
  const text = "run `npm test`, then npm run polish; see `tools/gone.mjs` and `packages/*/src/index.ts`\n"
  assert.deepEqual(await problemsOf({ "CONTRIBUTING.md": text, "CHANGELOG.md": text }), [
    "CONTRIBUTING.md:1: tools/gone.mjs does not exist",
    'CONTRIBUTING.md:1: there is no script "polish"',
  ])
})

test("code that a document finds in a file must be there", async () => {
  const file = "packages/a/src/ink.ts"
  const text = `a pen writes: \`mayWrite\`, \`isDry\` in \`${file}\`, \`may\` in \`${file}\`\n`
  const code = "export const mayWrite = (): boolean => true\n"
  assert.deepEqual(await problemsOf({ "a.md": text, [file]: code }), [
    `a.md:1: ${file} has no isDry`,
    `a.md:1: ${file} has no may`,
  ])
})

test("retired words are reported with the word to use, except in code and history", async () => {
  const text = "chores begin anew\nrun `hayloft chores`; a choreography\n"
  assert.deepEqual(await problemsOf({ "README.md": text, "CHANGELOG.md": text }), [
    'README.md:1: "chore" is a retired word: write "job"',
    'README.md:1: "anew" is a retired word: write "again, or the action itself: rebuilt, restarted"',
  ])
})

test("the table of contents of docs/ links to every page", async () => {
  const pages = { "docs/README.md": "[a](a.md#one)\n", "docs/a.md": "# One\n", "docs/how/b.md": "b\n" }
  assert.deepEqual(await problemsOf(pages), ["docs/README.md: docs/how/b.md is not listed"])
})

test("a tree without documents is reported", async () => {
  assert.match((await problemsOf({})).join(), /found to check/)
})

test("tested shell blocks are returned, grouped by name; others are not", async () => {
  const text =
    "1. do\n\n   ```sh test=put needs=aws\n   aws s3 cp a b\n     indented\n   ```\n\n```sh\nno\n```\n\n" +
    "```sh test=get\nx\n```\n\n```sh test=put needs=aws,python3:boto3\nlast\n```\n"
  await inTree({ "docs/use.md": text }, root => {
    const path = "docs/use.md"
    assert.deepEqual(docs.commandsIn(root), [
      { name: "put", path, line: 3, needs: ["aws", "python3:boto3"], script: "aws s3 cp a b\n  indented\nlast\n" },
      { name: "get", path, line: 12, needs: [], script: "x\n" },
    ])
  })
  const problems = await problemsOf({ "a.md": text, "b.md": text, "c.md": "```bash test=c\n```\n" })
  assert.deepEqual(problems, [
    "c.md:1: not sh test=NAME needs=TOOL,TOOL: bash test=c",
    "b.md:3: test=put is already used by another document",
    "b.md:12: test=get is already used by another document",
  ])
})

test("a generated table that differs from the code is reported, and can be regenerated", async () => {
  const generators = { limits: () => "| new |" }
  const page = (table: string) => `# T\n\n<!-- generated:limits -->\n${table}\n<!-- /generated -->\n\nafter\n`
  assert.match(
    (await problemsOf({ "a.md": page("| old |") }, generators)).join(),
    /a\.md: a generated table is out of date/,
  )
  assert.deepEqual(await problemsOf({ "a.md": page("| new |") }, generators), [])
  assert.equal(await docs.regenerate(page("| old |\n| older |"), generators), page("| new |"))
  assert.match((await problemsOf({ "a.md": page("| new |") }, {})).join(), /there is no generator "limits"/)
  assert.match((await problemsOf({ "a.md": "<!-- generated:limits -->\n" }, generators)).join(), /not closed/)
})

test("every branded id needs its line in the glossary", async () => {
  const ids = 'export type A = Brand<string, "DeviceId">\nexport type B = Brand<number, "Epoch">\n'
  const glossary = "| word | meaning |\n| --- | --- |\n| `Epoch` | a number |\n"
  assert.deepEqual(await problemsOf({ "packages/base/src/ids.ts": ids, "GLOSSARY.md": glossary }), [
    "GLOSSARY.md: DeviceId (packages/base/src/ids.ts) has no line",
  ])
})
