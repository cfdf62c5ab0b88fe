/** The differences between two states of the audit log, line by line. */

export interface DiffLine {
  readonly kind: "same" | "removed" | "added"
  readonly text: string
}

/** Longer texts are shown without their common lines. */
const LINES_MAX = 500

function linesOf(json: string | undefined): readonly string[] {
  if (json === undefined) return []
  try {
    return JSON.stringify(JSON.parse(json), undefined, 2).split("\n")
  } catch {
    return json.split("\n")
  }
}

/** By the longest common subsequence of lines. */
export function diffOf(before: string | undefined, after: string | undefined): readonly DiffLine[] {
  const [old, young] = [linesOf(before), linesOf(after)]
  const line = (kind: DiffLine["kind"]) => (text: string) => ({ kind, text })
  if (old.length > LINES_MAX || young.length > LINES_MAX) {
    return [...old.map(line("removed")), ...young.map(line("added"))]
  }
  const width = young.length + 1
  const common = new Uint16Array((old.length + 1) * width)
  const at = (i: number, j: number): number => common[i * width + j] ?? 0
  for (let i = old.length - 1; i >= 0; i -= 1) {
    for (let j = young.length - 1; j >= 0; j -= 1) {
      common[i * width + j] = old[i] === young[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1))
    }
  }
  const lines: DiffLine[] = []
  let [i, j] = [0, 0]
  while (i < old.length || j < young.length) {
    const [a, b] = [old[i], young[j]]
    if (a !== undefined && a === b) {
      lines.push({ kind: "same", text: a })
      i += 1
      j += 1
    } else if (a !== undefined && (b === undefined || at(i + 1, j) >= at(i, j + 1))) {
      lines.push({ kind: "removed", text: a })
      i += 1
    } else {
      lines.push({ kind: "added", text: b ?? "" })
      j += 1
    }
  }
  return lines
}
