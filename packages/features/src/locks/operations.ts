/** The operations of `/v1/coordination`: who holds what, and ending a session. Clients use `/coord/` of the same port. */
import type { z } from "zod"
import { fail } from "@hayloft/base/failures.js"
import { parseAccountId, parseCoordPath, parseSessionId, type AccountId, type CoordPath } from "@hayloft/base/ids.js"
import { namespaceOf } from "@hayloft/engine/format/coord-rows.js"
import {
  action,
  operation,
  PAGE_PARAMETERS,
  pageSize,
  type Operation,
  type OperationInput,
  type OperatorPart,
  type OperatorServices,
  type RequiredAction,
} from "../operator/index.js"
import { COORD_FILES, COORD_LOCKS, COORD_NAMESPACES, COORD_SESSIONS } from "./schemas.js"
import { LOCK_SERVICE } from "./services.js"

const PATH = "/v1/coordination"

/** Throws `notImplemented` if coordination is switched off. */
function switchedOn({ core }: OperatorServices): ReturnType<typeof LOCK_SERVICE.of> {
  const coordination = LOCK_SERVICE.find(core)
  if (coordination !== undefined) return coordination
  throw fail("notImplemented", { message: "coordination is switched off: start the store with --coordination" })
}

/** `-` stands for the root account. */
const accountOf = ({ rootAccount }: OperatorServices, text: string): AccountId =>
  text === "-" ? rootAccount : parseAccountId(text)

/** Throws `noSuchAccount`. */
async function needed({ accounts }: OperatorServices, id: AccountId) {
  const account = await accounts.getAccount(id)
  if (account === undefined) throw fail("noSuchAccount", { account: id })
  return account
}

/** Throws `noSuchAccount`. */
const accountOfPath = async (services: OperatorServices, { segment }: OperationInput): Promise<AccountId> =>
  (await needed(services, accountOf(services, segment("account")))).id

/** Throws `invalidArgument`. */
function parseNamespace(text: string): string {
  if (namespaceOf(parseCoordPath(`${text}/x`)) === text) return text
  throw fail("invalidArgument", { message: `${text} is a path; the name of a namespace has no slash` })
}

/** The prefix of all paths of the namespace. Throws `invalidArgument`. */
const prefixOf = ({ segment }: OperationInput): string => `${parseNamespace(segment("namespace"))}/`

async function required(
  services: OperatorServices,
  action: string,
  owner: AccountId,
  path?: string,
): Promise<readonly RequiredAction[]> {
  const { number } = await needed(services, owner)
  const resource = path === undefined ? "*" : `arn:aws:coord:${services.region}:${number}:${path}`
  return [{ action: `coord:${action}`, resource, owner }]
}

/** For a list of all accounts, which only the root account can allow, or of one. */
const onAccounts = (action: string): Pick<Operation, "permission" | "mayNeedOwnAction"> => ({
  mayNeedOwnAction: true,
  async permission(services, { query }) {
    const account = query.get("account")
    return account === undefined ? [] : required(services, action, accountOf(services, account))
  },
})

const onNamespace =
  (action: string): NonNullable<Operation["permission"]> =>
  (services, input) =>
    required(services, action, accountOf(services, input.segment("account")), prefixOf(input))

/** Items of all accounts in order of account, then of what `find` orders by; the cursor `after` is "account/item". */
async function ofAccounts<T>(
  services: OperatorServices,
  query: ReadonlyMap<string, string>,
  find: (account: AccountId, after: string | undefined, max: number) => Promise<{ readonly found: readonly T[] }>,
): Promise<{ readonly found: readonly (readonly [AccountId, T])[]; readonly isMore: boolean }> {
  const max = pageSize(query)
  const named = query.get("account")
  const wanted = named === undefined ? undefined : (await needed(services, accountOf(services, named))).id
  const [from = "", ...afterName] = (query.get("after") ?? "").split("/")
  const all = (await services.accounts.listAccounts()).map(({ id }) => id).sort((a, b) => (a < b ? -1 : 1))
  const found: (readonly [AccountId, T])[] = []
  for (const account of all) {
    if ((wanted !== undefined && account !== wanted) || account < from) continue
    const after = account === from && afterName.length > 0 ? afterName.join("/") : undefined
    const page = await find(account, after, max + 1 - found.length)
    found.push(...page.found.map(each => [account, each] as const))
    if (found.length > max) break
  }
  return { found: found.slice(0, max), isMore: found.length > max }
}

async function listSessions(
  services: OperatorServices,
  query: ReadonlyMap<string, string>,
): Promise<z.output<typeof COORD_SESSIONS>> {
  const coordination = switchedOn(services)
  const find = (account: AccountId, after: string | undefined, max: number) =>
    coordination.sessions(account, after === undefined ? undefined : parseSessionId(after), max)
  const { found, isMore } = await ofAccounts(services, query, find)
  const sessions = found.map(([account, { id, session }]) => {
    const { beat: _, ...shown } = session
    return { account, session: id, ...shown }
  })
  const last = sessions.at(-1)
  return { sessions, ...(isMore && last ? { next: `${last.account}/${last.session}` } : {}) }
}

