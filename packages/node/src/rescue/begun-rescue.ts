/** A rescue that was cut off: its folders are known by their marks, so that the same rescue can go on with them. */
import { fail } from "@hayloft/base/failures.js"
import type { StoreId } from "@hayloft/base/ids.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import { inspect } from "../index.js"

/** Returns true if an earlier run began to fill these folders from the same source. Throws `folderNotEmpty`. */
export async function isBegun(disk: Disk, folders: readonly string[], source: string): Promise<boolean> {
  const used: { readonly path: string; readonly storeId: StoreId; readonly rescuedFrom: string | undefined }[] = []
  for (const path of folders) {
    const { content } = await inspect(disk, path)
    if (content.kind === "broken") throw content.failure
    if (content.kind === "remains") throw fail("folderNotEmpty", { path, found: "the remains of a device" })
    if (content.kind !== "device" || content.isUnused) continue
    used.push({ path, storeId: content.superblock.storeId, rescuedFrom: content.rescuedFrom })
  }
  // An earlier run may have been cut off while it marked its folders, or removed the marks.
  const begun = used.find(({ rescuedFrom }) => rescuedFrom === source)
  for (const { path, storeId, rescuedFrom } of used) {
    const isOurs = rescuedFrom === source || (rescuedFrom === undefined && storeId === begun?.storeId)
    if (!isOurs) throw fail("folderNotEmpty", { path, found: "a store" })
  }
  return begun !== undefined
}
