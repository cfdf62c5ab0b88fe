/** Attempts to prove secrets, limited as in a store, for tests of the doors. */
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { SecretAttempts } from "./secret-attempts.js"
import { FakeAudit } from "../audit/testing-audit.js"

export const attemptsWith = (
  clock: { monotonicMs(): number },
  audit: ConstructorParameters<typeof SecretAttempts>[0]["audit"] = new FakeAudit(),
): SecretAttempts => new SecretAttempts({ clock, log: new SimTelemetry().log, audit })

/** For tests that send many wrong signatures: an hour passes between any two attempts. */
export function attemptsWithoutWaits(): SecretAttempts {
  let nowMs = 0
  return attemptsWith({ monotonicMs: () => (nowMs += 3_600_000) })
}
