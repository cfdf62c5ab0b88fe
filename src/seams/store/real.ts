/**
 * Store on LMDB: one environment a folder, one named database a family.
 *
 * Promises  Each commit is one synchronous transaction with its own fdatasync; nothing else ever
 *           writes. (LMDB's modes that sync later reuse pages that a power cut still needs.)
 * Refuses   Asynchronous writes of the binding: a failed one surfaces as an unhandled rejection.
 * Limits    A commit holds the calling thread for its whole length: writers belong in worker threads.
 *           Readers see through the page cache; a cold page is a fault on the reading thread, which
 *           `warm` avoids. One suspended range keeps its pages from being reused.
 *           A base much smaller than memory is read once in the background when a reader opens it; from
 *           then on its pages are taken to be in memory, and `warm` has nothing to do.
 */
import { statSync } from "node:fs"
import { mkdir, open as openFile, rm, statfs, type FileHandle } from "node:fs/promises"
import { constants } from "node:os"
import { join } from "node:path"
import type { Database, RootDatabase, Transaction } from "lmdb"
import { open } from "lmdb"
import { assert, must } from "../../base/assert.js"
import { fail, isFailure } from "../../base/failures.js"
import { failureOfCode } from "../disk/codes.js"
import type { Family } from "../../base/families.js"
import { FAMILY_NAMES } from "../../base/families.js"
import type { RowKey } from "../../base/ids.js"
import { rowKeyOf } from "../../base/ids.js"
import { GIB, MIB } from "../../base/limits.js"
import type { KeyRange, RowTaker, StoreReader, Stores, StoreWrite, StoreWriter } from "./contract.js"
import { assertWrite } from "./contract.js"
import { residentBytesMax } from "./real-memory.js"
import { decodeSum, encodeSum, NO_ROWS, RowSums, verifySums } from "./row-sums.js"

/** Address space only, and LMDB enlarges it when the base grows beyond. */
const MAP_BYTES_FIRST = 8 * GIB
const PAGE_BYTES = 8192
/** Families can be added by later versions; LMDB wants the number before. */
const FAMILIES_MAX = 64
/** So many keys are warmed at a time, which a disk that works does well within the time for it. */
const WARM_KEYS = 64
const WARM_MS_MAX = 4_000
const TOUCH_BYTES = 1 * MIB
const FILE_NAME = "data.mdb"
/** A commit copies pages: this much above the bytes it was given is taken as what it may have needed. */
const COMMIT_SPACE_BYTES = 4 * MIB
const COMMIT_SPACE_FACTOR = 4
/** Where LMDB's two meta pages hold what is looked at here: magic, page size (first page only), last page used. */
const META = { bytes: 152, magicAt: 24, magic: 0xbeefc0de, pageBytesAt: 48, lastPageAt: 144 } as const
/** So many of the last pages may lack in the file, where its writer died right behind a commit: free ones. */
const LOOSE_PAGES_MAX = 64
const FIRST_KEY = rowKeyOf("\0")
/** Beside the families: what their rows add up to, by name. */
const SUMS = "sums"
/** More than it takes to open a base. */
const HANDLES_SPARE = 8
/** As against Node's own, which have an underscore. */
const SYSTEM_CODE = /^E[A-Z0-9]+$/
/** Numbers of the system that LMDB passes on, where they say more than that something failed. */
const SYSTEM_CODES: ReadonlyMap<number, string> = new Map(
  (["ENOSPC", "EDQUOT", "EMFILE", "ENFILE", "ENOMEM"] as const).map(name => [constants.errno[name], name]),
)
/** MDB_PAGE_NOTFOUND, MDB_CORRUPTED, MDB_PANIC, MDB_VERSION_MISMATCH, MDB_INVALID. */
const BROKEN = new Set([-30797, -30796, -30795, -30794, -30793])

type Tree = Database<Buffer, RowKey>
type ScannedTree = Database<boolean, RowKey>

/** Keys rest as their bytes, which go straight into the binding's memory and out of it. */
const TREE_OPTIONS = {
  encoding: "binary",
  keyEncoder: {
    /** Where there is no room the binding waits for the RangeError of a write behind the end, and gives more. */
    writeKey: (key: RowKey, target: Buffer, at: number): number => {
      if (at + key.length > target.length) return target.writeUInt8(0, at + key.length)
      return at + target.write(key, at, "latin1")
    },
    readKey: (target: Buffer, from: number, to: number): RowKey => rowKeyOf(target.toString("latin1", from, to)),
  },
} as const

/**
 * Trees whose rows go to a taker where the binding has put them: it copies a row into memory of its own, and
 * asks for its key and its value to be made of that.
 */
class Scanner {
  private taker: RowTaker | undefined

