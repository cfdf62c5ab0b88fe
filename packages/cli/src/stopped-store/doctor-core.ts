/**
 * Doctor: judges facts about a machine and its data folders: what is in order, what may become trouble, and what is
 * trouble now, each with what to do. Pure.
 *
 * What cannot be found out is a warning only if the operator can find it out; no fact that is absent is a problem.
 */
import { fileSystemWarning } from "@hayloft/base/file-systems.js"
import { GIB, MIB } from "@hayloft/base/limits.js"
import { durationText, sizeText } from "../text.js"

type FindingLevel = "ok" | "warning" | "problem"

export interface DoctorFinding {
  readonly level: FindingLevel
  /** The thing that was checked. */
  readonly check: string
  /** The finding, and what to do about it. */
  readonly found: string
}

export interface FolderFacts {
  readonly path: string
  /** The reason why the folder cannot be looked at; `ENOENT`: it does not exist. The other facts are absent then. */
  readonly trouble?: string
  readonly isDevice?: boolean
  /** A process has taken the folder. */
  readonly isInUse?: boolean
  readonly isWritable?: boolean
  readonly space?: {
    readonly totalBytes: number
    readonly freeBytes: number
    readonly fileSystemId: string
    readonly fileSystemKind: string
  }
  /** 0 in total: the file system has no fixed number. */
  readonly inodes?: { readonly total: number; readonly free: number }
  /** Names of the disks below the file system; undefined: unknown. */
  readonly disks?: readonly string[] | undefined
}

interface CertificateFacts {
  readonly path: string
  /** The reason why it cannot be used; the other facts are absent then. */
  readonly trouble?: string
  readonly fromMs?: number
  readonly untilMs?: number
}

interface SecretFileFacts {
  readonly path: string
  /** Like "the master key". */
  readonly what: string
  /** The mode is undefined if the file cannot be inspected; `trouble` has the reason. */
  readonly mode?: number
  readonly trouble?: string
}

interface PortFacts {
  readonly flag: string
  readonly address: string
  /** It is undefined if the server can listen on the address. */
  readonly trouble: string | undefined
}

interface DatabaseFacts {
  /** Without passwords. */
  readonly url: string
  /** It is undefined if the database accepts writes. */
  readonly trouble: string | undefined
  /** How far this machine's clock is ahead of the database's, at least; 0 if it may be right. */
  readonly aheadMs?: number
}

export interface DoctorFacts {
  /** The running store; `trouble`: why it could not be asked. Undefined: none runs here. */
  readonly store:
    | { readonly trouble: string | undefined; readonly isReady: boolean; readonly reasons: readonly string[] }
    | undefined
  readonly nowMs: number
  readonly nodeVersion: string
  /** Problems of the settings, one line each. */
  readonly settings: readonly string[]
  readonly clock: "synchronised" | "not synchronised" | "unknown"
  /** The clocks of nodes of the running store, against their database. */
  readonly nodeClocks: readonly { readonly name: string; readonly aheadMs: number; readonly uncertainMs: number }[]
  readonly folders: readonly FolderFacts[]
  /** The file system of the operating system. */
  readonly systemFileSystem: string | undefined
  readonly limits: {
    readonly openFiles: number | undefined
    readonly memoryBytes: number
    readonly connectionsQueued: number | undefined
  }
  /** The most that the server would use of these limits. */
  readonly wanted: { readonly openFiles: number; readonly connectionsQueued: number }
  readonly ports: readonly PortFacts[]
  readonly certificates: readonly CertificateFacts[]
  readonly secretFiles: readonly SecretFileFacts[]
  readonly database: DatabaseFacts | undefined
}

const DAY_MS = 86_400_000
const NODE_MAJOR_MIN = 20
/** Most authorities renew with a third of the time left, 30 of 90 days. */
const CERTIFICATE_WARNING_MS = 21 * DAY_MS
const CERTIFICATE_PROBLEM_MS = 3 * DAY_MS
/** Shares of the whole. */
const FREE_WARNING = 0.1
const FREE_PROBLEM = 0.02
const OPEN_FILES_PROBLEM = 1_024
const MEMORY_WARNING_BYTES = GIB
const MEMORY_PROBLEM_BYTES = 256 * MIB
/** Requests whose time differs by 15 minutes are refused (SigV4); the times of objects differ long before. */
const AHEAD_WARNING_MS = 1_000
const AHEAD_PROBLEM_MS = 60_000
const READABLE_BY_GROUP = 0o040
const READABLE_BY_OTHERS = 0o004

