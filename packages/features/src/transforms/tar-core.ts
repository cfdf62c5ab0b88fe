/**
 * A scanner of tar archives: it says which bytes it needs next, gets them, and says which member they describe. It never
 * needs the content of members, so its reader passes over it.
 *
 * Reads     ustar with prefix, PAX extended headers of one member and of all that follow, GNU's long names and targets,
 *           sizes in base 256, headers of Unix V7. An archive ends with a block of zeros, or where the object ends.
 * As tar    Directories, links, devices and fifos have no content, whatever size is stated. A PAX record counts more
 *           than a GNU long name, that more than the header; of several for one member the last one counts.
 * Sparse    files, and members of kinds that are not known, are passed as such.
 * Promises  A block without the right checksum is never taken for a header. What is passed lies within the object.
 * Refuses   Everything else with `invalidRequest`, which says what is wrong at which offset; compressed archives by name.
 * Limits    Extended headers of `EXTENDED_BYTES_MAX`.
 */
import { assert } from "@hayloft/base/assert.js"
import { fail, type Failure } from "@hayloft/base/failures.js"
import { MIB } from "@hayloft/base/limits.js"
import type { TarKind, TarMember } from "@hayloft/engine/format/objects/tar-index.js"
import type { ByteRange } from "@hayloft/objects/contract.js"
import {
  BLOCK_BYTES,
  brokenAt,
  hasChecksum,
  hasMoreSparse,
  isZeroBlock,
  parsePax,
  parseTarHeader,
  type PaxFields,
  type TarHeader,
} from "./tar-header-core.js"

const EXTENDED_BYTES_MAX = MIB

/** Kinds of members by the type in their header. */
const KINDS: Readonly<Record<string, TarKind>> = {
  "0": "file",
  "1": "hardLink",
  "2": "symlink",
  "3": "characterDevice",
  "4": "blockDevice",
  "5": "directory",
  "6": "fifo",
  "7": "file",
  D: "directory",
  S: "sparse",
}
const TYPES_WITHOUT_CONTENT = "123456"
/** How some compressed files and other archives begin. */
const OTHER_FORMATS: readonly (readonly [string, string])[] = [
  ["1f8b", "is compressed by gzip"],
  ["28b52ffd", "is compressed by zstd"],
  ["fd377a585a00", "is compressed by xz"],
  ["425a68", "is compressed by bzip2"],
  ["04224d18", "is compressed by lz4"],
  ["4c5a4950", "is compressed by lzip"],
  ["1f9d", "is compressed by compress"],
  ["504b0304", "is a zip archive"],
  ["504b0506", "is a zip archive"],
  ["377abcaf271c", "is a 7z archive"],
]

const SLASH = 0x2f
const DOT = 0x2e

/** The headers that precede a member and describe it. */
interface Described {
  /** Offset of the first of these headers. */
  readonly offsetBytes: number
  readonly pax: PaxFields
  readonly longPath: Uint8Array | undefined
  readonly longTarget: Uint8Array | undefined
}

/** The range that the scanner needs next. */
type State =
  | { readonly kind: "header" }
  | { readonly kind: "extended"; readonly type: string; readonly sizeBytes: number; readonly headerAt: number }
  /** Another block of the map of a sparse file, which is kept until the last one is read. */
  | { readonly kind: "sparse"; readonly member: TarMember; readonly storedBytes: number }
  | { readonly kind: "end" }

/** Without any "./" before it. */
export function withoutDotSlash(path: Uint8Array): Uint8Array {
  let from = 0
  while (path[from] === DOT && path[from + 1] === SLASH && from + 2 < path.length) {
    from += 2
    while (path[from] === SLASH && from + 1 < path.length) from += 1
  }
  return path.subarray(from)
}

function withoutSlashBehind(path: Uint8Array): Uint8Array {
  let end = path.length
  while (end > 1 && path[end - 1] === SLASH) end -= 1
  return path.subarray(0, end)
}

function upToZero(data: Uint8Array): Uint8Array {
  const end = data.indexOf(0)
  return Uint8Array.from(end === -1 ? data : data.subarray(0, end))
}

function notTar(start: Uint8Array): Failure {
  const hex = Buffer.from(start.subarray(0, 8)).toString("hex")
  const found = OTHER_FORMATS.find(([magic]) => hex.startsWith(magic))
  const what = found === undefined ? "is not a tar archive: it does not begin with a header" : found[1]
  return fail("invalidRequest", { message: `the object ${what}; only plain tar archives have an index` })
}

export class TarScanner {
  private state: State = { kind: "header" }
  private at = 0
  private described: Described | undefined
  private globals: PaxFields = {}

  constructor(private readonly archiveBytes: number) {
    if (archiveBytes === 0) this.state = { kind: "end" }
  }

  /** The bytes that `take` is to get next; undefined at the end. They lie within the object. */
  get needed(): ByteRange | undefined {
    const { state, at } = this
    if (state.kind === "end") return undefined
    const wantedBytes = state.kind === "extended" ? state.sizeBytes : BLOCK_BYTES
    return { first: at, lengthBytes: Math.min(wantedBytes, this.archiveBytes - at) }
  }

  /**
   * Takes exactly the bytes needed. Returns the member that ends with them, if one does; its bytes may be part of those
   * taken.
   */
  take(bytes: Uint8Array): TarMember | undefined {
    const { state } = this
    assert(state.kind !== "end" && bytes.length === this.needed?.lengthBytes, "the scanner gets what it needs")
    if (state.kind === "extended") return this.takeExtended(bytes, state.type, state.headerAt)
    if (bytes.length < BLOCK_BYTES) return this.takeRest(bytes)
    return state.kind === "header" ? this.takeHeader(bytes) : this.takeSparse(bytes, state.member, state.storedBytes)
  }

