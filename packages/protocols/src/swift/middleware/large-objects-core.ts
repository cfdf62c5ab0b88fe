/**
 * Large objects of Swift: a static one (SLO) is a list of segments that was checked when it was written, a dynamic one (DLO)
 * all objects whose names begin with a prefix. Pure.
 *
 * Promises  A manifest that is accepted names segments that existed with these sizes and ETags, and its size and ETag are
 *           those of the bytes that a reader gets.
 * Refuses   `invalidRequest` with all faults of a manifest, one a line, as Swift words them; `entityTooLarge` over a limit;
 *           segments that a reader could not open, since they are nested too deep.
 * Source    `common/middleware/slo.py` and `dlo.py`, OpenStack Swift.
 */
import { createHash } from "node:crypto"
import { fail } from "@hayloft/base/failures.js"
import { byteStringOfText, textOfObjectKey } from "@hayloft/base/ids.js"
import { GIB, MIB } from "@hayloft/base/limits.js"
import { percentDecode, percentEncode } from "@hayloft/base/http/uri.js"
import {
  lengthOfSegment,
  type ByteSpan,
  type Segment,
  type SegmentObject,
} from "@hayloft/engine/format/objects/segment-list.js"
import type { LargeObject } from "@hayloft/engine/format/objects/version-record.js"
import { LARGE_OBJECT_LIMITS } from "@hayloft/objects/index.js"
import { isJsonObject, type JsonObject } from "@hayloft/base/json.js"

export const MANIFEST_LIMITS = {
  manifestBytesMax: 8 * MIB,
  segmentsMax: 1000,
  /** The limit is for all segments together: as an object of S3. */
  objectBytesMax: 5 * 1024 * GIB,
} as const

/** The range of a whole object, as the manifest asks for it. */
type AskedRange =
  | { readonly kind: "fromTo"; readonly first: number; readonly last: number | undefined }
  | { readonly kind: "suffix"; readonly lengthBytes: number }

/** Container and object are byte strings. */
type Place = Pick<SegmentObject, "container" | "key">

/** A segment as a manifest that is put names it. */
export type AskedSegment =
  | { readonly kind: "data"; readonly bytes: Uint8Array }
  | {
      readonly kind: "object"
      readonly place: Place
      readonly etag: string | undefined
      readonly sizeBytes: number | undefined
      readonly range: AskedRange | undefined
    }

/** The object that a segment names, as clients see it: of a large object, the size and the ETag of its bytes. */
export interface FoundObject extends Pick<SegmentObject, "sizeBytes" | "etag" | "contentType" | "lastModifiedMs"> {
  /** Large objects within one another; 0: it is no large object. */
  readonly levels: number
}

const digestOf = (bytes: Uint8Array | string): Buffer => createHash("md5").update(bytes).digest()
export const md5Of = (bytes: Uint8Array | string): string => digestOf(bytes).toString("hex")
const base64Of = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64")
const pathOf = ({ container, key }: Place): string => `/${container}/${key}`

/** The text has no blanks at its ends. */
const RANGE = /^(\d{0,15})\s*-\s*(\d{0,15})$/
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}(?:==)?|[A-Za-z0-9+/]{3}=?)?$/

/** Returns undefined if the text is no range. */
function readRange(text: string): AskedRange | undefined {
  const [, first = "", last = ""] = RANGE.exec(text.trim()) ?? []
  if (first === "") return last === "" ? undefined : { kind: "suffix", lengthBytes: Number(last) }
  if (last === "") return { kind: "fromTo", first: Number(first), last: undefined }
  return Number(last) < Number(first) ? undefined : { kind: "fromTo", first: Number(first), last: Number(last) }
}

/** The bytes of an object that a range means; undefined: none. */
function spanOf(range: AskedRange, sizeBytes: number): ByteSpan | undefined {
  if (range.kind === "suffix") {
    if (range.lengthBytes === 0 || sizeBytes === 0) return undefined
    return { first: Math.max(0, sizeBytes - range.lengthBytes), last: sizeBytes - 1 }
  }
  if (range.first >= sizeBytes) return undefined
  return { first: range.first, last: Math.min(range.last ?? Infinity, sizeBytes - 1) }
}

const KEYS_OF_OBJECTS: readonly string[] = ["path", "etag", "size_bytes", "range"]
const TOO_SMALL = "too small; each segment must be at least 1 byte."

/** Entries of a manifest that is being parsed: the fault of an entry is a text. */
class ManifestEntry {
  constructor(
    private readonly value: JsonObject,
    private readonly isLast: boolean,
    private readonly own: Place,
  ) {}

  parse(): AskedSegment | string {
    const { value } = this
    if ("data" in value) return this.faultOfKeys(["data"]) ?? this.data(value["data"])
    if ("path" in value) return this.faultOfKeys(KEYS_OF_OBJECTS) ?? this.object(value["path"])
    return "expected keys to include one of 'data' or 'path'"
  }

