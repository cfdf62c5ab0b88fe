/**
 * Archives by their indexes: one member as a range of the archive's bytes, and pages of the list of members.
 *
 * Names     of members are bytes, in requests and lists they are text: UTF-8. A byte that is not UTF-8 is written as GNU tar
 *           shows it, a backslash and three octal digits, and so is a backslash that such digits follow. "./" before a
 *           path makes no difference, nor does "/" behind that of a directory.
 * Memory    `TarIndexes` keeps indexes of `indexBytesMax` in all, those that were used last. A larger one is given to
 *           those who wait for it, and not kept.
 * Limits    A page has as many members as its step says, and ends before `PAGE_NAMES_BYTES_MAX` of names.
 */
import { fail, type Failure } from "@hayloft/base/failures.js"
import { MIB } from "@hayloft/base/limits.js"
import { SharedWork } from "@hayloft/base/life/index.js"
import { TarIndex, type TarKind, type TarMember } from "@hayloft/engine/format/objects/tar-index.js"
import type { ByteRange } from "@hayloft/objects/contract.js"
import type { ArchiveStep } from "./contract.js"
import { TRANSFORM_LIMITS } from "./limits.js"
import { withoutDotSlash } from "./tar-core.js"

const PAGE_NAMES_BYTES_MAX = 4 * MIB
const SHOWN_CHARACTERS_MAX = 200
const BACKSLASH = 0x5c

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
const octalOf = (byte: number): string => `\\${byte.toString(8).padStart(3, "0")}`

function utf8Of(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes)
  } catch (error) {
    if (error instanceof TypeError) return undefined
    throw error
  }
}

/** The length of the UTF-8 character that begins here; 0 if none does. */
function characterBytes(bytes: Uint8Array, at: number): number {
  for (let length = 1; length <= 4 && at + length <= bytes.length; length += 1) {
    if (utf8Of(bytes.subarray(at, at + length)) !== undefined) return length
  }
  return 0
}

/** The text that stands for the name. `bytesOfName` is the reverse. */
export function textOfName(bytes: Uint8Array): string {
  const whole = utf8Of(bytes)
  if (whole !== undefined) return bytes.includes(BACKSLASH) ? escapeBackslashes(whole) : whole
  const parts: string[] = []
  let plainFrom = 0
  const endPlain = (at: number): void => {
    parts.push(escapeBackslashes(utf8Of(bytes.subarray(plainFrom, at)) ?? ""))
  }
  for (let at = 0; at < bytes.length;) {
    const length = characterBytes(bytes, at)
    if (length === 0) {
      endPlain(at)
      parts.push(octalOf(bytes[at] ?? 0))
      plainFrom = at + 1
    }
    at += Math.max(1, length)
  }
  endPlain(bytes.length)
  return parts.join("")
}

const escapeBackslashes = (text: string): string => text.replaceAll(/\\(?=[0-3][0-7]{2})/g, octalOf(BACKSLASH))

/** The name that a text stands for. */
export function bytesOfName(text: string): Uint8Array {
  const pieces = text.split(/\\([0-3][0-7]{2})/)
  const bytes = pieces.map((piece, i) => (i % 2 === 0 ? Buffer.from(piece) : Buffer.of(Number.parseInt(piece, 8))))
  return Buffer.concat(bytes)
}

/** The byte range of a member's content in the archive, and the time of its modification. */
interface StoredMember {
  readonly range: ByteRange
  readonly modifiedMs: number
}

const shown = (path: string): string =>
  path.length <= SHOWN_CHARACTERS_MAX ? `"${path}"` : `"${path.slice(0, SHOWN_CHARACTERS_MAX)}…"`

const refusal = (path: string, what: string): Failure =>
  fail("invalidRequest", { message: `the member ${shown(path)} ${what}` })

const KIND_TEXTS: Readonly<Record<Exclude<TarKind, "file" | "hardLink">, string>> = {
  directory: "is a directory",
  symlink: "is a symbolic link",
  sparse: "is a sparse file, which the archive does not hold as plain bytes",
  characterDevice: "is a device",
  blockDevice: "is a device",
  fifo: "is a fifo",
  other: "is of a kind that cannot be read",
}

/**
 * Throws `noSuchKey`, and `invalidRequest` for a member without plain content. A hard link has the content of the file
 * before it in the archive that it names.
 */
