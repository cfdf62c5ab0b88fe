/**
 * Log recovery, carried out: reads the segments, has `log-recovery-core` decide, and leaves a log that can be appended
 * to.
 *
 * It changes nothing that a second recovery would find. It syncs, because a process that died may have left its last
 * batch in the page cache alone. It does not rewrite that batch in place, which would risk it in a power failure: the
 * log writes it again elsewhere. It writes zeros over the header of a torn batch, so that no later recovery can accept
 * it as whole.
 */
import type { DeviceId, LogSequence } from "@hayloft/base/ids.js"
import { parseLogSequence } from "@hayloft/base/ids.js"
import { must } from "@hayloft/base/assert.js"
import { KIB } from "@hayloft/base/limits.js"
import type { DeviceCipher } from "@hayloft/base/encryption/device-cipher.js"
import { batchBytes, decodeLogBatchHeader, LOG_HEADER_BYTES, LOG_PAGE_BYTES } from "../../format/device/log-batch.js"
import type { LogBatchHeader } from "../../format/device/log-batch.js"
import type { Disk, DiskFile } from "@hayloft/base/seams/disk/contract.js"
import { checkBehindEnd, checkChains, checkKnown, liveSegments, newestSegment, twinsOf } from "./log-recovery-core.js"
import type { LogEnd, SegmentChain, SegmentHead } from "./log-recovery-core.js"
import { batchesFrom, firstBatch, LOG_FILE, readBatch, recordsOfBatch, segmentPaths } from "./log-segment.js"
import { Window, LogWindowMemory } from "./log-segment.js"

/** A segment of the recovered log. */
interface RecoveredSegment {
  readonly file: DiskFile
  readonly first: LogBatchHeader
  readonly last: LogBatchHeader
  readonly usedBytes: number
  readonly sizeBytes: number
}

export interface RecoveredLog {
  /** Oldest first; none if the log is empty. */
  readonly segments: readonly RecoveredSegment[]
  /** Files without any part of the log, to be recycled. */
  readonly free: readonly { readonly file: DiskFile; readonly sizeBytes: number }[]
  /** The records of the last batch if nothing confirms it, and it may be in the page cache alone. */
  readonly unvouched: readonly Uint8Array[] | undefined
  /** The length of the log up to and including some batches, from the first segment's front. */
  readonly marks: readonly LogMark[]
}

/** Distance of the marks that map batches to places. */
export const MARK_EVERY_BYTES = 256 * KIB

export interface LogMark {
  readonly sequence: LogSequence
  readonly totalBytes: number
}

interface Found {
  readonly file: DiskFile
  readonly sizeBytes: number
  first: LogBatchHeader | undefined
  isTwin: boolean
}

interface RecoverOptions {
  /** The highest batch that another source shows to have been durable. */
  readonly known?: LogSequence
  readonly cipher?: DeviceCipher | undefined
}

/**
 * Recovers the log in the folder. Throws `corruptLog`, `foreignFolder`, `deviceFailed`; `corruptSeal` if its last batch
 * was encrypted under another key. Then nothing stays open.
 */
export async function recoverLog(
  disk: Disk,
  folder: string,
  deviceId: DeviceId,
  { known = parseLogSequence(0), cipher }: RecoverOptions,
): Promise<RecoveredLog> {
  const files: DiskFile[] = []
  try {
    for (const path of await segmentPaths(disk, folder)) files.push(await disk.open(path, "write", LOG_FILE))
    const recovered = await recoverFiles(files, deviceId, known, cipher)
    // A process that died may have created a file whose name is in the cache alone.
    await disk.syncFolder(folder)
    return recovered
  } catch (error) {
    for (const file of files) await file.close()
    throw error
  }
}

async function recoverFiles(
  files: readonly DiskFile[],
  deviceId: DeviceId,
  known: LogSequence,
  cipher: DeviceCipher | undefined,
): Promise<RecoveredLog> {
  const memory = new LogWindowMemory()
  const found: Found[] = []
  for (const file of files) {
    found.push({ file, sizeBytes: await file.sizeBytes(), first: await firstBatch(file), isTwin: false })
  }
  await dropTwins(found, memory)
  const heads = headsOf(found)
  const fileAt = (path: string): Found =>
    must(
      found.find(each => each.file.path === path),
      "a head has a file",
    )
  const newest = newestSegment(heads, deviceId)
  if (newest === undefined) {
    const end: LogEnd = { segment: 0, sequence: parseLogSequence(0) }
    checkKnown(end, known)
    for (const each of found) await endAt(each, 0, end, deviceId, memory)
    return { segments: [], free: found, unvouched: undefined, marks: [] }
  }
  const newestChain = await chainOf(fileAt(newest.path).file, newest.first, memory)
  const live = liveSegments(heads, newestChain.last)
  const chains = await chainsOf(live, newestChain, path => fileAt(path).file, memory)
  checkChains(live, chains)
  const end: LogEnd = { segment: newest.first.segment, sequence: newestChain.last.sequence }
  checkKnown(end, known)
  const continued = withoutVoucher(newestChain)
  const isUnvouched = continued === newestChain
  // Before anything is changed: a log under another key is left as it is.
  const opens = isUnvouched || continued.last.isSealed || cipher !== undefined
  const records = opens ? await recordsIn(fileAt(newest.path).file, continued.last, cipher) : undefined
  await fileAt(newest.path).file.sync()
  await endAt(fileAt(newest.path), newestChain.endBytes, end, deviceId, memory)
  for (const each of found) if (each.first === undefined) await endAt(each, 0, end, deviceId, memory)
  return {
    segments: live.map((head, index) => {
      const { last, endBytes } = must([...chains.slice(0, -1), continued][index], "each segment has a chain")
      const { file, sizeBytes } = fileAt(head.path)
      return { file, first: head.first, last, usedBytes: endBytes, sizeBytes }
    }),
    unvouched: isUnvouched ? records : undefined,
    free: found.filter(each => !live.some(head => head.path === each.file.path)),
    marks: marksOf(chains),
  }
}

