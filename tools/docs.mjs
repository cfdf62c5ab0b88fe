/**
 * Checks of the documents: links and anchors resolve, files, code and scripts that they name exist, generated
 * tables are current, docs/README.md links to every page, every branded id has a line in the
 * glossary, no page uses a retired word (tools/lint/words.mjs), the program has every `hayloft` command and option.
 *
 *   node tools/docs.mjs           checks
 *   node tools/docs.mjs --write   regenerates tables
 *
 * A fenced block marked ```sh test=NAME needs=TOOL,TOOL must work wherever these tools are installed: `commandsIn`
 * returns these blocks to the test that runs them against a server.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { dirname, join, relative } from "node:path"
import { fileURLToPath } from "node:url"
import { build } from "./build.mjs"
import { GENERATORS, programOfCheckout } from "./docs/generators.mjs"
import { namedCommands, problemOf } from "./docs/hayloft-commands.mjs"
import { retiredIn } from "./lint/words.mjs"
import { anchorsOf, fencedBlocks, linksOf } from "./docs/markdown.mjs"

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))
const SKIPPED = new Set(["node_modules", "dist", "data", ".git", ".cache"])
/** These describe the past, when files may have had other names. */
const HISTORY = /^CHANGELOG\.md$|^docs\/decisions\//
const CONTENTS = "docs/README.md"
const COMMAND = /^sh\s+test=([\w-]+)(?:\s+needs=(\S+))?$/
const GENERATED = /(<!-- generated:([\w-]+) -->\n)([\s\S]*?)(<!-- \/generated -->)/g

/** Paths of all Markdown files, from the root. */
export function documentsIn(root, folder = root) {
  return readdirSync(folder, { withFileTypes: true })
    .filter(entry => !SKIPPED.has(entry.name))
    .flatMap(entry => {
      const path = join(folder, entry.name)
      if (entry.isDirectory()) return documentsIn(root, path)
      return entry.name.endsWith(".md") ? [relative(root, path)] : []
    })
    .sort()
}

const read = (root, path) => readFileSync(join(root, path), "utf8")

/**
 * The tested scripts: `{ name, path, line, needs, script }`, in the order of the documents. Blocks of the same name
 * in a document form one script.
 */
export function commandsIn(root = ROOT) {
  return documentsIn(root).flatMap(path => {
    const commands = new Map()
    for (const { info, text, line } of fencedBlocks(read(root, path))) {
      const [, name, needs = ""] = COMMAND.exec(info) ?? []
      if (name === undefined) continue
      const earlier = commands.get(name) ?? { name, path, line, needs: [], script: "" }
      const all = new Set([...earlier.needs, ...needs.split(",").filter(tool => tool !== "")])
      commands.set(name, { ...earlier, needs: [...all], script: `${earlier.script}${text}\n` })
    }
    return [...commands.values()]
  })
}

function linkProblems(root, path) {
  return linksOf(read(root, path)).flatMap(({ target, line }) => {
    if (/^[a-z][a-z0-9+.-]*:/i.test(target)) return []
    const [file, anchor] = target.split("#")
    const to = file === "" ? path : join(dirname(path), decodeURIComponent(file))
    if (to.startsWith("..") || !existsSync(join(root, to))) return [`${path}:${line}: ${target} does not exist`]
    if (anchor === undefined || !to.endsWith(".md") || anchorsOf(read(root, to)).has(anchor)) return []
    return [`${path}:${line}: ${to} has no heading #${anchor}`]
  })
}

/** Pages of docs/ that its table of contents does not link to. */
function unlistedProblems(root) {
  if (!existsSync(join(root, CONTENTS))) return []
  const listed = new Set(linksOf(read(root, CONTENTS)).map(({ target }) => join("docs", target.split("#")[0])))
  return documentsIn(root)
    .filter(path => path.startsWith("docs/") && path !== CONTENTS && !path.endsWith("/template.md"))
    .filter(path => !listed.has(path))
    .map(path => `${CONTENTS}: ${path} is not listed`)
}

/** Files of the tree and npm scripts named in backticks or in shell blocks must exist. */
function nameProblems(root, path) {
  if (HISTORY.test(path)) return []
  const scripts = JSON.parse(read(root, "package.json")).scripts ?? {}
  const problems = []
  read(root, path)
    .split("\n")
    .forEach((line, index) => {
      for (const [, named] of line.matchAll(
        /`((?:packages|tools|tests|docs|sim|bench|conformance|console|bin|\.ci)\/[\w./-]*)`/g,
      )) {
        if (!existsSync(join(root, named))) problems.push(`${path}:${index + 1}: ${named} does not exist`)
      }
      for (const [, script] of line.matchAll(/\bnpm run ([\w:-]+)/g)) {
        if (!(script in scripts)) problems.push(`${path}:${index + 1}: there is no script "${script}"`)
      }
    })
  return problems
}

