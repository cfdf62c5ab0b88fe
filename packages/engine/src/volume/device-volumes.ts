/**
 * A device's needles: ordinary volumes, and volumes of needles that end (`expiring-core.ts`), which are removed whole.
 *
 * Each class of ends has volumes of its own: a folder, an open volume with its queue, index rows and a mark in the
 * checkpoints. So each has all promises of `NeedleVolumes`, and nothing that one of them writes or recovers depends on
 * another. The volumes of a class are made with its first needle; until then a device has ordinary volumes alone.
 *
 * A needle may be in two of them: a repetition of a write can fall into another class, a crash can interrupt the move of
 * a needle to the ordinary volumes. The copies have the same bytes: one that is good is enough, and a removal removes
 * all.
 *
 * Promises  Those of `Volumes`.
 * Limits    Those of each class are its own (VolumeLimits); bodies in flight are counted together.
 */
import type { Span } from "@hayloft/base/trace.js"
import { fail, isFailure, type Failure } from "@hayloft/base/failures.js"
import type { RowKey } from "@hayloft/base/ids.js"
import type { KeyRange } from "@hayloft/base/rows/key-range.js"
import { must } from "@hayloft/base/assert.js"
import { needleKeyOf } from "../format/needles/needle.js"
import { mapBounded, SharedWork } from "@hayloft/base/life/index.js"
import type { VolumePosition } from "../format/needles/volume.js"
import {
  leaveIfSlow,
  waitIfSlow,
  type Allocate,
  type CachedPlace,
  type FetchedShard,
  type IndexedNeedle,
  type MayAppend,
  type Needle,
  type NeedleId,
  type NeedleRange,
  type ShardHeader,
  type VolumeDamage,
  type Volumes,
  type DeviceVolumeUsage,
} from "./contract.js"
import { classOfEnd, EXPIRING_CLASSES, fillingMsOf, type ExpiringClass } from "./expiring-core.js"
import type { KeptVolumes } from "./upkeep.js"

const NONE: ReadonlySet<KeptVolumes> = new Set()
const INSTANCES_MAX = 1 + EXPIRING_CLASSES.length

/** Positions that are durable. */
export interface DurableVolumes {
  readonly ordinary: VolumePosition | undefined
  readonly expiring: readonly { readonly number: number; readonly upTo: VolumePosition | undefined }[]
}

/** The volumes of one class. */
export interface ExpiringVolumes {
  readonly ends: ExpiringClass
  readonly volumes: KeptVolumes
}

interface DeviceVolumesPlan {
  readonly wallMs: () => number
  /** Opens the ordinary volumes, or those of a class. `began`: to be called when a volume begins. */
  readonly open: (ends: ExpiringClass | undefined, mayAppend: MayAppend, began: () => void) => Promise<KeptVolumes>
  /** Classes that the device has volumes of. */
  readonly existing: readonly ExpiringClass[]
  /** Resolves once earlier releases, which know no classes, cannot open the device. */
  readonly refuseEarlier: () => Promise<void>
  /** Returns true if needles that end are placed apart now. */
  readonly placesApart: () => boolean
  readonly mayAppend: MayAppend
}

export class DeviceVolumes implements Omit<Volumes, "durable"> {
  private readonly classes = new Map<number, ExpiringVolumes>()
  private readonly opening = new SharedWork<number, KeptVolumes>()
  /** Appends that wait for the volumes of their class. */
  private readonly placing = new Set<Promise<unknown>>()
  /** How many removals of each needle are under way. */
  private readonly removing = new Map<RowKey, number>()
  /** Needles on their way to the ordinary volumes. */
  private moving: { readonly keys: ReadonlySet<RowKey>; readonly done: Promise<void> } | undefined
  /** When the open volume of a class was begun. */
  private readonly begunMs = new Map<number, number>()
  /** Bodies on their way, which the space of the device does not include yet. */
  private comingBytes = 0
  private isClosed = false
  private opened: KeptVolumes | undefined

  private constructor(private readonly plan: DeviceVolumesPlan) {}

  /** Throws `deviceFailed`. */
  static async open(plan: DeviceVolumesPlan): Promise<DeviceVolumes> {
    const volumes = new DeviceVolumes(plan)
    try {
      volumes.opened = await volumes.openOne(undefined)
      for (const ends of plan.existing) await volumes.make(ends)
      return volumes
    } catch (error) {
      await volumes.close()
      throw error
    }
  }

  get ordinary(): KeptVolumes {
    return must(this.opened, "the ordinary volumes are opened first")
  }

  /** In the order of their spans. */
  get expiring(): readonly ExpiringVolumes[] {
    return [...this.classes.values()].sort((a, b) => a.ends.number - b.ends.number)
  }

  private get all(): readonly KeptVolumes[] {
    return [this.ordinary, ...[...this.classes.values()].map(({ volumes }) => volumes)]
  }

  get refusing(): Failure | undefined {
    return this.all.find(({ refusing }) => refusing !== undefined)?.refusing
  }

