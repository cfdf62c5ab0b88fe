/**
 * `hayloft volume fsck FOLDER`: verifies the volumes and the metadata store in a data folder of a stopped store, and
 * the needle index against the volumes. Changes nothing; exits with 1 if it finds damage.
 */
import { isFailure } from "../base/failures.js"
import { rowKeyOf } from "../base/ids.js"
import { decodeStoredRow } from "../format/stored-row.js"
import { needleIdOfKey } from "../format/needle.js"
import type { StoreReader } from "../seams/store/contract.js"
import type { FsckFinding, FsckProgress, FsckTotals, IndexDifference } from "../volume/index.js"
import type { KeyOptions } from "./device-cipher.js"
import { CliError } from "./exit-codes.js"
import { needleFields, type Finding } from "./inspect.js"
import type { CliIo } from "./io.js"
import { answer, type OutputOptions } from "./output.js"
import { Progress } from "./progress.js"
import { withStoppedFolder, type StoppedFolder } from "./stopped-folder.js"
import { plural, printable, sizeText } from "./text.js"

const DIFFERENCES_SHOWN_MAX = 1_000

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
    const { foldersOf } = await import("../node/index.js")
    const { volumes, payloads, metadataStore } = foldersOf(this.device.path)
    const needles = await this.volumes(volumes)
    const inline = await this.volumes(payloads)
    const differences = await this.index(volumes, metadataStore)
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
    const { fsckVolumes } = await import("../volume/index.js")
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
  private async index(volumes: string, metadataStore: string): Promise<number> {
    if (!(await this.device.disk.exists(metadataStore)) || !(await this.device.disk.exists(volumes))) return 0
    const [{ TableStores }, { readSourceMark }, { compareIndex, positionOfMark, VOLUMES_SOURCE }] = await Promise.all([
      import("../table/index.js"),
      import("../device/index.js"),
      import("../volume/index.js"),
    ])
    const rebuilt = (path: string, offsetBytes: number): void =>
      void this.troubles.push({ what: "metadata", isDamage: true, fields: { path, offsetBytes, repair: "by parity" } })
    const { disk, deviceId, cipher } = this.device
    const host = { disk, deviceId, cipher, isReadOnly: true, rebuilt } as const
    const store = await new TableStores().openReader(metadataStore, host)
    const progress = this.progress("index")
    try {
      await this.metadata(store)
      // Without a mark the whole index is invalid: the next start rebuilds it.
      const contained = positionOfMark(readSourceMark(store, VOLUMES_SOURCE))
      if (contained === undefined) return 0
      const place = { folder: volumes, deviceId, cipher }
      let differences = 0
      const rows = indexRows(store)
      for await (const found of compareIndex(disk, place, rows, this.signal, progress.report, contained)) {
        differences += 1
        if (differences <= DIFFERENCES_SHOWN_MAX) this.troubles.push(differenceOf(found))
        else this.damages += 1
      }
      return differences
    } finally {
      progress.end()
      await store.close()
      await this.printTroubles()
    }
  }

  /** Verifies every block of the metadata store. */
  private async metadata(store: StoreReader): Promise<void> {
    try {
      await store.verify(this.signal)
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

function* indexRows(store: StoreReader): Generator<readonly [ReturnType<typeof rowKeyOf>, Uint8Array]> {
  for (const [key, stored] of store.range("needles", { start: rowKeyOf("\0"), end: rowKeyOf("\xff".repeat(64)) })) {
    yield [key, valueOf(key, stored)]
  }
}

/** A row that fails its checksum differs from every possible value. */
function valueOf(key: ReturnType<typeof rowKeyOf>, stored: Uint8Array): Uint8Array {
  try {
    return decodeStoredRow("needles", key, stored).value
  } catch {
    return new Uint8Array(0)
  }
}

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
