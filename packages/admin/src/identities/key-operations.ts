/** The operations of `/v1/kms` on named keys, and of `/v1/master-key`. */
import type { z } from "zod"
import { parseAccountId } from "@hayloft/base/ids.js"
import { printable, tableText, timeText } from "@hayloft/base/text/report-text.js"
import { CommandProblem, type Given, parseBody, type Values } from "@hayloft/features/operator/index.js"
import { action, operation, type AdminOperation, type AdminServices } from "../operation.js"
import * as schema from "./key-schemas.js"

type Facts = Awaited<ReturnType<AdminServices["namedKeys"]["rotate"]>>

type NamedKey = z.output<typeof schema.NAMED_KEY>

const KEY = { flags: "<KEY>", help: "id, alias or ARN" }
const OWNER = { flags: "--account <ID>", help: "owner (default: the root account)" }

const STATES = { enabled: "enabled", disabled: "disabled", pendingDeletion: "pending deletion" } as const

const aliasesText = ({ aliases }: NamedKey): string => aliases.map(alias => ` as ${printable(alias)}`).join("")

function keysText({ keys }: z.output<typeof schema.NAMED_KEYS>): string {
  const rows = keys.map(({ createdMs, id, state, deletionMs, versions, aliases, external, description }) => [
    timeText(createdMs),
    id,
    deletionMs === undefined ? STATES[state] : `${STATES[state]} (${timeText(deletionMs)})`,
    external === undefined ? String(versions) : external.kind,
    aliases.join(" "),
    printable(description),
  ])
  return tableText(["CREATED", "KEY", "STATE", "VERSIONS", "ALIASES", "DESCRIPTION"], rows)
}

function masterKeyText({ number, former, devices }: z.output<typeof schema.MASTER_KEY>): string {
  const until = former === undefined ? "" : `; key ${former.number} needed until ${timeText(former.neededUntilMs)}`
  const behind = devices.map(({ path, node, isOffline }) => {
    const where = `${printable(path)}${node === undefined ? "" : ` on ${printable(node)}`}`
    return `${where}${isOffline ? " (offline)" : ""} may still have a record sealed under an earlier key`
  })
  return [`master key ${number}${until}`, ...behind].map(line => `${line}\n`).join("")
}

/** The external key of `kms add`, with its alias. */
function externalKey(given: Given): Values {
  const [vault, aws] = [given("vault"), given("aws")]
  if ((vault === "") === (aws === "")) throw new CommandProblem("usage", "name one key: --vault KEY or --aws ARN")
  const external = vault === "" ? { kind: "aws", name: aws } : { kind: "vault", name: vault }
  return { alias: `alias/${given("alias")}`, external }
}

/** A change of one key without further facts. `help`: of its command, which says that it has `done` this. */
const changing = (
  [id, change]: readonly [id: string, change: string],
  summary: string,
  [help, done]: readonly [help: string, done: string],
  act: (services: AdminServices, name: string) => Promise<Facts>,
): AdminOperation =>
  operation(id, `POST /v1/kms/keys/{key}/${change}`, {
    summary,
    answer: schema.NAMED_KEY,
    run: (services, { segment }) => act(services, segment("key")),
    commands: [{ name: `kms ${change}`, help, inputs: { key: KEY }, text: made => `${done} key ${made.id}\n` }],
  })

const DELETE_NOW = action("deleteNamedKey", "POST /v1/kms/keys/{key}/delete", {
  summary: "Deletes a named key whose time has come, although versions use it: they become unreadable.",
  request: schema.KEY_DESTRUCTION,
  run: ({ namedKeys }, { segment, body }) =>
    namedKeys.delete(segment("key"), parseBody(schema.KEY_DESTRUCTION, body).unreadable),
})

