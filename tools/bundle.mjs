/**
 * Bundle: what a process of the server runs, joined into one file for each of its threads, so that a
 * start reads and compiles three files and not seven hundred.
 *
 *   dist/bundle/hayloft.cjs             the command, with V8's code cache beside it (hayloft.cjs.cache)
 *   dist/bundle/compute-worker.cjs, checkpoint-worker.cjs
 *
 * Each file of dist/src becomes a function that runs once, when it is first asked for, and whose imports
 * are constants; which needs that files import each other in no circle (tools/layers.mjs holds it) and
 * that what they export never changes. Packages in plain JavaScript are taken in, others stay where they
 * are. Paths that a file finds from its own place stay those of dist/src.
 */
import { spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { dirname, join, relative } from "node:path"
import { fileURLToPath } from "node:url"

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))
const DIST = join(ROOT, "dist")
const COMMAND = "hayloft.cjs"
const COMMAND_FILE = join(DIST, "bundle", COMMAND)
/** Bundles, by where their thread begins; the command last, since having it is having them all. */
const ENTRIES = new Map([
  ["main/compute-worker.js", "compute-worker.cjs"],
  ["main/checkpoint-worker.js", "checkpoint-worker.cjs"],
  ["main/cli/main.js", COMMAND],
])
const CACHE_MS_MAX = 30_000
const PLAIN_PACKAGES = ["commander", "hash-wasm", "sorted-btree", "zod"]

const PRELUDE = `"use strict";
const $path = require("node:path"), $url = require("node:url");
const $placeOf = path => $url.pathToFileURL($path.join(__dirname, "..", path)).href;
const $once = make => { let made; return () => (made ??= make()); };
const $package = make => { let module; return () => {
  if (module === undefined) { module = { exports: {} }; make(module.exports, module); }
  return module.exports;
}; };
`

const require = createRequire(import.meta.url)

/** What has been joined: of each file its name in all bundles, its text, and what it imports. */
class Parts {
  parts = new Map()

  constructor(ts, dist, entries) {
    this.ts = ts
    this.dist = dist
    this.source = join(dist, "src")
    this.entries = entries
  }

  /** The name of the function that gives a file's exports. */
  nameOf(path) {
    const known = this.parts.get(path)
    if (known !== undefined) return known.name
    const part = { name: `$${this.parts.size}`, text: "", imports: new Set() }
    this.parts.set(path, part)
    part.text = path.startsWith(this.source) ? this.sourceText(path) : this.packageText(path)
    return part.name
  }

  /** The bundle that begins with this file; what is imported stands before whoever imports it. */
  bundleOf(entry) {
    const begin = this.nameOf(entry)
    const seen = new Set()
    const lines = []
    const visit = path => {
      if (seen.has(path)) return
      seen.add(path)
      const { name, text, imports } = this.parts.get(path)
      for (const each of imports) visit(each)
      lines.push(`// ${relative(dirname(this.dist), path)}\nconst ${name} = ${text};`)
    }
    visit(entry)
    return `${PRELUDE}${lines.join("\n")}\n${begin}();\n`
  }

  importedFile(path, from) {
    this.parts.get(from).imports.add(path)
    return `${this.nameOf(path)}()`
  }

  /** What stands for an import of `specifier` by the file. */
  imported(specifier, from) {
    if (specifier.startsWith(".")) return this.importedFile(join(dirname(from), specifier), from)
    if (!PLAIN_PACKAGES.includes(specifier)) return `require(${JSON.stringify(specifier)})`
    return this.importedFile(require.resolve(specifier), from)
  }

