/**
 * Serves the shards of this node's devices to other nodes.
 *
 * Promises  A device that is not open on this node fails with `deviceFailed`. A shard is appended only if its bytes
 *           match its checksums. A call that its caller has given up reads and writes nothing more, except what the
 *           device has begun.
 * Limits    `servedBytesMax` of memory for bodies of each class, a share of it for one node and for one device; further
 *           calls wait. A node that sends or reads nothing keeps its part until the deadline of its calls.
 */
import { must } from "@hayloft/base/assert.js"
import { equalBytes } from "@hayloft/base/bytes.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import type { DeviceId } from "@hayloft/base/ids.js"
import { after, allSoon, recover, type Soon } from "@hayloft/base/soon.js"
import type { Devices, ShardDevice } from "../block/contract.js"
import { ReadBuffers, type ShardStore } from "../block/index.js"
import type { CallClass } from "../format/nodes/frame.js"
import { needleSeed } from "../format/needles/needle.js"
import {
  encodePage,
  PAGE_BYTES_MAX,
  rangeChecksum,
  type AppendCall,
  type RemoteDeviceState,
  type FetchCall,
  type HasAnswer,
  type IndexedCall,
  type PageEnd,
  type ReadCall,
  type ShardPlace,
} from "../format/nodes/shard-calls.js"
import type { RpcAnswer, ServedCall } from "../rpc/contract.js"
import { lentBody, type RpcServer } from "../rpc/index.js"
import { subBlockChecksums } from "@hayloft/base/simd/sub-block.js"
import { waitIfSlow, type Allocate, type ShardHeader } from "../volume/contract.js"
import { BodyBudget } from "./body-budget.js"
import { indexPage } from "./index-page.js"
import { REMOTE_LIMITS, type RemoteLimits } from "./limits.js"
import { METHODS } from "./methods.js"
import { receiveUntil } from "./received-body.js"

const BUFFERS = { longBuffers: 64, shortBuffers: 64 } as const
const DONE: RpcAnswer<undefined> = { value: undefined }

/** Registers all calls about shards. `devices`: those that are open on this node, and no others; the map may change. */
export function serveShards(server: RpcServer, devices: Devices, limits: RemoteLimits = REMOTE_LIMITS): void {
  const shards = new ShardServer(devices, limits)
  server.handle(METHODS.deviceStates, () => ({ value: shards.states() }))
  server.handle(METHODS.append, (request, call) => shards.append(request, call))
  server.handle(METHODS.read, (request, call) => shards.read(request, call))
  server.handle(METHODS.fetch, (request, call) => shards.fetch(request, call))
  server.handle(METHODS.headerOf, async ({ deviceId, id }) => ({ value: await shards.storeOf(deviceId).headerOf(id) }))
  server.handle(METHODS.has, places => after(shards.has(places), value => ({ value })))
  server.handle(METHODS.remove, async ({ deviceId, ids }) => {
    await shards.storeOf(deviceId).remove(ids)
    return DONE
  })
  server.handle(METHODS.markSuspect, ({ deviceId, ids }) =>
    after(shards.storeOf(deviceId).markSuspect(ids), () => DONE),
  )
  server.handle(METHODS.indexed, (request, call) => shards.indexed(request, call))
}

class ShardServer {
  private readonly buffers = new ReadBuffers(BUFFERS)
  private readonly budgets: Readonly<Record<CallClass, BodyBudget>>

  constructor(
    private readonly devices: Devices,
    private readonly limits: RemoteLimits,
  ) {
    const { servedBytesMax, shareOfServed } = limits
    const budgetOf = (most: number): BodyBudget => new BodyBudget(most, most * shareOfServed)
    this.budgets = { client: budgetOf(servedBytesMax.client), background: budgetOf(servedBytesMax.background) }
  }

  storeOf(deviceId: DeviceId): ShardStore {
    const device = this.devices.get(deviceId)
    if (device !== undefined) return device.volumes
    throw fail("deviceFailed", { message: "the device is not open on this node", device: deviceId })
  }

  states(): readonly RemoteDeviceState[] {
    const stateOf = ({ id, isWritable, isFull = false }: ShardDevice): RemoteDeviceState => ({ id, isWritable, isFull })
    return Array.from(this.devices.values(), stateOf)
  }

