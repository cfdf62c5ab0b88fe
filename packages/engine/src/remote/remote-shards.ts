/**
 * The shards of a device that another node has: a `ShardStore` over calls to that node.
 *
 * Promises  `read` always answers by `ifSlow`. Its bytes are compared with a checksum that the other node computed over
 *           the bytes that it had verified. Fetched bodies are verified by the caller, with checksums that come from
 *           the disk in a header with a checksum of its own, and appended ones by the other node before it writes them.
 *           So the network is trusted no more than a disk; TLS protects it against others.
 *           Memory of the caller is not used any more once a call has settled.
 */
import type { Span } from "@hayloft/base/trace.js"
import { assert } from "@hayloft/base/assert.js"
import { fail, isFailure, type Failure } from "@hayloft/base/failures.js"
import type { DeviceId } from "@hayloft/base/ids.js"
import type { KeyRange } from "@hayloft/base/rows/key-range.js"
import { NEVER } from "@hayloft/base/never.js"
import type { ShardStore } from "../block/index.js"
import type { CallClass } from "../format/nodes/frame.js"
import { needleKeyOf } from "../format/needles/needle.js"
import {
  CALL_NEEDLES_MAX,
  decodePage,
  PAGE_BYTES_MAX,
  rangeChecksum,
  type ListedNeedle,
  type PageEnd,
  type PartitionSet,
} from "../format/nodes/shard-calls.js"
import type {
  Allocate,
  FetchedShard,
  IndexedNeedle,
  Needle,
  NeedleId,
  NeedleRange,
  ShardHeader,
} from "../volume/contract.js"
import type { HasQuestions } from "./has-questions.js"
import { METHODS } from "./methods.js"
import { OF_APPEND, unreachable, type NodeCalls } from "./node-calls.js"
import type { Reach } from "./reach-core.js"
import { receive } from "./received-body.js"
import { SentBody } from "./sent-body.js"

const classOf = (isUnhurried: boolean): CallClass => (isUnhurried ? "background" : "client")
const allocateOwn: Allocate = lengthBytes => Buffer.allocUnsafeSlow(lengthBytes)

interface Page {
  readonly needles: readonly ListedNeedle[]
  readonly end: PageEnd
}

export class RemoteShards implements ShardStore {
  constructor(
    private readonly deviceId: DeviceId,
    private readonly calls: NodeCalls,
    private readonly questions: HasQuestions,
    private readonly reach: Reach,
  ) {}

  get refusing(): Failure | undefined {
    const { trouble } = this.reach
    return trouble && unreachable(this.deviceId, trouble)
  }

  append(needle: Needle): Promise<void> {
    const { id, owner, policy, blockLengthBytes, recoveryHeader, body, checksums } = needle
    const { isUnhurried = false, endsAtMs, trace } = needle
    const { deviceId } = this
    const callClass = classOf(isUnhurried)
    const shape = { id, owner, policy, blockLengthBytes, recoveryHeader }
    const header: ShardHeader = { kind: "shard", ...shape, bodyBytes: body.length, checksums }
    const send = async (deadlineMs: number): Promise<void> => {
      const sent = new SentBody(body)
      try {
        await this.calls.ask(METHODS.append, { deviceId, header, isUnhurried, endsAtMs }, callClass, {
          deadlineMs,
          body: sent,
          trace,
        })
      } finally {
        await sent.released
      }
    }
    return this.calls.about(deviceId, () => this.calls.whenSendable(callClass, body.length, send), OF_APPEND)
  }

  read<Slow>(
    id: NeedleId,
    range: NeedleRange,
    ifSlow: (read: () => Promise<Uint8Array>) => Slow,
    allocate: Allocate = allocateOwn,
    trace?: Span,
  ): Slow {
    return ifSlow(() => this.calls.about(this.deviceId, () => this.readNow(id, range, allocate, trace)))
  }

  fetch(
    id: NeedleId,
    bodyBytes: number,
    allocate: Allocate,
    range: NeedleRange = { offsetBytes: 0, lengthBytes: bodyBytes },
    isUnhurried = false,
  ): Promise<FetchedShard> {
    return this.calls.about(this.deviceId, async () => {
      const request = { deviceId: this.deviceId, id, bodyBytes, ...range }
      const { value: header, body } = await this.calls.call(METHODS.fetch, request, classOf(isUnhurried))
      if (!isOf(header, id) || header.bodyBytes !== bodyBytes) {
        body.discard()
        throw fail("malformedFrame", { reason: "another needle" })
      }
      const memory = await receive(body, range.lengthBytes, allocate)
      return { header, body: memory, memory }
    })
  }

