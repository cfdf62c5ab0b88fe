/**
 * Unused exports: a name that a file of packages/ exports and no other file imports, including tests and tools. It makes
 * a reader look for users that do not exist; without `export` the compiler reports whether the file itself needs
 * the name.
 */
import ts from "typescript"
import { importedPath } from "../lint/paths.mjs"

const EVERYTHING = "*"

const isExported = node => node.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) === true

/** The names that a declaration declares: several for `const { a, b } = …`. */
function namesOf(node) {
  if (ts.isVariableStatement(node)) return node.declarationList.declarations.flatMap(namesOf)
  if (ts.isObjectBindingPattern(node) || ts.isArrayBindingPattern(node)) return node.elements.flatMap(namesOf)
  if (node.name === undefined) return []
  return ts.isIdentifier(node.name) ? [node.name.text] : namesOf(node.name)
}

/** The exports of a file, and the names that it imports: `{ exports: names, uses: [{ to, name }], stars: paths }`. */
export function exportsOf(path, text) {
  const found = { exports: [], uses: [], stars: [] }
  const use = (specifier, names) => {
    const to =
      specifier !== undefined && ts.isStringLiteralLike(specifier) ? importedPath(path, specifier.text) : undefined
    if (to !== undefined) for (const name of names) found.uses.push({ to, name })
  }
  const original = element => (element.propertyName ?? element.name).text
  const visitImport = ({ importClause, moduleSpecifier }) => {
    const bindings = importClause?.namedBindings
    if (bindings === undefined) return
    use(moduleSpecifier, ts.isNamespaceImport(bindings) ? [EVERYTHING] : bindings.elements.map(original))
  }
  const visitExport = ({ exportClause, moduleSpecifier }) => {
    if (exportClause === undefined) {
      found.stars.push(importedPath(path, moduleSpecifier.text))
    } else if (ts.isNamedExports(exportClause)) {
      found.exports.push(...exportClause.elements.map(({ name }) => name.text))
      use(moduleSpecifier, exportClause.elements.map(original))
    } else {
      found.exports.push(exportClause.name.text)
      use(moduleSpecifier, [EVERYTHING])
    }
  }
  const visit = node => {
    if (ts.isImportDeclaration(node)) visitImport(node)
    else if (ts.isExportDeclaration(node)) visitExport(node)
    else if (ts.isImportTypeNode(node)) use(node.argument.literal, [EVERYTHING])
    else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword)
      use(node.arguments[0], [EVERYTHING])
    else if (isExported(node)) found.exports.push(...namesOf(node))
    ts.forEachChild(node, visit)
  }
  visit(ts.createSourceFile(path, text, ts.ScriptTarget.ES2022, true))
  return found
}

/**
 * Unused exports as `path name`, sorted. `sources`: text by path, of every file that may import; `others`: text that
 * names what it uses in ways of its own (tools, which import from dist/).
 */
export function unusedExports(sources, others = "") {
  const files = new Map([...sources].map(([path, text]) => [path, exportsOf(path, text)]))
  const used = new Set()
  const mark = (path, name) => {
    const key = `${path} ${name}`
    if (used.has(key)) return
    used.add(key)
    // The name may come from any file that the entry point re-exports with `*`.
    for (const star of files.get(path)?.stars ?? []) mark(star, name)
  }
  for (const { uses } of files.values()) for (const { to, name } of uses) mark(to, name)
  const words = new Set(others.match(/\w+/g))
  return [...files]
    .filter(([path]) => path.startsWith("packages/"))
    .flatMap(([path, { exports }]) => [...new Set(exports)].map(name => [path, name]))
    .filter(([path, name]) => !used.has(`${path} ${name}`) && !used.has(`${path} ${EVERYTHING}`) && !words.has(name))
    .map(([path, name]) => `${path} ${name}`)
    .sort()
}
