/** The commands of users and groups: `user create`, `list`, `show`, `delete`, and the same for groups with their members. */
import type { Command } from "commander"
import { GROUPS, USER, USERS } from "../admin/index.js"
import type { AdminClient } from "../client/index.js"
import { checked } from "./checked.js"
import type { CliIo } from "./io.js"
import { group, withStore } from "./options.js"
import { answer, answerList, type OutputOptions } from "./output.js"
import { withAdmin, type StoreOptions } from "./stores.js"
import { tableText, timeText } from "./text.js"

export interface AccountOptions extends StoreOptions, OutputOptions {
  readonly account?: string
}

/** `~` is the root account. */
export const accountPath = ({ account = "~" }: AccountOptions, ...parts: readonly string[]): string =>
  ["/v1/accounts", account, ...parts].map((part, i) => (i === 0 ? part : encodeURIComponent(part))).join("/")

export const withAccount = (command: Command): Command =>
  withStore(command).option("--account <ID>", "account (default: the root account)")

/** The part after the account in an ARN's path, as policies of an account are shown. */
const policyNames = (arns: readonly string[]): string => arns.map(arn => arn.split("/").at(-1) ?? arn).join(",")

/** All policies of an identity, in a cell of a table. */
export const policiesText = ({
  attached,
  inline,
}: {
  readonly attached: readonly string[]
  readonly inline: readonly string[]
}): string => [policyNames(attached), inline.join(",")].filter(text => text !== "").join(",") || "-"

export const tagText = (tags: Readonly<Record<string, string>>): string =>
  Object.entries(tags)
    .map(([key, value]) => `${key}=${value}`)
    .join(", ") || "none"

/** All pages of a listing. */
export async function allPages<Page extends { readonly next?: string | undefined }, Item>(
  client: AdminClient,
  path: string,
  parse: (value: unknown) => Page,
  itemsOf: (page: Page) => readonly Item[],
): Promise<readonly Item[]> {
  const items: Item[] = []
  let after: string | undefined
  do {
    const page = parse(await client.get(path, { after, max: "1000" }))
    items.push(...itemsOf(page))
    after = page.next
  } while (after !== undefined)
  return items
}

export function addUserCommands(program: Command, io: CliIo, signal: AbortSignal): void {
  const ask = <T>(options: AccountOptions, use: (client: AdminClient) => Promise<T>): Promise<T> =>
    withAdmin(io, options, signal, use)
  addUsers(program, io, ask)
  addGroups(program, io, ask)
}

export type Ask = <T>(options: AccountOptions, use: (client: AdminClient) => Promise<T>) => Promise<T>

function addUsers(program: Command, io: CliIo, ask: Ask): void {
  const user = group(program, "user").description("users of an account; hayloft key create --user makes their keys")
  withAccount(user.command("create"))
    .description("create a user, who may do nothing yet but what --policy allows")
    .argument("<NAME>")
    .option("--policy <NAME>", "attach a managed policy: readonly, readwrite, writeonly, one of the account, an ARN")
    .action(async (name: string, options: AccountOptions & { policy?: string }) => {
      const { policy } = options
      const made = await ask(options, async client => {
        await client.post(accountPath(options, "users"), { name })
        if (policy !== undefined) await client.post(accountPath(options, "users", name, "attach"), { policy })
        return checked(USER, await client.get(accountPath(options, "users", name)))
      })
      await answer(io, options, made, `created user ${made.name}\n`)
    })
  withAccount(user.command("list"))
    .description("users with their groups and policies")
    .action(async (options: AccountOptions) => {
      const users = await ask(options, client =>
        allPages(
          client,
          accountPath(options, "users"),
          value => checked(USERS, value),
          page => page.users,
        ),
      )
      const rows = users.map(one => [
        ...[timeText(one.createdMs), one.name, String(one.keys.length), one.groups.join(",") || "-"],
        policiesText(one),
      ])
      await answerList(io, options, users, tableText(["CREATED", "USER", "KEYS", "GROUPS", "POLICIES"], rows))
    })
  withAccount(user.command("show"))
    .description("one user: ARN, groups, policies, boundary, keys, tags")
    .argument("<NAME>")
    .action(async (name: string, options: AccountOptions) => {
      const shown = checked(USER, await ask(options, client => client.get(accountPath(options, "users", name))))
      const { arn, id, createdMs, groups, attached, inline, boundary, keys, tags } = shown
      const rows = [
        ...[["arn", arn] as const, ["id", id] as const, ["created", timeText(createdMs)] as const],
        ...[["groups", groups.join(", ") || "none"] as const, ["attached", attached.join(", ") || "none"] as const],
        ...[["own policies", inline.join(", ") || "none"] as const, ["boundary", boundary ?? "none"] as const],
        ["keys", keys.join(", ") || "none"] as const,
        ["tags", tagText(tags)] as const,
      ]
      await answer(io, options, shown, tableText(["user", shown.name], rows))
    })
  addDelete(user, "users", "a user; --cascade with its keys, policies and memberships", io, ask)
}

