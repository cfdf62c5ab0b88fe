/** How much of this machine's memory files are held to stay in. */
import { totalmem } from "node:os"

/** Files up to this share of memory are held to stay in it. */
const RESIDENT_SHARE = 1 / 4

/** Returns a share of the memory that this process may use, which a container may have limited. */
export const residentBytesMax = (): number => RESIDENT_SHARE * memoryBytesMax()

/** The memory that the process may use: that of the machine, or of its container. */
export function memoryBytesMax(): number {
  const limitBytes = process.constrainedMemory()
  return Math.min(totalmem(), limitBytes > 0 ? limitBytes : Infinity)
}
