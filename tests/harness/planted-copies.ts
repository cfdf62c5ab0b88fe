/** Copies of the built program, each in a folder of its own with one bug planted into it. */
import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import {
  cpSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import ts from "typescript"
import { TEST_SEED } from "@hayloft/base/testing-seed.js"
import { transpiled } from "./transpiled.js"
import { ROOT } from "./server.js"

/** A text that occurs in a file exactly once, and its replacement. */
export interface PlantedEdit {
  readonly file: string
  readonly find: string
  readonly put: string
}

const COMPILER_OPTIONS = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext, verbatimModuleSyntax: true }

/** So many files may move in one landing. */
const RENAMES_MAX = 10_000

/** Longer than the work that a landing ends. */
const LANDING_HOURS = 6

const git = (...args: readonly string[]): string => {
  const { status, stdout } = spawnSync("git", args, { cwd: ROOT, encoding: "utf8" })
  return status === 0 ? stdout.trim() : ""
}

const FROM = /^(?:import|export) (?:[^"';=]*) from "[^"]*";$/gm

/** Code without its comments, and without where it takes things from: that of a file that moves stays the same. */
const codeOf = (text: string): string =>
  ts
    .transpileModule(text, { compilerOptions: { ...COMPILER_OPTIONS, removeComments: true } })
    .outputText.replace(FROM, "")

/** The files whose code differs from that of this many hours before the latest commit; undefined if git does not know. */
function changedFiles(): ((path: string) => boolean) | undefined {
  const sinceSeconds = Number(git("log", "-1", "--format=%ct")) - LANDING_HOURS * 3_600
  const base = git("rev-list", "-1", `--before=${sinceSeconds}`, "HEAD")
  if (base === "") return undefined
  const renames = ["--name-status", "--find-renames=50%", `-l${RENAMES_MAX}`]
  const changes = git("diff", ...renames, base).split("\n")
  const before = new Map(
    changes.map(line => {
      const [, from = "", to = from] = line.split("\t")
      return [to, from]
    }),
  )
  const hasChanged = (file: string): boolean =>
    !file.endsWith(".ts") ||
    !existsSync(join(ROOT, file)) ||
    codeOf(readFileSync(join(ROOT, file), "utf8")) !== codeOf(git("show", `${base}:${before.get(file) ?? file}`))
  return path =>
    [...before.keys()].some(
      name => (name === path || (path.endsWith("/") && name.startsWith(path))) && hasChanged(name),
    )
}

function assertCurrent({ file, find }: PlantedEdit): void {
  const text = readFileSync(join(ROOT, file), "utf8")
  assert.equal(text.split(find).length, 2, `${file} has changed: "${find}" does not occur exactly once`)
}

/**
 * The planted bugs that a landing must see caught: those of changed files, all of them if their checks have changed
 * (`checks`: files, or folders with a slash at the end), and one by the seed. `TEST_PLANTS=all`, as in a soak, means all.
 * Every bug can still be planted, or this throws.
 */
export function duePlants<T extends { readonly edits: readonly PlantedEdit[] }>(
  plants: readonly T[],
  checks: readonly string[],
): readonly T[] {
  for (const { edits } of plants) edits.forEach(assertCurrent)
  const hasChanged = process.env["TEST_PLANTS"] === "all" ? undefined : changedFiles()
  if (hasChanged === undefined || checks.some(hasChanged)) return plants
  const drawn = TEST_SEED % plants.length
  return plants.filter(({ edits }, at) => at === drawn || edits.some(({ file }) => hasChanged(file)))
}

/** Its files are links to those of the build: written again, they would change for all. */
function linkBuild(from: string, to: string): void {
  mkdirSync(to, { recursive: true })
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)]
    if (entry.isDirectory()) linkBuild(source, target)
    else if (!/\.(map|tmp)$|\.test\.js$/.test(entry.name)) linkSync(source, target)
  }
}

function folderOfBuild(): string {
  mkdirSync(join(ROOT, ".cache"), { recursive: true })
  return mkdtempSync(join(ROOT, ".cache", "planted-"))
}

export class PlantedCopies {
  /** Beside the build, because links do not leave a file system. */
  private readonly folder = folderOfBuild()
  private copies = 0

  /** The parts of the build that are copied: paths of folders. */
  constructor(private readonly parts: readonly string[]) {}

  /** Links the build and plants the bug: modules are loaded once, so each bug has a folder of its own. */
  add(edits: readonly PlantedEdit[]): PlantedCopy {
    this.copies += 1
    const program = join(this.folder, String(this.copies))
    for (const part of this.parts) linkBuild(join(ROOT, "dist", part), join(program, "dist", part))
    symlinkSync(join(ROOT, "node_modules"), join(program, "node_modules"))
    writeFileSync(join(program, "package.json"), JSON.stringify({ type: "module" }))
    const sources = new Map<string, string>()
    for (const { file, find, put } of edits) {
      const source = sources.get(file) ?? readFileSync(join(ROOT, file), "utf8")
      assert.equal(source.split(find).length, 2, `${file} has changed: "${find}" does not occur exactly once`)
      sources.set(
        file,
        source.replace(find, () => put),
      )
    }
    for (const [file, source] of sources) {
      const path = join(program, "dist", file.replace(/\.ts$/, ".js"))
      rmSync(path)
      writeFileSync(path, transpiled(source, file))
    }
    return new PlantedCopy(program)
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true })
  }
}

export class PlantedCopy {
  constructor(private readonly program: string) {}

  /** The program that Node runs, which says that it has this version; the whole of `src` is copied. */
  command(version: string): string {
    cpSync(join(ROOT, "bin"), join(this.program, "bin"), { recursive: true })
    writeFileSync(join(this.program, "package.json"), JSON.stringify({ type: "module", version }))
    return join(this.program, "bin", "hayloft")
  }

  /** Loads a built file of the copy. */
  async load<T>(file: string): Promise<T> {
    return (await import(pathToFileURL(join(this.program, "dist", file)).href)) as T
  }
}

/**
 * Finds a seed with which the check of a planted bug fails; returns it, with what was found. The same check of the program as
 * it is must pass with that seed: one that fails anyway says nothing about the bug.
 */
export async function caughtBySeed(
  seedsMax: number,
  planted: (seed: number) => Promise<unknown>,
  sound: (seed: number) => Promise<unknown>,
): Promise<string> {
  let seed = 0
  const overSeeds = async (): Promise<void> => {
    for (seed = 1; seed <= seedsMax; seed += 1) await planted(seed)
  }
  const finding = await findingOf(overSeeds())
  await sound(seed)
  return `seed ${seed}: ${finding}`
}

/** Returns what the check of a planted bug threw; fails if it threw nothing, or something else than a finding. */
export async function findingOf(check: Promise<unknown>): Promise<string> {
  const error = await check.then(
    () => undefined,
    (thrown: unknown) => (thrown instanceof Error ? thrown : new Error("something else was thrown")),
  )
  assert.ok(error !== undefined, "no check finds the bug")
  // Failures and assertions are findings; any other error is a bug of the check.
  assert.ok(["AssertionError", "Failure"].includes(error.name), `the check broke: ${error.stack}`)
  return error.message.split("\n")[0] ?? ""
}
