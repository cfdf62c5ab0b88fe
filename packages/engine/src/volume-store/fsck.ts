/**
 * Fsck of a volume store that no process has open: verifies every value in the volumes, live or removed, and compares
 * the index with them. Changes nothing.
 *
 * Limits    FINDINGS_MAX; the comparison has some 300 bytes a value in memory.
 */
import { isFailure } from "@hayloft/base/failures.js"
import { rowKeyOf, type RowKey, rowKeyAfter } from "@hayloft/base/ids.js"
import { readSourceMark } from "../device/index.js"
import type { NeedleHeader } from "../format/needles/needle.js"
import { NEEDLE_KEY_BYTES } from "../format/needles/needle.js"
import { decodeStoredRow } from "../format/tables/stored-row.js"
import { DisposeStack, laterTurn } from "@hayloft/base/life/index.js"
import { NEVER } from "@hayloft/base/never.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { StoreReader } from "@hayloft/base/seams/store/contract.js"
import { compareIndex, fsckVolumes, positionOfMark, VOLUMES_SOURCE, type FsckFinding } from "../volume/index.js"
import type { FsckOptions, FsckReport, VolumeFinding } from "./contract.js"
import { foldersOf, holdFolder, type VolumeStoreFolder } from "./folder.js"
import { FINDINGS_MAX, KEYS_STEP_ROWS } from "./limits.js"
import type { StoreSeams } from "./store.js"
import { throwIfAborted } from "./volume-error.js"

const ALL_KEYS_END = rowKeyOf("\xff".repeat(NEEDLE_KEY_BYTES + 1))

const keyIn = (header: NeedleHeader): Uint8Array | undefined =>
  header.kind === "shard" ? header.recoveryHeader : undefined

/** Returns undefined for the traces of a crash, which are no damage. */
function findingOf(finding: FsckFinding): VolumeFinding | undefined {
  switch (finding.kind) {
    case "needle":
      return {
        kind: "value",
        key: keyIn(finding.header),
        message: `a value in volume ${finding.place.volume}, at byte ${finding.place.offsetBytes}, is damaged`,
      }
    case "damage": {
      const { volumeId, fromBytes, toBytes, reason } = finding.damage
      return { kind: "volume", message: `volume ${volumeId}, bytes ${fromBytes} to ${toBytes}: ${reason}` }
    }
    case "unreadable":
      return { kind: "unreadable", message: `volume ${finding.volumeId}: ${finding.reason}` }
    case "nothing":
    case "tornTail":
      return undefined
  }
}

/** Rows of the index, a few in each turn of the event loop. */
async function* indexRows(index: StoreReader, clock: Clock): AsyncGenerator<readonly [RowKey, Uint8Array]> {
  for (let start = rowKeyOf("\x00"); ;) {
    const rows: (readonly [RowKey, Uint8Array])[] = []
    for (const [key, stored] of index.range("needles", { start, end: ALL_KEYS_END })) {
      rows.push([key, Uint8Array.from(decodeStoredRow("needles", key, stored).value)])
      start = rowKeyAfter(key)
      if (rows.length === KEYS_STEP_ROWS) break
    }
    yield* rows
    if (rows.length < KEYS_STEP_ROWS) return
    await laterTurn(clock)
  }
}

class Fsck {
  readonly findings: VolumeFinding[] = []
  damages = 0

  constructor(
    private readonly seams: StoreSeams,
    private readonly folder: Omit<VolumeStoreFolder, "incarnation">,
    private readonly signal: AbortSignal,
  ) {}

  note(finding: VolumeFinding | undefined): void {
    if (finding === undefined) return
    this.damages += 1
    if (this.findings.length < FINDINGS_MAX) this.findings.push(finding)
  }

  /** An index that cannot be opened is a finding. */
  async index(): Promise<void> {
    const { path, disk, deviceId } = this.folder
    try {
      const index = await this.seams.stores.openReader(foldersOf(path).index, { disk, deviceId, isReadOnly: true })
      try {
        await this.compare(index)
      } finally {
        await index.close()
      }
    } catch (error) {
      if (!isFailure(error, "corruptRow", "corruptRecord", "deviceFailed")) throw error
      this.note({ kind: "index", message: `the index cannot be read: ${error.message}` })
    }
  }

  private async compare(index: StoreReader): Promise<void> {
    await index.verify(this.signal)
    const contained = positionOfMark(readSourceMark(index, VOLUMES_SOURCE))
    // Without a mark the next open reads all volumes.
    if (contained === undefined) return
    const { path, disk, deviceId } = this.folder
    const place = { folder: foldersOf(path).volumes, deviceId }
    const differences = compareIndex(
      disk,
      place,
      indexRows(index, this.seams.clock),
      this.signal,
      () => undefined,
      contained,
    )
    for await (const { found, expected } of differences) {
      const message =
        expected === undefined
          ? "the index has a value that the volumes do not have"
          : found === undefined
            ? "the index does not have a value of the volumes"
            : "the index has another place than the volumes"
      this.note({ kind: "index", message })
    }
  }
}

export async function fsckStore(
  seams: StoreSeams,
  path: string,
  { onProgress = () => undefined, signal = NEVER }: FsckOptions = {},
): Promise<FsckReport> {
  throwIfAborted(signal)
  await using opened = new DisposeStack()
  const folder = await holdFolder(opened, seams, path)
  const { disk, deviceId } = folder
  const fsck = new Fsck(seams, folder, signal)
  const place = { folder: foldersOf(path).volumes, deviceId }
  const note = (finding: FsckFinding): void => fsck.note(findingOf(finding))
  const { volumes, bytes, needles } = await fsckVolumes(disk, place, signal, note, onProgress)
  throwIfAborted(signal)
  await fsck.index()
  throwIfAborted(signal)
  return { volumes, bytes, values: needles, damages: fsck.damages, findings: fsck.findings }
}
