/** The operation of `/v1` that simulates layouts. It changes nothing. */
import { parseBody } from "@hayloft/features/operator/index.js"
import { operation, type AdminOperation } from "../operation.js"
import { SIMULATE, SIMULATION } from "./simulation-schemas.js"

export const SIMULATION_OPERATIONS: readonly AdminOperation[] = [
  operation("simulate", "POST /v1/simulations", {
    summary: "Computes durability, space, repair and availability of policies, for a layout or the present one.",
    request: SIMULATE,
    isRead: true,
    isBodyOptional: true,
    answer: SIMULATION,
    run: ({ simulations }, { body }) => simulations.run(parseBody(SIMULATE, body)),
  }),
]
