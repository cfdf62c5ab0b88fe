/**
 * Decodes files of a data folder, finding by finding, and checks every checksum.
 *
 * Only reads, without an index or other files: it reports just the bytes of the file. `volume/` reads a volume through
 * its window; of other files one log batch or the whole record is in memory.
 */
import type { DeviceCipher } from "@hayloft/base/encryption/device-cipher.js"
import { isFailure } from "@hayloft/base/failures.js"
import { bytesOfByteString, textOfObjectKey } from "@hayloft/base/ids.js"
import { MIB } from "@hayloft/base/limits.js"
import { textOfPolicy } from "@hayloft/base/policy.js"
import { parseControlRecord, type ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import type { KeyringRecord } from "@hayloft/engine/format/device/keyring.js"
import { decodeEntry } from "@hayloft/engine/format/device/entry.js"
import {
  batchBytes,
  decodeLogBatchHeader,
  decodeLogBatchRecords,
  isWholeLogBatch,
} from "@hayloft/engine/format/device/log-batch.js"
import { LOG_HEADER_BYTES, type LogBatchHeader, type LogBatchRecord } from "@hayloft/engine/format/device/log-batch.js"
import { isUnnamed, type NeedleHeader, type ShardHeader } from "@hayloft/engine/format/needles/needle.js"
import { decodeSuperblock } from "@hayloft/engine/format/device/superblock.js"
import { decodeVolumeHeader, VOLUME_PAGE_BYTES, type VolumeHeader } from "@hayloft/engine/format/needles/volume.js"
import type { Disk } from "@hayloft/base/seams/disk/index.js"
import { inspectVolume, type VolumeItem } from "@hayloft/engine/volume/index.js"

/** Bytes from the offset; fewer at the end of the file. */
type ReadAt = (offsetBytes: number, lengthBytes: number) => Promise<Uint8Array>

export type FindingKind =
  | ("volume" | "group" | "needle" | "gap")
  | ("batch" | "entry")
  | ("superblock" | "control" | "keyring" | "device" | "start" | "tablet")
  | ("manifest" | "family" | "row")
  | "end"

export interface Finding {
  readonly what: FindingKind
  readonly offsetBytes: number
  /** False if a checksum or the chain is broken here. */
  readonly intact: boolean
  readonly fields: Readonly<Record<string, string | number | boolean>>
}

/**
 * Findings of a file of a data folder; none if its beginning has no known format. A volume is also recognized by its
 * name, since its header may be damaged. `cipher`: opens an encrypted device, of which only lengths are shown otherwise.
 */
export async function* inspectFile(disk: Disk, path: string, cipher?: DeviceCipher): AsyncGenerator<Finding> {
  const file = await disk.open(path, "read")
  try {
    const sizeBytes = await file.sizeBytes()
    const read: ReadAt = async (offsetBytes, lengthBytes) => {
      const buffer = new Uint8Array(Math.max(0, Math.min(lengthBytes, sizeBytes - offsetBytes)))
      return buffer.subarray(0, await file.read(buffer, offsetBytes))
    }
    const head = await read(0, VOLUME_PAGE_BYTES)
    const magic = Buffer.from(head.subarray(0, 4)).toString("latin1")
    if (decodeVolumeHeader(head) !== undefined || VOLUME_NAME.test(path)) yield* inspectVolumeFile(disk, path, cipher)
    else if (decodeLogBatchHeader(head) !== undefined) yield* inspectLogSegment(read, cipher)
    else if (magic === SUPERBLOCK_MAGIC) yield* inspectSuperblock(head)
    else if (magic === CONTROL_MAGIC) yield* inspectControlRecord(await read(0, CONTROL_BYTES_MAX))
  } finally {
    await file.close()
  }
}

const SUPERBLOCK_MAGIC = "HLSB"
const CONTROL_MAGIC = "HLCR"
const CONTROL_BYTES_MAX = 64 * MIB

const hex = (value: bigint): string => value.toString(16).padStart(16, "0")

/** One finding, or a damaged one with the reason. */
function whole(what: "superblock" | "control", decode: () => Finding["fields"]): Finding {
  try {
    return { what, offsetBytes: 0, intact: true, fields: decode() }
  } catch (error) {
    if (!isFailure(error)) throw error
    return { what, offsetBytes: 0, intact: false, fields: { reason: error.message } }
  }
}

async function* inspectSuperblock(bytes: Uint8Array): AsyncGenerator<Finding> {
  yield whole("superblock", () => {
    const { storeId, deviceId, incarnation, createdMs, formatEpoch } = decodeSuperblock(bytes)
    return { store: storeId, device: deviceId, incarnation, created: new Date(createdMs).toISOString(), formatEpoch }
  })
}

const keyringFields = ({ masterKeyNumber, previous, epochs, atRest, materials }: KeyringRecord): Finding["fields"] => ({
  masterKey: masterKeyNumber,
  ...(previous && { previousMasterKey: previous.number }),
  epochs: epochs.map(({ number }) => number).join(" "),
  ...(atRest && { atRestEpoch: atRest.epoch }),
  ...(atRest && atRest.converting.length > 0 && { converting: atRest.converting.map(({ id }) => id).join(" ") }),
  materials: materials.length,
})

/** Secrets remain sealed: only their lengths are shown. */
async function* inspectControlRecord(bytes: Uint8Array): AsyncGenerator<Finding> {
  let record: ControlRecord | undefined
  yield whole("control", () => {
    record = parseControlRecord(bytes)
    const { storeId, generation, blockBytes, metaCopies, layout, secrets, region } = record
    const policy = textOfPolicy(record.policy)
    const sealed = { layoutVersion: layout.version, layoutBytes: layout.table.length, secretsBytes: secrets.length }
    return { store: storeId, generation, policy, blockBytes, metaCopies, region, ...sealed }
  })
  if (record?.keyring) yield { what: "keyring", offsetBytes: 0, intact: true, fields: keyringFields(record.keyring) }
  for (const { id, weight, pathHint, isMountPoint } of record?.devices ?? []) {
    yield { what: "device", offsetBytes: 0, intact: true, fields: { id, weight, path: pathHint, isMountPoint } }
  }
  for (const { startedMs, ...start } of record?.starts ?? [])
    yield {
      what: "start",
      offsetBytes: 0,
      intact: true,
      fields: { ...start, started: new Date(startedMs).toISOString() },
    }
  for (const { id, epoch, replicas, start, end } of record?.tablets ?? []) {
    const range = { start: hexOfKey(start), end: end === undefined ? "" : hexOfKey(end) }
    yield {
      what: "tablet",
      offsetBytes: 0,
      intact: true,
      fields: { id, epoch, replicas: replicas.map(replica => replica.id).join(" "), ...range },
    }
  }
}

const VOLUME_NAME = /\.volume$/

/** Continues after damage, also of the volume's own header, as far as the bytes can be decoded. */
async function* inspectVolumeFile(disk: Disk, path: string, cipher?: DeviceCipher): AsyncGenerator<Finding> {
  let [groups, endBytes] = [0, 0]
  let tail: Finding | undefined
  for await (const item of inspectVolume(disk, path, { cipher })) {
    if (item.kind === "group") groups += 1
    if (item.kind === "volume") endBytes = item.lengthBytes
    if (item.kind === "unreadable" && item.atEnd) tail = tailFinding(item.fromBytes, item.empty, groups)
    else yield volumeFinding(item)
  }
  yield tail ?? { what: "end", offsetBytes: endBytes, intact: true, fields: { groups } }
}

const tailFinding = (offsetBytes: number, empty: boolean, groups: number): Finding => ({
  what: "end",
  offsetBytes,
  intact: empty,
  fields: { groups, ...(empty ? {} : { reason: "no group begins here: a torn tail, or damage" }) },
})

function volumeFinding(item: VolumeItem): Finding {
  switch (item.kind) {
    case "volume":
      return volumeHeaderFinding(item.header)
    case "group":
      return groupFinding(item)
    case "needle": {
      const { header, place } = item.needle
      const intact = item.body !== "damaged"
      const reason = intact ? {} : { reason: "the body fails its checksums" }
      return { what: "needle", offsetBytes: place.offsetBytes, intact, fields: { ...needleFields(header), ...reason } }
    }
    case "unreadable": {
      const fields = { lengthBytes: item.toBytes - item.fromBytes, reason: "no group begins here, but others follow" }
      return { what: "gap", offsetBytes: item.fromBytes, intact: false, fields }
    }
  }
}

function volumeHeaderFinding(header: VolumeHeader | undefined): Finding {
  if (header === undefined) {
    return { what: "volume", offsetBytes: 0, intact: false, fields: { reason: "the volume's header is damaged" } }
  }
  const { kind, deviceId, volumeId, incarnation, sealed } = header
  const fields = { kind, device: deviceId, volume: volumeId, incarnation, sealsVolume: sealed?.volumeId ?? 0 }
  return { what: "volume", offsetBytes: 0, intact: true, fields: { ...fields, sealsAt: sealed?.offsetBytes ?? 0 } }
}

function groupFinding({ header, inChain, damage }: Extract<VolumeItem, { kind: "group" }>): Finding {
  const fields = { sequence: header.sequence, needles: header.needles, lengthBytes: header.lengthBytes }
  const reasons = [
    ...(inChain === false ? ["does not continue the previous group"] : []),
    ...(damage === undefined ? [] : [`${damage.reason}, at ${damage.offsetBytes}`]),
  ]
  const reason = reasons.length === 0 ? {} : { reason: reasons.join("; ") }
  return {
    what: "group",
    offsetBytes: header.offsetBytes,
    intact: reasons.length === 0,
    fields: { ...fields, ...reason },
  }
}

export function needleFields(header: NeedleHeader): Finding["fields"] {
  const { kind } = header
  if (kind === "payload" && isUnnamed(header)) {
    return { kind, family: header.family, names: "encrypted", bodyBytes: header.bodyBytes }
  }
  if (header.kind === "payload") {
    return { kind: "payload", family: header.family, row: hexOfKey(header.key), bodyBytes: header.bodyBytes }
  }
  const { partition, uploadId, part, block, generation, slot } = header.id
  const id = { partition, upload: uploadId, part, block, generation, slot }
  if (header.kind === "tombstone") return { kind: "tombstone", ...id }
  return {
    kind: "shard",
    ...id,
    ...(isUnnamed(header) ? { names: "encrypted" } : namesOfShard(header)),
    policy: textOfPolicy(header.policy),
    blockBytes: header.blockLengthBytes,
    bodyBytes: header.bodyBytes,
  }
}

const namesOfShard = ({ owner, recoveryHeader }: ShardHeader) => ({
  bucket: owner.bucketId,
  key: textOfObjectKey(owner.key),
  recoveryHeader: recoveryHeader !== undefined,
})

export const hexOfKey = (key: string): string => Buffer.from(bytesOfByteString(key)).toString("hex")

async function* inspectLogSegment(read: ReadAt, cipher?: DeviceCipher): AsyncGenerator<Finding> {
  let offsetBytes = 0
  let segment: number | undefined
  let previous: bigint | undefined
  for (;;) {
    const header = decodeLogBatchHeader(await read(offsetBytes, LOG_HEADER_BYTES))
    const belongs =
      header !== undefined &&
      header.offsetBytes === offsetBytes &&
      header.segment === (segment ?? header.segment) &&
      header.previous === (previous ?? header.previous)
    if (!belongs) {
      const reason = header === undefined ? {} : { reason: "an older batch that is not part of this chain" }
      yield { what: "end", offsetBytes, intact: true, fields: reason }
      return
    }
    const bytes = await read(offsetBytes, LOG_HEADER_BYTES + header.payloadBytes)
    const isClosed = header.isSealed === true && cipher === undefined
    const { records, reason } = isClosed ? NOT_OPENED : openedBatch(header, bytes, cipher)
    const isWhole = isClosed ? isWholeLogBatch(header, bytes) : records !== undefined
    const fields = {
      device: header.deviceId,
      segment: header.segment,
      sequence: header.sequence,
      records: header.recordCount,
      durableUpTo: header.durableUpTo,
      cutUpTo: header.cutUpTo,
      checksum: hex(header.checksum),
      ...(isClosed && { names: "encrypted" }),
    }
    yield {
      what: "batch",
      offsetBytes,
      intact: isWhole,
      fields: { ...fields, ...(isWhole ? {} : { reason }) },
    }
    for (const record of records ?? []) yield entryFinding(record.bytes, offsetBytes + record.offsetBytes)
    segment = header.segment
    previous = header.checksum
    offsetBytes += batchBytes(header.payloadBytes)
  }
}

interface OpenedBatch {
  readonly records: readonly LogBatchRecord[] | undefined
  readonly reason: string
}

const NOT_OPENED: OpenedBatch = { records: undefined, reason: "the payload is truncated or damaged" }

function openedBatch(header: LogBatchHeader, bytes: Uint8Array, cipher: DeviceCipher | undefined): OpenedBatch {
  try {
    return { ...NOT_OPENED, records: decodeLogBatchRecords(header, bytes, cipher) }
  } catch (error) {
    if (!isFailure(error, "corruptSeal")) throw error
    return { ...NOT_OPENED, reason: error.message }
  }
}

function entryFinding(record: Uint8Array, offsetBytes: number): Finding {
  try {
    const { tabletId, epoch, position, writes, isSnapshot } = decodeEntry(record)
    const families = [...new Set(writes.map(write => (write.value === undefined ? `-${write.family}` : write.family)))]
    const fields = {
      tablet: tabletId,
      epoch,
      position,
      writes: writes.length,
      families: families.join(" "),
      ...(isSnapshot && { isSnapshot }),
    }
    return { what: "entry", offsetBytes, intact: true, fields }
  } catch (error) {
    if (!isFailure(error)) throw error
    return { what: "entry", offsetBytes, intact: false, fields: { reason: error.message, lengthBytes: record.length } }
  }
}
