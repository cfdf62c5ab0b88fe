/**
 * Ballast: files without content that keep a part of the disk free for work that makes space.
 *
 * They are really written, with bytes that no file system can leave out, since a file with a hole keeps nothing free.
 * Space is given back by removing whole files.
 * Callers   wait for each call before the next (`space.ts` ensures that).
 */
import { must } from "@hayloft/base/assert.js"
import { isFailure } from "@hayloft/base/failures.js"
import { retryWithSpace } from "@hayloft/base/space/full-disk.js"
import { MIB } from "@hayloft/base/limits.js"
import type { Disk, DiskFile } from "@hayloft/base/seams/disk/contract.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { keepRecordReserve, lendRecordReserve, makeFolderIn, RECORD_RESERVE_NAME } from "../records/record-reserve.js"

export const BALLAST_FOLDER = "ballast"
/** A start writes records, lock files, pages of the metadata store and a piece of the log. */
const START_BYTES = 8 * MIB
const NAME = /^\d{6}$/

const ballastFileName = (number: number): string => String(number).padStart(6, "0")

interface BallastFile {
  readonly path: string
  readonly number: number
  bytes: number
}

/** Bytes that no file system can leave out, the same for all ballast of a process. */
export class Noise {
  private bytes: Uint8Array = new Uint8Array(0)

  constructor(private readonly random: Random) {}

  of(bytes: number): Uint8Array {
    if (this.bytes.length < bytes) this.bytes = this.random.bytes(bytes)
    return this.bytes.subarray(0, bytes)
  }
}

/** The ballast in one device's folder. */
export class Ballast {
  private growing: { readonly file: DiskFile; readonly entry: BallastFile } | undefined

  private constructor(
    private readonly disk: Disk,
    private readonly deviceFolder: string,
    private readonly folder: string,
    private readonly noise: Noise,
    private readonly files: BallastFile[],
  ) {}

  /** `deviceFolder` may have no ballast yet. */
  static async open(disk: Disk, deviceFolder: string, noise: Noise): Promise<Ballast> {
    const folder = `${deviceFolder}/${BALLAST_FOLDER}`
    const files: BallastFile[] = []
    for (const path of await ballastPaths(disk, deviceFolder)) {
      const file = await disk.open(path, "read")
      try {
        files.push({ path, number: Number(path.slice(-6)), bytes: await file.sizeBytes() })
      } finally {
        await file.close()
      }
    }
    return new Ballast(disk, deviceFolder, folder, noise, files)
  }

  get bytes(): number {
    return this.files.reduce((sum, { bytes }) => sum + bytes, 0)
  }

  /** Adds up to `bytes` to the newest file, and begins another if that has `fileBytes`. */
  async grow(bytes: number, fileBytes: number): Promise<void> {
    const { file, entry } = (this.growing ??= await this.begin())
    const noise = this.noise.of(Math.min(bytes, fileBytes - entry.bytes))
    await file.write([noise], entry.bytes)
    entry.bytes += noise.length
    if (entry.bytes < fileBytes) return
    await file.sync()
    await this.leave()
  }

  /** Removes files, the newest first, until so many bytes are free; returns how many are. */
  async shrink(bytes: number): Promise<number> {
    await this.leave()
    let freed = 0
    while (freed < bytes && this.files.length > 0) {
      const last = must(this.files.at(-1), "there is a file")
      const isGone = await removed(this.disk, last.path)
      this.files.pop()
      if (isGone) freed += last.bytes
    }
    // File systems reuse blocks once their removal is on the disk.
    if (freed > 0) await this.disk.syncFolder(this.folder)
    return freed
  }

  close(): Promise<void> {
    return this.leave()
  }

  private async begin(): Promise<{ readonly file: DiskFile; readonly entry: BallastFile }> {
    await makeFolderIn(this.disk, this.deviceFolder, this.folder)
    const number = 1 + Math.max(0, ...this.files.map(each => each.number))
    const path = `${this.folder}/${ballastFileName(number)}`
    const entry = { path, number, bytes: 0 }
    const file = await this.disk.open(path, "create")
    this.files.push(entry)
    return { file, entry }
  }

  private async leave(): Promise<void> {
    const { growing } = this
    this.growing = undefined
    await growing?.file.close()
  }
}

/** The ballast files in a device's folder, the oldest first. */
async function ballastPaths(disk: Disk, deviceFolder: string): Promise<string[]> {
  const folder = `${deviceFolder}/${BALLAST_FOLDER}`
  if (!(await disk.exists(folder))) return []
  return (await disk.list(folder)).filter(name => NAME.test(name)).map(name => `${folder}/${name}`)
}

/** Returns true if the ballast folder, if it exists, contains no other files. */
export async function holdsBallastOnly(disk: Disk, deviceFolder: string): Promise<boolean> {
  const folder = `${deviceFolder}/${BALLAST_FOLDER}`
  if (!(await disk.exists(folder))) return true
  return (await disk.list(folder)).every(name => NAME.test(name) || name === RECORD_RESERVE_NAME)
}

/** Returns false for a file that was gone already: records are replaced beside an open ballast, see `withBallast`. */
async function removed(disk: Disk, path: string): Promise<boolean> {
  try {
    await disk.remove(path)
    return true
  } catch (error) {
    if (isFailure(error, "deviceFailed") && error.details["code"] === "ENOENT") return false
    throw error
  }
}

/** Gives back one file of a device that may not be open. Returns false if there is none. */
export async function dropBallast(disk: Disk, deviceFolder: string): Promise<boolean> {
  const last = (await ballastPaths(disk, deviceFolder)).at(-1)
  if (last === undefined) return false
  await removed(disk, last)
  await disk.syncFolder(`${deviceFolder}/${BALLAST_FOLDER}`)
  return true
}

/** Lets a device be opened: gives back ballast until this much is free, as far as there is any. */
export async function freeSpaceToStart(disk: Disk, deviceFolder: string): Promise<void> {
  while ((await disk.space(deviceFolder)).freeBytes < START_BYTES && (await dropBallast(disk, deviceFolder))) continue
}

/** Space for `withBallast` if no ballast is left: call it from time to time while there is space. */
export const reserveRecordSpace = (disk: Disk, deviceFolder: string): Promise<void> =>
  keepRecordReserve(disk, deviceFolder, `${deviceFolder}/${BALLAST_FOLDER}`)

/**
 * Runs an operation that must succeed even on a full disk, before anything of the device is open: if it finds no space,
 * the record reserve is lent to it, and then a file of the ballast is freed each time. The operation must be
 * repeatable.
 */
export async function withBallast<T>(disk: Disk, deviceFolder: string, run: () => Promise<T>): Promise<T> {
  let isLent = false
  const makeSpace = async (): Promise<boolean> => {
    if (isLent) return dropBallast(disk, deviceFolder)
    isLent = await lendRecordReserve(disk, `${deviceFolder}/${BALLAST_FOLDER}`)
    return isLent || dropBallast(disk, deviceFolder)
  }
  try {
    return await retryWithSpace(run, makeSpace)
  } finally {
    if (isLent) await reserveRecordSpace(disk, deviceFolder)
  }
}
