/** The operation of `/v1` that simulates layouts. It changes nothing. */
import { parseBody, type Operation } from "./operation.js"
import { SIMULATE, SIMULATION } from "./simulation-schemas.js"

export const SIMULATION_OPERATIONS: readonly Operation[] = [
  {
    id: "simulate",
    method: "POST",
    path: "/v1/simulations",
    summary: "Computes durability, space, repair and availability of policies, for a layout or the present one.",
    parameters: [],
    request: SIMULATE,
    isRead: true,
    isBodyOptional: true,
    response: { status: 200, schema: SIMULATION },
    run: ({ simulations }, { body }) => simulations.run(parseBody(SIMULATE, body)),
  },
]
