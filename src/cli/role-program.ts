/** The commands of roles: `role create`, `list`, `show`, `set`, `delete`. Policies are given to them by `policy`. */
import type { Command } from "commander"
import { ROLE, ROLES } from "../admin/index.js"
import type { AdminClient } from "../client/index.js"
import { parseDuration } from "../config/index.js"
import { checked } from "./checked.js"
import { CliError } from "./exit-codes.js"
import type { CliIo } from "./io.js"
import { group } from "./options.js"
import { answer, answerList } from "./output.js"
import { readPolicy } from "./policy-program.js"
import { withAdmin } from "./stores.js"
import { durationText, printable, tableText, timeText } from "./text.js"
import {
  accountPath,
  addDelete,
  allPages,
  policiesText,
  tagText,
  withAccount,
  type AccountOptions,
  type Ask,
} from "./user-program.js"

interface TermsOptions extends AccountOptions {
  readonly trust?: string
  readonly description?: string
  readonly maxSession?: string
}

const withTerms = (command: Command): Command =>
  command
    .option("--description <TEXT>", "purpose of the role")
    .option("--max-session <DURATION>", "how long a session may last: 1h to 12h")

async function termsOf(io: CliIo, { trust, description, maxSession }: TermsOptions) {
  const seconds = maxSession === undefined ? undefined : parseDuration(maxSession, "--max-session") / 1_000
  return {
    ...(trust !== undefined && { trust: await readPolicy(io, trust) }),
    ...(description !== undefined && { description }),
    ...(seconds !== undefined && { sessionSecondsMax: seconds }),
  }
}

export function addRoleCommands(program: Command, io: CliIo, signal: AbortSignal): void {
  const ask: Ask = <T>(options: AccountOptions, use: (client: AdminClient) => Promise<T>) =>
    withAdmin(io, options, signal, use)
  const role = group(program, "role").description("roles: rights that others may assume for a while")
  withTerms(withAccount(role.command("create")))
    .description("create a role, which may do nothing yet but what --policy allows")
    .argument("<NAME>")
    .requiredOption("--trust <FILE>", "an access policy that says who may assume the role")
    .option("--policy <NAME>", "attach a managed policy: readonly, readwrite, writeonly, one of the account, an ARN")
    .action(async (name: string, options: TermsOptions & { policy?: string }) => {
      const { policy } = options
      const terms = await termsOf(io, options)
      const made = await ask(options, async client => {
        await client.post(accountPath(options, "roles"), { name, ...terms })
        if (policy !== undefined) await client.post(accountPath(options, "roles", name, "attach"), { policy })
        return checked(ROLE, await client.get(accountPath(options, "roles", name)))
      })
      await answer(io, options, made, `created role ${made.name}: ${made.arn}\n`)
    })
  withTerms(withAccount(role.command("set")))
    .description("change who may assume a role, its description, or how long sessions may last")
    .argument("<NAME>")
    .option("--trust <FILE>", "an access policy that says who may assume the role")
    .action(async (name: string, options: TermsOptions) => {
      const terms = await termsOf(io, options)
      if (Object.keys(terms).length === 0)
        throw new CliError("usage", "name what changes: --trust, --description, --max-session")
      const changed = await ask(options, client => client.post(accountPath(options, "roles", name), terms))
      await answer(io, options, changed, `changed role ${name}\n`)
    })
  addShown(role, io, ask)
  addDelete(role, "roles", "a role; --cascade with its policies", io, ask)
}

function addShown(role: Command, io: CliIo, ask: Ask): void {
  withAccount(role.command("list"))
    .description("roles with their policies")
    .action(async (options: AccountOptions) => {
      const roles = await ask(options, client =>
        allPages(
          client,
          accountPath(options, "roles"),
          value => checked(ROLES, value),
          page => page.roles,
        ),
      )
      const rows = roles.map(one => [
        ...[timeText(one.createdMs), one.name, durationText(one.sessionSecondsMax)],
        ...[policiesText(one), printable(one.description)],
      ])
      await answerList(io, options, roles, tableText(["CREATED", "ROLE", "SESSIONS", "POLICIES", "DESCRIPTION"], rows))
    })
  withAccount(role.command("show"))
    .description("one role: ARN, policies, boundary, tags, and the policy that says who may assume it")
    .argument("<NAME>")
    .action(async (name: string, options: AccountOptions) => {
      const shown = checked(ROLE, await ask(options, client => client.get(accountPath(options, "roles", name))))
      const { arn, id, createdMs, description, sessionSecondsMax, attached, inline, boundary, tags, trust } = shown
      const rows = [
        ...[["arn", arn] as const, ["id", id] as const, ["created", timeText(createdMs)] as const],
        ...[["description", printable(description) || "none"] as const],
        ...[["sessions", `${durationText(sessionSecondsMax)} at most`] as const],
        ...[
          ["attached", attached.join(", ") || "none"] as const,
          ["own policies", inline.join(", ") || "none"] as const,
        ],
        ...[["boundary", boundary ?? "none"] as const, ["tags", tagText(tags)] as const],
      ]
      const text = `${tableText(["role", shown.name], rows)}\n${JSON.stringify(trust, undefined, 2)}\n`
      await answer(io, options, shown, text)
    })
}
