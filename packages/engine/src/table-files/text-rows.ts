/**
 * Text rows: batches of rows for a build, from the bytes of a text.
 *
 * Limits    A line has up to `TABLE_FILE_LIMITS.lineBytesMax` bytes; a batch is a few lines more than one piece of the input has.
 * Refuses   Values of different kinds in one text, and text that is no UTF-8 where text is expected.
 */
import { fail } from "@hayloft/base/failures.js"
import type { InputRow } from "./build-table.js"
import { textOfBytes, type ValueKind } from "./contract.js"
import { TABLE_FILE_LIMITS } from "./limits.js"
import { quotesOfCsv, rowOf, type TextFormat } from "./text-core.js"

const LINE_FEED = 0x0a
const RETURN = 0x0d

interface Line {
  readonly bytes: Buffer
  readonly number: number
}

/** The kind of all values, and the rows. Throws `invalidArgument`, which names the line. */
export async function textRows(
  format: TextFormat,
  input: AsyncIterable<Uint8Array>,
): Promise<{ readonly values: ValueKind; readonly rows: AsyncIterable<readonly InputRow[]> }> {
  const batches = rowBatches(format, input)
  const first = await batches.next()
  const none = format === "ndjson" ? "json" : "text"
  if (first.done === true) return { values: none, rows: following([], batches) }
  return { values: first.value.values, rows: following([first.value], batches) }
}

interface Batch {
  readonly values: ValueKind
  readonly rows: readonly InputRow[]
}

async function* following(first: readonly Batch[], rest: AsyncIterable<Batch>): AsyncGenerator<readonly InputRow[]> {
  for (const { rows } of first) yield rows
  for await (const { rows } of rest) yield rows
}

async function* rowBatches(format: TextFormat, input: AsyncIterable<Uint8Array>): AsyncGenerator<Batch, void> {
  let values: ValueKind | undefined
  for await (const lines of lineBatches(input, format === "csv" ? quotesOfCsv : undefined)) {
    const rows = lines.flatMap(({ bytes, number }): InputRow[] => {
      // An empty line has no row.
      if (bytes.length === 0) return []
      const row = rowOf(format, bytes, number)
      values ??= row.valueKind
      if (row.valueKind !== values)
        throw fail("invalidArgument", {
          message: `line ${number}: its value is ${row.valueKind}, and those before are ${values}: a table has values of one kind`,
        })
      if (values === "text" && (textOfBytes(row.key) === undefined || textOfBytes(row.value) === undefined))
        throw fail("invalidArgument", { message: `line ${number}: it is not UTF-8; use NDJSON with key64 and value64` })
      return [{ key: row.key, value: row.value, line: number }]
    })
    if (values !== undefined) yield { values, rows }
  }
}

/**
 * Lines without their ends; `quotesOf`: how many quotes a part of a line has, of which an odd number lets it go on with the next one. Each byte
 * is looked at once, however many lines and pieces a quoted field has.
 */
async function* lineBatches(
  input: AsyncIterable<Uint8Array>,
  quotesOf: ((bytes: Uint8Array) => number) | undefined,
): AsyncGenerator<readonly Line[]> {
  let rest: Buffer = Buffer.alloc(0)
  // The state of the incomplete line: its number, how many lines it spans, how far its quotes are counted, and whether
  // one is open.
  let [number, count, counted, isOpen] = [1, 1, 0, false]
  for await (const piece of input) {
    const bytes = rest.length === 0 ? Buffer.from(piece) : Buffer.concat([rest, piece])
    const lines: Line[] = []
    let from = 0
    for (let end = bytes.indexOf(LINE_FEED, rest.length); end >= 0; end = bytes.indexOf(LINE_FEED, end + 1)) {
      if (quotesOf !== undefined && quotesOf(bytes.subarray(counted, end)) % 2 === 1) isOpen = !isOpen
      counted = end + 1
      if (isOpen) {
        count += 1
        continue
      }
      lines.push({ bytes: bytes.subarray(from, bytes[end - 1] === RETURN && end > from ? end - 1 : end), number })
      number += count
      count = 1
      from = end + 1
    }
    rest = bytes.subarray(from)
    counted = Math.max(0, counted - from)
    if (rest.length > TABLE_FILE_LIMITS.lineBytesMax) throw tooLong(number, isOpen)
    if (lines.length > 0) yield lines
  }
  if (rest.length > 0) yield [{ bytes: rest, number }]
}

const tooLong = (line: number, isOpen: boolean) =>
  fail("invalidArgument", {
    message: isOpen
      ? `line ${line}: a quoted field does not end within ${TABLE_FILE_LIMITS.lineBytesMax} bytes; is there a stray quote?`
      : `line ${line}: it has more than ${TABLE_FILE_LIMITS.lineBytesMax} bytes`,
  })