  private faultOfKeys(allowed: readonly string[]): string | undefined {
    const extraneous = Object.keys(this.value).filter(key => !allowed.includes(key))
    return extraneous.length === 0
      ? undefined
      : `extraneous keys ${extraneous
          .sort()
          .map(key => JSON.stringify(key))
          .join(", ")}`
  }

  private data(value: unknown): AskedSegment | string {
    if (typeof value !== "string" || !BASE64.test(value)) return "data must be valid base64"
    const bytes = Buffer.from(value, "base64")
    return bytes.length === 0 ? TOO_SMALL : { kind: "data", bytes }
  }

  private object(path: unknown): AskedSegment | string {
    if (typeof path !== "string") return '"path" must be a string'
    const { etag, size_bytes: size, range: rangeText } = this.value
    if (etag !== undefined && etag !== null && typeof etag !== "string")
      return '"etag" must be a string or null (if provided)'
    const [, container, key] = /^\/*([^/]+)\/(.+)$/s.exec(byteStringOfText(path)) ?? []
    if (container === undefined || key === undefined || /^\/*$/.test(key))
      return "path does not refer to an object. Path must be of the form /container/object."
    const sizeBytes = sizeOf(size)
    if (Number.isNaN(sizeBytes)) return "invalid size_bytes"
    if (sizeBytes !== undefined && sizeBytes < 1 && !this.isLast) return TOO_SMALL
    if (container === this.own.container && key === this.own.key) return "manifest must not include itself as a segment"
    const range = this.range(rangeText, sizeBytes)
    if (typeof range === "string") return range
    return { kind: "object", place: { container, key }, etag: etag ?? undefined, sizeBytes, range }
  }

  private range(value: unknown, sizeBytes: number | undefined): AskedRange | string | undefined {
    if (value === undefined || value === null || value === "") return undefined
    if (typeof value !== "string") return "invalid range"
    if (value.includes(",")) return "multiple ranges (only one allowed)"
    const range = readRange(value)
    if (range === undefined) return "invalid range"
    return sizeBytes !== undefined && spanOf(range, sizeBytes) === undefined ? "unsatisfiable range" : range
  }
}

/** NaN for a value that is no size. */
function sizeOf(value: unknown): number | undefined {
  if (value === undefined || value === null) return undefined
  const size = typeof value === "string" && /^\d{1,15}$/.test(value) ? Number(value) : value
  return typeof size === "number" && Number.isSafeInteger(size) && size >= 0 ? size : NaN
}

function jsonOf(body: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body))
  } catch {
    throw fail("invalidRequest", { message: "Manifest must be valid JSON.\n" })
  }
}

/** A manifest that is put. `own`: where. Throws `invalidRequest` with all its faults, and `entityTooLarge`. */
export function parseManifest(body: Uint8Array, own: Place): readonly AskedSegment[] {
  const { manifestBytesMax, segmentsMax } = MANIFEST_LIMITS
  if (body.length > manifestBytesMax)
    throw fail("entityTooLarge", { message: `Manifest File > ${manifestBytesMax} bytes` })
  const entries = jsonOf(body)
  if (!Array.isArray(entries)) throw fail("invalidRequest", { message: "Manifest must be a list.\n" })
  if (entries.length === 0) throw fail("invalidRequest", { message: "Manifest must have at least one segment.\n" })
  const parsed = entries.map((entry: unknown, index): AskedSegment | string =>
    isJsonObject(entry) ? new ManifestEntry(entry, index === entries.length - 1, own).parse() : "not a JSON object",
  )
  const segments = parsed.filter(segment => typeof segment !== "string")
  const faults = parsed.flatMap((segment, index) => (typeof segment === "string" ? [`Index ${index}: ${segment}`] : []))
  const objects = segments.filter(({ kind }) => kind === "object").length
  if (faults.length === 0 && segments.length > 0 && objects === 0)
    faults.push("Inline data segments require at least one object-backed segment.")
  if (faults.length > 0) throw fail("invalidRequest", { message: faults.map(fault => `${fault}\n`).join("") })
  if (objects > segmentsMax)
    throw fail("entityTooLarge", { message: `Number of object-backed segments must be <= ${segmentsMax}` })
  return segments
}

/** A segment that cannot be used: its path, percent-encoded, and why. */
export type SegmentProblem = readonly [path: string, problem: string]

/** The largest number of large objects within one another below a manifest. */
export const levelsOf = (found: readonly (FoundObject | string | undefined)[]): number =>
  found.reduce((most, each) => Math.max(most, typeof each === "object" ? each.levels : 0), 0)

