/**
 * The members of an archive while its index is made: added in the order of the archive, then sorted by path, so that of
 * several with the same path only the last one is left, and each hard link has the content of the file that it names.
 *
 * A hard link names what had its path when the link was archived: a later member with that path is another file. So a
 * link never leads to itself, and a link to a link leads to the file in the end.
 *
 * Steps     `sorting` and `written` are generators which pause every few thousand members, so that the caller may
 *           let others run.
 * Limits    `membersMax` members, `NAMES_BYTES_MAX` bytes of their paths and targets, an index of `indexBytesMax`;
 *           beyond them `invalidRequest`. Members use 41 bytes each and their names; while it grows, twice as much.
 */
import { must } from "@hayloft/base/assert.js"
import { fail, type Failure } from "@hayloft/base/failures.js"
import { MIB } from "@hayloft/base/limits.js"
import { TAR_KINDS, TarIndexWriter, type TarKind, type TarMember } from "@hayloft/engine/format/objects/tar-index.js"
import { withoutDotSlash } from "./tar-core.js"

export interface MemberLimits {
  readonly membersMax: number
  readonly indexBytesMax: number
}

const NAMES_BYTES_MAX = 256 * MIB
const MEMBERS_AT_FIRST = 1024
const NAMES_BYTES_AT_FIRST = 64 * 1024
/** Members that are sorted at once, before these runs are merged. */
const RUN_MEMBERS = 1024
/** Members between two pauses: some milliseconds. */
const STEP_MEMBERS = 4096

const tooMuch = (what: string): Failure =>
  fail("invalidRequest", { message: `the tar archive has ${what}; larger ones have no index` })

export class TarMembers {
  count = 0
  private names = Buffer.alloc(NAMES_BYTES_AT_FIRST)
  private namesEnd = 0
  private pathEnds = new Uint32Array(MEMBERS_AT_FIRST)
  /** Offset of the path, which ends at `pathEnds`. The link target follows, up to the next path. */
  private pathStarts = new Uint32Array(MEMBERS_AT_FIRST + 1)
  private kinds = new Uint8Array(MEMBERS_AT_FIRST)
  private sizes = new Float64Array(MEMBERS_AT_FIRST)
  private times = new Float64Array(MEMBERS_AT_FIRST)
  private offsets = new Float64Array(MEMBERS_AT_FIRST)
  /** The numbers of all members by path, then by their order in the archive. */
  private order = new Uint32Array(0)

  constructor(private readonly limits: MemberLimits) {}

  /** Keeps no bytes of the member. */
  add({ path, kind, sizeBytes, modifiedMs, offsetBytes, linkTarget }: TarMember): void {
    const at = this.count
    if (at >= this.limits.membersMax) throw tooMuch(`more than ${this.limits.membersMax} members`)
    if (at >= this.kinds.length) this.growMembers()
    this.pathEnds[at] = this.addName(path)
    if (linkTarget !== undefined) this.addName(linkTarget)
    this.pathStarts[at + 1] = this.namesEnd
    this.kinds[at] = TAR_KINDS.indexOf(kind)
    this.sizes[at] = sizeBytes
    this.times[at] = modifiedMs
    this.offsets[at] = offsetBytes
    this.count += 1
  }

  private addName(name: Uint8Array): number {
    const end = this.namesEnd + name.length
    if (end > NAMES_BYTES_MAX) throw tooMuch(`names of more than ${NAMES_BYTES_MAX} bytes`)
    if (end > this.names.length) this.names = Buffer.concat([this.names], 2 * end)
    this.names.set(name, this.namesEnd)
    this.namesEnd = end
    return end
  }

  private growMembers(): void {
    const capacity = 2 * this.kinds.length
    const copy = <T extends Uint32Array | Uint8Array | Float64Array>(larger: T, from: T): T => {
      larger.set(from)
      return larger
    }
    this.pathStarts = copy(new Uint32Array(capacity + 1), this.pathStarts)
    this.pathEnds = copy(new Uint32Array(capacity), this.pathEnds)
    this.kinds = copy(new Uint8Array(capacity), this.kinds)
    this.sizes = copy(new Float64Array(capacity), this.sizes)
    this.times = copy(new Float64Array(capacity), this.times)
    this.offsets = copy(new Float64Array(capacity), this.offsets)
  }

  /** By path, then by the order in the archive. */
  private compare(a: number, b: number): number {
    return this.comparePaths(a, b) || a - b
  }

