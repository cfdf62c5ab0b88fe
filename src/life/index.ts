/** Life: supervision of background services, paced jobs, requests that wait, ordered closing, bounded fan-out. */
export type { Job, JobStatus, BackgroundService, StepOutcome } from "./contract.js"
export { JobRunner, THROTTLE_DEFAULT } from "./job-runner.js"
export { mapBounded } from "./map-bounded.js"
export { laterTurn } from "./later-turn.js"
export { nextPace, PACE_AT_START } from "./pace-core.js"
export { Polls, type Watcher } from "./polls.js"
export { DisposeStack } from "./stack.js"
export { backoffMs, supervise } from "./supervise.js"