export const KEY_OPERATIONS: readonly AdminOperation[] = [
  operation("getMasterKey", "GET /v1/master-key", {
    summary: "The number of the master key, and of the former one during a rotation.",
    answer: schema.MASTER_KEY,
    run: async ({ masterKey }) => masterKey.report(),
    commands: [
      {
        name: "master-key show",
        help: "show the number of the master key, and how long the former one is needed",
        text: masterKeyText,
      },
    ],
  }),
  operation("rotateMasterKey", "POST /v1/master-key/rotate", {
    summary: "Replaces the master key by that of --next-master-key-file.",
    answer: schema.MASTER_KEY,
    run: ({ masterKey }) => masterKey.rotate(),
    commands: [
      {
        name: "master-key rotate",
        help: "replace the master key of a running store by that of --next-master-key-file",
        text: masterKeyText,
      },
    ],
  }),
  operation("listNamedKeys", "GET /v1/kms/keys", {
    summary: "Lists the named keys of all accounts.",
    answer: schema.NAMED_KEYS,
    run: async ({ namedKeys }) => ({ keys: await namedKeys.list() }),
    commands: [{ name: "kms list", help: "list the keys of all accounts", list: "keys", text: keysText }],
  }),
  operation("createNamedKey", "POST /v1/kms/keys", {
    summary: "Creates a named key, or registers one of a key service after a trial.",
    request: schema.NEW_NAMED_KEY,
    status: 201,
    answer: schema.NAMED_KEY,
    run: ({ namedKeys, rootAccount }, { body }) => {
      const { accountId, description = "", alias, external } = parseBody(schema.NEW_NAMED_KEY, body)
      const owner = accountId === undefined ? rootAccount : parseAccountId(accountId)
      return namedKeys.create({ accountId: owner, description, alias, external })
    },
    commands: [
      {
        name: "kms create",
        help: "create a key whose material this store keeps",
        inputs: {
          accountId: OWNER,
          alias: { flags: "--alias <NAME>", help: "alias/NAME, by which requests may name it" },
          description: { flags: "--description <TEXT>", help: "purpose of the key" },
        },
        text: made => `created ${made.arn}${aliasesText(made)}\n`,
      },
      {
        name: "kms add",
        help: "register a key of Vault or AWS KMS as alias/NAME, after a test that it works",
        inputs: {
          alias: { flags: "<NAME>" },
          vault: { flags: "--vault <KEY>", help: "name of a key in the transit engine of --kms-vault-url" },
          aws: { flags: "--aws <ARN>", help: "ARN of a key in AWS KMS" },
          accountId: OWNER,
        },
        sends: externalKey,
        text: made => `registered ${made.arn}${aliasesText(made)}\n`,
      },
    ],
  }),
  operation("adoptNamedKey", "POST /v1/kms/keys/{key}/adopt", {
    summary: "Takes back a named key whose row a restored database has lost, and whose materials the store still has.",
    request: schema.ADOPT_NAMED_KEY,
    isBodyOptional: true,
    answer: schema.NAMED_KEY,
    run: ({ namedKeys, rootAccount }, { segment, body }) => {
      const { accountId } = parseBody(schema.ADOPT_NAMED_KEY, body)
      return namedKeys.adopt(segment("key"), accountId === undefined ? rootAccount : parseAccountId(accountId))
    },
    commands: [
      {
        name: "kms adopt",
        help: "take back a key whose row is lost, while the store has its materials; it is disabled then",
        inputs: { key: { flags: "<ID>" }, accountId: OWNER },
        text: ({ arn }) =>
          `took back ${arn}; it is disabled, and has the policy of a new key: set its policy, then enable it\n`,
      },
    ],
  }),
  changing(
    ["rotateNamedKey", "rotate"],
    "Gives a named key a new material; old ciphertexts open as before.",
    ["encrypt with a new material from now on; what is encrypted stays readable", "rotated"],
    (services, name) => services.namedKeys.rotate(name),
  ),
  changing(
    ["enableNamedKey", "enable"],
    "Enables a named key.",
    ["enable a disabled key", "enabled"],
    ({ namedKeys }, name) => namedKeys.setEnabled(name, true),
  ),
  changing(
    ["disableNamedKey", "disable"],
    "Disables a named key: from now on it seals and opens nothing.",
    ["encrypt and decrypt nothing with a key until it is enabled again", "disabled"],
    (services, name) => services.namedKeys.setEnabled(name, false),
  ),
  changing(
    ["keepNamedKey", "keep"],
    "Cancels the deletion of a named key, which is disabled then.",
    ["cancel the deletion of a key; it is disabled then", "kept"],
    (services, name) => services.namedKeys.cancelDeletion(name),
  ),
  operation("scheduleNamedKeyDeletion", "POST /v1/kms/keys/{key}/schedule-deletion", {
    summary: "Lets a named key be deleted after a time, if nothing uses it then.",
    request: schema.KEY_DELETION,
    isBodyOptional: true,
    answer: schema.NAMED_KEY,
    run: ({ namedKeys }, { segment, body }) =>
      namedKeys.scheduleDeletion(segment("key"), parseBody(schema.KEY_DELETION, body).days),
    commands: [
      {
        name: "kms delete",
        help: "delete a key after a time, if nothing uses it then",
        inputs: {
          key: KEY,
          days: { flags: "--days <N>", help: "how long it can still be kept: 7 to 30 (default: 30)", reads: "number" },
          unreadable: {
            flags: "--confirm-unreadable <N>",
            help: "delete it now, its time being over: N versions become unreadable permanently",
            reads: "number",
          },
        },
        async run({ call, given }, own) {
          const key = given("key")
          if (given("unreadable") !== "") {
            await call(DELETE_NOW)
            return { json: { key, deleted: 1 }, text: `deleted key ${key}\n` }
          }
          const made = await own()
          const when = timeText(made.deletionMs ?? 0)
          return { json: made, text: `key ${made.id} is deleted after ${when}, if nothing uses it then\n` }
        },
      },
    ],
  }),
  DELETE_NOW,
  operation("usesOfNamedKey", "GET /v1/kms/keys/{key}/uses", {
    summary:
      "Counts the versions and unfinished uploads that are sealed with a named key. It reads all rows of objects.",
    answer: schema.KEY_USES,
    run: async ({ namedKeys }, { segment }) => ({ uses: await namedKeys.uses(segment("key")) }),
    commands: [
      {
        name: "kms uses",
        help: "count the versions that are encrypted with a key, by bucket; reads all rows of the store",
        inputs: { key: KEY },
        list: "uses",
        text: ({ uses }) =>
          tableText(
            ["BUCKET", "VERSIONS"],
            uses.map(({ bucket, count }) => [bucket, String(count)]),
          ),
      },
    ],
  }),
]
