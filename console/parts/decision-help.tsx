/** Shows what would change a decision: statements that would allow the request, and hints. */
import type { Denial } from "../api/shapes.js"

type Grant = Denial["grants"][number]

const SIDES: Readonly<Record<Grant["side"], string>> = {
  identity: "the caller's policy",
  boundary: "the permissions boundary",
  session: "the session policy",
  resource: "the policy of the bucket or role",
}

export function DecisionHelp({
  grants,
  hints,
}: {
  readonly grants: readonly Grant[]
  readonly hints: readonly string[]
}) {
  return (
    <>
      {grants.map(({ side, statement }) => (
        <div key={`${side} ${statement}`}>
          <p class="hint">This statement would help, in {SIDES[side]}:</p>
          <pre class="code" tabIndex={0} aria-label={`Statement for ${SIDES[side]}`}>
            {JSON.stringify(JSON.parse(statement), undefined, 2)}
          </pre>
        </div>
      ))}
      {hints.map(hint => (
        <p key={hint} class="hint">
          {hint}
        </p>
      ))}
    </>
  )
}
