/**
 * Channel shards: a device of the engine thread, as the block layer of a front thread uses it. What the page cache has of a
 * volume is read here, all else by the engine thread.
 *
 * Promises  Bodies to append are read where they are if their memory is shared, else copied. `read` always answers by
 *           `ifSlow`. Memory of the caller is not used any more once a call has settled.
 */
import { assert } from "@hayloft/base/assert.js"
import { fail, type Failure } from "@hayloft/base/failures.js"
import { freeBuffer } from "@hayloft/base/memory/free-memory.js"
import type { DeviceId } from "@hayloft/base/ids.js"
import type { KeyRange } from "@hayloft/base/rows/key-range.js"
import type { ShardDevice, ShardStore } from "../block/index.js"
import { plainCopy } from "../metadata/index.js"
import type {
  Allocate,
  FetchedShard,
  IndexedNeedle,
  Needle,
  NeedleId,
  NeedleRange,
  ShardHeader,
} from "../volume/contract.js"
import type { ThreadLink } from "./link.js"
import type { LocalReads } from "./local-reads.js"
import { SHARD_METHODS, type DeviceHints } from "./methods.js"

/** A device of the engine thread; `hints` are those that it has told last. */
export class ChannelDevice implements ShardDevice {
  readonly id: DeviceId
  readonly volumes: ShardStore

  /** `local`: reads from the files of the device in this thread. */
  constructor(
    link: ThreadLink,
    private hints: DeviceHints,
    private readonly local: LocalReads,
  ) {
    this.id = hints.id
    this.volumes = new ChannelShards(hints.id, link, local, () => this.hints)
  }

  tell(hints: DeviceHints): void {
    if (hints.removedVolumes !== this.hints.removedVolumes) this.local.giveUp()
    this.hints = hints
  }

  /** The engine thread has it open no more. */
  close(): void {
    this.local.close()
  }

  get isWritable(): boolean {
    return this.hints.isWritable
  }

  get isFull(): boolean {
    return this.hints.isFull
  }
}

class ChannelShards implements ShardStore {
  constructor(
    private readonly deviceId: DeviceId,
    private readonly link: ThreadLink,
    private readonly local: LocalReads,
    private readonly hints: () => DeviceHints,
  ) {}

  get refusing(): Failure | undefined {
    const { refusing } = this.hints()
    return refusing && fail(refusing.kind, refusing.details)
  }

  append({ trace: _, ...needle }: Needle): Promise<void> {
    const { body, checksums, recoveryHeader } = needle
    const sent = {
      ...plainCopy({ ...needle, body: NOTHING, checksums: NOTHING, recoveryHeader: undefined }),
      recoveryHeader: recoveryHeader && sendable(recoveryHeader),
      body: sendable(body),
      checksums: sendable(checksums),
    }
    return this.link.call(SHARD_METHODS.append, { deviceId: this.deviceId, needle: sent })
  }

  read<Slow>(
    id: NeedleId,
    range: NeedleRange,
    ifSlow: (read: () => Promise<Uint8Array>) => Slow,
    allocate?: Allocate,
  ): Slow {
    return ifSlow(async () => {
      const request = { deviceId: this.deviceId, id: plainCopy(id), range }
      const isOfProcess = this.hints().removedVolumes !== undefined
      const cached = isOfProcess ? await this.link.call(SHARD_METHODS.cachedPlace, request) : undefined
      const here = cached && (await this.local.read(id, cached, range, allocate))
      if (here !== undefined) return here
      const bytes = await this.link.call(SHARD_METHODS.read, request)
      return allocate === undefined ? bytes : filled(allocate, bytes)
    })
  }

  async fetch(
    id: NeedleId,
    bodyBytes: number,
    allocate: Allocate,
    range: NeedleRange = { offsetBytes: 0, lengthBytes: bodyBytes },
    isUnhurried = false,
  ): Promise<FetchedShard> {
    const request = { deviceId: this.deviceId, id: plainCopy(id), bodyBytes, range, isUnhurried }
    const { header, body } = await this.link.call(SHARD_METHODS.fetch, request)
    const memory = filled(allocate, body)
    return { header, body: memory, memory }
  }

  headerOf(id: NeedleId): Promise<ShardHeader> {
    return this.link.call(SHARD_METHODS.headerOf, { deviceId: this.deviceId, id: plainCopy(id) })
  }

  has(id: NeedleId): Promise<boolean> {
    return this.link.call(SHARD_METHODS.has, { deviceId: this.deviceId, id: plainCopy(id) })
  }

  remove(ids: readonly NeedleId[]): Promise<void> {
    return this.link.call(SHARD_METHODS.remove, { deviceId: this.deviceId, ids: plainCopy(ids) })
  }

  markSuspect(ids: readonly NeedleId[]): Promise<void> {
    return this.link.call(SHARD_METHODS.markSuspect, { deviceId: this.deviceId, ids: plainCopy(ids) })
  }

  async indexed(range: KeyRange, needlesMin: number): Promise<Iterable<IndexedNeedle>> {
    assert(range.reverse !== true, "an index is read forwards")
    const { deviceId } = this
    const needles: IndexedNeedle[] = []
    for (let { start } = range; ;) {
      const request = { deviceId, start, end: range.end, needlesMin: needlesMin - needles.length }
      const page = await this.link.call(SHARD_METHODS.indexed, request)
      for (const needle of page.needles) needles.push(needle)
      if (page.end.kind === "damaged") return damagedAfter(needles, deviceId)
      if (page.end.kind === "end" || needles.length >= needlesMin) return needles
      start = page.end.next
    }
  }
}

const NOTHING = new Uint8Array(0)

/** Only shared memory is sent as it is: of other memory, the whole buffer around the bytes would be copied. */
const sendable = (bytes: Uint8Array): Uint8Array =>
  bytes.buffer instanceof SharedArrayBuffer ? bytes : Uint8Array.from(bytes)

/** Copies bytes that were moved to this thread, and frees them: garbage of this size would keep the collector busy. */
function filled(allocate: Allocate, bytes: Uint8Array): Uint8Array {
  const memory = allocate(bytes.length)
  memory.set(bytes)
  if (bytes.buffer instanceof ArrayBuffer) freeBuffer(bytes.buffer)
  return memory
}

function damagedAfter(needles: readonly IndexedNeedle[], device: DeviceId): Iterable<IndexedNeedle> {
  const damage = fail("corruptRow", { family: "needles", device })
  if (needles.length === 0) throw damage
  return (function* () {
    yield* needles
    throw damage
  })()
}
