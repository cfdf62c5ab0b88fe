/** Life: supervision of living things, chores at their pace, closing in order, bounded fan-out. */
export type { Chore, ChoreStatus, Living, StepOutcome } from "./contract.js"
export { backoffMs } from "./backoff.js"
export type { BackoffLimits } from "./backoff.js"
export { ChoreRunner } from "./chore-runner.js"
export { mapBounded } from "./map-bounded.js"
export { laterTurn, OneATurn } from "./one-a-turn.js"
export { DisposeStack } from "./stack.js"
export { supervise } from "./supervise.js"
