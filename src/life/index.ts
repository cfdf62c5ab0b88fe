/** Life: supervision of living things, chores at their pace, closing in order, bounded fan-out. */
export type { Chore, ChoreStatus, Living, StepOutcome } from "./contract.js"
export { ChoreRunner, TRANQUILITY_DEFAULT } from "./chore-runner.js"
export { mapBounded } from "./map-bounded.js"
export { laterTurn, OneATurn } from "./one-a-turn.js"
export { nextPace, PACE_AT_START } from "./pace-core.js"
export { DisposeStack } from "./stack.js"
export { supervise } from "./supervise.js"
