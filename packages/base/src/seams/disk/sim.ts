/**
 * The simulated disk: files in memory that a power cut hits like real ones.
 *
 * Promises  `crash` leaves what the contract promises and, beyond that, a random
 *           result: unsynced sectors kept, dropped or torn, unsynced names done or not. `kill` is a
 *           process that dies while the machine continues: nothing written is lost.
 * Processes Each `Disk` from `boot()` belongs to one process incarnation; once `crash` or `kill` has
 *           ended it, its calls (including pending ones) never settle and change nothing.
 * Faults    `intercept` sees each call before it happens, and may delay it, fail it or change its outcome
 *           (`calls.ts`, `faults.ts`). A write that fails has reached the cache, and at random the platter; of a
 *           torn one only the kept prefix exists. `capacityBytes` fills up, `flipBit` and `alter` rot.
 * Recording `record()` logs every change and when it was acknowledged; see `crash-states.ts`.
 */
import { fail } from "../../failures.js"
import type { Failure } from "../../failures.js"
import type { Soon } from "../../soon.js"
import { concatBytes } from "../../bytes.js"
import { must } from "../../assert.js"
import type { Random } from "../random/contract.js"
import { syncVerdict, type Bend, type DiskCall, type Intercept } from "./calls.js"
import { falseIfAbsent } from "./codes.js"
import type { Disk, DiskFile, OpenMode, OpenOptions, ReadUse, Space } from "./contract.js"
import { folderOf, Medium, normalizedPath } from "./medium.js"
import type { Change, NameChange, Under } from "./medium.js"
import type { PagedBytes } from "./paged-bytes.js"

export interface DiskEvent {
  readonly at: "start" | "done"
  /** The index of the call in `calls`. */
  readonly call: number
}

export interface DiskRecord {
  /** The content of the medium when the recording began. */
  readonly before: Medium
  readonly calls: DiskCall[]
  readonly events: DiskEvent[]
}

interface SimDiskOptions {
  readonly capacityBytes?: number
  readonly fileSystemId?: string
  /** Otherwise every folder above one that is made exists, so that most tests need not make them. */
  readonly isBare?: boolean
}

interface ProcessRun {
  over: boolean
}

const CAPACITY_BYTES_DEFAULT = 2 ** 40
const never = <T>(): Promise<T> => new Promise<T>(() => undefined)

export class SimDisk {
  #life: ProcessRun = { over: false }
  #intercept: Intercept = () => undefined
  #record: DiskRecord | undefined
  capacityBytes: number
  readonly fileSystemId: string
  readonly isBare: boolean

  constructor(
    readonly medium: Medium = new Medium(),
    options: SimDiskOptions = {},
  ) {
    this.capacityBytes = options.capacityBytes ?? CAPACITY_BYTES_DEFAULT
    this.fileSystemId = options.fileSystemId ?? "sim"
    this.isBare = options.isBare ?? false
  }

