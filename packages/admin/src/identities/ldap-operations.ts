/**
 * The operations of `/v1/ldap`: policies of people and groups of the LDAP directory, by their DNs, and what the store knows of
 * a person. They are people of the root account, whose policies they have.
 */
import type { z } from "zod"
import { identityArn, type Account } from "@hayloft/access/index.js"
import { must } from "@hayloft/base/assert.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { printable, tableText } from "@hayloft/base/text/report-text.js"
import { normalDn } from "@hayloft/base/seams/ldap/dn-core.js"
import {
  firstOf,
  PAGE_PARAMETERS,
  pageSize,
  parseBody,
  type CommandOf,
  type OperationInput,
  type RequiredAction,
} from "@hayloft/features/operator/index.js"
import { arnOfPolicy, onAll } from "./identity-targets.js"
import { ENTRY_POLICY, LDAP_ENTRIES, LDAP_ENTRY, LDAP_NAME, LDAP_PERSON } from "./ldap-schemas.js"
import { action, operation, type AdminOperation, type AdminServices } from "../operation.js"

async function rootOf({ accounts, rootAccount }: AdminServices): Promise<Account> {
  return must(await accounts.getAccount(rootAccount), "the root account exists")
}

/** The account, the DN in its normal form, and the ARN of the policy. */
async function entryIn(services: AdminServices, { body }: Pick<OperationInput, "body">) {
  const { dn, policy } = parseBody(ENTRY_POLICY, body)
  const account = await rootOf(services)
  return { account, dn: normalDn(dn), arn: await arnOfPolicy(services, account, policy) }
}

const on =
  (name: string) =>
  async (services: AdminServices, input: OperationInput): Promise<readonly RequiredAction[]> => {
    const { account, dn, arn } = await entryIn(services, input)
    const resource = identityArn(account.number, { kind: "entry", path: "/", name: dn })
    return [{ action: name, resource, owner: account.id, conditions: new Map([["iam:policyarn", arn]]) }]
  }

const DN = { flags: "<DN>", help: "of a person or a group, like uid=ann,ou=people,dc=example,dc=org" }
const POLICY = { flags: "<POLICY>", help: "readonly, readwrite, writeonly, a policy of the root account, an ARN" }

const LIST: CommandOf<z.output<typeof LDAP_ENTRIES>> = {
  name: "ldap list",
  help: "people and groups of the LDAP directory that have policies",
  list: "entries",
  text: ({ entries }) =>
    tableText(
      ["DN", "POLICIES"],
      entries.map(({ dn, attached }) => [printable(dn), attached.map(nameOfArn).join(",")]),
    ),
}

const CHECK: CommandOf<z.output<typeof LDAP_PERSON>> = {
  name: "ldap check",
  help: "what the LDAP directory says of a person, and which policies apply; needs no password",
  inputs: { name: { flags: "<NAME>", help: "as it is typed at the sign-in" } },
  text: ({ dn, userName, groups, entries }) =>
    tableText(
      ["person", printable(dn)],
      [
        ["name in policies", printable(userName)],
        ...(groups.length === 0 ? ["none"] : groups).map(group => ["group", printable(group)]),
        ...entries.flatMap(entry =>
          entry.attached.map(arn => ["policy", `${nameOfArn(arn)} of ${printable(entry.dn)}`]),
        ),
        ...(entries.length === 0 ? [["policy", "none: the sign-in is refused"]] : []),
      ],
    ),
}

const nameOfArn = (arn: string): string => arn.slice(arn.lastIndexOf("/") + 1)

export const LDAP_OPERATIONS: readonly AdminOperation[] = [
  operation("listLdapEntries", "GET /v1/ldap/entries", {
    summary: "Lists the people and groups of the LDAP directory that have policies, by DN.",
    parameters: PAGE_PARAMETERS,
    answer: LDAP_ENTRIES,
    permission: async services => onAll(await rootOf(services), "entry", "iam:ListUsers"),
    async run({ entries }, { query }) {
      const { items, next } = await firstOf(entries.list(query.get("after") ?? ""), pageSize(query), ({ dn }) => dn)
      const shown = items.map(({ dn, attached }) => ({ dn, attached: [...attached] }))
      return { entries: shown, ...(next !== undefined && { next }) }
    },
    commands: [LIST],
  }),
  operation("attachLdapPolicy", "POST /v1/ldap/attach", {
    request: ENTRY_POLICY,
    summary: "Attaches a managed policy to a person or a group of the LDAP directory.",
    answer: LDAP_ENTRY,
    permission: on("iam:AttachUserPolicy"),
    async run(services, input) {
      const { dn, arn } = await entryIn(services, input)
      const { attached } = await services.entries.attach(dn, arn)
      return { dn, attached: [...attached] }
    },
    commands: [
      {
        name: "ldap attach",
        help: "attach a managed policy to a person or a group of the LDAP directory",
        inputs: { dn: DN, policy: POLICY },
        text: ({ dn, attached }) => `${printable(dn)} has ${attached.map(nameOfArn).join(", ")}\n`,
      },
    ],
  }),
  action("detachLdapPolicy", "POST /v1/ldap/detach", {
    request: ENTRY_POLICY,
    summary: "Detaches a managed policy from a person or a group of the LDAP directory.",
    permission: on("iam:DetachUserPolicy"),
    async run(services, input) {
      const { dn, arn } = await entryIn(services, input)
      await services.entries.detach(dn, arn)
    },
    commands: [
      {
        name: "ldap detach",
        help: "detach a managed policy from a person or a group of the LDAP directory",
        inputs: { dn: DN, policy: POLICY },
        json: (_, given) => ({ dn: given("dn"), policy: given("policy"), detached: true }),
        text: (_, given) => `detached policy ${given("policy")}\n`,
      },
    ],
  }),
  operation("checkLdapPerson", "POST /v1/ldap/check", {
    request: LDAP_NAME,
    isRead: true,
    summary: "Returns what the LDAP directory says of a person, and the entries whose policies apply to the person.",
    answer: LDAP_PERSON,
    permission: async services => onAll(await rootOf(services), "entry", "iam:ListUsers"),
    async run({ people, entries }, { body }) {
      const { name } = parseBody(LDAP_NAME, body)
      if (people === undefined) throw noDirectory()
      const { dn, userName, groups } = await found(people.find(name), name)
      const having = await entries.among([normalDn(dn), ...groups])
      const applying = having.map(entry => ({ dn: entry.dn, attached: [...entry.attached] }))
      return { dn, userName, groups: [...groups], entries: applying }
    },
    commands: [CHECK],
  }),
]

/** An operator learns why a name finds nobody. */
async function found<Result>(person: Promise<Result>, name: string): Promise<Result> {
  try {
    return await person
  } catch (error) {
    if (!isFailure(error, "accessDenied")) throw error
    const { reason } = error.details
    throw fail("noSuchEntity", {
      message: `the directory finds nobody by the name ${JSON.stringify(name)}: ${String(reason)}`,
    })
  }
}

const noDirectory = () =>
  fail("notImplemented", { message: "no LDAP directory is configured: start the server with --ldap-server" })
