/** How many front threads suit a machine. Pure. */
import { FRONT_THREADS_MAX, GIB } from "@hayloft/base/limits.js"

/** The part of the machine that the process may use. */
export interface MachineSize {
  readonly cores: number
  readonly memoryBytes: number
}

/** On fewer cores the threads would only wait for each other. */
const CORES_MIN = 3
/** Under load a thread needs a third of it; the rest is for the store, and for the page cache. */
const MEMORY_OF_EACH_BYTES = GIB
/** A single one gains little: the thread that decides would wait for it. */
const THREADS_MIN = 2

/** One core is left to the thread that decides. */
export function frontThreadsFor({ cores, memoryBytes }: MachineSize): number {
  if (cores < CORES_MIN) return 0
  const threads = Math.min(FRONT_THREADS_MAX, cores - 1, Math.floor(memoryBytes / MEMORY_OF_EACH_BYTES))
  return threads < THREADS_MIN ? 0 : threads
}
