/**
 * `hayloft volume fsck FOLDER`: verifies the volumes and the metadata store in a data folder of a stopped store, and
 * the needle index against the volumes. Changes nothing; exits with 1 if it finds damage.
 */
import { isFailure } from "@hayloft/base/failures.js"
import type { Family } from "@hayloft/base/rows/families.js"
import { rowKeyOf, type RowKey } from "@hayloft/base/ids.js"
import { EXPIRING_FAMILY, isOfClass, needleKeyIn } from "@hayloft/engine/format/needles/expiring-key.js"
import { decodeStoredRow } from "@hayloft/engine/format/tables/stored-row.js"
import { needleIdOfKey } from "@hayloft/engine/format/needles/needle.js"
import type { StoreReader } from "@hayloft/base/seams/store/contract.js"
import type {
  ExpiringClass,
  FsckFinding,
  FsckProgress,
  FsckTotals,
  IndexDifference,
} from "@hayloft/engine/volume/index.js"
import type { KeyOptions } from "./device-cipher.js"
import { CliError } from "../exit-codes.js"
import { needleFields, type Finding } from "./inspect.js"
import type { CliIo } from "../io.js"
import { answer, type OutputOptions } from "../output.js"
import { Progress } from "../progress.js"
import { withStoppedFolder, type StoppedFolder } from "./stopped-folder.js"
import { plural, printable, sizeText } from "../text.js"

const DIFFERENCES_SHOWN_MAX = 1_000

interface VolumeFolder {
  /** It is undefined for the ordinary volumes. */
  readonly ends?: ExpiringClass | undefined
  readonly folder: string
}

interface Trouble {
  readonly what: string
  readonly isDamage: boolean
  readonly fields: Finding["fields"]
}

export async function fsckCommand(
  io: CliIo,
  folder: string,
  options: OutputOptions & KeyOptions,
  signal: AbortSignal,
): Promise<void> {
  await withStoppedFolder(io, folder, options, device => new Fsck(io, device, options, signal).run())
}

class Fsck {
  private readonly troubles: Trouble[] = []
  private damages = 0
  private hasLostRows = false

  constructor(
    private readonly io: CliIo,
    private readonly device: StoppedFolder,
    private readonly options: OutputOptions,
    private readonly signal: AbortSignal,
  ) {}

  async run(): Promise<void> {
    const { foldersOf, volumeFoldersOf } = await import("@hayloft/node/index.js")
    const { disk, path } = this.device
    const { payloads, metadataStore } = foldersOf(path)
    const folders = await volumeFoldersOf(disk, path)
    const found: (FsckTotals | undefined)[] = []
    for (const { folder } of folders) found.push(await this.volumes(folder))
    const needles = totalOf(found)
    const inline = await this.volumes(payloads)
    const differences = await this.index(folders, metadataStore)
    this.signal.throwIfAborted()
    const totals = { needles, payloads: inline, indexDifferences: differences, damages: this.damages }
    await answer(this.io, this.options, { what: "totals", ...totals }, `${totalsText(needles, inline)}\n`)
    if (this.damages === 0) return
    const hint = differences > 0 ? "; hayloft volume rebuild-index rebuilds the index" : ""
    const lost = this.hasLostRows ? "; hayloft volume give-up removes unreadable rows" : ""
    throw new CliError("failed", `${this.device.path}: ${plural(this.damages, "finding")} of damage${hint}${lost}`)
  }

  private async volumes(folder: string): Promise<FsckTotals | undefined> {
    if (!(await this.device.disk.exists(folder))) return undefined
    const { fsckVolumes } = await import("@hayloft/engine/volume/index.js")
    const onFinding = (finding: FsckFinding): void => void this.troubles.push(troubleOf(folder, finding))
    const progress = this.progress(folder)
    try {
      const { deviceId, cipher } = this.device
      const place = { folder, deviceId, cipher }
      return await fsckVolumes(this.device.disk, place, this.signal, onFinding, progress.report)
    } finally {
      progress.end()
      await this.printTroubles()
    }
  }