  private readonly options = {
    encoding: "binary",
    encoder: {
      encode: (): Buffer => must<Buffer>(undefined, "what is scanned is not written"),
      decode: (bytes: Buffer, lengthBytes?: number): boolean =>
        this.taken.value(bytes, must(lengthBytes, "the binding tells the length")),
    },
    keyEncoder: {
      writeKey: TREE_OPTIONS.keyEncoder.writeKey,
      readKey: (bytes: Buffer, from: number, to: number): RowKey => {
        this.taken.key(bytes, from, to)
        return FIRST_KEY
      },
    },
  } as const

  private readonly trees: ReadonlyMap<Family, ScannedTree>

  constructor(root: RootDatabase<Buffer, RowKey>) {
    this.trees = new Map(FAMILY_NAMES.map(name => [name, root.openDB<boolean, RowKey>(name, this.options)]))
  }

  private get taken(): RowTaker {
    return must(this.taker, "a scan is under way")
  }

  scan(family: Family, start: RowKey, end: RowKey, taker: RowTaker): void {
    assert(this.taker === undefined, "one scan at a time")
    this.taker = taker
    const rows = must(this.trees.get(family), "every family has a database").getRange({ start, end })[Symbol.iterator]()
    try {
      for (let next = rows.next(); !next.done && next.value.value; next = rows.next());
    } finally {
      this.taker = undefined
      rows.return?.()
    }
  }
}

export class RealStores implements Stores {
  constructor(private readonly mapBytesFirst = MAP_BYTES_FIRST) {}

  async openReader(path: string): Promise<StoreReader> {
    const store = await LmdbStore.open(path, this.mapBytesFirst)
    void store.touch()
    return store
  }

  async openWriter(path: string): Promise<StoreWriter> {
    return LmdbStore.open(path, this.mapBytesFirst)
  }

  async discard(path: string): Promise<void> {
    await rm(path, { recursive: true, force: true })
  }
}

class LmdbStore implements StoreWriter {
  private closed = false
  /** All pages have been read since it was opened, or written through the page cache by a checkpoint. */
  private resident = false
  /** Families that held no row when they were first asked for since the last refresh: many stay empty for ever. */
  private readonly empty = new Map<Family, boolean>()

  private readonly scanner: Scanner

  private constructor(
    private readonly path: string,
    private readonly root: RootDatabase<Buffer, RowKey>,
    private readonly trees: ReadonlyMap<Family, Tree>,
    private readonly sums: Tree,
  ) {
    this.scanner = new Scanner(root)
  }

  static async open(path: string, mapBytesFirst: number): Promise<LmdbStore> {
    try {
      await mkdir(path, { recursive: true })
      await refuseBrokenFile(path)
      await refuseWithoutHandles(path)
      const options = {
        noSubdir: false,
        overlappingSync: false,
        noSync: false,
        // What the kernel reads around a cold page drives others out of a full memory. (The binding's types lack it.)
        noReadAhead: true,
        pageSize: PAGE_BYTES,
        mapSize: mapBytesFirst,
        maxDbs: FAMILIES_MAX,
        ...TREE_OPTIONS,
      }
      const root = open<Buffer, RowKey>(path, options)
      const tree = (name: Family): readonly [Family, Tree] => [name, root.openDB<Buffer, RowKey>(name, TREE_OPTIONS)]
      const sums = root.openDB<Buffer, RowKey>(SUMS, TREE_OPTIONS)
      return new LmdbStore(path, root, new Map(FAMILY_NAMES.map(tree)), sums)
    } catch (error) {
      throw await judged(path, error, 0)
    }
  }

  get(family: Family, key: RowKey): Uint8Array | undefined {
    assert(key.length > 0, "a key is not empty")
    if (this.isEmpty(family)) return undefined
    return this.reading(() => this.treeOf(family).getBinary(key))
  }

  private isEmpty(family: Family): boolean {
    const known = this.empty.get(family)
    if (known !== undefined) return known
    const tree = this.treeOf(family)
    const isEmpty = this.reading(() => [...tree.getKeys({ start: FIRST_KEY, limit: 1 })].length === 0)
    this.empty.set(family, isEmpty)
    return isEmpty
  }

  *range(family: Family, range: KeyRange): Iterable<readonly [RowKey, Uint8Array]> {
    if (range.start >= range.end || this.isEmpty(family)) return
    const low = range.start.length === 0 ? FIRST_KEY : range.start
    const high = range.end
    const options = range.reverse
      ? { start: high, end: low, reverse: true, exclusiveStart: true, inclusiveEnd: true }
      : { start: low, end: high }
    const entries = this.reading(() => this.treeOf(family).getRange(options)[Symbol.iterator]())
    try {
      for (let next = this.reading(() => entries.next()); !next.done; next = this.reading(() => entries.next())) {
        yield [next.value.key, next.value.value]
      }
    } finally {
      if (!this.closed) entries.return?.()
    }
  }

