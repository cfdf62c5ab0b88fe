/**
 * The commands of managed policies, of those that one user, group or role has itself (`--user`, `--group`, `--role`), and of
 * what policies decide: `policy simulate` and `policy validate`.
 */
import type { Command } from "commander"
import { GROUP, INLINE_POLICY, MANAGED_POLICIES, MANAGED_POLICY, SIMULATED, VALIDATED } from "../admin/index.js"
import type { AdminClient } from "../client/index.js"
import { RemoteFailure } from "../client/index.js"
import { checked } from "./checked.js"
import { readDocument, readText } from "./document-file.js"
import { CliError } from "./exit-codes.js"
import type { CliIo } from "./io.js"
import { collect, group, withStore } from "./options.js"
import { answer, answerList, type OutputOptions } from "./output.js"
import { withAdmin, type StoreOptions } from "./stores.js"
import { plural, printable, tableText } from "./text.js"
import { accountPath, allPages, withAccount, type AccountOptions } from "./user-program.js"

interface HolderOptions extends AccountOptions {
  readonly user?: string
  readonly group?: string
  readonly role?: string
}

const NOT_FOUND = 404

const HOLDERS = ["user", "group", "role"] as const

const withHolder = (command: Command, what: string): Command =>
  HOLDERS.reduce((all, kind) => all.option(`--${kind} <NAME>`, `${what} ${kind}`), withAccount(command))

/** The path of the one user, group or role that the options name; undefined if they name none. */
function holderIn(options: HolderOptions, ...parts: readonly string[]): string | undefined {
  const holders = HOLDERS.flatMap(kind => {
    const name = options[kind]
    return name === undefined ? [] : [[`${kind}s`, name] as const]
  })
  const [holder, second] = holders
  if (second !== undefined) throw new CliError("usage", "name one of --user, --group, --role")
  return holder && accountPath(options, ...holder, ...parts)
}

function holderPath(options: HolderOptions, verb: string): string {
  const path = holderIn(options, verb)
  if (path === undefined) throw new CliError("usage", "name one of --user, --group, --role")
  return path
}

const holderText = (options: HolderOptions): string =>
  HOLDERS.flatMap(kind => (options[kind] === undefined ? [] : [`${kind} ${options[kind]}`])).join(" ")

export const readPolicy = (io: CliIo, file: string): Promise<unknown> =>
  readDocument(io, file, `; hayloft policy validate ${file} says where`)

export function addPolicyCommands(program: Command, io: CliIo, signal: AbortSignal): void {
  const policy = group(program, "policy").description("access policies: who may do what")
  const ask: Ask = (options, use) => withAdmin(io, options, signal, use)
  addManaged(policy, io, ask)
  addAttachments(policy, io, ask)
  addSimulate(policy, io, ask)
  addValidate(policy, io, ask)
}

type Ask = <T>(options: StoreOptions & OutputOptions, use: (client: AdminClient) => Promise<T>) => Promise<T>

function addManaged(policy: Command, io: CliIo, ask: Ask): void {
  withHolder(policy.command("list"), "the policies of this")
    .description("managed policies, and how many have each; or the policies of one user, group or role")
    .action(async (options: HolderOptions) => {
      const holder = holderIn(options)
      if (holder !== undefined) return listOfHolder(io, options, await ask(options, client => client.get(holder)))
      const policies = await ask(options, client =>
        allPages(
          client,
          accountPath(options, "policies"),
          value => checked(MANAGED_POLICIES, value),
          page => page.policies,
        ),
      )
      const rows = policies.map(({ name, isBuiltIn, attachments, boundaries, description }) => [
        ...[name, isBuiltIn ? "built-in" : "account", String(attachments), String(boundaries)],
        printable(description),
      ])
      await answerList(io, options, policies, tableText(["POLICY", "OF", "ATTACHED", "BOUNDARY", "DESCRIPTION"], rows))
    })
  withHolder(policy.command("show"), "its own policy of this")
    .description("what a policy says: a managed one, or one that a user, group or role has itself")
    .argument("<POLICY>", "name or ARN")
    .action(async (name: string, options: HolderOptions) => {
      const own = holderIn(options, "policies", name)
      const found = await ask(options, client => client.get(own ?? accountPath(options, "policies", name)))
      const shown = own === undefined ? checked(MANAGED_POLICY, found) : checked(INLINE_POLICY, found)
      await answer(io, options, shown, `${JSON.stringify(shown.document, undefined, 2)}\n`)
    })
  addChanges(policy, io, ask)
}

function addChanges(policy: Command, io: CliIo, ask: Ask): void {
  withHolder(policy.command("set"), "its own policy of this")
    .description("create a policy from a file, or replace what it says; of a managed one the former version is kept")
    .argument("<NAME>")
    .argument("<FILE>")
    .action(async (name: string, file: string, options: HolderOptions) => {
      const document = await readPolicy(io, file)
      const own = holderIn(options, "policies", name)
      if (own !== undefined) {
        await ask(options, client => client.put(own, document))
        return answer(io, options, { name, document }, `set policy ${name} of ${holderText(options)}\n`)
      }
      const made = await ask(options, client => setManaged(client, options, name, document))
      const { defaultVersion } = checked(MANAGED_POLICY, made)
      await answer(io, options, made, `set policy ${name}, version ${defaultVersion}\n`)
    })
  withHolder(policy.command("delete"), "its own policy of this")
    .description("delete a managed policy that nothing has, or one that a user, group or role has itself")
    .argument("<POLICY>", "name or ARN")
    .action(async (name: string, options: HolderOptions) => {
      const own = holderIn(options, "policies", name)
      await ask(options, client => client.remove(own ?? accountPath(options, "policies", name)))
      const of = own === undefined ? "" : ` of ${holderText(options)}`
      await answer(io, options, { name, deleted: 1 }, `deleted policy ${name}${of}\n`)
    })
}

