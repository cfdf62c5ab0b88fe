/**
 * An editor for access policies: of a bucket, of a user, group or role, and the trust policy of a role. The server checks
 * the text while it is typed, and names each problem with its line.
 *
 * Promises  The text is that of its owner's signal, and nothing is saved here: `usePolicyCheck` says whether the text is
 *           valid. `PolicySimulator` (policy-simulator.tsx) shows beside it what a caller may do.
 */
import { useSignal, useSignalEffect, type ReadonlySignal, type Signal } from "@preact/signals"
import { api, asApiError } from "../api/client.js"
import { useLive } from "../api/live.js"
import type { Buckets, PolicyActions, PolicyValidation, ValidatedPolicy } from "../api/shapes.js"
import { mayUse } from "../shell/session.js"
import { Button } from "./button.js"
import type { Complete } from "./completion.js"
import { SelectField } from "./fields.js"
import { plural } from "./format.js"
import { JsonEditor, jsonProblem } from "./json-editor.js"
import { Badge } from "./page.js"
import { templatesFor, templateText, type PolicySubject } from "./policy-templates.js"
import { Notice } from "./states.js"

export type { PolicySubject } from "./policy-templates.js"

/** The text is checked when nothing was typed for this long. */
const PAUSE_MS = 300

export type PolicyCheck =
  | { readonly kind: "empty" | "checking" }
  /** Not JSON: the editor says so. */
  | { readonly kind: "broken" }
  | { readonly kind: "checked"; readonly verdict: ValidatedPolicy }
  | { readonly kind: "failed"; readonly message: string }

const validationOf = (subject: PolicySubject, text: string): PolicyValidation =>
  subject.kind === "resource" ? { text, kind: "resource", bucket: subject.bucket } : { text, kind: subject.kind }

/** Returns what the server says of the text, a moment after it was typed. */
export function usePolicyCheck(subject: PolicySubject, value: ReadonlySignal<string>): ReadonlySignal<PolicyCheck> {
  const check = useSignal<PolicyCheck>({ kind: "empty" })
  useSignalEffect(() => {
    const text = value.value
    if (text.trim() === "" || jsonProblem(text) !== undefined) {
      check.value = { kind: text.trim() === "" ? "empty" : "broken" }
      return undefined
    }
    check.value = { kind: "checking" }
    const controller = new AbortController()
    const { signal } = controller
    const ask = async (): Promise<void> => {
      try {
        const verdict = await api.post<ValidatedPolicy>("/v1/policy/validate", validationOf(subject, text), { signal })
        if (!signal.aborted) check.value = { kind: "checked", verdict }
      } catch (error) {
        if (!signal.aborted) check.value = { kind: "failed", message: asApiError(error).message }
      }
    }
    const timer = setTimeout(() => void ask(), PAUSE_MS)
    return () => {
      clearTimeout(timer)
      controller.abort()
    }
  })
  return check
}

/** Returns true if a text may be sent: the server refuses it in any case if it is not valid. */
export const isSendable = ({ value }: ReadonlySignal<PolicyCheck>): boolean =>
  value.kind === "failed" || (value.kind === "checked" && value.verdict.isValid)

function Problems({ problems }: Pick<ValidatedPolicy, "problems">) {
  return (
    <ul class="policy-problems" aria-label="Problems of the policy">
      {problems.map(({ severity, message, where, line }) => (
        <li key={`${where} ${message}`}>
          <Badge kind={severity === "error" ? "danger" : "warning"}>{severity}</Badge> Line {line}: {message}{" "}
          <code class="where">{where}</code>
        </li>
      ))}
    </ul>
  )
}

function Verdict({ check }: { readonly check: PolicyCheck }) {
  switch (check.kind) {
    case "empty":
    case "broken":
      return null
    case "checking":
      return <p class="hint">Checking…</p>
    case "failed":
      return <Notice kind="warning">The policy could not be checked: {check.message}</Notice>
    case "checked": {
      const { isValid, problems, isPublic } = check.verdict
      return (
        <>
          {problems.length > 0 && <Problems problems={problems} />}
          {isValid && problems.length === 0 && <Notice kind="good">The policy is valid.</Notice>}
          {isPublic === true && <Notice kind="warning">This policy admits the public.</Notice>}
        </>
      )
    }
  }
}

function Templates({ subject, value }: { readonly subject: PolicySubject; readonly value: Signal<string> }) {
  const templates = templatesFor(subject)
  const chosen = useSignal("0")
  const use = (): void => {
    const template = templates[Number(chosen.value)]
    if (template !== undefined) value.value = templateText(template)
  }
  return (
    <div class="with-action">
      <SelectField
        label="Template"
        value={chosen}
        options={templates.map(({ title }, index) => [String(index), title] as const)}
      />
      <Button onClick={use}>{value.value.trim() === "" ? "Use the template" : "Replace by the template"}</Button>
    </div>
  )
}

/** Completes the names of actions, and resources of buckets that there are. */
function useNames(subject: PolicySubject): Complete {
  const mayList = subject.kind === "identity" && mayUse("listBuckets")
  const actions = useLive<PolicyActions>("/v1/policy/actions").value?.actions ?? []
  const listed = useLive<Buckets>(mayList ? "/v1/buckets" : undefined).value?.buckets ?? []
  const buckets = subject.kind === "resource" ? [subject.bucket] : listed.map(({ name }) => name)
  const resources = buckets.flatMap(name => [`arn:aws:s3:::${name}`, `arn:aws:s3:::${name}/*`])
  return typed => {
    const words = typed.toLowerCase()
    if (words.length < 2) return []
    if ("arn:aws:s3:::".startsWith(words) || words.startsWith("arn:")) {
      return resources.filter(name => name.startsWith(typed))
    }
    const names = actions.map(({ name }) => name).filter(name => subject.kind !== "trust" || name.startsWith("sts:"))
    const [service = "", rest = ""] = words.split(":")
    const begins = names.filter(name => name.toLowerCase().startsWith(words))
    const isIn = (name: string): boolean => name.toLowerCase().startsWith(`${service}:`) && rest.length > 1
    const contains = names.filter(name => isIn(name) && name.toLowerCase().includes(rest) && !begins.includes(name))
    return [...begins, ...contains]
  }
}

/** `check`: of `usePolicyCheck`, by which the owner also knows whether it may save the text. */
export function PolicyEditor(props: {
  readonly subject: PolicySubject
  readonly value: Signal<string>
  readonly check: ReadonlySignal<PolicyCheck>
  readonly label?: string
  readonly rows?: number
  readonly hint?: string
}) {
  const { subject, value, check, label = "Policy", rows = 18, hint } = props
  const marks = check.value.kind === "checked" ? check.value.verdict.problems : []
  const complete = useNames(subject)
  const lines = plural(value.value.split("\n").length, "line")
  return (
    <div class="policy-editor">
      <Templates subject={subject} value={value} />
      <JsonEditor {...{ label, value, rows, marks, complete }} hint={hint ?? `JSON, ${lines}`} />
      <div role="status">
        <Verdict check={check.value} />
      </div>
    </div>
  )
}
