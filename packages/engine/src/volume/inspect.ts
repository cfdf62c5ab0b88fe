/**
 * Inspect: the whole content of a volume file, each item with a verdict, for people who inspect a disk. Needs no index
 * and changes nothing.
 */
import type { DeviceCipher } from "@hayloft/base/encryption/device-cipher.js"
import { isFailure } from "@hayloft/base/failures.js"
import { isUnnamed } from "../format/needles/needle.js"
import type { GroupHeader, VolumeHeader } from "../format/needles/volume.js"
import { decodeGroupHeader, decodeVolumeHeader, firstPosition, VOLUME_PAGE_BYTES } from "../format/needles/volume.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import type { ScannedNeedle, VolumeIdentity } from "./group-reader.js"
import { FileWindow, findGroup, isBodyGood, readGroup } from "./group-reader.js"

export type VolumeItem =
  /** The header is undefined if it is damaged. */
  | { readonly kind: "volume"; readonly header: VolumeHeader | undefined; readonly lengthBytes: number }
  | {
      readonly kind: "group"
      readonly header: GroupHeader
      /** Continues the chain of the group before it; undefined if that group cannot be read. */
      readonly inChain: boolean | undefined
      /** Damage among its needles' headers. */
      readonly damage: { readonly offsetBytes: number; readonly reason: string } | undefined
    }
  | { readonly kind: "needle"; readonly needle: ScannedNeedle; readonly body: "good" | "damaged" | "unread" }
  | Unreadable

/** No group begins here: damage if groups follow; at the end a torn write, damage, or nothing written yet. */
interface Unreadable {
  readonly kind: "unreadable"
  readonly fromBytes: number
  readonly toBytes: number
  readonly atEnd: boolean
  /** All zeros. */
  readonly empty: boolean
}

interface InspectOptions {
  readonly bodies?: "checked" | "unread"
  /**
   * If the cipher is absent, encrypted needles come without names, and the bodies of such payloads cannot be checked.
   */
  readonly cipher?: DeviceCipher | undefined
}

/** Throws `deviceFailed` if the file cannot be read. */
export async function* inspectVolume(
  disk: Disk,
  path: string,
  { bodies = "checked", cipher }: InspectOptions = {},
): AsyncGenerator<VolumeItem> {
  const file = await disk.open(path, "read")
  try {
    const window = new FileWindow(file, await file.sizeBytes())
    const page = (await window.bytes(0, VOLUME_PAGE_BYTES)).slice()
    const header = decodeVolumeHeader(page)
    yield { kind: "volume", header, lengthBytes: window.sizeBytes }
    const found = header ?? (await identityOfGroups(window))
    const identity = found && { deviceId: found.deviceId, volumeId: found.volumeId, cipher }
    if (identity === undefined) {
      if (window.sizeBytes > VOLUME_PAGE_BYTES) yield await unreadable(VOLUME_PAGE_BYTES, window.sizeBytes, window)
      return
    }
    yield* inspectGroups(window, identity, header && firstPosition(header.volumeId, page).checksum, bodies)
  } finally {
    await file.close()
  }
}

async function unreadable(fromBytes: number, toBytes: number, window: FileWindow): Promise<Unreadable> {
  const empty = await isEmpty(window, fromBytes, toBytes)
  return { kind: "unreadable", fromBytes, toBytes, atEnd: toBytes >= window.sizeBytes, empty }
}

async function isEmpty(window: FileWindow, fromBytes: number, toBytes: number): Promise<boolean> {
  for (let at = fromBytes; at < toBytes; at += VOLUME_PAGE_BYTES) {
    const page = await window.bytes(at, Math.min(VOLUME_PAGE_BYTES, toBytes - at))
    if (!page.every(byte => byte === 0)) return false
  }
  return true
}

async function* inspectGroups(
  window: FileWindow,
  identity: VolumeIdentity,
  first: bigint | undefined,
  bodies: "checked" | "unread",
): AsyncGenerator<VolumeItem> {
  let chain = first
  let at = VOLUME_PAGE_BYTES
  while (at < window.sizeBytes) {
    const group = await readGroup(window, identity, at)
    if (group === undefined) {
      const next = (await findGroup(window, identity, at + VOLUME_PAGE_BYTES, 0)) ?? window.sizeBytes
      yield await unreadable(at, next, window)
      chain = undefined
      at = next
      continue
    }
    const { header, damage, after } = group
    yield {
      kind: "group",
      header,
      inChain: chain === undefined ? undefined : header.previousChecksum === chain,
      damage,
    }
    for (const needle of group.needles) {
      const isUnread = bodies === "unread" || (needle.header.kind === "payload" && isUnnamed(needle.header))
      const body = isUnread ? "unread" : (await isReadableAndGood(window, needle)) ? "good" : "damaged"
      yield { kind: "needle", needle, body }
    }
    chain = after.checksum
    at = after.offsetBytes
  }
}

/** The owner by the first intact group, if the volume's own header is lost. */
async function identityOfGroups(window: FileWindow): Promise<VolumeIdentity | undefined> {
  for (let at = VOLUME_PAGE_BYTES; at < window.sizeBytes; at += VOLUME_PAGE_BYTES) {
    const header = decodeGroupHeader(await window.bytes(at, VOLUME_PAGE_BYTES))
    if (header?.offsetBytes === at) return header
  }
  return undefined
}

/** A page that the disk cannot read makes its needle damaged, not the whole inspection. */
async function isReadableAndGood(window: FileWindow, needle: ScannedNeedle): Promise<boolean> {
  try {
    return await isBodyGood(window, needle)
  } catch (error) {
    if (isFailure(error, "deviceFailed")) return false
    throw error
  }
}
