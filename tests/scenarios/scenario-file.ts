/**
 * The text of a scenario: blocks of a command, its input, `----` and the expected output, separated by blank lines.
 * Lines between blocks that begin with `#` are comments.
 *
 *     # What the scenario shows.
 *     command word key=value
 *     input line
 *     ----
 *     expected output
 *
 * Promises  `textOf(parseScenario(text))` is the same text, except for replaced outputs.
 */
import { BadScenario } from "./call.js"

const SEPARATOR = "----"

export interface Block {
  /** Comments and blank lines before it. */
  readonly before: readonly string[]
  /** The line of the command, from 1. */
  readonly lineNumber: number
  readonly command: string
  readonly input: readonly string[]
  readonly output: readonly string[]
}

export interface ScenarioText {
  readonly blocks: readonly Block[]
  readonly after: readonly string[]
}

const isBetween = (line: string): boolean => line.trim() === "" || line.startsWith("#")

/** Throws `BadScenario`. */
export function parseScenario(text: string): ScenarioText {
  const lines = text.replace(/\n$/, "").split("\n")
  const blocks: Block[] = []
  let at = 0
  const takeWhile = (isTaken: (line: string) => boolean): readonly string[] => {
    const from = at
    while (at < lines.length && isTaken(lines[at] ?? "")) at += 1
    return lines.slice(from, at)
  }
  for (;;) {
    const before = takeWhile(isBetween)
    if (at >= lines.length) return checked({ blocks, after: before })
    const lineNumber = at + 1
    const [command = "", ...input] = takeWhile(line => line !== SEPARATOR && line.trim() !== "")
    if (lines[at] !== SEPARATOR) throw new BadScenario(`line ${lineNumber}: "${command}" has no ${SEPARATOR} behind it`)
    at += 1
    const output = takeWhile(line => line.trim() !== "")
    blocks.push({ before, lineNumber, command, input, output })
  }
}

function checked(scenario: ScenarioText): ScenarioText {
  const [first] = scenario.blocks
  if (!first) throw new BadScenario("there is no command")
  if (!first.before[0]?.startsWith("# "))
    throw new BadScenario("a scenario begins with a comment that describes what it shows")
  return scenario
}

export function textOf({ blocks, after }: ScenarioText): string {
  const lines = blocks.flatMap(({ before, command, input, output }) => [
    ...before,
    command,
    ...input,
    SEPARATOR,
    ...output,
  ])
  return `${[...lines, ...after].join("\n")}\n`
}

/** Lines of both texts: common ones after two spaces, expected ones after `-`, printed ones after `+`. */
export function difference(expected: readonly string[], printed: readonly string[]): readonly string[] {
  const common = lengthsOfCommon(expected, printed)
  const lines: string[] = []
  let [i, j] = [0, 0]
  while (i < expected.length || j < printed.length) {
    const isSame = i < expected.length && expected[i] === printed[j]
    if (isSame) {
      lines.push(`  ${expected[i]}`)
      i += 1
      j += 1
    } else if (
      i < expected.length &&
      (j === printed.length || (common[i + 1]?.[j] ?? 0) >= (common[i]?.[j + 1] ?? 0))
    ) {
      lines.push(`- ${expected[i]}`)
      i += 1
    } else {
      lines.push(`+ ${printed[j]}`)
      j += 1
    }
  }
  return lines
}

/** At [i][j]: the length of the longest common subsequence of the lines from i and from j. */
function lengthsOfCommon(a: readonly string[], b: readonly string[]): readonly (readonly number[])[] {
  const lengths = Array.from({ length: a.length + 1 }, () => new Array<number>(b.length + 1).fill(0))
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      const longest = Math.max(lengths[i + 1]?.[j] ?? 0, lengths[i]?.[j + 1] ?? 0)
      const row = lengths[i]
      if (row) row[j] = a[i] === b[j] ? 1 + (lengths[i + 1]?.[j + 1] ?? 0) : longest
    }
  }
  return lengths
}
