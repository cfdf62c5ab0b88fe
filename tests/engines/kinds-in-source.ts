/**
 * The names of all commands and queries that the source makes: literal names in calls of `command` and `query`, and in
 * calls of functions that pass a name of theirs on.
 */
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import ts from "typescript"
import { ROOT } from "../harness/server.js"

/** Commands and queries of checks of an engine, which are not part of a store. */
const CHECKS = /(^packages\/engine\/src\/sql\/check\/|suite\.ts$|\.test\.ts$|\/testing-)/

function sources(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { withFileTypes: true }).flatMap(entry => {
    const path = `${folder}/${entry.name}`
    if (entry.isDirectory()) return sources(path)
    return path.endsWith(".ts") && !CHECKS.test(path) ? [path] : []
  })
}

/** Returns what a call of `command` or `query` gives as the name. */
function nameIn(call: ts.CallExpression, makers: ReadonlySet<string>): ts.Expression | undefined {
  if (!ts.isIdentifier(call.expression) || !makers.has(call.expression.text)) return undefined
  const [first] = call.arguments
  if (first === undefined || !ts.isObjectLiteralExpression(first)) return first
  for (const member of first.properties) {
    if (member.name?.getText() !== "name") continue
    if (ts.isPropertyAssignment(member)) return member.initializer
    if (ts.isShorthandPropertyAssignment(member)) return member.name
  }
  return undefined
}

/** The constant whose function contains the node and has a parameter of this name. */
function makerAround(node: ts.Node, parameter: string): string | undefined {
  for (let at = node.parent; !ts.isSourceFile(at); at = at.parent) {
    if (!ts.isArrowFunction(at) || !ts.isVariableDeclaration(at.parent)) continue
    if (at.parameters.some(each => each.name.getText() === parameter)) return at.parent.name.getText()
  }
  return undefined
}

function callsIn(node: ts.Node): ts.CallExpression[] {
  const calls: ts.CallExpression[] = []
  const visit = (each: ts.Node): void => {
    if (ts.isCallExpression(each)) calls.push(each)
    each.forEachChild(visit)
  }
  visit(node)
  return calls
}

/** Throws if a name is neither a literal nor a parameter of a constant function. */
function namesIn(path: string): readonly string[] {
  const text = readFileSync(join(ROOT, path), "utf8")
  const isMetadata = /import \{[^}]*\b(command|query)\b[^}]*\} from "[^"]*(metadata\/index|contract)\.js"/.test(text)
  if (!isMetadata) return []
  const calls = callsIn(ts.createSourceFile(path, text, ts.ScriptTarget.ES2022, true))
  const makers = new Set(["command", "query"])
  const names = new Set<string>()
  // A maker may be found after its calls: twice is enough, since makers call no other makers.
  for (let round = 0; round < 2; round += 1) {
    for (const call of calls) {
      const name = nameIn(call, makers)
      if (name === undefined) continue
      if (ts.isStringLiteral(name)) names.add(name.text)
      else {
        const maker = makerAround(call, name.getText())
        if (maker === undefined) throw new Error(`${path}: the name of a command or query is not a literal`)
        makers.add(maker)
      }
    }
  }
  return [...names]
}

/** No store has the sample of a feature. */
const isPlayed = (path: string): boolean => !path.startsWith(join("packages", "features", "src", "sample"))

export const kindsInSource = (): readonly string[] =>
  [...new Set(sources("packages").filter(isPlayed).flatMap(namesIn))].sort()
