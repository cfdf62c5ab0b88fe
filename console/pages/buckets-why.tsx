/** Says why a request was denied: by the id that its answer has, the policy that decided, and what would have helped. */
import { useSignal } from "@preact/signals"
import { api } from "../api/client.js"
import type { Denial } from "../api/shapes.js"
import { useAction } from "../parts/action.js"
import { Button } from "../parts/button.js"
import { DecisionHelp } from "../parts/decision-help.js"
import { Form, TextField } from "../parts/fields.js"
import { timeText } from "../parts/format.js"
import { Facts, Section } from "../parts/page.js"

function Explanation({ denial }: { readonly denial: Denial }) {
  const { caller, action, resource, decidedBy, grants, hints } = denial
  const who = caller.arn ?? (caller.kind === "anonymous" ? "anonymous: the request is not signed" : "not verified")
  return (
    <>
      <p class="lead">{denial.sentence}</p>
      <Facts
        facts={[
          ["When", `${timeText(denial.deniedMs)}, from ${denial.remoteAddress}`],
          ["Asked by", <code key="who">{who}</code>],
          ["Operation", `${denial.service} ${denial.operation}`],
          ...(action === undefined
            ? []
            : ([["Action", <code key="action">{`${action} on ${resource ?? "*"}`}</code>]] as const)),
          ["Answered", `${denial.status} ${denial.code}`],
          ...(decidedBy === undefined
            ? []
            : ([["Decided by", `${decidedBy.policy}, statement ${decidedBy.statement}`]] as const)),
        ]}
      />
      <DecisionHelp grants={grants} hints={hints} />
    </>
  )
}

export function WhySection() {
  const id = useSignal("")
  const denial = useSignal<Denial | undefined>(undefined)
  const ask = useAction(async () => {
    denial.value = undefined
    denial.value = await api.get<Denial>(`/v1/denials/${encodeURIComponent(id.value.trim())}`)
  })
  const isGiven = id.value.trim() !== ""
  return (
    <Section
      title="Why was a request denied?"
      hint="Its answer has a request id: x-amz-request-id, RequestId. The node that refused it remembers the latest ones."
    >
      <Form label="Why was a request denied?" onSubmit={() => isGiven && void ask.run()} problem={ask.problem}>
        <TextField label="Request id" value={id} isCode />
        <div class="actions">
          <Button type="submit" isDisabled={!isGiven} isBusy={ask.isBusy}>
            Explain
          </Button>
        </div>
      </Form>
      <div role="status">{denial.value && <Explanation denial={denial.value} />}</div>
    </Section>
  )
}
