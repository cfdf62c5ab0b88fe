/** Faults for the simulated disk, as interceptors: which call fails, and how. */
import { fail } from "../../base/failures.js"
import type { DiskCall, Intercept } from "./sim.js"

export interface FaultPlan {
  readonly kind: DiskCall["kind"]
  /** Counts calls of the kind (and path) from 1. */
  readonly nth: number
  /** Only paths that contain this. */
  readonly pathPart?: string
  /** "ENOSPC" gives `deviceFull`, every other code `deviceFailed`. */
  readonly code: string
  /** Every call from the nth on, not only that one. */
  readonly forEver?: boolean
}

/** An interceptor that lets the planned call fail. */
export function failing(plan: FaultPlan): Intercept {
  let seen = 0
  return call => {
    if (call.kind !== plan.kind || !call.path.includes(plan.pathPart ?? "")) return
    seen += 1
    if (seen === plan.nth || (plan.forEver === true && seen > plan.nth)) {
      throw fail(plan.code === "ENOSPC" ? "deviceFull" : "deviceFailed", { path: call.path, code: plan.code })
    }
  }
}
