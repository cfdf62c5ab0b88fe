/**
 * The simulated medium: the durable content of a disk, and the content of its caches.
 *
 * Every change enters a file's `current` content (the page cache) immediately and `synced` (the platter)
 * when it is settled; in between it is pending, and a power cut keeps, drops or tears it, sector
 * by sector. Names work alike: a create, rename or remove is pending until its folder is synced.
 * Synchronous; `sim.ts` adds processes, calls and faults, `crash-states.ts` enumerates power cuts.
 */
import { createHash } from "node:crypto"
import { posix } from "node:path"
import { assert, must } from "../../assert.js"
import type { Random } from "../random/contract.js"
import { PagedBytes } from "./paged-bytes.js"

export const SECTOR_BYTES = 512

export type Change =
  | { readonly kind: "write"; readonly offsetBytes: number; readonly bytes: Uint8Array }
  | { readonly kind: "truncate"; readonly lengthBytes: number }

/** The state before a change: the overwritten bytes, and the file's length. */
export interface Under {
  readonly bytes: Uint8Array
  readonly lengthBytes: number
}

interface MediumFile {
  readonly id: number
  current: PagedBytes
  synced: PagedBytes
  /** In the cache, on its way to the platter. */
  pending: Change[]
  /** Failed: it may have reached the platter in part, and no sync will write the rest. */
  failed: Change[]
}

export type NameChange =
  | { readonly kind: "create"; readonly path: string; readonly file: number }
  | { readonly kind: "rename"; readonly from: string; readonly to: string; readonly file: number }
  | { readonly kind: "remove"; readonly path: string }

type Names = Map<string, number>

export const folderOf = (path: string): string => posix.dirname(path)
/** Normalises a path. */
export const normalizedPath = (path: string): string => posix.normalize(path).replace(/(?<=.)\/$/, "")

function applyName(names: Names, change: NameChange): void {
  if (change.kind === "create") names.set(change.path, change.file)
  else if (change.kind === "remove") names.delete(change.path)
  else {
    if (names.get(change.from) === change.file) names.delete(change.from)
    names.set(change.to, change.file)
  }
}

function applyChange(content: PagedBytes, change: Change): void {
  if (change.kind === "write") content.write(change.bytes, change.offsetBytes)
  else content.truncate(change.lengthBytes)
}

/** Returns true if two changes concern the same bytes; a truncation concerns all. */
function overlap(a: Change, b: Change): boolean {
  if (a.kind === "truncate" || b.kind === "truncate") return true
  return a.offsetBytes < b.offsetBytes + b.bytes.length && b.offsetBytes < a.offsetBytes + a.bytes.length
}

const touches = (change: NameChange, folder: string): boolean =>
  change.kind === "rename"
    ? folderOf(change.from) === folder || folderOf(change.to) === folder
    : folderOf(change.path) === folder

export class Medium {
  readonly files = new Map<number, MediumFile>()
  readonly folders = new Set<string>(["/", "."])
  #names: Names = new Map()
  #syncedNames: Names = new Map()
  #pendingNames: NameChange[] = []
  #lastFile = 0

  /** A copy that shares nothing, pending changes included. */
  copy(): Medium {
    const copy = new Medium()
    for (const file of this.files.values()) {
      copy.files.set(file.id, {
        id: file.id,
        current: file.current.copy(),
        synced: file.synced.copy(),
        pending: [...file.pending],
        failed: [...file.failed],
      })
    }
    for (const folder of this.folders) copy.folders.add(folder)
    copy.#names = new Map(this.#names)
    copy.#syncedNames = new Map(this.#syncedNames)
    copy.#pendingNames = [...this.#pendingNames]
    copy.#lastFile = this.#lastFile
    return copy
  }

  fileAt(path: string): MediumFile | undefined {
    const id = this.#names.get(path)
    return id === undefined ? undefined : this.file(id)
  }

  file(id: number): MediumFile {
    return must(this.files.get(id), "the medium has this file")
  }

