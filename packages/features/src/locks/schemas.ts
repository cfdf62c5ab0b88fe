/** Schemas of coordination in the admin API's JSON. */
import { z } from "zod"

const count = z.number().int().nonnegative()
const MODE = z.enum(["exclusive", "shared"])
const next = z.string().optional().describe("the cursor `after` of the next page")

const SESSION = z
  .object({
    account: z.string(),
    session: z.string(),
    name: z.string().describe("as its client calls itself"),
    principal: z.string().describe("who has begun it"),
    createdMs: count,
    leaseSeconds: count.describe("its client relies on it for so long after a renewal"),
    graceSeconds: count.describe("it ends so long after its lease, unless it is renewed"),
    renewedMs: count,
    held: count.describe("locks, places in line and files that end with it"),
  })
  .meta({ id: "CoordSession" })

export const COORD_SESSIONS = z.object({ sessions: z.array(SESSION), next }).meta({ id: "CoordSessions" })

const NAMESPACE = z
  .object({
    account: z.string(),
    name: z.string(),
    files: count,
    bytes: count.describe("of its files"),
    locks: count.describe("that are held or waited for"),
    lastNumber: count.describe("of its latest change"),
  })
  .meta({ id: "CoordNamespace" })

export const COORD_NAMESPACES = z.object({ namespaces: z.array(NAMESPACE), next }).meta({ id: "CoordNamespaces" })

const LOCK = z
  .object({
    path: z.string(),
    mode: MODE,
    holders: z.array(z.object({ session: z.string(), token: count, sinceMs: count, value: z.string() })),
    waiting: z.array(z.object({ session: z.string(), mode: MODE, sinceMs: count })).describe("in order"),
  })
  .meta({ id: "CoordLock" })

export const COORD_LOCKS = z.object({ locks: z.array(LOCK), next }).meta({ id: "CoordLocks" })

const FILE = z
  .object({
    path: z.string(),
    version: count,
    bytes: count,
    createdMs: count,
    modifiedMs: count,
    session: z.string().optional().describe("the file ends with it"),
  })
  .meta({ id: "CoordFile" })

export const COORD_FILES = z.object({ files: z.array(FILE), next }).meta({ id: "CoordFiles" })
