/** Code that has changed since the last landing is known: a check that is left out in spite of a change finds nothing. */
import assert from "node:assert/strict"
import { mkdir, writeFile } from "node:fs/promises"
import { dirname, join } from "node:path"
import { test } from "node:test"
import { changedCode, type HasChanged } from "./changed-code.js"
import { runOk } from "./commands.js"
import { withFolder } from "./folders.js"
import { checksOf, dueOf } from "./planted-copies.js"
import { STEWARD_PLANTS, type StewardPlant } from "../steward/plants.js"

const SETTINGS = ["-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"]

class Repository {
  constructor(private readonly root: string) {}

  async git(...args: readonly string[]): Promise<void> {
    await runOk("git", [...SETTINGS, ...args], { cwd: this.root })
  }

  async write(path: string, ...lines: readonly string[]): Promise<void> {
    await mkdir(dirname(join(this.root, path)), { recursive: true })
    await writeFile(join(this.root, path), `${lines.join("\n")}\n`)
  }

  async commit(time: string): Promise<void> {
    await this.git("add", "--all")
    const env = { ...process.env, GIT_COMMITTER_DATE: time }
    await runOk("git", [...SETTINGS, "commit", "-qm", time], { cwd: this.root, env })
  }

  /** Returns the paths that have changed; undefined if git does not know. */
  changed(...paths: readonly string[]): readonly string[] | undefined {
    const hasChanged = changedCode(this.root)
    return hasChanged && paths.filter(path => hasChanged(path))
  }

  hasChanged(path: string, around: string): boolean | undefined {
    return changedCode(this.root)?.(path, around)
  }
}

const inRepository = (use: (repository: Repository) => Promise<void>): Promise<void> =>
  withFolder(async folder => {
    const repository = new Repository(folder)
    await repository.git("init", "-q", "-b", "main")
    await use(repository)
  })

const PATHS = ["a.ts", "b.ts", "c.ts"]

test("every commit since the last landing counts, however long before the newest", () =>
  inRepository(async repository => {
    for (const path of PATHS) await repository.write(path, "export const x = 1")
    await repository.commit("2026-01-01T08:00:00Z")
    await repository.write("a.ts", "export const x = 2")
    await repository.commit("2026-01-10T08:00:00Z")
    await repository.write("b.ts", "export const x = 2")
    await repository.commit("2026-01-10T15:00:00Z")
    assert.deepEqual(repository.changed(...PATHS), ["a.ts", "b.ts"])
  }))

test("where HEAD left origin/main is the last landing, also a long time ago", () =>
  inRepository(async repository => {
    for (const path of PATHS) await repository.write(path, "export const x = 1")
    await repository.commit("2026-01-01T08:00:00Z")
    await repository.git("update-ref", "refs/remotes/origin/main", "HEAD")
    await repository.write("a.ts", "export const x = 2")
    await repository.commit("2026-01-02T08:00:00Z")
    await repository.write("b.ts", "export const x = 2")
    await repository.commit("2026-01-20T08:00:00Z")
    assert.deepEqual(repository.changed(...PATHS), ["a.ts", "b.ts"])
    await repository.git("update-ref", "refs/remotes/origin/main", "HEAD")
    assert.deepEqual(repository.changed(...PATHS), ["b.ts"], "a landing is checked at origin/main")
  }))

test("the index, the work tree and untracked files count", () =>
  inRepository(async repository => {
    for (const path of PATHS) await repository.write(path, "export const x = 1")
    await repository.commit("2026-01-01T08:00:00Z")
    await repository.write("d.ts", "")
    await repository.commit("2026-01-10T08:00:00Z")
    await repository.write("a.ts", "export const x = 2")
    await repository.git("add", "a.ts")
    await repository.write("b.ts", "export const x = 2")
    await repository.write("new folder/ü.ts", "export const x = 2")
    assert.deepEqual(repository.changed(...PATHS, "new folder/ü.ts"), ["a.ts", "b.ts", "new folder/ü.ts"])
  }))

