/** `npm test -- --changed`: the files that a change affects, and the tests that it runs. */
import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { test } from "node:test"
import { fileURLToPath, pathToFileURL } from "node:url"

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "../../..")

interface Concerned {
  files: string[]
  tests: string[]
}
interface Changed {
  baseCommit(root: string, ref?: string): string
  changedSince(root: string, commit: string): string[]
  concernedBy(changed: readonly string[], sources: ReadonlyMap<string, string>): Concerned
  changeIn(root: string, ref?: string): Concerned & { commit: string; changed: string[] }
}

const tool = (await import(pathToFileURL(join(ROOT, "tools/changed.mjs")).href)) as Changed

const SOURCES: ReadonlyMap<string, string> = new Map(
  Object.entries({
    "packages/base/src/a.ts": "export const a = 1",
    "packages/base/src/a.test.ts": 'import { a } from "./a.js"',
    "packages/engine/src/device/disk.ts": 'import type { a } from "@hayloft/base/a.js"\nexport type X = typeof a',
    "packages/engine/src/device/disk.test.ts": 'import type { X } from "./disk.js"',
    "packages/engine/src/device/log.ts": "export const log = 1",
    "packages/engine/src/device/index.ts": 'export type { X } from "./disk.js"\nexport { log } from "./log.js"',
    "packages/node/src/far.ts": 'import type { X } from "@hayloft/engine/device/index.js"',
    "packages/node/src/far.test.ts": 'import { far } from "./far.js"',
    "packages/node/src/logs.ts": 'import { log } from "@hayloft/engine/device/index.js"',
    "packages/node/src/logs.test.ts": 'import { logs } from "./logs.js"',
    "packages/engine/src/format/row.test.ts": "",
    "tests/clients/boto.test.ts": "",
    "tests/tools/docs.test.ts": "",
    "tests/scenarios/scenarios.test.ts": "",
  }),
)
const testsOf = (...changed: string[]): string[] => tool.concernedBy(changed, SOURCES).tests

test("a change runs the tests of the file and of those that import it, types included, and no others", () => {
  assert.deepEqual(testsOf("packages/base/src/a.ts"), [
    "packages/base/src/a.test.ts",
    "packages/engine/src/device/disk.test.ts",
  ])
  assert.deepEqual(testsOf("packages/engine/src/device/disk.test.ts"), ["packages/engine/src/device/disk.test.ts"])
  assert.deepEqual(testsOf("packages/node/src/far.ts"), ["packages/node/src/far.test.ts"])
})

test("through a module's index.ts a change affects only importers of the file's exports", () => {
  assert.deepEqual(testsOf("packages/engine/src/device/log.ts"), ["packages/node/src/logs.test.ts"])
  assert.deepEqual(testsOf("packages/engine/src/device/disk.ts"), [
    "packages/engine/src/device/disk.test.ts",
    "packages/node/src/far.test.ts",
  ])
})

test("a removed file still affects its importers", () => {
  const left = new Map([...SOURCES].filter(([path]) => path !== "packages/engine/src/device/disk.ts"))
  assert.deepEqual(tool.concernedBy(["packages/engine/src/device/disk.ts"], left).tests, [
    "packages/engine/src/device/disk.test.ts",
    "packages/node/src/far.test.ts",
  ])
})

test("other files run the nearest tests above them, tools and scenarios theirs in tests/, the lockfile all", () => {
  assert.deepEqual(testsOf("packages/engine/src/format/golden/row-v1.hex"), ["packages/engine/src/format/row.test.ts"])
  assert.deepEqual(testsOf("tests/clients/boto3_settings.py"), ["tests/clients/boto.test.ts"])
  assert.deepEqual(testsOf("tools/docs/markdown.mjs"), ["tests/tools/docs.test.ts"])
  assert.deepEqual(testsOf("scenarios/tablet/01-an-answer.txt"), ["tests/scenarios/scenarios.test.ts"])
  assert.deepEqual(testsOf("README.md", "docs/operate/operate.md"), [])
  assert.deepEqual(testsOf("package-lock.json").length, [...SOURCES.keys()].filter(p => p.endsWith(".test.ts")).length)
})

function inRepository(use: (root: string, git: (...args: string[]) => string, write: typeof writeFileSync) => void) {
  const root = mkdtempSync(join(tmpdir(), "hayloft-changed-"))
  const git = (...args: string[]): string => {
    const settings = ["-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"]
    const { status, stdout, stderr } = spawnSync("git", [...settings, ...args], { cwd: root, encoding: "utf8" })
    assert.equal(status, 0, stderr)
    return stdout.trim()
  }
  try {
    git("init", "-q", "-b", "main")
    mkdirSync(join(root, "packages/base/src"), { recursive: true })
    use(root, git, (path, text) => writeFileSync(join(root, String(path)), text))
  } finally {
    rmSync(root, { recursive: true })
  }
}

test("changes in commits, the index, the work tree and untracked files count since the merge base, or since REF", () => {
  inRepository((root, git, write) => {
    write(".gitignore", "dist/\n")
    for (const name of ["kept", "committed", "staged", "edited", "removed"])
      write(`packages/base/src/${name}.ts`, "export {}\n")
    git("add", ".")
    git("commit", "-qm", "first")
    const first = git("rev-parse", "HEAD")
    git("checkout", "-qb", "work")
    write("packages/base/src/committed.ts", "export const a = 1\n")
    git("commit", "-qam", "second")
    write("packages/base/src/staged.ts", "export const a = 1\n")
    git("add", ".")
    write("packages/base/src/edited.ts", "export const a = 1\n")
    rmSync(join(root, "packages/base/src/removed.ts"))
    write("packages/base/src/a name ü.test.ts", 'import { a } from "./committed.js"\n')
    const names = ["a name ü.test", "committed", "edited", "removed", "staged"]
    const { commit, changed, tests } = tool.changeIn(root)
    assert.equal(commit, first)
    assert.deepEqual(
      changed,
      names.map(name => `packages/base/src/${name}.ts`),
    )
    assert.deepEqual(tests, ["packages/base/src/a name ü.test.ts"])
    assert.ok(!tool.changedSince(root, tool.baseCommit(root, "HEAD")).includes("packages/base/src/committed.ts"))
  })
})

test("an unknown base is refused by name", () => {
  inRepository((root, git, write) => {
    write("a.txt", "a")
    git("add", ".")
    git("commit", "-qm", "first")
    assert.throws(() => tool.baseCommit(root, "no-such"), /--changed=no-such: there is no commit/)
    git("branch", "-qm", "other")
    assert.throws(() => tool.baseCommit(root), /neither origin\/main nor main: name a commit with --changed=REF/)
  })
})