  get damages(): readonly VolumeDamage[] {
    return this.all.flatMap(({ damages }) => damages)
  }

  async append(needle: Needle): Promise<void> {
    const { length } = needle.body
    this.comingBytes += length
    try {
      const target = this.targetOf(needle)
      if (!(target instanceof Promise)) await target.append(needle)
      else await this.appendOnceOpen(target, needle)
    } finally {
      this.comingBytes -= length
    }
  }

  private async appendOnceOpen(target: Promise<KeptVolumes>, needle: Needle): Promise<void> {
    const placed = target.then(volumes => ({ written: volumes.append(needle) }))
    this.placing.add(placed)
    try {
      await (
        await placed
      ).written
    } finally {
      this.placing.delete(placed)
    }
  }

  private targetOf({ id, endsAtMs, isUnhurried }: Needle): KeptVolumes | Promise<KeptVolumes> {
    const { ordinary, plan } = this
    if (endsAtMs !== undefined && plan.placesApart()) {
      const ends = classOfEnd(endsAtMs, plan.wallMs())
      return ends === undefined ? ordinary : this.ofClass(ends)
    }
    // A rebuilt shard replaces the one that was bad.
    return isUnhurried === true && this.classes.size > 0 && plan.placesApart() ? this.findHolder(id) : ordinary
  }

  private ofClass(ends: ExpiringClass): KeptVolumes | Promise<KeptVolumes> {
    const known = this.classes.get(ends.number)
    if (known === undefined) {
      // The end is a hint: whatever prevents the volumes of the class, the needle is written.
      return this.make(ends).catch((error: unknown) => {
        if (!isFailure(error)) throw error
        return this.ordinary
      })
    }
    this.leaveOld(known)
    return known.volumes
  }

  /** Leaves the open volume of a class if it was begun too long ago. */
  private leaveOld({ ends, volumes }: ExpiringVolumes): void {
    const begunMs = this.begunMs.get(ends.number)
    if (begunMs === undefined) return
    const filledMs = this.plan.wallMs() - begunMs
    if (filledMs >= 0 && filledMs < fillingMsOf(ends)) return
    this.begunMs.delete(ends.number)
    void volumes.upkeep.leaveVolume()
  }

  private make(ends: ExpiringClass): Promise<KeptVolumes> {
    return this.opening.of(ends.number, () => this.begin(ends))
  }

  private async begin(ends: ExpiringClass): Promise<KeptVolumes> {
    if (this.isClosed) throw fail("stopping")
    await this.plan.refuseEarlier()
    const volumes = await this.openOne(ends)
    this.classes.set(ends.number, { ends, volumes })
    return volumes
  }

  private openOne(ends: ExpiringClass | undefined): Promise<KeptVolumes> {
    const { plan } = this
    return plan.open(
      ends,
      () => plan.mayAppend(this.comingBytes),
      () => ends && this.begunMs.set(ends.number, plan.wallMs()),
    )
  }

  read<Slow>(
    id: NeedleId,
    range: NeedleRange,
    ifSlow: (read: () => Promise<Uint8Array>) => Slow,
    allocate?: Allocate,
    trace?: Span,
  ): Uint8Array | Slow {
    if (this.classes.size === 0) return this.ordinary.read(id, range, ifSlow, allocate, trace)
    for (const volumes of this.all) {
      const bytes = volumes.read(id, range, leaveIfSlow, allocate, trace)
      if (bytes !== undefined) return bytes
    }
    return ifSlow(() => this.at(id, async volumes => volumes.read(id, range, waitIfSlow, allocate, trace)))
  }

  cachedPlaceOf(id: NeedleId, range: NeedleRange): CachedPlace | undefined {
    return this.all.reduce<CachedPlace | undefined>(
      (found, volumes) => found ?? volumes.cachedPlaceOf(id, range),
      undefined,
    )
  }

  get removedVolumes(): number {
    return this.all.reduce((sum, volumes) => sum + volumes.removedVolumes, 0)
  }

  fetch(
    id: NeedleId,
    bodyBytes: number,
    allocate: Allocate,
    range?: NeedleRange,
    isUnhurried?: boolean,
  ): Promise<FetchedShard> {
    return this.at(id, volumes => volumes.fetch(id, bodyBytes, allocate, range, isUnhurried))
  }

  headerOf(id: NeedleId): Promise<ShardHeader> {
    return this.at(id, volumes => volumes.headerOf(id))
  }

  /** Reads a needle where it is: one copy after the other, until one is good. */
  private async at<T>(id: NeedleId, read: (volumes: KeptVolumes) => Promise<T>): Promise<T> {
    if (this.classes.size === 0) return read(this.ordinary)
    const tried = new Set<KeptVolumes>()
    for (let holder = await this.findHolder(id); ;) {
      tried.add(holder)
      try {
        return await read(holder)
      } catch (error) {
        // It may also have moved to the ordinary volumes meanwhile.
        const other = await this.findOther(id, tried)
        if (other === undefined) throw error
        if (isFailure(error, "corruptNeedle")) holder.markSuspect([id])
        holder = other
      }
    }
  }

