/** Text of reports for people: times, columns, labels, shell quoting. Pure. */

/** `2026-01-02 03:04:05Z`, in UTC. */
export const timeText = (timeMs: number): string => `${new Date(timeMs).toISOString().slice(0, 19).replace("T", " ")}Z`

/**
 * Cells in columns, two spaces between them. `widths` are the least widths: of columns that go on in further calls, such
 * as the pages of a long list.
 */
export function rowsText(rows: readonly (readonly string[])[], widths: readonly number[] = []): string {
  const columns = Math.max(0, ...rows.map(row => row.length))
  const widest = Array.from({ length: columns }, (_, column) =>
    Math.max(widths[column] ?? 0, ...rows.map(row => row[column]?.length ?? 0)),
  )
  const line = (row: readonly string[]) => row.map((cell, column) => cell.padEnd(widest[column] ?? 0)).join("  ")
  return rows.map(row => `${line(row).trimEnd()}\n`).join("")
}

/** Every table of the command line: rows below a head in capitals; or facts, with what they are about as the head. */
export const tableText = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  rowsText([head, ...rows])

const LABEL_CELLS = 11

/** A line of a report such as `status`: what it is about, and the text. A line that continues has an empty label. */
export const labelled = (label: string, text: string): string => `${label.padEnd(LABEL_CELLS)} ${text}`

/** Text as one word of a POSIX shell. */
export const shellWord = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`

/** Control characters of a name as `\xNN`, so that a listing cannot control a terminal. */
export const printable = (text: string): string =>
  text.replace(/[\x00-\x1f\x7f-\x9f]/g, character => `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`)