  /** The disk of the current process. */
  boot(): Disk {
    return new LiveDisk(this, this.#life)
  }

  /** Cuts the power: every process ends, and unsynced changes survive at random. */
  crash(random: Random): void {
    this.kill()
    this.medium.crash(random)
  }

  /** Ends the process; the machine continues, so everything written stays. */
  kill(): void {
    this.#life.over = true
    this.#life = { over: false }
  }

  intercept(intercept: Intercept): void {
    this.#intercept = intercept
  }

  flipBit(path: string, bit: number): void {
    this.medium.flipBit(path, bit)
  }

  /** Sets the interceptor of every call. */
  get interceptor(): Intercept {
    return this.#intercept
  }

  /** Starts a recording (or starts over); the returned record grows with each call. */
  record(): DiskRecord {
    this.#record = { before: this.medium.copy(), calls: [], events: [] }
    return this.#record
  }

  /**
   * One call of a process: begins (`begin` changes the cache), waits, ends (`end` reaches the platter).
   * If it fails, `undo` decides what happens to its change; a failure thrown by `end` is the call's.
   */
  async run<T>(
    life: ProcessRun,
    call: DiskCall,
    begin: () => T,
    end: (begun: T, bend: Bend) => void,
    undo: (begun: T) => void,
  ): Promise<T> {
    if (life.over) return never()
    const record = isChange(call) ? this.#record : undefined
    const begun = begin()
    const index = record === undefined ? 0 : record.calls.push(call) - 1
    record?.events.push({ at: "start", call: index })
    let bend: Bend
    try {
      bend = (await this.#intercept(call)) ?? {}
    } catch (error) {
      if (life.over) return never()
      undo(begun)
      throw error
    }
    if (life.over) return never()
    end(begun, bend)
    record?.events.push({ at: "done", call: index })
    if (bend.answered) {
      await bend.answered
      if (life.over) return never()
    }
    return begun
  }
}

const CHANGES = new Set<DiskCall["kind"]>(["write", "truncate", "sync", "name", "syncFolder", "makeFolder"])
const isChange = ({ kind }: DiskCall): boolean => CHANGES.has(kind)

const absent = (path: string): Failure => fail("deviceFailed", { path, code: "ENOENT" })
const nothing = (): void => undefined

class LiveDisk implements Disk {
  constructor(
    private readonly disk: SimDisk,
    private readonly life: ProcessRun,
  ) {}

  async open(path: string, mode: OpenMode, options: OpenOptions = {}): Promise<DiskFile> {
    const [{ medium }, name] = [this.disk, normalizedPath(path)]
    const file = (id: number): DiskFile => new LiveFile(this.disk, this.life, name, id, mode, options.durable === true)
    if (mode === "create") {
      const change = await this.#changeName(name, () => {
        if (!medium.folders.has(folderOf(name))) throw absent(name)
        if (medium.fileAt(name) !== undefined) throw fail("deviceFailed", { path, code: "EEXIST" })
        return { kind: "create", path: name, file: medium.newFile().id }
      })
      return file(must(change.kind === "create" ? change.file : undefined, "a create names its file"))
    }
    return file(
      await this.#ask({ kind: "open", path: name }, () => {
        const found = medium.fileAt(name)
        if (found === undefined) throw absent(name)
        return found.id
      }),
    )
  }

  list(folder: string): Promise<string[]> {
    const name = normalizedPath(folder)
    return this.#ask({ kind: "list", path: name }, () => {
      if (!this.disk.medium.folders.has(name)) throw absent(name)
      return this.disk.medium.namesIn(name)
    })
  }

  exists(path: string): Promise<boolean> {
    const [{ medium }, name] = [this.disk, normalizedPath(path)]
    const isThere = (): boolean => medium.folders.has(name) || medium.fileAt(name) !== undefined
    return this.#ask({ kind: "exists", path: name }, isThere).catch(falseIfAbsent)
  }

  async makeFolder(path: string): Promise<void> {
    const name = normalizedPath(path)
    const { medium } = this.disk
    const call: DiskCall = { kind: "makeFolder", path: name }
    const checkAbove = (): void => {
      if (this.disk.isBare && !medium.folders.has(folderOf(name))) throw absent(name)
    }
    await this.disk.run(this.life, call, checkAbove, () => medium.addFolder(name), nothing)
  }

  async remove(path: string): Promise<void> {
    const name = normalizedPath(path)
    await this.#changeName(name, () => {
      if (this.disk.medium.fileAt(name) === undefined) throw absent(name)
      return { kind: "remove", path: name }
    })
  }

  async rename(from: string, to: string): Promise<void> {
    const [{ medium }, oldName, newName] = [this.disk, normalizedPath(from), normalizedPath(to)]
    await this.#changeName(oldName, () => {
      const file = medium.fileAt(oldName)
      if (file === undefined || !medium.folders.has(folderOf(newName))) throw absent(oldName)
      return { kind: "rename", from: oldName, to: newName, file: file.id }
    })
  }

  async syncFolder(path: string): Promise<void> {
    const [{ medium }, name] = [this.disk, normalizedPath(path)]
    const pending = (): NameChange[] => {
      if (!medium.folders.has(name)) throw absent(name)
      return medium.pendingNamesIn(name)
    }
    await this.disk.run(this.life, { kind: "syncFolder", path: name }, pending, it => medium.settleNames(it), nothing)
  }

  space(path: string): Promise<Space> {
    const { disk } = this
    return this.#ask({ kind: "space", path: normalizedPath(path) }, ({ space }) => ({
      totalBytes: disk.capacityBytes,
      freeBytes: Math.max(0, disk.capacityBytes - disk.medium.usedBytes),
      fileSystemId: disk.fileSystemId,
      fileSystemKind: "sim",
      ...space,
    }))
  }

  /** A call that changes nothing: returns the state at its end. */
  async #ask<T>(call: DiskCall, answer: (bend: Bend) => T): Promise<T> {
    let answered: { readonly value: T } | undefined
    await this.disk.run(this.life, call, nothing, (_, bend) => (answered = { value: answer(bend) }), nothing)
    return must(answered, "a call that ended has an answer").value
  }

  /** Names change, or fail, synchronously, so that two racing calls see each other. */
  #changeName(path: string, decide: () => NameChange): Promise<NameChange> {
    const { disk, life } = this
    if (life.over) return never()
    let change: NameChange
    try {
      change = decide()
    } catch (error) {
      return Promise.reject(error instanceof Error ? error : new Error(String(error)))
    }
    const begin = (): NameChange => {
      disk.medium.changeName(change)
      return change
    }
    return disk.run(life, { kind: "name", path, change }, begin, nothing, nothing)
  }
}

