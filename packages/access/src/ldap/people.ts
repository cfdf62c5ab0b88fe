/**
 * The people of an LDAP directory: who signs in with a name and a password, and in which groups a person is.
 *
 * Promises  A password is sent only to prove it, as the one entry that the name finds, and never an empty one, which servers
 *           take for no proof at all. What a user types is a value in every filter. A person counts as long as the
 *           directory still finds the entry by the same filter: each process asks again before the first use of a session
 *           after `CHECK_MS`. While the directory does not answer, what was last known holds, and it is asked again after
 *           `RETRY_MS`. A refusal comes at a multiple of `REFUSAL_STEP_MS`, so that its time does not show whether a name exists,
 *           as long as the directory answers within one.
 * Limits    `ASKING_MAX` questions at a time, of which `SIGN_INS_MAX` may be sign-ins; `GROUPS_MAX` groups of a person; `KNOWN_MAX` people are remembered.
 */
import { fail, isFailure, sentenceOf, type Failure } from "@hayloft/base/failures.js"
import { NEVER } from "@hayloft/base/never.js"
import type { Soon } from "@hayloft/base/soon.js"
import type { Ldap, LdapConnection, LdapSearch, LdapSettings } from "@hayloft/base/seams/ldap/contract.js"
import { isAtOrBelow, normalDn } from "@hayloft/base/seams/ldap/dn-core.js"
import { attributeOfName, filledFilter } from "@hayloft/base/seams/ldap/filter-core.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"
import type { FreshTime, PersonGroups, People, Person, PersonRef } from "../contract.js"

export const CHECK_MS = 5 * 60_000
export const RETRY_MS = 30_000
export const REFUSAL_STEP_MS = 500
const ASKING_MAX = 32
/** Strangers sign in, too: they cannot keep the directory from being asked whether people with sessions still count. */
const SIGN_INS_MAX = 24
const GROUPS_MAX = 1_000
const KNOWN_MAX = 10_000
const NAME_CHARACTERS_MAX = 256
const PASSWORD_CHARACTERS_MAX = 1_024

interface Parts {
  readonly ldap: Ldap
  readonly clock: Pick<Clock, "wallMs" | "monotonicMs" | "sleep">
  readonly log: Log
}

type Connect = () => Promise<LdapConnection>

/** The knowledge of a person, and until when it holds. */
interface Known {
  /** It is a promise while the directory is asked; undefined: the directory has the person no more. */
  readonly membership: Soon<PersonGroups | undefined>
  readonly fresh: FreshTime
}

interface Found {
  /** The server's spelling. */
  readonly dn: string
  readonly userName: string
}

export class LdapPeople implements People {
  private readonly known = new Map<string, Known>()
  private readonly userBases: readonly string[]
  /** The place of the server that has answered last. */
  private answering = 0
  private asking = 0

  constructor(
    private readonly settings: LdapSettings,
    private readonly parts: Parts,
  ) {
    this.userBases = settings.userBases.map(normalDn)
  }

  async signIn(login: string, password: string): Promise<Person> {
    const startMs = this.parts.clock.monotonicMs()
    try {
      return await this.proved(login, password)
    } catch (error) {
      // Strangers learn neither what was wrong, nor where the directory is; the log has it.
      if (isFailure(error, "directoryUnavailable")) throw fail("directoryUnavailable")
      if (!isFailure(error, "accessDenied")) throw error
      this.parts.log.info("ldap_refused", { reason: String(error.details["reason"]) })
      await this.endOfStep(startMs)
      throw fail("accessDenied", { message: "the user name or the password is not right" })
    }
  }

  private endOfStep(startMs: number): Promise<void> {
    const { clock } = this.parts
    return clock.sleep(REFUSAL_STEP_MS - ((clock.monotonicMs() - startMs) % REFUSAL_STEP_MS), NEVER)
  }

  private async proved(login: string, password: string): Promise<Person> {
    // An empty password would be a bind without authentication, which servers accept.
    if (password === "" || password.length > PASSWORD_CHARACTERS_MAX) throw refused("the password is empty or too long")
    if (login === "" || login.length > NAME_CHARACTERS_MAX) throw refused("the name is empty or too long")
    const person = await this.asked(async (connection, connect) => {
      const found = await this.entryOf(connection, login)
      await prove(connect, found.dn, password)
      return { ...found, login, groups: await this.groupsOf(connection, { dn: found.dn, login }) }
    }, SIGN_INS_MAX)
    const fresh = lasting(this.parts.clock.wallMs(), CHECK_MS)
    this.keep(person, { groups: person.groups, ...fresh }, fresh)
    return person
  }

