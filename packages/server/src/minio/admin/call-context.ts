/**
 * A call of MinIO's admin API as those who carry it out see it: the operations of our admin API, which check what the caller may
 * do and write the audit log, and the query and body of the call.
 */
import type { z } from "zod"
import { parseJson, type AdminApi, type ForeignCall } from "@hayloft/admin/index.js"
import type { KnownAccessKey } from "@hayloft/access/index.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"

type Parts = Pick<ForeignCall, "segments" | "query" | "body"> & Partial<Pick<ForeignCall, "other">>

interface CallFacts {
  readonly api: Pick<AdminApi, "call">
  readonly terms: Omit<ForeignCall, "segments" | "query" | "body">
  readonly caller: KnownAccessKey
  readonly query: URLSearchParams
  /** Opened, if it was sealed. */
  readonly body: Uint8Array
  /** The account whose users and policies MinIO's commands are about. */
  readonly account: string
  readonly rootKey: string
  readonly storeId: string
  /** The Host header. */
  readonly host: string
  readonly random: Pick<Random, "bytes">
  readonly nowMs: number
}

const PAGES_MAX = 100
const PAGE = "1000"

export class MinioContext {
  readonly caller: KnownAccessKey
  readonly account: string
  readonly rootKey: string
  readonly storeId: string
  readonly host: string
  readonly nowMs: number
  readonly random: Pick<Random, "bytes">
  /** The operation that failed last. */
  failedIn = ""

  constructor(private readonly facts: CallFacts) {
    const { caller, account, rootKey, storeId, host, nowMs, random } = facts
    this.caller = caller
    this.account = account
    this.rootKey = rootKey
    this.storeId = storeId
    this.host = host
    this.nowMs = nowMs
    this.random = random
  }

  /** Returns "" without the parameter. */
  query(name: string): string {
    return this.facts.query.get(name) ?? ""
  }

  all(name: string): readonly string[] {
    return this.facts.query.getAll(name).filter(value => value !== "")
  }

  /** Throws `invalidArgument`. */
  needed(name: string): string {
    const value = this.query(name)
    if (value === "") throw fail("invalidArgument", { message: `the request lacks the parameter ${name}` })
    return value
  }

  /** For calls for which that MinIO's action is allowed does not suffice; what a policy denies of it is denied. */
  onlyOurs(): Pick<ForeignCall, "other"> {
    const { other } = this.facts.terms
    return { other: other && { ...other, isEnough: false } }
  }

  /** The body as JSON. Throws `invalidArgument`. */
  json<T extends z.ZodType>(type: T): z.output<T> {
    const parsed = type.safeParse(this.anyJson())
    if (parsed.success) return parsed.data
    const [issue] = parsed.error.issues
    throw fail("invalidArgument", {
      message: `${issue?.path.join(".") ?? "the body"}: ${issue?.message ?? "not valid"}`,
    })
  }

  /** Throws `invalidArgument`. */
  anyJson(): unknown {
    return parseJson(this.facts.body)
  }

  /** Calls an operation that answers. Throws its failure. */
  async get<Answer>(id: string, answer: z.ZodType<Answer>, parts: Parts = {}): Promise<Answer> {
    return answer.parse(await this.call(id, parts))
  }

  /** The same of what may be missing: undefined. */
  async find<Answer>(id: string, answer: z.ZodType<Answer>, parts: Parts = {}): Promise<Answer | undefined> {
    try {
      return await this.get(id, answer, parts)
    } catch (error) {
      if (isFailure(error, "noSuchEntity", "noSuchAccessKey")) return undefined
      throw error
    }
  }

  /** The items of all pages. */
  async pages<Page extends { readonly next?: string | undefined }, Item>(
    id: string,
    page: z.ZodType<Page>,
    itemsOf: (page: Page) => readonly Item[],
    { segments = {}, query = {} }: Parts = {},
  ): Promise<readonly Item[]> {
    const items: Item[] = []
    let after: string | undefined
    for (let left = PAGES_MAX; left > 0; left -= 1) {
      const more = { ...query, max: PAGE, ...(after !== undefined && { after }) }
      const answer = await this.get(id, page, { segments, query: more })
      for (const item of itemsOf(answer)) items.push(item)
      if (answer.next === undefined) return items
      after = answer.next
    }
    throw fail("limitExceeded", { message: `there are more than ${PAGES_MAX} pages: ask the admin API, page by page` })
  }

  /** Calls an operation. Throws its failure. */
  async call(id: string, parts: Parts = {}): Promise<unknown> {
    const { api, terms } = this.facts
    try {
      return await api.call(id, { ...terms, ...parts })
    } catch (error) {
      this.failedIn = id
      throw error
    }
  }
}
