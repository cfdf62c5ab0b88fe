/**
 * Decodes files of a data folder, finding by finding, and checks every checksum on the way.
 *
 * Reads only, knows no index and no other file: what it says is what the bytes say. A file is read
 * from front to back with one needle body or one log batch in memory.
 */
import { equalBytes } from "../../base/bytes.js"
import { isFailure } from "../../base/failures.js"
import { bytesOfByteString, textOfObjectKey } from "../../base/ids.js"
import { MIB } from "../../base/limits.js"
import { textOfPolicy } from "../../base/policy.js"
import { subBlockChecksums } from "../../base/sub-block.js"
import { parseControlRecord, type ControlRecord } from "../../format/control-record.js"
import { decodeEntry } from "../../format/entry.js"
import { batchBytes, decodeLogBatchHeader, decodeLogBatchRecords, LOG_HEADER_BYTES } from "../../format/log-batch.js"
import {
  decodeNeedleHeader,
  needleHeaderChecksum,
  needleSeed,
  NEEDLE_HEADER_BYTES_MAX,
  payloadSeed,
  type NeedleHeader,
} from "../../format/needle.js"
import { decodeSuperblock } from "../../format/superblock.js"
import {
  chainChecksum,
  decodeGroupHeader,
  decodeVolumeHeader,
  GROUP_HEADER_BYTES,
  needlesChecksumOf,
  VOLUME_HEADER_BYTES,
  VOLUME_PAGE_BYTES,
  type GroupHeader,
} from "../../format/volume.js"

/** Bytes from the offset; fewer at the end of the file. */
export type ReadAt = (offsetBytes: number, lengthBytes: number) => Promise<Uint8Array>

export type FindingKind =
  | ("volume" | "group" | "needle")
  | ("batch" | "entry")
  | ("superblock" | "control" | "device" | "tablet")
  | ("family" | "row")
  | "end"

export interface Finding {
  readonly what: FindingKind
  readonly offsetBytes: number
  /** False: a checksum or the chain is broken here. */
  readonly intact: boolean
  readonly fields: Readonly<Record<string, string | number | boolean>>
}

