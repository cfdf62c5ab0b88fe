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
    "src/base/a.ts": "export const a = 1",
    "src/base/a.test.ts": 'import { a } from "./a.js"',
    "src/device/disk.ts": 'import type { a } from "../base/a.js"\nexport type X = typeof a',
    "src/device/disk.test.ts": 'import type { X } from "./disk.js"',
    "src/device/log.ts": "export const log = 1",
    "src/device/index.ts": 'export type { X } from "./disk.js"\nexport { log } from "./log.js"',
    "src/node/far.ts": 'import type { X } from "../device/index.js"',
    "src/node/far.test.ts": 'import { far } from "./far.js"',
    "src/node/logs.ts": 'import { log } from "../device/index.js"',
    "src/node/logs.test.ts": 'import { logs } from "./logs.js"',
    "src/format/row.test.ts": "",
    "tests/clients/boto.test.ts": "",
    "tests/tools/docs.test.ts": "",
    "tests/scenarios/scenarios.test.ts": "",
  }),
)
const testsOf = (...changed: string[]): string[] => tool.concernedBy(changed, SOURCES).tests

test("a change runs the tests of the file and of those that import it, types included, and no others", () => {
  assert.deepEqual(testsOf("src/base/a.ts"), ["src/base/a.test.ts", "src/device/disk.test.ts"])
  assert.deepEqual(testsOf("src/device/disk.test.ts"), ["src/device/disk.test.ts"])
  assert.deepEqual(testsOf("src/node/far.ts"), ["src/node/far.test.ts"])
})

test("through a module's index.ts a change affects only importers of the file's exports", () => {
  assert.deepEqual(testsOf("src/device/log.ts"), ["src/node/logs.test.ts"])
  assert.deepEqual(testsOf("src/device/disk.ts"), ["src/device/disk.test.ts", "src/node/far.test.ts"])
})

test("a removed file still affects its importers", () => {
  const left = new Map([...SOURCES].filter(([path]) => path !== "src/device/disk.ts"))
  assert.deepEqual(tool.concernedBy(["src/device/disk.ts"], left).tests, [
    "src/device/disk.test.ts",
    "src/node/far.test.ts",
  ])
})

test("other files run the nearest tests above them, tools and scenarios theirs in tests/, the lockfile all", () => {
  assert.deepEqual(testsOf("src/format/golden/row-v1.hex"), ["src/format/row.test.ts"])
  assert.deepEqual(testsOf("tests/clients/boto3_settings.py"), ["tests/clients/boto.test.ts"])
  assert.deepEqual(testsOf("tools/docs/markdown.mjs"), ["tests/tools/docs.test.ts"])
  assert.deepEqual(testsOf("scenarios/tablet/01-an-answer.txt"), ["tests/scenarios/scenarios.test.ts"])
  assert.deepEqual(testsOf("README.md", "docs/operate.md"), [])
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
    mkdirSync(join(root, "src/base"), { recursive: true })
    use(root, git, (path, text) => writeFileSync(join(root, String(path)), text))
  } finally {
    rmSync(root, { recursive: true })
  }
}

test("changes in commits, the index, the work tree and untracked files count since the merge base, or since REF", () => {
  inRepository((root, git, write) => {
    write(".gitignore", "dist/\n")
    for (const name of ["kept", "committed", "staged", "edited", "removed"]) write(`src/base/${name}.ts`, "export {}\n")
    git("add", ".")
    git("commit", "-qm", "first")
    const first = git("rev-parse", "HEAD")
    git("checkout", "-qb", "work")
    write("src/base/committed.ts", "export const a = 1\n")
    git("commit", "-qam", "second")
    write("src/base/staged.ts", "export const a = 1\n")
    git("add", ".")
    write("src/base/edited.ts", "export const a = 1\n")
    rmSync(join(root, "src/base/removed.ts"))
    write("src/base/a name ü.test.ts", 'import { a } from "./committed.js"\n')
    const names = ["a name ü.test", "committed", "edited", "removed", "staged"]
    const { commit, changed, tests } = tool.changeIn(root)
    assert.equal(commit, first)
    assert.deepEqual(
      changed,
      names.map(name => `src/base/${name}.ts`),
    )
    assert.deepEqual(tests, ["src/base/a name ü.test.ts"])
    assert.ok(!tool.changedSince(root, tool.baseCommit(root, "HEAD")).includes("src/base/committed.ts"))
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
