/**
 * The mark of a rescue that is not complete, in each folder of the store that it fills: the id of its source.
 *
 * Promises  As long as any folder has it, only a rescue from the same source opens the store. A client's writes would
 *           otherwise go to a store that lacks objects, and the rescue would replace them when it is repeated.
 */
import { fail } from "@hayloft/base/failures.js"
import { readRecordFile, replaceRecordFile } from "@hayloft/engine/device/index.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"

const MARK_NAME = "rescue"

const markOf = (folder: string): string => `${folder}/${MARK_NAME}`

/** The source of the rescue that fills the folder; undefined: none does. */
export async function readRescueMark(disk: Disk, folder: string): Promise<string | undefined> {
  const mark = await readRecordFile(disk, markOf(folder))
  return mark && Buffer.from(mark).toString("latin1").trim()
}

export const writeRescueMark = (disk: Disk, folder: string, source: string): Promise<void> =>
  replaceRecordFile(disk, markOf(folder), Buffer.from(`${source}\n`))

/** The removal survives a power cut. */
export async function removeRescueMark(disk: Disk, folder: string): Promise<void> {
  if (await disk.exists(markOf(folder))) await disk.remove(markOf(folder))
  await disk.syncFolder(folder)
}

/** An inspection of a folder has found it. */
interface Inspected {
  readonly path: string
  readonly content: { readonly kind: string; readonly rescuedFrom?: string | undefined }
}

/** Throws `invalidConfig` if a rescue fills one of the folders, unless it is the one from `source` that opens them. */
export function checkRescue(inspections: readonly Inspected[], source: string | undefined): void {
  for (const { path, content } of inspections) {
    if (content.rescuedFrom === undefined || content.rescuedFrom === source) continue
    throw fail("invalidConfig", {
      message: `${path} belongs to a store that hayloft rescue has not completed: objects are missing in it; repeat the rescue with the same --from and --to. To use what is there without the rest, remove the file ${markOf(path)}, and that of the other folders`,
    })
  }
}
