/** Copies of the built program, each in a folder of its own with one bug planted into it. */
import assert from "node:assert/strict"
import {
  cpSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs"
import { dirname, join, relative } from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import { must } from "@hayloft/base/assert.js"
import { TEST_SEED } from "@hayloft/base/testing-seed.js"
import { builtPath, DIST, filesReaching, IMPORT, targetOf, textOf } from "./built-files.js"
import { changedCode, type HasChanged } from "./changed-code.js"
import { transpiled } from "./transpiled.js"
import { ROOT } from "./server.js"

/** A text that occurs in a file exactly once, and its replacement. */
export interface PlantedEdit {
  readonly file: string
  readonly find: string
  readonly put: string
}

const HARNESS = "tests/harness/"
/** The bundle that is the program. */
const COMMAND = "hayloft.cjs"

function assertCurrent({ file, find }: PlantedEdit): void {
  const text = readFileSync(join(ROOT, file), "utf8")
  assert.equal(text.split(find).length, 2, `${file} has changed: "${find}" does not occur exactly once`)
}

interface Layers {
  namesOfFile(path: string, text: string): { readonly imports: readonly { readonly to: string }[] }
}

/**
 * A test file and all that decides what it finds, as paths from the root: what it imports, directly or through others. The
 * product is left out, and so is the harness: any bug that is caught shows that it plants.
 */
export async function checksOf(test: string): Promise<readonly string[]> {
  const url = pathToFileURL(join(ROOT, "tools/layers/names-of-files.mjs"))
  const { namesOfFile } = (await import(url.href)) as Layers
  const found = new Set([test])
  for (const path of found) {
    for (const { to } of namesOfFile(path, readFileSync(join(ROOT, path), "utf8")).imports)
      if (!to.startsWith("packages/") && !to.startsWith(HARNESS)) found.add(to)
  }
  return [...found]
}

/** A planted bug, and the check that must catch it, or several of which any may. */
interface Planted {
  readonly bug: string
  readonly edits: readonly PlantedEdit[]
  readonly caughtBy: string | readonly string[]
}

/** Files that list planted bugs: they change with each bug, and are no checks. */
const LISTS = /plants\.ts$/

/**
 * The planted bugs that a landing must see caught: those that are new or planted into a file whose code has changed since
 * the last one, all if checks have changed, and one that the seed draws. `TEST_PLANTS=all`, as in a soak, means all. Every bug can still be planted, or this throws. `testUrl`: of the built test file; `others`: checks that it runs
 * without an import, as paths from the root.
 */
export async function duePlants<T extends Planted>(
  plants: readonly T[],
  testUrl: string,
  others: readonly string[] = [],
): Promise<readonly T[]> {
  for (const { edits } of plants) edits.forEach(assertCurrent)
  const hasChanged = process.env["TEST_PLANTS"] === "all" ? undefined : changedCode(ROOT)
  if (hasChanged === undefined) return plants
  const test = relative(join(ROOT, "dist"), fileURLToPath(testUrl)).replace(/\.js$/, ".ts")
  const files: string[] = []
  for (const root of [test, ...others]) files.push(...(await checksOf(root)))
  return dueOf(plants, files, hasChanged)
}

/** `files`: the checks and the lists of the bugs. */
export function dueOf<T extends Planted>(
  plants: readonly T[],
  files: readonly string[],
  hasChanged: HasChanged,
): readonly T[] {
  const checks = files.filter(path => !LISTS.test(path))
  if (checks.some(path => hasChanged(path))) return plants
  const lists = files
    .filter(path => LISTS.test(path))
    .map(path => ({ path, text: readFileSync(join(ROOT, path), "utf8") }))
  const isNew = (bug: string): boolean => {
    const quoted = [`"${bug}"`, `'${bug}'`]
    const list = lists.find(({ text }) => quoted.some(each => text.includes(each)))
    const { path, text } = must(list, `a file that lists the bug "${bug}"`)
    return quoted.some(each => text.includes(each) && hasChanged(path, each))
  }
  const drawn = must(plants[TEST_SEED % plants.length], "bugs to plant")
  return plants.filter(plant => plant === drawn || isNew(plant.bug) || plant.edits.some(({ file }) => hasChanged(file)))
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

function writeIn(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
}

export class PlantedCopies {
  /** Beside the build, because links do not leave a file system. */
  private readonly folder = folderOfBuild()
  private copies = 0

  /** `own`: sources whose modules keep what all others declare, so that each copy needs its own. */
  constructor(private readonly own: readonly string[] = []) {}

  /** Plants the bug into a copy in a folder of its own: modules are loaded once. */
  add(edits: readonly PlantedEdit[]): PlantedCopy {
    this.copies += 1
    const program = join(this.folder, String(this.copies))
    mkdirSync(program)
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
    const planted = [...sources].map(([file, source]) => [builtPath(file), transpiled(source, file)] as const)
    const own = edits.length === 0 ? [] : this.own.map(file => [builtPath(file), textOf(builtPath(file))] as const)
    return new PlantedCopy(program, new Map([...own, ...planted]))
  }

  /**
   * Plants the bug into the bundle, which starts in a third of the time; its text must have those of the edits as they are in
   * the sources. Returns the folder of the program, which says that it has this version, with a slash at the end.
   */
  bundled(edits: readonly PlantedEdit[], version: string): string {
    edits.forEach(assertCurrent)
    this.copies += 1
    const program = join(this.folder, String(this.copies))
    const [from, to] = [join(DIST, "bundle"), join(program, "dist", "bundle")]
    mkdirSync(to, { recursive: true })
    const left = new Set(edits)
    for (const name of readdirSync(from).filter(each => each.endsWith(".cjs"))) {
      const text = readFileSync(join(from, name), "latin1")
      const own = edits.filter(({ find }) => text.includes(find))
      if (own.length === 0) linkSync(join(from, name), join(to, name))
      else
        writeFileSync(
          join(to, name),
          own.reduce((now, { find, put }) => now.replace(find, () => put), text),
          "latin1",
        )
      if (name === COMMAND) for (const each of own) left.delete(each)
    }
    assert.deepEqual([...left], [], "the bundle has these texts")
    symlinkSync(join(DIST, "packages"), join(program, "dist", "packages"))
    symlinkSync(join(ROOT, "node_modules"), join(program, "node_modules"))
    cpSync(join(ROOT, "bin"), join(program, "bin"), { recursive: true })
    writeFileSync(join(program, "package.json"), JSON.stringify({ type: "module", version }))
    return `${program}/`
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true })
  }
}