  find(login: string): Promise<Person> {
    return this.asked(async connection => {
      const found = await this.entryOf(connection, login)
      return { ...found, login, groups: await this.groupsOf(connection, { dn: found.dn, login }) }
    })
  }

  membershipOf(ref: PersonRef, groups: readonly string[], nowMs: number): Soon<PersonGroups | undefined> {
    const known = this.known.get(nameOf(ref))
    if (known !== undefined && isFresh(known.fresh, nowMs)) return known.membership
    // Requests that come meanwhile wait for the same answer.
    return this.keep(
      ref,
      this.checked(ref, known === undefined ? { groups } : known.membership, nowMs),
      lasting(nowMs, RETRY_MS),
    )
  }

  /** Asks the directory; what was known `before` holds while it does not answer. */
  private async checked(
    ref: PersonRef,
    before: Soon<{ readonly groups: readonly string[] } | undefined>,
    nowMs: number,
  ): Promise<PersonGroups | undefined> {
    try {
      const groups = await this.asked(connection => this.presentGroupsOf(connection, ref))
      if (groups === undefined) this.parts.log.info("ldap_person_gone", { dn: ref.dn })
      const fresh = lasting(nowMs, CHECK_MS)
      return this.keep(ref, groups && { groups, ...fresh }, fresh)
    } catch (error) {
      if (!isFailure(error, "directoryUnavailable", "tooManyInFlight")) {
        this.known.delete(nameOf(ref))
        throw error
      }
      const last = await before
      const fresh = lasting(nowMs, RETRY_MS)
      return this.keep(ref, last && { groups: last.groups, ...fresh }, fresh)
    }
  }

  private keep<Kept extends Soon<PersonGroups | undefined>>(ref: PersonRef, membership: Kept, fresh: FreshTime): Kept {
    const name = nameOf(ref)
    if (this.known.size >= KNOWN_MAX && !this.known.has(name)) this.known.clear()
    this.known.set(name, { membership, fresh })
    return membership
  }

  /** Runs work on the directory. Throws `directoryUnavailable`, `tooManyInFlight`, and what the work throws. */
  private async asked<Result>(
    work: (connection: LdapConnection, connect: Connect) => Promise<Result>,
    askingMax = ASKING_MAX,
  ): Promise<Result> {
    if (this.asking >= askingMax) throw fail("tooManyInFlight", { message: "the directory is asked too much at once" })
    this.asking += 1
    const opened: LdapConnection[] = []
    const connect = async (): Promise<LdapConnection> => {
      const connection = await this.connect()
      opened.push(connection)
      return connection
    }
    try {
      const connection = await connect()
      await this.bindLookup(connection)
      return await work(connection, connect)
    } catch (error) {
      if (isFailure(error, "directoryUnavailable"))
        this.parts.log.warn("ldap_unavailable", { reason: sentenceOf(error) })
      throw error
    } finally {
      this.asking -= 1
      for (const connection of opened) void connection.close()
    }
  }

  /** Connects to the server that has answered last, or else to the next one that does. */
  private async connect(): Promise<LdapConnection> {
    const { servers, tls, caFile, timeoutMs } = this.settings
    let last: unknown
    for (let tried = 0; tried < servers.length; tried += 1) {
      const at = (this.answering + tried) % servers.length
      try {
        const connection = await this.parts.ldap.connect({ url: servers[at] ?? "", tls, caFile, timeoutMs })
        this.answering = at
        return connection
      } catch (error) {
        if (!isFailure(error, "directoryUnavailable")) throw error
        last = error
      }
    }
    throw last
  }

  private async bindLookup(connection: LdapConnection): Promise<void> {
    const { lookup } = this.settings
    if (lookup === undefined) return
    const reason = await connection.bind(lookup.dn, lookup.password)
    if (reason !== undefined) throw unusable(`the directory refuses the account for searches, ${lookup.dn}: ${reason}`)
  }