  headerOf(id: NeedleId): Promise<ShardHeader> {
    const { deviceId } = this
    return this.calls.about(deviceId, async () => {
      const header = await this.calls.ask(METHODS.headerOf, { deviceId, id }, "background")
      if (!isOf(header, id)) throw fail("malformedFrame", { reason: "another needle" })
      return header
    })
  }

  has(id: NeedleId): Promise<boolean> {
    return this.questions.ask({ deviceId: this.deviceId, id })
  }

  /**
   * A removal that fails takes no effect later. Ids are never used for other bytes, so a late one could not remove another
   * shard; but repair may have written the same shard to the device again, and removed the copy that it was before.
   */
  async remove(ids: readonly NeedleId[]): Promise<void> {
    const { clock, limits } = this.calls
    let isUnknown = false
    const work = () =>
      this.inParts(METHODS.remove, ids).catch((error: unknown) => {
        isUnknown = isFailure(error, "indeterminate")
        throw error
      })
    try {
      await this.calls.about(this.deviceId, work)
    } catch (error) {
      if (isUnknown) await clock.sleep(limits.removalMs, NEVER)
      throw error
    }
  }

  markSuspect(ids: readonly NeedleId[]): Promise<void> {
    return this.calls.about(this.deviceId, () => this.inParts(METHODS.markSuspect, ids))
  }

  /** `partitions`: only needles of these are listed; undefined: of all. */
  async indexed(range: KeyRange, needlesMin: number, partitions?: PartitionSet): Promise<Iterable<IndexedNeedle>> {
    assert(range.reverse !== true, "an index is read forwards")
    const needles: ListedNeedle[] = []
    for (let { start } = range; ;) {
      const page = await this.calls.about(this.deviceId, () =>
        this.page({ start, end: range.end }, needlesMin - needles.length, partitions),
      )
      for (const needle of page.needles) needles.push(needle)
      if (page.end.kind === "damaged") return this.damagedAfter(needles)
      if (page.end.kind === "end" || needles.length >= needlesMin) return needles
      start = page.end.next
    }
  }

  private async readNow(
    id: NeedleId,
    range: NeedleRange,
    allocate: Allocate,
    trace: Span | undefined,
  ): Promise<Uint8Array> {
    const request = { deviceId: this.deviceId, id, ...range }
    const { value: checksum, body } = await this.calls.call(METHODS.read, request, "client", { trace })
    const bytes = await receive(body, range.lengthBytes, allocate)
    if (rangeChecksum(id, range.offsetBytes, bytes) === checksum) return bytes
    // Not `corruptNeedle`: the shard on the device is good.
    throw fail("malformedFrame", { reason: "bytes that do not match their checksum" })
  }

  private async inParts(method: typeof METHODS.remove, ids: readonly NeedleId[]): Promise<void> {
    const { deviceId } = this
    for (let from = 0; from < ids.length; from += CALL_NEEDLES_MAX) {
      await this.calls.ask(method, { deviceId, ids: ids.slice(from, from + CALL_NEEDLES_MAX) }, "background")
    }
  }

  private async page(
    { start, end }: KeyRange,
    needlesMin: number,
    partitions: PartitionSet | undefined,
  ): Promise<Page> {
    const request = { deviceId: this.deviceId, start, end, needlesMin, partitions }
    const { value: pageEnd, body } = await this.calls.call(METHODS.indexed, request, "background")
    const { lengthBytes } = body
    if (lengthBytes === undefined || lengthBytes > PAGE_BYTES_MAX) {
      body.discard()
      throw fail("malformedFrame", { reason: "length of a page", lengthBytes })
    }
    const needles = decodePage(await receive(body, lengthBytes, allocateOwn))
    const last = needles.at(-1)?.key
    const isBehind = pageEnd.kind === "more" && (pageEnd.next <= (last ?? start) || pageEnd.next >= end)
    if ((needles[0]?.key ?? start) < start || (last !== undefined && last >= end) || isBehind) {
      throw fail("malformedFrame", { reason: "page of another range" })
    }
    return { needles, end: pageEnd }
  }

  private damagedAfter(needles: readonly ListedNeedle[]): Iterable<ListedNeedle> {
    const damage = fail("corruptRow", { family: "needles", device: this.deviceId })
    if (needles.length === 0) throw damage
    return (function* () {
      yield* needles
      throw damage
    })()
  }
}

const isOf = (header: ShardHeader, id: NeedleId): boolean => needleKeyOf(header.id) === needleKeyOf(id)