  /** Less than a block, at the end of the object. */
  private takeRest(rest: Uint8Array): undefined {
    if (this.at === 0) throw notTar(rest)
    if (this.state.kind === "sparse" || !isZeroBlock(rest)) {
      throw brokenAt(this.at, "the object ends within a header")
    }
    return this.finish()
  }

  private takeHeader(block: Uint8Array): TarMember | undefined {
    const headerAt = this.at
    if (block[0] === 0 && isZeroBlock(block)) return this.finish()
    if (headerAt === 0 && !hasChecksum(block)) throw notTar(block)
    const header = parseTarHeader(block, headerAt)
    this.at += BLOCK_BYTES
    if ("xXgLK".includes(header.type)) return this.beginExtended(header, headerAt)
    const described = this.described
    this.described = undefined
    return this.memberOf(header, headerAt, this.fieldsOf(described), described)
  }

  private fieldsOf(described: Described | undefined): PaxFields {
    return described === undefined ? this.globals : { ...this.globals, ...described.pax }
  }

  private beginExtended({ type, sizeBytes }: TarHeader, headerAt: number): undefined {
    if (sizeBytes > EXTENDED_BYTES_MAX) {
      throw brokenAt(headerAt, `an extended header has ${sizeBytes} bytes, ${EXTENDED_BYTES_MAX} at most`)
    }
    if (sizeBytes > this.archiveBytes - this.at) throw brokenAt(headerAt, "the object ends within an extended header")
    this.described ??= { offsetBytes: headerAt, pax: {}, longPath: undefined, longTarget: undefined }
    this.state = { kind: "extended", type, sizeBytes, headerAt }
    // Then nothing is needed, and there is nothing to take.
    if (sizeBytes === 0) this.takeExtended(new Uint8Array(0), type, headerAt)
  }

  private takeExtended(data: Uint8Array, type: string, headerAt: number): undefined {
    const described = this.described
    assert(described !== undefined, "an extended header describes a member")
    if (type === "g") {
      this.globals = parsePax(data, headerAt, this.globals)
      // Alone it describes no member in particular.
      if (described.offsetBytes === headerAt) this.described = undefined
    } else if (type === "L") this.described = { ...described, longPath: upToZero(data) }
    else if (type === "K") this.described = { ...described, longTarget: upToZero(data) }
    else this.described = { ...described, pax: parsePax(data, headerAt, described.pax) }
    this.pass(data.length)
  }

  private memberOf(header: TarHeader, headerAt: number, pax: PaxFields, described: Described | undefined) {
    const { type, sparse } = header
    const kind = kindOf(header, pax)
    const name = pax.sparsePath ?? pax.path ?? described?.longPath ?? header.path
    const isDirectory = kind === "directory" || (kind === "file" && name[name.length - 1] === SLASH)
    const path = withoutDotSlash(isDirectory ? withoutSlashBehind(name) : name)
    if (path.length === 0) throw brokenAt(headerAt, "a member has no name")
    const storedBytes = TYPES_WITHOUT_CONTENT.includes(type) ? 0 : (pax.sizeBytes ?? header.sizeBytes)
    const isLink = kind === "hardLink" || kind === "symlink"
    const member: TarMember = {
      path,
      kind: isDirectory ? "directory" : kind,
      sizeBytes: isDirectory ? 0 : (pax.sparseSizeBytes ?? sparse?.sizeBytes ?? storedBytes),
      modifiedMs: pax.modifiedMs ?? header.modifiedMs,
      offsetBytes: this.at,
      linkTarget: isLink ? (pax.linkTarget ?? described?.longTarget ?? header.linkTarget) : undefined,
    }
    if (sparse?.hasMore !== true) return this.passContent(member, storedBytes, headerAt)
    // Its bytes are part of the block, which is gone when the next one comes.
    this.state = { kind: "sparse", member: { ...member, path: Uint8Array.from(path) }, storedBytes }
    this.checkMore(headerAt)
    return undefined
  }

  private takeSparse(block: Uint8Array, member: TarMember, storedBytes: number): TarMember | undefined {
    const headerAt = this.at
    this.at += BLOCK_BYTES
    if (!hasMoreSparse(block)) return this.passContent({ ...member, offsetBytes: this.at }, storedBytes, headerAt)
    this.checkMore(headerAt)
    return undefined
  }

  private checkMore(headerAt: number): void {
    if (this.at >= this.archiveBytes) throw brokenAt(headerAt, "the object ends within the map of a sparse file")
  }

  private passContent(member: TarMember, storedBytes: number, headerAt: number): TarMember {
    if (storedBytes > this.archiveBytes - this.at) {
      throw brokenAt(headerAt, `the object ends within a member of ${storedBytes} bytes`)
    }
    this.pass(storedBytes)
    return member
  }

  /** Passes so many bytes and fills up the block. What fills the last one may be absent. */
  private pass(lengthBytes: number): undefined {
    this.at += Math.ceil(lengthBytes / BLOCK_BYTES) * BLOCK_BYTES
    this.state = { kind: "header" }
    if (this.at >= this.archiveBytes) this.finish()
  }

  private finish(): undefined {
    if (this.described !== undefined) {
      throw brokenAt(this.described.offsetBytes, "an extended header is not followed by its member")
    }
    this.state = { kind: "end" }
  }
}

function kindOf({ type }: TarHeader, pax: PaxFields): TarKind {
  const kind = KINDS[type] ?? "other"
  return kind === "file" && pax.isSparse === true ? "sparse" : kind
}
