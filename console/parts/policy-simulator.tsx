/**
 * "May X do Y on Z? Because …": asks the server for the decision that a request would get, and shows why. Beside an editor
 * its text counts in place of the saved policy.
 */
import { useSignal, type Signal } from "@preact/signals"
import { api, ApiError } from "../api/client.js"
import type { PolicySimulation, Simulated, SimulatedCaller } from "../api/shapes.js"
import { useAction } from "./action.js"
import { Button } from "./button.js"
import { DecisionHelp } from "./decision-help.js"
import { CheckboxField, Form, SelectField, TextAreaField, TextField } from "./fields.js"
import { jsonProblem } from "./json-editor.js"
import { Badge, Facts } from "./page.js"
import type { PolicySubject } from "./policy-editor.js"

/** Offered while an action is typed. */
const ACTIONS = [
  "s3:GetObject",
  "s3:PutObject",
  "s3:DeleteObject",
  "s3:ListBucket",
  "s3:GetObjectVersion",
  "s3:DeleteObjectVersion",
  "s3:ListBucketVersions",
  "s3:GetObjectTagging",
  "s3:PutObjectTagging",
  "s3:GetObjectRetention",
  "s3:PutObjectRetention",
  "s3:BypassGovernanceRetention",
  "s3:AbortMultipartUpload",
  "s3:ListAllMyBuckets",
  "s3:CreateBucket",
  "s3:DeleteBucket",
  "s3:GetBucketPolicy",
  "s3:PutBucketPolicy",
  "s3:PutLifecycleConfiguration",
  "s3:PutBucketVersioning",
  "iam:ListUsers",
  "iam:CreateAccessKey",
  "sts:AssumeRole",
  "sts:AssumeRoleWithWebIdentity",
]

type CallerKind = SimulatedCaller["kind"]

const KINDS: readonly (readonly [CallerKind, string])[] = [
  ["user", "A user"],
  ["role", "A session of a role"],
  ["root", "The root user of an account"],
  ["anonymous", "Anybody, without a key"],
]
const GIVEN = ["policy", "A user with this policy only"] as const

interface SimulatorProps {
  readonly subject: PolicySubject
  /** The text of the editor. */
  readonly policy?: Signal<string>
  /** The one whom the page is about; the form does not ask for it. */
  readonly caller?: { readonly kind: "user" | "role"; readonly accountId: string; readonly name: string }
  readonly accountId?: string
}

/** `NAME=VALUE` in each line; several values of a name are a list. */
function conditionsIn(text: string): Record<string, string[]> {
  const conditions: Record<string, string[]> = {}
  for (const line of text.split("\n").map(each => each.trim())) {
    if (line === "") continue
    const [, name, value] = /^([^=]+)=(.*)$/.exec(line) ?? []
    if (name === undefined || value === undefined)
      throw new ApiError(0, "invalidArgument", `${line} is no condition: write NAME=VALUE`)
    conditions[name.trim()] = [...(conditions[name.trim()] ?? []), value.trim()]
  }
  return conditions
}

/** The server checks what it is. */
function parsePolicy(text: string): NonNullable<PolicySimulation["bucketPolicy"]> {
  const problem = jsonProblem(text)
  if (problem !== undefined) throw new ApiError(0, "invalidArgument", `The editor has no policy. ${problem}`)
  return JSON.parse(text) as NonNullable<PolicySimulation["bucketPolicy"]>
}

function callerOf(kind: CallerKind, accountId: string, name: string, policy: string): SimulatedCaller {
  const account = accountId === "" ? {} : { accountId }
  switch (kind) {
    case "anonymous":
      return { kind }
    case "root":
      return { kind, ...account }
    case "policy":
      return { kind, ...account, document: parsePolicy(policy) }
    case "user":
    case "role":
      return { kind, ...account, name }
  }
}

