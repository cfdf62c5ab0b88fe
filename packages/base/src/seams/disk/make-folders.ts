/**
 * Makes a folder with those above it. Only for a folder that an operator has named at a start, which may be new: a
 * running store never makes the folder of a device, since its disk may have been taken out.
 */
import { dirname } from "node:path"
import type { Disk } from "./contract.js"

export async function makeFolders(disk: Disk, path: string): Promise<void> {
  if (await disk.exists(path)) return
  const parent = dirname(path)
  if (parent !== path) await makeFolders(disk, parent)
  await disk.makeFolder(path)
}