const ok = (check: string, found: string): DoctorFinding => ({ level: "ok", check, found })
const warning = (check: string, found: string): DoctorFinding => ({ level: "warning", check, found })
const problem = (check: string, found: string): DoctorFinding => ({ level: "problem", check, found })

/** All findings, in the order of the checks. */
export function doctorFindings(facts: DoctorFacts): readonly DoctorFinding[] {
  return [
    nodeFinding(facts),
    ...settingsFindings(facts),
    ...storeFindings(facts),
    clockFinding(facts),
    ...nodeClockFindings(facts),
    ...facts.folders.flatMap(folder => folderFindings(folder, facts.folders)),
    ...sharedFindings(facts),
    ...limitFindings(facts),
    ...portFindings(facts),
    ...facts.certificates.map(certificate => certificateFinding(certificate, facts.nowMs)),
    ...facts.secretFiles.map(secretFileFinding),
    ...databaseFindings(facts),
  ]
}

function nodeFinding({ nodeVersion }: DoctorFacts): DoctorFinding {
  const isOld = Number(nodeVersion.split(".")[0]) < NODE_MAJOR_MIN
  return isOld
    ? problem("node", `Node ${nodeVersion} is too old: install Node ${NODE_MAJOR_MIN} or newer`)
    : ok("node", `Node ${nodeVersion}`)
}

const settingsFindings = ({ settings }: DoctorFacts): readonly DoctorFinding[] =>
  settings.length === 0 ? [ok("settings", "valid")] : settings.map(message => problem("settings", message))

function storeFindings({ store }: DoctorFacts): readonly DoctorFinding[] {
  const check = "store"
  if (store === undefined) return [ok(check, "no store runs in these folders")]
  const { trouble, isReady, reasons } = store
  if (trouble !== undefined) return [problem(check, `it runs and cannot be asked: ${trouble}`)]
  const reason = reasons.join("; ")
  if (!isReady) return [problem(check, `not ready: ${reason}; hayloft status says more`)]
  return [reason === "" ? ok(check, "it runs and is ready") : warning(check, `ready, but ${reason}`)]
}

function clockFinding({ clock }: DoctorFacts): DoctorFinding {
  if (clock === "synchronised") return ok("clock", "synchronised with a time server")
  if (clock === "not synchronised")
    return problem(
      "clock",
      "not synchronised: requests are refused once it is 15 minutes off; install and start chrony or systemd-timesyncd",
    )
  return warning(
    "clock",
    "it cannot be seen from here whether the clock is synchronised: run timedatectl, on the host if this is a container",
  )
}

const aheadLevel = (aheadMs: number): FindingLevel =>
  aheadMs >= AHEAD_PROBLEM_MS ? "problem" : aheadMs >= AHEAD_WARNING_MS ? "warning" : "ok"

const aheadText = (aheadMs: number, than: string): string =>
  `at least ${durationText(Math.abs(aheadMs) / 1000)} ${aheadMs > 0 ? "ahead of" : "behind"} ${than}: synchronise both with time servers`

function nodeClockFindings({ nodeClocks }: DoctorFacts): readonly DoctorFinding[] {
  return nodeClocks.map(({ name, aheadMs, uncertainMs }) => {
    const off = Math.max(0, Math.abs(aheadMs) - uncertainMs)
    const level = aheadLevel(off)
    const than = "the database's"
    const found =
      level === "ok" ? `the clock of node ${name} agrees with ${than}` : aheadText(Math.sign(aheadMs) * off, than)
    return { level, check: `clock of ${name}`, found }
  })
}

function folderFindings(folder: FolderFacts, all: readonly FolderFacts[]): readonly DoctorFinding[] {
  const { path, trouble, isWritable, space, inodes } = folder
  const isOfStore = all.some(({ isDevice }) => isDevice === true)
  if (trouble !== undefined) return [absentFinding(path, trouble, isOfStore)]
  const findings = [
    isWritable === false
      ? problem("folder", `${path} cannot be written by this user: change its owner (chown), or mount it for writing`)
      : useFinding(folder, isOfStore),
  ]
  const volatile = space && fileSystemWarning(path, space.fileSystemKind)
  if (volatile !== undefined) findings.push(warning("file system", `${volatile}; use a local disk with ext4 or xfs`))
  if (space !== undefined) findings.push(spaceFinding(path, space))
  if (inodes !== undefined && inodes.total > 0) findings.push(inodesFinding(path, inodes))
  return findings
}

