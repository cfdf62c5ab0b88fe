/** The commands `policy simulate` and `policy validate`. */
import type { z } from "zod"
import { plural } from "@hayloft/base/text/quantity-text.js"
import { printable, tableText } from "@hayloft/base/text/report-text.js"
import { CommandProblem, type CommandOf, type Given, type Values } from "@hayloft/features/operator/index.js"
import { ACCOUNT } from "./identity-targets.js"
import type { POLICY_ACTIONS, SIMULATED, VALIDATED } from "./simulate-schemas.js"

type Simulated = z.output<typeof SIMULATED>
type Validated = z.output<typeof VALIDATED>

/** The caller that the options name; the root user of the account if they name none. */
function callerIn(given: Given, { policy: document }: Values) {
  const named = ["user", "role", "policy", "anonymous"].filter(name => given(name) !== "")
  if (named.length > 1) throw new CommandProblem("usage", "name one of --user, --role, --policy, --anonymous")
  const [kind = "root"] = named
  const accountId = given("account") || undefined
  if (kind === "anonymous") return { kind }
  if (kind === "policy") return { kind, accountId, document }
  return { kind, accountId, name: given(kind) || undefined }
}

function conditionsIn(texts: readonly string[]): Readonly<Record<string, string>> {
  const pairs = texts.map(text => {
    const equals = text.indexOf("=")
    if (equals < 1) throw new CommandProblem("usage", `--condition: "${text}" is not KEY=VALUE`)
    return [text.slice(0, equals), text.slice(equals + 1)] as const
  })
  return Object.fromEntries(pairs)
}

function simulatedText(found: Simulated): string {
  const rows = [
    ["caller", found.caller],
    ["action", `${found.action} on ${found.resource}`],
    ["why", found.sentence],
    ...found.grants.map(({ side, statement }) => ["would help", `in the ${side} policy: ${statement}`]),
    ...found.hints.map(hint => ["note", hint]),
    ...(found.unknownConditions.length === 0
      ? []
      : [["not given", `${found.unknownConditions.join(", ")} (--condition KEY=VALUE)`]]),
  ]
  const shown = rows.map(([name = "", text = ""]) => [name, printable(text)])
  return tableText(["allowed", found.isAllowed ? "yes" : "no"], shown)
}

export const SIMULATE_COMMAND: CommandOf<Simulated> = {
  name: "policy simulate",
  help: "may a caller do an action on a resource, and why? (default: the root user of the account)",
  inputs: {
    account: { flags: ACCOUNT.flags, help: ACCOUNT.help },
    action: { flags: "<ACTION>", help: "s3:GetObject, iam:CreateUser, sts:AssumeRole" },
    resource: { flags: "<RESOURCE>", help: "BUCKET, BUCKET/KEY, an ARN, *" },
    user: { flags: "--user <NAME>" },
    role: { flags: "--role <NAME>" },
    anonymous: { flags: "--anonymous", help: "a request that is not signed" },
    policy: { flags: "--policy <FILE>", help: "a user that has this policy and no other", reads: "policy" },
    conditions: {
      flags: "--condition <KEY=VALUE>",
      help: "value of a condition key, aws:SourceIp=192.0.2.1; may be repeated",
      readsAll: conditionsIn,
    },
    bucketPolicy: { flags: "--bucket-policy <FILE>", help: "in place of the bucket's own policy", reads: "policy" },
  },
  sends: (given, values) => ({ caller: callerIn(given, values) }),
  text: simulatedText,
}

function problemsText({ problems }: Validated, file: string): string {
  const lines = problems.map(({ severity, line, where, message }) =>
    printable(`${file}:${line}: ${severity}: ${message} (${where})`),
  )
  return lines.length === 0 ? "no problems\n" : `${lines.join("\n")}\n`
}

function refusal({ isValid, problems }: Validated, file: string): string | undefined {
  const errors = problems.filter(({ severity }) => severity === "error").length
  return isValid ? undefined : `${file} would be refused: ${plural(errors, "error")}`
}

const kindIn = (given: Given): string =>
  given("bucket") !== "" ? "resource" : given("trust") === "true" ? "trust" : "identity"

export const VALIDATE_COMMAND: CommandOf<Validated> = {
  name: "policy validate",
  help: "every problem of a policy file with its line; exit code 1 if it would be refused",
  inputs: {
    text: { flags: "<FILE>", reads: "fileText" },
    bucket: { flags: "--bucket <NAME>", help: "it is to be the policy of this bucket" },
    trust: { flags: "--trust", help: "it is to say who may assume a role" },
  },
  sends: given => ({ kind: kindIn(given) }),
  text: (found, given) => problemsText(found, given("text")),
  failure: (found, given) => refusal(found, given("text")),
}

export const ACTIONS_COMMAND: CommandOf<z.output<typeof POLICY_ACTIONS>> = {
  name: "policy actions",
  help: "the actions that policies can name",
  inputs: {},
  text: ({ actions }) =>
    tableText(
      ["action", "acts on"],
      actions.map(({ name, on }) => [name, on ?? "-"]),
    ),
}
