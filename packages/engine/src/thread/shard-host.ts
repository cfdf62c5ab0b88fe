/**
 * Shard host: serves the devices of the engine thread to a front thread.
 *
 * Promises  A device that is not open fails with `deviceFailed`. Bytes that were read are moved to the front, not copied.
 * Limits    Those of the link, and of what a front's block layer has under way.
 */
import { fail } from "@hayloft/base/failures.js"
import type { DeviceId } from "@hayloft/base/ids.js"
import { after } from "@hayloft/base/soon.js"
import type { Devices, ShardDevice, ShardStore } from "../block/index.js"
import { plainCopy } from "../metadata/index.js"
import { indexPage, REMOTE_LIMITS } from "../remote/index.js"
import { waitIfSlow, type Allocate } from "../volume/contract.js"
import { moved, type ThreadLink } from "./link.js"
import { SHARD_METHODS, type DeviceHints } from "./methods.js"

const allocateOwn: Allocate = lengthBytes => new Uint8Array(lengthBytes)

/** `devices`: those that are open; the map may change. */
export function serveShards(link: ThreadLink, devices: Devices): void {
  const storeOf = (deviceId: DeviceId): ShardStore => {
    const device = devices.get(deviceId)
    if (device !== undefined) return device.volumes
    throw fail("deviceFailed", { message: "the device is not open", device: deviceId })
  }
  link.handle(SHARD_METHODS.append, ({ deviceId, needle }) => storeOf(deviceId).append(needle))
  link.handle(SHARD_METHODS.cachedPlace, ({ deviceId, id, range }) => storeOf(deviceId).cachedPlaceOf?.(id, range))
  link.handle(SHARD_METHODS.read, ({ deviceId, id, range }, move) =>
    after(storeOf(deviceId).read(id, range, waitIfSlow), bytes => moved(bytes, move)),
  )
  link.handle(SHARD_METHODS.fetch, async ({ deviceId, id, bodyBytes, range, isUnhurried }, move) => {
    const { header, body } = await storeOf(deviceId).fetch(id, bodyBytes, allocateOwn, range, isUnhurried)
    return { header: plainCopy(header), body: moved(body, move) }
  })
  link.handle(SHARD_METHODS.headerOf, async ({ deviceId, id }) => plainCopy(await storeOf(deviceId).headerOf(id)))
  link.handle(SHARD_METHODS.has, ({ deviceId, id }) => storeOf(deviceId).has(id))
  link.handle(SHARD_METHODS.remove, ({ deviceId, ids }) => storeOf(deviceId).remove(ids))
  link.handle(SHARD_METHODS.markSuspect, ({ deviceId, ids }) => storeOf(deviceId).markSuspect(ids))
  link.handle(SHARD_METHODS.indexed, async ({ deviceId, ...range }) => {
    const page = await indexPage(storeOf(deviceId), { ...range, partitions: undefined }, REMOTE_LIMITS)
    return plainCopy(page)
  })
}

export const hintsOf = (devices: Devices): readonly DeviceHints[] =>
  Array.from(devices.values(), ({ id, isWritable, isFull = false, volumes }: ShardDevice) => {
    const { refusing: reason, removedVolumes } = volumes
    const refusing = reason && { kind: reason.kind, details: reason.details }
    return { id, isWritable, isFull, refusing, removedVolumes }
  })
