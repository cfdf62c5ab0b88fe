/**
 * Bulk operations of Swift: the names to delete, the members of an archive to store, and the report in the body. Pure.
 *
 * Promises  Objects are deleted before containers, whatever the order of the lines. A report names each failure, with the
 *           path percent-encoded and the status.
 * Limits    `BULK_LIMITS`.
 * Source    `common/middleware/bulk.py`, and `get_heartbeat_response_body`, OpenStack Swift.
 */
import { fail } from "@hayloft/base/failures.js"
import { bytesOfByteString } from "@hayloft/base/ids.js"
import { KIB, MIB } from "@hayloft/base/limits.js"
import { percentEncode } from "@hayloft/base/http/uri.js"
import { escapedText } from "../markup-core.js"
import type { UploadedTarMember } from "./tar-core.js"
import { byteStringOfBytes } from "@hayloft/base/bytes.js"
import { withoutOuter } from "@hayloft/base/text/trailing.js"

export const BULK_LIMITS = {
  deletionsMax: 10_000,
  failuresMax: 1_000,
  containersMax: 10_000,
  /** The limit is for a container and an object, with slashes. */
  pathBytesMax: 1024 + 256 + 2,
  /** Bytes of an unpacked archive that are no content of a stored file. */
  unstoredBytesMax: 64 * MIB,
  /** Each byte of the body permits so many more: an archive that is not compressed has no limit but that of the body. */
  unstoredRatioMax: 20,
  /** Each file permits so many more, for its headers. */
  headerBytes: 4 * KIB,
} as const

/**
 * The bytes that an archive has unpacked to. Compressed zeros of less than a kilobyte unpack to gigabytes: those that are stored
 * count in quotas, others would cost a client nothing.
 */
export class UnpackedBytes {
  private left: number = BULK_LIMITS.unstoredBytesMax

  received(bytes: number): void {
    this.left += BULK_LIMITS.unstoredRatioMax * bytes
  }

  /** Throws `invalidRequest` if too many bytes are not stored. */
  unpacked(bytes: number): void {
    this.left -= bytes
    if (this.left < 0)
      throw fail("invalidRequest", { message: "Invalid Tar File: it unpacks to too much that is no file" })
  }

  beginFile(): void {
    this.left += BULK_LIMITS.headerBytes
  }

  stored(bytes: number): void {
    this.left += bytes
  }
}

/** Byte strings; without an object it is a container. */
interface BulkTarget {
  readonly container: string
  readonly object: string | undefined
}

/** The entry of a report for a path that failed. */
type BulkError = readonly [path: string, status: string]

const isText = (byteString: string): boolean => {
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(bytesOfByteString(byteString))
    return true
  } catch {
    return false
  }
}

const LINE_END = 0x0a

/** Collects the lines of a bulk delete as its body arrives. */
export class DeletionLines {
  private readonly names: string[] = []
  private rest = ""

  /** Throws `entityTooLarge` for too many lines, `invalidRequest` for a line that is too long. */
  push(bytes: Uint8Array): void {
    let from = 0
    for (let end = bytes.indexOf(LINE_END); end >= 0; end = bytes.indexOf(LINE_END, from)) {
      this.take(this.rest + byteStringOfBytes(bytes.subarray(from, end)))
      this.rest = ""
      from = end + 1
    }
    this.rest += byteStringOfBytes(bytes.subarray(from))
    // An encoded byte has three characters.
    if (this.rest.length > 3 * BULK_LIMITS.pathBytesMax) throw fail("invalidRequest", { message: "Invalid File Name" })
  }

  /** The names in the order in which they are to be deleted. Throws as `push`. */
  end(): readonly string[] {
    this.take(this.rest)
    this.rest = ""
    return [...this.names.filter(name => !isContainerName(name)), ...this.names.filter(isContainerName)]
  }

  private take(line: string): void {
    if (line.length > 3 * BULK_LIMITS.pathBytesMax) throw fail("invalidRequest", { message: "Invalid File Name" })
    const name = unquoted(line.trim())
    if (name === "") return
    if (this.names.length === BULK_LIMITS.deletionsMax)
      throw fail("entityTooLarge", { message: `Maximum Bulk Deletes: ${BULK_LIMITS.deletionsMax} per request` })
    this.names.push(name)
  }
}

/** Returns true if the name is that of a container, which goes after the objects. */
export const isContainerName = (name: string): boolean => !withoutOuter(name, "/").includes("/")

/** Decodes what is encoded; a percent sign that begins no escape stays, as in Swift. */
const unquoted = (text: string): string =>
  text.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)))

/** Returns what a name addresses; the status of its failure for one that addresses nothing. */
function targetOf(name: string): BulkTarget | string {
  const path = name.replace(/^\/+/, "")
  if (!isText(path)) return "412 Precondition Failed"
  const slash = path.indexOf("/")
  const [container, object] = slash < 0 ? [path, ""] : [path.slice(0, slash), path.slice(slash + 1)]
  if (container === "") return "400 Bad Request"
  return { container, object: object === "" ? undefined : object }
}

type BulkStep = { readonly target: BulkTarget; readonly path: string } | { readonly error: BulkError }

/** Returns what is to be done for a line. */
export function deletionOf(name: string): BulkStep {
  const target = targetOf(name)
  const path = percentEncode(name, true)
  return typeof target === "string" ? { error: [path, target] } : { target, path }
}

