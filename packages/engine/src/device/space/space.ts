/**
 * Space: how much space each device has, measured at its file system from time to time and computed in between; and the
 * ballast that keeps the reserve free.
 *
 * Devices whose folders are on one file system share its space, its reserve and its ballast, whose files are spread
 * over their folders in turn.
 *
 * Promises  Ballast is given back only on request, because a write has found no space.
 * Limits    SPACE_LIMITS. The free space is up to `checkEveryMs` old.
 */
import { must } from "@hayloft/base/assert.js"
import { asFailure, fail, isFailure } from "@hayloft/base/failures.js"
import { ENTRY_BYTES_MAX } from "@hayloft/base/limits.js"
import { InOrder, type BackgroundService } from "@hayloft/base/life/index.js"
import { nextBeat } from "@hayloft/base/seams/clock/beats.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Disk, Space } from "@hayloft/base/seams/disk/contract.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"
import {
  ballastFileBytes,
  ballastSpaceBytes,
  FillRate,
  isShortOfSpace,
  levelOf,
  logBytesMaxWhenShort,
  maySpend,
  remainingBytes,
  reserveOf,
  SPACE_LIMITS,
  spaceBytesFor,
  type SpaceFacts,
  type SpaceLevel,
  type SpaceLimits,
  type SpaceUse,
} from "@hayloft/base/space/space-core.js"
import { Ballast, Noise, reserveRecordSpace } from "./ballast.js"
import { ballastDisk, type SpaceMaker } from "./ballast-disk.js"

export interface Fullness {
  readonly fileSystemId: string
  /** "ext4", "xfs", "tmpfs", "nfs" … or "unknown". */
  readonly fileSystemKind: string
  readonly totalBytes: number
  /** Bytes that could still be written if all of the reserve were used. */
  readonly remainingBytes: number
  /** Bytes that needles may still use. */
  readonly usableBytes: number
  readonly reserveBytes: number
  readonly ballastBytes: number
  readonly level: SpaceLevel
  /** At the rate of the last hour; undefined if it does not fill, or is not known yet. */
  readonly secondsUntilFull: number | undefined
}

/** The file systems of one process. */
export class Spaces {
  private readonly systems = new Map<string, FileSystem>()
  private readonly noise: Noise

  constructor(
    private readonly clock: Clock,
    random: Random,
    private readonly output: Log,
    private readonly limits: SpaceLimits = SPACE_LIMITS,
  ) {
    this.noise = new Noise(random)
  }

  /**
   * Checks a device's file system and the ballast in its folder. `disk`: behind its queue. Throws the errors of the
   * disk.
   */
  async open(name: string, disk: Disk, folder: string, isMountPoint: boolean): Promise<DeviceSpace> {
    const space = await disk.space(folder)
    const ballast = await Ballast.open(disk, folder, this.noise)
    const { fileSystemId } = space
    const system = this.systems.get(fileSystemId) ?? new FileSystem(fileSystemId, this.clock, this.output, this.limits)
    this.systems.set(fileSystemId, system)
    const member = {
      name,
      disk,
      folder,
      isMountPoint,
      ballast,
      pendingBytes: () => 0,
      undoCopies: () => Promise.resolve(false),
    }
    system.add(member, space)
    return new DeviceSpace(system, member, async () => {
      system.remove(member)
      if (system.isLeft && this.systems.get(fileSystemId) === system) this.systems.delete(fileSystemId)
      await ballast.close()
    })
  }
}

interface SpaceMember {
  readonly name: string
  readonly disk: Disk
  readonly folder: string
  readonly isMountPoint: boolean
  readonly ballast: Ballast
  pendingBytes: () => number
  undoCopies: () => Promise<boolean>
}

/** One device's view of its file system. */
export class DeviceSpace implements BackgroundService, SpaceMaker {
  readonly name: string

  constructor(
    private readonly system: FileSystem,
    private readonly member: SpaceMember,
    private readonly leave: () => Promise<void>,
  ) {
    this.name = `space ${member.name}`
  }