test("a file that moves stays the same; one that imports something else, or from another file, does not", () =>
  inRepository(async repository => {
    const body = [1, 2, 3, 4, 5, 6, 7, 8].map(n => `export const kept${n} = check(${n})`)
    for (const path of PATHS) await repository.write(path, 'import { strict as check } from "./a.js"', ...body)
    await repository.write("old/d.ts", 'import { strict as check } from "./rules.js"', ...body, "// said before")
    await repository.commit("2026-01-01T08:00:00Z")
    await repository.write("a.ts", 'import { lax as check } from "./a.js"', ...body)
    await repository.write("b.ts", 'import { strict as check } from "./b.js"', ...body)
    await repository.git("rm", "-q", "old/d.ts")
    await repository.write("new/d.ts", 'import { strict as check } from "@x/y/rules.js"', ...body, "// said now")
    await repository.commit("2026-01-10T08:00:00Z")
    assert.deepEqual(repository.changed(...PATHS, "new/d.ts"), ["a.ts", "b.ts"])
  }))

test("if git fails, or knows no commit so old, all may have changed", async () => {
  await withFolder(folder => {
    assert.equal(changedCode(folder), undefined)
    return Promise.resolve()
  })
  await inRepository(async repository => {
    await repository.write("a.ts", "")
    await repository.commit("2026-01-01T08:00:00Z")
    assert.equal(repository.changed("a.ts"), undefined)
  })
})

test("around a text, only the function, the member or the element counts in which it is, without its comments", () =>
  inRepository(async repository => {
    const withOne = (one: string, comment: string) => [
      `export const LIST = [{ bug: "first", put: "${one}" }, { bug: "second" }]`,
      `export const f = (x: number): number => x + ${one}`,
      "export const g = (x: number): number => x - 1",
      `class Sums { /** ${comment} */ a(): number { return ${one} }`,
      `  b(): number { // ${comment}`,
      "    return 2 } }",
    ]
    await repository.write("a.ts", ...withOne("1", "Returns it."))
    await repository.commit("2026-01-01T08:00:00Z")
    await repository.write("a.ts", ...withOne("3", "Returns the sum."))
    await repository.commit("2026-01-10T08:00:00Z")
    const texts = ["first", "second", "x + 3", "x - 1", "return 3", "return 2", "a(): number { return 3 }\n  b()"]
    assert.deepEqual(
      texts.filter(text => repository.hasChanged("a.ts", text)),
      ["first", "x + 3", "return 3", "a(): number { return 3 }\n  b()"],
    )
  }))

const PLANTS = STEWARD_PLANTS
const LIST = "tests/steward/plants.ts"
const CHECK = "tests/steward/nodes.ts"

test("bugs are planted that are new, or whose file has changed; all if a check has; and always one", () => {
  const due = (hasChanged: HasChanged): readonly StewardPlant[] => dueOf(PLANTS, [LIST, CHECK], hasChanged)
  const drawn = due(() => false)
  assert.equal(drawn.length, 1)
  for (const plant of PLANTS) {
    const isNew: HasChanged = (path, around) => path === LIST && around === JSON.stringify(plant.bug)
    assert.deepEqual(new Set(due(isNew)), new Set([...drawn, plant]))
    const files = plant.edits.map(({ file }) => file)
    const inFiles = PLANTS.filter(({ edits }) => edits.some(({ file }) => files.includes(file)))
    assert.deepEqual(new Set(due(path => files.includes(path))), new Set([...drawn, ...inFiles]))
  }
  assert.deepEqual(
    due(path => path === CHECK),
    PLANTS,
  )
  assert.equal(due((path, around) => path === LIST && around === undefined).length, 1)
})

test("the checks of planted bugs are all that their test imports, and nothing of the product and the harness", async () => {
  const checks = await checksOf("tests/engines/planted.test.ts")
  for (const path of ["tests/engines/queue-kinds.ts", "tests/sql/simulated-world.ts", "tests/engines/plants.ts"])
    assert.ok(checks.includes(path), path)
  assert.deepEqual(
    checks.filter(path => /^(?:packages|tests\/harness)\//.test(path)),
    [],
  )
})