  scan(family: Family, { start, end }: KeyRange, taker: RowTaker): void {
    assert(!this.closed, "the store is open")
    if (start >= end || this.isEmpty(family)) return
    this.reading(() => this.scanner.scan(family, start.length === 0 ? FIRST_KEY : start, end, taker))
  }

  /** Reads the file once from front to back, which ends early where it is too large to stay in memory. */
  async touch(): Promise<void> {
    const file = await openFile(join(this.path, FILE_NAME), "r").catch(() => undefined)
    if (file === undefined) return
    try {
      const piece = Buffer.allocUnsafe(TOUCH_BYTES)
      const endBytes = residentBytesMax()
      for (let at = 0; !this.closed && at <= endBytes; at += TOUCH_BYTES) {
        const { bytesRead } = await file.read(piece, 0, TOUCH_BYTES, at)
        if (bytesRead === TOUCH_BYTES) continue
        this.resident = true
        return
      }
    } catch {
      // A disk that does not read now is met by whoever needs a row of it.
    } finally {
      await file.close().catch(() => undefined)
    }
  }

  warm(family: Family, keys: readonly RowKey[]): Promise<void> | undefined {
    return this.resident || keys.length === 0 ? undefined : this.prefetch(family, keys)
  }

  private async prefetch(family: Family, keys: readonly RowKey[]): Promise<void> {
    const tree = this.treeOf(family)
    for (let at = 0; at < keys.length && !this.closed; at += WARM_KEYS) {
      await this.prefetchSome(tree, keys.slice(at, at + WARM_KEYS))
    }
  }

  /** To read what is not there within the time would hang the thread as long as the device hangs. */
  private prefetchSome(tree: Tree, keys: readonly RowKey[]): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      const message = `the base did not answer within ${WARM_MS_MAX} ms`
      const late = (): void => reject(fail("deviceFailed", { message, path: this.path, code: "ETIMEDOUT" }))
      const timer = setTimeout(late, WARM_MS_MAX)
      void tree.prefetch([...keys], () => {
        clearTimeout(timer)
        resolve()
      })
    })
  }

  /** One transaction is held for the whole walk: pages that checkpoints free meanwhile are not used again before its end. */
  async verify(signal: AbortSignal): Promise<void> {
    assert(!this.closed, "the store is open")
    const transaction = this.root.useReadTransaction()
    try {
      const recorded = this.recordedSums(FAMILY_NAMES, transaction)
      const rowsOf = (family: Family): Iterable<readonly [RowKey, Uint8Array]> => {
        const rows = this.treeOf(family).getRange({ start: FIRST_KEY, transaction })
        return rows.map(({ key, value }) => [key, value] as const)
      }
      const nextTurn = async (): Promise<void> => {
        await new Promise(resolve => setImmediate(resolve))
        if (this.closed) throw fail("stopping")
      }
      await verifySums(this.path, rowsOf, recorded, nextTurn, signal)
    } catch (error) {
      throw failureOf(this.path, error)
    } finally {
      if (!this.closed) transaction.done()
    }
  }

  private recordedSums(families: Iterable<Family>, transaction?: Transaction): RowSums {
    const recorded = Array.from(families, family => {
      const bytes = this.sums.get(rowKeyOf(family), transaction && { transaction })
      return [family, bytes === undefined ? NO_ROWS : decodeSum(bytes)] as const
    })
    return new RowSums(recorded)
  }

  refresh(): void {
    assert(!this.closed, "the store is open")
    this.root.resetReadTxn()
    this.empty.clear()
    if (this.resident) this.resident = sizeBytesOf(join(this.path, FILE_NAME)) <= residentBytesMax()
  }

  async commit(writes: Iterable<StoreWrite>): Promise<void> {
    assert(!this.closed, "the store is open")
    let writtenBytes = 0
    try {
      this.root.transactionSync(() => {
        const sums = this.recordedSums(FAMILY_NAMES)
        const changed = new Set<Family>()
        for (const write of writes) {
          assertWrite(write)
          const { family, key, value } = write
          sums.replace(family, key, this.treeOf(family).getBinary(key), value)
          changed.add(family)
          writtenBytes += key.length + (value?.length ?? 0)
          if (value === undefined) this.treeOf(family).removeSync(key)
          else this.treeOf(family).putSync(key, Buffer.from(value.buffer, value.byteOffset, value.length))
        }
        for (const family of changed) this.sums.putSync(rowKeyOf(family), encodeSum(sums.of(family)))
      })
      await coverUsedPages(this.path)
    } catch (error) {
      throw await judged(this.path, error, writtenBytes)
    } finally {
      this.empty.clear()
    }
  }

  async close(): Promise<void> {
    if (this.closed) return
    this.closed = true
    await this.root.close()
  }

  private treeOf(family: Family): Tree {
    assert(!this.closed, "the store is open")
    return must(this.trees.get(family), "every family has a database")
  }

  private reading<T>(read: () => T): T {
    try {
      return read()
    } catch (error) {
      throw failureOf(this.path, error)
    }
  }
}