  /** The device's disk, with ballast behind it. */
  get disk(): Disk {
    return ballastDisk(this.member.disk, this)
  }

  /** From now on `bytes()` count as soon to be written: log that the next checkpoints write to the store. */
  addPending(bytes: () => number): void {
    this.member.pendingBytes = bytes
  }

  /** From now on `undo` discards copies that no checkpoint contains. */
  setUndoCopies(undo: () => Promise<boolean>): void {
    this.member.undoCopies = undo
  }

  undoCopies(): Promise<boolean> {
    return this.member.undoCopies()
  }

  mayTakeNeedles(bytes: number): boolean {
    return this.maySpend("needles", bytes)
  }

  mayTakeMetadata(bytes: number = ENTRY_BYTES_MAX): boolean {
    return this.maySpend("rows", bytes)
  }

  /**
   * Returns undefined if there is space for new rows; otherwise a last check, which throws `deviceFull` if there is
   * none.
   */
  spaceForMetadata(bytes: number = ENTRY_BYTES_MAX): Promise<void> | undefined {
    return this.mayTakeMetadata(bytes) ? undefined : this.lastCheck(bytes)
  }

  get isFull(): boolean {
    return levelOf(this.system.facts, this.system.limits) !== "enough"
  }

  /** Returns true if the device is short of space, which it is before it is full. */
  get isShort(): boolean {
    return isShortOfSpace(this.system.facts, this.system.limits)
  }

  /** Bytes that copies which give space back later may use now. */
  get copySpaceBytes(): number {
    return this.spaceBytesFor("copies")
  }

  /** Bytes that one merge step of the metadata store may write now. */
  get mergeSpaceBytes(): number {
    return this.spaceBytesFor("merges")
  }

  /** Returns true if a log of so many bytes is too long for the space that is left: a checkpoint is due. */
  isLogTooLong(bytes: number): boolean {
    return bytes >= this.system.longLogBytes && this.isFull
  }

  get fullness(): Fullness {
    const { facts, limits, fileSystemId, fileSystemKind } = this.system
    const { totalBytes, reserveBytes, ballastBytes } = facts
    return {
      fileSystemId,
      fileSystemKind,
      totalBytes,
      reserveBytes,
      ballastBytes,
      level: levelOf(facts, limits),
      remainingBytes: remainingBytes(facts),
      usableBytes: spaceBytesFor(facts, "needles", limits),
      secondsUntilFull: this.system.rate.secondsUntilFull,
    }
  }

  giveBack(bytes: number): Promise<boolean> {
    return this.system.giveBack(bytes)
  }

  grew(bytes: number): void {
    this.system.grew(bytes)
  }

  /** Queries the file system now; later results of this object include the answer. */
  check(): Promise<void> {
    return this.system.check()
  }

  /** Bytes that are really free, without ballast. */
  get freeBytes(): number {
    return this.system.facts.freeBytes
  }

  async run(signal: AbortSignal): Promise<void> {
    await this.system.run(this.member, signal)
  }

  close(): Promise<void> {
    return this.leave()
  }

  private maySpend(use: SpaceUse, bytes: number): boolean {
    return maySpend(this.system.facts, use, bytes, this.system.limits)
  }

  private spaceBytesFor(use: SpaceUse): number {
    return spaceBytesFor(this.system.facts, use, this.system.limits)
  }

  private async lastCheck(bytes: number): Promise<void> {
    await this.system.checkSoon()
    if (this.mayTakeMetadata(bytes)) return
    const { folder, name } = this.member
    throw fail("deviceFull", { message: "the device has no space for new rows", device: name, path: folder })
  }
}

/** Within this time of the last check no other is started. */
const CHECK_AGAIN_MS = 100
/** Records grow with the devices, and another process may have used the space when it was lent. */
const KEEP_RECORD_ROOM_EVERY_MS = 30_000