export function addDelete(
  command: Command,
  kind: "users" | "groups" | "roles",
  what: string,
  io: CliIo,
  ask: Ask,
): void {
  withAccount(command.command("delete"))
    .description(`delete ${what}`)
    .argument("<NAME>")
    .option("--cascade", "with everything that would keep it from being deleted")
    .action(async (name: string, options: AccountOptions & { cascade?: boolean }) => {
      const path = accountPath(options, kind, name)
      await ask(options, client => client.remove(options.cascade === true ? `${path}?cascade=true` : path))
      await answer(io, options, { name, deleted: 1 }, `deleted ${kind.slice(0, -1)} ${name}\n`)
    })
}

function addGroups(program: Command, io: CliIo, ask: Ask): void {
  const groups = group(program, "group").description("groups of users, who have the policies of the group")
  withAccount(groups.command("create"))
    .description("create a group")
    .argument("<NAME>")
    .action(async (name: string, options: AccountOptions) => {
      const made = await ask(options, client => client.post(accountPath(options, "groups"), { name }))
      await answer(io, options, made, `created group ${name}\n`)
    })
  withAccount(groups.command("list"))
    .description("groups with their policies")
    .action(async (options: AccountOptions) => {
      const found = await ask(options, client =>
        allPages(
          client,
          accountPath(options, "groups"),
          value => checked(GROUPS, value),
          page => page.groups,
        ),
      )
      const rows = found.map(one => [timeText(one.createdMs), one.name, policiesText(one)])
      await answerList(io, options, found, tableText(["CREATED", "GROUP", "POLICIES"], rows))
    })
  withAccount(groups.command("members"))
    .description("the users in a group")
    .argument("<GROUP>")
    .action(async (name: string, options: AccountOptions) => {
      const path = accountPath(options, "groups", name, "members")
      const users = await ask(options, client =>
        allPages(
          client,
          path,
          value => checked(USERS, value),
          page => page.users,
        ),
      )
      await answerList(
        io,
        options,
        users,
        tableText(
          ["USER", "ARN"],
          users.map(user => [user.name, user.arn]),
        ),
      )
    })
  for (const [verb, done] of [["add", "added"] as const, ["remove", "removed"] as const]) {
    withAccount(groups.command(verb))
      .description(verb === "add" ? "add a user to a group" : "remove a user from a group")
      .argument("<GROUP>")
      .argument("<USER>")
      .action(async (name: string, user: string, options: AccountOptions) => {
        const path = accountPath(options, "groups", name, "members", user)
        await ask(options, async client => (verb === "add" ? void (await client.put(path)) : client.remove(path)))
        await answer(io, options, { group: name, user, [done]: true }, `${done} user ${user}, group ${name}\n`)
      })
  }
  addDelete(groups, "groups", "a group; --cascade with its policies and memberships", io, ask)
}
