/** A bug that is planted into the SQL engine, with the check that must catch it: see `plants.ts`. */
import type { PlantedEdit } from "../harness/planted-copies.js"
import type { SimulatedCheck } from "./simulated-checks.js"

export interface SqlPlant {
  readonly bug: string
  readonly edits: readonly PlantedEdit[]
  readonly caughtBy: SimulatedCheck
}
