/**
 * A failure for lack of space, judged: which failures say nothing against the device, and when a job tries again. Pure.
 *
 * Which work may still write while space is short is decided in `space-core.ts`; docs/operate/full-disk.md has the whole policy.
 */
import { isFailure, type Failure } from "../failures.js"

/** A write that finds no space is tried again this many times, each time after some was made. */
export const SPACE_RETRIES_MAX = 8

export const lacksSpace = (error: unknown): error is Failure => isFailure(error, "deviceFull")

/**
 * Returns true if the device lacks space, or the process lacks file handles: nothing has been begun, and the device is
 * healthy.
 */
export const isShortage = (error: unknown): error is Failure => isFailure(error, "deviceFull", "tooManyInFlight")

/**
 * The outcome of a job's step that gave one piece of its work up because of an error. After a lack of space the job rests for
 * a second (`throttled` in life/pace-core.ts), since the next piece would find no space either; after another error it goes on
 * with the next piece.
 */
export const outcomeAfter = (error: unknown): "throttled" | "busy" => (lacksSpace(error) ? "throttled" : "busy")