/** A start creates folders, but only with a new store. */
function absentFinding(path: string, trouble: string, isOfStore: boolean): DoctorFinding {
  const check = "folder"
  if (trouble !== "ENOENT") return problem(check, `${path} cannot be looked at (${trouble}): see its owner, and dmesg`)
  return isOfStore
    ? problem(check, `${path} does not exist, and the store is in the other folders: mount its disk`)
    : warning(check, `${path} does not exist: serve creates it for a new store; if it has a disk of its own, mount it`)
}

function useFinding({ path, isDevice, isInUse, space }: FolderFacts, isOfStore: boolean): DoctorFinding {
  const on = `on ${space?.fileSystemKind ?? "an unknown file system"}`
  if (isDevice === true) return ok("folder", `${path} is a device${isInUse === true ? ", in use" : ""}, ${on}`)
  return isOfStore
    ? warning("folder", `${path} has no device of the store, other folders have: is its disk not mounted?`)
    : ok("folder", `${path} has no device of a store yet, ${on}`)
}

const freeLevel = (free: number, total: number): FindingLevel =>
  free < FREE_PROBLEM * total ? "problem" : free < FREE_WARNING * total ? "warning" : "ok"

function spaceFinding(path: string, { freeBytes, totalBytes }: NonNullable<FolderFacts["space"]>): DoctorFinding {
  const level = freeLevel(freeBytes, totalBytes)
  const advice = level === "ok" ? "" : ": delete data, or add a device (hayloft device add)"
  return { level, check: "space", found: `${path}: ${sizeText(freeBytes)} of ${sizeText(totalBytes)} free${advice}` }
}

function inodesFinding(path: string, { free, total }: NonNullable<FolderFacts["inodes"]>): DoctorFinding {
  const level = freeLevel(free, total)
  const advice =
    level === "ok" ? "" : ": Hayloft needs few files; find who has the others: du --inodes -x on the file system"
  return { level, check: "inodes", found: `${path}: ${free} of ${total} free${advice}` }
}

/** Folders that fail together, and folders on the system disk beside others that are not. */
function sharedFindings({ folders, systemFileSystem }: DoctorFacts): readonly DoctorFinding[] {
  const check = "disks"
  const present = folders.filter(({ space }) => space !== undefined)
  const findings = [...groupsOf(present, ({ space }) => [space?.fileSystemId ?? ""])].map(([, group]) =>
    warning(check, `${pathsOf(group)} are on one file system and fail together: give each folder a disk of its own`),
  )
  const byDisk = groupsOf(present, ({ disks }) => disks ?? [])
  for (const [disk, group] of byDisk) {
    // Said already if it is one file system.
    if (new Set(group.map(({ space }) => space?.fileSystemId)).size > 1)
      findings.push(
        warning(check, `${pathsOf(group)} are on one disk (${disk}) and fail together: use one folder a disk`),
      )
  }
  const onSystem = present.filter(({ space }) => space?.fileSystemId === systemFileSystem)
  if (onSystem.length > 0 && onSystem.length < present.length)
    findings.push(
      warning(check, `${pathsOf(onSystem)}: on the system disk, the others are not: is a disk not mounted there?`),
    )
  if (findings.length > 0 || present.length === 0) return findings
  return [ok(check, present.length === 1 ? "one folder" : `${present.length} folders, each on a disk of its own`)]
}

const pathsOf = (folders: readonly FolderFacts[]): string => folders.map(({ path }) => path).join(", ")

/** Those with more than one folder. */
function groupsOf(
  folders: readonly FolderFacts[],
  namesOf: (folder: FolderFacts) => readonly string[],
): ReadonlyMap<string, readonly FolderFacts[]> {
  const groups = new Map<string, FolderFacts[]>()
  for (const folder of folders)
    for (const name of namesOf(folder)) groups.set(name, [...(groups.get(name) ?? []), folder])
  return new Map([...groups].filter(([, group]) => group.length > 1))
}

