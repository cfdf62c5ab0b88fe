/** The statistics of the project, of a small history whose numbers are known. */
import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { test } from "node:test"
import { fileURLToPath, pathToFileURL } from "node:url"

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "../../..")
const DAY_S = 86_400

interface Stats {
  median(values: readonly number[]): number | undefined
  busFactor(linesOf: ReadonlyMap<string, number>): number
  projectStats(root: string, days: number): Record<string, number | undefined>
}

const stats = (await import(pathToFileURL(join(ROOT, "tools/project-stats.mjs")).href)) as Stats

test("the bus factor is the smallest number of authors who wrote more than half", () => {
  const of = (...lines: number[]) => stats.busFactor(new Map(lines.map((each, i) => [String(i), each])))
  assert.deepEqual([of(), of(0), of(5), of(6, 5), of(5, 5), of(4, 3, 2, 1), of(1, 1, 1, 1)], [0, 0, 1, 1, 2, 2, 3])
})

test("the median is the middle value, or that of the two in the middle", () => {
  assert.deepEqual([stats.median([]), stats.median([3, 1, 2]), stats.median([4, 1, 3, 2])], [undefined, 2, 2.5])
})

test("commits, authors and the lifetime of a merged branch are read from the history", () => {
  const root = mkdtempSync(join(tmpdir(), "hayloft-stats-"))
  const nowS = Math.floor(Date.now() / 1000)
  const git = (agoDays: number, author: string, ...args: readonly string[]): void => {
    const date = `${nowS - Math.round(agoDays * DAY_S)} +0000`
    const [name, email] = [author, `${author}@example.org`]
    const env = {
      ...process.env,
      GIT_AUTHOR_DATE: date,
      GIT_COMMITTER_DATE: date,
      GIT_AUTHOR_NAME: name,
      GIT_AUTHOR_EMAIL: email,
      GIT_COMMITTER_NAME: name,
      GIT_COMMITTER_EMAIL: email,
      GIT_CONFIG_GLOBAL: "/dev/null",
    }
    execFileSync("git", ["-C", root, ...args], { env, stdio: "ignore" })
  }
  const commit = (agoDays: number, author: string, file: string, lines: number): void => {
    writeFileSync(join(root, file), "line\n".repeat(lines))
    git(agoDays, author, "add", ".")
    git(agoDays, author, "commit", "-m", file)
  }
  try {
    git(500, "ann", "init", "-b", "main")
    commit(500, "old", "past.txt", 1_000)
    commit(40, "ann", "a.txt", 60)
    git(30, "bob", "checkout", "-b", "branch")
    commit(30, "bob", "b.txt", 40)
    commit(28, "bob", "package-lock.json", 5_000)
    git(28, "ann", "checkout", "main")
    git(26, "ann", "merge", "--no-ff", "branch", "-m", "merge")
    assert.deepEqual(stats.projectStats(root, 365), {
      days: 365,
      commits: 3,
      authors: 2,
      busFactor: 1,
      mergedBranches: 1,
      medianLifetimeDays: 4,
    })
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
})
