/** The runs of a check of a database: what each of them promises, and what it means if it does not hold. Pure. */
import type { CheckFinding } from "./finding.js"
import type { ServerVersion } from "./product-core.js"

const RUNS = {
  lostUpdate: {
    title: "lost update",
    promise: "of two changes of one row, the second sees the first",
    meaning: "an acknowledged write can be overwritten by one that has not seen it",
  },
  writeSkew: {
    title: "write skew",
    promise: "of two decisions that exclude each other, one is made",
    meaning: "two requests can both succeed although either excludes the other",
  },
  phantom: {
    title: "phantom",
    promise: "a decision on a range sees every row in it",
    meaning: "a version or a part that is added meanwhile can be overlooked",
  },
  putIfAbsent: {
    title: "put if absent",
    promise: "of two that create one object, exactly one wins",
    meaning: "two clients can both be told that they have created an object",
  },
  readYourWrites: {
    title: "read your writes",
    promise: "a read on another connection sees every acknowledged write",
    meaning: "a request that begins after an acknowledged write can miss it",
  },
  createdAgain: {
    title: "deleted and created again",
    promise: "a row that was created again is not taken for the one before",
    meaning: "a write can be based on an object that no longer exists",
  },
  generation: {
    title: "generation",
    promise: "nothing is written under a bucket or permission that has changed",
    meaning: "a revoked permission can still be used, and an object can be put into a bucket that is gone",
  },
  fencing: {
    title: "fencing",
    promise: "an ended process writes nothing more",
    meaning: "a node that was replaced can still change metadata",
  },
  lateCommit: {
    title: "late commit",
    promise: "a commit whose connection is lost while it waits has one known outcome",
    meaning: "a write that failed for its client can still happen later, or happen twice",
  },
  lostConnections: {
    title: "lost connections",
    promise: "connections lost at any moment lose no write and repeat none",
    meaning: "an acknowledged write can be lost, or happen twice",
  },
} as const

export type RunName = keyof typeof RUNS

export const RUN_NAMES = Object.keys(RUNS).filter((name): name is RunName => Object.hasOwn(RUNS, name))

export interface RunFacts {
  readonly name: RunName
  readonly rounds: number
  /** Rounds that broke the promise. */
  readonly broken: number
  /** Rounds in which the database, or the engine, refused what it must not. */
  readonly refused: number
  /** The example is what the first of them saw. */
  readonly example?: string | undefined
}

export function runFinding({ name, rounds, broken, refused, example = "" }: RunFacts): CheckFinding {
  const { title, promise, meaning } = RUNS[name]
  if (broken > 0) {
    const found = `${title}: broken in ${broken} of ${rounds} rounds`
    return { level: "fail", check: name, found, meaning: `${meaning} (${example})` }
  }
  if (refused > 0) {
    const found = `${title}: ${refused} of ${rounds} rounds could not be made`
    return { level: "fail", check: name, found, meaning: example }
  }
  return { level: "ok", check: name, found: `${title}: ${promise} (${rounds} rounds)` }
}

/** The tables or the statements are refused. */
export function refusedFinding(step: "schema" | "statements", reason: string, server: ServerVersion): CheckFinding {
  if (step === "schema") {
    const found = "Hayloft's tables cannot be created"
    const grant = "; grant it: GRANT CREATE ON DATABASE … TO …"
    return { level: "fail", check: step, found, meaning: reason + (/permission denied/.test(reason) ? grant : "") }
  }
  const name = server.product === "another product" ? "this product" : `${server.product} ${server.number}`
  const found = `Hayloft's statements do not run on ${name}${server.product === "PostgreSQL" ? "" : " yet"}`
  return { level: "fail", check: step, found, meaning: reason }
}

/** The reason why they do not work; undefined if they do. */
export function preparedFinding(reason: string | undefined): CheckFinding {
  const check = "prepared_statements"
  if (reason === undefined) return { level: "ok", check, found: "prepared statements work" }
  const found = "prepared statements do not work through the pooler"
  const meaning = `use PgBouncer 1.21 or later with max_prepared_statements above 0, or session mode (${reason})`
  return { level: "fail", check, found, meaning }
}

const SLOW_COMMIT_MS = 50

export function latencyFinding(roundTripMs: number, commitMs: number): CheckFinding {
  const shown = (ms: number): string => (ms < 10 ? ms.toFixed(1) : ms.toFixed(0))
  const found = `a round trip takes ${shown(roundTripMs)} ms, a commit ${shown(commitMs)} ms`
  if (roundTripMs + commitMs < SLOW_COMMIT_MS) return { level: "ok", check: "latency", found }
  const meaning = "each write waits for both; run the database near the nodes"
  return { level: "warn", check: "latency", found, meaning }
}
