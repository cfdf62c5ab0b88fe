/**
 * Facts for `hayloft doctor`, read from the machine. Changes nothing; ports are listened on for a moment.
 *
 * Promises  What cannot be read is left out, and never fails the whole.
 * Limits    CERTIFICATES_MAX, FILE_BYTES_MAX a file, COMMAND_MS_MAX for a command of the system.
 */
import { execFile } from "node:child_process"
import { createPrivateKey, X509Certificate } from "node:crypto"
import { constants } from "node:fs"
import { access, open, readdir, readFile, realpath, stat, statfs } from "node:fs/promises"
import { totalmem } from "node:os"
import { basename, dirname, join } from "node:path"
import { promisify } from "node:util"
import { isFailure } from "@hayloft/base/failures.js"
import { MIB } from "@hayloft/base/limits.js"
import { CONTROL_NAMES, SUPERBLOCK_NAME } from "@hayloft/engine/device/index.js"
import type { ListenAddress, ServeConfig } from "@hayloft/node/config/index.js"
import { mapBounded } from "@hayloft/base/life/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { RealDisk } from "@hayloft/base/seams/disk/index.js"
import { RealLocks } from "@hayloft/base/seams/folder-lock/index.js"
import type { DoctorFacts, FolderFacts } from "./doctor-core.js"

const FOLDERS_CONCURRENT = 32
const CERTIFICATES_MAX = 1_000
const CERTIFICATES_CONCURRENT = 16
const FILE_BYTES_MAX = 1 * MIB
const COMMAND_MS_MAX = 3_000
/** The volumes, logs and tables of a device that are open at the same time. */
const FILES_OF_DEVICE = 256

export type MachineFacts = Omit<DoctorFacts, "settings" | "nodeClocks" | "store">

const codeOf = (error: unknown): string => (error instanceof Error && "code" in error ? String(error.code) : "unknown")
const textOf = async (path: string): Promise<string | undefined> => readFile(path, "utf8").catch(() => undefined)

export async function machineFacts(config: ServeConfig, clock: Clock): Promise<MachineFacts> {
  // Loaded on demand, because no other command needs a server's code.
  const { HTTP_LIMITS, openFilesFor } = await import("@hayloft/protocols/http/index.js")
  const owners = await mapBounded(config.dataFolders, FOLDERS_CONCURRENT, ownerOf)
  const pid = owners.find(owner => owner?.pid !== undefined)?.pid
  const ports = clientAddresses(config).filter(([, address]) => address !== undefined).length
  // Connections leave half of the files to the store.
  const openFiles = Math.max(openFilesFor(HTTP_LIMITS, ports), 2 * FILES_OF_DEVICE * config.dataFolders.length)
  return {
    nowMs: clock.wallMs(),
    nodeVersion: process.versions.node,
    clock: await clockState(),
    folders: await mapBounded(config.dataFolders, FOLDERS_CONCURRENT, (path, at) =>
      folderFacts(path, owners[at] !== undefined),
    ),
    systemFileSystem: await fileSystemOf("/"),
    limits: {
      openFiles: await openFilesOf(pid),
      memoryBytes: Math.min(totalmem(), process.constrainedMemory() || Infinity),
      connectionsQueued: numberIn(await textOf("/proc/sys/net/core/somaxconn")),
    },
    wanted: { openFiles, connectionsQueued: HTTP_LIMITS.acceptsWaitingMax },
    ports: await portFacts(config),
    certificates: await certificateFacts(config),
    secretFiles: await secretFileFacts(config),
    database: await databaseFacts(config, clock),
  }
}

/** A folder that is taken by a process, otherwise undefined. */
const ownerOf = (folder: string) => new RealLocks().ownerOf(folder).catch(() => undefined)

const numberIn = (text: string | undefined): number | undefined =>
  text !== undefined && /^\d+\s*$/.test(text) ? Number(text) : undefined

/** The kernel's own flag (adjtimex) is what timedatectl reports; systemd-timesyncd marks a success with a file. */
async function clockState(): Promise<DoctorFacts["clock"]> {
  const options = { timeout: COMMAND_MS_MAX, maxBuffer: 64 * 1024 }
  const run = promisify(execFile)
  const asked = await run("timedatectl", ["show", "-p", "NTPSynchronized", "--value"], options).catch(() => undefined)
  const answer = asked?.stdout.trim()
  if (answer === "yes") return "synchronised"
  if (answer === "no") return "not synchronised"
  const marked = await stat("/run/systemd/timesync/synchronized").catch(() => undefined)
  return marked === undefined ? "unknown" : "synchronised"
}

