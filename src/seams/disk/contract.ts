/**
 * Disk: files as the store needs them, and nothing more.
 *
 * Promises  A write that resolved on a file opened `durable` (O_DSYNC), or that a later `sync`
 *           covered, survives a power cut; `create`, `rename` and `remove` survive one once
 *           `syncFolder` of their folder has resolved.
 * Refuses   Nothing is retried: a failed write or sync is the caller's to judge. Failures are
 *           `deviceFull` (ENOSPC, EDQUOT), `tooManyInFlight` (the process or the machine has no file
 *           handle or memory left, which says nothing about the device), `deviceFailed` (all others),
 *           with path and code.
 * Paths     are absolute or relative to the process, joined with "/".
 */
import type { Soon } from "../../base/soon.js"

/**
 * By way of the kernel's page cache, or straight between device and memory (O_DIRECT), which costs no
 * pages, and shows what the device itself has. "direct" is a wish: where kernel, file system or the shape
 * of a call do not allow it, it is as "cached", the default.
 */
export type CacheUse = "cached" | "direct"

/** "resident": the bytes are few, and likely in the page cache: they are read on the calling thread. */
export type ReadUse = CacheUse | "resident"

/** What direct calls are made of: whole pages; reads also of memory that begins on a page (`wasmMemory`). */
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
  /** No error when it is closed already. */
  close(): Promise<void>
}

export type OpenMode =
  "read" /** must exist */ | "write" /** must exist; reads too */ | "create" /** must not exist; reads too */

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
  /** A client waits for each call on this file: where calls queue, they go before those on others. */
  readonly urgent?: boolean
}

export interface Disk {
  open(path: string, mode: OpenMode, options?: OpenOptions): Promise<DiskFile>
  /** Names in a folder, sorted; an absent folder throws `deviceFailed` with code ENOENT. */
  list(folder: string): Promise<string[]>
  /** Throws `deviceFailed` where that cannot be told: what cannot be seen is not known to be absent. */
  exists(path: string): Promise<boolean>
  /** Makes the folder and those above it, durable when it resolves; no error when it is there. */
  makeFolder(path: string): Promise<void>
  /** Removes a file; an absent one throws `deviceFailed` with code ENOENT. */
  remove(path: string): Promise<void>
  /** Replaces a file of the new name. */
  rename(from: string, to: string): Promise<void>
  syncFolder(path: string): Promise<void>
  space(path: string): Promise<Space>
}