  /** The one entry that the name finds. Throws `accessDenied`. */
  private async entryOf(connection: LdapConnection, login: string): Promise<Found> {
    const { userBases, userFilter, userAttribute = attributeOfName(userFilter) } = this.settings
    const filter = filledFilter(userFilter, { s: login, d: "" })
    const attributes = userAttribute === undefined ? [] : [userAttribute]
    const found = []
    for (const base of userBases) {
      const search = { base, scope: "below", filter, attributes, entriesMax: 1 } as const
      found.push(...(await searched(connection, search, "people")))
    }
    const [entry, ...others] = new Map(found.map(each => [dnOf(each.dn), each])).values()
    if (entry === undefined) throw refused("no entry has this name")
    if (others.length > 0) throw refused("several entries have this name")
    const dn = dnOf(entry.dn)
    // An empty DN stands for nobody, as whom every password is right.
    if (dn === undefined) throw refused(`the DN of the entry cannot be used: ${entry.dn.slice(0, 100)}`)
    const names = userAttribute === undefined ? [] : (entry.attributes.get(userAttribute.toLowerCase()) ?? [])
    const same = names.find(name => name.toLowerCase() === login.toLowerCase())
    return { dn: entry.dn, userName: same ?? names[0] ?? login }
  }

  /** The groups of a person who still counts. Returns undefined if the directory has the person no more. */
  private async presentGroupsOf(connection: LdapConnection, ref: PersonRef): Promise<readonly string[] | undefined> {
    const dn = dnOf(ref.dn)
    if (dn === undefined || !this.userBases.some(base => isAtOrBelow(dn, base))) return undefined
    const filter = filledFilter(this.settings.userFilter, { s: ref.login, d: ref.dn })
    const search = { base: ref.dn, scope: "itself", filter, attributes: [], entriesMax: 1 } as const
    const found = (await connection.search(search)) ?? []
    return found.length === 1 ? this.groupsOf(connection, ref) : undefined
  }

  /** The DNs of groups in their normal form. Throws `directoryUnavailable` if there are too many. */
  private async groupsOf(connection: LdapConnection, { dn, login }: PersonRef): Promise<readonly string[]> {
    const filter = filledFilter(this.settings.groupFilter, { s: login, d: dn })
    const groups = new Set<string>()
    for (const base of this.settings.groupBases) {
      const search = { base, scope: "below", filter, attributes: [], entriesMax: GROUPS_MAX } as const
      for (const entry of await searched(connection, search, "groups")) {
        const group = dnOf(entry.dn)
        if (group !== undefined) groups.add(group)
      }
    }
    // A policy of a group may deny: without all groups it is not known what a person may do.
    if (groups.size > GROUPS_MAX) throw unusable(`${dn} is in more than ${GROUPS_MAX} groups`)
    return [...groups].sort()
  }
}

/** A clock that was set back is no reason to trust what is known for longer. */
export const isFresh = ({ fromMs, untilMs }: FreshTime, nowMs: number): boolean => nowMs >= fromMs && nowMs < untilMs

const lasting = (fromMs: number, lastsMs: number): FreshTime => ({ fromMs, untilMs: fromMs + lastsMs })

const nameOf = ({ dn, login }: PersonRef): string => `${dn}\0${login}`

/** Proves a password on a connection of its own, so that searches stay those of the account for searches. */
async function prove(connect: Connect, dn: string, password: string): Promise<void> {
  const reason = await (await connect()).bind(dn, password)
  if (reason !== undefined) throw refused(`the directory refuses ${dn}: ${reason}`)
}

/** Throws `directoryUnavailable` if the base does not exist. */
async function searched(connection: LdapConnection, search: LdapSearch, of: string) {
  const found = await connection.search(search)
  if (found === undefined) throw unusable(`the directory has no ${search.base}, below which ${of} are searched`)
  return found
}

/** The normal form; undefined for what has none. */
function dnOf(text: string): string | undefined {
  try {
    return normalDn(text)
  } catch (error) {
    if (isFailure(error, "invalidArgument")) return undefined
    throw error
  }
}

const refused = (reason: string): Failure => fail("accessDenied", { reason })

const unusable = (reason: string): Failure => fail("directoryUnavailable", { reason })
