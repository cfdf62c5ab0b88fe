/** The commands of users, groups and roles. */
import type { z } from "zod"
import type { IdentityKind } from "@hayloft/engine/format/accounts/identity-records.js"
import { CommandProblem, type Answering, type CommandInput, type CommandOf } from "@hayloft/features/operator/index.js"
import { POLICIES_OF } from "./identity-policy-operations.js"
import type { GROUP, GROUPS, ROLE, ROLES, USER, USERS } from "./identity-schemas.js"
import { ACCOUNT } from "./identity-targets.js"
import { groupsText, membersText, rolesText, roleText, usersText, userText } from "./identity-text.js"

const NAME = { flags: "<NAME>" }

/** The commands of one kind, by the operations that they are of. */
export interface KindCommands<One, Page> {
  readonly list: CommandOf<Page>
  /** `get` is the operation that returns what was created. */
  create(get: Answering<One>): CommandOf<One>
  readonly show?: CommandOf<One>
  readonly change?: CommandOf<One>
  readonly remove: CommandOf<undefined>
}

/** Creates a user or role, which has a policy from the beginning if one is named. */
const creating = <One>(
  kind: "user" | "role",
  get: Answering<One>,
  inputs: Readonly<Record<string, CommandInput>>,
  text: (made: One) => string,
): CommandOf<One> => ({
  name: `${kind} create`,
  help: `create a ${kind}, ${kind === "user" ? "who" : "which"} may do nothing yet but what --policy allows`,
  inputs: {
    account: ACCOUNT,
    name: NAME,
    ...inputs,
    policy: {
      flags: "--policy <NAME>",
      help: "attach a managed policy: readonly, readwrite, writeonly, one of the account, an ARN",
    },
  },
  async run({ call, given }, own) {
    const one = { [kind]: given("name") }
    await own()
    if (given("policy") !== "") await call(POLICIES_OF[kind].attach, one)
    const made = await call(get, one)
    return { json: made, text: text(made) }
  },
})

const removing = (kind: IdentityKind, help: string): CommandOf<undefined> => ({
  name: `${kind} delete`,
  help,
  inputs: {
    account: ACCOUNT,
    [kind]: NAME,
    cascade: { flags: "--cascade", help: "with everything that would keep it from being deleted" },
  },
  json: (_, given) => ({ name: given(kind), deleted: 1 }),
  text: (_, given) => `deleted ${kind} ${given(kind)}\n`,
})

export const USER_COMMANDS: KindCommands<z.output<typeof USER>, z.output<typeof USERS>> = {
  create: get => creating("user", get, {}, ({ name }) => `created user ${name}\n`),
  list: {
    name: "user list",
    help: "users with their groups and policies",
    inputs: { account: ACCOUNT },
    list: "users",
    text: usersText,
  },
  show: {
    name: "user show",
    help: "one user: ARN, groups, policies, boundary, keys, tags",
    inputs: { account: ACCOUNT, user: NAME },
    text: userText,
  },
  remove: removing("user", "delete a user; --cascade with its keys, policies and memberships"),
}

export const GROUP_COMMANDS: KindCommands<z.output<typeof GROUP>, z.output<typeof GROUPS>> = {
  create: () => ({
    name: "group create",
    help: "create a group",
    inputs: { account: ACCOUNT, name: NAME },
    text: ({ name }) => `created group ${name}\n`,
  }),
  list: {
    name: "group list",
    help: "groups with their policies",
    inputs: { account: ACCOUNT },
    list: "groups",
    text: groupsText,
  },
  remove: removing("group", "delete a group; --cascade with its policies and memberships"),
}

/** The terms of a role, by the members of a request. */
const TERMS = {
  description: { flags: "--description <TEXT>", help: "purpose of the role" },
  sessionSecondsMax: {
    flags: "--max-session <DURATION>",
    help: "how long a session may last: 1h to 12h",
    reads: "seconds",
  },
  trust: { flags: "--trust <FILE>", help: "an access policy that says who may assume the role", reads: "policy" },
} as const

export const ROLE_COMMANDS: KindCommands<z.output<typeof ROLE>, z.output<typeof ROLES>> = {
  create: get =>
    creating(
      "role",
      get,
      { ...TERMS, trust: { ...TERMS.trust, isRequired: true } },
      ({ name, arn }) => `created role ${name}: ${arn}\n`,
    ),
  list: {
    name: "role list",
    help: "roles with their policies",
    inputs: { account: ACCOUNT },
    list: "roles",
    text: rolesText,
  },
  show: {
    name: "role show",
    help: "one role: ARN, policies, boundary, tags, and the policy that says who may assume it",
    inputs: { account: ACCOUNT, role: NAME },
    text: roleText,
  },
  change: {
    name: "role set",
    help: "change who may assume a role, its description, or how long sessions may last",
    inputs: { account: ACCOUNT, role: NAME, ...TERMS },
    sends(_, values) {
      if (Object.keys(TERMS).every(name => values[name] === undefined))
        throw new CommandProblem("usage", "name what changes: --trust, --description, --max-session")
      return {}
    },
    text: ({ name }) => `changed role ${name}\n`,
  },
  remove: removing("role", "delete a role; --cascade with its policies"),
}

export const MEMBERS_COMMAND: CommandOf<z.output<typeof USERS>> = {
  name: "group members",
  help: "the users in a group",
  inputs: { account: ACCOUNT, group: { flags: "<GROUP>" } },
  list: "users",
  text: membersText,
}

/** `group add`, `group remove`; `done` says what happened. */
export const memberCommand = (verb: "add" | "remove", help: string, done: string): CommandOf<undefined> => ({
  name: `group ${verb}`,
  help,
  inputs: { account: ACCOUNT, group: { flags: "<GROUP>" }, user: { flags: "<USER>" } },
  json: (_, given) => ({ group: given("group"), user: given("user"), [done]: true }),
  text: (_, given) => `${done} user ${given("user")}, group ${given("group")}\n`,
})
