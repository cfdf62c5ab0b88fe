/**
 * Folder inspection: classifies data folders before anything is written: devices, empty folders, unusable ones.
 * Takes no lock and writes nothing.
 */
import { dirname } from "node:path"
import { fail, isFailure, type Failure } from "@hayloft/base/failures.js"
import { checkOutside, inspectFolder, isMountPoint, isUnused, readControlRecord } from "@hayloft/engine/device/index.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import type { Superblock } from "@hayloft/engine/format/device/superblock.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import { readRescueMark } from "./rescue-mark.js"

type FolderContent =
  | { readonly kind: "absent" }
  | { readonly kind: "empty" }
  | {
      readonly kind: "device"
      readonly superblock: Superblock
      /**
       * The record is undefined if the device never had one. It is a failure if the device has one that cannot be read.
       */
      readonly record: ControlRecord | Failure | undefined
      /** Nothing has been written to it yet. */
      readonly isUnused: boolean
      /** The source of the rescue that fills it; undefined: none does. */
      readonly rescuedFrom?: string | undefined
    }
  /** The superblock of a device is gone, and some of its files remain. `isEmptied`: no rows and no bodies. */
  | { readonly kind: "remains"; readonly record: ControlRecord; readonly isEmptied: boolean }
  /** The disk does not respond, or the files that identify the device are damaged. */
  | { readonly kind: "broken"; readonly failure: Failure }

export interface FolderInspection {
  readonly path: string
  readonly isMountPoint: boolean
  readonly content: FolderContent
}

/** Throws failures of the folder itself: `folderNotEmpty`, `invalidConfig` (of a later release). */
export async function inspect(disk: Disk, path: string): Promise<FolderInspection> {
  try {
    if (!(await disk.exists(path))) {
      await checkMayBeMade(disk, path)
      return { path, isMountPoint: false, content: { kind: "absent" } }
    }
    return { path, isMountPoint: await isMountPoint(disk, path), content: await contentOf(disk, path) }
  } catch (error) {
    if (!isFailure(error, "deviceFailed", "corruptRecord")) throw error
    return { path, isMountPoint: false, content: { kind: "broken", failure: withReason(path, error) } }
  }
}

/** Codes of paths at which no folder can be, whatever the disk does. */
const NO_FOLDER: Readonly<Record<string, string>> = {
  ENOTDIR: "a part of its path is a file",
  ENOENT: "no folder can be made in the one above it",
}

/** A mistyped path is no disk that does not respond: the failure says what is wrong with the path. */
export function withReason(path: string, failure: Failure): Failure {
  const { message, code } = failure.details
  const reason = NO_FOLDER[String(code)]
  if (failure.kind !== "deviceFailed" || message !== undefined || reason === undefined) return failure
  return fail("deviceFailed", { message: `the data folder ${path} cannot be used: ${reason}`, path, code }, failure)
}

/** Throws `deviceFailed` if what the folder would be made in is not a folder, or cannot be read. */
async function checkMayBeMade(disk: Disk, path: string): Promise<void> {
  await checkOutside(disk, path)
  let parent = dirname(path)
  while (!(await disk.exists(parent)) && dirname(parent) !== parent) parent = dirname(parent)
  await disk.list(parent)
}

async function contentOf(disk: Disk, path: string): Promise<FolderContent> {
  const content = await inspectFolder(disk, path)
  if (content.kind !== "device") return content
  const { superblock } = content
  const unused = await isUnused(disk, path)
  const record = await readControlRecord(disk, path)
  const rescuedFrom = await readRescueMark(disk, path)
  const device = { kind: "device", superblock, ...(rescuedFrom !== undefined && { rescuedFrom }) } as const
  if (record !== undefined || unused) return { ...device, record, isUnused: unused }
  const lost = fail("corruptRecord", { message: `${path} belongs to a store whose control record is gone` })
  return { ...device, record: lost, isUnused: false }
}