class FileSystem {
  readonly rate: FillRate
  private readonly members: SpaceMember[] = []
  private space: Space | undefined
  private grownBytes = 0
  /** By this process since the file system is used, up to the last query. */
  private addedBytes = 0
  /** Part of the free bytes that this process cannot use, as a write without space has shown (a quota). */
  private hiddenBytes = 0
  private reserveBytes = 0
  private ballastBytes = 0
  /** A log of so many bytes is too long once the file system is full. */
  longLogBytes = 0
  private checkedMs = -Infinity
  private checking: Promise<void> | undefined
  private gaveBackMs = -Infinity
  /** Operations on the ballast, one after another. */
  private readonly ballasting = new InOrder()

  constructor(
    readonly fileSystemId: string,
    private readonly clock: Clock,
    private readonly output: Log,
    readonly limits: SpaceLimits,
  ) {
    this.rate = new FillRate(limits.rateMs)
  }

  get fileSystemKind(): string {
    return this.shown.fileSystemKind
  }

  get isLeft(): boolean {
    return this.members.length === 0
  }

  private get shown(): Space {
    return must(this.space, "a file system is measured when it is opened")
  }

  /** Read by each write: values that change rarely are computed when they change. */
  get facts(): SpaceFacts {
    let pendingBytes = 0
    for (const member of this.members) pendingBytes += member.pendingBytes()
    const { totalBytes, freeBytes } = this.shown
    const { ballastBytes, reserveBytes, hiddenBytes } = this
    const usable = Math.max(0, freeBytes - hiddenBytes)
    return { totalBytes, freeBytes: usable, grownBytes: this.grownBytes, pendingBytes, ballastBytes, reserveBytes }
  }

  /** Call it after any of the facts has changed. */
  private compute(): void {
    const { totalBytes } = this.shown
    const reserves = this.members.map(({ isMountPoint }) => reserveOf(totalBytes, isMountPoint, this.limits))
    this.reserveBytes = Math.max(0, ...reserves)
    this.ballastBytes = this.members.reduce((sum, { ballast }) => sum + ballast.bytes, 0)
    this.longLogBytes = logBytesMaxWhenShort(this.reserveBytes, this.limits)
  }

  add(member: SpaceMember, space: Space): void {
    this.members.push(member)
    this.record(space, 0)
  }

  remove(member: SpaceMember): void {
    const at = this.members.indexOf(member)
    if (at !== -1) this.members.splice(at, 1)
    this.compute()
  }

  grew(bytes: number): void {
    this.grownBytes += bytes
  }

  check(): Promise<void> {
    this.checking ??= this.query().finally(() => (this.checking = undefined))
    return this.checking
  }

  /** Runs `check`, unless the last one was just now. If the file system cannot be queried, the facts stay. */
  async checkSoon(): Promise<void> {
    if (this.clock.monotonicMs() - this.checkedMs < CHECK_AGAIN_MS) return
    await this.check().catch(() => undefined)
  }

  private async query(): Promise<void> {
    let failure: unknown
    for (const { disk, folder } of [...this.members]) {
      const countedBytes = this.grownBytes
      try {
        this.record(await disk.space(folder), countedBytes)
        return
      } catch (error) {
        failure = error
      }
    }
    if (failure !== undefined) throw asFailure(failure)
  }

  /** `countedBytes`: growth up to the query, which the answer includes. */
  private record(space: Space, countedBytes: number): void {
    this.space = space
    this.grownBytes -= countedBytes
    this.checkedMs = this.clock.monotonicMs()
    this.compute()
    this.addedBytes += countedBytes
    this.rate.add(this.checkedMs, spaceBytesFor(this.facts, "needles", this.limits), this.addedBytes)
  }

  /** Checks space and grows the ballast until the signal fires; one of several devices at a time does it. */
  async run(member: SpaceMember, signal: AbortSignal): Promise<void> {
    let keptMs = -Infinity
    while (!signal.aborted) {
      await nextBeat(this.clock, this.limits.checkEveryMs, signal)
      if (signal.aborted || !this.members.includes(member)) continue
      const nowMs = this.clock.monotonicMs()
      if (nowMs - keptMs >= KEEP_RECORD_ROOM_EVERY_MS) {
        keptMs = nowMs
        await reserveRecordSpace(member.disk, member.folder)
      }
      if (this.checking !== undefined || nowMs - this.checkedMs < this.limits.checkEveryMs / 2) continue
      await this.check()
      await this.growBallast(signal)
    }
  }