  private async findHolder(id: NeedleId): Promise<KeptVolumes> {
    return (await this.findOther(id, NONE)) ?? this.ordinary
  }

  /** Rather volumes that have a good copy; not the ones that were tried. */
  private async findOther(id: NeedleId, tried: ReadonlySet<KeptVolumes>): Promise<KeptVolumes | undefined> {
    const key = needleKeyOf(id)
    for (const { upkeep } of this.all) {
      const warm = upkeep.index.warm(key)
      if (warm) await warm
    }
    const left = this.all.filter(volumes => !tried.has(volumes))
    return left.find(volumes => volumes.has(id)) ?? left.find(({ upkeep }) => upkeep.index.placeOf(key) !== undefined)
  }

  has(id: NeedleId): boolean {
    return this.all.some(volumes => volumes.has(id))
  }

  async remove(ids: readonly NeedleId[]): Promise<void> {
    if (this.classes.size + this.opening.size === 0) return this.ordinary.remove(ids)
    const keys = ids.map(needleKeyOf)
    for (const key of keys) this.removing.set(key, (this.removing.get(key) ?? 0) + 1)
    try {
      await Promise.allSettled(this.placing)
      // A needle that moves is in one place again afterwards.
      while (keys.some(key => this.moving?.keys.has(key) === true)) await this.moving?.done
      await mapBounded(this.all, INSTANCES_MAX, volumes => volumes.remove(ids))
    } finally {
      for (const key of keys) {
        const left = (this.removing.get(key) ?? 0) - 1
        if (left > 0) this.removing.set(key, left)
        else this.removing.delete(key)
      }
    }
  }

  /** Returns true if a removal of the needle is under way: it must not be moved. */
  isRemoving(key: RowKey): boolean {
    return this.removing.has(key)
  }

  /** Does the work that moves needles; removals of these wait meanwhile. One move at a time. */
  async move(keys: ReadonlySet<RowKey>, work: () => Promise<void>): Promise<void> {
    const moved = work()
    const moving = { keys, done: moved.catch(() => undefined) }
    this.moving = moving
    try {
      await moved
    } finally {
      this.moving = undefined
    }
  }

  markSuspect(ids: readonly NeedleId[]): void {
    for (const volumes of this.all) volumes.markSuspect(ids)
  }

  indexed(range: KeyRange): Iterable<IndexedNeedle> {
    return this.classes.size === 0 ? this.ordinary.indexed(range) : merged(this.all.map(each => each.indexed(range)))
  }

  usage(): DeviceVolumeUsage {
    const { all } = this
    const usages = all.map(volumes => volumes.usage())
    if (usages.length === 1) return must(usages[0], "there is one")
    const sum = (of: (usage: DeviceVolumeUsage) => number): number =>
      usages.reduce((total, usage) => total + of(usage), 0)
    const writtenBytes = sum(usage => usage.writtenBytes)
    const isCounted = usages.every(usage => usage.liveBytes !== undefined)
    const liveBytes = isCounted ? sum(usage => usage.liveBytes ?? 0) : undefined
    const deadBytes = writtenBytes - (liveBytes ?? 0)
    const deadShare = liveBytes === undefined ? undefined : writtenBytes === 0 ? 0 : deadBytes / writtenBytes
    return { volumes: sum(usage => usage.volumes), writtenBytes, liveBytes, deadShare }
  }

  /** See `Volumes.durable`. */
  durable(): DurableVolumes {
    const expiring = this.expiring.map(({ ends, volumes }) => ({ number: ends.number, upTo: volumes.durable() }))
    return { ordinary: this.ordinary.durable(), expiring }
  }

  /** See `KeptVolumes.contained`. */
  contained({ ordinary, expiring }: DurableVolumes): void {
    this.ordinary.contained(ordinary)
    for (const { number, upTo } of expiring) this.classes.get(number)?.volumes.contained(upTo)
  }

  async close(): Promise<void> {
    this.isClosed = true
    await this.opening.ended()
    for (const { volumes } of this.classes.values()) await volumes.close()
    await this.opened?.close()
  }
}

/** In the order of the keys, each once. Read within one turn. */
function* merged(sources: readonly Iterable<IndexedNeedle>[]): Generator<IndexedNeedle> {
  const heads = sources.flatMap(source => {
    const rest = source[Symbol.iterator]()
    const first = rest.next()
    return first.done === true ? [] : [{ rest, needle: first.value, isOver: false }]
  })
  for (;;) {
    const left = heads.filter(({ isOver }) => !isOver)
    const [first] = left
    if (first === undefined) return
    const least = left.reduce((best, head) => (head.needle.key < best.needle.key ? head : best), first)
    const same = left.filter(({ needle }) => needle.key === least.needle.key)
    yield same.find(({ needle }) => !needle.isSuspect)?.needle ?? least.needle
    for (const head of same) {
      const next = head.rest.next()
      if (next.done === true) head.isOver = true
      else head.needle = next.value
    }
  }
}
