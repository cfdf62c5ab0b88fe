/** Histories on the engines that need nothing but this process. */
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import type { FaultPlan } from "@hayloft/engine/sql/simulated/faults.js"
import { SimulatedWorld } from "../sql/simulated-world.js"
import { FrontStore } from "./front-store.js"
import { Player, type HistoryOptions } from "./player.js"
import { EmbeddedStore, SqlProcess } from "./stores.js"

export async function playOnEmbedded(seed: number, options: HistoryOptions): Promise<Player> {
  const store = new EmbeddedStore()
  await store.open()
  try {
    const player = new Player(store, new SimRandom(seed), options)
    await player.play()
    return player
  } finally {
    await store.stop()
  }
}

/** The engine thread of the embedded engine, and one to three fronts. */
export function playOnFronts(seed: number, options: HistoryOptions): Promise<Player> {
  const random = new SimRandom(seed)
  const store = new FrontStore(random.fork("store"), 1 + (seed % 3), options.restarts === "before")
  return store.run(async () => {
    await store.open()
    try {
      const player = new Player(store, random, options)
      await player.play()
      return player
    } finally {
      await store.stop()
    }
  })
}

interface SimulatedOptions extends HistoryOptions {
  readonly nodes: readonly string[]
  readonly faults: FaultPlan
}

/** Several processes on one simulated database. */
export async function playOnSimulated(seed: number, options: SimulatedOptions) {
  const world = new SimulatedWorld(seed, options.faults)
  // Random commands also say that the store has left the database.
  world.moves = true
  const open = (node: string) =>
    SqlProcess.open(
      () => world.open(node),
      () => world.pass(5),
    )
  return world.run(async () => {
    const processes: SqlProcess[] = []
    for (const node of options.nodes) processes.push(await open(node))
    const player = new Player({ processes }, new SimRandom(seed), options)
    await player.play()
    return { player, counts: world.database.counts }
  })
}