function limitFindings({ limits, wanted }: DoctorFacts): readonly DoctorFinding[] {
  const { openFiles, memoryBytes, connectionsQueued } = limits
  const memoryLevel =
    memoryBytes < MEMORY_PROBLEM_BYTES ? "problem" : memoryBytes < MEMORY_WARNING_BYTES ? "warning" : "ok"
  const memoryAdvice = memoryLevel === "ok" ? "" : ": give the machine or the container 1 GiB or more"
  return [
    ...(openFiles === undefined ? [] : [openFilesFinding(openFiles, wanted.openFiles)]),
    { level: memoryLevel, check: "memory", found: `${sizeText(memoryBytes)}${memoryAdvice}` },
    ...(connectionsQueued === undefined ? [] : [queueFinding(connectionsQueued, wanted.connectionsQueued)]),
  ]
}

function openFilesFinding(limit: number, wanted: number): DoctorFinding {
  const check = "open files"
  if (limit >= wanted) return ok(check, limit === Infinity ? "no limit" : `at most ${limit}`)
  const found = `at most ${limit}, up to ${wanted} may be needed: set LimitNOFILE=131072 in the unit, or ulimit -n 131072`
  return limit < OPEN_FILES_PROBLEM ? problem(check, found) : warning(check, found)
}

const queueFinding = (limit: number, wanted: number): DoctorFinding =>
  limit >= wanted
    ? ok("somaxconn", String(limit))
    : warning(
        "somaxconn",
        `${limit}: when many clients connect at once, some wait seconds; sysctl -w net.core.somaxconn=${wanted}`,
      )

/** A running store has its ports itself; of a gateway, which has no folder, it is not known whether it runs. */
function portFindings({ ports, folders }: DoctorFacts): readonly DoctorFinding[] {
  const isRunning = folders.some(({ isInUse }) => isInUse === true)
  return ports.map(({ flag, address, trouble }) => {
    if (trouble === undefined && isRunning)
      return ok("port", `${address} is free: the store that runs listens elsewhere, as hayloft env shows (${flag})`)
    if (trouble === undefined) return ok("port", `${address} is free (${flag})`)
    if (isRunning) return ok("port", `${address} is in use while a store runs in these folders (${flag})`)
    return folders.length === 0
      ? warning("port", `${address} is in use, by this node or by another process (${flag})`)
      : problem("port", trouble)
  })
}

function certificateFinding(
  { path, trouble, fromMs = 0, untilMs = 0 }: CertificateFacts,
  nowMs: number,
): DoctorFinding {
  const check = "certificate"
  if (trouble !== undefined) return problem(check, `${path} cannot be used: ${trouble}`)
  const until = new Date(untilMs).toISOString().slice(0, 10)
  if (untilMs <= nowMs) return problem(check, `${path} expired on ${until}: renew it; the file is read again by itself`)
  if (fromMs > nowMs) return problem(check, `${path} is not valid yet: is the clock wrong?`)
  const found = `${path} is valid until ${until}`
  if (untilMs - nowMs > CERTIFICATE_WARNING_MS) return ok(check, found)
  const soon = `${found}, for ${durationText((untilMs - nowMs) / 1000)} more: renew it, and see why that did not happen`
  return untilMs - nowMs > CERTIFICATE_PROBLEM_MS ? warning(check, soon) : problem(check, soon)
}

function secretFileFinding({ path, what, mode, trouble }: SecretFileFacts): DoctorFinding {
  const check = "secrets"
  if (mode === undefined) return problem(check, `${path} (${what}) cannot be read: ${trouble ?? "unknown"}`)
  const text = (mode & 0o777).toString(8).padStart(3, "0")
  const advice = `chmod 600 ${path}, and replace the secret if someone may have read it`
  if ((mode & READABLE_BY_OTHERS) !== 0)
    return problem(check, `${path} (${what}) can be read by every user (mode ${text}): ${advice}`)
  if ((mode & READABLE_BY_GROUP) !== 0)
    return warning(check, `${path} (${what}) can be read by its group (mode ${text}): if that is not meant, ${advice}`)
  return ok(check, `${path} (${what}) can be read by its owner only`)
}

function databaseFindings({ database }: DoctorFacts): readonly DoctorFinding[] {
  if (database === undefined) return []
  const { url, trouble, aheadMs = 0 } = database
  if (trouble !== undefined)
    return [problem("database", `${url}: ${trouble}; hayloft cluster check-database says more once it answers`)]
  const level = aheadLevel(Math.abs(aheadMs))
  const clock = level === "ok" ? [] : [{ level, check: "clock", found: aheadText(aheadMs, "the database's clock") }]
  return [ok("database", `${url} answers and accepts writes`), ...clock]
}
