/** Whether a change that its plan wants confirmed by name was confirmed. Pure. */
import { fail } from "../base/failures.js"
import type { ChangePlan } from "./contract.js"

/** Throws `invalidArgument`, which tells what to send, unless `confirm` is the name that the plan asks for. */
export function checkConfirmed(
  { summary, warnings, confirmBy }: Pick<ChangePlan, "summary" | "warnings" | "confirmBy">,
  confirm: string | undefined,
): void {
  if (confirmBy === undefined || confirm === confirmBy) return
  const why = warnings.length === 0 ? "" : ` (${warnings.join("; ")})`
  const given = confirm === undefined ? "" : `, not ${JSON.stringify(confirm)}`
  const message = `not done: ${summary}${why}. To do it all the same send "confirm": ${JSON.stringify(confirmBy)}${given}`
  throw fail("invalidArgument", { message })
}
