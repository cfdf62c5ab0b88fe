/** The operations of `/v1/kms` on named keys, and of `/v1/master-key`. */
import { parseAccountId } from "../base/ids.js"
import { parseBody, type Operation, type Services } from "./operation.js"
import * as schema from "./key-schemas.js"

type Facts = Awaited<ReturnType<Services["namedKeys"]["rotate"]>>

/** A change of one key without further facts. */
const changing = (
  id: string,
  change: string,
  summary: string,
  act: (services: Services, name: string) => Promise<Facts>,
): Operation => ({
  ...{ id, method: "POST", path: `/v1/kms/keys/{key}/${change}`, summary, parameters: [] },
  ...{ request: undefined, response: { status: 200, schema: schema.NAMED_KEY } },
  run: (services, { segment }) => act(services, segment("key")),
})

export const KEY_OPERATIONS: readonly Operation[] = [
  {
    id: "getMasterKey",
    method: "GET",
    path: "/v1/master-key",
    summary: "The number of the master key, and of the former one during a rotation.",
    parameters: [],
    request: undefined,
    response: { status: 200, schema: schema.MASTER_KEY },
    run: async ({ masterKey }) => masterKey.report(),
  },
  {
    id: "rotateMasterKey",
    method: "POST",
    path: "/v1/master-key/rotate",
    summary: "Replaces the master key by that of --next-master-key-file.",
    parameters: [],
    request: undefined,
    response: { status: 200, schema: schema.MASTER_KEY },
    run: ({ masterKey }) => masterKey.rotate(),
  },
  {
    id: "listNamedKeys",
    method: "GET",
    path: "/v1/kms/keys",
    summary: "Lists the named keys of all accounts.",
    parameters: [],
    request: undefined,
    response: { status: 200, schema: schema.NAMED_KEYS },
    run: async ({ namedKeys }) => ({ keys: await namedKeys.list() }),
  },
  {
    id: "createNamedKey",
    method: "POST",
    path: "/v1/kms/keys",
    summary: "Creates a named key, or registers one of a key service after a trial.",
    parameters: [],
    request: schema.NEW_NAMED_KEY,
    response: { status: 201, schema: schema.NAMED_KEY },
    run: ({ namedKeys, rootAccount }, { body }) => {
      const { accountId, description = "", alias, external } = parseBody(schema.NEW_NAMED_KEY, body)
      const owner = accountId === undefined ? rootAccount : parseAccountId(accountId)
      return namedKeys.create({ accountId: owner, description, alias, external })
    },
  },
  {
    id: "adoptNamedKey",
    method: "POST",
    path: "/v1/kms/keys/{key}/adopt",
    summary: "Takes back a named key whose row a restored database has lost, and whose materials the store still has.",
    parameters: [],
    request: schema.ADOPT_NAMED_KEY,
    isBodyOptional: true,
    response: { status: 200, schema: schema.NAMED_KEY },
    run: ({ namedKeys, rootAccount }, { segment, body }) => {
      const { accountId } = parseBody(schema.ADOPT_NAMED_KEY, body)
      return namedKeys.adopt(segment("key"), accountId === undefined ? rootAccount : parseAccountId(accountId))
    },
  },
  changing(
    "rotateNamedKey",
    "rotate",
    "Gives a named key a new material; old ciphertexts open as before.",
    (services, name) => services.namedKeys.rotate(name),
  ),
  changing("enableNamedKey", "enable", "Enables a named key.", ({ namedKeys }, name) =>
    namedKeys.setEnabled(name, true),
  ),
  changing(
    "disableNamedKey",
    "disable",
    "Disables a named key: from now on it seals and opens nothing.",
    (services, name) => services.namedKeys.setEnabled(name, false),
  ),
  changing("keepNamedKey", "keep", "Cancels the deletion of a named key, which is disabled then.", (services, name) =>
    services.namedKeys.cancelDeletion(name),
  ),
  {
    id: "scheduleNamedKeyDeletion",
    method: "POST",
    path: "/v1/kms/keys/{key}/schedule-deletion",
    summary: "Lets a named key be deleted after a time, if nothing uses it then.",
    parameters: [],
    request: schema.KEY_DELETION,
    isBodyOptional: true,
    response: { status: 200, schema: schema.NAMED_KEY },
    run: ({ namedKeys }, { segment, body }) =>
      namedKeys.scheduleDeletion(segment("key"), parseBody(schema.KEY_DELETION, body).days),
  },
  {
    id: "deleteNamedKey",
    method: "POST",
    path: "/v1/kms/keys/{key}/delete",
    summary: "Deletes a named key whose time has come, although versions use it: they become unreadable.",
    parameters: [],
    request: schema.KEY_DESTRUCTION,
    response: { status: 204, schema: undefined },
    run: ({ namedKeys }, { segment, body }) =>
      namedKeys.delete(segment("key"), parseBody(schema.KEY_DESTRUCTION, body).unreadable),
  },
  {
    id: "usesOfNamedKey",
    method: "GET",
    path: "/v1/kms/keys/{key}/uses",
    summary:
      "Counts the versions and unfinished uploads that are sealed with a named key. It reads all rows of objects.",
    parameters: [],
    request: undefined,
    response: { status: 200, schema: schema.KEY_USES },
    run: async ({ namedKeys }, { segment }) => ({ uses: await namedKeys.uses(segment("key")) }),
  },
]
