/** File systems that do not keep what was written, or not by themselves, for the start and for `hayloft doctor`. */

const VOLATILE = new Set(["tmpfs", "ramfs"])
const REMOTE = new Set(["nfs", "cifs", "smb", "smb2", "fuse"])

/** Returns what to know about a data folder on this kind of file system; undefined if there is nothing to warn of. */
export function fileSystemWarning(folder: string, kind: string): string | undefined {
  if (VOLATILE.has(kind)) return `${folder} is on ${kind}: its contents are lost in a power cut`
  if (REMOTE.has(kind)) return `${folder} is on ${kind}: durability depends on how that server handles a sync`
  return undefined
}
