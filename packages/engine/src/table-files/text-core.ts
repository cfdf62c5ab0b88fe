/**
 * Rows of text: lines of NDJSON, TSV and CSV as keys and values. Pure.
 *
 * NDJSON: `{"key": TEXT, "value": ANY}`; `key64` and `value64` are bytes in base64. TSV: the key, a tab, and the rest of the
 * line. CSV: two fields, quoted as in RFC 4180.
 */
import { fail, type Failure } from "@hayloft/base/failures.js"
import type { ValueKind } from "../format/tables/user-table.js"

export const TEXT_FORMATS = ["ndjson", "tsv", "csv"] as const
export type TextFormat = (typeof TEXT_FORMATS)[number]

/** A row of a text, and what its value is. */
interface TextRow {
  readonly key: Buffer
  readonly value: Buffer
  readonly valueKind: ValueKind
}

const TAB = 0x09
const QUOTE = 0x22
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}(?:==)?|[A-Za-z0-9+/]{3}=?)?$/
const LONG_NUMBER = /\d{16}/

const wrong = (line: number, reason: string): Failure => fail("invalidArgument", { message: `line ${line}: ${reason}` })

/** Throws `invalidArgument`, which names the line. */
export function rowOf(format: TextFormat, bytes: Buffer, line: number): TextRow {
  if (format === "ndjson") return rowOfJson(bytes, line)
  return format === "tsv" ? rowOfTsv(bytes, line) : rowOfCsv(bytes, line)
}

/**
 * Counts the quotes in a part of a CSV row: behind an odd number of quotes a field is open, and the row goes on behind
 * the end of the line.
 */
export function quotesOfCsv(bytes: Uint8Array): number {
  let quotes = 0
  for (let at = bytes.indexOf(QUOTE); at >= 0; at = bytes.indexOf(QUOTE, at + 1)) quotes += 1
  return quotes
}

function rowOfJson(bytes: Buffer, line: number): TextRow {
  const text = bytes.toString("utf8")
  const row = parsed(text, line)
  const { key, key64, value, value64, ...others } = row
  const [other] = Object.keys(others)
  if (other !== undefined)
    throw wrong(line, `there is a member ${JSON.stringify(other)} beside key, key64, value and value64`)
  const hasKey = "key" in row
  if (hasKey === "key64" in row) throw wrong(line, `it needs either "key" or "key64"`)
  if (hasKey && typeof key !== "string") throw wrong(line, `"key" must be a text`)
  const keyBytes = hasKey ? Buffer.from(String(key), "utf8") : fromBase64(key64, "key64", line)
  const hasValue = "value" in row
  if (hasValue === "value64" in row) throw wrong(line, `it needs either "value" or "value64"`)
  if (!hasValue) return { key: keyBytes, value: fromBase64(value64, "value64", line), valueKind: "bytes" }
  if (LONG_NUMBER.test(text)) checkNumbers(value, line)
  return { key: keyBytes, value: Buffer.from(JSON.stringify(value), "utf8"), valueKind: "json" }
}

function parsed(text: string, line: number): Readonly<Record<string, unknown>> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw wrong(line, `it is no JSON (${error instanceof Error ? error.message : String(error)})`)
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw wrong(line, "it is no JSON object")
  return value as Record<string, unknown>
}

function fromBase64(text: unknown, name: string, line: number): Buffer {
  if (typeof text !== "string" || !BASE64.test(text)) throw wrong(line, `"${name}" must be base64`)
  return Buffer.from(text, "base64")
}

/** Numbers are those of JavaScript: others would be changed. */
function checkNumbers(value: unknown, line: number): void {
  if (typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value))
    throw wrong(line, "a number is beyond 2^53, where digits would be lost: write it as a text")
  if (typeof value === "object" && value !== null) for (const each of Object.values(value)) checkNumbers(each, line)
}

function rowOfTsv(bytes: Buffer, line: number): TextRow {
  const tab = bytes.indexOf(TAB)
  if (tab < 0) throw wrong(line, "there is no tab between a key and a value")
  return { key: bytes.subarray(0, tab), value: bytes.subarray(tab + 1), valueKind: "text" }
}

/** A field, quoted or not, up to a comma or the end. */
const FIELD = /"((?:[^"]|"")*)"(?=,|$)|([^",]*)(?=,|$)/y

function rowOfCsv(bytes: Buffer, line: number): TextRow {
  const text = bytes.toString("utf8")
  const fields: string[] = []
  for (let at = 0; at <= text.length;) {
    FIELD.lastIndex = at
    const match = FIELD.exec(text)
    if (match === null) throw wrong(line, `there is a quote inside a field that is not quoted, or behind a quoted one`)
    fields.push(match[1]?.replaceAll('""', '"') ?? match[2] ?? "")
    at += match[0].length + 1
  }
  const [key, value, ...more] = fields
  if (key === undefined || value === undefined || more.length > 0)
    throw wrong(line, `it has ${fields.length} fields; a key and a value are expected`)
  return { key: Buffer.from(key, "utf8"), value: Buffer.from(value, "utf8"), valueKind: "text" }
}