async function folderFacts(path: string, isInUse: boolean): Promise<FolderFacts> {
  try {
    const [{ dev }, system, space] = [await stat(path), await statfs(path), await new RealDisk().space(path)]
    const isWritable = await access(path, constants.R_OK | constants.W_OK | constants.X_OK).then(
      () => true,
      () => false,
    )
    const isDevice = await stat(join(path, SUPERBLOCK_NAME)).then(
      () => true,
      () => false,
    )
    const inodes = { total: system.files, free: system.ffree }
    return { path, isDevice, isInUse, isWritable, space, inodes, disks: await disksOf(dev) }
  } catch (error) {
    return { path, trouble: isFailure(error) ? String(error.details["code"] ?? error.kind) : codeOf(error) }
  }
}

const fileSystemOf = async (path: string): Promise<string | undefined> =>
  new RealDisk().space(path).then(
    ({ fileSystemId }) => fileSystemId,
    () => undefined,
  )

/** Below partitions, LVM, encryption and RAID; undefined if the system does not tell. */
async function disksOf(device: number): Promise<readonly string[] | undefined> {
  // The bits of major and minor numbers are those of glibc's sysmacros.h.
  const [low, high] = [device % 2 ** 32, Math.floor(device / 2 ** 32)]
  const major = ((low >>> 8) & 0xfff) | (high & ~0xfff)
  const minor = (low & 0xff) | ((low >>> 12) & 0xfff00)
  const folder = await realpath(`/sys/dev/block/${major}:${minor}`).catch(() => undefined)
  return folder === undefined ? undefined : [...new Set(await wholeDisks(folder))]
}

async function wholeDisks(folder: string): Promise<readonly string[]> {
  const below = await readdir(join(folder, "slaves")).catch(() => [])
  if (below.length > 0) {
    const each = below.map(async name => wholeDisks(await realpath(join(folder, "slaves", name))))
    return (await Promise.all(each)).flat()
  }
  const isPartition = (await textOf(join(folder, "partition"))) !== undefined
  return [basename(isPartition ? dirname(folder) : folder)]
}

/** Returns the limit of the running server, otherwise of this process. */
async function openFilesOf(pid: number | undefined): Promise<number | undefined> {
  const ofServer = pid === undefined ? undefined : await textOf(`/proc/${pid}/limits`)
  const text = ofServer ?? (await textOf("/proc/self/limits"))
  const [, soft, hard] = /^Max open files\s+(\S+)\s+(\S+)/m.exec(text ?? "") ?? []
  // Node raises its own limit to the hard one when it starts.
  const limit = ofServer === undefined ? hard : soft
  return limit === "unlimited" ? Infinity : numberIn(limit)
}

type FlaggedAddress = readonly [flag: string, address: ListenAddress | undefined]

/** The addresses that clients use; undefined: the port is off. */
const clientAddresses = ({
  listen,
  adminListen,
  website,
  swift,
  k2vListen,
  queueListen,
}: ServeConfig): readonly FlaggedAddress[] => [
  ["--listen", listen],
  ["--admin-listen", adminListen],
  ["--website-listen", website?.listen],
  ["--swift-listen", swift?.listen],
  ["--k2v-listen", k2vListen],
  ["--queue-listen", queueListen],
]

async function portFacts(config: ServeConfig): Promise<DoctorFacts["ports"]> {
  const { probeAddresses } = await import("@hayloft/protocols/http/index.js")
  const ofNode: FlaggedAddress = ["--node-listen", config.cluster?.nodeListen]
  const wanted = [...clientAddresses(config), ofNode]
  const facts: DoctorFacts["ports"][number][] = []
  for (const [flag, address] of wanted) {
    if (address === undefined || address.port === 0) continue
    const trouble = await probeAddresses([{ ...address, flag }]).then(
      () => undefined,
      (error: unknown) => (error instanceof Error ? error.message : String(error)),
    )
    facts.push({ flag, address: `${address.host}:${address.port}`, trouble })
  }
  return facts
}