  async append(request: AppendCall, call: ServedCall): Promise<RpcAnswer<undefined>> {
    const { deviceId, header } = request
    const store = this.storeOf(deviceId)
    const { id, bodyBytes, checksums } = header
    const giveBack = await this.memoryFor(call, deviceId, bodyBytes)
    try {
      const body = await this.buffers.during(take => receiveUntil(call.signal, call.body, bodyBytes, take))
      if (!equalBytes(subBlockChecksums(body, needleSeed(id)), checksums)) {
        this.buffers.give(body)
        throw fail("malformedFrame", { reason: "a shard that does not match its checksums" })
      }
      await this.write(store, request, body)
    } finally {
      giveBack()
    }
    return DONE
  }

  async read({ deviceId, id, offsetBytes, lengthBytes }: ReadCall, call: ServedCall): Promise<RpcAnswer<bigint>> {
    const store = this.storeOf(deviceId)
    const range = { offsetBytes, lengthBytes }
    const read = (allocate: Allocate): Soon<Uint8Array> => store.read(id, range, waitIfSlow, allocate)
    return this.answerWith(call, deviceId, lengthBytes, read, bytes => rangeChecksum(id, offsetBytes, bytes))
  }

  async fetch(request: FetchCall, call: ServedCall): Promise<RpcAnswer<ShardHeader>> {
    const { deviceId, id, bodyBytes, offsetBytes, lengthBytes } = request
    const store = this.storeOf(deviceId)
    const isUnhurried = call.callClass === "background"
    let header: ShardHeader | undefined
    const read = async (allocate: Allocate): Promise<Uint8Array> => {
      const fetched = await store.fetch(id, bodyBytes, allocate, { offsetBytes, lengthBytes }, isUnhurried)
      header = fetched.header
      return fetched.body
    }
    return this.answerWith(call, deviceId, lengthBytes, read, () => must(header, "a shard has a header"))
  }

  /** Answers for all places, however single ones fail. */
  has(places: readonly ShardPlace[]): Soon<readonly HasAnswer[]> {
    return allSoon(places, ({ deviceId, id }) =>
      recover<HasAnswer>(
        () => after(this.storeOf(deviceId).has(id), (has): HasAnswer => (has ? "yes" : "no")),
        error => {
          if (!isFailure(error)) throw error
          return error.kind === "corruptRow" ? "corruptRow" : "deviceFailed"
        },
      ),
    )
  }

  async indexed(request: IndexedCall, call: ServedCall): Promise<RpcAnswer<PageEnd>> {
    const store = this.storeOf(request.deviceId)
    const giveBack = await this.memoryFor(call, request.deviceId, PAGE_BYTES_MAX)
    try {
      const { needles, end } = await indexPage(store, request, this.limits)
      return { value: end, body: lentBody([{ bytes: encodePage(needles), giveBack }]) }
    } catch (error) {
      giveBack()
      throw error
    }
  }

  private async write(
    store: ShardStore,
    { header, isUnhurried, endsAtMs }: AppendCall,
    body: Uint8Array,
  ): Promise<void> {
    const { id, owner, policy, blockLengthBytes, recoveryHeader, checksums } = header
    const shape = { id, owner, policy, blockLengthBytes, recoveryHeader }
    try {
      await store.append({ ...shape, body, checksums, isUnhurried, endsAtMs })
      this.buffers.give(body)
    } catch (error) {
      this.buffers.abandon(body)
      throw error
    }
  }

  /** An answer with bytes of a device, whose memory is given back once they are sent. */
  private async answerWith<T>(
    call: ServedCall,
    deviceId: DeviceId,
    lengthBytes: number,
    read: (allocate: Allocate) => Soon<Uint8Array>,
    valueOf: (bytes: Uint8Array) => T,
  ): Promise<RpcAnswer<T>> {
    const giveBack = await this.memoryFor(call, deviceId, lengthBytes)
    try {
      const bytes = await this.buffers.during(read)
      const free = (): void => {
        this.buffers.give(bytes)
        giveBack()
      }
      return { value: valueOf(bytes), body: lentBody([{ bytes, giveBack: free }]) }
    } catch (error) {
      giveBack()
      throw error
    }
  }

  private memoryFor(call: ServedCall, deviceId: DeviceId, bytes: number): Soon<() => void> {
    const sharers = [`node ${call.peer.hello.node}`, `device ${deviceId}`]
    return this.budgets[call.callClass].take(bytes, sharers, () => call.signal)
  }
}