async function listNamespaces(
  services: OperatorServices,
  query: ReadonlyMap<string, string>,
): Promise<z.output<typeof COORD_NAMESPACES>> {
  const coordination = switchedOn(services)
  const find = (account: AccountId, after: string | undefined, max: number) =>
    coordination.namespaces(account, after === undefined ? undefined : parseNamespace(after), max)
  const { found, isMore } = await ofAccounts(services, query, find)
  const namespaces = found.map(([account, { name, namespace }]) => {
    const { files, bytes, locks, lastNumber } = namespace
    return { account, name, files, bytes, locks, lastNumber }
  })
  const last = namespaces.at(-1)
  return { namespaces, ...(isMore && last ? { next: `${last.account}/${last.name}` } : {}) }
}

/** A path of the namespace. Throws `invalidArgument`. */
function afterOf(input: OperationInput): CoordPath | undefined {
  const text = input.query.get("after")
  if (text === undefined) return undefined
  const [after, prefix] = [parseCoordPath(text), prefixOf(input)]
  if (after.startsWith(prefix)) return after
  throw fail("invalidArgument", { message: `after must be a path below ${prefix}` })
}

async function listLocks(services: OperatorServices, input: OperationInput): Promise<z.output<typeof COORD_LOCKS>> {
  const coordination = switchedOn(services)
  const account = await accountOfPath(services, input)
  const page = await coordination.locks(account, prefixOf(input), afterOf(input), pageSize(input.query))
  const locks = page.found.map(({ path, lock: { mode, holders, waiting } }) => ({
    path,
    mode,
    holders: [...holders],
    waiting: waiting.map(({ session, mode: asked, sinceMs }) => ({ session, mode: asked, sinceMs })),
  }))
  return { locks, ...(page.after !== undefined && { next: page.after }) }
}

async function listFiles(services: OperatorServices, input: OperationInput): Promise<z.output<typeof COORD_FILES>> {
  const coordination = switchedOn(services)
  const account = await accountOfPath(services, input)
  const page = await coordination.files(account, prefixOf(input), afterOf(input), pageSize(input.query))
  const files = page.found.map(({ session, ...file }) => ({ ...file, ...(session !== undefined && { session }) }))
  return { files, ...(page.after !== undefined && { next: page.after }) }
}

async function endSession(services: OperatorServices, input: OperationInput): Promise<void> {
  const coordination = switchedOn(services)
  const account = await accountOfPath(services, input)
  const id = parseSessionId(input.segment("session"))
  if (await coordination.end({ account, id })) return
  throw fail("noSuchSession", { message: `The session ${id} does not exist: it has ended.` })
}

const ACCOUNT = { name: "account", description: "only those of this account" }

const OPERATIONS = [
  operation("listCoordSessions", `GET ${PATH}/sessions`, {
    summary: "Lists sessions of clients that coordinate with others, of all accounts.",
    parameters: [ACCOUNT, ...PAGE_PARAMETERS],
    answer: COORD_SESSIONS,
    ...onAccounts("ListSessions"),
    run: (services, { query }) => listSessions(services, query),
  }),
  action("endCoordSession", `DELETE ${PATH}/sessions/{account}/{session}`, {
    summary: "Ends a session: its locks go to others, its files are deleted.",
    permission: (services, input) => required(services, "EndSession", accountOf(services, input.segment("account"))),
    run: endSession,
  }),
  operation("listCoordNamespaces", `GET ${PATH}/namespaces`, {
    summary: "Lists namespaces of locks and small files, of all accounts.",
    parameters: [ACCOUNT, ...PAGE_PARAMETERS],
    answer: COORD_NAMESPACES,
    ...onAccounts("ListNamespaces"),
    isOff: ({ core }) => LOCK_SERVICE.find(core) === undefined,
    run: (services, { query }) => listNamespaces(services, query),
  }),
  operation("listCoordLocks", `GET ${PATH}/locks/{account}/{namespace}`, {
    summary: "Lists locks of a namespace that are held or waited for.",
    parameters: PAGE_PARAMETERS,
    answer: COORD_LOCKS,
    permission: onNamespace("ListLocks"),
    run: listLocks,
  }),
  operation("listCoordFiles", `GET ${PATH}/files/{account}/{namespace}`, {
    summary: "Lists small files of a namespace, without their contents.",
    parameters: PAGE_PARAMETERS,
    answer: COORD_FILES,
    permission: onNamespace("ListFiles"),
    run: listFiles,
  }),
]

export const LOCK_OPERATOR: OperatorPart = { operations: OPERATIONS }
