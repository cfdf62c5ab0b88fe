/**
 * Scrub of a device's needles: reads every volume from end to end, in steps, and verifies each group header and each
 * live needle, before a client's read finds the damage.
 *
 * The scrub first verifies needles that were known to be bad when the process ended. Behind a damaged header it looks
 * up in the index which other needles are stored there, and once in a pass the needles in missing volumes. It marks bad
 * needles suspect and reports them, so that they can be rebuilt; it repairs nothing itself.
 *
 * Promises  A pass verifies every needle that exists from its beginning to its end, in place or moved to a later
 *           volume. The pass does not trust the page cache: it reads the device itself, if its file system allows that
 *           (O_DIRECT). Clients' pages stay in the page cache.
 * Limits    NeedleScrubLimits, and one window of memory.
 */
import type { RowKey, VolumeId } from "@hayloft/base/ids.js"
import { parseVolumeId } from "@hayloft/base/ids.js"
import type { NeedlePlace } from "../format/needles/needle.js"
import { decodeNeedlePlace, needleIdOfKey, needleKeyOf } from "../format/needles/needle.js"
import type { NeedleScrubState } from "../format/device/needle-scrub.js"
import type { VolumePosition } from "../format/needles/volume.js"
import { isAbsent, isUnreadable } from "./files.js"
import type { PassNeedle, ScannedNeedle } from "./group-reader.js"
import { FileWindow, FileWindowMemory } from "./group-reader.js"
import { NEEDLE_SCRUB_LIMITS, type NeedleScrubLimits } from "./limits.js"
import { isBodyWhole, isWholeAt } from "./needle-check.js"
import { isSameNeedlePlace } from "./needle-read-core.js"
import type { RowWalk } from "./row-walk.js"
import type { ScanEvents } from "./scan.js"
import type { VolumeUpkeep } from "./upkeep.js"
import type { OnDamage } from "./volume-copy.js"

/** The volume that is being read. */
interface Reading {
  readonly volumeId: VolumeId
  readonly events: ScanEvents
  /** Live needles met so far; undefined if the walk did not begin at the beginning. */
  met: number | undefined
  readonly isNewest: boolean
  at: VolumePosition | undefined
  /** Something could not be decoded: only the index can show what else is stored here. */
  isDoubtful: boolean
}

/** Rows of the index that point into a volume whose headers are not all readable. */
interface Search {
  readonly rows: RowWalk
  isHere(place: NeedlePlace): boolean
  readonly found: RowKey[]
}

export class NeedleScrub {
  private again: RowKey[]
  private reading: Reading | undefined
  private search: Search | undefined
  /** Everything before it has been verified. */
  private at: VolumePosition | undefined
  /** Volumes up to this one have been verified. */
  private passed = 0
  private hasSearchedMissing = false
  /** Single needles are verified by the index only while no volume is being read: one memory is enough. */
  private readonly memory = new FileWindowMemory("direct")
  /** Bytes verified in this process, headers included. */
  verifiedBytes = 0
  /** Needles found bad in this process, counted each time that they were found. */
  damagesFound = 0

  constructor(
    private readonly upkeep: VolumeUpkeep,
    saved: NeedleScrubState | undefined,
    private readonly onDamage: OnDamage,
    private readonly limits: NeedleScrubLimits = NEEDLE_SCRUB_LIMITS,
  ) {
    this.at = saved?.at
    this.passed = (saved?.at?.volumeId ?? 1) - 1
    this.again = [...(saved?.damaged ?? [])]
  }

  /** Save it from time to time, and pass it to the scrub of the next process. */
  get state(): NeedleScrubState {
    const { damagedKeptMax } = this.limits
    const damaged = [...this.again, ...this.upkeep.index.suspectKeys()].slice(0, damagedKeptMax)
    const { reading } = this
    // A doubtful volume must be read again.
    const at = this.search === undefined && reading?.isDoubtful === false ? (reading.at ?? this.at) : this.at
    return { at, damaged: [...new Set(damaged)] }
  }

  /** Needles that an earlier process found bad have not all been checked: this must not wait until a pass is due. */
  get isLookingAgain(): boolean {
    return this.again.length > 0
  }

  /** Share of the written bytes that this pass has verified: 0 to 1. */
  get doneShare(): number {
    const at = this.reading?.at ?? this.at
    let [before, all] = [0, 0]
    for (const { volumeId, writtenBytes } of this.upkeep.usages.list()) {
      all += writtenBytes
      if (at !== undefined && volumeId <= at.volumeId) before += volumeId < at.volumeId ? writtenBytes : at.offsetBytes
    }
    return all === 0 ? 1 : Math.min(1, before / all)
  }

  /** "done": a pass has ended; the next step begins another. Throws `deviceFailed`, `corruptRow`. */
  async step(signal: AbortSignal): Promise<"busy" | "done"> {
    const { usages } = this.upkeep
    if (!usages.isCounted) usages.countSome(this.limits.stepRowsMax)
    else if (this.again.length > 0) await this.checkAgain(signal)
    else if (this.search !== undefined) await this.searchSome(this.search, signal)
    else if (this.reading !== undefined) await this.readSome(this.reading, signal)
    else if (!this.readNext() && !this.searchMissing()) {
      this.at = undefined
      this.passed = 0
      this.hasSearchedMissing = false
      return "done"
    }
    return "busy"
  }