async function recordsIn(
  file: DiskFile,
  { offsetBytes, recordCount, isSealed }: LogBatchHeader,
  cipher: DeviceCipher | undefined,
): Promise<Uint8Array[]> {
  const batch =
    recordCount === 0 && !isSealed && cipher === undefined ? undefined : await readBatch(new Window(file), offsetBytes)
  return batch === undefined ? [] : recordsOfBatch(batch, cipher).map(({ bytes }) => bytes)
}

const headsOf = (found: readonly Found[]): SegmentHead[] =>
  found.flatMap(({ file, first }) => (first === undefined ? [] : [{ path: file.path, first }]))

/** Among several files that begin with the same batch, only the one with the longest chain is a segment. */
async function dropTwins(found: readonly Found[], memory: LogWindowMemory): Promise<void> {
  for (const each of found) {
    const { file, first } = each
    if (first === undefined) continue
    const twins = twinsOf(headsOf(found), { path: file.path, first })
    if (twins.length === 0) continue
    const { endBytes } = await chainOf(file, first, memory)
    for (const twin of found.filter(other => twins.some(({ path }) => path === other.file.path))) {
      if ((await chainOf(twin.file, first, memory)).endBytes <= endBytes) [twin.first, twin.isTwin] = [undefined, true]
    }
  }
}

interface MarkedChain extends SegmentChain {
  readonly marks: readonly LogMark[]
  /** The batch before the last one in the segment. */
  readonly before: LogBatchHeader | undefined
}

/**
 * A chain without its last batch if that has only confirmed the one before: it may be in the page cache alone like any
 * last one, and is written again in its place. One that records a cut is needed.
 */
function withoutVoucher(chain: MarkedChain): MarkedChain {
  const { before, last } = chain
  if (before === undefined || last.recordCount > 0 || last.cutUpTo > before.cutUpTo) return chain
  return { ...chain, last: before, endBytes: last.offsetBytes }
}

async function chainsOf(
  live: readonly SegmentHead[],
  newest: MarkedChain,
  fileAt: (path: string) => DiskFile,
  memory: LogWindowMemory,
): Promise<MarkedChain[]> {
  const chains: MarkedChain[] = []
  for (const head of live.slice(0, -1)) chains.push(await chainOf(fileAt(head.path), head.first, memory))
  return [...chains, newest]
}

async function chainOf(file: DiskFile, first: LogBatchHeader, memory: LogWindowMemory): Promise<MarkedChain> {
  let [last, before]: [LogBatchHeader, LogBatchHeader | undefined] = [first, undefined]
  let endBytes = 0
  const marks: LogMark[] = []
  for await (const { header } of batchesFrom(file, first, 0, memory)) {
    if (header.sequence > last.sequence) before = last
    last = header
    endBytes += batchBytes(header.payloadBytes)
    const markedBytes = marks.at(-1)?.totalBytes ?? 0
    if (endBytes - markedBytes >= MARK_EVERY_BYTES) marks.push({ sequence: header.sequence, totalBytes: endBytes })
  }
  return { last, before, endBytes, marks }
}

function marksOf(chains: readonly MarkedChain[]): LogMark[] {
  let before = 0
  return chains.flatMap(({ marks, endBytes }) => {
    const startBytes = before
    before += endBytes
    return marks.map(({ sequence, totalBytes }) => ({ sequence, totalBytes: startBytes + totalBytes }))
  })
}

/**
 * Inspects everything behind the end of the log in one file: throws `corruptLog` if it shows that more had been
 * durable, and wipes a torn batch there.
 */
async function endAt(
  found: Found,
  fromBytes: number,
  end: LogEnd,
  deviceId: DeviceId,
  memory: LogWindowMemory,
): Promise<void> {
  const { file, sizeBytes } = found
  const window = new Window(file, memory)
  let torn = false
  for (let offsetBytes = fromBytes; offsetBytes < sizeBytes; offsetBytes += LOG_PAGE_BYTES) {
    const header = decodeLogBatchHeader(await window.at(offsetBytes, LOG_HEADER_BYTES))
    if (header === undefined) continue
    checkBehindEnd(end, deviceId, header, { path: file.path, offsetBytes })
    torn ||= offsetBytes === fromBytes && (header.segment >= end.segment || found.isTwin)
  }
  if (torn) await file.write([new Uint8Array(LOG_PAGE_BYTES)], fromBytes)
}