  sourceText(path) {
    const { ts } = this
    const text = readFileSync(path, "utf8").replace(/^\/\/# sourceMappingURL=.*$/m, "")
    const file = ts.createSourceFile(path, text, ts.ScriptTarget.ES2022)
    const edits = []
    const exported = []
    const edit = (node, instead) => edits.push({ start: node.getStart(file), end: node.end, instead })
    for (const statement of file.statements) this.joinStatement(statement, path, file, edit, exported)
    this.editExpressions(file, path, text, edit)
    edits.sort((a, b) => b.start - a.start)
    const body = edits.reduce((all, { start, end, instead }) => all.slice(0, start) + instead + all.slice(end), text)
    return `$once(() => {\n${body.trim()}\nreturn { ${exported.join(", ")} };\n})`
  }

  joinStatement(statement, path, file, edit, exported) {
    const { ts } = this
    if (ts.isImportDeclaration(statement)) {
      edit(statement, this.importText(statement, path))
    } else if (ts.isExportDeclaration(statement)) {
      this.joinExports(statement, path, edit, exported)
    } else if (ts.isExportAssignment(statement)) {
      throw new Error(`${path}: default exports are not joined`)
    } else {
      const word = statement.modifiers?.find(each => each.kind === ts.SyntaxKind.ExportKeyword)
      if (word === undefined) return
      edit(word, "")
      if (!ts.isVariableStatement(statement)) exported.push(statement.name.text)
      else exported.push(...statement.declarationList.declarations.map(each => each.name.getText(file)))
    }
  }

  importText({ importClause, moduleSpecifier }, path) {
    const { ts } = this
    const module = this.imported(moduleSpecifier.text, path)
    if (importClause === undefined) return `${module};`
    const { name, namedBindings } = importClause
    if (name !== undefined) return `const ${name.text} = ${module};`
    if (ts.isNamespaceImport(namedBindings)) return `const ${namedBindings.name.text} = ${module};`
    const names = namedBindings.elements.map(({ propertyName, name }) =>
      propertyName === undefined ? name.text : `${propertyName.text}: ${name.text}`,
    )
    return `const { ${names.join(", ")} } = ${module};`
  }

  joinExports(statement, path, edit, exported) {
    const { exportClause, moduleSpecifier } = statement
    const module = moduleSpecifier && this.imported(moduleSpecifier.text, path)
    edit(statement, module === undefined ? "" : `${module};`)
    if (exportClause === undefined) exported.push(`...${module}`)
    else if (exportClause.elements === undefined) exported.push(`${exportClause.name.text}: ${module}`)
    else {
      for (const { propertyName, name } of exportClause.elements) {
        const inside = (propertyName ?? name).text
        exported.push(`${name.text}: ${module === undefined ? inside : `${module}.${inside}`}`)
      }
    }
  }

  /** `import(…)` of a file, its own address, and the entries of threads. */
  editExpressions(file, path, text, edit) {
    if (!/import(\.meta|\()/.test(text)) return
    const { ts } = this
    const own = JSON.stringify(relative(this.dist, path))
    const visit = node => {
      const [first] = ts.isNewExpression(node) ? (node.arguments ?? []) : []
      const entry =
        first && ts.isStringLiteral(first) && this.entries.get(join(relative(this.source, dirname(path)), first.text))
      if (entry && node.getText(file).includes("import.meta.url")) {
        return edit(node, `new URL($placeOf(${JSON.stringify(`bundle/${entry}`)}))`)
      }
      if (ts.isMetaProperty(node)) edit(node.parent, `$placeOf(${own})`)
      if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
        edit(node, `Promise.resolve().then(() => ${this.imported(node.arguments[0].text, path)})`)
      }
      ts.forEachChild(node, visit)
    }
    setParents(ts, file)
    visit(file)
  }

  packageText(path) {
    const text = readFileSync(path, "utf8").replace(/^\/\/# sourceMappingURL=.*$/gm, "")
    const inside = createRequire(path)
    const body = text.replace(/\brequire\((["'])([^"']+)\1\)/g, (_whole, _quote, specifier) =>
      specifier.startsWith(".")
        ? this.importedFile(inside.resolve(specifier), path)
        : `require(${JSON.stringify(specifier)})`,
    )
    return `$package(function (exports, module) {\n${body}\n})`
  }
}

function setParents(ts, node) {
  ts.forEachChild(node, child => {
    child.parent = node
    setParents(ts, child)
  })
}

/** In ASCII, so that V8 keeps a byte for each character of it. */
const inAscii = text =>
  text.replace(/[^\0-\x7f]/g, character => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`)

function write(path, data) {
  mkdirSync(dirname(path), { recursive: true })
  const temporary = `${path}.${process.pid}.tmp`
  writeFileSync(temporary, data)
  renameSync(temporary, path)
}

/** Joins what is below `dist/src` into `dist/bundle`, a file for each entry. */
export async function joinFiles(dist, entries) {
  const { default: ts } = await import("typescript")
  const parts = new Parts(ts, dist, entries)
  for (const [entry, name] of entries) {
    const text = inAscii(parts.bundleOf(join(dist, "src", entry)))
    const mark = createHash("sha256").update(text).digest("hex")
    write(join(dist, "bundle", name), `// ${mark}\n${text}`)
  }
}

/** Whether there is one, made by this file, of the packages that are installed. */
export const hasBundle = () =>
  existsSync(COMMAND_FILE) &&
  [fileURLToPath(import.meta.url), join(ROOT, "package-lock.json")].every(
    path => statSync(path).mtimeMs < statSync(COMMAND_FILE).mtimeMs,
  )

/** A start without a bundle takes the files of dist/src. */
export const removeBundle = () => rmSync(COMMAND_FILE, { force: true })

/** Makes the bundles, and the code cache by starting a store once; without a cache a start takes longer. */
export async function makeBundle() {
  await joinFiles(DIST, ENTRIES)
  const folder = mkdtempSync(join(tmpdir(), "hayloft-cache-"))
  const args = [join(ROOT, "tools", "code-cache.cjs"), COMMAND_FILE, folder]
  spawnSync(process.execPath, args, { stdio: ["ignore", "ignore", 2], timeout: CACHE_MS_MAX, killSignal: "SIGKILL" })
  rmSync(folder, { recursive: true, force: true })
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await makeBundle()