const sizeBytesOf = (path: string): number => statSync(path, { throwIfNoEntry: false })?.size ?? 0

/** What went wrong: LMDB's number, or a code of the system; undefined for errors that are neither. */
function codeOf(error: unknown): number | string | undefined {
  const code: unknown = error instanceof Error && "code" in error ? error.code : undefined
  if (typeof code === "string") return SYSTEM_CODE.test(code) ? code : undefined
  if (typeof code !== "number") return undefined
  return SYSTEM_CODES.get(code) ?? code
}

/** What the store throws for an error of LMDB or the system; all others (a caller's, an assertion) stay what they are. */
function failureOf(path: string, error: unknown): unknown {
  const code = isFailure(error) ? undefined : codeOf(error)
  if (code === undefined) return error
  if (typeof code === "string") return failureOfCode(code, path, error)
  const message = error instanceof Error ? error.message : String(error)
  return fail(BROKEN.has(code) ? "corruptRow" : "deviceFailed", { message, path, code }, error)
}

/**
 * As `failureOf`, for writes: LMDB reports a full disk as "Input/output error" (a short pwrite), so
 * that only the file system knows.
 */
async function judged(path: string, error: unknown, writtenBytes: number): Promise<unknown> {
  const failure = failureOf(path, error)
  if (!isFailure(failure, "deviceFailed")) return failure
  const neededBytes = COMMIT_SPACE_BYTES + COMMIT_SPACE_FACTOR * writtenBytes
  const full = await statfs(path).then(
    ({ bavail, bsize }) => bavail * bsize < neededBytes,
    () => false,
  )
  return full ? fail("deviceFull", { path, neededBytes }, error) : failure
}

/** The binding dies of a signal where LMDB finds no file handle half-way through opening. */
async function refuseWithoutHandles(path: string): Promise<void> {
  const handles: FileHandle[] = []
  try {
    while (handles.length < HANDLES_SPARE) handles.push(await openFile(path, "r"))
  } finally {
    for (const handle of handles) await handle.close()
  }
}

/** What the meta pages say of the file; undefined where they are none, or the page size of the first is 0. */
async function usedBytesOf(file: FileHandle): Promise<number | undefined> {
  const meta = Buffer.alloc(META.bytes)
  let [pageBytes, usedBytes] = [0, 0]
  for (const page of [0, 1]) {
    await file.read(meta.fill(0), 0, META.bytes, page * pageBytes)
    if (page === 0) pageBytes = meta.readUInt32LE(META.pageBytesAt)
    if (meta.readUInt32LE(META.magicAt) !== META.magic || pageBytes === 0) return undefined
    usedBytes = Math.max(usedBytes, (Number(meta.readBigUInt64LE(META.lastPageAt)) + 1) * pageBytes)
  }
  return usedBytes
}

/**
 * LMDB dies of a signal, and the process with it, where its file lacks pages that are in use, or is no
 * file of its own. Damage further inside is beyond this look.
 */
async function refuseBrokenFile(path: string): Promise<void> {
  const file = await openFile(join(path, FILE_NAME), "r").catch((error: unknown) => {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined
    throw failureOf(path, error)
  })
  if (file === undefined) return
  try {
    const { size } = await file.stat()
    if (size === 0) return
    const usedBytes = await usedBytesOf(file)
    const lackingBytes = (usedBytes ?? Infinity) - size
    // Pages at the end that a commit took and gave back are never written.
    if (lackingBytes <= 0 || (lackingBytes <= LOOSE_PAGES_MAX * PAGE_BYTES && size % PAGE_BYTES === 0)) return
    throw fail("corruptRow", { message: "the base is no whole LMDB file", path, lengthBytes: size, usedBytes })
  } finally {
    await file.close()
  }
}

/** Gives the file the pages at its end that the last commit did not write. For the only writer. */
async function coverUsedPages(path: string): Promise<void> {
  const file = await openFile(join(path, FILE_NAME), "r+")
  try {
    const usedBytes = (await usedBytesOf(file)) ?? 0
    if ((await file.stat()).size < usedBytes) await file.truncate(usedBytes)
  } finally {
    await file.close()
  }
}