export class PlantedCopy {
  /** `planted`: the text of each file with a bug or of its own, by its path in the build. */
  constructor(
    private readonly program: string,
    private readonly planted: ReadonlyMap<string, string>,
  ) {}

  /** The program that Node runs, which says that it has this version; all packages are copied. */
  command(version: string): string {
    linkBuild(join(DIST, "packages"), join(this.program, "dist", "packages"))
    for (const [path, text] of this.planted) {
      rmSync(join(this.program, "dist", path))
      writeIn(join(this.program, "dist", path), text)
    }
    cpSync(join(ROOT, "bin"), join(this.program, "bin"), { recursive: true })
    writeFileSync(join(this.program, "package.json"), JSON.stringify({ type: "module", version }))
    return join(this.program, "bin", "hayloft")
  }

  /**
   * Loads a built file of the copy. Only modules that import such a file, directly or through others, are loaded again; the
   * others are those of the build, which are loaded and optimized once for all copies.
   */
  async load<T>(file: string): Promise<T> {
    const reaching = filesReaching(file, this.planted)
    for (const path of reaching) {
      const text = this.planted.get(path) ?? textOf(path)
      const own = text.replace(IMPORT, (whole, before: string, to: string) => {
        const target = targetOf(path, to)
        return reaching.has(target) ? whole : `${before}"${pathToFileURL(join(DIST, target)).href}"`
      })
      writeIn(join(this.program, "dist", path), own)
    }
    const root = reaching.has(file) ? join(this.program, "dist") : DIST
    return (await import(pathToFileURL(join(root, file)).href)) as T
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
  await passesOnce(sound, seed)
  return `seed ${seed}: ${finding}`
}

/** The seeds with which each check of the program as it is has passed, for one bug or another. */
const passed = new Map<(seed: number) => Promise<unknown>, Set<number>>()

async function passesOnce(sound: (seed: number) => Promise<unknown>, seed: number): Promise<void> {
  const seeds = passed.get(sound) ?? new Set()
  passed.set(sound, seeds)
  if (!seeds.has(seed)) await sound(seed)
  seeds.add(seed)
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