  /** Compares the index with the volumes. Rows that the next start will add are not differences. */
  private async index(folders: readonly VolumeFolder[], metadataStore: string): Promise<number> {
    if (!(await this.device.disk.exists(metadataStore)) || folders.length === 0) return 0
    const { TableStores } = await import("@hayloft/engine/table/index.js")
    const rebuilt = (path: string, offsetBytes: number): void =>
      void this.troubles.push({ what: "metadata", isDamage: true, fields: { path, offsetBytes, repair: "by parity" } })
    const { disk, deviceId, cipher } = this.device
    const host = { disk, deviceId, cipher, isReadOnly: true, rebuilt } as const
    const store = await new TableStores().openReader(metadataStore, host)
    const progress = this.progress("index")
    try {
      await this.metadata(store)
      let differences = 0
      for (const folder of folders) differences += await this.indexOf(folder, store, differences, progress.report)
      return differences
    } finally {
      progress.end()
      await store.close()
      await this.printTroubles()
    }
  }

  /** `before`: differences that were found until now. */
  private async indexOf(
    { ends, folder }: VolumeFolder,
    store: StoreReader,
    before: number,
    report: (progress: FsckProgress) => void,
  ): Promise<number> {
    const [{ readSourceMark }, { compareIndex, positionOfMark, sourceNameOf, VOLUMES_SOURCE }] = await Promise.all([
      import("@hayloft/engine/device/index.js"),
      import("@hayloft/engine/volume/index.js"),
    ])
    // Without a mark the whole index is invalid: the next start rebuilds it.
    const contained = positionOfMark(readSourceMark(store, ends === undefined ? VOLUMES_SOURCE : sourceNameOf(ends)))
    if (contained === undefined) return 0
    const { disk, deviceId, cipher } = this.device
    const place = { folder, deviceId, cipher }
    const rows = ends === undefined ? indexRows(store, "needles") : expiringRows(store, ends)
    let differences = 0
    for await (const found of compareIndex(disk, place, rows, this.signal, report, contained)) {
      differences += 1
      if (before + differences <= DIFFERENCES_SHOWN_MAX) this.troubles.push(differenceOf(found))
      else this.damages += 1
    }
    return differences
  }

  /** Verifies every block of the metadata store, and names the rows that checkpoints have set aside, which are no damage. */
  private async metadata(store: StoreReader): Promise<void> {
    const { asideRows, printedRow } = await import("@hayloft/engine/device/index.js")
    try {
      await store.verify(this.signal)
      for (const { family, key } of asideRows(store))
        this.troubles.push({ what: "aside", isDamage: false, fields: { row: printedRow(family, key) } })
    } catch (error) {
      if (!isFailure(error, "corruptRow")) throw error
      const { path = "", fromKey = "", toKey = "" } = error.details
      this.hasLostRows = true
      this.troubles.push({
        what: "metadata",
        isDamage: true,
        fields: { path: String(path), fromKey: String(fromKey), toKey: String(toKey), repair: "none" },
      })
    }
  }

  /** Prints the findings since the last call. */
  private async printTroubles(): Promise<void> {
    for (const { what, isDamage, fields } of this.troubles.splice(0)) {
      if (isDamage) this.damages += 1
      const shown = Object.entries(fields).map(
        ([name, value]) => `${name}=${typeof value === "string" ? printable(value) || '""' : value}`,
      )
      const text = `${isDamage ? "DAMAGED " : ""}${what} ${shown.join(" ")}\n`
      await answer(this.io, this.options, { what, damaged: isDamage, ...fields }, text)
    }
  }

  private progress(label: string) {
    const { io } = this
    const draw = io.errorIsTerminal && this.options.json !== true ? (text: string) => io.error(text) : undefined
    let bar: Progress | undefined
    let before = 0
    return {
      report: ({ bytes, bytesDone }: FsckProgress): void => {
        bar ??= new Progress(draw, io.clock, () => label, bytes)
        bar.add(Math.max(0, bytesDone - before))
        before = bytesDone
      },
      end: (): void => bar?.end(),
    }
  }
}

