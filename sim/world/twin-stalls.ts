/** The step of twins that stops all disks at one moment. */
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type { World } from "./world.js"

const STALL_MS_MAX = 20_000
const RECOVERY_MS = 3_000

/** The disks recover slowly, under what runs in the background: commands have no time of their own. Returns what was done. */
export async function stallStep(world: World, random: Random): Promise<string> {
  const stallMs = random.below(STALL_MS_MAX)
  world.stallDisks(stallMs, RECOVERY_MS)
  await world.pass(stallMs + 2 * RECOVERY_MS)
  return `stall of ${stallMs} ms`
}