function useSimulation({ subject, policy, caller, accountId = "" }: SimulatorProps) {
  const isIdentity = subject.kind === "identity"
  const kind = useSignal<CallerKind>(caller?.kind ?? (isIdentity && policy !== undefined ? "policy" : "user"))
  const account = useSignal(caller?.accountId ?? accountId)
  const name = useSignal(caller?.name ?? "")
  const action = useSignal("s3:GetObject")
  const resource = useSignal(subject.kind === "resource" ? `${subject.bucket}/example.txt` : "")
  const conditions = useSignal("")
  const isEdited = useSignal(policy !== undefined && subject.kind === "resource")
  const result = useSignal<Simulated | undefined>(undefined)
  const ask = useAction(async () => {
    const text = policy?.value ?? ""
    const body: PolicySimulation = {
      caller: callerOf(kind.value, account.value.trim(), name.value.trim(), text),
      action: action.value.trim(),
      resource: resource.value.trim(),
      conditions: conditionsIn(conditions.value),
      ...(isEdited.value && text.trim() !== "" && { bucketPolicy: parsePolicy(text) }),
    }
    result.value = undefined
    result.value = await api.post<Simulated>("/v1/policy/simulate", body)
  })
  return { kind, account, name, action, resource, conditions, isEdited, result, ask }
}

function Answer({ result }: { readonly result: Simulated }) {
  const { isAllowed, sentence, caller, action, resource, decidedBy, grants, hints, unknownConditions } = result
  const by =
    decidedBy &&
    `statement ${decidedBy.statement}${decidedBy.sid === undefined ? "" : ` (${decidedBy.sid})`} of ${decidedBy.policy}`
  return (
    <>
      <p>
        <Badge kind={isAllowed ? "good" : "danger"}>{isAllowed ? "Allowed" : "Denied"}</Badge> Because: {sentence}
      </p>
      <Facts
        facts={[
          ["Caller", <code key="caller">{caller}</code>],
          ["Action", <code key="action">{action}</code>],
          ["Resource", <code key="resource">{resource}</code>],
          ...(by === undefined ? [] : ([["Decided by", by]] as const)),
        ]}
      />
      <DecisionHelp grants={grants} hints={hints} />
      {unknownConditions.length > 0 && (
        <p class="hint">Policies also ask for these values, which were not given: {unknownConditions.join(", ")}</p>
      )}
    </>
  )
}

export function PolicySimulator(props: SimulatorProps) {
  const { subject, policy, caller } = props
  const { kind, account, name, action, resource, conditions, isEdited, result, ask } = useSimulation(props)
  const kinds = subject.kind === "identity" && policy !== undefined ? [GIVEN, ...KINDS] : KINDS
  const isNamed = kind.value === "user" || kind.value === "role"
  const isComplete =
    action.value.trim() !== "" && resource.value.trim() !== "" && (!isNamed || name.value.trim() !== "")
  return (
    <div class="simulator">
      <Form label="Simulate a request" onSubmit={() => void ask.run()} problem={ask.problem}>
        <div class="fields">
          {caller === undefined && (
            <>
              <SelectField label="May" value={kind} options={kinds} />
              {isNamed && <TextField label={kind.value === "user" ? "User" : "Role"} value={name} isCode />}
              {kind.value !== "anonymous" && (
                <TextField label="Of account" value={account} isCode hint="Empty: the root account" />
              )}
            </>
          )}
          <TextField label="Do" value={action} isCode suggestions={ACTIONS} />
          <TextField label="On" value={resource} isCode hint="BUCKET, BUCKET/KEY, an ARN or *" />
        </div>
        <TextAreaField
          label="Conditions of the request"
          value={conditions}
          rows={2}
          isCode
          hint="One in each line, such as aws:SourceIp=192.0.2.1"
        />
        {subject.kind === "resource" && policy !== undefined && (
          <CheckboxField label="By the policy in the editor, in place of the saved one" value={isEdited} />
        )}
        <div class="actions">
          <Button type="submit" icon="simulate" isBusy={ask.isBusy} isDisabled={!isComplete}>
            Simulate
          </Button>
        </div>
      </Form>
      <div role="status">{result.value && <Answer result={result.value} />}</div>
    </div>
  )
}