  private comparePaths(a: number, b: number): number {
    const { names, pathStarts, pathEnds } = this
    let [aAt, bAt] = [pathStarts[a] ?? 0, pathStarts[b] ?? 0]
    const [aEnd, bEnd] = [pathEnds[a] ?? 0, pathEnds[b] ?? 0]
    const end = aAt + Math.min(aEnd - aAt, bEnd - bAt)
    while (aAt < end && names[aAt] === names[bAt]) {
      aAt += 1
      bAt += 1
    }
    if (aAt < end) return (names[aAt] ?? 0) - (names[bAt] ?? 0)
    return aEnd - aAt - (bEnd - bAt)
  }

  /** Sorts the members. */
  *sorting(): Generator<void, void> {
    this.order = Uint32Array.from({ length: this.count }, (_, member) => member)
    for (let from = 0; from < this.count; from += RUN_MEMBERS) {
      this.order.subarray(from, from + RUN_MEMBERS).sort((a, b) => this.compare(a, b))
      yield
    }
    let target = new Uint32Array(this.count)
    for (let width = RUN_MEMBERS; width < this.count; width *= 2) {
      for (let from = 0; from < this.count; from += 2 * width) yield* this.merging(target, from, width)
      ;[this.order, target] = [target, this.order]
    }
  }

  /** Merges two runs from `order` into `target`. */
  private *merging(target: Uint32Array, from: number, width: number): Generator<void, void> {
    const { order } = this
    const middle = Math.min(from + width, this.count)
    const end = Math.min(middle + width, this.count)
    const isInOrder = middle === end || this.compare(order[middle - 1] ?? 0, order[middle] ?? 0) < 0
    if (isInOrder) return target.set(order.subarray(from, end), from)
    let [left, right] = [from, middle]
    for (let at = from; at < end; at += 1) {
      const [a, b] = [order[left] ?? 0, order[right] ?? 0]
      const isLeft = left < middle && (right >= end || this.compare(a, b) < 0)
      target[at] = isLeft ? a : b
      if (isLeft) left += 1
      else right += 1
      if (at % STEP_MEMBERS === 0) yield
    }
  }

  /** Returns the index. The members are sorted. */
  *written(archiveBytes: number): Generator<void, Uint8Array> {
    const writer = new TarIndexWriter(archiveBytes)
    for (let at = 0; at < this.count; at += 1) {
      if (at % STEP_MEMBERS === 0) yield
      const member = this.order[at] ?? 0
      if (at + 1 < this.count && this.comparePaths(member, this.order[at + 1] ?? 0) === 0) continue
      writer.add(this.memberAt(member))
      if (writer.lengthBytes > this.limits.indexBytesMax) {
        throw tooMuch(`an index of more than ${this.limits.indexBytesMax} bytes`)
      }
    }
    return writer.finish()
  }

  private pathOf(member: number): Buffer {
    return this.names.subarray(this.pathStarts[member], this.pathEnds[member])
  }

  private targetOf(member: number): Buffer {
    return this.names.subarray(this.pathEnds[member], this.pathStarts[member + 1])
  }

  private kindOf(member: number): TarKind {
    return must(TAR_KINDS[this.kinds[member] ?? 0], "kinds are numbered")
  }

  private memberAt(member: number): TarMember {
    const kind = this.kindOf(member)
    const content = kind === "hardLink" ? this.contentOfLink(member) : member
    return {
      path: this.pathOf(member),
      kind,
      sizeBytes: content === undefined ? 0 : (this.sizes[content] ?? 0),
      modifiedMs: this.times[member] ?? 0,
      offsetBytes: content === undefined ? 0 : (this.offsets[content] ?? 0),
      linkTarget: kind === "hardLink" || kind === "symlink" ? this.targetOf(member) : undefined,
    }
  }

  /** The file to which a hard link leads; undefined if that is not a file of the archive, or not before the link. */
  private contentOfLink(link: number): number | undefined {
    let member: number | undefined = link
    // Each step leads to an earlier member, so there is an end.
    while (member !== undefined && this.kindOf(member) === "hardLink") member = this.namedBy(member)
    return member !== undefined && this.kindOf(member) === "file" ? member : undefined
  }

  /** The last member before a hard link that has the path which the link names. */
  private namedBy(link: number): number | undefined {
    const path = withoutDotSlash(this.targetOf(link))
    // The first one in order that is above the path, or has it and is not before the link.
    let [low, high] = [0, this.count]
    while (low < high) {
      const middle = (low + high) >>> 1
      const member = this.order[middle] ?? 0
      const order = this.pathOf(member).compare(path)
      if (order < 0 || (order === 0 && member < link)) low = middle + 1
      else high = middle
    }
    const found = this.order[low - 1]
    return found !== undefined && this.pathOf(found).equals(path) ? found : undefined
  }
}
