/**
 * Check of a database: whether Hayloft's metadata may be kept in it. It reads what the servers say, and tries what
 * matters in a scratch schema: races, and commits whose connections are lost.
 *
 * Promises  Nothing but the scratch schema is changed, and that is removed at the end, also after a failure or a signal.
 *           No finding contains a password of the URL.
 * Limits    STEP_MS_MAX, and RUNS_MS for all runs, unless their rounds are given; see also `runs.ts`.
 */
import { DatabaseError } from "pg"
import { fail, isFailure } from "@hayloft/base/failures.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { within } from "@hayloft/base/seams/clock/within.js"
import { ConnectionLost } from "../database.js"
import { CONNECTIONS_OF_NODE } from "../limits.js"
import { connectTo, Postgres } from "../postgres/postgres.js"
import { HAYLOFT_SCHEMA, type SchemaName } from "../postgres/schema.js"
import type { PostgresSession } from "../postgres/session.js"
import { statementsOf } from "../postgres/statements.js"
import { hostsOf, withoutPasswords } from "../postgres/url.js"
import type { CheckFinding } from "./finding.js"
import { hostFindings, serverFindings, verdictOf, waitsForStandby, type HostFacts } from "./findings-core.js"
import { isOfPreparedStatements, probe } from "./probe.js"
import { versionOf, type ServerVersion } from "./product-core.js"
import { readServerFacts } from "./read-facts.js"
import { latencyFinding, preparedFinding, refusedFinding, RUN_NAMES, runFinding } from "./runs-core.js"
import { makeRun, type RunLength } from "./runs.js"
import { dropScratch, findLeftovers, newScratchName } from "./scratch.js"

/** For all runs together. */
const RUNS_MS = 18_000
/** A statement has arrived at the server after so many round trips. */
const ARRIVAL_ROUND_TRIPS = 4
const ARRIVAL_MS_MIN = 20
/** For the creation of the tables, and for the probe. */
const STEP_MS_MAX = 60_000

interface CheckSettings {
  readonly url: string
  /** The rounds of each run; undefined: as many as fit into RUNS_MS. */
  readonly rounds: number | undefined
  readonly clock: Clock
  readonly random: Random
  readonly signal: AbortSignal
  /** The statements that are tried: those of the engine. */
  readonly statements?: typeof statementsOf
  /** Called with each finding as soon as it is made. */
  onFinding(finding: CheckFinding): Promise<void>
}

/** The reason why no server could be asked at all. */
type ConnectionTrouble = "unreachable" | "denied" | "failed"

interface CheckResult {
  readonly isSafe: boolean
  /** The verdict, in plain words. */
  readonly sentence: string
  /** The trouble of the first host, if all failed. */
  readonly trouble: ConnectionTrouble | undefined
}

/** Throws `invalidArgument` for a URL of something else, and the signal's reason when it fires. */
export async function checkDatabase(settings: CheckSettings): Promise<CheckResult> {
  const check = new Check(settings)
  const trouble = await check.run()
  return { ...verdictOf(check.findings), trouble }
}

interface FoundHost extends HostFacts {
  readonly url: string
  readonly trouble?: ConnectionTrouble
}

class Check {
  readonly findings: CheckFinding[] = []

  constructor(private readonly settings: CheckSettings) {}

  private get statements(): typeof statementsOf {
    return this.settings.statements ?? statementsOf
  }

  private async report(finding: CheckFinding): Promise<void> {
    this.findings.push(finding)
    await this.settings.onFinding(finding)
  }

  private async reportAll(findings: readonly CheckFinding[]): Promise<void> {
    for (const finding of findings) await this.report(finding)
  }

  private reasonOf(error: unknown): string {
    return withoutPasswords(this.settings.url, textOf(error))
  }

  async run(): Promise<ConnectionTrouble | undefined> {
    const hosts: FoundHost[] = []
    for (const { name, url } of hostsOf(this.settings.url)) {
      this.settings.signal.throwIfAborted()
      hosts.push({ name, url, ...(await this.lookAt(url)) })
    }
    await this.reportAll(hostFindings(hosts))
    const host = hosts.find(({ state }) => state === "writable")
    if (host === undefined) return hosts.every(({ state }) => state === "failed") ? hosts[0]?.trouble : undefined
    try {
      await this.checkServer(host.url)
    } catch (error) {
      this.settings.signal.throwIfAborted()
      const found = "the check could not be finished"
      await this.report({ level: "fail", check: "connection", found, meaning: this.reasonOf(error) })
    }
    return undefined
  }

  /** Connects to one host, and finds out whether it accepts writes. */
  private async lookAt(url: string): Promise<Pick<FoundHost, "state" | "reason" | "startedAt" | "trouble">> {
    let session: PostgresSession | undefined
    try {
      session = await connectTo(url, statementsOf(HAYLOFT_SCHEMA))
      if (!(await session.acceptsWrites())) return { state: "readOnly" }
      return { state: "writable", startedAt: await startOf(session) }
    } catch (error) {
      return { state: "failed", reason: this.reasonOf(error), trouble: troubleOf(error) }
    } finally {
      await session?.close()
    }
  }

