/**
 * Statistics of the project, from the history of the checkout: commits, authors, bus factor, lifetime of merged branches.
 *
 *   npm run project-stats                 of the last 365 days
 *   npm run project-stats -- --days 90
 *   npm run project-stats -- --json
 *
 * The bus factor is the smallest number of authors who together wrote more than half of the lines changed in that time. The
 * lifetime of a merged branch (a pull request) is the time from its first commit to its merge commit; without merge commits
 * there is none.
 */
import { execFileSync } from "node:child_process"
import { fileURLToPath } from "node:url"

const DAY_MS = 86_400_000
const UNIT = "\x1f"

const git = (root, ...args) =>
  execFileSync("git", ["-C", root, ...args], {
    encoding: "utf8",
    maxBuffer: 1 << 30,
    stdio: ["ignore", "pipe", "pipe"],
  })

/** The middle of numbers, undefined if there are none. */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  if (sorted.length === 0) return undefined
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** `linesOf`: changed lines by author. */
export function busFactor(linesOf) {
  const lines = [...linesOf.values()].sort((a, b) => b - a)
  const half = lines.reduce((sum, each) => sum + each, 0) / 2
  let [sum, authors] = [0, 0]
  for (const each of lines) {
    if (sum > half || each === 0) break
    sum += each
    authors++
  }
  return authors
}

/** Changed lines by author, and the number of commits, merges left out. Golden and locked files are not written by hand. */
function authorship(root, since) {
  const linesOf = new Map()
  let [commits, author] = [0, ""]
  const log = git(root, "log", "--no-merges", `--since=${since}`, "--numstat", `--format=${UNIT}%aN <%aE>`)
  for (const line of log.split("\n")) {
    if (line.startsWith(UNIT)) {
      author = line.slice(1)
      commits++
      linesOf.set(author, linesOf.get(author) ?? 0)
      continue
    }
    const [, added, removed, path = ""] = /^(\d+)\t(\d+)\t(.+)$/.exec(line) ?? []
    if (added === undefined || /golden|package-lock\.json$/.test(path)) continue
    linesOf.set(author, (linesOf.get(author) ?? 0) + Number(added) + Number(removed))
  }
  return { linesOf, commits }
}

/** Milliseconds from the first commit of each merged branch to its merge. */
function lifetimes(root, since) {
  const merges = git(root, "log", "--merges", `--since=${since}`, "--format=%H %ct").split("\n").filter(Boolean)
  return merges.flatMap(line => {
    const [merge = "", mergedS] = line.split(" ")
    const first = git(root, "log", "--format=%at", "--reverse", `${merge}^1..${merge}^2`).split("\n")[0]
    return first ? [(Number(mergedS) - Number(first)) * 1000] : []
  })
}

/** `{ days, commits, authors, busFactor, mergedBranches, medianLifetimeDays }` */
export function projectStats(root, days) {
  const since = `${days} days ago`
  const { linesOf, commits } = authorship(root, since)
  const lived = lifetimes(root, since)
  const middle = median(lived)
  return {
    days,
    commits,
    authors: linesOf.size,
    busFactor: busFactor(linesOf),
    mergedBranches: lived.length,
    medianLifetimeDays: middle === undefined ? undefined : middle / DAY_MS,
  }
}

const shown = ({ days, commits, authors, busFactor, mergedBranches, medianLifetimeDays }) =>
  [
    `Of the last ${days} days:`,
    `  commits                    ${commits}`,
    `  authors                    ${authors}`,
    `  bus factor                 ${busFactor}`,
    `  merged branches            ${mergedBranches}`,
    `  median time until merged   ${medianLifetimeDays === undefined ? "no branch was merged" : `${medianLifetimeDays.toFixed(1)} days`}`,
    "",
  ].join("\n")

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const args = process.argv.slice(2)
  const at = args.indexOf("--days")
  const days = at < 0 ? 365 : Number(args[at + 1])
  if (!Number.isInteger(days) || days < 1) {
    process.stderr.write("project-stats: --days must be a whole number from 1\n")
    process.exit(2)
  }
  const stats = projectStats(fileURLToPath(new URL("..", import.meta.url)), days)
  process.stdout.write(args.includes("--json") ? `${JSON.stringify(stats)}\n` : shown(stats))
}
