/** Simulated folder locks: a table of one machine. The locks of a process that is killed are free at once. */
import { fail } from "../../base/failures.js"
import type { FolderLock, FolderLocks } from "./contract.js"

/** The locks as one process sees them. */
export interface SimProcessLocks extends FolderLocks {
  /** The process dies. */
  kill(): void
}

export class SimLocks {
  readonly #owners = new Map<string, symbol>()

  boot(): SimProcessLocks {
    const taken = new Set<symbol>()
    return {
      take: async folder => this.#take(folder, taken),
      isTaken: async folder => this.#owners.has(folder),
      kill: () => {
        for (const [folder, owner] of this.#owners) if (taken.has(owner)) this.#owners.delete(folder)
      },
    }
  }

  #take(folder: string, taken: Set<symbol>): FolderLock {
    if (this.#owners.has(folder)) throw fail("folderInUse", { path: folder })
    const owner = Symbol(folder)
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