export function archiveMember(index: TarIndex, path: string): StoredMember {
  const member = findMember(index, withoutDotSlash(bytesOfName(path)))
  if (member === undefined) throw fail("noSuchKey", { message: `the archive has no member ${shown(path)}` })
  const { kind, offsetBytes, sizeBytes, modifiedMs, linkTarget } = member
  if (kind !== "file" && kind !== "hardLink") throw refusal(path, KIND_TEXTS[kind])
  if (offsetBytes === 0) {
    const target = shown(textOfName(linkTarget ?? new Uint8Array(0)))
    throw refusal(path, `is a hard link to ${target}, which is no file before it in the archive`)
  }
  return { range: { first: offsetBytes, lengthBytes: sizeBytes }, modifiedMs }
}

function findMember(index: TarIndex, path: Uint8Array): TarMember | undefined {
  const found = index.find(path)
  if (found !== undefined || path[path.length - 1] !== 0x2f) return found
  const directory = index.find(path.subarray(0, -1))
  return directory?.kind === "directory" ? directory : undefined
}

interface ListedMember {
  readonly path: string
  readonly kind: TarKind
  readonly sizeBytes: number
  /** The time of the last modification, in ISO 8601. */
  readonly modified: string
  readonly linkTarget?: string
}

export interface MemberPage {
  readonly members: readonly ListedMember[]
  /** `after` of the next page; absent on the last page. */
  readonly next?: string
}

/** Members in the order of the bytes of their paths. */
export function listingOf(index: TarIndex, step: Extract<ArchiveStep, { readonly kind: "list" }>): MemberPage {
  const prefix = Buffer.from(withoutDotSlash(bytesOfName(step.prefix === "./" ? "" : step.prefix)))
  const after = Buffer.from(withoutDotSlash(bytesOfName(step.after)))
  const members: ListedMember[] = []
  let namesBytes = 0
  for (const member of index.from(prefix.compare(after) < 0 ? after : prefix)) {
    if (!prefix.equals(member.path.subarray(0, prefix.length))) break
    if (after.equals(member.path)) continue
    namesBytes += member.path.length + (member.linkTarget?.length ?? 0)
    const last = members.at(-1)
    const isFull = members.length >= step.membersMax || namesBytes > PAGE_NAMES_BYTES_MAX
    if (isFull && last !== undefined) return { members, next: last.path }
    members.push(listed(member))
  }
  return { members }
}

function listed({ path, kind, sizeBytes, modifiedMs, linkTarget }: TarMember): ListedMember {
  const target = linkTarget === undefined ? {} : { linkTarget: textOfName(linkTarget) }
  return { path: textOfName(path), kind, sizeBytes, modified: new Date(modifiedMs).toISOString(), ...target }
}

/** Indexes in memory. One that several ask for at the same time is loaded once. */
export class TarIndexes {
  /** In the order in which they were used. */
  private readonly kept = new Map<string, TarIndex>()
  private readonly loading = new SharedWork<string, TarIndex>()
  private keptBytes = 0

  constructor(private readonly bytesMax: number = TRANSFORM_LIMITS.indexBytesMax) {}

  /** Bytes of all cached indexes. */
  get lengthBytes(): number {
    return this.keptBytes
  }

  /**
   * The index of this key, which must change whenever the archive does. Throws as `load`; then nothing is kept. Others may
   * wait for the same `load`, so it must not end because one of them goes away.
   */
  of(key: string, load: () => Promise<Uint8Array>): Promise<TarIndex> {
    const known = this.kept.get(key)
    if (known !== undefined) {
      this.kept.delete(key)
      this.kept.set(key, known)
      return Promise.resolve(known)
    }
    return this.loading.of(key, () => this.load(key, load))
  }

  private async load(key: string, load: () => Promise<Uint8Array>): Promise<TarIndex> {
    const index = TarIndex.open(await load())
    if (index.lengthBytes > this.bytesMax) return index
    this.kept.set(key, index)
    this.keptBytes += index.lengthBytes
    for (const [oldest, { lengthBytes }] of this.kept) {
      if (this.keptBytes <= this.bytesMax) break
      this.kept.delete(oldest)
      this.keptBytes -= lengthBytes
    }
    return index
  }
}
