/** The files whose code has changed since the last landing, for checks that run only after a change. */
import { spawnSync } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import ts from "typescript"
import { MIB } from "@hayloft/base/limits.js"

const COMPILER_OPTIONS = {
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.ESNext,
  verbatimModuleSyntax: true,
  removeComments: true,
}

/** So many files may move in one landing. */
const RENAMES_MAX = 10_000
/** Longer than the work that a landing ends. */
const LANDING_DAYS = 2
const OUTPUT_BYTES_MAX = 64 * MIB

/** The output of git; undefined if it fails. */
function git(root: string, ...args: readonly string[]): string | undefined {
  const options = { cwd: root, encoding: "utf8", maxBuffer: OUTPUT_BYTES_MAX } as const
  const { status, stdout } = spawnSync("git", ["-c", "core.quotePath=false", ...args], options)
  return status === 0 ? stdout : undefined
}

/** The end of a statement that takes something from a file, up to the name of the file. */
const FROM = /(\bfrom ")[^"\n]*\/(?=[^"/\n]*";$)/gm

/** Code without its comments, and without the folders that it imports from: that of a file that moves stays the same. */
const codeOf = (text: string): string =>
  ts.transpileModule(text, { compilerOptions: COMPILER_OPTIONS }).outputText.replace(FROM, "$1")

/** The members of a class, the elements of a list that a file declares, or the statement itself. */
function partsOf(statement: ts.Statement): readonly ts.Node[] {
  if (ts.isClassDeclaration(statement)) return statement.members
  const [declaration] = ts.isVariableStatement(statement) ? statement.declarationList.declarations : []
  const value = declaration?.initializer
  return value !== undefined && ts.isArrayLiteralExpression(value) ? value.elements : [statement]
}

const printer = ts.createPrinter({ removeComments: true })

/** The parts of a source, without their comments, that contain a text. */
function partsWith(source: string, text: string): readonly string[] {
  const file = ts.createSourceFile("", source, ts.ScriptTarget.ES2022, true)
  const parts = file.statements.flatMap(partsOf).filter(part => part.getText(file).includes(text))
  return parts.map(part => printer.printNode(ts.EmitHint.Unspecified, part, file))
}

/**
 * The commit of the last landing: where HEAD left `origin/main`. In a clone in which HEAD is `origin/main`, which is so when a
 * landing is checked, it is the newest one that is older than any work that HEAD ends. Undefined if git knows none.
 */
function lastLanding(root: string): string | undefined {
  const head = git(root, "rev-parse", "HEAD")?.trim()
  const left = git(root, "merge-base", "HEAD", "origin/main")?.trim()
  if (left !== undefined && left !== head) return left
  const headSeconds = Number(git(root, "log", "-1", "--format=%ct"))
  const before = `--before=${headSeconds - LANDING_DAYS * 86_400}`
  return git(root, "rev-list", "-1", before, "HEAD")?.trim() || undefined
}

/** The paths that differ from a commit, each with the path that it had there; undefined if git cannot tell. */
function changesSince(root: string, commit: string): ReadonlyMap<string, string> | undefined {
  const renames = ["--name-status", "--find-renames=50%", `-l${RENAMES_MAX}`]
  const tracked = git(root, "diff", ...renames, commit)
  const untracked = git(root, "ls-files", "--others", "--exclude-standard")
  if (tracked === undefined || untracked === undefined) return undefined
  const changes = new Map<string, string>()
  for (const line of tracked.split("\n").filter(each => each !== "")) {
    const [, from = "", to = from] = line.split("\t")
    changes.set(to, from)
  }
  for (const path of untracked.split("\n").filter(each => each !== "")) changes.set(path, path)
  return changes
}

/**
 * Tells whether the code of a file, whose path is given from the root, has changed since the last landing: in commits, in the
 * index, in the work tree, or as an untracked file. `around`: a text of the file; only the function, the member of a class or
 * the element of a list counts in which it is.
 */
export type HasChanged = (path: string, around?: string) => boolean

/** Returns undefined if git does not know: then all code may have changed. */
export function changedCode(root: string): HasChanged | undefined {
  const commit = lastLanding(root)
  const changes = commit === undefined ? undefined : changesSince(root, commit)
  if (changes === undefined) return undefined
  return (path, around) => {
    const from = changes.get(path)
    if (from === undefined) return false
    if (!path.endsWith(".ts") || !existsSync(join(root, path))) return true
    const before = git(root, "show", `${commit}:${from}`)
    const now = readFileSync(join(root, path), "utf8")
    if (before === undefined) return true
    if (around === undefined) return codeOf(now) !== codeOf(before)
    // Without such a part, the text is in several.
    const [part] = partsWith(now, around)
    return part === undefined || !partsWith(before, around).includes(part)
  }
}