class LiveFile implements DiskFile {
  #open = true

  constructor(
    private readonly disk: SimDisk,
    private readonly life: ProcessRun,
    readonly path: string,
    private readonly id: number,
    private readonly mode: OpenMode,
    private readonly durable: boolean,
  ) {}

  read(buffer: Uint8Array, offsetBytes: number, use?: ReadUse): Soon<number> {
    if (use !== "resident") return this.#read(buffer, offsetBytes)
    this.#check(false)
    const call: DiskCall = { kind: "readSync", path: this.path, offsetBytes, lengthBytes: buffer.length }
    return this.#copy(buffer, offsetBytes, syncVerdict(this.disk.interceptor, call) ?? {})
  }

  async #read(buffer: Uint8Array, offsetBytes: number): Promise<number> {
    this.#check(false)
    let count = 0
    const call: DiskCall = { kind: "read", path: this.path, offsetBytes, lengthBytes: buffer.length }
    const copy = (_: void, bend: Bend): void => void (count = this.#copy(buffer, offsetBytes, bend))
    await this.disk.run(this.life, call, nothing, copy, nothing)
    return count
  }

  async write(buffers: readonly Uint8Array[], offsetBytes: number): Promise<void> {
    if (this.life.over) return never()
    this.#check(true)
    const bytes = concatBytes(buffers)
    if (bytes.length === 0) return
    const free = this.disk.capacityBytes - this.disk.medium.usedBytes
    const grows = Math.max(0, offsetBytes + bytes.length - this.#content().length)
    if (grows > free) {
      // A full disk writes the bytes that fit before it fails.
      const fits = Math.max(0, bytes.length - (grows - Math.max(0, free)))
      await this.#change("write", { kind: "write", offsetBytes, bytes: bytes.subarray(0, fits) })
      throw fail("deviceFull", { path: this.path, code: "ENOSPC" })
    }
    await this.#change("write", { kind: "write", offsetBytes, bytes })
  }

  async sync(): Promise<void> {
    this.#check(false)
    const { medium } = this.disk
    const call: DiskCall = { kind: "sync", path: this.path, file: this.id }
    // After a failed sync the kernel marks the pages clean although they never reached the platter.
    const pending = (): Change[] => [...medium.file(this.id).pending]
    await this.disk.run(
      this.life,
      call,
      pending,
      changes => medium.settle(this.id, changes),
      changes => medium.lose(this.id, changes),
    )
  }

  async truncate(lengthBytes: number): Promise<void> {
    this.#check(true)
    await this.#change("truncate", { kind: "truncate", lengthBytes })
  }

  async sizeBytes(): Promise<number> {
    this.#check(false)
    let size = 0
    const ask = (): void => void (size = this.#content().length)
    await this.disk.run(this.life, { kind: "size", path: this.path }, nothing, ask, nothing)
    return size
  }

  async close(): Promise<void> {
    this.#open = false
  }

  async #change(kind: "write" | "truncate", change: Change): Promise<void> {
    const { medium } = this.disk
    const call: DiskCall = { kind, path: this.path, file: this.id, durable: this.durable, change }
    const lengthBefore = this.#content().length
    let under: Under | undefined
    const begin = (): void => void (under = medium.change(this.id, change))
    const end = (_: void, bend: Bend): void => {
      const torn = bend.torn ?? (bend.isFull ? this.#full(change, lengthBefore) : undefined)
      const kept = torn && medium.tear(this.id, change, must(under, "the change has begun"), torn.keptBytes)
      if (this.durable) medium.settle(this.id, [kept ?? change])
      if (torn) throw torn.failure
    }
    await this.disk.run(this.life, call, begin, end, () => medium.lose(this.id, [change]))
  }

  /** How a full disk cuts a write; undefined if it does not grow the file. */
  #full(change: Change, lengthBefore: number): Bend["torn"] | undefined {
    if (change.kind === "truncate" || change.offsetBytes + change.bytes.length <= lengthBefore) return undefined
    const keptBytes = Math.max(0, lengthBefore - change.offsetBytes)
    return { keptBytes, failure: fail("deviceFull", { path: this.path, code: "ENOSPC" }) }
  }

  #copy(buffer: Uint8Array, offsetBytes: number, bend: Bend): number {
    const count = this.#content().read(buffer, bend.offsetBytes ?? offsetBytes)
    bend.rot?.(buffer.subarray(0, count), offsetBytes)
    return count
  }

  #content(): Pick<PagedBytes, "length" | "read"> {
    return this.disk.medium.file(this.id).current
  }

  #check(writes: boolean): void {
    const refused = !this.#open || (writes && this.mode === "read")
    if (refused && !this.life.over) throw fail("deviceFailed", { path: this.path, code: "EBADF" })
  }
}