/**
 * Returns what is to be done for a member of an archive; undefined: nothing, it is no file or names no container.
 * `base`: the path that the request addresses below the account, a byte string.
 */
export function extractionOf({ kind, name }: UploadedTarMember, base: string): BulkStep | undefined {
  if (kind === "other") return undefined
  const below = name.replace(/^\.\//, "").replace(/^\/+/, "")
  const root = withoutOuter(base, "/")
  const full = root === "" ? below : `${root}/${below}`
  if (!full.includes("/")) return undefined
  const path = percentEncode(full.slice(0, BULK_LIMITS.pathBytesMax), true)
  if (kind === "sparse") return { error: [path, "501 Not Implemented"] }
  const target = targetOf(full)
  if (typeof target === "string") return { error: [path, target] }
  return target.object === undefined ? { error: [path, "400 Bad Request"] } : { target, path }
}

const MIME_TYPE = /^(?:SCHILY|LIBARCHIVE)\.xattr\.user\.mime_type$/
const METADATA = /^(?:SCHILY|LIBARCHIVE)\.xattr\.user\.meta\.(.+)$/

/** The headers with which a member is stored, from its extended attributes; names in lower case. */
export function headersOfMember({
  attributes,
}: UploadedTarMember): readonly (readonly [name: string, value: string])[] {
  return [...attributes].flatMap(([key, value]): (readonly [string, string])[] => {
    if (MIME_TYPE.test(key)) return [["content-type", value]]
    const [, name] = METADATA.exec(key) ?? []
    return name === undefined ? [] : [[`x-object-meta-${name.toLowerCase()}`, value]]
  })
}

/** `extract-archive`. Throws `invalidRequest`. */
export function archiveFormatOf(value: string): "tar" | "tar.gz" | "tar.bz2" {
  const format = withoutOuter(value.toLowerCase(), ".")
  if (format === "tar" || format === "tar.gz" || format === "tar.bz2") return format
  throw fail("invalidRequest", { message: "Unsupported archive format" })
}

type ReportFormat = "plain" | "json" | "xml"

interface BulkReport {
  /** The name of the report in XML. */
  readonly root: "delete" | "extract" | "upload"
  /** `Response Status`, `Response Body` and numbers, by name. */
  readonly members: readonly (readonly [name: string, value: string | number])[]
  readonly errors: readonly BulkError[]
}

const byName = <Value>([a]: readonly [string, Value], [b]: readonly [string, Value]): number => (a < b ? -1 : 1)

/** The body with which a bulk operation ends. */
export function writeReport({ root, members, errors }: BulkReport, format: ReportFormat): string {
  if (format === "json") return JSON.stringify({ ...Object.fromEntries(members), Errors: errors })
  const sorted = [...members].sort(byName)
  if (format === "plain") {
    const lines = sorted.map(([name, value]) => `${name}: ${value}\n`)
    return [...lines, "Errors:\n", ...errors.map(([path, status]) => `${path}, ${status}\n`)].join("")
  }
  const elements = sorted.map(([name, value]) => {
    const tag = name.replaceAll(" ", "_").toLowerCase()
    return `<${tag}>${escapedText(String(value))}</${tag}>\n`
  })
  const failed = errors.map(
    ([path, status]) => `<object><name>${escapedText(path)}</name><status>${escapedText(status)}</status></object>\n`,
  )
  const inner = [...elements, "<errors>\n", ...failed, "</errors>\n"].join("")
  return `<?xml version="1.0" encoding="UTF-8"?>\n<${root}>\n${inner}</${root}>\n`
}

const statusOfErrors = (errors: readonly BulkError[]): string =>
  errors.some(([, status]) => status.startsWith("5")) ? "502 Bad Gateway" : "400 Bad Request"

/** `failure`: what ended the operation early, as a status and a text. */
interface BulkOutcome {
  readonly errors: readonly BulkError[]
  readonly failure?: { readonly status: string; readonly text: string } | undefined
}

const reportOf = (
  { errors, failure }: BulkOutcome,
  root: BulkReport["root"],
  counts: BulkReport["members"],
  whenNothing: string,
  success: string,
): BulkReport => {
  const isNothing = errors.length === 0 && counts.every(([, count]) => count === 0)
  const status = errors.length > 0 ? statusOfErrors(errors) : isNothing ? "400 Bad Request" : success
  const members = [
    ["Response Status", failure?.status ?? status],
    ["Response Body", failure?.text ?? (isNothing ? whenNothing : "")],
    ...counts,
  ] as const
  return { root, members, errors }
}

export const reportOfDeletion = (
  outcome: BulkOutcome & { readonly deleted: number; readonly notFound: number },
): BulkReport =>
  reportOf(
    outcome,
    "delete",
    [
      ["Number Deleted", outcome.deleted],
      ["Number Not Found", outcome.notFound],
    ],
    "Invalid bulk delete.",
    "200 OK",
  )

export const reportOfExtraction = (outcome: BulkOutcome & { readonly created: number }): BulkReport =>
  reportOf(
    outcome,
    "extract",
    [["Number Files Created", outcome.created]],
    "Invalid Tar File: No Valid Files",
    "201 Created",
  )
