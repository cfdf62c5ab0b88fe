/**
 * Lock: owning a folder, so that two processes never write to one device.
 *
 * Promises  Of processes on one machine that take a folder, one gets it and the others are refused, for
 *           as long as the first lives; a process that dies releases it. A rare race between the removal of a
 *           stale lock and two starters can make both assume that they own it: one
 *           of them finds out by `isHeld`, which owners check every second.
 * Refuses   `folderInUse`, naming the folder and, in `owner`, the process that has it. It does not detect machines that
 *           share a folder over a network: the incarnation in the superblock does.
 */
export interface FolderLock {
  readonly folder: string
  /** Returns true if this owner's lock would make another process that takes the folder now fail. */
  isHeld(): Promise<boolean>
  /**
   * Returns true if another process owns the folder now, false if the lock merely disappeared, as with a removed disk.
   */
  isAnothers(): Promise<boolean>
  release(): Promise<void>
}

/** The process that owns a folder, as far as this process can see. */
export interface FolderLockOwner {
  /**
   * The process number is undefined if the process does not respond, or runs in another container, with different
   * process numbers.
   */
  readonly pid: number | undefined
  /** Its command line; undefined if it cannot be read. */
  readonly command: string | undefined
}

export interface FolderLocks {
  /** The folder exists. Throws `folderInUse`, `deviceFailed`, `deviceFull`, `invalidConfig` (no place for a lock). */
  take(folder: string): Promise<FolderLock>
  /** The owner of the folder; undefined if none. Changes nothing. Throws `deviceFailed` if the folder is missing. */
  ownerOf(folder: string): Promise<FolderLockOwner | undefined>
}
