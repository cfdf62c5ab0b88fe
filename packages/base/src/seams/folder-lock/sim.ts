/** Simulated folder locks: a table of one machine. The locks of a killed process are free immediately. */
import type { FolderLock, FolderLocks, FolderLockOwner } from "./contract.js"
import { inUse } from "./owner.js"

/** The locks as one process sees them. */
export interface SimProcessLocks extends FolderLocks {
  /** Ends the process. */
  kill(): void
}

export class SimLocks {
  readonly #owners = new Map<string, symbol>()
  /** By owner. */
  readonly #pids = new Map<symbol, number>()
  #boots = 0

  boot(): SimProcessLocks {
    const taken = new Set<symbol>()
    this.#boots += 1
    const pid = this.#boots
    return {
      take: async folder => this.#take(folder, taken, pid),
      ownerOf: async folder => this.#ownerOf(folder),
      kill: () => {
        for (const [folder, owner] of this.#owners) if (taken.has(owner)) this.#owners.delete(folder)
      },
    }
  }

  #ownerOf(folder: string): FolderLockOwner | undefined {
    const owner = this.#owners.get(folder)
    return owner && { pid: this.#pids.get(owner), command: undefined }
  }

  #take(folder: string, taken: Set<symbol>, pid: number): FolderLock {
    const other = this.#ownerOf(folder)
    if (other !== undefined) throw inUse(folder, other)
    const owner = Symbol(folder)
    this.#pids.set(owner, pid)
    this.#owners.set(folder, owner)
    taken.add(owner)
    const isHeld = (): boolean => this.#owners.get(folder) === owner
    return {
      folder,
      isHeld: async () => isHeld(),
      isAnothers: async () => this.#owners.has(folder) && !isHeld(),
      release: async () => void (isHeld() && this.#owners.delete(folder)),
    }
  }
}