  private async checkAgain(signal: AbortSignal): Promise<void> {
    for (let taken = 0; taken < this.limits.stepNeedlesMax && !signal.aborted; taken += 1) {
      const key = this.again.pop()
      if (key === undefined) return
      await this.verify(key)
    }
  }

  /** Begins with the next volume; false if there is none. */
  private readNext(): boolean {
    const { passed, at, upkeep } = this
    const volumeId = upkeep.usages.list().find(volume => volume.volumeId > passed)?.volumeId
    if (volumeId === undefined) return false
    const from = at?.volumeId === volumeId ? at : undefined
    const [isNewest, met] = [volumeId === upkeep.newest, from === undefined ? 0 : undefined]
    // Bodies are verified on the way from header to header: the disk is read straight on.
    const pass: PassNeedle = (needle, window) => this.verifyHere(reading, needle, window)
    const events = upkeep.walkVolume(volumeId, { from, pass, memory: this.memory })
    const reading: Reading = { volumeId, events, met, isNewest, at: from, isDoubtful: false }
    this.reading = reading
    return true
  }

  /** The volume has been verified, or is gone. */
  private pass(volumeId: VolumeId, at: VolumePosition | undefined): void {
    this.passed = volumeId
    this.at = at ?? this.at
    this.reading = undefined
    this.search = undefined
  }

  private async readSome(reading: Reading, signal: AbortSignal): Promise<void> {
    const untilBytes = this.verifiedBytes + this.limits.stepBytes
    const { stepNeedlesMax } = this.limits
    try {
      for (let taken = 0; taken < stepNeedlesMax && this.verifiedBytes < untilBytes && !signal.aborted; taken += 1) {
        const { value: event, done } = await reading.events.next()
        if (done === true) {
          this.endVolume(reading)
          return
        }
        if (event.kind === "position") reading.at = event.position
        else if (event.kind === "damage") reading.isDoubtful = true
        else if (event.kind === "tornTail") reading.isDoubtful ||= reading.met === undefined
      }
    } catch (error) {
      if (isUnreadable(error)) {
        // The walk cannot continue, but each needle can be looked up in the index.
        reading.isDoubtful = true
        this.endVolume(reading)
        return
      }
      // Compaction has removed the volume.
      if (!isAbsent(error)) throw error
      this.pass(reading.volumeId, undefined)
    }
  }

  private async verifyHere(reading: Reading, needle: ScannedNeedle, window: FileWindow): Promise<void> {
    const { header, place } = needle
    if (header.kind !== "shard") return
    const key = needleKeyOf(header.id)
    const warm = this.upkeep.index.warm(key)
    if (warm) await warm
    if (!isSameNeedlePlace(this.upkeep.index.placeOf(key), place)) return
    if (reading.met !== undefined) reading.met += 1
    this.report(key, place, await isBodyWhole(window, needle))
  }

  /** There may be more live needles here than the headers showed. */
  private endVolume(reading: Reading): void {
    const { volumeId, met, isNewest, isDoubtful } = reading
    const { usages } = this.upkeep
    const live = usages.get(volumeId)?.liveNeedles ?? 0
    const isHidden = met !== undefined && !isNewest && live > met
    if (!isDoubtful && !isHidden) this.pass(volumeId, reading.at)
    else this.search = { rows: this.upkeep.index.walk(), isHere: ({ volume }) => volume === volumeId, found: [] }
  }

  /** Volumes that the index points at and that are missing; false if they have been searched, or there are none. */
  private searchMissing(): boolean {
    const missing = new Set<number>(this.upkeep.usages.listMissing().map(({ volumeId }) => volumeId))
    if (missing.size === 0 || this.hasSearchedMissing) return false
    this.hasSearchedMissing = true
    this.search = { rows: this.upkeep.index.walk(), isHere: ({ volume }) => missing.has(volume), found: [] }
    return true
  }

  private async searchSome(search: Search, signal: AbortSignal): Promise<void> {
    const untilBytes = this.verifiedBytes + this.limits.stepBytes
    if (search.found.length === 0 && !search.rows.isOver) {
      search.rows.step(this.limits.stepRowsMax, (_, key, { value }) => {
        if (search.isHere(decodeNeedlePlace(value))) search.found.push(key)
      })
    }
    while (this.verifiedBytes < untilBytes && !signal.aborted) {
      const key = search.found.pop()
      if (key === undefined) break
      if (this.upkeep.index.isTrusted(key)) await this.verify(key)
    }
    if (!search.rows.isOver || search.found.length > 0) return
    if (this.reading !== undefined) this.pass(this.reading.volumeId, this.reading.at)
    this.search = undefined
  }

  /** At the place that the index contains. */
  private async verify(key: RowKey): Promise<void> {
    const place = this.upkeep.index.placeOf(key)
    if (place === undefined) return
    const end = place.offsetBytes + place.headerBytes + place.bodyBytes
    const window = new FileWindow(this.upkeep.fileOf(parseVolumeId(place.volume)), end, this.memory)
    this.report(key, place, await isWholeAt(window, key, place))
  }

  private report(key: RowKey, place: NeedlePlace, isWhole: boolean): void {
    this.verifiedBytes += place.headerBytes + place.bodyBytes
    // Moved or removed meanwhile: not damage.
    if (isWhole || !isSameNeedlePlace(this.upkeep.index.placeOf(key), place)) return
    this.upkeep.index.markSuspect(key)
    this.damagesFound += 1
    this.onDamage(needleIdOfKey(key))
  }
}