async function certificateFacts({ tls, website }: ServeConfig): Promise<DoctorFacts["certificates"]> {
  const folder = website?.certificates
  const names = folder === undefined ? [] : await readdir(folder).catch(() => undefined)
  const missing =
    folder !== undefined && names === undefined ? [{ path: folder, trouble: "the folder cannot be read" }] : []
  const ofWebsites = (names ?? [])
    .filter(name => name.endsWith(".pem"))
    .sort()
    .slice(0, CERTIFICATES_MAX)
    .map(name => ({ certFile: join(folder ?? "", name), keyFile: join(folder ?? "", `${name.slice(0, -4)}.key`) }))
  const pairs = [...(tls === undefined ? [] : [tls]), ...ofWebsites]
  return [...missing, ...(await mapBounded(pairs, CERTIFICATES_CONCURRENT, certificateFactsOf))]
}

interface PairFiles {
  readonly certFile: string
  readonly keyFile: string
}

async function certificateFactsOf({ certFile, keyFile }: PairFiles): Promise<DoctorFacts["certificates"][number]> {
  try {
    const certificate = new X509Certificate(await shortFile(certFile))
    if (!certificate.checkPrivateKey(createPrivateKey(await shortFile(keyFile))))
      return { path: certFile, trouble: `the key in ${keyFile} belongs to another certificate` }
    const [fromMs, untilMs] = [Date.parse(certificate.validFrom), Date.parse(certificate.validTo)]
    return { path: certFile, fromMs, untilMs }
  } catch (error) {
    return { path: certFile, trouble: error instanceof Error ? (error.message.split("\n")[0] ?? "") : String(error) }
  }
}

async function shortFile(path: string): Promise<Buffer> {
  const file = await open(path, "r")
  try {
    const bytes = Buffer.alloc(Math.min(FILE_BYTES_MAX, (await file.stat()).size))
    return bytes.subarray(0, (await file.read(bytes, 0, bytes.length, 0)).bytesRead)
  } finally {
    await file.close()
  }
}

async function secretFileFacts(config: ServeConfig): Promise<DoctorFacts["secretFiles"]> {
  const { masterKeyFile, nextMasterKeyFile, tls, website, dataFolders } = config
  const { vault, aws } = config.keyServices
  const folder = website?.certificates
  const keys = folder === undefined ? [] : (await readdir(folder).catch(() => [])).filter(name => name.endsWith(".key"))
  const named: readonly (readonly [what: string, path: string | undefined])[] = [
    ["the master key", masterKeyFile],
    ["the next master key", nextMasterKeyFile],
    ["the key of the certificate", tls?.keyFile],
    ["the token for Vault", vault?.tokenFile],
    ["the credentials for AWS KMS", aws?.credentialsFile],
    ...keys.map(name => ["the key of a certificate", join(folder ?? "", name)] as const),
  ]
  const facts: DoctorFacts["secretFiles"][number][] = []
  for (const [what, path] of named) if (path !== undefined) facts.push(await secretFileFact(path, what))
  if (masterKeyFile !== undefined) return facts
  for (const path of dataFolders.flatMap(data => CONTROL_NAMES.map(name => join(data, name)))) {
    const fact = await secretFileFact(path, "the master key of the store")
    if (fact.mode !== undefined) facts.push(fact)
  }
  return facts
}

async function secretFileFact(path: string, what: string): Promise<DoctorFacts["secretFiles"][number]> {
  try {
    const { mode } = await stat(path)
    await access(path, constants.R_OK)
    return { path, what, mode }
  } catch (error) {
    return { path, what, trouble: codeOf(error) }
  }
}

async function databaseFacts({ cluster }: ServeConfig, clock: Clock): Promise<DoctorFacts["database"]> {
  if (cluster === undefined) return undefined
  const { maskedUrl, Postgres, withoutPasswords } = await import("@hayloft/engine/sql/index.js")
  const { databaseUrl } = cluster
  const url = maskedUrl(databaseUrl)
  try {
    const session = await new Postgres(databaseUrl).connect()
    try {
      const beforeMs = clock.wallMs()
      const [[text] = []] = await session.script("SELECT extract(epoch FROM clock_timestamp()) * 1000")
      const afterMs = clock.wallMs()
      const theirMs = Number(text)
      // The database read its clock at some time in between.
      const aheadMs = beforeMs > theirMs ? beforeMs - theirMs : Math.min(0, afterMs - theirMs)
      return { url, trouble: undefined, aheadMs }
    } finally {
      await session.close()
    }
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    return { url, trouble: withoutPasswords(databaseUrl, message) }
  }
}