  namesIn(folder: string): string[] {
    const inside = [...this.#names.keys(), ...this.folders].filter(path => path !== folder && folderOf(path) === folder)
    return inside.map(path => posix.basename(path)).sort()
  }

  get usedBytes(): number {
    let used = 0
    for (const id of this.#names.values()) used += this.file(id).current.length
    return used
  }

  newFile(): MediumFile {
    this.#lastFile += 1
    const file = {
      id: this.#lastFile,
      current: new PagedBytes(),
      synced: new PagedBytes(),
      pending: [],
      failed: [],
    }
    this.files.set(file.id, file)
    return file
  }

  addFolder(path: string): void {
    for (let folder = path; !this.folders.has(folder); folder = folderOf(folder)) this.folders.add(folder)
  }

  /** Applies a change of content to the cache; returns the previous state. */
  change(id: number, change: Change): Under {
    const file = this.file(id)
    const lengthBytes = file.current.length
    const end = change.kind === "write" ? change.offsetBytes + change.bytes.length : 0
    const bytes = change.kind === "write" ? file.current.slice(change.offsetBytes, end) : new Uint8Array(0)
    applyChange(file.current, change)
    file.pending.push(change)
    return { bytes, lengthBytes }
  }

  /** Removes a pending write from the cache except for its first bytes; returns the remaining write. */
  tear(id: number, change: Change, under: Under, keptBytes: number): Change {
    assert(change.kind === "write", "only writes are torn")
    const file = this.file(id)
    const { offsetBytes, bytes } = change
    const end = offsetBytes + bytes.length
    const left: Change = { kind: "write", offsetBytes, bytes: bytes.subarray(0, keptBytes) }
    file.current.write(under.bytes.subarray(keptBytes), Math.min(offsetBytes + keptBytes, file.current.length))
    const wasShorter = under.lengthBytes < end && file.current.length === end
    if (wasShorter) file.current.truncate(Math.max(under.lengthBytes, keptBytes > 0 ? offsetBytes + keptBytes : 0))
    file.pending = file.pending.map(other => (other === change ? left : other))
    return left
  }

  /**
   * Marks changes as written to the platter. Earlier changes to the same bytes are too: a cache writes
   * its present content, so overwritten bytes never return.
   */
  settle(id: number, changes: readonly Change[]): void {
    const file = this.file(id)
    for (const change of changes) {
      const at = file.pending.indexOf(change)
      if (at === -1) continue
      const settled = file.pending.filter((other, i) => i === at || (i < at && overlap(other, change)))
      for (const each of settled) applyChange(file.synced, each)
      file.pending = file.pending.filter(other => !settled.includes(other))
      file.failed = file.failed.filter(other => !overlap(other, change))
    }
  }

  /** Marks changes as failed: the cache marks them clean, and a random part of them reached the platter. */
  lose(id: number, changes: readonly Change[]): void {
    const file = this.file(id)
    file.failed.push(...file.pending.filter(change => changes.includes(change)))
    file.pending = file.pending.filter(change => !changes.includes(change))
  }

  changeName(change: NameChange): void {
    applyName(this.#names, change)
    this.#pendingNames.push(change)
  }

  pendingNamesIn(folder: string): NameChange[] {
    return this.#pendingNames.filter(change => touches(change, folder))
  }

  settleNames(changes: readonly NameChange[]): void {
    for (const change of changes) if (this.#pendingNames.includes(change)) applyName(this.#syncedNames, change)
    this.#pendingNames = this.#pendingNames.filter(change => !changes.includes(change))
  }

  /** All pending changes, which may or may not survive. */
  get pendingNames(): readonly NameChange[] {
    return this.#pendingNames
  }

  /** Flips one stored bit, in the cache and on the platter. */
  flipBit(path: string, bit: number): void {
    const at = Math.floor(bit / 8)
    for (const content of this.#contentsAt(path)) {
      const byte = must(content.at(at), "the bit is inside the file")
      content.write(Uint8Array.of(byte ^ (1 << (bit % 8))), at)
    }
  }

  /** Changes stored bytes, in the cache and on the platter; not how many they are. */
  alter(path: string, change: (content: Uint8Array) => void): void {
    for (const content of this.#contentsAt(path)) {
      const bytes = content.slice()
      change(bytes)
      content.write(bytes, 0)
    }
  }

  #contentsAt(path: string): readonly PagedBytes[] {
    const { current, synced } = must(this.fileAt(normalizedPath(path)), `${path} exists`)
    return [current, synced]
  }

  /** Moves the content of one folder to another, as if a disk were mounted elsewhere. */
  move(from: string, to: string): void {
    const moved = (path: string): string =>
      path === from || path.startsWith(`${from}/`) ? to + path.slice(from.length) : path
    const all = (names: Names): Names => new Map([...names].map(([path, file]) => [moved(path), file]))
    const change = (pending: NameChange): NameChange =>
      pending.kind === "rename"
        ? { ...pending, from: moved(pending.from), to: moved(pending.to) }
        : { ...pending, path: moved(pending.path) }
    this.#names = all(this.#names)
    this.#syncedNames = all(this.#syncedNames)
    this.#pendingNames = this.#pendingNames.map(change)
    const folders = [...this.folders].map(moved)
    this.folders.clear()
    for (const folder of folders) this.addFolder(folder)
  }

  /** Reverts to the content of the platter: drops all pending changes. */
  cutPower(): void {
    this.#names = new Map(this.#syncedNames)
    this.#pendingNames = []
    const named = new Set(this.#names.values())
    for (const file of [...this.files.values()]) {
      if (!named.has(file.id)) this.files.delete(file.id)
      // The content of the platter is the same in the cache.
      if (file.pending.length > 0 || file.failed.length > 0) file.current = file.synced.copy()
      file.pending = []
      file.failed = []
    }
  }

  /** Equal for media without pending changes if a process finds the same folders, names and bytes in them. */
  contentKey(): string {
    const hash = createHash("sha1")
    for (const folder of [...this.folders].sort()) hash.update(`folder ${folder}\n`)
    for (const [path, id] of [...this.#names].sort(([a], [b]) => (a < b ? -1 : 1))) {
      const { current } = this.file(id)
      hash.update(`file ${path} ${current.length}\n`).update(current.slice())
    }
    return hash.digest("hex")
  }

  /** A power cut: each pending sector is randomly whole, absent or torn, and each name change done or not. */
  crash(random: Random): void {
    for (const file of this.files.values()) {
      for (const change of [...file.failed, ...file.pending]) crashChange(file.synced, change, random)
    }
    for (const change of this.#pendingNames) if (random.below(2) === 1) applyName(this.#syncedNames, change)
    this.cutPower()
  }
}

/** Applies a pending change as a power cut would. */
function crashChange(content: PagedBytes, change: Change, random: Random): void {
  if (change.kind === "truncate") {
    if (random.below(2) === 1) content.truncate(change.lengthBytes)
    return
  }
  const endBytes = change.offsetBytes + change.bytes.length
  // The length may have been written although the bytes were not.
  if (random.below(2) === 1) content.grow(endBytes)
  for (let from = change.offsetBytes; from < endBytes;) {
    const to = Math.min(endBytes, (Math.floor(from / SECTOR_BYTES) + 1) * SECTOR_BYTES)
    const fate = random.below(3)
    const kept = fate === 0 ? 0 : fate === 1 ? to - from : random.below(to - from)
    if (kept > 0) {
      const start = from - change.offsetBytes
      content.write(change.bytes.subarray(start, start + kept), from)
    }
    from = to
  }
}