async function setManaged(client: AdminClient, options: AccountOptions, name: string, document: unknown) {
  try {
    return await client.put(accountPath(options, "policies", name), document)
  } catch (error) {
    if (!(error instanceof RemoteFailure) || error.status !== NOT_FOUND) throw error
    return client.post(accountPath(options, "policies"), { name, document })
  }
}

/** Its own ones by name, and those that are attached by their ARNs. */
function listOfHolder(io: CliIo, options: HolderOptions, found: unknown): Promise<void> {
  const { attached, inline } = checked(GROUP, found)
  const policies = [
    ...inline.map(name => ({ name, kind: "own", arn: undefined })),
    ...attached.map(arn => ({ name: arn.split("/").at(-1) ?? arn, kind: "managed", arn })),
  ]
  const rows = policies.map(({ name, kind, arn }) => [name, kind, arn ?? "-"])
  return answerList(io, options, policies, tableText(["POLICY", "KIND", "ARN"], rows))
}

function addAttachments(policy: Command, io: CliIo, ask: Ask): void {
  for (const verb of ["attach", "detach"] as const) {
    withHolder(policy.command(verb), verb === "attach" ? "to this" : "from this")
      .argument("<POLICY>", "readonly, readwrite, writeonly, a policy of the account, an ARN")
      .description(`${verb} a managed policy ${verb === "attach" ? "to" : "from"} a user, group or role`)
      .action(async (name: string, options: HolderOptions) => {
        const path = holderPath(options, verb)
        await ask(options, client => client.post(path, { policy: name }))
        await answer(io, options, { policy: name, [`${verb}ed`]: true }, `${verb}ed policy ${name}\n`)
      })
  }
}

interface SimulateOptions extends HolderOptions {
  readonly anonymous?: boolean
  readonly policy?: string
  readonly condition?: readonly string[]
  readonly bucketPolicy?: string
}

async function callerOf(io: CliIo, options: SimulateOptions) {
  const { account: accountId, user, role, policy, anonymous } = options
  const named = [user, role, policy, anonymous].filter(value => value !== undefined)
  if (named.length > 1) throw new CliError("usage", "name one of --user, --role, --policy, --anonymous")
  if (anonymous === true) return { kind: "anonymous" }
  if (user !== undefined) return { kind: "user", accountId, name: user }
  if (role !== undefined) return { kind: "role", accountId, name: role }
  if (policy !== undefined) return { kind: "policy", accountId, document: await readPolicy(io, policy) }
  return { kind: "root", accountId }
}

function conditionsOf(texts: readonly string[]): Readonly<Record<string, string>> {
  const pairs = texts.map(text => {
    const equals = text.indexOf("=")
    if (equals < 1) throw new CliError("usage", `--condition: "${text}" is not KEY=VALUE`)
    return [text.slice(0, equals), text.slice(equals + 1)] as const
  })
  return Object.fromEntries(pairs)
}

function addSimulate(policy: Command, io: CliIo, ask: Ask): void {
  withAccount(policy.command("simulate"))
    .description("may a caller do an action on a resource, and why? (default: the root user of the account)")
    .argument("<ACTION>", "s3:GetObject, iam:CreateUser, sts:AssumeRole")
    .argument("<RESOURCE>", "BUCKET, BUCKET/KEY, an ARN, *")
    .option("--user <NAME>")
    .option("--role <NAME>")
    .option("--anonymous", "a request that is not signed")
    .option("--policy <FILE>", "a user that has this policy and no other")
    .option("--condition <KEY=VALUE>", "value of a condition key, aws:SourceIp=192.0.2.1; may be repeated", collect)
    .option("--bucket-policy <FILE>", "in place of the bucket's own policy")
    .action(async (action: string, resource: string, options: SimulateOptions) => {
      const { bucketPolicy } = options
      const request = {
        ...{ caller: await callerOf(io, options), action, resource },
        conditions: conditionsOf(options.condition ?? []),
        ...(bucketPolicy !== undefined && { bucketPolicy: await readPolicy(io, bucketPolicy) }),
      }
      const found = checked(SIMULATED, await ask(options, client => client.post("/v1/policy/simulate", request)))
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
      await answer(io, options, found, tableText(["allowed", found.isAllowed ? "yes" : "no"], shown))
    })
}

function addValidate(policy: Command, io: CliIo, ask: Ask): void {
  withStore(policy.command("validate"))
    .description("every problem of a policy file with its line; exit code 1 if it would be refused")
    .argument("<FILE>")
    .option("--bucket <NAME>", "it is to be the policy of this bucket")
    .option("--trust", "it is to say who may assume a role")
    .action(async (file: string, options: StoreOptions & OutputOptions & { bucket?: string; trust?: boolean }) => {
      const { bucket, trust } = options
      const kind = bucket !== undefined ? "resource" : trust === true ? "trust" : "identity"
      const request = { text: await readText(io, file), kind, ...(bucket !== undefined && { bucket }) }
      const found = checked(VALIDATED, await ask(options, client => client.post("/v1/policy/validate", request)))
      const lines = found.problems.map(({ severity, line, where, message }) =>
        printable(`${file}:${line}: ${severity}: ${message} (${where})`),
      )
      const text = lines.length === 0 ? "no problems\n" : `${lines.join("\n")}\n`
      await answer(io, options, found, text)
      const errors = found.problems.filter(({ severity }) => severity === "error").length
      if (!found.isValid) throw new CliError("failed", `${file} would be refused: ${plural(errors, "error")}`)
    })
}