type IndexRow = readonly [RowKey, Uint8Array]

function* indexRows(store: StoreReader, family: Family): Generator<IndexRow> {
  for (const [key, stored] of store.range(family, { start: rowKeyOf("\0"), end: rowKeyOf("\xff".repeat(64)) })) {
    yield [key, valueOf(family, key, stored)]
  }
}

/** The rows of a class, under the keys of their needles. */
function* expiringRows(store: StoreReader, ends: ExpiringClass): Generator<IndexRow> {
  for (const [key, value] of indexRows(store, EXPIRING_FAMILY)) {
    if (isOfClass(ends.number, key)) yield [needleKeyIn(key), value]
  }
}

/** A row that fails its checksum differs from every possible value. */
function valueOf(family: Family, key: RowKey, stored: Uint8Array): Uint8Array {
  try {
    return decodeStoredRow(family, key, stored).value
  } catch {
    return new Uint8Array(0)
  }
}

/** Totals of several folders; undefined if there is none. */
function totalOf(found: readonly (FsckTotals | undefined)[]): FsckTotals | undefined {
  const [first, ...others] = found.flatMap(totals => totals ?? [])
  return others.reduce((sum, totals) => sum && addedTo(sum, totals), first)
}

const addedTo = (sum: FsckTotals, totals: FsckTotals): FsckTotals => ({
  volumes: sum.volumes + totals.volumes,
  bytes: sum.bytes + totals.bytes,
  needles: sum.needles + totals.needles,
  tombstones: sum.tombstones + totals.tombstones,
  badNeedles: sum.badNeedles + totals.badNeedles,
  verifiedBytes: sum.verifiedBytes + totals.verifiedBytes,
})

const volumePath = (folder: string, volumeId: number): string =>
  `${folder}/${String(volumeId).padStart(10, "0")}.volume`

function troubleOf(folder: string, finding: FsckFinding): Trouble {
  switch (finding.kind) {
    case "damage": {
      const { volumeId, fromBytes, toBytes, reason } = finding.damage
      return {
        what: "stretch",
        isDamage: true,
        fields: { file: volumePath(folder, volumeId), fromBytes, toBytes, reason },
      }
    }
    case "needle": {
      const { volume, offsetBytes } = finding.place
      const fields = { file: volumePath(folder, volume), atBytes: offsetBytes, ...needleFields(finding.header) }
      return { what: "needle", isDamage: true, fields }
    }
    case "tornTail": {
      const { volumeId, fromBytes, lengthBytes } = finding
      return {
        what: "torn tail",
        isDamage: false,
        fields: { file: volumePath(folder, volumeId), fromBytes, lengthBytes },
      }
    }
    case "unreadable":
      return {
        what: "unreadable",
        isDamage: true,
        fields: { file: volumePath(folder, finding.volumeId), reason: finding.reason },
      }
    case "nothing":
      return {
        what: "no volume of this device",
        isDamage: false,
        fields: { file: volumePath(folder, finding.volumeId) },
      }
  }
}

function differenceOf({ key, found, expected }: IndexDifference): Trouble {
  const why =
    found === undefined
      ? "entry missing"
      : expected === undefined
        ? "entry without needle"
        : "entry with a wrong location"
  const { partition, uploadId, part, block, generation, slot } = needleIdOfKey(key)
  return { what: "index", isDamage: true, fields: { why, partition, upload: uploadId, part, block, generation, slot } }
}

function totalsText(needles: FsckTotals | undefined, payloads: FsckTotals | undefined): string {
  const all = [needles, payloads].flatMap(totals => totals ?? [])
  const sum = (of: (totals: FsckTotals) => number) => all.reduce((total, each) => total + of(each), 0)
  const volumes = sum(totals => totals.volumes)
  const found = sum(totals => totals.needles)
  return `${plural(volumes, "volume")}, ${plural(found, "needle")}, ${sizeText(sum(totals => totals.verifiedBytes))} verified`
}
