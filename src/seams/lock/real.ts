/**
 * Real folder locks: a Unix socket in the folder on which the owner answers, since Node has no flock
 * and pid files lie across containers. The answer is a token that nobody else has, then the owner's pid and the
 * namespace that the pid belongs to.
 *
 * The owner listens under a name of its own and links it to `owner.sock`: a link is made by one of two
 * racers only, and closing the server removes nobody else's name. Who meets a socket that nobody
 * answers moves it aside, asks once more there, and puts it back if it had become somebody's.
 * The folder is addressed through /proc/self/fd, since socket paths are limited to 107 bytes.
 *
 * A disk that hangs stops no thread that serves: files are made and removed in the thread pool, and before
 * this thread binds or closes a socket, which does the same in its place, the pool has seen that it can be
 * done.
 * Limits  TAKE_MS_MAX, RELEASE_MS_MAX.
 */
import { randomBytes } from "node:crypto"
import * as fs from "node:fs"
import * as fsp from "node:fs/promises"
import * as net from "node:net"
import { promisify } from "node:util"
import { fail, type Failure } from "../../base/failures.js"
import type { FolderLock, FolderLocks, FolderOwner } from "./contract.js"
import { inUse } from "./owner.js"

const SOCKET = "owner.sock"
const ATTEMPTS_MAX = 5
/** An owner that accepts but does not answer within this is busy, and alive. */
const ANSWER_TIMEOUT_MS = 2000
const SOCKET_PATH_BYTES_MAX = 103
const TOKEN_BYTES = 8
/** A disk that does not let itself be locked in this time has failed. */
const TAKE_MS_MAX = 10_000
/** Whoever gives a lock up waits no longer; it is given up when the disk answers, or when the process ends. */
const RELEASE_MS_MAX = 2_000

type Answer =
  | { readonly kind: "token"; readonly token: string }
  /** Somebody listens but says nothing. */
  | { readonly kind: "silent" }
  /** A name on which nobody listens. */
  | { readonly kind: "stale" }
  | { readonly kind: "absent" }

const codeOf = (error: unknown): string => (error instanceof Error && "code" in error ? String(error.code) : "unknown")

function noPlace(path: string, error: unknown): Failure {
  const code = codeOf(error)
  const isFull = code === "ENOSPC" || code === "EDQUOT"
  const message = "the data folder cannot hold a lock"
  return fail(isFull ? "deviceFull" : "invalidConfig", { message, path, code }, error)
}

/** What the work gives, or what `late` does once it has taken too long. */
function inTime<T>(work: Promise<T>, msMax: number, late: () => T): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      try {
        resolve(late())
      } catch (error) {
        reject(error)
      }
    }, msMax)
    void work.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}

/** The namespace of this process's pid; "": the system does not tell. */
async function pidNamespace(): Promise<string> {
  return fsp.readlink("/proc/self/ns/pid").catch(() => "")
}

/** Who gave an answer, unless nobody did. */
async function ownerBehind(answer: Answer): Promise<FolderOwner | undefined> {
  const unknown = { pid: undefined, command: undefined }
  if (answer.kind === "silent") return unknown
  if (answer.kind !== "token") return undefined
  const [, pid, namespace] = /^[0-9a-f]+ (\d{1,10}) (\S*)$/.exec(answer.token) ?? []
  if (pid === undefined || namespace !== (await pidNamespace())) return unknown
  const line = await fsp.readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")
  const command = line.replaceAll("\0", " ").trim()
  return { pid: Number(pid), command: command === "" ? undefined : command }
}

/** Asks who listens on the socket. */
function ask(address: string): Promise<Answer> {
  return new Promise(resolve => {
    let token = ""
    const socket = net.connect(address)
    const timer = setTimeout(() => end({ kind: "silent" }), ANSWER_TIMEOUT_MS)
    const end = (answer: Answer): void => {
      clearTimeout(timer)
      socket.destroy()
      resolve(answer)
    }
    socket.setEncoding("utf8")
    socket.on("data", text => (token += String(text)))
    socket.on("end", () => end({ kind: "token", token }))
    socket.on("error", error => {
      const code = codeOf(error)
      end({ kind: code === "ECONNREFUSED" ? "stale" : code === "ENOENT" ? "absent" : "silent" })
    })
  })
}

function listen(address: string, token: string): Promise<net.Server> {
  return new Promise((resolve, reject) => {
    const server = net.createServer(socket => {
      socket.on("error", () => socket.destroy())
      socket.end(token)
    })
    server.once("error", reject)
    server.listen({ path: address, exclusive: true }, () => resolve(server.unref()))
  })
}

const openFile = promisify(fs.open)

/** A folder by a short name, for as long as it is open. */
class FolderHandle {
  private constructor(
    readonly folder: string,
    private readonly descriptor: number,
    private readonly short: string,
  ) {}

  static async open(folder: string): Promise<FolderHandle> {
    try {
      const descriptor = await openFile(folder, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY)
      const short = `/proc/self/fd/${descriptor}`
      return new FolderHandle(folder, descriptor, fs.existsSync(short) ? short : folder)
    } catch (error) {
      throw fail("deviceFailed", { path: folder, code: codeOf(error) }, error)
    }
  }

  address(name: string): string {
    const address = `${this.short}/${name}`
    if (Buffer.byteLength(address) <= SOCKET_PATH_BYTES_MAX) return address
    throw fail("invalidConfig", {
      message: "the path of the data folder is too long for this system",
      path: this.folder,
    })
  }

  close(): void {
    fs.closeSync(this.descriptor)
  }
}

