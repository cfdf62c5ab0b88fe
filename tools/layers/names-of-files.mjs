/**
 * The names that a file imports and exports. Each file is parsed once, whatever asks for it: parsing is most of the time that checks of
 * the tree take.
 */
import ts from "typescript"
import { importedPath } from "../lint/paths.mjs"

/** The name that stands for all names of a file. */
export const EVERYTHING = "*"

/** An import within an expression or a type; only a file that matches is searched below its statements. */
const INNER_IMPORT = /\bimport\s*[(/]/

const isExported = node => node.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) === true

const isType = node =>
  ts.isInterfaceDeclaration(node) ||
  ts.isTypeAliasDeclaration(node) ||
  ts.isClassDeclaration(node) ||
  ts.isEnumDeclaration(node)

/** The names that a declaration declares: several for `const { a, b } = …`. */
function namesOf(node) {
  if (ts.isVariableStatement(node)) return node.declarationList.declarations.flatMap(namesOf)
  if (ts.isObjectBindingPattern(node) || ts.isArrayBindingPattern(node)) return node.elements.flatMap(namesOf)
  if (node.name === undefined) return []
  return ts.isIdentifier(node.name) ? [node.name.text] : namesOf(node.name)
}

const originalName = element => (element.propertyName ?? element.name).text

/** The names that an import declaration takes from its file. */
function namesTaken({ importClause }) {
  const bindings = importClause?.namedBindings
  if (bindings === undefined) return []
  return ts.isNamespaceImport(bindings) ? [EVERYTHING] : bindings.elements.map(originalName)
}

class FileNames {
  imports = []
  exports = []
  types = []
  uses = []
  stars = []
  #path

  constructor(path, text) {
    this.#path = path
    const parsed = ts.createSourceFile(path, text, {
      languageVersion: ts.ScriptTarget.ES2022,
      jsDocParsingMode: ts.JSDocParsingMode.ParseNone,
    })
    for (const statement of parsed.statements) this.#addStatement(statement)
    if (INNER_IMPORT.test(text)) ts.forEachChild(parsed, node => this.#addInner(node))
  }

  #addStatement(node) {
    if (ts.isImportDeclaration(node))
      this.#add(node.moduleSpecifier, node.importClause?.isTypeOnly === true, namesTaken(node))
    else if (ts.isExportDeclaration(node)) this.#addExport(node)
    else if (isExported(node)) {
      this.exports.push(...namesOf(node))
      if (isType(node)) this.types.push(node.name?.text ?? "default")
    }
  }

  #addExport({ exportClause, moduleSpecifier, isTypeOnly }) {
    if (exportClause === undefined) {
      this.#add(moduleSpecifier, isTypeOnly, [])
      this.stars.push(importedPath(this.#path, moduleSpecifier.text))
    } else if (ts.isNamedExports(exportClause)) {
      this.exports.push(...exportClause.elements.map(({ name }) => name.text))
      this.#add(moduleSpecifier, isTypeOnly, exportClause.elements.map(originalName))
    } else {
      this.exports.push(exportClause.name.text)
      this.#add(moduleSpecifier, isTypeOnly, [EVERYTHING])
    }
  }

  #addInner(node) {
    if (ts.isImportTypeNode(node)) this.#add(node.argument.literal, true, [EVERYTHING])
    else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword)
      this.#add(node.arguments[0], false, [EVERYTHING])
    ts.forEachChild(node, child => this.#addInner(child))
  }

  #add(specifier, isType, names) {
    const to =
      specifier !== undefined && ts.isStringLiteralLike(specifier)
        ? importedPath(this.#path, specifier.text)
        : undefined
    if (to === undefined) return
    this.imports.push({ to, isType })
    for (const name of names) this.uses.push({ to, name })
  }
}

/** By path: the text that was parsed, and its names. */
const parsed = new Map()

/**
 * Returns `{ imports: [{ to, isType }], exports: names, types: names, uses: [{ to, name }], stars: paths }`: the relative
 * imports of a file as paths from the root, its exports and those of them that are types it declares, the names that it takes
 * of others, and the files that it exports as a whole.
 */
export function namesOfFile(path, text) {
  const known = parsed.get(path)
  if (known?.text === text) return known.names
  const names = new FileNames(path, text)
  parsed.set(path, { text, names })
  return names
}
