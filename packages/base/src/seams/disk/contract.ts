/**
 * Disk: the file operations that the store needs.
 *
 * Promises  A write that resolved on a file opened `durable` (O_DSYNC), or that a later `sync`
 *           covered, survives a power cut; `create`, `rename` and `remove` survive one once
 *           `syncFolder` of their folder has resolved.
 * Refuses   Nothing is retried: the caller handles a failed write or sync. Failures are
 *           `deviceFull` (ENOSPC, EDQUOT), `tooManyInFlight` (the process or the machine has no file
 *           handle or memory left, which says nothing about the device), `deviceFailed` (all others),
 *           with path and code.
 * Paths     are absolute or relative to the process, joined with "/".
 */
import type { Soon } from "../../soon.js"

/**
 * Through the kernel's page cache, or directly between device and memory (O_DIRECT), which uses no
 * pages, and reads what is on the device itself. "direct" is a preference: if the kernel, the file system or the shape
 * of a call do not allow it, it works as "cached", the default.
 */
export type CacheUse = "cached" | "direct"

/** "resident": few bytes that are likely in the page cache; they are read on the calling thread. */
export type ReadUse = CacheUse | "resident"

/** The unit of direct calls: whole pages; reads also need memory that begins on a page (`wasmMemory`). */
export const DISK_PAGE_BYTES = 4096

export interface DiskFile {
  readonly path: string
  /**
   * Reads up to `buffer.length` bytes at the offset; returns how many (fewer only at the end of the file). A
   * "resident" read never returns a promise: it throws.
   */
  read(buffer: Uint8Array, offsetBytes: number, use?: ReadUse): Soon<number>
  /** Writes all buffers one after another from the offset, whole or failing. */
  write(buffers: readonly Uint8Array[], offsetBytes: number, use?: CacheUse): Promise<void>
  sync(): Promise<void>
  truncate(lengthBytes: number): Promise<void>
  sizeBytes(): Promise<number>
  /** No error if it is closed already. */
  close(): Promise<void>
}

export type OpenMode =
  | "read" /** must exist */
  | "write" /** must exist; reads too */
  | "create" /** must not exist; reads too */

export interface Space {
  readonly totalBytes: number
  readonly freeBytes: number
  /** Equal for two folders on one file system. */
  readonly fileSystemId: string
  /** "ext4", "xfs", "tmpfs", "nfs" … or "unknown". */
  readonly fileSystemKind: string
}

export interface OpenOptions {
  readonly durable?: boolean
  /** A client waits for each call on this file: queues serve them before calls on other files. */
  readonly urgent?: boolean
}

export interface Disk {
  open(path: string, mode: OpenMode, options?: OpenOptions): Promise<DiskFile>
  /** Names in a folder, sorted; an absent folder throws `deviceFailed` with code ENOENT. */
  list(folder: string): Promise<string[]>
  /** Throws `deviceFailed` if the check fails: an unreadable file is not known to be absent. */
  exists(path: string): Promise<boolean>
  /**
   * Creates the folder, durable once it resolves; no error if it exists. Throws `deviceFailed` with code ENOENT if the folder
   * above is absent: where a disk was taken out, nothing is made on the one below.
   */
  makeFolder(path: string): Promise<void>
  /** Removes a file; an absent one throws `deviceFailed` with code ENOENT. */
  remove(path: string): Promise<void>
  /** Replaces an existing file of the new name. */
  rename(from: string, to: string): Promise<void>
  syncFolder(path: string): Promise<void>
  space(path: string): Promise<Space>
  /**
   * Resolves once the threads that make calls have had a turn: calls that began before have then reached a thread. It
   * touches no device. Absent: calls need no thread.
   */
  turn?(): Promise<void>
}