class SocketLock implements FolderLock {
  constructor(
    private readonly handle: FolderHandle,
    private readonly server: net.Server,
    private readonly ownName: string,
    private readonly token: string,
  ) {}

  get folder(): string {
    return this.handle.folder
  }

  async isHeld(): Promise<boolean> {
    const answer = await ask(this.handle.address(SOCKET))
    // This process was held up itself, where it is its own socket that says nothing in time.
    if (answer.kind === "silent") return this.isLinked()
    return answer.kind === "token" && answer.token === this.token
  }

  async isAnothers(): Promise<boolean> {
    const answer = await ask(this.handle.address(SOCKET))
    if (answer.kind === "silent") return !(await this.isLinked())
    return answer.kind === "token" && answer.token !== this.token
  }

  release(): Promise<void> {
    return inTime(this.giveUp(), RELEASE_MS_MAX, () => undefined)
  }

  private async giveUp(): Promise<void> {
    if (await this.isLinked()) await fsp.unlink(this.handle.address(SOCKET))
    await this.close()
  }

  /** Whether `owner.sock` is this server's. */
  async isLinked(): Promise<boolean> {
    const [own, shared] = [await this.inodeOf(this.ownName), await this.inodeOf(SOCKET)]
    return own !== undefined && own === shared
  }

  private async inodeOf(name: string): Promise<number | undefined> {
    try {
      return (await fsp.stat(this.handle.address(name))).ino
    } catch (error) {
      if (codeOf(error) === "ENOENT") return undefined
      throw error
    }
  }

  /** Removes the server's own name too, before the server does. */
  async close(): Promise<void> {
    await fsp.rm(this.handle.address(this.ownName), { force: true })
    await new Promise<void>(resolve => this.server.close(() => resolve()))
    this.handle.close()
  }
}

export class RealLocks implements FolderLocks {
  async ownerOf(folder: string): Promise<FolderOwner | undefined> {
    const handle = await FolderHandle.open(folder)
    try {
      return await ownerBehind(await ask(handle.address(SOCKET)))
    } finally {
      handle.close()
    }
  }

  take(folder: string): Promise<FolderLock> {
    const taking = takeNow(folder)
    return inTime(taking, TAKE_MS_MAX, () => {
      void taking.then(lock => lock.release()).catch(() => undefined)
      const message = "the device did not let its folder be locked in time"
      throw fail("deviceFailed", { message, path: folder, code: "ETIMEDOUT" })
    })
  }
}

async function takeNow(folder: string): Promise<FolderLock> {
  const handle = await FolderHandle.open(folder)
  const unique = randomBytes(TOKEN_BYTES).toString("hex")
  const token = `${unique} ${process.pid} ${await pidNamespace()}`
  const ownName = `${SOCKET}.${unique}`
  let server: net.Server
  try {
    await tryFolder(handle.address(`${ownName}.try`))
    server = await listen(handle.address(ownName), token)
  } catch (error) {
    handle.close()
    throw noPlace(folder, error)
  }
  const lock = new SocketLock(handle, server, ownName, token)
  try {
    await link(handle, ownName, token)
    await removeStale(handle, ownName)
    return lock
  } catch (error) {
    await lock.close()
    throw error
  }
}

/** A name can be made in the folder, and taken away: this thread will not be held up by doing so. */
async function tryFolder(path: string): Promise<void> {
  await fsp.writeFile(path, "")
  await fsp.rm(path, { force: true })
}

/** Makes `owner.sock` this owner's, or throws `folderInUse`. */
async function link(handle: FolderHandle, ownName: string, token: string): Promise<void> {
  const shared = handle.address(SOCKET)
  let owner: FolderOwner | undefined
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt += 1) {
    const isOurs = await tryLink(handle.address(ownName), shared)
    const answer = await ask(shared)
    if (isOurs && answer.kind === "token" && answer.token === token) return
    owner = await ownerBehind(answer)
    if (owner !== undefined) break
    if (answer.kind === "stale" && (await moveAside(handle, `${ownName}.aside`)) === "alive") break
  }
  throw inUse(handle.folder, owner ?? { pid: undefined, command: undefined })
}

async function tryLink(from: string, to: string): Promise<boolean> {
  try {
    await fsp.link(from, to)
    return true
  } catch (error) {
    if (codeOf(error) === "EEXIST") return false
    throw noPlace(to, error)
  }
}

/** Takes a stale socket out of the way; another starter may have been quicker, and own it by now. */
async function moveAside(handle: FolderHandle, asideName: string): Promise<"gone" | "alive"> {
  const [shared, aside] = [handle.address(SOCKET), handle.address(asideName)]
  try {
    await fsp.rename(shared, aside)
  } catch (error) {
    if (codeOf(error) === "ENOENT") return "gone"
    throw fail("deviceFailed", { path: handle.folder, code: codeOf(error) }, error)
  }
  const { kind } = await ask(aside)
  const isAlive = kind === "token" || kind === "silent"
  if (isAlive) await tryLink(aside, shared)
  await fsp.rm(aside, { force: true })
  return isAlive ? "alive" : "gone"
}

/** Removes the own names of owners that died, and what they tried. */
async function removeStale(handle: FolderHandle, ownName: string): Promise<void> {
  const names = await fsp.readdir(handle.address("."))
  for (const name of names.filter(each => each.startsWith(`${SOCKET}.`) && each !== ownName)) {
    if ((await ask(handle.address(name))).kind === "stale") await fsp.rm(handle.address(name), { force: true })
  }
}