/** Findings of a file of a data folder; undefined where it begins like none. */
export async function inspectFile(read: ReadAt): Promise<AsyncIterable<Finding> | undefined> {
  const head = await read(0, VOLUME_PAGE_BYTES)
  if (decodeVolumeHeader(head) !== undefined) return inspectVolume(read, head)
  if (decodeLogBatchHeader(head) !== undefined) return inspectLogSegment(read)
  const magic = Buffer.from(head.subarray(0, 4)).toString("latin1")
  if (magic === SUPERBLOCK_MAGIC) return inspectSuperblock(head)
  if (magic === CONTROL_MAGIC) return inspectControlRecord(await read(0, CONTROL_BYTES_MAX))
  return undefined
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

/** The secrets inside stay sealed: only their length shows. */
async function* inspectControlRecord(bytes: Uint8Array): AsyncGenerator<Finding> {
  let record: ControlRecord | undefined
  yield whole("control", () => {
    record = parseControlRecord(bytes)
    const { storeId, generation, blockBytes, metaCopies, layout, secrets, region } = record
    const policy = textOfPolicy(record.policy)
    const sealed = { layoutVersion: layout.version, layoutBytes: layout.table.length, secretsBytes: secrets.length }
    return { store: storeId, generation, policy, blockBytes, metaCopies, region, ...sealed }
  })
  for (const { id, weight, pathHint, isMountPoint } of record?.devices ?? []) {
    yield { what: "device", offsetBytes: 0, intact: true, fields: { id, weight, path: pathHint, isMountPoint } }
  }
  for (const { id, epoch, members, start, end } of record?.tablets ?? []) {
    const range = { start: hexOfKey(start), end: end === undefined ? "" : hexOfKey(end) }
    yield { what: "tablet", offsetBytes: 0, intact: true, fields: { id, epoch, members: members.join(" "), ...range } }
  }
}

async function* inspectVolume(read: ReadAt, page: Uint8Array): AsyncGenerator<Finding> {
  const header = decodeVolumeHeader(page)
  if (header === undefined) return
  const { kind, deviceId, volumeId, incarnation, sealed } = header
  const fields = { kind, device: deviceId, volume: volumeId, incarnation, sealsVolume: sealed?.volumeId ?? 0 }
  yield { what: "volume", offsetBytes: 0, intact: true, fields: { ...fields, sealsAt: sealed?.offsetBytes ?? 0 } }
  let offsetBytes = VOLUME_PAGE_BYTES
  let checksum = chainChecksum(page.subarray(0, VOLUME_HEADER_BYTES))
  for (let sequence = 1; ; sequence += 1) {
    const bytes = await read(offsetBytes, GROUP_HEADER_BYTES)
    const group = decodeGroupHeader(bytes)
    if (group === undefined) {
      const empty = bytes.every(byte => byte === 0)
      yield {
        what: "end",
        offsetBytes,
        intact: empty,
        fields: { groups: sequence - 1, ...(empty ? {} : { reason: "no group header here: a torn tail, or damage" }) },
      }
      return
    }
    const chained =
      group.previousChecksum === checksum &&
      group.sequence === sequence &&
      group.offsetBytes === offsetBytes &&
      group.volumeId === volumeId &&
      group.deviceId === deviceId
    if (!chained) {
      yield {
        what: "end",
        offsetBytes,
        intact: true,
        fields: { groups: sequence - 1, reason: "an older group, not of this chain" },
      }
      return
    }
    yield* inspectGroup(read, group)
    offsetBytes += group.lengthBytes
    checksum = chainChecksum(bytes)
  }
}

async function* inspectGroup(read: ReadAt, group: GroupHeader): AsyncGenerator<Finding> {
  const needles: Finding[] = []
  const checksums: bigint[] = []
  const end = group.offsetBytes + group.lengthBytes
  let offsetBytes = group.offsetBytes + GROUP_HEADER_BYTES
  let broken = ""
  for (let i = 0; i < group.needles && broken === ""; i += 1) {
    const bytes = await read(offsetBytes, Math.min(NEEDLE_HEADER_BYTES_MAX, end - offsetBytes))
    try {
      const header = decodeNeedleHeader(bytes)
      const headerBytes = headerBytesOf(bytes)
      checksums.push(needleHeaderChecksum(bytes.subarray(0, headerBytes)))
      needles.push(await inspectNeedle(read, header, { offsetBytes, headerBytes }))
      offsetBytes += headerBytes + (header.kind === "tombstone" ? 0 : header.bodyBytes)
    } catch (error) {
      if (!isFailure(error)) throw error
      broken = `needle ${i + 1}: ${error.message}`
    }
  }
  const intact = broken === "" && needlesChecksumOf(checksums) === group.needlesChecksum
  const fields = { sequence: group.sequence, needles: group.needles, lengthBytes: group.lengthBytes }
  const reason = intact ? {} : { reason: broken || "the needles are not those of this group" }
  yield { what: "group", offsetBytes: group.offsetBytes, intact, fields: { ...fields, ...reason } }
  yield* needles
}

const headerBytesOf = (bytes: Uint8Array): number => new DataView(bytes.buffer, bytes.byteOffset).getUint32(8, true)

async function inspectNeedle(
  read: ReadAt,
  header: NeedleHeader,
  at: { offsetBytes: number; headerBytes: number },
): Promise<Finding> {
  const fields = needleFields(header)
  if (header.kind === "tombstone") return { what: "needle", offsetBytes: at.offsetBytes, intact: true, fields }
  const body = await read(at.offsetBytes + at.headerBytes, header.bodyBytes)
  const seed = header.kind === "shard" ? needleSeed(header.id) : payloadSeed(header.family, header.key)
  const intact = body.length === header.bodyBytes && equalBytes(subBlockChecksums(body, seed), header.checksums)
  return {
    what: "needle",
    offsetBytes: at.offsetBytes,
    intact,
    fields: { ...fields, ...(intact ? {} : { reason: "the body fails its checksums" }) },
  }
}

function needleFields(header: NeedleHeader): Finding["fields"] {
  if (header.kind === "payload") {
    return { kind: "payload", family: header.family, row: hexOfKey(header.key), bodyBytes: header.bodyBytes }
  }
  const { partition, uploadId, part, block, generation, slot } = header.id
  const id = { partition, upload: uploadId, part, block, generation, slot }
  if (header.kind === "tombstone") return { kind: "tombstone", ...id }
  return {
    kind: "shard",
    ...id,
    bucket: header.owner.bucketId,
    key: textOfObjectKey(header.owner.key),
    policy: textOfPolicy(header.policy),
    blockBytes: header.blockLengthBytes,
    bodyBytes: header.bodyBytes,
    birthNote: header.birthNote !== undefined,
  }
}

export const hexOfKey = (key: string): string => Buffer.from(bytesOfByteString(key)).toString("hex")

async function* inspectLogSegment(read: ReadAt): AsyncGenerator<Finding> {
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
      const reason = header === undefined ? {} : { reason: "an older batch, not of this chain" }
      yield { what: "end", offsetBytes, intact: true, fields: reason }
      return
    }
    const records = decodeLogBatchRecords(header, await read(offsetBytes, LOG_HEADER_BYTES + header.payloadBytes))
    const fields = {
      device: header.deviceId,
      segment: header.segment,
      sequence: header.sequence,
      records: header.recordCount,
      durableUpTo: header.durableUpTo,
      cutUpTo: header.cutUpTo,
      checksum: hex(header.checksum),
    }
    yield {
      what: "batch",
      offsetBytes,
      intact: records !== undefined,
      fields: { ...fields, ...(records ? {} : { reason: "the payload is cut or damaged" }) },
    }
    for (const record of records ?? []) yield entryFinding(record.bytes, offsetBytes + record.offsetBytes)
    segment = header.segment
    previous = header.checksum
    offsetBytes += batchBytes(header.payloadBytes)
  }
}

function entryFinding(record: Uint8Array, offsetBytes: number): Finding {
  try {
    const { tabletId, epoch, position, writes } = decodeEntry(record)
    const families = [...new Set(writes.map(write => (write.value === undefined ? `-${write.family}` : write.family)))]
    const fields = { tablet: tabletId, epoch, position, writes: writes.length, families: families.join(" ") }
    return { what: "entry", offsetBytes, intact: true, fields }
  } catch (error) {
    if (!isFailure(error)) throw error
    return { what: "entry", offsetBytes, intact: false, fields: { reason: error.message, lengthBytes: record.length } }
  }
}