  private async checkServer(url: string): Promise<void> {
    const [session, other] = [await this.connect(url), await this.connect(url)]
    try {
      const facts = await readServerFacts(session, other)
      await this.reportAll(serverFindings(facts, CONNECTIONS_OF_NODE))
      this.settings.signal.throwIfAborted()
      // Every statement that writes would wait.
      if (waitsForStandby(facts)) return
      await this.removeLeftovers(session)
      await this.tryInScratch(session, url, versionOf(facts.version))
    } finally {
      await session.close()
      await other.close()
    }
  }

  private connect(url: string): Promise<PostgresSession> {
    return connectTo(url, statementsOf(HAYLOFT_SCHEMA))
  }

  private async removeLeftovers(session: PostgresSession): Promise<void> {
    for (const schema of await findLeftovers(session)) {
      try {
        await dropScratch(session, schema)
        await this.report({ level: "ok", check: "leftovers", found: `${schema} of an earlier check was removed` })
      } catch (error) {
        await session.script("ROLLBACK")
        await this.reportLeft(schema, error)
      }
    }
  }

  private reportLeft(schema: SchemaName, error: unknown): Promise<void> {
    const found = `the scratch schema ${schema} could not be removed`
    const meaning = `${this.reasonOf(error)}; remove it: DROP SCHEMA ${schema} CASCADE`
    return this.report({ level: "warn", check: "leftovers", found, meaning })
  }

  /** Creates the scratch schema, makes the runs in it, and removes it. */
  private async tryInScratch(session: PostgresSession, url: string, server: ServerVersion): Promise<void> {
    const schema = await newScratchName(session, this.settings.random)
    const database = new Postgres(this.settings.url, { schema, statements: this.statements(schema) })
    try {
      try {
        await this.inTime(database.migrate())
      } catch (error) {
        this.settings.signal.throwIfAborted()
        return await this.report(refusedFinding("schema", this.reasonOf(error), server))
      }
      await this.tryOut(database, schema, server)
    } finally {
      await this.removeScratch(url, schema)
    }
  }

  /** On a connection of its own: another may be cut. */
  private async removeScratch(url: string, schema: SchemaName): Promise<void> {
    let session: PostgresSession | undefined
    try {
      session = await this.connect(url)
      await dropScratch(session, schema)
    } catch (error) {
      await this.reportLeft(schema, error)
    } finally {
      await session?.close()
    }
  }

  /** Throws if the database does not respond, as while a commit waits for a standby. */
  private async inTime<T>(work: Promise<T>): Promise<T> {
    const result = await within(this.settings.clock, STEP_MS_MAX, work)
    if (result !== "late") return result
    throw fail("tooManyInFlight", { message: "the database does not respond; a commit may be waiting for a standby" })
  }

  private async tryOut(database: Postgres, schema: SchemaName, server: ServerVersion): Promise<void> {
    const { clock, random, signal, rounds } = this.settings
    let roundTripMs: number
    try {
      const probed = await this.inTime(probe(database, clock))
      roundTripMs = probed.roundTripMs
      await this.reportAll([preparedFinding(undefined), latencyFinding(roundTripMs, probed.commitMs)])
    } catch (error) {
      signal.throwIfAborted()
      const reason = this.reasonOf(error)
      const isOfPooler = isOfPreparedStatements(error)
      return this.report(isOfPooler ? preparedFinding(reason) : refusedFinding("statements", reason, server))
    }
    const arrivalMs = Math.max(ARRIVAL_MS_MIN, ARRIVAL_ROUND_TRIPS * roundTripMs)
    const host = { database, schema, clock, random, signal, arrivalMs }
    const length: RunLength = rounds === undefined ? { durationMs: RUNS_MS / RUN_NAMES.length } : { rounds }
    for (const name of RUN_NAMES) {
      signal.throwIfAborted()
      const facts = await makeRun(host, name, length)
      await this.report(
        runFinding({ ...facts, example: facts.example && withoutPasswords(this.settings.url, facts.example) }),
      )
    }
  }
}

/** When the server was started; undefined if this product does not say. */
async function startOf(session: PostgresSession): Promise<string | undefined> {
  try {
    return (await session.script("SELECT pg_postmaster_start_time()::text"))[0]?.[0]
  } catch (error) {
    if (error instanceof DatabaseError && session.isOpen) return undefined
    throw error
  }
}

/** The error that a lost connection stands for: of several addresses of a host, that of the first. */
function causeOf(error: unknown): unknown {
  const cause: unknown = error instanceof ConnectionLost && error.cause !== undefined ? error.cause : error
  return cause instanceof AggregateError ? firstOf(cause.errors) : cause
}

const firstOf = ([first]: readonly unknown[]): unknown => first

function textOf(error: unknown): string {
  const cause = causeOf(error)
  if (isFailure(cause) || !(cause instanceof Error)) return String(cause)
  return cause.message
}

/** 28000 and 28P01: the role does not exist, may not connect from here, or has another password. */
function troubleOf(error: unknown): ConnectionTrouble {
  const cause = causeOf(error)
  if (cause instanceof DatabaseError) return cause.code?.startsWith("28") === true ? "denied" : "failed"
  const isOfNetwork = cause instanceof Error && ("syscall" in cause || /timeout|terminated/.test(cause.message))
  return isOfNetwork ? "unreachable" : "failed"
}
