/**
 * Real folder locks: a Unix socket in the folder on which the owner responds, since Node has no flock
 * and pids are ambiguous across containers. The response is a unique token, then the owner's pid and the
 * namespace of the pid.
 *
 * The owner listens under its own name and links it to `owner.sock`: only one of two racing processes can
 * create the link, and closing the server removes no other process's name. A process that finds a dead
 * socket moves it aside, checks it once more there, and puts it back if it is live.
 * The folder is addressed through /proc/self/fd, since socket paths are limited to 107 bytes.
 *
 * A hanging disk blocks no serving thread: files are created and removed in the thread pool. Binding or closing a
 * socket does the same synchronously, so this thread does it only after the pool has shown that the disk responds.
 * Limits  TAKE_MS_MAX, RELEASE_MS_MAX.
 */
import { randomBytes } from "node:crypto"
import * as fs from "node:fs"
import * as fsp from "node:fs/promises"
import * as net from "node:net"
import { promisify } from "node:util"
import { fail, type Failure } from "../../failures.js"
import type { FolderLock, FolderLocks, FolderLockOwner } from "./contract.js"
import { inUse } from "./owner.js"

const SOCKET = "owner.sock"
const ATTEMPTS_MAX = 5
/** An owner that accepts but does not respond within this is busy, but alive. */
const ANSWER_TIMEOUT_MS = 2000
const SOCKET_PATH_BYTES_MAX = 103
const TOKEN_BYTES = 8
/** The unique part, the pid, and the namespace, which may be empty. */
const WHOLE_TOKEN = /^[0-9a-f]+ (\d{1,10}) (\S*)$/
/** A disk on which locking takes longer has failed. */
const TAKE_MS_MAX = 10_000
/** A release waits no longer; it completes when the disk responds, or when the process ends. */
const RELEASE_MS_MAX = 2_000

type Answer =
  | { readonly kind: "token"; readonly token: string }
  /** A process listens but does not respond, or not with its token. */
  | { readonly kind: "silent" }
  /** A name on which no process listens. */
  | { readonly kind: "stale" }
  | { readonly kind: "absent" }

const codeOf = (error: unknown): string => (error instanceof Error && "code" in error ? String(error.code) : "unknown")

function noPlace(path: string, error: unknown): Failure {
  const code = codeOf(error)
  const isFull = code === "ENOSPC" || code === "EDQUOT"
  const message = "the data folder cannot hold a lock"
  return fail(isFull ? "deviceFull" : "invalidConfig", { message, path, code }, error)
}

/** The result of the work, or of `late` once it has taken too long. */
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

/** The namespace of this process's pid; "" if the system does not provide it. */
async function pidNamespace(): Promise<string> {
  return fsp.readlink("/proc/self/ns/pid").catch(() => "")
}

/** The process that responded, if any. */
async function ownerBehind(answer: Answer): Promise<FolderLockOwner | undefined> {
  const unknown = { pid: undefined, command: undefined }
  if (answer.kind === "silent") return unknown
  if (answer.kind !== "token") return undefined
  const [, pid, namespace] = WHOLE_TOKEN.exec(answer.token) ?? []
  if (pid === undefined || namespace !== (await pidNamespace())) return unknown
  const line = await fsp.readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")
  const command = line.replaceAll("\0", " ").trim()
  return { pid: Number(pid), command: command === "" ? undefined : command }
}

/** Requests the identity of the process that listens on the socket. */
function ask(address: string, answerMs: number = ANSWER_TIMEOUT_MS): Promise<Answer> {
  return new Promise(resolve => {
    let token = ""
    const socket = net.connect(address)
    const timer = setTimeout(() => end({ kind: "silent" }), answerMs)
    const end = (answer: Answer): void => {
      clearTimeout(timer)
      socket.destroy()
      resolve(answer)
    }
    socket.setEncoding("utf8")
    socket.on("data", text => (token += String(text)))
    // An owner without a free file handle hangs up: it is alive, and has not said who it is.
    socket.on("end", () => end(WHOLE_TOKEN.test(token) ? { kind: "token", token } : { kind: "silent" }))
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

/** A short path of a folder, valid while it is open. */
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
    // If its own socket does not respond in time, this process itself was delayed.
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
    try {
      if (await this.isLinked()) await fsp.unlink(this.handle.address(SOCKET))
    } finally {
      await this.close()
    }
  }

  /** Returns true if `owner.sock` is this server's. */
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

  /**
   * Also removes the server's own name, before the server does. A failing disk may keep it: the folder is closed all the
   * same, so that its file system can be unmounted.
   */
  async close(): Promise<void> {
    try {
      await fsp.rm(this.handle.address(this.ownName), { force: true })
    } finally {
      await new Promise<void>(resolve => this.server.close(() => resolve()))
      this.handle.close()
    }
  }
}

export class RealLocks implements FolderLocks {
  /** `answerMs`: in which the owner of a folder answers unless it is busy. */
  constructor(private readonly answerMs: number = ANSWER_TIMEOUT_MS) {}

  async ownerOf(folder: string): Promise<FolderLockOwner | undefined> {
    const handle = await FolderHandle.open(folder)
    try {
      return await ownerBehind(await ask(handle.address(SOCKET)))
    } finally {
      handle.close()
    }
  }

  take(folder: string): Promise<FolderLock> {
    const taking = takeNow(folder, this.answerMs)
    return inTime(taking, TAKE_MS_MAX, () => {
      void taking.then(lock => lock.release()).catch(() => undefined)
      const message = "the device did not let its folder be locked in time"
      throw fail("deviceFailed", { message, path: folder, code: "ETIMEDOUT" })
    })
  }
}

async function takeNow(folder: string, answerMs: number): Promise<FolderLock> {
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
    await link(lock, { handle, ownName, token, answerMs })
    await removeStale(handle, ownName)
    return lock
  } catch (error) {
    await lock.close()
    throw error
  }
}

/** Checks that a name can be created in the folder and removed, so that doing so will not block this thread. */
async function tryFolder(path: string): Promise<void> {
  await fsp.writeFile(path, "")
  await fsp.rm(path, { force: true })
}

interface Taking {
  readonly handle: FolderHandle
  readonly ownName: string
  readonly token: string
  readonly answerMs: number
}

/** Links `owner.sock` to this owner, or throws `folderInUse`. */
async function link(lock: SocketLock, { handle, ownName, token, answerMs }: Taking): Promise<void> {
  const shared = handle.address(SOCKET)
  let owner: FolderLockOwner | undefined
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt += 1) {
    const isOurs = await tryLink(handle.address(ownName), shared)
    const answer = await ask(shared, answerMs)
    if (isOurs && answer.kind === "token" && answer.token === token) return
    // A process that was delayed has not answered itself: it is no other owner.
    if (answer.kind === "silent" && (await lock.isLinked())) return
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

/** Moves a stale socket aside; another starter may have been faster, and own it by now. */
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

/** Removes the names of dead owners, and their attempts. */
async function removeStale(handle: FolderHandle, ownName: string): Promise<void> {
  const names = await fsp.readdir(handle.address("."))
  for (const name of names.filter(each => each.startsWith(`${SOCKET}.`) && each !== ownName)) {
    if ((await ask(handle.address(name))).kind === "stale") await fsp.rm(handle.address(name), { force: true })
  }
}
