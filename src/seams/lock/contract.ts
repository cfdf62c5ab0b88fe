/**
 * Lock: owning a folder, so that two processes never write to one device.
 *
 * Promises  Of processes on one machine that take a folder, one gets it and the others are refused, for
 *           as long as the first lives; a process that dies, however, gives it up. A race between a
 *           stale lock's removal and two starters can, by a hair, let two believe that they own it: one
 *           of them finds out by `isHeld`, which owners ask every second.
 * Refuses   `folderInUse`, naming the folder and, in `owner`, the process that has it. Machines that share a folder over a network do not see
 *           each other here: the incarnation in the superblock is for them.
 */
export interface FolderLock {
  readonly folder: string
  /** Whether somebody who tried to take the folder now would be refused on this owner's behalf. */
  isHeld(): Promise<boolean>
  /** Whether somebody else owns the folder now: not where the lock was merely taken away, as with all of a disk. */
  isAnothers(): Promise<boolean>
  release(): Promise<void>
}

/** The process that owns a folder, as far as it can be told from here. */
export interface FolderOwner {
  /** Undefined: it does not answer, or runs in another container, where numbers of processes mean others. */
  readonly pid: number | undefined
  /** Its command line; undefined: it cannot be read. */
  readonly command: string | undefined
}

export interface FolderLocks {
  /** The folder exists. Throws `folderInUse`, `deviceFailed`, `deviceFull`, `invalidConfig` (no place for a lock). */
  take(folder: string): Promise<FolderLock>
  /** Who owns the folder now; undefined: nobody. Touches nothing. Throws `deviceFailed` where there is no such folder. */
  ownerOf(folder: string): Promise<FolderOwner | undefined>
}
