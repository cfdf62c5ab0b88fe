/** `hayloft volume inspect FILE`: prints the contents of a file of a data folder, one finding per line. */
import { stat } from "node:fs/promises"
import { basename, dirname, resolve } from "node:path"
import type { DeviceCipher } from "@hayloft/base/encryption/device-cipher.js"
import { isFailure, type Failure } from "@hayloft/base/failures.js"
import type { DeviceId } from "@hayloft/base/ids.js"
import { readSuperblock } from "@hayloft/engine/device/index.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import { RealDisk } from "@hayloft/base/seams/disk/index.js"
import { deviceCipher, fileKeysOf, readableRecord, type KeyOptions } from "./device-cipher.js"
import { CliError } from "../exit-codes.js"
import { inspectMetadataStore } from "./inspect-base.js"
import { inspectFile, type Finding, type FindingKind } from "./inspect.js"
import type { CliIo } from "../io.js"
import { answer, type OutputOptions } from "../output.js"
import { plural, printable } from "../text.js"

export async function inspectCommand(io: CliIo, path: string, options: OutputOptions & KeyOptions): Promise<void> {
  const absolute = resolve(io.workingFolder, path)
  const found = await stat(absolute)
  if (found.isDirectory()) return inspectMetadataStoreFolder(io, absolute, options)
  const disk = new RealDisk()
  const cipher = found.isFile() ? await cipherOfFile(io, disk, absolute, options) : undefined
  const count = found.isFile() ? await show(io, path, inspectFile(disk, absolute, cipher), options) : 0
  if (count === 0) throw new CliError("failed", `${path} is not a volume, log segment, superblock or control record`)
}

/** Files are in the data folder itself, or one folder below. */
const FOLDERS_ABOVE = 2

/** Returns the cipher of the device that the file belongs to; undefined without a key file: lengths are shown then. */
async function cipherOfFile(
  io: CliIo,
  disk: Disk,
  path: string,
  options: KeyOptions,
): Promise<DeviceCipher | undefined> {
  let folder = path
  for (let level = 0; level < FOLDERS_ABOVE; level += 1) {
    folder = dirname(folder)
    const device = await deviceIn(disk, folder)
    if (device === undefined) continue
    const record = await readableRecord(disk, folder)
    if (record?.keyring?.atRest === undefined) return undefined
    const { current, next } = await fileKeysOf(io, options)
    if ((current ?? next) === undefined) return undefined
    return deviceCipher(io, options, record, device)
  }
  if ((options.masterKeyFile ?? options.nextMasterKeyFile) === undefined) return undefined
  throw new CliError("usage", `${path} is in no data folder, and the key needs the control record there`)
}

async function deviceIn(disk: Disk, folder: string): Promise<DeviceId | undefined> {
  try {
    return (await readSuperblock(disk, folder))?.deviceId
  } catch (error) {
    if (isFailure(error, "corruptRecord", "deviceFailed")) return undefined
    throw error
  }
}

async function inspectMetadataStoreFolder(io: CliIo, path: string, options: OutputOptions & KeyOptions): Promise<void> {
  const disk = new RealDisk()
  const superblock = basename(path) === "base" ? await readSuperblock(disk, dirname(path)) : undefined
  if (superblock === undefined) {
    throw new CliError("usage", `${path} is a folder; name a file in a data folder, or its folder base/`)
  }
  const { TableStores } = await import("@hayloft/engine/table/index.js")
  let noManifest: Failure | undefined
  const onNoManifest = (failure: Failure): void => void (noManifest = failure)
  const { deviceId } = superblock
  const record = await readableRecord(disk, dirname(path))
  const cipher = record && (await deviceCipher(io, options, record, deviceId))
  const host = { disk, deviceId, cipher, isReadOnly: true, onNoManifest } as const
  const store = await new TableStores().openReader(path, host)
  try {
    await show(io, path, inspectMetadataStore(store, noManifest), options)
  } finally {
    await store.close()
  }
}

/** Returns the number of findings; throws after the last one if any are damaged. */
async function show(
  io: CliIo,
  path: string,
  findings: AsyncIterable<Finding>,
  options: OutputOptions,
): Promise<number> {
  let [count, damaged] = [0, 0]
  for await (const finding of findings) {
    await answer(io, options, finding, findingText(finding))
    count += 1
    if (!finding.intact) damaged += 1
  }
  if (damaged > 0) throw new CliError("failed", `${path}: ${damaged} of ${plural(count, "finding")} damaged`)
  return count
}

const INDENT: Readonly<Record<FindingKind, string>> = {
  volume: "",
  group: "",
  needle: "  ",
  gap: "",
  manifest: "",
  batch: "",
  entry: "  ",
  end: "",
  superblock: "",
  control: "",
  keyring: "  ",
  device: "  ",
  start: "  ",
  tablet: "  ",
  family: "",
  row: "  ",
}

function findingText({ what, offsetBytes, intact, fields }: Finding): string {
  const shown = Object.entries(fields).map(
    ([name, value]) => `${name}=${typeof value === "string" ? printable(value) || '""' : value}`,
  )
  return `${String(offsetBytes).padStart(12)}  ${INDENT[what]}${what}${intact ? "" : " DAMAGED"} ${shown.join(" ")}\n`
}
