/** Computes that tests of a suite share one after the other: their threads take longer to start than most tests to run. */
import type { Compute } from "./contract.js"

export class KeptCompute {
  private kept: Compute | undefined

  constructor(private readonly open: () => Compute) {}

  /** Runs work with the Compute of the test before, if that passed and has left no slab taken, else with a new one. */
  async with(work: (compute: Compute) => Promise<void>): Promise<void> {
    const compute = this.kept ?? this.open()
    this.kept = undefined
    let hasPassed = false
    try {
      await work(compute)
      hasPassed = true
    } finally {
      if (hasPassed && compute.slabs.slabsFree === compute.slabs.slabsTotal) this.kept = compute
      else await compute.close()
    }
  }

  async close(): Promise<void> {
    await this.kept?.close()
  }
}
