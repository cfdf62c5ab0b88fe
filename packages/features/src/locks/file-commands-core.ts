/**
 * Commands on small files, which are written and read as a whole. Pure.
 *
 * Promises  The version of a file is the number of the change that wrote it: it only grows, also if the file was deleted in
 *           between. A file of a session ends with it; only that session writes it.
 */
import { fail } from "@hayloft/base/failures.js"
import type { Fence } from "@hayloft/base/fence.js"
import type { AccountId, CoordPath, SessionId } from "@hayloft/base/ids.js"
import {
  coordRowKey,
  decodeFile,
  encodeFile,
  namespaceOf,
  namespaceRowKey,
  type FileRecord,
} from "@hayloft/engine/format/coord-rows.js"
import { command, type RowView, type Touches } from "@hayloft/engine/metadata/index.js"
import { CoordWrites } from "./coord-writes-core.js"
import { requireFence } from "./lock-commands-core.js"

/** Conditions of a write or a deletion. */
export interface FileConditions {
  /** The version that is there. */
  readonly ifVersion?: number | undefined
  /** There is no file, or there is one. */
  readonly ifExists?: boolean | undefined
  readonly fence?: Fence | undefined
}

interface FileOf {
  readonly account: AccountId
  readonly path: CoordPath
  readonly conditions: FileConditions
  /** The principal that asks; undefined: an operator, or the store. */
  readonly by?: string | undefined
}

interface FileWrite extends FileOf {
  readonly content: Uint8Array
  /** The file ends with it; undefined: it stays. */
  readonly session: SessionId | undefined
}

export function fileIn(view: Pick<RowView, "get">, account: AccountId, path: CoordPath): FileRecord | undefined {
  const row = view.get("coordFiles", coordRowKey(account, path))
  return row && decodeFile(row.value)
}

const touchesOf = ({ account, path }: Pick<FileOf, "account" | "path">): Touches => [
  ["coordNamespaces", namespaceRowKey(account, namespaceOf(path))],
  ["coordFiles", coordRowKey(account, path)],
]

function checkConditions({ path, conditions }: FileOf, there: FileRecord | undefined): void {
  const { ifVersion, ifExists } = conditions
  const now = there === undefined ? "it does not exist" : `its version is ${there.version}`
  if (ifVersion !== undefined && ifVersion !== there?.version)
    throw fail("preconditionFailed", { condition: "If-Match", message: `The file ${path} is another one: ${now}.` })
  if (ifExists !== undefined && ifExists !== (there !== undefined)) {
    const condition = ifExists ? "If-Match" : "If-None-Match"
    throw fail("preconditionFailed", { condition, message: `The file ${path} was not written: ${now}.` })
  }
}

/** Writes the file; returns its version. Throws `preconditionFailed`, `noSuchSession`, `conflict`, `limitExceeded`. */
export const putFile = command<[write: FileWrite], number>({
  name: "PutSmallFile",
  touches: touchesOf,
  decide(view, { nowMs }, write) {
    const { account, path, content, session, conditions, by } = write
    const writes = new CoordWrites(view, account, nowMs, by)
    if (session !== undefined) writes.session(session)
    const there = fileIn(view, account, path)
    checkConditions(write, there)
    requireFence(view, conditions.fence)
    if (there !== undefined && there.session !== session)
      throw fail("conflict", {
        message:
          there.session === undefined
            ? `The file ${path} belongs to no session: write it without one, or delete it first.`
            : `The file ${path} belongs to the session ${there.session}.`,
      })
    if (there === undefined && session !== undefined) writes.hold(session, { kind: "file", path })
    const added = { files: there === undefined ? 1 : 0, bytes: content.length - (there?.content.length ?? 0) }
    const version = writes.change(path, "written", added)
    const createdMs = there?.createdMs ?? nowMs
    writes.put("coordFiles", path, encodeFile({ version, createdMs, modifiedMs: nowMs, session, content }))
    return { writes: writes.finish(), result: version }
  },
})

interface CopiedFile extends Omit<FileOf, "conditions" | "by"> {
  readonly version: number
  readonly content: Uint8Array
}

/** Brings a file back from a copy of the rows, unless there is one that is as new; returns whether it did. */
export const restoreFile = command<[copied: CopiedFile], boolean>({
  name: "RestoreSmallFile",
  touches: touchesOf,
  decide(view, { nowMs }, { account, path, version, content }) {
    const writes = new CoordWrites(view, account, nowMs)
    const there = fileIn(view, account, path)
    if (there !== undefined && (there.version >= version || there.session !== undefined))
      return { writes: [], result: false }
    const added = { files: there === undefined ? 1 : 0, bytes: content.length - (there?.content.length ?? 0) }
    // It gets a new version: that of the copy may be one that others have seen with another content.
    // Files that were there before the copy was made may come beside others: no limit keeps one away.
    const now = writes.change(path, "written", added, false)
    const times = { createdMs: there?.createdMs ?? nowMs, modifiedMs: nowMs }
    writes.put("coordFiles", path, encodeFile({ version: now, ...times, session: undefined, content }))
    return { writes: writes.finish(), result: true }
  },
})

/** Deletes the file; returns whether it was there. Throws `preconditionFailed`. */
export const deleteFile = command<[deletion: FileOf], boolean>({
  name: "DeleteSmallFile",
  grows: false,
  touches: touchesOf,
  decide(view, { nowMs }, deletion) {
    const { account, path, conditions } = deletion
    const writes = new CoordWrites(view, account, nowMs)
    const there = fileIn(view, account, path)
    checkConditions(deletion, there)
    requireFence(view, conditions.fence)
    if (there === undefined) return { writes: [], result: false }
    if (there.session !== undefined) writes.letGo(there.session, { kind: "file", path })
    removeFile(writes, path, there)
    return { writes: writes.finish(), result: true }
  },
})

/** The file was read by this decision. */
export function removeFile(writes: CoordWrites, path: CoordPath, { content }: FileRecord): void {
  writes.change(path, "deleted", { files: -1, bytes: -content.length })
  writes.put("coordFiles", path, undefined)
}