/** A file has the names that a document finds in it: "`name` in `packages/file.ts`", "`one`, `other` in `packages/file.ts`". */
function codeProblems(root, path) {
  if (HISTORY.test(path)) return []
  return read(root, path)
    .split("\n")
    .flatMap((line, index) =>
      [...line.matchAll(/((?:`\w+`(?:, )?)+) in `(packages\/[\w./-]+\.ts)`/g)].flatMap(([, names, file]) => {
        const text = existsSync(join(root, file)) ? read(root, file) : ""
        return [...names.matchAll(/\w+/g)]
          .filter(([name]) => text !== "" && !new RegExp(`\\b${name}\\b`).test(text))
          .map(([name]) => `${path}:${index + 1}: ${file} has no ${name}`)
      }),
    )
}

/** Retired words outside code; decisions and the changelog may quote the past. */
function wordProblems(root, path) {
  if (HISTORY.test(path)) return []
  return read(root, path)
    .split("\n")
    .flatMap((line, index) =>
      retiredIn(line.replaceAll(/`[^`]*`/g, "")).map(
        ({ phrase, instead }) => `${path}:${index + 1}: "${phrase}" is a retired word: write "${instead}"`,
      ),
    )
}

function hayloftProblems(root, path, program) {
  if (program === undefined || HISTORY.test(path)) return []
  return namedCommands(read(root, path)).flatMap(({ words, line }) => {
    const problem = problemOf(words, program)
    return problem === undefined ? [] : [`${path}:${line}: ${problem}`]
  })
}

/** The document with its generated tables regenerated. Throws if it names a generator that does not exist. */
export async function regenerate(text, generators = GENERATORS) {
  const made = new Map()
  for (const [, , name] of text.matchAll(GENERATED)) {
    if (!Object.hasOwn(generators, name))
      throw new Error(`there is no generator "${name}" in tools/docs/generators.mjs`)
    made.set(name, await generators[name]())
  }
  return text.replaceAll(GENERATED, (_whole, start, name, _old, end) => `${start}${made.get(name).trim()}\n${end}`)
}

async function generatedProblems(root, path, generators) {
  const text = read(root, path)
  const opened = text.match(/<!-- generated:/g)?.length ?? 0
  if (opened !== [...text.matchAll(GENERATED)].length)
    return [`${path}: a generated table is not closed with <!-- /generated -->`]
  if (opened === 0) return []
  try {
    return (await regenerate(text, generators)) === text
      ? []
      : [`${path}: a generated table is out of date: node tools/docs.mjs --write`]
  } catch (error) {
    return [`${path}: ${error.message}`]
  }
}

function commandProblems(root) {
  const seen = new Set()
  return commandsIn(root).flatMap(({ name, path, line }) => {
    const twice = seen.has(name)
    seen.add(name)
    return twice ? [`${path}:${line}: test=${name} is already used by another document`] : []
  })
}

/** Blocks that look like tested commands but that no test runs. */
function blockProblems(root, path) {
  return fencedBlocks(read(root, path)).flatMap(({ info, line }) =>
    /\btest\b/.test(info) && !COMMAND.test(info) ? [`${path}:${line}: not sh test=NAME needs=TOOL,TOOL: ${info}`] : [],
  )
}

/** Branded ids without a line in the glossary. */
function glossaryProblems(root) {
  if (!existsSync(join(root, "packages/base/src/ids.ts"))) return []
  const glossary = existsSync(join(root, "GLOSSARY.md")) ? read(root, "GLOSSARY.md") : ""
  return [...read(root, "packages/base/src/ids.ts").matchAll(/Brand<\w+, "(\w+)">/g)]
    .filter(([, id]) => !new RegExp(`^\\| \`${id}\` \\|`, "m").test(glossary))
    .map(([, id]) => `GLOSSARY.md: ${id} (packages/base/src/ids.ts) has no line`)
}

/** All problems of the documents below a root, as sentences. `program`: with the commands that documents may name. */
export async function checkDocuments(root = ROOT, generators = GENERATORS, program = undefined) {
  if (root === ROOT) await build()
  const commands = root === ROOT ? await programOfCheckout() : program
  const problems = []
  const documents = documentsIn(root)
  if (documents.length === 0) problems.push("no document was found to check")
  for (const path of documents) {
    problems.push(
      ...linkProblems(root, path),
      ...nameProblems(root, path),
      ...codeProblems(root, path),
      ...blockProblems(root, path),
      ...wordProblems(root, path),
      ...hayloftProblems(root, path, commands),
      ...(await generatedProblems(root, path, generators)),
    )
  }
  return [...problems, ...unlistedProblems(root), ...commandProblems(root), ...glossaryProblems(root)]
}

async function writeGenerated() {
  await build()
  for (const path of documentsIn(ROOT)) {
    const text = read(ROOT, path)
    const renewed = await regenerate(text)
    if (renewed !== text) writeFileSync(join(ROOT, path), renewed)
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (process.argv.includes("--write")) await writeGenerated()
  const problems = await checkDocuments()
  for (const problem of problems) process.stdout.write(`${problem}\n`)
  process.stdout.write(`documents: ${documentsIn(ROOT).length} files, ${problems.length} problems\n`)
  process.exitCode = problems.length > 0 ? 1 : 0
}