  private async growBallast(signal: AbortSignal): Promise<void> {
    if (this.clock.monotonicMs() - this.gaveBackMs < this.limits.regrowMs) return
    if (this.hiddenBytes > 0) await this.ballasting.run(() => this.probe())
    for (let piece = 0; piece < this.limits.ballastPiecesPerCheck && !signal.aborted; piece += 1) {
      const grown = await this.ballasting.run(() => this.growPiece())
      if (!grown) return
    }
  }

  /** Checks whether this process can use the hidden free bytes by now. */
  private async probe(): Promise<void> {
    if (await this.canWrite(Math.min(this.limits.ballastPieceBytes, this.shown.freeBytes))) this.hiddenBytes = 0
  }

  /** Writes so many bytes as ballast; returns false if there is no space for them. */
  private async canWrite(bytes: number): Promise<boolean> {
    for (let left = bytes; left > 0;) {
      const before = this.ballastBytes
      if (!(await this.grow(Math.min(left, this.limits.ballastPieceBytes)))) return false
      left -= this.ballastBytes - before
    }
    return true
  }

  private growPiece(): Promise<boolean> {
    return this.grow(Math.min(ballastSpaceBytes(this.facts, this.limits), this.limits.ballastPieceBytes))
  }

  /** Adds to the ballast of the device that has the least; false if there is no need or no space. */
  private async grow(bytes: number): Promise<boolean> {
    const [member] = [...this.members].sort((a, b) => a.ballast.bytes - b.ballast.bytes)
    if (bytes <= 0 || member === undefined) return false
    const before = member.ballast.bytes
    try {
      await member.ballast.grow(bytes, ballastFileBytes(this.facts.reserveBytes, this.limits))
    } catch (error) {
      // Another process used the space meanwhile, or that device fails, which does not affect the others on its file
      // system: the next attempt follows when things have settled.
      if (!isFailure(error, "deviceFull", "deviceFailed")) throw error
      this.gaveBackMs = this.clock.monotonicMs()
    }
    const grownBytes = member.ballast.bytes - before
    this.grew(grownBytes)
    this.compute()
    return grownBytes > 0
  }

  /** Called for a write that found no space. */
  giveBack(bytes: number): Promise<boolean> {
    return this.ballasting.run(async () => {
      this.gaveBackMs = this.clock.monotonicMs()
      await this.check().catch(() => undefined)
      const before = this.ballastBytes
      await this.hideUnusable(bytes)
      // The check may have written ballast, which is no space for the caller: callers that retry without end must come to one.
      const wantedBytes = Math.max(1, bytes) + this.ballastBytes - before
      let shrunkBytes = 0
      for (const { ballast, name } of [...this.members].sort((a, b) => b.ballast.bytes - a.ballast.bytes)) {
        if (shrunkBytes >= wantedBytes) break
        shrunkBytes += await ballast.shrink(wantedBytes - shrunkBytes).catch((error: unknown) => {
          this.output.warn("ballast_release_failed", { device: name, error: String(error) })
          return 0
        })
      }
      this.compute()
      const freedBytes = before - this.ballastBytes
      if (freedBytes <= 0) return false
      this.output.warn("ballast_released", { freedBytes, fileSystem: this.fileSystemId })
      await this.check().catch(() => undefined)
      return true
    })
  }

  /**
   * Hides free bytes that this process cannot use, after a write of so many bytes has failed. The failed write alone
   * proves nothing, because the space may have become free since: another write has to fail while there is space before
   * it and after it.
   */
  private async hideUnusable(bytes: number): Promise<void> {
    const seemsEnough = (): boolean => this.facts.freeBytes >= bytes + this.limits.fullBytes
    if (!seemsEnough() || (await this.canWrite(bytes))) return
    await this.check().catch(() => undefined)
    if (seemsEnough()) this.hiddenBytes = this.shown.freeBytes
  }
}
