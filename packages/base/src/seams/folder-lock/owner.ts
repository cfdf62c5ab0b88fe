/** Describes the process that owns a folder, and builds the refusal that names it. Pure. */
import { fail, type Failure } from "../../failures.js"
import type { FolderLockOwner } from "./contract.js"

const COMMAND_CHARACTERS_MAX = 160

/** `process 4711 (node bin/hayloft serve --data /data)`. */
function textOfOwner({ pid, command }: FolderLockOwner): string {
  if (pid === undefined) return "another process, which does not answer or runs in another container"
  if (command === undefined) return `process ${pid}`
  const printable = command.replace(/[^\x20-\x7e]/g, "?")
  const cut = printable.length > COMMAND_CHARACTERS_MAX ? `${printable.slice(0, COMMAND_CHARACTERS_MAX)}...` : printable
  return `process ${pid} (${cut})`
}

export const inUse = (path: string, owner: FolderLockOwner): Failure =>
  fail("folderInUse", { path, owner: textOfOwner(owner) })
