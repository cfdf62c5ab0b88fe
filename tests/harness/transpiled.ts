/** The JavaScript of a source with a planted bug, as the build makes it. */
import { dirname, join } from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import ts from "typescript"

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "../../..")

interface Packages {
  readonly withRelativeImports: (text: string, path: string) => string
}
const { withRelativeImports } = (await import(pathToFileURL(join(ROOT, "tools/packages.mjs")).href)) as Packages

const COMPILER_OPTIONS = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext, verbatimModuleSyntax: true }

/** Throws if the source cannot be parsed: no test catches a bug that was never built. `path`: of the source, from the root. */
export function transpiled(source: string, path: string): string {
  const options = { compilerOptions: COMPILER_OPTIONS, fileName: path, reportDiagnostics: true }
  const { outputText, diagnostics = [] } = ts.transpileModule(source, options)
  const [error] = diagnostics
  if (error !== undefined) throw new Error(`${path}: ${ts.flattenDiagnosticMessageText(error.messageText, " ")}`)
  return withRelativeImports(outputText, path)
}