/** `found`: of the object; a text: the status with which it was not found, like "404 Not Found". */
export function checkSegment(
  asked: AskedSegment,
  found: FoundObject | string | undefined,
  isLast: boolean,
): Segment | readonly SegmentProblem[] {
  if (asked.kind === "data") return asked
  const { place, etag, sizeBytes, range } = asked
  const path = percentEncode(pathOf(place), true)
  const { nestingMax } = LARGE_OBJECT_LIMITS
  if (found === undefined || typeof found === "string") return [[path, found ?? "404 Not Found"]]
  const span = range && spanOf(range, found.sizeBytes)
  const isSmall = range === undefined && found.sizeBytes < 1 && !isLast
  const problems = [
    range !== undefined && span === undefined && "Unsatisfiable Range",
    isSmall && "Too small; each segment must be at least 1 byte.",
    found.levels >= nestingMax && `Large objects are nested more than ${nestingMax} deep.`,
    sizeBytes !== undefined && sizeBytes !== found.sizeBytes && "Size Mismatch",
    etag !== undefined && etag.replace(/^"(.*)"$/, "$1") !== found.etag && "Etag Mismatch",
  ].filter(problem => problem !== false)
  if (problems.length > 0) return problems.map((problem): SegmentProblem => [path, problem])
  const isWhole = span === undefined || (span.first === 0 && span.last === found.sizeBytes - 1)
  const { levels, ...facts } = found
  return { ...facts, kind: "object", isLarge: levels > 0, ...place, span: isWhole ? undefined : span }
}

/** Throws `entityTooLarge` for more bytes than an object may have. */
function sizeOfManifest(segments: readonly Segment[]): number {
  const { objectBytesMax } = MANIFEST_LIMITS
  const sizeBytes = segments.reduce((sum, segment) => sum + lengthOfSegment(segment), 0)
  if (sizeBytes <= objectBytesMax) return sizeBytes
  const message = `The segments have more than ${objectBytesMax} bytes together`
  throw fail("entityTooLarge", { message, maxSizeAllowedBytes: objectBytesMax })
}

const textOfSpan = ({ first, last }: ByteSpan): string => `${first}-${last}`

/** The MD5 of the ETags of the segments, which is the ETag of the large object. */
const md5OfManifest = (segments: readonly Segment[]): Buffer =>
  digestOf(
    segments
      .map(segment => {
        if (segment.kind === "data") return md5Of(segment.bytes)
        return segment.span === undefined ? segment.etag : `${segment.etag}:${textOfSpan(segment.span)};`
      })
      .join(""),
  )

/** `levels`: of the segments. Throws `entityTooLarge`. */
export const largeObjectOf = (segments: readonly Segment[], levels = 0): LargeObject => ({
  sizeBytes: sizeOfManifest(segments),
  md5: md5OfManifest(segments),
  parts: segments.length,
  ...(levels > 0 && { levels: levels + 1 }),
})

const dateText = (timeMs: number): string => `${new Date(timeMs).toISOString().slice(0, -1)}000`

/** The manifest as `multipart-manifest=get` shows it. */
export const shownManifest = (segments: readonly Segment[]): string =>
  JSON.stringify(
    segments.map(segment => {
      if (segment.kind === "data") return { data: base64Of(segment.bytes) }
      const { sizeBytes, etag, contentType, lastModifiedMs, isLarge, span } = segment
      return {
        name: textOfObjectKey(pathOf(segment)),
        bytes: sizeBytes,
        hash: etag,
        content_type: textOfObjectKey(contentType),
        last_modified: dateText(lastModifiedMs),
        ...(span && { range: textOfSpan(span) }),
        ...(isLarge && { sub_slo: true }),
      }
    }),
  )

/** The manifest in the form in which it can be put again: `format=raw`. */
export const rawManifest = (segments: readonly Segment[]): string =>
  JSON.stringify(
    segments.map(segment => {
      if (segment.kind === "data") return { data: base64Of(segment.bytes) }
      const { sizeBytes, etag, span } = segment
      const range = span && { range: textOfSpan(span) }
      return { etag, path: textOfObjectKey(pathOf(segment)), ...range, size_bytes: sizeBytes }
    }),
  )

/** `X-Object-Manifest`: the segments of a dynamic large object. Byte strings. Throws `invalidRequest`, `invalidUri`. */
export function parseDynamicManifest(value: string): { readonly container: string; readonly prefix: string } {
  const [, container, prefix] = /^([^/?&]+)\/([^/?&][^?&]*)$/s.exec(percentDecode(value)) ?? []
  if (container !== undefined && prefix !== undefined) return { container, prefix }
  throw fail("invalidRequest", { message: "X-Object-Manifest must be in the format container/prefix" })
}

/** The ETag of a dynamic large object, without quotes, from those of its segments. */
export const etagOfDynamic = (etags: readonly string[]): string => md5Of(etags.join(""))
